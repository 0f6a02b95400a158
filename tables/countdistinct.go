package tables

import (
	"encoding/binary"
	"unsafe"

	"github.com/brotally/brotally/feeds"
)

// distinctBounds are the limits of count(DISTINCT x).
type distinctBounds struct {
	values int // how many a group has that are counted exactly
	inline int // up to how many bytes of values a state is one partial
	part   int // about how many bytes of values a partial has at most, otherwise
}

// A part is small beside a pack, so that a pack which just was not full yet stays within the size of a record of ours.
var defaultDistinctBounds = distinctBounds{values: 100_000, inline: 8 << 10, part: 64 << 10}

// countDistinct is count(DISTINCT x). Its cell has a distinctValues once there is a value.
type countDistinct struct {
	cell
	bounds distinctBounds
	number int // among the plan's, in the records of values
}

// distinctValues are the different values of one group. More than the bound become a HyperLogLog: whichever way they came,
// it is that of all of them, so what it counts is a function of the set of values.
type distinctValues struct {
	set  byteSet
	many *hyperLogLog // has all values when there are too many, and set none
	// counted is how many values a row has, as its record says. The values themselves are records of their own: who only
	// looks at rows does without.
	counted int
	// anchor is the time, in microseconds since the Unix epoch, under which the values of a session are recorded: one in it,
	// which stays when the session's bounds move, and no other session of the group ever has. 0 where windows are no sessions.
	anchor int64
}

func countDistinctKernel(_ argument, c *cell) (kernel, feeds.Type, bool) {
	return countDistinct{cell: *c, bounds: defaultDistinctBounds}, feeds.T(feeds.Bigint), true
}

func (k *distinctValues) count() int64 {
	if k.many != nil {
		return k.many.count()
	}
	return int64(max(k.counted, k.set.n))
}

func (k *distinctValues) bytes() int {
	n := 80 + k.set.bytes()
	if k.many != nil {
		n += k.many.bytes()
	}
	return n
}

// take adds one value in its stored form.
func (k *distinctValues) take(value []byte, bounds distinctBounds) {
	if k.many != nil {
		k.many.addHash(hashText(value))
		return
	}
	k.set.add(value)
	k.settle(bounds)
}

// settle makes a HyperLogLog of too many values.
func (k *distinctValues) settle(bounds distinctBounds) {
	if k.set.n > bounds.values {
		k.approximate()
		k.set = byteSet{}
	}
}

// approximate makes a HyperLogLog of the values, which stay in the set.
func (k *distinctValues) approximate() {
	if k.many != nil {
		return
	}
	k.many = &hyperLogLog{}
	for _, value := range k.set.from(0) {
		k.many.addHash(hashText(value))
	}
	k.many.settle()
}

// takeMany adds all values of o to the HyperLogLog.
func (k *distinctValues) takeMany(o *distinctValues) {
	if o.many != nil {
		k.many.merge(o.many)
		return
	}
	for _, value := range o.set.from(0) {
		k.many.addHash(hashText(value))
	}
	k.many.settle()
}

// held is the distinctValues in s, nil if there are none.
func (a countDistinct) held(s State) *distinctValues {
	k, _ := s.X[a.x].(*distinctValues)
	return k
}

// change calls fn with the distinctValues in s, which it makes if there are none, and notes how they grow.
func (a countDistinct) change(s State, fn func(k *distinctValues)) {
	k := a.held(s)
	if k == nil {
		k = &distinctValues{}
		a.put(s, k)
	}
	before, values := k.bytes(), k.set.n
	fn(k)
	s.grow(k.bytes() - before)
	s.growValues(k.set.n - values)
}

func (a countDistinct) take(s State, v feeds.Value) {
	var space [64]byte
	value := appendDistinct(space[:0], v)
	a.change(s, func(k *distinctValues) { k.take(value, a.bounds) })
}

// appendDistinct appends a value as the sets hold it, all of one type: a text is itself, other values are as in a group key
// without the type. What is too long is cut and gets a hash suffix, as group keys do.
func appendDistinct(b []byte, v feeds.Value) []byte {
	if v.Kind() == feeds.String {
		text := v.Str()
		if len(text) > maxSketchText {
			text = cutHashed(text, maxSketchText)
		}
		if len(text) > cap(b) {
			return unsafe.Slice(unsafe.StringData(text), len(text)) // is only read
		}
		return append(b, text...)
	}
	b = v.AppendKey(b)[1:]
	if len(b) > maxSketchText {
		return []byte(cutHashed(string(b), maxSketchText))
	}
	return b
}

