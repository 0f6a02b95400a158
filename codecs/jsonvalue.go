package codecs

import (
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// fromString returns a JSON string as a value of the kind; ok is false when it is none.
func (d *JSON) fromString(kind feeds.Kind, raw []byte, escaped bool) (v feeds.Value, ok bool) {
	switch kind {
	case feeds.String:
		return feeds.StringValue(d.text(raw, escaped)), true
	case feeds.Inet, feeds.Subnet, feeds.Timestamp:
		return fromText(kind, d.text(raw, escaped))
	}
	return v, false
}

// fromText returns a text as a value of the kind, which aliases it; ok is false when it is none.
func fromText(kind feeds.Kind, text string) (v feeds.Value, ok bool) {
	switch kind {
	case feeds.String:
		return feeds.StringValue(text), true
	case feeds.Inet:
		if a, ok := parseIPv4(text); ok {
			return feeds.InetValue(a), true
		}
		a, err := netip.ParseAddr(text)
		return feeds.InetValue(a), err == nil && a.Zone() == ""
	case feeds.Subnet:
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return v, false
		}
		return feeds.SubnetValue(p), true
	case feeds.Timestamp:
		micros, ok := parseISOTime(text)
		return feeds.TimestampValue(micros), ok
	}
	return v, false
}

// parseIPv4 parses what most addresses are, a few times faster than netip; ok is false when the text may be another address, or
// none.
func parseIPv4(text string) (a netip.Addr, ok bool) {
	var bytes [4]byte
	at, value, digits := 0, 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c-'0' <= 9 && digits < 3 && (digits == 0 || value > 0):
			value, digits = value*10+int(c-'0'), digits+1
		case c == '.' && digits > 0 && value < 256 && at < 3:
			bytes[at] = byte(value)
			at, value, digits = at+1, 0, 0
		default:
			return a, false
		}
	}
	if at != 3 || digits == 0 || value > 255 {
		return a, false
	}
	bytes[3] = byte(value)
	return netip.AddrFrom4(bytes), true
}

// fromLiteral returns true, false or null, told by the first byte, as a value of the kind. Objects and arrays, told by
// theirs, are no value of any kind.
func fromLiteral(kind feeds.Kind, first byte) (v feeds.Value, ok bool) {
	switch first {
	case 'n':
		return feeds.NullValue, true
	case 't', 'f':
		return feeds.BoolValue(first == 't'), kind == feeds.Bool
	}
	return v, false
}

// fromNumber returns a JSON number as a value of the kind; ok is false when it does not fit. Integers are exact, also
// beyond 2^53; 1.0 and 1e3 are integers too.
func fromNumber(kind feeds.Kind, raw []byte) (v feeds.Value, ok bool) {
	switch kind {
	case feeds.Bigint:
		negative, magnitude, ok := parseInteger(raw)
		if negative {
			return feeds.BigintValue(int64(-magnitude)), ok && magnitude <= 1<<63
		}
		return feeds.BigintValue(int64(magnitude)), ok && magnitude <= math.MaxInt64
	case feeds.Ubigint:
		negative, magnitude, ok := parseInteger(raw)
		return feeds.UbigintValue(magnitude), ok && (!negative || magnitude == 0)
	case feeds.Numeric:
		negative, magnitude, ok := parseInteger(raw)
		if !ok && len(raw) <= digits128 {
			whole, ok := feeds.ParseInt128(alias(raw))
			return feeds.NumericValue(whole), ok
		}
		whole := feeds.Int128FromUint(magnitude)
		if negative {
			whole, _ = whole.Neg()
		}
		return feeds.NumericValue(whole), ok
	case feeds.Double:
		f, err := strconv.ParseFloat(alias(raw), 64)
		return feeds.DoubleValue(f), err == nil
	case feeds.Interval:
		f, err := strconv.ParseFloat(alias(raw), 64)
		return feeds.IntervalValue(f), err == nil
	case feeds.Timestamp:
		micros, ok := parseEpoch(raw)
		return feeds.TimestampValue(micros), ok
	}
	return v, false
}

// digits128 is how long 128 bits are at most, with a sign. A longer text would take its time, and whoever sends it chooses.
const digits128 = 40

// parseInteger reads a JSON number that is a whole one, however it is written. ok is false when it is not whole or its
// magnitude does not fit 64 bits.
func parseInteger(raw []byte) (negative bool, magnitude uint64, ok bool) {
	if raw[0] == '-' {
		negative, raw = true, raw[1:]
	}
	if len(raw) > 19 { // nineteen digits always fit
		magnitude, ok = parseDecimal(raw)
		return negative, magnitude, ok
	}
	for _, c := range raw {
		if c-'0' > 9 {
			magnitude, ok = parseDecimal(raw)
			return negative, magnitude, ok
		}
		magnitude = magnitude*10 + uint64(c-'0')
	}
	return negative, magnitude, true
}

// parseDecimal is parseInteger for numbers without sign that have a point, an exponent or many digits.
func parseDecimal(raw []byte) (magnitude uint64, ok bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(alias(raw)), "e")
	// The number is magnitude * 10^(zeros-decimals), zeros being those at the end so far.
	var zeros, decimals int
	for i, point := 0, false; i < len(mantissa); i++ {
		c := mantissa[i]
		if c == '.' {
			point = true
			continue
		}
		if point {
			decimals++
		}
		if c == '0' {
			zeros++
			continue
		}
		if magnitude == 0 {
			zeros = 0
		}
		for ; zeros > 0; zeros-- {
			if magnitude, ok = shift(magnitude, 0); !ok {
				return 0, false
			}
		}
		if magnitude, ok = shift(magnitude, uint64(c-'0')); !ok {
			return 0, false
		}
	}
	if magnitude == 0 {
		return 0, true
	}
	power := zeros - decimals
	if exponent != "" {
		e, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return 0, false // too far from any whole number of 64 bits
		}
		power += int(e)
	}
	for ; power > 0; power-- {
		if magnitude, ok = shift(magnitude, 0); !ok {
			return 0, false
		}
	}
	for ; power < 0; power++ {
		if magnitude%10 != 0 {
			return 0, false
		}
		magnitude /= 10
	}
	return magnitude, true
}

// shift returns u*10 + digit; ok is false when that does not fit.
func shift(u, digit uint64) (shifted uint64, ok bool) {
	if u > (math.MaxUint64-digit)/10 {
		return 0, false
	}
	return u*10 + digit, true
}
