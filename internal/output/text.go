package output

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Printable returns s with everything escaped that a terminal would obey, hide or reorder: control characters as \n, \t or
// \x1b, other non-printing characters as \u202e, bytes that are no UTF-8 as \xff. A backslash stays as it is: the text is for
// people to read, not to be read back.
func Printable(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' {
			return string(appendPrintable(make([]byte, 0, len(s)+16), s))
		}
	}
	return s
}

const hexDigits = "0123456789abcdef"

func appendPrintable(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&15])
		case unicode.IsPrint(r):
			b = append(b, s[i:i+size]...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x80:
			b = append(b, '\\', 'x', hexDigits[r>>4], hexDigits[r&15])
		case r < 0x10000:
			b = appendHex4(b, r)
		default:
			b = append(b, '\\', 'U', '0', '0', hexDigits[r>>20&15], hexDigits[r>>16&15])
			b = append(b, appendHex4(nil, r&0xffff)[2:]...)
		}
		i += size
	}
	return b
}

// appendHex4 appends \u and r's lower 16 bits.
func appendHex4(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// ScreenWidth returns how many columns printable text takes on a terminal: two for East Asian wide characters, none for
// marks that combine with the character before them.
func ScreenWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens printable text to at most n > 0 screen columns; an ellipsis shows that something is missing.
func Cut(s string, n int) string {
	if len(s) <= n || ScreenWidth(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		w := runeWidth(r)
		if used+w > n-1 {
			return s[:i] + "…"
		}
		used += w
	}
	return s
}

func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }
