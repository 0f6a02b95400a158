package processors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// handover carries what a pump combined through Goka, which moves nothing but bytes: the message's value is a ticket, and
// as the input's goka.Codec the handover gives the callback what the ticket stands for. Each ticket is good once.
type handover struct {
	mu   sync.Mutex // guards all below
	next uint64
	held map[uint64]any
}

// deposit returns the ticket for work.
func (h *handover) deposit(work any) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[uint64]any{}
	}
	h.next++
	h.held[h.next] = work
	return binary.BigEndian.AppendUint64(nil, h.next)
}

// Decode redeems a ticket.
func (h *handover) Decode(ticket []byte) (any, error) {
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
func (h *handover) Encode(any) ([]byte, error) {
	return nil, errors.New("nothing is emitted to an input")
}

// clear forgets what was never redeemed, as after a session that failed.
func (h *handover) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.held)
}
