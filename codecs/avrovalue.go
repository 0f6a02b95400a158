package codecs

import (
	"math"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
)

// value decodes one value; ok is false when it does not fit the reader's column.
func (r *avroReader) value(raw []byte) (v feeds.Value, ok bool) {
	if r.node.kind == avroNull {
		return v, true
	}
	if r.codec == nil {
		return v, false
	}
	datum, _, err := r.codec.NativeFromBinary(raw)
	if err != nil {
		return v, false
	}
	if r.node.kind != avroArray {
		return fromAvro(r.kind, r.node, datum)
	}
	list, ok := datum.([]any)
	if !ok || len(list) > maxElements {
		return v, false
	}
	elems := make([]feeds.Value, len(list))
	for i, e := range list {
		if elems[i], ok = fromElement(r.elem, r.node.items, e); !ok {
			return v, false
		}
	}
	return feeds.ArrayValue(elems), true
}

// fromElement is fromAvro for an array's element, which may be of a union: goavro has it in a map under its type's name.
func fromElement(kind feeds.Kind, n *avroNode, datum any) (v feeds.Value, ok bool) {
	if datum == nil {
		return v, true
	}
	if n.kind == avroUnion {
		box, ok := datum.(map[string]any)
		if !ok || len(box) != 1 {
			return v, false
		}
		for name, inner := range box {
			if n, datum = n.branch(name), inner; n == nil {
				return v, false
			}
		}
	}
	return fromAvro(kind, n, datum)
}

// fromAvro returns what goavro decoded of a scalar type as a value of the kind; ok is false when it does not fit.
func fromAvro(kind feeds.Kind, n *avroNode, datum any) (v feeds.Value, ok bool) {
	switch x := datum.(type) {
	case nil:
		return v, true
	case bool:
		return feeds.BoolValue(x), kind == feeds.Bool
	case int32:
		return fromAvroInteger(kind, n.logical, int64(x))
	case int64:
		return fromAvroInteger(kind, n.logical, x)
	case float32:
		return fromAvroFloat(kind, float64(x))
	case float64:
		return fromAvroFloat(kind, x)
	case string:
		return fromText(kind, avroUTF8(x))
	case []byte:
		return fromAvroBytes(kind, n, x)
	}
	return v, false
}

// fromAvroInteger reads numbers as JSON's, and what Avro has for times.
func fromAvroInteger(kind feeds.Kind, logical string, i int64) (v feeds.Value, ok bool) {
	unit := int64(0) // how many of it are a second
	switch logical {
	case "date":
		micros, ok := scaled(i, 86400*microsPerSecond)
		return feeds.TimestampValue(micros), ok && kind == feeds.Timestamp
	case "timestamp-millis", "local-timestamp-millis":
		micros, ok := scaled(i, 1000)
		return feeds.TimestampValue(micros), ok && kind == feeds.Timestamp
	case "timestamp-micros", "local-timestamp-micros":
		return feeds.TimestampValue(i), kind == feeds.Timestamp
	case "timestamp-nanos", "local-timestamp-nanos":
		return feeds.TimestampValue(roundedNanos(i)), kind == feeds.Timestamp
	case "time-millis":
		unit = 1000
	case "time-micros":
		unit = microsPerSecond
	}
	if unit > 0 {
		return feeds.IntervalValue(float64(i) / float64(unit)), kind == feeds.Interval
	}
	switch kind {
	case feeds.Bigint:
		return feeds.BigintValue(i), true
	case feeds.Ubigint:
		return feeds.UbigintValue(uint64(i)), i >= 0
	case feeds.Numeric:
		return feeds.NumericValue(feeds.Int128From(i)), true
	case feeds.Double:
		return feeds.DoubleValue(float64(i)), true
	case feeds.Interval:
		return feeds.IntervalValue(float64(i)), true
	}
	return fromNumber(kind, strconv.AppendInt(nil, i, 10))
}

// scaled returns i*by; ok is false when that does not fit.
func scaled(i, by int64) (int64, bool) {
	return i * by, i <= math.MaxInt64/by && i >= math.MinInt64/by
}

// roundedNanos returns nanoseconds as microseconds, halves away from zero as JSON's times are rounded.
func roundedNanos(i int64) int64 {
	micros, rest := i/1000, i%1000
	switch {
	case rest >= 500:
		micros++
	case rest <= -500:
		micros--
	}
	return micros
}

// fromAvroFloat reads numbers as JSON's, which has no NaN and no infinities.
func fromAvroFloat(kind feeds.Kind, f float64) (v feeds.Value, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return v, false
	}
	switch kind {
	case feeds.Double:
		return feeds.DoubleValue(f), true
	case feeds.Interval:
		return feeds.IntervalValue(f), true
	case feeds.Timestamp:
		micros := math.Round(f * microsPerSecond)
		return feeds.TimestampValue(int64(micros)), micros >= math.MinInt64 && micros < math.MaxInt64
	}
	return fromNumber(kind, strconv.AppendFloat(nil, f, 'g', -1, 64))
}

// maxDecimalBytes is how long a decimal may be: writing a megabyte of it in digits takes its time, and whoever sends it chooses.
const maxDecimalBytes = 32

// fromAvroBytes reads decimals as JSON's numbers, addresses in their bytes, and texts.
func fromAvroBytes(kind feeds.Kind, n *avroNode, b []byte) (v feeds.Value, ok bool) {
	if n.logical == "decimal" {
		if len(b) > maxDecimalBytes || n.scale < 0 || n.scale > 8*maxDecimalBytes {
			return v, false
		}
		unscaled := new(big.Int).SetBytes(b)
		if len(b) > 0 && b[0] >= 0x80 {
			unscaled.Sub(unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return fromNumber(kind, decimalText(unscaled, n.scale))
	}
	if a, isAddr := netip.AddrFromSlice(b); isAddr && kind == feeds.Inet {
		return feeds.InetValue(a), true
	}
	if !utf8.Valid(b) {
		return v, false
	}
	return fromText(kind, string(b))
}

// decimalText returns unscaled/10^scale as a JSON number.
func decimalText(unscaled *big.Int, scale int) []byte {
	digits := new(big.Int).Abs(unscaled).String()
	if scale > 0 {
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale-len(digits)+1) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if unscaled.Sign() < 0 {
		return append([]byte{'-'}, digits...)
	}
	return []byte(digits)
}
