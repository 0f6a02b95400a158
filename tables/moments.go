package tables

import (
	"encoding/binary"
	"math"

	"github.com/brotally/brotally/feeds"
)

// moments is stddev and variance: the number of values, their sum and the sum of their squares, each sum with what rounding
// has lost of it. Squares are taken exactly, so that the difference of the sums keeps 1e-9 of values that are ten million
// times as large as their deviation, in any order; Welford's running mean, which needs no such sums, depends on the order.
type moments struct {
	cell
	kind   feeds.Kind // of the result: Double or Interval
	sample bool       // divide by n-1, not n
	root   bool       // stddev
}

func (a moments) add(w []uint64, v feeds.Value) {
	a.mark(w)
	w = w[a.w : a.w+5]
	f := v.Float()
	square := f * f
	w[0]++
	addCompensated(w[1:3], f, 0)
	addCompensated(w[3:5], square, math.FMA(f, f, -square))
}

func (a moments) merge(dst, src State) {
	if !a.seen(src) {
		return
	}
	a.mark(dst.W)
	d, s := dst.W[a.w:a.w+5], src.W[a.w:a.w+5]
	d[0] += s[0]
	addCompensated(d[1:3], math.Float64frombits(s[1]), math.Float64frombits(s[2]))
	addCompensated(d[3:5], math.Float64frombits(s[3]), math.Float64frombits(s[4]))
}

func (a moments) append(b []byte, s State) []byte {
	if !a.seen(s) {
		return b
	}
	b = binary.AppendUvarint(b, s.W[a.w])
	for _, word := range s.W[a.w+1 : a.w+5] {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b
}

func (a moments) read(b []byte, s State) (rest []byte, ok bool) {
	if !a.seen(s) {
		return b, true
	}
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return b, false
	}
	s.W[a.w], b = n, b[size:]
	for i := range 4 {
		if s.W[a.w+1+i], b, ok = readUint64(b); !ok {
			return b, false
		}
	}
	return b, true
}

// value is NULL of too few values, and where the squares are beyond a double's range.
func (a moments) value(s State) feeds.Value {
	w := s.W[a.w : a.w+5]
	n := float64(w[0])
	divisor := n
	if a.sample {
		divisor--
	}
	if divisor <= 0 {
		return feeds.NullValue
	}
	variance := max(squaredDeviations(n, w[1:3], w[3:5]), 0) / divisor
	switch {
	case math.IsNaN(variance) || math.IsInf(variance, 0):
		return feeds.NullValue
	case a.root:
		variance = math.Sqrt(variance)
	}
	if a.kind == feeds.Interval {
		return feeds.IntervalValue(variance)
	}
	return feeds.DoubleValue(variance)
}

// squaredDeviations is the sum of squares less the square of the sum by n, with twice a double's digits: the two are
// nearly equal where the values are far from zero.
func squaredDeviations(n float64, sums, squares []uint64) float64 {
	high, low := normalized(sums)
	square := high * high
	rest := math.FMA(high, high, -square) + 2*high*low
	byMean := square / n
	rest = (math.FMA(-byMean, n, square) + rest) / n
	all, lost := normalized(squares)
	difference := all - byMean
	part := difference - all
	return difference + ((all - (difference - part)) + (-byMean - part) + (lost - rest))
}

// normalized returns a compensated sum as the nearest double and what is missing.
func normalized(w []uint64) (high, low float64) {
	sum, lost := math.Float64frombits(w[0]), math.Float64frombits(w[1])
	high = sum + lost
	return high, (sum - high) + lost
}