func (a countDistinct) merge(dst, src State) {
	o := a.held(src)
	if o == nil {
		return
	}
	a.change(dst, func(k *distinctValues) {
		if o.many != nil {
			k.approximate()
			k.set = byteSet{}
		}
		if k.many != nil {
			k.takeMany(o)
			return
		}
		for _, value := range o.set.from(0) {
			k.set.add(value)
		}
		k.settle(a.bounds)
	})
}

// The stored form of distinctValues: a version, one of these, and what it says.
const (
	distinctVersion = 2

	storedValues   = 0 // partials: a byteSet
	storedMany     = 1 // partials: a HyperLogLog
	storedCount    = 2 // rows: the anchor, and how many values there are
	storedEstimate = 3 // rows: the anchor, and a HyperLogLog
)

func (a countDistinct) append(b []byte, s State) []byte {
	k := a.held(s)
	switch {
	case k == nil:
		return b
	case k.many != nil:
		return k.many.append(append(b, distinctVersion, storedMany))
	}
	return k.set.append(append(b, distinctVersion, storedValues))
}

// appendRow writes what a row's record says.
func (a countDistinct) appendRow(b []byte, s State) []byte {
	k := a.held(s)
	switch {
	case k == nil:
		return b
	case k.many != nil:
		return k.many.append(binary.AppendVarint(append(b, distinctVersion, storedEstimate), k.anchor))
	}
	return binary.AppendUvarint(binary.AppendVarint(append(b, distinctVersion, storedCount), k.anchor), uint64(k.count()))
}

func (a countDistinct) read(b []byte, s State) (rest []byte, ok bool) {
	if !a.seen(s) {
		return b, true
	}
	if len(b) < 2 || b[0] != distinctVersion || b[1] > storedMany {
		return b, false
	}
	k := &distinctValues{}
	if b[1] == storedMany {
		k.many = &hyperLogLog{}
		rest, ok = k.many.read(b[2:])
	} else {
		rest, ok = k.set.read(b[2:], maxSketchText)
	}
	a.put(s, k)
	return rest, ok
}

// readRow reads what appendRow wrote: the values themselves come by other ways, if they are wanted.
func (a countDistinct) readRow(b []byte, s State) (rest []byte, ok bool) {
	if !a.seen(s) {
		return b, true
	}
	if len(b) < 2 || b[0] != distinctVersion || b[1] != storedCount && b[1] != storedEstimate {
		return b, false
	}
	anchor, size := binary.Varint(b[2:])
	if size <= 0 {
		return b, false
	}
	rest = b[2+size:]
	k := &distinctValues{anchor: anchor}
	if b[1] == storedEstimate {
		k.many = &hyperLogLog{}
		rest, ok = k.many.read(rest)
	} else {
		n, size := binary.Uvarint(rest)
		if ok = size > 0 && n <= 1<<32; ok {
			k.counted, rest = int(n), rest[size:]
		}
	}
	a.put(s, k)
	return rest, ok
}

// put makes k what s has, which has nothing.
func (a countDistinct) put(s State, k *distinctValues) {
	a.mark(s.W)
	s.X[a.x] = k
	s.grow(k.bytes())
	s.growValues(k.set.n)
}

// remove returns what s has, which then has nothing.
func (a countDistinct) remove(s State) *distinctValues {
	k := a.held(s)
	if k != nil {
		s.W[a.word] &^= a.bit
		s.X[a.x] = nil
		s.grow(-k.bytes())
		s.growValues(-k.set.n)
	}
	return k
}

func (a countDistinct) value(s State) feeds.Value {
	k := a.held(s)
	if k == nil {
		return feeds.BigintValue(0)
	}
	return feeds.BigintValue(k.count())
}

// estimate reads off a count(DISTINCT x) whether it is one.
type estimate struct{ countDistinct }

func estimateKernel(_ argument, c *cell) (kernel, feeds.Type, bool) {
	return estimate{countDistinct{cell: *c}}, feeds.T(feeds.Bool), true
}

func (a estimate) value(s State) feeds.Value {
	k := a.held(s)
	return feeds.BoolValue(k != nil && k.many != nil)
}
