package pgwire

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/brotally/brotally/feeds"
)

// column is a column of an answer.
type column struct {
	name string
	oid  uint32
}

// oids are PostgreSQL's types of our kinds: a value's, and that of an array of them. docs/POSTGRES.md has the table.
var oids = map[feeds.Kind][2]uint32{
	feeds.Null:      {pgtype.TextOID, pgtype.TextArrayOID},
	feeds.String:    {pgtype.TextOID, pgtype.TextArrayOID},
	feeds.Bool:      {pgtype.BoolOID, pgtype.BoolArrayOID},
	feeds.Bigint:    {pgtype.Int8OID, pgtype.Int8ArrayOID},
	feeds.Ubigint:   {pgtype.NumericOID, pgtype.NumericArrayOID}, // int8 ends at half of it
	feeds.Numeric:   {pgtype.NumericOID, pgtype.NumericArrayOID},
	feeds.Double:    {pgtype.Float8OID, pgtype.Float8ArrayOID},
	feeds.Timestamp: {pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID},
	feeds.Interval:  {pgtype.IntervalOID, pgtype.IntervalArrayOID},
	feeds.Inet:      {pgtype.InetOID, pgtype.InetArrayOID},
	feeds.Subnet:    {pgtype.CIDROID, pgtype.CIDRArrayOID},
}

func oidOf(t feeds.Type) uint32 {
	if t.Kind == feeds.Array {
		return oids[t.Elem][1]
	}
	return oids[t.Kind][0]
}

// sizeOf is a type's size in bytes, -1 when that varies.
func sizeOf(oid uint32) int16 {
	switch oid {
	case pgtype.BoolOID, pgtype.QCharOID:
		return 1
	case pgtype.Int2OID:
		return 2
	case pgtype.Int4OID, pgtype.OIDOID, pgtype.Float4OID, pgtype.DateOID, 2205, 2206, 4089: // and regclass, regtype, regnamespace
		return 4
	case pgtype.Int8OID, pgtype.Float8OID, pgtype.TimestamptzOID, pgtype.TimestampOID:
		return 8
	case pgtype.IntervalOID:
		return 16
	case pgtype.NameOID:
		return 64
	}
	return -1
}

// harmless is a text as the protocol can carry it: NUL, which it ends texts with, and bytes that are no UTF-8 become U+FFFD.
func harmless(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// y2k is the beginning of 2000 in microseconds since 1970: PostgreSQL counts from there.
const y2k = 946_684_800_000_000

// outOfRange is a value that PostgreSQL's type cannot hold.
func outOfRange(v feeds.Value) error {
	return refused("22008", v.Kind().String()+" out of range: "+v.String(), "leave the column out, or convert it: extract(epoch FROM x)")
}

// appendText appends a value, not NULL, as PostgreSQL writes it.
func appendText(b []byte, v feeds.Value) ([]byte, error) {
	switch v.Kind() {
	case feeds.String:
		return append(b, harmless(v.Str())...), nil
	case feeds.Bool:
		if v.IsTrue() {
			return append(b, 't'), nil
		}
		return append(b, 'f'), nil
	case feeds.Timestamp:
		return appendTimestamp(b, v.Micros()), nil
	case feeds.Interval:
		micros, err := microsOf(v)
		return appendInterval(b, micros), err
	case feeds.Subnet:
		return v.Prefix().Masked().AppendTo(b), nil
	case feeds.Array:
		return appendTextArray(b, v.List())
	}
	return v.AppendText(b), nil
}

func appendTimestamp(b []byte, micros int64) []byte {
	t := time.UnixMicro(micros).UTC()
	if year := t.Year(); year <= 0 { // of which 0, -4 .. have a 29 February, and 1, 5 .. have none
		b = fmt.Appendf(b, "%04d", 1-year)
		return append(t.AppendFormat(b, "-01-02 15:04:05.999999+00"), " BC"...)
	}
	return t.AppendFormat(b, "2006-01-02 15:04:05.999999+00")
}

// microsOf is an interval in microseconds, to the nearest.
func microsOf(v feeds.Value) (int64, error) {
	micros := math.RoundToEven(v.Seconds() * 1e6)
	if !(math.Abs(micros) < 1<<63) { // NaN too
		return 0, outOfRange(v)
	}
	return int64(micros), nil
}

// appendInterval writes hours, minutes and seconds: there are no days, whose length varies.
func appendInterval(b []byte, micros int64) []byte {
	left := uint64(micros)
	if micros < 0 {
		b, left = append(b, '-'), -left
	}
	seconds, rest := left/1e6, left%1e6
	b = fmt.Appendf(b, "%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	if rest > 0 {
		b = append(b, strings.TrimRight(fmt.Sprintf(".%06d", rest), "0")...)
	}
	return b
}

func appendTextArray(b []byte, list []feeds.Value) ([]byte, error) {
	b = append(b, '{')
	var element []byte
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if e.IsNull() {
			b = append(b, "NULL"...)
			continue
		}
		var err error
		if element, err = appendText(element[:0], e); err != nil {
			return b, err
		}
		b = appendElement(b, string(element))
	}
	return append(b, '}'), nil
}

