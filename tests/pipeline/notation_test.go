package pipeline

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// manyTimes is from how many of one character on a text is shortened.
const manyTimes = 33

// visible writes what a text file cannot show in angle brackets: <U+202E>, <0xff>, <x*1024>.
func visible(s string) string {
	var b strings.Builder
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		n := len(s) - len(strings.TrimLeft(s, s[:size]))
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "<0x%02x>", s[0])
			s = s[1:]
			continue
		}
		shown := s[:size]
		if !unicode.IsPrint(r) {
			shown = fmt.Sprintf("<U+%04X>", r)
		}
		if n/size >= manyTimes && unicode.IsPrint(r) {
			fmt.Fprintf(&b, "<%c*%d>", r, n/size)
			s = s[n:]
			continue
		}
		b.WriteString(shown)
		s = s[size:]
	}
	return b.String()
}

var bracketed = regexp.MustCompile(`<(0x[0-9a-f]{2}|U\+[0-9A-F]{4,6}|.\*[0-9]+)>`)

// bytesOf reads what visible writes.
func bytesOf(s string) string {
	return bracketed.ReplaceAllStringFunc(s, func(m string) string {
		m = m[1 : len(m)-1]
		if hex, ok := strings.CutPrefix(m, "0x"); ok {
			n, _ := strconv.ParseUint(hex, 16, 8)
			return string([]byte{byte(n)})
		}
		if hex, ok := strings.CutPrefix(m, "U+"); ok && len(hex) >= 4 {
			n, _ := strconv.ParseUint(hex, 16, 32)
			return string(rune(n))
		}
		char, times, _ := strings.Cut(m, "*")
		n, _ := strconv.Atoi(times)
		return strings.Repeat(char, n)
	})
}

// cell writes a JSON value as a cell of a row: a text is itself as long as nobody could take it for something else.
func cell(v json.RawMessage) string {
	var s string
	switch {
	case string(v) == "null":
		return "NULL"
	case json.Unmarshal(v, &s) != nil:
		return visible(string(v)) // a number, a bool, an array
	case s == "" || s == "NULL" || strings.ContainsAny(s, " \t") || strings.ContainsAny(s[:1], `"[(`):
		return visible(string(v))
	}
	return visible(s)
}

// aligned writes rows of cells as lines, their columns below each other.
func aligned(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		var b strings.Builder
		for j, c := range row {
			b.WriteString(c)
			if j < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[j]-utf8.RuneCountInString(c)+2))
			}
		}
		lines[i] = b.String()
	}
	return lines
}

func TestTextsAreShownAndReadBack(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                   "plain",
		"":                        "",
		"a\xffb":                  "a<0xff>b",
		"\u202eevil":              "<U+202E>evil",
		"\x00":                    "<U+0000>",
		"ä€":                      "ä€",
		strings.Repeat("x", 33):   "<x*33>",
		strings.Repeat("x", 32):   strings.Repeat("x", 32),
		strings.Repeat("ä", 2048): "<ä*2048>",
		"<tag>":                   "<tag>",
	} {
		got := visible(text)
		if got != want {
			t.Errorf("visible(%q) = %q, want %q", text, got, want)
		}
		if back := bytesOf(got); back != text {
			t.Errorf("bytesOf(%q) = %q, want %q", got, back, text)
		}
	}
}

func TestCellsAreUnmistakable(t *testing.T) {
	for value, want := range map[string]string{
		`null`: "NULL", `"NULL"`: `"NULL"`, `""`: `""`, `"A"`: "A", `"a b"`: `"a b"`, `12`: "12", `true`: "true",
		`[]`: "[]", `["a"]`: `["a"]`, `"[]"`: `"[]"`, `"\\N"`: `\N`,
	} {
		if got := cell(json.RawMessage(value)); got != want {
			t.Errorf("cell(%s) = %s, want %s", value, got, want)
		}
	}
}
