package tables

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// extreme is min and max over kinds that fit fixed words: numbers, bools, times, addresses, subnets.
type extreme struct {
	cell
	kind feeds.Kind
	sign int // -1: min, 1: max
}

// wordsOf says how many words a value of the kind takes; 0 where it takes none (text).
func wordsOf(kind feeds.Kind) int {
	switch kind {
	case feeds.Inet, feeds.Subnet:
		return 3
	case feeds.Numeric:
		return 2
	case feeds.String:
		return 0
	}
	return 1
}

func (a extreme) add(w []uint64, v feeds.Value) {
	if w[a.word]&a.bit != 0 && feeds.Compare(v, a.load(w))*a.sign <= 0 {
		return
	}
	a.mark(w)
	a.store(w, v)
}

// canonical makes zero of minus zero and one NaN of all: equal values must not differ by the order in which they came.
func canonical(v feeds.Value) feeds.Value {
	k := v.Kind()
	if k != feeds.Double && k != feeds.Interval {
		return v
	}
	f := v.Float()
	switch {
	case f == 0:
		f = 0
	case math.IsNaN(f):
		f = math.NaN()
	}
	if k == feeds.Interval {
		return feeds.IntervalValue(f)
	}
	return feeds.DoubleValue(f)
}

// store writes v into the cell.
func (a extreme) store(w []uint64, v feeds.Value) {
	w = w[a.w : a.w+wordsOf(a.kind)]
	switch a.kind {
	case feeds.Bool:
		w[0] = 0
		if v.IsTrue() {
			w[0] = 1
		}
	case feeds.Ubigint:
		w[0] = v.Uint()
	case feeds.Double, feeds.Interval:
		w[0] = math.Float64bits(canonical(v).Float())
	case feeds.Numeric:
		i := v.Int128()
		w[0], w[1] = i.Lo, uint64(i.Hi)
	case feeds.Inet, feeds.Subnet:
		addr := v.Addr()
		b := addr.As16()
		w[0] = uint64(addr.BitLen())
		if a.kind == feeds.Subnet {
			w[0] |= uint64(v.Prefix().Bits()) << 8
		}
		w[1], w[2] = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	default: // bigint, timestamp
		w[0] = uint64(v.Int())
	}
}

func (a extreme) load(w []uint64) feeds.Value {
	w = w[a.w : a.w+wordsOf(a.kind)]
	switch a.kind {
	case feeds.Bool:
		return feeds.BoolValue(w[0] != 0)
	case feeds.Bigint:
		return feeds.BigintValue(int64(w[0]))
	case feeds.Ubigint:
		return feeds.UbigintValue(w[0])
	case feeds.Timestamp:
		return feeds.TimestampValue(int64(w[0]))
	case feeds.Double:
		return feeds.DoubleValue(math.Float64frombits(w[0]))
	case feeds.Interval:
		return feeds.IntervalValue(math.Float64frombits(w[0]))
	case feeds.Numeric:
		return feeds.NumericValue(feeds.Int128{Lo: w[0], Hi: int64(w[1])})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], w[1])
	binary.BigEndian.PutUint64(b[8:], w[2])
	addr := netip.AddrFrom16(b)
	if w[0]&0xff == 32 {
		addr = addr.Unmap()
	}
	if a.kind == feeds.Subnet {
		return feeds.SubnetValue(netip.PrefixFrom(addr, int(w[0]>>8&0xff)))
	}
	return feeds.InetValue(addr)
}

func (a extreme) merge(dst, src State) {
	if a.seen(src) {
		a.add(dst.W, a.load(src.W))
	}
}

// append writes the value as a group key writes it: compact, and it knows where it ends.
func (a extreme) append(b []byte, s State) []byte {
	if !a.seen(s) {
		return b
	}
	return a.load(s.W).AppendKey(b)
}

func (a extreme) read(b []byte, s State) ([]byte, bool) {
	if !a.seen(s) {
		return b, true
	}
	head := b[:min(len(b), 32)] // no value of these kinds is longer
	v, rest, ok := feeds.ReadKey(string(head))
	if !ok || v.Kind() != a.kind {
		return b, false
	}
	a.store(s.W, v)
	return b[len(head)-len(rest):], true
}

func (a extreme) value(s State) feeds.Value {
	if !a.seen(s) {
		return feeds.NullValue
	}
	return a.load(s.W)
}

// textExtreme is min and max over strings, compared by bytes. A string over maxTextBytes is cut: the smallest of cut
// strings is the smallest string, cut.
type textExtreme struct {
	cell
	sign int // -1: min, 1: max
}

// maxTextBytes bounds the text that a row holds for one min or max, as a key part is bounded.
const maxTextBytes = maxKeyPart

func (a textExtreme) take(s State, v feeds.Value) {
	if text := cutText(v.Str(), maxTextBytes); a.beyond(s, text) {
		a.keep(s, strings.Clone(text))
	}
}

// beyond reports whether text is the new extreme.
func (a textExtreme) beyond(s State, text string) bool {
	return !a.seen(s) || strings.Compare(text, s.X[a.x].(string))*a.sign > 0
}

// keep makes text, whose memory is its own, what s has.
func (a textExtreme) keep(s State, text string) {
	x := any(text)
	s.grow(extraBytes(x) - extraBytes(s.X[a.x]))
	a.mark(s.W)
	s.X[a.x] = x
}

func (a textExtreme) merge(dst, src State) {
	if !a.seen(src) {
		return
	}
	if text := src.X[a.x].(string); a.beyond(dst, text) {
		a.keep(dst, text)
	}
}

func (a textExtreme) append(b []byte, s State) []byte {
	if !a.seen(s) {
		return b
	}
	text := s.X[a.x].(string)
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func (a textExtreme) read(b []byte, s State) ([]byte, bool) {
	if !a.seen(s) {
		return b, true
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return b, false
	}
	end := size + int(n)
	a.keep(s, string(b[size:end]))
	return b[end:], true
}

func (a textExtreme) value(s State) feeds.Value {
	if !a.seen(s) {
		return feeds.NullValue
	}
	return feeds.StringValue(s.X[a.x].(string))
}
