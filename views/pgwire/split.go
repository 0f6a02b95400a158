package pgwire

import (
	"slices"

	"github.com/brotally/brotally/views/pgwire/pgcatalog"
)

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

// split cuts a text into its statements; empty ones are left out. A text that has no tokens is one statement: whoever compiles it says
// why.
func split(text string) []piece {
	tokens, err := pgcatalog.Lex(text)
	if err != nil {
		return []piece{{text: text}}
	}
	var out []piece
	from := 0
	for i, t := range tokens {
		if t.Kind != pgcatalog.End && !t.Is(";") {
			continue
		}
		if i > from {
			start := tokens[from].At
			p := piece{text: text[start:t.At], from: start, tokens: slices.Clone(tokens[from:i])}
			for j := range p.tokens {
				p.tokens[j].At -= start
			}
			p.tokens = append(p.tokens, pgcatalog.Token{Kind: pgcatalog.End, At: len(p.text)})
			out = append(out, p)
		}
		from = i + 1
	}
	return out
}
