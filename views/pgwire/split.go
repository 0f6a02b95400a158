package pgwire

import (
	"iter"

	"github.com/brotally/brotally/views/pgwire/pgcatalog"
)

// maxPiece is how long a statement may be whose tokens are looked at here: all but look-ups.
const maxPiece = 64 << 10

// piece is one statement of a text.
type piece struct {
	text   string // without its semicolon
	from   int    // byte in the whole text
	tokens []pgcatalog.Token
}

// first is the statement's first word, in lower case.
func (p piece) first() string { return p.word(0) }

// word is the statement's word n, from 0; empty when it is none.
func (p piece) word(n int) string {
	if n < len(p.tokens) && p.tokens[n].Kind == pgcatalog.Word {
		return p.tokens[n].Text
	}
	return ""
}

// long reports whether only the first token is there, since the statement is longer than maxPiece.
func (p piece) long() bool { return len(p.text) > maxPiece }

// split cuts a text into its statements; empty ones are left out. A text that has no tokens is one statement: whoever compiles it says
// why. Tokens, which take many times what the text does, are made for one statement after the other.
func split(text string) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		if err := pgcatalog.Each(text, func(pgcatalog.Token) bool { return true }); err != nil {
			yield(piece{text: text})
			return
		}
		start := -1
		_ = pgcatalog.Each(text, func(t pgcatalog.Token) bool { // no error: it was read before
			if t.Kind != pgcatalog.End && !t.Is(";") {
				if start < 0 {
					start = t.At
				}
				return true
			}
			if start < 0 {
				return true
			}
			p := piece{text: text[start:t.At], from: start}
			start = -1
			_ = pgcatalog.Each(p.text, func(t pgcatalog.Token) bool {
				p.tokens = append(p.tokens, t)
				return !p.long()
			})
			return yield(p)
		})
	}
}
