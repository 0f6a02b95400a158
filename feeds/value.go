package feeds

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Value is one typed cell; the zero Value is NULL. Its string may alias the message it was decoded from: [Value.Clone]
// what outlives the record.
type Value struct {
	kind Kind
	aux  uint8 // inet and subnet: 4 or 6
	bits uint8 // subnet: prefix length
	lo   uint64
	hi   uint64
	s    string
	list *[]Value
}

// NullValue is NULL.
var NullValue = Value{}

// StringValue returns s as a value; it aliases s.
func StringValue(s string) Value { return Value{kind: String, s: s} }

// BoolValue returns t as a value.
func BoolValue(t bool) Value {
	v := Value{kind: Bool}
	if t {
		v.lo = 1
	}
	return v
}

// BigintValue returns i as a value.
func BigintValue(i int64) Value { return Value{kind: Bigint, lo: uint64(i)} }

// UbigintValue returns u as a value.
func UbigintValue(u uint64) Value { return Value{kind: Ubigint, lo: u} }

// NumericValue returns i as a value.
func NumericValue(i Int128) Value { return Value{kind: Numeric, lo: i.Lo, hi: uint64(i.Hi)} }

// DoubleValue returns f as a value.
func DoubleValue(f float64) Value { return Value{kind: Double, lo: math.Float64bits(f)} }

// TimestampValue returns the instant that lies micros microseconds after the Unix epoch.
func TimestampValue(micros int64) Value { return Value{kind: Timestamp, lo: uint64(micros)} }

// IntervalValue returns a length of time in seconds.
func IntervalValue(seconds float64) Value {
	return Value{kind: Interval, lo: math.Float64bits(seconds)}
}

// InetValue returns an address; its zone is dropped, and an IPv4 address mapped into IPv6 stays IPv6.
func InetValue(a netip.Addr) Value {
	v := Value{kind: Inet}
	v.setAddr(a)
	return v
}

// SubnetValue returns a network; host bits are kept as they are.
func SubnetValue(p netip.Prefix) Value {
	v := Value{kind: Subnet, bits: uint8(p.Bits())}
	v.setAddr(p.Addr())
	return v
}

// ArrayValue returns an array that holds list, which it does not copy.
func ArrayValue(list []Value) Value { return Value{kind: Array, list: &list} }

func (v *Value) setAddr(a netip.Addr) {
	if a.Is4() {
		b := a.As4()
		v.aux, v.lo = 4, uint64(binary.BigEndian.Uint32(b[:]))
		return
	}
	b := a.As16()
	v.aux, v.hi, v.lo = 6, binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// Kind returns the value's kind; NULL's is [Null] whatever its column's type.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is NULL.
func (v Value) IsNull() bool { return v.kind == Null }

// Str returns a string's text.
func (v Value) Str() string { return v.s }

// IsTrue reports whether the value is the bool true; NULL is not.
func (v Value) IsTrue() bool { return v.kind == Bool && v.lo != 0 }

// Int returns a bigint.
func (v Value) Int() int64 { return int64(v.lo) }

// Uint returns a ubigint.
func (v Value) Uint() uint64 { return v.lo }

// Micros returns a timestamp in microseconds since the Unix epoch.
func (v Value) Micros() int64 { return int64(v.lo) }

// Seconds returns an interval in seconds.
func (v Value) Seconds() float64 { return math.Float64frombits(v.lo) }

// Int128 returns any integer kind as 128 bits.
func (v Value) Int128() Int128 {
	switch v.kind {
	case Ubigint:
		return Int128FromUint(v.lo)
	case Numeric:
		return Int128{Hi: int64(v.hi), Lo: v.lo}
	}
	return Int128From(int64(v.lo))
}

// Float returns any number as float64 (integers: the nearest), an interval in seconds.
func (v Value) Float() float64 {
	switch v.kind {
	case Double, Interval:
		return math.Float64frombits(v.lo)
	case Ubigint:
		return float64(v.lo)
	case Numeric:
		return v.Int128().Float64()
	}
	return float64(int64(v.lo))
}

// Addr returns an inet's or a subnet's address.
func (v Value) Addr() netip.Addr {
	if v.aux == 4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(v.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], v.hi)
	binary.BigEndian.PutUint64(b[8:], v.lo)
	return netip.AddrFrom16(b)
}

// Prefix returns a subnet.
func (v Value) Prefix() netip.Prefix { return netip.PrefixFrom(v.Addr(), int(v.bits)) }

// List returns an array's elements, which the caller must not change.
func (v Value) List() []Value {
	if v.list == nil {
		return nil
	}
	return *v.list
}

// Clone returns the value with memory of its own.
func (v Value) Clone() Value {
	v.s = strings.Clone(v.s)
	if v.list != nil {
		list := make([]Value, len(*v.list))
		for i, e := range *v.list {
			list[i] = e.Clone()
		}
		v.list = &list
	}
	return v
}

// Compare orders two values that are not NULL: -1, 0 or 1. Numbers of all kinds compare by value, exactly; NaN is
// above every other number and equal to itself, as in PostgreSQL; inet and subnet order as PostgreSQL does (IPv4 before
// IPv6, then by address, then by prefix); strings by bytes. Values of kinds that do not compare are ordered by kind.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		if a.kind.IsNumber() && b.kind.IsNumber() {
			return compareNumbers(a, b)
		}
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case String:
		return strings.Compare(a.s, b.s)
	case Bool, Ubigint:
		return cmp.Compare(a.lo, b.lo)
	case Bigint, Timestamp:
		return cmp.Compare(int64(a.lo), int64(b.lo))
	case Numeric:
		return a.Int128().Cmp(b.Int128())
	case Double, Interval:
		return compareFloats(a.Float(), b.Float())
	case Inet, Subnet:
		if c := cmp.Compare(a.aux, b.aux); c != 0 {
			return c
		}
		if c := cmp.Compare(a.hi, b.hi); c != 0 {
			return c
		}
		if c := cmp.Compare(a.lo, b.lo); c != 0 {
			return c
		}
		return cmp.Compare(a.bits, b.bits)
	case Array:
		return slices.CompareFunc(a.List(), b.List(), compareElements)
	}
	return 0
}

// compareElements orders array elements; NULL comes last.
func compareElements(a, b Value) int {
	switch {
	case a.IsNull() && b.IsNull():
		return 0
	case a.IsNull():
		return 1
	case b.IsNull():
		return -1
	}
	return Compare(a, b)
}

func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	switch aNaN, bNaN := math.IsNaN(a), math.IsNaN(b); {
	case aNaN && bNaN:
		return 0
	case aNaN:
		return 1
	default:
		return -1
	}
}

// compareNumbers compares numbers of different kinds exactly: a double's nearest integer neighbours would otherwise
// make 2^53+1 equal to 2^53.
func compareNumbers(a, b Value) int {
	switch {
	case a.kind == Double:
		return -compareNumbers(b, a)
	case b.kind != Double:
		return a.Int128().Cmp(b.Int128())
	}
	f := b.Float()
	whole, ok := Int128FromFloat(f)
	switch {
	case math.IsNaN(f):
		return -1
	case !ok && f > 0:
		return -1
	case !ok:
		return 1
	}
	if c := a.Int128().Cmp(whole); c != 0 {
		return c
	}
	return compareFloats(0, f-math.Trunc(f))
}

// Equal reports whether a and b are the same value; NULL equals NULL here (as IS NOT DISTINCT FROM).
func Equal(a, b Value) bool {
	if a.IsNull() || b.IsNull() {
		return a.IsNull() && b.IsNull()
	}
	return Compare(a, b) == 0
}

// timestampLayout is RFC 3339 with exactly six decimals.
const timestampLayout = "2006-01-02T15:04:05.000000Z"

// String returns the value as text; NULL is "NULL". It is for errors and tests; formats use [Value.AppendText].
func (v Value) String() string {
	if v.IsNull() {
		return "NULL"
	}
	return string(v.AppendText(nil))
}

// AppendText appends the value as text for people and keys: timestamps as RFC 3339 in UTC with microseconds, intervals
// as a number of seconds, arrays as their elements' JSON. NULL appends nothing.
func (v Value) AppendText(b []byte) []byte {
	switch v.kind {
	case Null:
		return b
	case String:
		return append(b, v.s...)
	case Bool:
		return strconv.AppendBool(b, v.lo != 0)
	case Bigint:
		return appendInt(b, int64(v.lo))
	case Ubigint:
		return strconv.AppendUint(b, v.lo, 10)
	case Numeric:
		return v.Int128().Append(b)
	case Double, Interval:
		return appendFloat(b, v.Float())
	case Timestamp:
		return time.UnixMicro(int64(v.lo)).UTC().AppendFormat(b, timestampLayout)
	case Inet:
		return v.Addr().AppendTo(b)
	case Subnet:
		return v.Prefix().AppendTo(b)
	}
	return v.AppendJSON(b)
}

// AppendJSON appends the value as JSON: integers of any size as numbers, NaN and infinities as null (JSON has none),
// timestamps, addresses and subnets as strings, intervals as a number of seconds.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case Null:
		return append(b, "null"...)
	case String:
		return AppendQuoted(b, v.s)
	case Double, Interval:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...)
		}
		return v.AppendText(b)
	case Timestamp, Inet, Subnet:
		b = append(b, '"')
		return append(v.AppendText(b), '"')
	case Array:
		b = append(b, '[')
		for i, e := range v.List() {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.AppendJSON(b)
		}
		return append(b, ']')
	}
	return v.AppendText(b)
}

func appendInt(b []byte, i int64) []byte { return strconv.AppendInt(b, i, 10) }

// appendFloat appends the shortest text that reads back as f.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// AppendKey appends the value in a self-delimiting binary form, so that values are equal exactly when their forms are:
// a tag byte (the kind, 1 to 11, or 15 for NULL; never a backslash), then the payload. Group keys are made of it.
// Minus zero is written as zero and every NaN as one.
func (v Value) AppendKey(b []byte) []byte {
	switch v.kind {
	case Null:
		return append(b, keyNull)
	case String:
		b = append(b, byte(String))
		b = binary.AppendUvarint(b, uint64(len(v.s)))
		return append(b, v.s...)
	case Bool:
		return append(b, byte(Bool), byte(v.lo))
	case Bigint, Timestamp:
		return binary.AppendVarint(append(b, byte(v.kind)), int64(v.lo))
	case Ubigint:
		return binary.AppendUvarint(append(b, byte(Ubigint)), v.lo)
	case Numeric:
		b = binary.BigEndian.AppendUint64(append(b, byte(Numeric)), v.hi)
		return binary.BigEndian.AppendUint64(b, v.lo)
	case Double, Interval:
		f := v.Float()
		if f == 0 {
			f = 0 // minus zero groups with zero
		}
		if math.IsNaN(f) {
			f = math.NaN()
		}
		return binary.BigEndian.AppendUint64(append(b, byte(v.kind)), math.Float64bits(f))
	case Inet, Subnet:
		b = append(b, byte(v.kind), v.aux)
		if v.kind == Subnet {
			b = append(b, v.bits)
		}
		if v.aux == 4 {
			return binary.BigEndian.AppendUint32(b, uint32(v.lo))
		}
		b = binary.BigEndian.AppendUint64(b, v.hi)
		return binary.BigEndian.AppendUint64(b, v.lo)
	case Array:
		b = append(b, byte(Array))
		b = binary.AppendUvarint(b, uint64(len(v.List())))
		for _, e := range v.List() {
			b = e.AppendKey(b)
		}
	}
	return b
}

