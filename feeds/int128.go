package feeds

import (
	"math"
	"math/big"
	"math/bits"
)

// Int128 is a signed 128-bit integer in two's complement: what sums of 64-bit integers need never to overflow.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Int128From returns i as 128 bits.
func Int128From(i int64) Int128 { return Int128{Hi: i >> 63, Lo: uint64(i)} }

// Int128FromUint returns u as 128 bits.
func Int128FromUint(u uint64) Int128 { return Int128{Lo: u} }

// Add returns a+b; ok is false when the result does not fit.
func (a Int128) Add(b Int128) (sum Int128, ok bool) {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi, _ := bits.Add64(uint64(a.Hi), uint64(b.Hi), carry)
	sum = Int128{Hi: int64(hi), Lo: lo}
	return sum, (a.Hi < 0) != (b.Hi < 0) || (sum.Hi < 0) == (a.Hi < 0)
}

// Neg returns -a; ok is false for the smallest value, which has no positive counterpart.
func (a Int128) Neg() (n Int128, ok bool) {
	lo, borrow := bits.Sub64(0, a.Lo, 0)
	hi, _ := bits.Sub64(0, uint64(a.Hi), borrow)
	n = Int128{Hi: int64(hi), Lo: lo}
	return n, !(a.Hi == math.MinInt64 && a.Lo == 0)
}

// Sub returns a-b; ok is false when the result does not fit.
func (a Int128) Sub(b Int128) (diff Int128, ok bool) {
	lo, borrow := bits.Sub64(a.Lo, b.Lo, 0)
	hi, _ := bits.Sub64(uint64(a.Hi), uint64(b.Hi), borrow)
	diff = Int128{Hi: int64(hi), Lo: lo}
	return diff, (a.Hi < 0) == (b.Hi < 0) || (diff.Hi < 0) == (a.Hi < 0)
}

// Mul returns a*b; ok is false when the result does not fit.
func (a Int128) Mul(b Int128) (product Int128, ok bool) {
	return int128FromBig(new(big.Int).Mul(a.Big(), b.Big()))
}

// QuoRem returns the quotient truncated towards zero, as PostgreSQL divides integers, and the remainder, which has a's
// sign. ok is false when b is zero or the quotient does not fit.
func (a Int128) QuoRem(b Int128) (quo, rem Int128, ok bool) {
	if b == (Int128{}) {
		return Int128{}, Int128{}, false
	}
	q, r := new(big.Int).QuoRem(a.Big(), b.Big(), new(big.Int))
	if quo, ok = int128FromBig(q); !ok {
		return Int128{}, Int128{}, false
	}
	rem, ok = int128FromBig(r)
	return quo, rem, ok
}

// Cmp returns -1, 0 or 1 as a is less than, equal to or greater than b.
func (a Int128) Cmp(b Int128) int {
	switch {
	case a.Hi != b.Hi:
		if a.Hi < b.Hi {
			return -1
		}
		return 1
	case a.Lo < b.Lo:
		return -1
	case a.Lo > b.Lo:
		return 1
	}
	return 0
}

// Int64 returns a as int64; ok is false when it does not fit.
func (a Int128) Int64() (i int64, ok bool) { return int64(a.Lo), a.Hi == int64(a.Lo)>>63 }

// Uint64 returns a as uint64; ok is false when it does not fit.
func (a Int128) Uint64() (u uint64, ok bool) { return a.Lo, a.Hi == 0 }

// Float64 returns the nearest float64.
func (a Int128) Float64() float64 {
	if i, ok := a.Int64(); ok {
		return float64(i)
	}
	f, _ := new(big.Float).SetInt(a.Big()).Float64()
	return f
}

// Big returns a as a big.Int.
func (a Int128) Big() *big.Int {
	b := new(big.Int).SetInt64(a.Hi)
	b.Lsh(b, 64)
	return b.Add(b, new(big.Int).SetUint64(a.Lo))
}

// String returns a in decimal.
func (a Int128) String() string { return string(a.Append(nil)) }

// Append appends a in decimal.
func (a Int128) Append(b []byte) []byte {
	if i, ok := a.Int64(); ok {
		return appendInt(b, i)
	}
	return a.Big().Append(b, 10)
}

// ParseInt128 reads a decimal integer; ok is false when s is none or does not fit.
func ParseInt128(s string) (i Int128, ok bool) {
	b, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return Int128{}, false
	}
	return int128FromBig(b)
}

// Int128FromFloat truncates f towards zero; ok is false for NaN, infinities and what does not fit.
func Int128FromFloat(f float64) (i Int128, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Int128{}, false
	}
	b, _ := new(big.Float).SetFloat64(f).Int(nil)
	return int128FromBig(b)
}

func int128FromBig(b *big.Int) (Int128, bool) {
	if b.BitLen() > 127 {
		smallest := b.Sign() < 0 && b.BitLen() == 128 && b.TrailingZeroBits() == 127
		return Int128{Hi: math.MinInt64}, smallest
	}
	abs := new(big.Int).Abs(b)
	lo := new(big.Int).And(abs, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
	hi := new(big.Int).Rsh(abs, 64).Uint64()
	i := Int128{Hi: int64(hi), Lo: lo}
	if b.Sign() < 0 {
		i, _ = i.Neg()
	}
	return i, true
}
