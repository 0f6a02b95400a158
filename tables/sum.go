package tables

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"

	"github.com/brotally/brotally/feeds"
)

// counter is count(*) and count(x): one word, no flag.
type counter struct{ cell }

func (c counter) add(w []uint64, _ feeds.Value) { w[c.w]++ }

func (c counter) merge(dst, src State) { dst.W[c.w] += src.W[c.w] }

func (c counter) append(b []byte, s State) []byte { return binary.AppendUvarint(b, s.W[c.w]) }

func (c counter) read(b []byte, s State) ([]byte, bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return b, false
	}
	s.W[c.w] = n
	return b[size:], true
}

func (c counter) value(s State) feeds.Value { return feeds.BigintValue(int64(s.W[c.w])) }

// wholeRecords counts records that are unnested: each in the first of its rows.
type wholeRecords struct{ counter }

// integerSum is sum and avg over integers: three words of a 192-bit sum, low word first, which no number of records can
// make overflow, so that the order of adding does not matter; avg has a fourth, the count.
type integerSum struct {
	cell
	avg bool
}

func (a integerSum) add(w []uint64, v feeds.Value) {
	a.mark(w)
	i := v.Int128()
	a.addWords(w, i.Lo, uint64(i.Hi), uint64(i.Hi>>63))
	if a.avg {
		w[a.w+3]++
	}
}

func (a integerSum) addWords(w []uint64, lo, hi, ext uint64) {
	var carry uint64
	w = w[a.w : a.w+3]
	w[0], carry = bits.Add64(w[0], lo, 0)
	w[1], carry = bits.Add64(w[1], hi, carry)
	w[2], _ = bits.Add64(w[2], ext, carry)
}

func (a integerSum) merge(dst, src State) {
	dst.W[a.word] |= src.W[a.word] & a.bit
	a.addWords(dst.W, src.W[a.w], src.W[a.w+1], src.W[a.w+2])
	if a.avg {
		dst.W[a.w+3] += src.W[a.w+3]
	}
}

// append writes the count, if any, then the low 128 bits, and the high word only where it says more than their sign.
func (a integerSum) append(b []byte, s State) []byte {
	if !a.seen(s) {
		return b
	}
	w := s.W[a.w:]
	if a.avg {
		b = binary.AppendUvarint(b, w[3])
	}
	if w[2] == uint64(int64(w[1])>>63) {
		return appendVarint128(append(b, 0), feeds.Int128{Hi: int64(w[1]), Lo: w[0]})
	}
	b = append(b, 1)
	for _, word := range w[:3] {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b
}

func (a integerSum) read(b []byte, s State) (rest []byte, ok bool) {
	if !a.seen(s) {
		return b, true
	}
	w := s.W[a.w:]
	if a.avg {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return b, false
		}
		w[3], b = n, b[size:]
	}
	if len(b) == 0 || b[0] > 1 {
		return b, false
	}
	wide := b[0] == 1
	b = b[1:]
	if wide {
		for i := range 3 {
			if w[i], b, ok = readUint64(b); !ok {
				return b, false
			}
		}
		return b, true
	}
	sum, b, ok := readVarint128(b)
	w[0], w[1], w[2] = sum.Lo, uint64(sum.Hi), uint64(sum.Hi>>63)
	return b, ok
}

// value is NULL for no values, and for a sum beyond 128 bits.
func (a integerSum) value(s State) feeds.Value {
	if !a.seen(s) {
		return feeds.NullValue
	}
	w := s.W[a.w:]
	sum := feeds.Int128{Hi: int64(w[1]), Lo: w[0]}
	fits := w[2] == uint64(sum.Hi>>63)
	switch {
	case a.avg && fits:
		return feeds.DoubleValue(sum.Float64() / float64(w[3]))
	case a.avg:
		wide := new(big.Int).Lsh(big.NewInt(int64(w[2])), 128)
		wide.Add(wide, new(big.Int).Lsh(new(big.Int).SetUint64(w[1]), 64))
		f, _ := new(big.Float).SetInt(wide.Add(wide, new(big.Int).SetUint64(w[0]))).Float64()
		return feeds.DoubleValue(f / float64(w[3]))
	case !fits:
		return feeds.NullValue
	}
	return feeds.NumericValue(sum)
}

// doubleSum is sum and avg over doubles and intervals: the sum and what rounding has lost of it (Neumaier's variant of
// Kahan's summation), so that the result does not depend on the order beyond 1e-9; avg has a third word, the count.
type doubleSum struct {
	cell
	avg  bool
	kind feeds.Kind // Double or Interval
}

func (a doubleSum) add(w []uint64, v feeds.Value) {
	a.mark(w)
	addCompensated(w[a.w:a.w+2], v.Float(), 0)
	if a.avg {
		w[a.w+2]++
	}
}

// addCompensated adds f, and what rounding has lost of it before, to a sum in w[0] and what was lost of that in w[1].
func addCompensated(w []uint64, f, lost float64) {
	have := math.Float64frombits(w[0])
	sum := have + f
	// What the addition lost, exactly and the same whichever operand comes first (Knuth's two-sum).
	part := sum - have
	lost += (have - (sum - part)) + (f - part)
	w[0] = math.Float64bits(sum)
	w[1] = math.Float64bits(math.Float64frombits(w[1]) + lost)
}

func (a doubleSum) merge(dst, src State) {
	if !a.seen(src) {
		return
	}
	dst.W[a.word] |= a.bit
	addCompensated(dst.W[a.w:a.w+2], math.Float64frombits(src.W[a.w]), math.Float64frombits(src.W[a.w+1]))
	if a.avg {
		dst.W[a.w+2] += src.W[a.w+2]
	}
}

func (a doubleSum) append(b []byte, s State) []byte {
	if !a.seen(s) {
		return b
	}
	if a.avg {
		b = binary.AppendUvarint(b, s.W[a.w+2])
	}
	b = binary.LittleEndian.AppendUint64(b, s.W[a.w])
	return binary.LittleEndian.AppendUint64(b, s.W[a.w+1])
}

func (a doubleSum) read(b []byte, s State) (rest []byte, ok bool) {
	if !a.seen(s) {
		return b, true
	}
	if a.avg {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return b, false
		}
		s.W[a.w+2], b = n, b[size:]
	}
	if s.W[a.w], b, ok = readUint64(b); !ok {
		return b, false
	}
	s.W[a.w+1], b, ok = readUint64(b)
	return b, ok
}

func (a doubleSum) value(s State) feeds.Value {
	if !a.seen(s) {
		return feeds.NullValue
	}
	sum, lost := math.Float64frombits(s.W[a.w]), math.Float64frombits(s.W[a.w+1])
	if !math.IsInf(sum, 0) && !math.IsNaN(sum) { // of infinities nothing is lost, the arithmetic gives NaN
		sum += lost
	}
	if a.avg {
		sum /= float64(s.W[a.w+2])
	}
	if a.kind == feeds.Interval {
		return feeds.IntervalValue(sum)
	}
	return feeds.DoubleValue(sum)
}
