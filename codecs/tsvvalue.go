package codecs

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
)

// tsvValues turns the values of a TSV log into the JSON that Zeek's JSON formatter writes of them (formatters/JSON.cc).
type tsvValues struct {
	setSeparator []byte // between the elements of sets and vectors
	empty        []byte // an empty string, set or vector
	unset        []byte // no value
}

// appendValue appends a value that is not unset.
func (v *tsvValues) appendValue(b []byte, t feeds.Type, value []byte) []byte {
	if t.Kind != feeds.Array {
		return v.appendScalar(b, t.Kind, value)
	}
	b = append(b, '[')
	if bytes.Equal(value, v.empty) {
		return append(b, ']')
	}
	for more := true; more; {
		var element []byte
		element, value, more = bytes.Cut(value, v.setSeparator)
		if bytes.Equal(element, v.unset) {
			b = append(b, "null"...)
		} else {
			b = v.appendScalar(b, t.Elem, element)
		}
		if more {
			b = append(b, ',')
		}
	}
	return append(b, ']')
}

// appendScalar appends one value. What is not of its kind becomes a JSON string.
func (v *tsvValues) appendScalar(b []byte, kind feeds.Kind, value []byte) []byte {
	switch kind {
	case feeds.Bool:
		if string(value) == "T" {
			return append(b, "true"...)
		}
		if string(value) == "F" {
			return append(b, "false"...)
		}
	case feeds.Bigint, feeds.Ubigint:
		port, _, _ := bytes.Cut(value, []byte("/")) // old logs have 80/tcp
		if digits, ok := integerText(port); ok {
			return append(b, digits...)
		}
	case feeds.Double, feeds.Interval, feeds.Timestamp:
		if f, ok := parseZeekDouble(value); ok {
			return appendZeekDouble(b, f)
		}
	case feeds.String:
		if bytes.Equal(value, v.empty) {
			return append(b, `""`...)
		}
		if isPlainText(value) {
			return append(append(append(b, '"'), value...), '"')
		}
		return appendJSONText(b, appendZeekText(nil, unescapeTSV(nil, value)))
	}
	return appendJSONText(b, appendZeekText(nil, value))
}

// integerText returns a decimal integer of any size as JSON has it: without leading zeros.
func integerText(s []byte) (digits []byte, ok bool) {
	sign := 0
	if len(s) > 0 && s[0] == '-' {
		sign = 1
	}
	if skipDigits(s, sign) != len(s) || len(s) == sign {
		return nil, false
	}
	zeros := sign
	for zeros < len(s)-1 && s[zeros] == '0' {
		zeros++
	}
	if zeros == sign {
		return s, true
	}
	if sign == 1 {
		return append([]byte("-"), s[zeros:]...), true
	}
	return s[zeros:], true
}

// parseZeekDouble reads a double as Zeek prints it: decimal, or nan or inf.
func parseZeekDouble(s []byte) (f float64, ok bool) {
	for _, c := range s {
		switch c {
		case '+', '-', '.', 'e', 'E', 'n', 'a', 'i', 'f':
		default:
			if c-'0' > 9 { // ParseFloat reads hexadecimal too
				return 0, false
			}
		}
	}
	f, err := strconv.ParseFloat(alias(s), 64)
	return f, err == nil
}

// appendZeekDouble appends a double as RapidJSON's writer does: the shortest digits that read back as f, in plain
// notation from 1e-6 to 1e21, always with a point or an exponent; null for what JSON cannot say.
func appendZeekDouble(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if math.Signbit(f) {
		b = append(b, '-')
		f = -f
	}
	var room [32]byte
	text := strconv.AppendFloat(room[:0], f, 'e', -1, 64) // d.ddde+xx
	mantissa, exponentText, _ := bytes.Cut(text, []byte("e"))
	exponent, _ := strconv.Atoi(string(exponentText))
	digits := mantissa[:1]
	if len(mantissa) > 2 {
		digits = append(digits, mantissa[2:]...)
	}
	const zeros = "000000000000000000000"
	switch point := exponent + 1; {
	case 0 < point && point <= 21 && len(digits) <= point:
		b = append(b, digits...)
		b = append(b, zeros[:point-len(digits)]...)
		return append(b, ".0"...)
	case 0 < point && point <= 21:
		b = append(b, digits[:point]...)
		b = append(b, '.')
		return append(b, digits[point:]...)
	case -6 < point && point <= 0:
		b = append(b, "0."...)
		b = append(b, zeros[:-point]...)
		return append(b, digits...)
	}
	b = append(b, digits[0])
	if len(digits) > 1 {
		b = append(b, '.')
		b = append(b, digits[1:]...)
	}
	b = append(b, 'e')
	return strconv.AppendInt(b, int64(exponent), 10)
}

// isPlainText reports whether a value needs no decoding and no escapes.
func isPlainText(s []byte) bool {
	for _, c := range s {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// unescapeTSV appends a value as it was before Zeek wrote it to the log: \xHH is a byte, a doubled backslash one. A
// single backslash stays: Bro before 2.3 did not double them.
func unescapeTSV(to, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] == '\\' && i+1 < len(s) {
			if s[i+1] == '\\' {
				to = append(to, '\\')
				i += 2
				continue
			}
			if high, low := hexDigit(s, i+2), hexDigit(s, i+3); s[i+1] == 'x' && high >= 0 && low >= 0 {
				to = append(to, byte(high<<4|low))
				i += 4
				continue
			}
		}
		to = append(to, s[i])
		i++
	}
	return to
}

func hexDigit(s []byte, i int) int {
	if i >= len(s) {
		return -1
	}
	switch c := s[i]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// appendZeekText appends text as Zeek's JSON has it. UTF-8 stays as it is, but when one character of it cannot be
// printed, or one byte is no UTF-8, every byte outside printable ASCII becomes the four characters \xHH
// (util::escape_utf8). Nobody can turn that back.
func appendZeekText(to, s []byte) []byte {
	if isPrintable(s) {
		return append(to, s...)
	}
	const hex = "0123456789abcdef"
	for _, c := range s {
		if 0x20 <= c && c < 0x7f || isJSONControl(c) {
			to = append(to, c)
		} else {
			to = append(to, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return to
}

// isJSONControl reports whether JSON has a short escape for a control character.
func isJSONControl(c byte) bool {
	return c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t'
}

func isPrintable(s []byte) bool {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < 0x20 && !isJSONControl(c) || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		bad := r == utf8.RuneError && size == 1 || // no UTF-8
			0x80 <= r && r <= 0x9f || // C1 controls
			0xe000 <= r && r <= 0xf8ff || 0xfff0 <= r && r <= 0xffff // private use, specials
		if bad {
			return false
		}
		i += size
	}
	return true
}

// appendJSONText appends text that appendZeekText made as a JSON string.
func appendJSONText(b, s []byte) []byte {
	b = append(b, '"')
	for _, c := range s {
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
