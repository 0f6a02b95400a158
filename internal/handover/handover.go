// Package handover carries what is no bytes through Goka, which moves nothing else.
package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// Desk keeps what is to be carried: the value of the message that Goka sees is a ticket for it. As the goka.Codec of an input it gives
// the callback what the ticket stands for. Each ticket is good once. The zero Desk is ready.
type Desk struct {
	mu   sync.Mutex // guards all below
	next uint64
	held map[uint64]any
}

// Deposit returns the ticket for work.
func (h *Desk) Deposit(work any) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[uint64]any{}
	}
	h.next++
	h.held[h.next] = work
	return binary.BigEndian.AppendUint64(nil, h.next)
}

// Decode redeems a ticket. It is an error if it was redeemed before, or is none.
func (h *Desk) Decode(ticket []byte) (any, error) {
	if len(ticket) != 8 {
		return nil, fmt.Errorf("%d bytes are no ticket", len(ticket))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := binary.BigEndian.Uint64(ticket)
	work, ok := h.held[id]
	if !ok {
		return nil, fmt.Errorf("no work for ticket %d", id)
	}
	delete(h.held, id)
	return work, nil
}

// Encode is never called: nothing is emitted to an input.
func (h *Desk) Encode(any) ([]byte, error) {
	return nil, errors.New("nothing is emitted to an input")
}

// Clear forgets what was never redeemed, as after a session that failed.
func (h *Desk) Clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.held)
}
