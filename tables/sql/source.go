package sql

import (
	"strings"
	"unicode/utf8"
)

// Source is one SQL text and where it came from. Every statement points at its Source, so that whoever finds a fault
// later, the compiler for one, can still say where it is.
type Source struct {
	File string // as the user named it; "-e" or the like for text from a flag
	Text string
}

// Pos is a byte offset into a Source's text.
type Pos int

// Position returns the line and column of p, both counted from 1, the column in characters (not bytes), as editors do.
// A p beyond the text gives the place behind its last character.
func (s *Source) Position(p Pos) (line, column int) {
	start, _ := s.lineAt(p)
	at := s.clamp(p)
	return 1 + strings.Count(s.Text[:start], "\n"), 1 + utf8.RuneCountInString(s.Text[start:at])
}

// Error returns an *Error at p. hint, if not empty, is what to write instead: a clause such as `did you mean dns?`,
// without a full stop.
func (s *Source) Error(p Pos, message, hint string) *Error {
	start, end := s.lineAt(p)
	line, column := s.Position(p)
	return &Error{File: s.File, Line: line, Column: column, Text: s.Text[start:end], Message: message, Hint: hint}
}

// lineAt returns the byte range of the line that holds p, without its line break.
func (s *Source) lineAt(p Pos) (start, end int) {
	at := s.clamp(p)
	start = strings.LastIndexByte(s.Text[:at], '\n') + 1
	end = len(s.Text)
	if i := strings.IndexByte(s.Text[at:], '\n'); i >= 0 {
		end = at + i
	}
	return start, end
}

func (s *Source) clamp(p Pos) int { return min(max(int(p), 0), len(s.Text)) }
