package codecs

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The scanning functions check JSON's grammar exactly as encoding/json does. They take the position of what they read
// and return the position behind it, or malformed.

// skipSpace returns the position of the next byte that is not white space; it may be len(b).
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// scanColon reads a colon with the white space around it, and returns the position of the value's first byte.
func scanColon(b []byte, i int) int {
	if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
		return i + 1
	}
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return malformed
	}
	if i = skipSpace(b, i+1); i >= len(b) {
		return malformed
	}
	return i
}

// scanString reads a string whose opening quote is at i-1 and returns the position of its closing quote. escaped says
// whether it has backslashes. As encoding/json it lets bytes pass that are no UTF-8.
func scanString(b []byte, i int) (end int, escaped bool) {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for {
		for {
			if i+8 > len(b) {
				for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
					i++
				}
				break
			}
			// Eight bytes at a time: has one of them its high bit set after these, it is a quote, a backslash or a control
			// character. A borrow can only mark bytes above the first that is, so the first is right.
			w := binary.LittleEndian.Uint64(b[i:])
			quote := w ^ ones*'"'
			backslash := w ^ ones*'\\'
			stop := ((quote-ones)&^quote | (backslash-ones)&^backslash | (w-ones*0x20)&^w) & highs
			if stop != 0 {
				i += bits.TrailingZeros64(stop) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) || b[i] < 0x20 {
			return malformed, escaped
		}
		if b[i] == '"' {
			return i, escaped
		}
		escaped = true
		if i+1 >= len(b) {
			return malformed, true
		}
		switch b[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if _, ok := hex4(b, i+2); !ok {
				return malformed, true
			}
			i += 6
		default:
			return malformed, true
		}
	}
}

// scanNumber reads a number.
func scanNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return malformed
	case b[i] == '0':
		i++
	case '1' <= b[i] && b[i] <= '9':
		i = skipDigits(b, i)
	default:
		return malformed
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if i = skipDigits(b, from); i == from {
			return malformed
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		if i = skipDigits(b, from); i == from {
			return malformed
		}
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// skipValue reads any value that stands depth levels deep.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return malformed
	}
	switch c := b[i]; c {
	case '"':
		end, _ := scanString(b, i+1)
		if end < 0 {
			return malformed
		}
		return end + 1
	case '{':
		return skipObject(b, i+1, depth+1)
	case '[':
		return skipArray(b, i+1, depth+1)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	}
	return scanNumber(b, i)
}

func skipWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return malformed
	}
	return i + len(word)
}

// skipObject reads what follows an object's opening brace.
func skipObject(b []byte, i, depth int) int {
	if depth > maxDepth {
		return malformed
	}
	i = skipSpace(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return malformed
		}
		end, _ := scanString(b, i+1)
		if end < 0 {
			return malformed
		}
		if i = scanColon(b, end+1); i < 0 {
			return malformed
		}
		if i = skipValue(b, i, depth); i < 0 {
			return malformed
		}
		i = skipSpace(b, i)
		if i >= len(b) {
			return malformed
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return malformed
		}
		i = skipSpace(b, i+1)
	}
}

// skipArray reads what follows an array's opening bracket.
func skipArray(b []byte, i, depth int) int {
	if depth > maxDepth {
		return malformed
	}
	i = skipSpace(b, i)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = skipValue(b, i, depth); i < 0 {
			return malformed
		}
		i = skipSpace(b, i)
		if i >= len(b) {
			return malformed
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return malformed
		}
		i = skipSpace(b, i+1)
	}
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the text of a string that scanString accepted, decoded as encoding/json does: half surrogate
// pairs and bytes that are no UTF-8 become U+FFFD.
func appendUnescaped(to, raw []byte) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '\\' && raw[i+1] == 'u':
			r, _ := hex4(raw, i+2)
			i += 6
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+1 < len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					low, _ := hex4(raw, i+2)
					pair = utf16.DecodeRune(r, low)
				}
				if pair != utf8.RuneError {
					i += 6
				}
				r = pair
			}
			to = utf8.AppendRune(to, r)
		case c == '\\':
			to = append(to, unescapes[raw[i+1]])
			i += 2
		case c < utf8.RuneSelf:
			run := i + 1
			for run < len(raw) && raw[run] != '\\' && raw[run] < utf8.RuneSelf {
				run++
			}
			to = append(to, raw[i:run]...)
			i = run
		default:
			r, size := utf8.DecodeRune(raw[i:])
			to = utf8.AppendRune(to, r)
			i += size
		}
	}
	return to
}

var unescapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func isUTF8(b []byte) bool { return utf8.Valid(b) }
