package pgcatalog

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is a fault in a statement.
type Error struct {
	At      int    // byte in the text; -1: no place in particular
	Code    string // SQLSTATE
	Message string // lower case, no full stop
	Hint    string // may be empty
}

func (e *Error) Error() string { return e.Message }

// SQLSTATEs of what is answered here, see PostgreSQL's appendix A.
const (
	codeSyntax       = "42601"
	codeNotSupported = "0A000"
	codeNoTable      = "42P01"
	codeNoColumn     = "42703"
	codeNoFunction   = "42883"
	codeNoType       = "42704"
	codeNoParam      = "42P02"
	codeBadText      = "22P02"
	codeTooMuch      = "54001"
	codeNotOneRow    = "21000"
	codeDivision     = "22012"
	codeInternal     = "XX000"
)

// Kind is the kind of a token.
type Kind uint8

// The kinds of tokens.
const (
	End    Kind = iota // of the text
	Word               // a bare word, in lower case
	Quoted             // "name", without quotes
	Number             // as written
	String             // 'text', without quotes
	Param              // $1; Text is the number
	Op                 // operator or punctuation
)

// Token is one token of a text.
type Token struct {
	Kind Kind
	Text string
	At   int // byte in the text
}

// Is reports whether the token is that keyword, in lower case, or operator.
func (t Token) Is(s string) bool { return (t.Kind == Word || t.Kind == Op) && t.Text == s }

// String is the token as an error names it.
func (t Token) String() string {
	switch t.Kind {
	case End:
		return "the end of the text"
	case Quoted:
		return `"` + t.Text + `"`
	case String:
		return "'" + t.Text + "'"
	case Param:
		return "$" + t.Text
	}
	return t.Text
}

// Lex cuts a text into tokens as PostgreSQL does; the last one is End. Names in backticks are taken too. Errors are *Error.
func Lex(text string) ([]Token, error) {
	var tokens []Token
	err := Each(text, func(t Token) bool {
		tokens = append(tokens, t)
		return true
	})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// Each is [Lex] that gives out one token after the other, and ends early when yield returns false.
func Each(text string, yield func(Token) bool) error {
	l := lexer{text: text}
	for {
		if err := l.blanks(); err != nil {
			return err
		}
		if l.at >= len(text) {
			yield(Token{Kind: End, At: len(text)})
			return nil
		}
		if err := l.next(); err != nil {
			return err
		}
		if !yield(l.token) {
			return nil
		}
	}
}

// maxOperator is how many bytes an operator may have, as in PostgreSQL.
const maxOperator = 63

type lexer struct {
	text  string
	at    int
	token Token // the last one
}

func (l *lexer) rest() string { return l.text[l.at:] }

func (l *lexer) fail(at int, format string, args ...any) error {
	return &Error{At: at, Code: codeSyntax, Message: fmt.Sprintf(format, args...)}
}

// blanks skips white space and comments; /* */ nests.
func (l *lexer) blanks() error {
	for l.at < len(l.text) {
		rest := l.rest()
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.at += end
		case strings.HasPrefix(rest, "/*"):
			from, depth := l.at, 0
			for {
				switch {
				case l.at >= len(l.text):
					return l.fail(from, "comment is never closed")
				case strings.HasPrefix(l.rest(), "/*"):
					depth, l.at = depth+1, l.at+2
				case strings.HasPrefix(l.rest(), "*/"):
					depth, l.at = depth-1, l.at+2
				default:
					l.at++
				}
				if depth == 0 {
					break
				}
			}
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) emit(kind Kind, text string, from int) error {
	l.token = Token{kind, text, from}
	return nil
}

func (l *lexer) next() error {
	from, rest := l.at, l.rest()
	c := rest[0]
	switch {
	case c == '\'':
		return l.quoted(String, '\'', from, false)
	case (c == 'e' || c == 'E') && len(rest) > 1 && rest[1] == '\'':
		l.at++
		return l.quoted(String, '\'', from, true)
	case c == '"' || c == '`':
		return l.quoted(Quoted, c, from, false)
	case digit(c) || c == '.' && len(rest) > 1 && digit(rest[1]):
		return l.number(from)
	case c == '$':
		return l.dollar(from)
	}
	if r, _ := utf8.DecodeRuneInString(rest); nameStart(r) {
		end := strings.IndexFunc(rest, func(r rune) bool { return !nameStart(r) && !unicode.IsDigit(r) && r != '$' })
		if end < 0 {
			end = len(rest)
		}
		l.at += end
		return l.emit(Word, lower(rest[:end]), from)
	}
	for _, op := range [...]string{"::", ":=", "=>"} {
		if strings.HasPrefix(rest, op) {
			l.at += 2
			return l.emit(Op, op, from)
		}
	}
	if strings.IndexByte("()[],;.:", c) >= 0 {
		l.at++
		return l.emit(Op, rest[:1], from)
	}
	n, unusual := 0, false
	for n < min(len(rest), maxOperator+1) && strings.IndexByte("+-*/<>=~!@#%^&|?", rest[n]) >= 0 && !strings.HasPrefix(rest[n:], "--") && !strings.HasPrefix(rest[n:], "/*") {
		unusual = unusual || strings.IndexByte("~!@#%^&|?", rest[n]) >= 0
		n++
	}
	// As PostgreSQL: an operator ends in + or - only if it has an unusual character too, so that =-1 is = and -1.
	for n > 1 && !unusual && (rest[n-1] == '+' || rest[n-1] == '-') {
		n--
	}
	if n > maxOperator {
		return l.fail(from, "operator too long")
	}
	if n == 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		return l.fail(from, "unexpected character %q", r)
	}
	l.at += n
	op := rest[:n]
	if op == "!=" {
		op = "<>"
	}
	return l.emit(Op, op, from)
}

// quoted reads up to the closing quote; a doubled one stands for itself. escapes says that a backslash does something.
func (l *lexer) quoted(kind Kind, q byte, from int, escapes bool) error {
	var b strings.Builder
	for l.at++; l.at < len(l.text); l.at++ {
		c := l.text[l.at]
		switch {
		case c == '\\' && escapes && l.at+1 < len(l.text):
			l.at++
			c = l.text[l.at]
			if i := strings.IndexByte("nrtbf", c); i >= 0 {
				c = "\n\r\t\b\f"[i]
			}
		case c == q && l.at+1 < len(l.text) && l.text[l.at+1] == q:
			l.at++
		case c == q:
			l.at++
			return l.emit(kind, b.String(), from)
		}
		b.WriteByte(c)
	}
	return l.fail(from, "a quote is never closed")
}

func (l *lexer) number(from int) error {
	digits := func() {
		for l.at < len(l.text) && digit(l.text[l.at]) {
			l.at++
		}
	}
	digits()
	if l.at < len(l.text) && l.text[l.at] == '.' {
		l.at++
		digits()
	}
	if l.at < len(l.text) && (l.text[l.at] == 'e' || l.text[l.at] == 'E') {
		mark := l.at
		if l.at++; l.at < len(l.text) && (l.text[l.at] == '+' || l.text[l.at] == '-') {
			l.at++
		}
		if l.at < len(l.text) && digit(l.text[l.at]) {
			digits()
		} else {
			l.at = mark
		}
	}
	return l.emit(Number, l.text[from:l.at], from)
}

// dollar reads a parameter or a dollar-quoted string.
func (l *lexer) dollar(from int) error {
	rest := l.rest()[1:]
	n := 0
	for n < len(rest) && digit(rest[n]) {
		n++
	}
	if n > 0 {
		l.at += 1 + n
		return l.emit(Param, rest[:n], from)
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return !nameStart(r) && !unicode.IsDigit(r) })
	if end < 0 || rest[end] != '$' {
		return l.fail(from, "unexpected $")
	}
	tag := "$" + rest[:end+1]
	body := rest[end+1:]
	close := strings.Index(body, tag)
	if close < 0 {
		return l.fail(from, "a quote is never closed")
	}
	l.at += 1 + end + 1 + close + len(tag)
	return l.emit(String, body[:close], from)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func nameStart(r rune) bool { return r == '_' || r != utf8.RuneError && unicode.IsLetter(r) }

// lower changes ASCII letters alone, as PostgreSQL does.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
