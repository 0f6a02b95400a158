package pgcatalog

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Text is a value of a [Result], not NULL, as PostgreSQL writes one of that type.
func Text(v any, oid uint32) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "t"
		}
		return "f"
	case float64:
		if oid == oidNumeric && !math.IsInf(v, 0) { // no exponent
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	case []any:
		a := &array{vector: oid == oidInt2Vector || oid == oidOIDVector}
		for _, e := range v {
			if b, ok := e.(bool); ok {
				e = Text(b, oidBool)
			}
			a.list = append(a.list, e)
		}
		return a.textWithin(func(int) {}) // which Run did
	}
	return text(v)
}

// y2k is where PostgreSQL counts time from.
var y2k = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// parseTime reads a timestamp or date; without a zone it is UTC.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02 15:04:05Z07", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return t, t.Year() > 1710 && t.Year() < 2290 // what a time.Duration from 2000 has
		}
	}
	return time.Time{}, false
}

// appendNumeric appends a number in PostgreSQL's digits, each of which is four decimal ones.
func appendNumeric(b []byte, f float64) []byte {
	order := binary.BigEndian
	sign := uint16(0)
	switch {
	case math.IsNaN(f):
		return order.AppendUint64(b, 0xC000<<16)
	case math.IsInf(f, 1):
		return order.AppendUint64(b, 0xD000<<16)
	case math.IsInf(f, -1):
		return order.AppendUint64(b, 0xF000<<16)
	case f < 0:
		sign = 0x4000
	}
	whole, decimals, _ := strings.Cut(strconv.FormatFloat(math.Abs(f), 'f', -1, 64), ".")
	scale := len(decimals)
	whole = strings.Repeat("0", (4-len(whole)%4)%4) + whole
	text := whole + decimals + strings.Repeat("0", (4-scale%4)%4)
	weight := len(whole)/4 - 1
	for strings.HasPrefix(text, "0000") {
		text, weight = text[4:], weight-1
	}
	for strings.HasSuffix(text, "0000") {
		text = text[:len(text)-4]
	}
	if text == "" {
		weight = 0
	}
	b = order.AppendUint16(b, uint16(len(text)/4))
	b = order.AppendUint16(b, uint16(weight))
	b = order.AppendUint16(order.AppendUint16(b, sign), uint16(scale))
	for ; text != ""; text = text[4:] {
		n, _ := strconv.Atoi(text[:4])
		b = order.AppendUint16(b, uint16(n))
	}
	return b
}

// AppendBinary appends a value of a [Result] in PostgreSQL's binary format; null is false. Types that have none here are an error.
func AppendBinary(b []byte, v any, oid uint32) (_ []byte, null bool, err error) {
	order := binary.BigEndian
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, 1), false, nil
		}
		return append(b, 0), false, nil
	case int64:
		switch oid {
		case oidInt2:
			return order.AppendUint16(b, uint16(v)), false, nil
		case oidInt4, oidOID:
			return order.AppendUint32(b, uint32(v)), false, nil
		case oidInt8:
			return order.AppendUint64(b, uint64(v)), false, nil
		}
	case reg:
		return order.AppendUint32(b, uint32(v.oid)), false, nil
	case float64:
		switch oid {
		case oidNumeric:
			return appendNumeric(b, v), false, nil
		case oidFloat4:
			return order.AppendUint32(b, math.Float32bits(float32(v))), false, nil
		case oidFloat8:
			return order.AppendUint64(b, math.Float64bits(v)), false, nil
		}
	case string:
		switch oid {
		case oidText, oidName, oidChar, oidUnknown, 1042, 1043, 114:
			return append(b, v...), false, nil
		case oidTimestamptz, oidTimestamp, oidDate:
			t, ok := parseTime(v)
			if !ok {
				return b, false, &Error{At: -1, Code: codeBadText, Message: fmt.Sprintf("invalid input for type %s: %q", formatType(oid), v)}
			}
			since := t.Sub(y2k)
			if oid == oidDate {
				return order.AppendUint32(b, uint32(int32(math.Floor(since.Hours()/24)))), false, nil
			}
			return order.AppendUint64(b, uint64(since.Microseconds())), false, nil
		}
	case []any:
		element := elementType(oid)
		nulls, dimensions, first := uint32(0), uint32(1), uint32(1)
		for _, e := range v {
			if e == nil {
				nulls = 1
			}
		}
		if len(v) == 0 {
			dimensions = 0
		}
		if oid == oidInt2Vector || oid == oidOIDVector {
			first = 0
		}
		b = order.AppendUint32(order.AppendUint32(order.AppendUint32(b, dimensions), nulls), element)
		if len(v) > 0 {
			b = order.AppendUint32(order.AppendUint32(b, uint32(len(v))), first)
		}
		for _, e := range v {
			at := len(b)
			if b = order.AppendUint32(b, math.MaxUint32); e == nil {
				continue
			}
			if b, _, err = AppendBinary(b, e, element); err != nil {
				return b, false, err
			}
			order.PutUint32(b[at:], uint32(len(b)-at-4))
		}
		return b, false, nil
	}
	return b, false, &Error{At: -1, Code: codeNotSupported, Message: fmt.Sprintf("type %s has no binary format here", formatType(oid)), Hint: "ask for text, or cast to text; the type's number is " + strconv.FormatUint(uint64(oid), 10)}
}
