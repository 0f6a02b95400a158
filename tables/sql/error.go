package sql

import (
	"fmt"
	"strings"
	"unicode"
)

// Error is a fault in an SQL text, with its place and, where there is one, what to write instead. Its text is the
// message on one line, the source line below it, and a caret under the place:
//
//	tables.sql:2:23: no column qtype in dns; did you mean qtype_name?
//	  SELECT id.orig_h, qtype, count(*) FROM dns
//	                    ^
type Error struct {
	File    string
	Line    int    // from 1
	Column  int    // from 1, in characters
	Text    string // the source line, without its line break
	Message string // lower case, no full stop
	Hint    string // what to write instead; may be empty
}

// maxLineShown is how many characters of a source line an error shows; a longer line is cut around the caret.
const maxLineShown = 120

// Error returns the message, the source line and the caret, three lines without a final line break.
// Control characters of the source line are shown as blanks: SQL text may come from anywhere, a terminal is not to obey it.
func (e *Error) Error() string {
	line, caret := e.excerpt()
	return fmt.Sprintf("%s\n  %s\n  %s^", e.Summary(), line, strings.Repeat(" ", caret))
}

// Summary returns the place, the message and the hint on one line: for logs and JSON answers.
func (e *Error) Summary() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
	}
	fmt.Fprintf(&b, "%d:%d: %s", e.Line, e.Column, printable(e.Message))
	if e.Hint != "" {
		b.WriteString("; " + printable(e.Hint))
	}
	return b.String()
}

// excerpt returns what of the source line is shown and how many characters into it the caret stands.
func (e *Error) excerpt() (string, int) {
	line, at := []rune(printable(e.Text)), e.Column-1
	from := 0
	if at > maxLineShown*3/4 && len(line) > maxLineShown {
		from = min(at-maxLineShown/2, len(line)-maxLineShown)
	}
	to := min(from+maxLineShown, len(line))
	return strings.TrimRight(string(line[from:to]), " "), at - from
}

// printable replaces everything that is not one printable column, tabs included, by a blank: the caret must stay in place.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
