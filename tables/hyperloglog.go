package tables

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/brotally/brotally/feeds"
)

// hyperLogLog is approx_count_distinct: Flajolet's HyperLogLog with 2^14 registers, whose standard error is 0.81 %. Up to
// 2,048 values it keeps the places that they hash to of 2^25 (Heule's sparse form), which counts them to about 0.01 %. It
// is a function of the set of values alone: neither their order nor how they were dealt out changes a bit of it.
type hyperLogLog struct {
	sparse []uint32 // by place: place << 6 | rank of the rest; at most maxSparse
	dense  []uint8  // rank by register; nil: sparse
}

const (
	denseBits  = 14
	sparseBits = 25
	maxSparse  = 2048
	// ranks are the number of leading zeros of what follows the place, and one.
	maxDenseRank  = 64 - denseBits + 1
	maxSparseRank = 64 - sparseBits + 1
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
	if h.dense != nil {
		h.raise(hash>>(64-denseBits), uint8(bits.LeadingZeros64(hash<<denseBits|1<<(denseBits-1))+1))
		return
	}
	place := uint32(hash >> (64 - sparseBits))
	rank := uint32(bits.LeadingZeros64(hash<<sparseBits|1<<(sparseBits-1)) + 1)
	h.addSparse(place<<6 | rank)
}

func (h *hyperLogLog) addSparse(entry uint32) {
	i, found := slices.BinarySearchFunc(h.sparse, entry>>6, func(e, place uint32) int { return int(e>>6) - int(place) })
	if found {
		h.sparse[i] = max(h.sparse[i], entry)
		return
	}
	h.sparse = slices.Insert(h.sparse, i, entry)
	h.settle()
}

// settle makes a sparse sketch with too many entries dense.
func (h *hyperLogLog) settle() {
	if len(h.sparse) <= maxSparse {
		return
	}
	h.dense = make([]uint8, 1<<denseBits)
	for _, e := range h.sparse {
		h.raiseSparse(e)
	}
	h.sparse = nil
}

func (h *hyperLogLog) raise(register uint64, rank uint8) {
	h.dense[register] = max(h.dense[register], rank)
}

// raiseSparse takes a sparse entry into the registers: the place's low bits are the first of those that rank counts.
func (h *hyperLogLog) raiseSparse(entry uint32) {
	const low = sparseBits - denseBits
	place, rank := entry>>6, entry&63
	register, rest := place>>low, place&(1<<low-1)
	if rest != 0 {
		rank = uint32(low - bits.Len32(rest) + 1)
	} else {
		rank += low
	}
	h.raise(uint64(register), uint8(rank))
}

func (h *hyperLogLog) merge(other sketch) {
	o := other.(*hyperLogLog)
	switch {
	case h.dense != nil && o.dense != nil:
		for i, rank := range o.dense {
			h.dense[i] = max(h.dense[i], rank)
		}
	case h.dense != nil:
		for _, e := range o.sparse {
			h.raiseSparse(e)
		}
	case o.dense != nil:
		h.dense = slices.Clone(o.dense)
		for _, e := range h.sparse {
			h.raiseSparse(e)
		}
		h.sparse = nil
	case len(o.sparse) < 8: // few beside many: what one record brings
		for _, e := range o.sparse {
			if h.dense != nil {
				h.raiseSparse(e)
			} else {
				h.addSparse(e)
			}
		}
	default:
		h.sparse = mergeSparse(h.sparse, o.sparse)
		h.settle()
	}
}

func mergeSparse(a, b []uint32) []uint32 {
	out := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0]>>6 < b[0]>>6:
			out, a = append(out, a[0]), a[1:]
		case a[0]>>6 > b[0]>>6:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, max(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// count estimates the number of values: of a sparse sketch by linear counting, of a dense one by Ertl's estimator (New
// cardinality estimation algorithms for HyperLogLog sketches, 2017, algorithm 6), which needs no table of biases.
func (h *hyperLogLog) count() int64 {
	if h.dense == nil {
		const places = 1 << sparseBits
		return int64(math.Round(-places * math.Log1p(-float64(len(h.sparse))/places)))
	}
	var registers [maxDenseRank + 1]float64 // by rank
	for _, rank := range h.dense {
		registers[rank]++
	}
	const m = 1 << denseBits
	z := m * tau(1-registers[maxDenseRank]/m)
	for rank := maxDenseRank - 1; rank >= 1; rank-- {
		z = (z + registers[rank]) / 2
	}
	z += m * sigma(registers[0]/m)
	return int64(math.Round(min(m/(2*math.Ln2)*m/z, 1<<62)))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	z, y := x, 1.0
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z, y := 1-x, 1.0
	for {
		x = math.Sqrt(x)
		before := z
		y /= 2
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}

func (h *hyperLogLog) bytes() int { return 64 + 4*cap(h.sparse) + cap(h.dense) }

// append writes 0 and the sparse entries, each as the difference to the one before, or 1 and the registers, six bits each.
func (h *hyperLogLog) append(b []byte) []byte {
	if h.dense == nil {
		b = binary.AppendUvarint(append(b, 0), uint64(len(h.sparse)))
		before := uint32(0)
		for _, e := range h.sparse {
			b = binary.AppendUvarint(b, uint64(e-before))
			before = e
		}
		return b
	}
	b = append(b, 1)
	for i := 0; i < len(h.dense); i += 4 {
		four := uint32(h.dense[i]) | uint32(h.dense[i+1])<<6 | uint32(h.dense[i+2])<<12 | uint32(h.dense[i+3])<<18
		b = append(b, byte(four), byte(four>>8), byte(four>>16))
	}
	return b
}

func (h *hyperLogLog) read(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 || b[0] > 1 {
		return b, false
	}
	dense := b[0] == 1
	b = b[1:]
	if dense {
		const size = 1 << denseBits / 4 * 3
		if len(b) < size {
			return b, false
		}
		h.dense = make([]uint8, 1<<denseBits)
		for i := range h.dense {
			at := i / 4 * 3
			four := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16
			if h.dense[i] = uint8(four >> (i % 4 * 6) & 63); h.dense[i] > maxDenseRank {
				return b, false
			}
		}
		return b[size:], true
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > maxSparse || n > uint64(len(b)) {
		return b, false
	}
	b = b[size:]
	h.sparse = make([]uint32, n)
	last := uint64(0)
	for i := range h.sparse {
		gap, size := binary.Uvarint(b)
		e := last + gap
		if size <= 0 || gap > 1<<32 || e >= 1<<(sparseBits+6) || i > 0 && e>>6 == last>>6 || e&63 == 0 || e&63 > maxSparseRank {
			return b, false
		}
		h.sparse[i], last, b = uint32(e), e, b[size:]
	}
	return b, true
}
