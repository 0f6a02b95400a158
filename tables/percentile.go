package tables

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/brotally/brotally/feeds"
)

// ddSketch is approx_percentile: DDSketch (Masson, Rim, Lee 2019) with linearly interpolated buckets, 64 of them to a power
// of two: a percentile is within 1/129 (0.78 %) of the value that has that rank. Which bucket a value is in follows from its
// bits, so that no machine's logarithm matters, and the sketch is a function of the values alone, whatever their order.
//
// Buckets that lie more than 64 powers of two below the greatest value's are counted as the last of these: 18 digits below
// the greatest value, a percentile is only an upper bound. NaN and the infinities are left out.
type ddSketch struct {
	positive, negative []bucket // by magnitude
	zeros              uint64
	least, greatest    float64 // exact, and no answer lies outside
}

// bucket counts the values whose first 18 bits, sign apart, are key: the exponent and six bits of the fraction.
type bucket struct {
	key   uint32
	count uint64
}

const (
	bucketShift = 52 - 6
	maxBuckets  = 64 << 6 // 64 powers of two
)

func newDDSketch() sketch { return &ddSketch{least: math.Inf(1), greatest: math.Inf(-1)} }

func (d *ddSketch) add(v feeds.Value) {
	f := v.Float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return
	}
	if f == 0 {
		f = 0 // of minus zero, too
	}
	d.least, d.greatest = min(d.least, f), max(d.greatest, f)
	switch key := uint32(math.Float64bits(math.Abs(f)) >> bucketShift); {
	case key == 0: // below 2^-1022
		d.zeros++
	case f > 0:
		d.positive = addBucket(d.positive, bucket{key, 1})
	default:
		d.negative = addBucket(d.negative, bucket{key, 1})
	}
}

// addBucket adds to the bucket of that key. The buckets are those of the greatest key and of maxBuckets-1 keys below it.
func addBucket(all []bucket, b bucket) []bucket {
	if n := len(all); n > 0 && all[n-1].key >= maxBuckets {
		b.key = max(b.key, all[n-1].key-maxBuckets+1)
	}
	i, found := slices.BinarySearchFunc(all, b.key, func(b bucket, key uint32) int { return int(b.key) - int(key) })
	if found {
		all[i].count += b.count
		return all
	}
	all = slices.Insert(all, i, b)
	if i == len(all)-1 && b.key >= maxBuckets {
		lowest, n, count := b.key-maxBuckets+1, 0, uint64(0)
		for all[n].key < lowest {
			count += all[n].count
			n++
		}
		if n > 0 {
			all = addBucket(slices.Delete(all, 0, n), bucket{lowest, count})
		}
	}
	return all
}

func (d *ddSketch) merge(other sketch) {
	o := other.(*ddSketch)
	d.least, d.greatest, d.zeros = min(d.least, o.least), max(d.greatest, o.greatest), d.zeros+o.zeros
	// From the greatest down, so that what is to be folded into the last bucket is folded once.
	for _, b := range slices.Backward(o.positive) {
		d.positive = addBucket(d.positive, b)
	}
	for _, b := range slices.Backward(o.negative) {
		d.negative = addBucket(d.negative, b)
	}
}

// percentile returns the value of rank p * n, rounded up, as PostgreSQL's percentile_disc; ok is false of no values.
func (d *ddSketch) percentile(p float64) (f float64, ok bool) {
	n := d.zeros
	for _, all := range [][]bucket{d.positive, d.negative} {
		for _, b := range all {
			n += b.count
		}
	}
	if n == 0 {
		return 0, false
	}
	rank := min(max(uint64(math.Ceil(p*float64(n))), 1), n)
	switch rank {
	case 1:
		return d.least, true
	case n:
		return d.greatest, true
	}
	for _, b := range slices.Backward(d.negative) {
		if rank <= b.count {
			return d.within(-b.middle()), true
		}
		rank -= b.count
	}
	if rank <= d.zeros {
		return d.within(0), true
	}
	rank -= d.zeros
	for _, b := range d.positive {
		if rank <= b.count {
			return d.within(b.middle()), true
		}
		rank -= b.count
	}
	return d.greatest, true
}

func (d *ddSketch) within(f float64) float64 { return min(max(f, d.least), d.greatest) }

// middle is the value from which none in the bucket differs by more than 1/129 of its own.
func (b bucket) middle() float64 {
	low, high := math.Float64frombits(uint64(b.key)<<bucketShift), math.Float64frombits(uint64(b.key+1)<<bucketShift)
	return low * (2 / (1 + low/high))
}

func (d *ddSketch) bytes() int { return 128 + 16*(cap(d.positive)+cap(d.negative)) }

// append writes the number of zeros, the ends, and the buckets, each key as the difference to the one before.
func (d *ddSketch) append(b []byte) []byte {
	b = binary.AppendUvarint(b, d.zeros)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(d.least))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(d.greatest))
	for _, all := range [][]bucket{d.positive, d.negative} {
		b = binary.AppendUvarint(b, uint64(len(all)))
		before := uint32(0)
		for _, k := range all {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(k.key-before)), k.count)
			before = k.key
		}
	}
	return b
}

func (d *ddSketch) read(b []byte) (rest []byte, ok bool) {
	zeros, size := binary.Uvarint(b)
	if size <= 0 {
		return b, false
	}
	d.zeros, b = zeros, b[size:]
	for _, end := range []*float64{&d.least, &d.greatest} {
		var word uint64
		if word, b, ok = readUint64(b); !ok || math.IsNaN(math.Float64frombits(word)) {
			return b, false
		}
		*end = math.Float64frombits(word)
	}
	if d.positive, b, ok = readBuckets(b); !ok {
		return b, false
	}
	d.negative, b, ok = readBuckets(b)
	return b, ok
}

func readBuckets(b []byte) (all []bucket, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > maxBuckets || n > uint64(len(b)) {
		return nil, b, false
	}
	b = b[size:]
	key := uint64(0)
	for range n {
		gap, size := binary.Uvarint(b)
		if size <= 0 || gap == 0 || gap >= 1<<17 {
			return nil, b, false
		}
		key, b = key+gap, b[size:]
		count, size := binary.Uvarint(b)
		if size <= 0 || key >= 0x7ff<<6 { // the exponent of infinities
			return nil, b, false
		}
		all, b = append(all, bucket{uint32(key), count}), b[size:]
	}
	if n > 0 && key-uint64(all[0].key) >= maxBuckets {
		return nil, b, false
	}
	return all, b, true
}
