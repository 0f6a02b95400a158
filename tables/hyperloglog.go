package tables

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"github.com/axiomhq/hyperloglog"

	"github.com/brotally/brotally/feeds"
)

// hyperLogLog is approx_count_distinct: a HyperLogLog++ of axiomhq with 2^14 registers, whose standard error is 0.81 %. Until
// they would take more than the registers, it lists the places of 2^25 that its values hash to, which counts them to about
// 0.01 %.
//
// The library keeps new values of a list apart, in a set, until there are enough or somebody asks for the estimate. A sketch
// whose set is empty is settled: then it is a function of the set of values, and so are its estimate and its stored form,
// whatever their order and however they were dealt out. Nothing but add, merge, settle and read changes a sketch, so it can be
// counted and written by several at once.
type hyperLogLog struct {
	sketch hyperloglog.Sketch // zero: of no values
	listed int                // at most so many values are in the list
	loose  int                // at most so many are in the set
	dense  bool               // it has registers, and is known to; listed and loose say nothing then
	// known is the estimate and 1, or 0: not computed yet. Of registers it takes half a millisecond.
	known atomic.Int64
}

const (
	registers = 1 << 14
	maxLoose  = registers/100 + 1 // a set that has so many goes into the list
)

func (h *hyperLogLog) add(v feeds.Value) {
	var space [32]byte
	if v.Kind() == feeds.String {
		h.addHash(hashText(v.Str()))
		return
	}
	h.addHash(hashText(v.AppendKey(space[:0])))
}

func (h *hyperLogLog) addHash(hash uint64) {
	h.sketch.InsertHash(hash)
	h.loose++
	h.forget()
}

func (h *hyperLogLog) forget() {
	if h.known.Load() != 0 {
		h.known.Store(0)
	}
}

// merge leaves a settled sketch.
func (h *hyperLogLog) merge(other sketch) {
	o := other.(*hyperLogLog)
	fresh := h.listed+h.loose == 0 && !h.dense
	if err := h.sketch.Merge(&o.sketch); err != nil {
		panic(err) // of another precision: there is none
	}
	h.dense = h.dense || o.dense
	h.forget()
	if fresh && o.loose == 0 {
		h.listed = o.listed // the library has cloned it
		return
	}
	h.loose += o.listed + o.loose
	h.settle()
}

// settle moves the values in the set to the list, and makes registers of a long list.
func (h *hyperLogLog) settle() {
	if h.dense = h.dense || h.hasRegisters(); h.dense {
		return
	}
	estimate := h.sketch.Estimate()
	h.sketch = *h.sketch.Clone() // the set's room stays as large as it ever was
	h.listed, h.loose = int(estimate), 0
	h.dense = h.hasRegisters()
	h.known.Store(int64(estimate) + 1)
}

// hasRegisters reports whether the sketch has registers, which the library says in its stored form alone.
func (h *hyperLogLog) hasRegisters() bool {
	if h.listBytes() < registers {
		return false
	}
	form, _ := h.sketch.AppendBinary(nil)
	return bytes.HasPrefix(form, denseHeader)
}

// count estimates the number of values.
func (h *hyperLogLog) count() int64 {
	if n := h.known.Load(); n > 0 {
		return n - 1
	}
	s := &h.sketch
	if h.loose > 0 && !h.dense {
		s = s.Clone() // Estimate settles
	}
	n := int64(min(s.Estimate(), 1<<62))
	h.known.Store(n + 1)
	return n
}

// bytes is an upper estimate: a set has up to four places of four bytes for a value.
func (h *hyperLogLog) bytes() int {
	const self, list, set = 96, 48, 72
	if h.dense {
		return self + registers
	}
	return self + list + set + min(h.listBytes(), registers+4*maxLoose) + min(16*h.loose, 1024)
}

// listBytes is how long the list is at most: it holds the differences of 32-bit numbers, at most 16 of which take five bytes.
func (h *hyperLogLog) listBytes() int { return 16 + 4*(h.listed+h.loose) }

// The stored form is 0 and the list of a settled sketch, its length before it, or 1 and the library's own form. Before a list
// the library writes 20 bytes: a header, that the set is empty, how many values are listed, the last of them, and the length.
var (
	sparseHeader = []byte{2, 14, 0, 1, 0, 0, 0, 0}
	denseHeader  = []byte{2, 14, 0, 0, 0, 0, registers >> 8, 0}
)

const (
	sparsePreface    = 20
	hyperLogLogBytes = 1 + 8 + registers // what it takes at most
)

func (h *hyperLogLog) append(b []byte) []byte {
	at := len(b)
	b = append(b, 1)
	b, err := h.sketch.AppendBinary(b)
	if err == nil && !bytes.HasPrefix(b[at+1:], denseHeader) && !bytes.HasPrefix(b[at+1:], sparseHeader) {
		settled := h.sketch.Clone()
		settled.Estimate()
		b, err = settled.AppendBinary(b[:at+1])
	}
	switch {
	case err != nil: // the zero sketch has no form
		return append(b[:at], 0, 0)
	case bytes.HasPrefix(b[at+1:], denseHeader):
		return b
	}
	list := b[at+1+sparsePreface:]
	b[at] = 0
	return append(binary.AppendUvarint(b[:at+1], uint64(len(list))), list...)
}

func (h *hyperLogLog) read(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 || b[0] > 1 {
		return b, false
	}
	dense := b[0] == 1
	b = b[1:]
	if dense {
		size := len(denseHeader) + registers
		if len(b) < size || !bytes.HasPrefix(b, denseHeader) {
			return b, false
		}
		h.dense = true
		return b[size:], h.sketch.UnmarshalBinary(b[:size]) == nil
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > registers || size > uint64(len(b)-n) {
		return b, false
	}
	list, rest := b[n:n+int(size)], b[n+int(size):]
	count, last := uint32(0), uint32(0)
	for left := list; len(left) > 0; count++ {
		gap, n := binary.Uvarint(left)
		if n <= 0 {
			return b, false
		}
		last, left = last+uint32(gap), left[n:]
	}
	var space [256]byte
	form := append(space[:0], sparseHeader...)
	for _, field := range []uint32{count, last, uint32(len(list))} {
		form = binary.BigEndian.AppendUint32(form, field)
	}
	h.listed = int(count)
	return rest, h.sketch.UnmarshalBinary(append(form, list...)) == nil
}
