package tables

import (
	"cmp"
	"encoding/binary"
	"math"
	"strings"
	"unsafe"

	"github.com/brotally/brotally/feeds"
)

// outermost is first and last: the value of the record that is first or last by event time. Records of one time are in
// the order of their partitions, then offsets, then topics; what still is equal (records that lie nowhere, as in a
// look-up) in the order of their values. So it is a function of the set of records.
type outermost struct {
	cell
	kind feeds.Kind
	sign int // -1: first, 1: last
}

// What a cell's first words are.
const (
	whenWord   = iota // event time, Unix microseconds
	offsetWord        // of the record
	placeWord         // its partition, then half a hash of its topic
	outermostWords
)

// outermostVersion is that of the stored form.
const outermostVersion = 1

func outermostKernel(sign int) func(argument, *cell) (kernel, feeds.Type, bool) {
	return func(arg argument, c *cell) (kernel, feeds.Type, bool) {
		return outermost{*c, arg.typ.Kind, sign}, arg.typ, arg.typ.Kind != feeds.Null
	}
}

func outermostRoom(arg feeds.Type) (words, extras, flags int) {
	if inExtra(arg.Kind) {
		return outermostWords, 1, 1
	}
	return outermostWords + wordsOf(arg.Kind), 0, 1
}

// outermostBytes is how much a text or an array can take.
func outermostBytes(arg argument) int {
	if inExtra(arg.typ.Kind) {
		return maxTextBytes
	}
	return 0
}

// inExtra reports whether values of the kind do not fit words.
func inExtra(kind feeds.Kind) bool { return kind == feeds.String || kind == feeds.Array }

// heldText is a text, or an array in the form of a group key, in memory that is written again and again: the last value of a group
// may change with every record.
type heldText struct{ b []byte }

func (h *heldText) bytes() int { return cap(h.b) + textOverhead }

// text aliases h.
func (h *heldText) text() string { return unsafe.String(unsafe.SliceData(h.b), len(h.b)) }

// moment is where a record stands among others.
type moment struct {
	when   int64
	offset int64
	place  uint64
}

func (m moment) compare(o moment) int {
	// The partition is the place's upper half, the topic the lower one; the offset goes between.
	return cmp.Or(cmp.Compare(m.when, o.when), cmp.Compare(m.place>>32, o.place>>32), cmp.Compare(m.offset, o.offset), cmp.Compare(m.place, o.place))
}

func (a outermost) moment(w []uint64) moment {
	w = w[a.w:]
	return moment{int64(w[whenWord]), int64(w[offsetWord]), w[placeWord]}
}

// inner keeps the value, in the words behind those of the moment.
func (a outermost) inner() extreme {
	inner := extreme(a)
	inner.w += outermostWords
	return inner
}

func (a outermost) takeAt(s State, v feeds.Value, micros int64, at *feeds.Position) {
	m := moment{when: micros, offset: at.Offset, place: uint64(uint32(at.Partition))<<32 | hashText(at.Topic)>>32}
	before := 0
	if a.seen(s) {
		if before = m.compare(a.moment(s.W)) * a.sign; before < 0 {
			return
		}
	}
	switch a.kind {
	case feeds.String:
		a.keepText(s, m, cutText(v.Str(), maxTextBytes), before == 0)
		return
	case feeds.Array:
		var space [256]byte
		key, _ := appendKeyPart(space[:0], v)
		a.keepText(s, m, unsafe.String(&key[0], len(key)), before == 0)
		return
	}
	if before == 0 && a.seen(s) && feeds.Compare(v, a.inner().load(s.W))*a.sign <= 0 {
		return
	}
	a.keep(s, m)
	a.inner().store(s.W, v)
}

// keepText keeps a text, or an array in the form of a group key. tie says that it only does if there is none yet or the text
// goes beyond it.
func (a outermost) keepText(s State, m moment, text string, tie bool) {
	held, ok := s.X[a.x].(*heldText)
	if ok && tie && strings.Compare(text, held.text())*a.sign <= 0 {
		return
	}
	before := 0
	if !ok {
		held = &heldText{}
		s.X[a.x] = held
	} else {
		before = held.bytes()
	}
	a.keep(s, m)
	held.b = append(held.b[:0], text...)
	s.grow(held.bytes() - before)
}

func (a outermost) keep(s State, m moment) {
	a.mark(s.W)
	w := s.W[a.w:]
	w[whenWord], w[offsetWord], w[placeWord] = uint64(m.when), uint64(m.offset), m.place
}

func (a outermost) merge(dst, src State) {
	if !a.seen(src) {
		return
	}
	m, before := a.moment(src.W), 0
	if a.seen(dst) {
		if before = m.compare(a.moment(dst.W)) * a.sign; before < 0 {
			return
		}
	}
	if inExtra(a.kind) {
		a.keepText(dst, m, src.X[a.x].(*heldText).text(), before == 0)
		return
	}
	v := a.inner().load(src.W)
	if before == 0 && a.seen(dst) && feeds.Compare(v, a.inner().load(dst.W))*a.sign <= 0 {
		return
	}
	a.keep(dst, m)
	a.inner().store(dst.W, v)
}

// append writes the version, the moment and the value.
func (a outermost) append(b []byte, s State) []byte {
	if !a.seen(s) {
		return b
	}
	m := a.moment(s.W)
	b = binary.AppendVarint(append(b, outermostVersion), m.when)
	b = binary.AppendUvarint(b, m.place>>32)
	b = binary.AppendVarint(b, m.offset)
	b = binary.BigEndian.AppendUint32(b, uint32(m.place))
	if inExtra(a.kind) {
		text := s.X[a.x].(*heldText).b
		return append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return a.inner().append(b, s)
}

func (a outermost) read(b []byte, s State) ([]byte, bool) {
	if !a.seen(s) {
		return b, true
	}
	if len(b) == 0 || b[0] != outermostVersion {
		return b, false
	}
	when, n := binary.Varint(b[1:])
	if n <= 0 {
		return b, false
	}
	b = b[1+n:]
	partition, n := binary.Uvarint(b)
	if n <= 0 || partition > math.MaxUint32 {
		return b, false
	}
	b = b[n:]
	offset, n := binary.Varint(b)
	if n <= 0 || len(b) < n+4 {
		return b, false
	}
	a.keep(s, moment{when, offset, partition<<32 | uint64(binary.BigEndian.Uint32(b[n:]))})
	b = b[n+4:]
	if !inExtra(a.kind) {
		return a.inner().read(b, s)
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return b, false
	}
	text := b[n : n+int(size)]
	if a.kind == feeds.Array {
		if v, rest, ok := feeds.ReadKey(string(text)); !ok || rest != "" || v.Kind() != feeds.Array {
			return b, false
		}
	}
	held := &heldText{append([]byte(nil), text...)}
	s.X[a.x] = held
	s.grow(held.bytes())
	return b[n+int(size):], true
}

func (a outermost) value(s State) feeds.Value {
	switch {
	case !a.seen(s):
		return feeds.NullValue
	case a.kind == feeds.String:
		return feeds.StringValue(string(s.X[a.x].(*heldText).b))
	case a.kind == feeds.Array:
		v, _, _ := feeds.ReadKey(string(s.X[a.x].(*heldText).b))
		return v
	}
	return a.inner().load(s.W)
}