// appendElement quotes an array's element where that is needed.
func appendElement(b []byte, s string) []byte {
	if s != "" && !strings.EqualFold(s, "null") && !strings.ContainsAny(s, "{}\",\\ \t\n\r\v\f") {
		return append(b, s...)
	}
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// appendBinary appends a value, not NULL, as PostgreSQL's binary format has its type.
func appendBinary(b []byte, v feeds.Value) ([]byte, error) {
	order := binary.BigEndian
	switch v.Kind() {
	case feeds.Bool:
		if v.IsTrue() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case feeds.Bigint:
		return order.AppendUint64(b, uint64(v.Int())), nil
	case feeds.Ubigint, feeds.Numeric:
		return appendNumeric(b, v.Int128()), nil
	case feeds.Double:
		return order.AppendUint64(b, math.Float64bits(v.Float())), nil
	case feeds.Timestamp:
		if v.Micros() < math.MinInt64+y2k {
			return b, outOfRange(v)
		}
		return order.AppendUint64(b, uint64(v.Micros()-y2k)), nil
	case feeds.Interval:
		micros, err := microsOf(v)
		return append(order.AppendUint64(b, uint64(micros)), 0, 0, 0, 0, 0, 0, 0, 0), err
	case feeds.Inet:
		a := v.Addr()
		return appendAddr(b, netip.PrefixFrom(a, a.BitLen()), 0), nil
	case feeds.Subnet:
		return appendAddr(b, v.Prefix().Masked(), 1), nil
	}
	return appendText(b, v)
}

func appendAddr(b []byte, p netip.Prefix, isCIDR byte) []byte {
	a := p.Addr().AsSlice()
	family := byte(2)
	if p.Addr().Is6() {
		family = 3
	}
	return append(append(b, family, byte(p.Bits()), isCIDR, byte(len(a))), a...)
}

// appendNumeric appends a whole number in PostgreSQL's digits, each of which is four decimal ones.
func appendNumeric(b []byte, i feeds.Int128) []byte {
	text := i.String()
	sign := uint16(0)
	if text[0] == '-' {
		sign, text = 0x4000, text[1:]
	}
	var digits []uint16
	for end := len(text); end > 0; end -= 4 {
		n, _ := strconv.Atoi(text[max(end-4, 0):end])
		digits = append(digits, uint16(n)) // the least first
	}
	weight := len(digits) - 1
	low := 0
	for low < len(digits) && digits[low] == 0 {
		low++ // zeros at the end are not written
	}
	if low == len(digits) {
		weight = 0
	}
	order := binary.BigEndian
	b = order.AppendUint16(b, uint16(len(digits)-low))
	b = order.AppendUint16(b, uint16(weight))
	b = order.AppendUint16(b, sign)
	b = order.AppendUint16(b, 0) // decimals
	for n := len(digits) - 1; n >= low; n-- {
		b = order.AppendUint16(b, digits[n])
	}
	return b
}

// appendBinaryArray appends an array whose elements have the kind elem.
func appendBinaryArray(b []byte, list []feeds.Value, elem feeds.Kind) ([]byte, error) {
	order := binary.BigEndian
	nulls := uint32(0)
	for _, e := range list {
		if e.IsNull() {
			nulls = 1
		}
	}
	dimensions := uint32(1)
	if len(list) == 0 {
		dimensions = 0
	}
	b = order.AppendUint32(b, dimensions)
	b = order.AppendUint32(b, nulls)
	b = order.AppendUint32(b, oids[elem][0])
	if dimensions == 0 {
		return b, nil
	}
	b = order.AppendUint32(b, uint32(len(list)))
	b = order.AppendUint32(b, 1) // the first one's number
	for _, e := range list {
		at := len(b)
		b = order.AppendUint32(b, math.MaxUint32) // NULL
		if e.IsNull() {
			continue
		}
		var err error
		if b, err = appendBinary(b, e); err != nil {
			return b, err
		}
		order.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return b, nil
}

// appendValue appends a value of type t.
func appendValue(b []byte, v feeds.Value, t feeds.Type, inBinary bool) (_ []byte, null bool, err error) {
	switch {
	case v.IsNull():
		return b, true, nil
	case !inBinary:
		b, err = appendText(b, v)
	case v.Kind() == feeds.Array:
		b, err = appendBinaryArray(b, v.List(), t.Elem)
	default:
		b, err = appendBinary(b, v)
	}
	return b, false, err
}
