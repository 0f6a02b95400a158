package pgcatalog

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Text is a value of a [Result], not NULL, as PostgreSQL writes one of that type.
func Text(v any, oid uint32) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "t"
		}
		return "f"
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
	case float64:
		switch oid {
		case oidFloat4:
			return order.AppendUint32(b, math.Float32bits(float32(v))), false, nil
		case oidFloat8:
			return order.AppendUint64(b, math.Float64bits(v)), false, nil
		}
	case string:
		switch oid {
		case oidText, oidName, oidChar, oidUnknown, 1042, 1043, 114:
			return append(b, v...), false, nil
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
