package tables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/brotally/brotally/feeds"
)

// State is one group's aggregates before they are made into values: W words, as many as the table needs for every group,
// and X extras where an aggregate keeps text or a sketch. All zero is the state of no records. A State is a view: copying
// it copies nothing.
type State struct {
	W []uint64
	X []any // each nil, a string (min, max), a *heldText (first, last), a sketch or a *distinctValues

	held *holding // of the Groups that it is part of; nil: nobody counts
}

// holding is what the extras of all groups of a Groups take together.
type holding struct {
	bytes  int
	values int // that count(DISTINCT x) holds one by one
}

// grow notes that extras of s take n bytes more.
func (s State) grow(n int) {
	if s.held != nil {
		s.held.bytes += n
	}
}

// growValues notes that they hold n values more.
func (s State) growValues(n int) {
	if s.held != nil {
		s.held.values += n
	}
}

// drop forgets the extras.
func (s State) drop() {
	for i, x := range s.X {
		s.grow(-extraBytes(x))
		if k, ok := x.(*distinctValues); ok {
			s.growValues(-k.set.n)
		}
		s.X[i] = nil
	}
}

// textOverhead is about what a text takes beside its bytes: the header that an extra points to, and what is left over of the
// memory that it is given.
const textOverhead = 24

// extraBytes estimates the memory that an extra takes beside its place in X.
func extraBytes(x any) int {
	switch x := x.(type) {
	case string:
		return len(x) + textOverhead
	case interface{ bytes() int }:
		return x.bytes()
	}
	return 0
}

// errState says that bytes are no state of this table.
var errState = errors.New("state is cut or of another table")

// stateLayout is where a table's aggregates keep what they have: first the flags, a bit an aggregate that needs one, then
// each one's words.
type stateLayout struct {
	flags, words, extras int
}

// cell is one aggregate's part of a State.
type cell struct {
	w    int    // its first word
	x    int    // its extra
	word int    // the word that holds its flag
	bit  uint64 // its flag: it has taken in a value
}

func (c cell) seen(s State) bool { return s.W[c.word]&c.bit != 0 }
func (c cell) mark(w []uint64)   { w[c.word] |= c.bit }

// kernel is what one aggregate does to its cell. How it takes values in, wordKernel, extraKernel and timedKernel say: each
// is one of them.
type kernel interface {
	// merge adds src's cell to dst's. It is associative and commutative; for sums of doubles up to rounding.
	merge(dst, src State)
	append(b []byte, s State) []byte
	// read overwrites a cell that is all zero. ok is false when b is cut or holds what append cannot have written.
	read(b []byte, s State) (rest []byte, ok bool)
	value(s State) feeds.Value
}

// wordKernel takes values into words alone; they are not NULL and of the kind that the kernel was made for.
type wordKernel interface {
	kernel
	add(w []uint64, v feeds.Value)
}

// extraKernel takes such values into an extra, a text or a sketch, whose size is counted.
type extraKernel interface {
	kernel
	take(s State, v feeds.Value)
}

// timedKernel takes such values with the event time and the place of their record, into words or an extra.
type timedKernel interface {
	kernel
	takeAt(s State, v feeds.Value, micros int64, at *feeds.Position)
}

// NewState returns the state of no records, with memory of its own.
func (t *Table) NewState() State { return t.plan.newState() }

func (p *plan) newState() State {
	s := State{W: make([]uint64, p.layout.words)}
	if p.layout.extras > 0 {
		s.X = make([]any, p.layout.extras)
	}
	return s
}

// Merge adds src to dst, and keeps nothing of it but strings. The order and grouping of merges does not matter (for sums of
// doubles up to 1e-9 relative, for top_k within its bound), and the state of no records changes nothing.
func (t *Table) Merge(dst, src State) { t.plan.merge(dst, src) }

func (p *plan) merge(dst, src State) {
	for _, a := range p.stored {
		a.kernel.merge(dst, src)
	}
}

// AppendState appends s in a compact form that [Table.ReadState] of the same definition reads; it knows where it ends.
func (t *Table) AppendState(b []byte, s State) []byte {
	return t.plan.appendState(b, s, false)
}

// appendState appends s; row says that it is a row, whose values are records of their own.
func (p *plan) appendState(b []byte, s State, row bool) []byte {
	for _, flags := range s.W[:p.layout.flags] {
		b = binary.AppendUvarint(b, flags)
	}
	for i, a := range p.stored {
		if row {
			b = p.rows[i].appendRow(b, s)
		} else {
			b = a.kernel.append(b, s)
		}
	}
	return b
}

// ReadState overwrites s with what [Table.AppendState] wrote at the start of b and returns what follows. s keeps nothing
// of b. After an error s holds anything.
func (t *Table) ReadState(b []byte, s State) (rest []byte, err error) {
	return t.readState(b, s, false)
}

func (t *Table) readState(b []byte, s State, row bool) (rest []byte, err error) {
	clear(s.W)
	s.drop()
	for i := range t.plan.layout.flags {
		flags, n := binary.Uvarint(b)
		if n <= 0 || flags&^t.plan.flagMask(i) != 0 {
			return b, fmt.Errorf("table %s: %w", t.Name, errState)
		}
		s.W[i], b = flags, b[n:]
	}
	for i, a := range t.plan.stored {
		var ok bool
		if row {
			b, ok = t.plan.rows[i].readRow(b, s)
		} else {
			b, ok = a.kernel.read(b, s)
		}
		if !ok {
			return b, fmt.Errorf("table %s: %w", t.Name, errState)
		}
	}
	return b, nil
}

// flagMask has a bit for each flag in word i.
func (p *plan) flagMask(i int) (mask uint64) {
	for _, a := range p.stored {
		if a.cell.word == i {
			mask |= a.cell.bit
		}
	}
	return mask
}

// appendVarint128 appends v as zigzag LEB128: small sums take few bytes.
func appendVarint128(b []byte, v feeds.Int128) []byte {
	sign := uint64(v.Hi >> 63)
	hi := (uint64(v.Hi)<<1 | v.Lo>>63) ^ sign
	lo := v.Lo<<1 ^ sign
	for hi != 0 || lo >= 0x80 {
		b = append(b, byte(lo)|0x80)
		lo = lo>>7 | hi<<57
		hi >>= 7
	}
	return append(b, byte(lo))
}

func readVarint128(b []byte) (v feeds.Int128, rest []byte, ok bool) {
	var hi, lo uint64
	for i := 0; i < len(b) && i < 19; i++ {
		part, shift := uint64(b[i]&0x7f), 7*i
		switch {
		case shift < 64:
			lo |= part << shift
			if shift > 57 {
				hi |= part >> (64 - shift)
			}
		default:
			if bits.Len64(part)+shift > 128 {
				return v, b, false
			}
			hi |= part << (shift - 64)
		}
		if b[i] < 0x80 {
			sign := -(lo & 1)
			return feeds.Int128{Hi: int64(hi>>1 ^ sign), Lo: (lo>>1 | hi<<63) ^ sign}, b[i+1:], true
		}
	}
	return v, b, false
}

func readUint64(b []byte) (u uint64, rest []byte, ok bool) {
	if len(b) < 8 {
		return 0, b, false
	}
	return binary.LittleEndian.Uint64(b), b[8:], true
}