const keyNull = 15 // the tag of NULL in keys

// ReadKey reads one value that [Value.AppendKey] wrote and returns what follows it. A string aliases key. ok is false
// when key is cut or was not written by AppendKey.
func ReadKey(key string) (v Value, rest string, ok bool) {
	if key == "" {
		return Value{}, "", false
	}
	tag := key[0]
	rest = key[1:]
	fixed := func(n int) (string, bool) {
		if len(rest) < n {
			return "", false
		}
		field := rest[:n]
		rest = rest[n:]
		return field, true
	}
	switch Kind(tag) {
	case keyNull:
		return Value{}, rest, true
	case String:
		n, size := uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return Value{}, "", false
		}
		end := size + int(n)
		return Value{kind: String, s: rest[size:end]}, rest[end:], true
	case Bool:
		f, ok := fixed(1)
		if !ok {
			return Value{}, "", false
		}
		return BoolValue(f[0] != 0), rest, true
	case Bigint, Timestamp:
		u, size := uvarint(rest)
		if size <= 0 {
			return Value{}, "", false
		}
		return Value{kind: Kind(tag), lo: uint64(int64(u>>1) ^ -int64(u&1))}, rest[size:], true
	case Ubigint:
		u, size := uvarint(rest)
		if size <= 0 {
			return Value{}, "", false
		}
		return UbigintValue(u), rest[size:], true
	case Numeric:
		f, ok := fixed(16)
		if !ok {
			return Value{}, "", false
		}
		return Value{kind: Numeric, hi: be64(f), lo: be64(f[8:])}, rest, true
	case Double, Interval:
		f, ok := fixed(8)
		if !ok {
			return Value{}, "", false
		}
		return Value{kind: Kind(tag), lo: be64(f)}, rest, true
	case Inet, Subnet:
		return readKeyAddr(Kind(tag), rest)
	case Array:
		n, size := uvarint(rest)
		if size <= 0 || n > uint64(len(rest)) {
			return Value{}, "", false
		}
		rest = rest[size:]
		list := make([]Value, 0, n)
		for range n {
			var e Value
			if e, rest, ok = ReadKey(rest); !ok {
				return Value{}, "", false
			}
			list = append(list, e)
		}
		return ArrayValue(list), rest, true
	}
	return Value{}, "", false
}

func readKeyAddr(kind Kind, rest string) (Value, string, bool) {
	header := 1
	if kind == Subnet {
		header = 2
	}
	if len(rest) < header {
		return Value{}, "", false
	}
	v := Value{kind: kind, aux: rest[0]}
	if kind == Subnet {
		v.bits = rest[1]
	}
	rest = rest[header:]
	switch {
	case v.aux == 4 && len(rest) >= 4 && v.bits <= 32:
		v.lo = uint64(be32(rest))
		return v, rest[4:], true
	case v.aux == 6 && len(rest) >= 16 && v.bits <= 128:
		v.hi, v.lo = be64(rest), be64(rest[8:])
		return v, rest[16:], true
	}
	return Value{}, "", false
}

func uvarint(s string) (uint64, int) {
	var x uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		b := s[i]
		if b < 0x80 {
			if i == binary.MaxVarintLen64-1 && b > 1 {
				return 0, -1
			}
			return x | uint64(b)<<(7*i), i + 1
		}
		x |= uint64(b&0x7f) << (7 * i)
	}
	return 0, 0
}

func be32(s string) uint32 {
	return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
}

func be64(s string) uint64 { return uint64(be32(s))<<32 | uint64(be32(s[4:])) }

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (p [256]bool) {
	for c := byte(0x20); c < 0x80; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

// AppendQuoted appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, as encoding/json writes it; nothing is escaped
// for HTML's sake.
func AppendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < 0x80 {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\ufffd"...)
			i++
			start = i
			continue
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
