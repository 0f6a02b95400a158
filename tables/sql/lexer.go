package sql

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd    tokenKind = iota // end of the text
	tokWord                    // a bare word: keyword or name; text as written
	tokQuoted                  // "name" or `name`; text without quotes
	tokNumber                  // text as written, underscores removed
	tokString                  // 'text'; text without quotes
	tokParam                   // $1; text is the number
	tokOp                      // operator or punctuation; != is given as <>
)

type token struct {
	kind tokenKind
	text string
	at   Pos
}

// is reports whether the token is the keyword or operator s (upper case).
func (t token) is(s string) bool {
	switch t.kind {
	case tokWord:
		return len(t.text) == len(s) && upper(t.text) == s
	case tokOp:
		return t.text == s
	}
	return false
}

// String is the token as an error message names it.
func (t token) String() string {
	switch t.kind {
	case tokEnd:
		return "the end of the text"
	case tokQuoted:
		return quoteName(t.text)
	case tokString:
		return quoteString(t.text)
	case tokParam:
		return "$" + t.text
	}
	return t.text
}

// operators, longest first: the first one that fits is taken.
var operators = []string{
	"!~*", "::", "<=", ">=", "<>", "!=", "||", "!~", "~*",
	"(", ")", "[", "]", ",", ";", ".", "=", "<", ">", "+", "-", "*", "/", "%", "~",
}

// lex cuts the text into tokens; the last one is tokEnd.
func lex(src *Source) ([]token, error) {
	l := lexer{src: src, text: src.Text}
	for {
		if err := l.skipBlanks(); err != nil {
			return nil, err
		}
		if l.at == len(l.text) {
			l.emit(tokEnd, "", l.at)
			return l.tokens, nil
		}
		if err := l.next(); err != nil {
			return nil, err
		}
	}
}

type lexer struct {
	src    *Source
	text   string
	at     int
	tokens []token
}

func (l *lexer) emit(kind tokenKind, text string, from int) {
	l.tokens = append(l.tokens, token{kind, text, Pos(from)})
}

func (l *lexer) errorAt(at int, message, hint string) error {
	return l.src.Error(Pos(at), message, hint)
}

func (l *lexer) peek(ahead int) byte {
	if l.at+ahead < len(l.text) {
		return l.text[l.at+ahead]
	}
	return 0
}

// skipBlanks skips white space and comments; /* */ nests, as in PostgreSQL.
func (l *lexer) skipBlanks() error {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			l.at++
		case strings.HasPrefix(l.text[l.at:], "\ufeff"): // a byte order mark, as some editors write it
			l.at += len("\ufeff")
		case strings.HasPrefix(l.text[l.at:], "--"):
			if i := strings.IndexByte(l.text[l.at:], '\n'); i >= 0 {
				l.at += i
			} else {
				l.at = len(l.text)
			}
		case strings.HasPrefix(l.text[l.at:], "/*"):
			if err := l.skipComment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) skipComment() error {
	from, depth := l.at, 0
	for l.at < len(l.text) {
		switch {
		case strings.HasPrefix(l.text[l.at:], "/*"):
			depth++
			l.at += 2
		case strings.HasPrefix(l.text[l.at:], "*/"):
			depth--
			l.at += 2
			if depth == 0 {
				return nil
			}
		default:
			l.at++
		}
	}
	return l.errorAt(from, "comment is never closed", "close it with */")
}

func (l *lexer) next() error {
	from := l.at
	c := l.text[from]
	switch {
	case c == '\'':
		text, err := l.quoted('\'', "string")
		l.emit(tokString, text, from)
		return err
	case (c == 'e' || c == 'E') && l.peek(1) == '\'':
		l.at++
		text, err := l.escaped()
		l.emit(tokString, text, from)
		return err
	case c == '"' || c == '`':
		text, err := l.quoted(c, "quoted name")
		if err == nil && text == "" {
			err = l.errorAt(from, "a name cannot be empty", "")
		}
		l.emit(tokQuoted, text, from)
		return err
	case isDigit(c) || c == '.' && isDigit(l.peek(1)):
		return l.number()
	case c == '$':
		return l.param()
	}
	if r, size := utf8.DecodeRuneInString(l.text[from:]); isNameStart(r) {
		for isNamePart(r) && size > 0 {
			l.at += size
			r, size = utf8.DecodeRuneInString(l.text[l.at:])
		}
		l.emit(tokWord, l.text[from:l.at], from)
		return nil
	}
	if sign, hint := foreignSign(l.text[from:]); sign != "" && !slices.ContainsFunc(operators, func(op string) bool { return len(op) >= len(sign) && strings.HasPrefix(l.text[from:], op) }) {
		return l.errorAt(from, "unexpected "+sign, hint)
	}
	for _, op := range operators {
		if strings.HasPrefix(l.text[from:], op) {
			l.at += len(op)
			if op == "!=" {
				op = "<>"
			}
			l.emit(tokOp, op, from)
			return nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.text[from:])
	hint := ""
	switch r {
	case '‘', '’', '“', '”':
		hint = `write strings in '..' and names in ".."`
	}
	return l.errorAt(from, "unexpected character "+strconv.QuoteRune(r), hint)
}

// quoted reads up to the closing quote; a doubled quote stands for itself.
func (l *lexer) quoted(q byte, what string) (string, error) {
	from := l.at
	l.at++
	var b strings.Builder
	for l.at < len(l.text) {
		c := l.text[l.at]
		if c != q {
			b.WriteByte(c)
			l.at++
			continue
		}
		if l.peek(1) != q {
			l.at++
			text := b.String()
			switch {
			case !utf8.ValidString(text):
				return text, l.errorAt(from, what+" is not valid UTF-8", "")
			case strings.IndexByte(text, 0) >= 0:
				return text, l.errorAt(from, what+" holds a NUL character", "")
			}
			return text, nil
		}
		b.WriteByte(q)
		l.at += 2
	}
	return "", l.errorAt(from, what+" is never closed", "close it with "+string(q))
}

// escaped reads a string in which a backslash does something: E'a\\b', as clients write texts that have one. It stands for a control
// character, a code (\x41, \101, \u0041, \U00000041), or what is behind it.
func (l *lexer) escaped() (string, error) {
	from := l.at
	l.at++
	var b strings.Builder
	for {
		c := l.peek(0)
		switch {
		case l.at >= len(l.text):
			return "", l.errorAt(from, "string is never closed", "close it with '")
		case c == '\'' && l.peek(1) != '\'':
			l.at++
			text := b.String()
			switch {
			case !utf8.ValidString(text):
				return text, l.errorAt(from, "string is not valid UTF-8", "")
			case strings.IndexByte(text, 0) >= 0:
				return text, l.errorAt(from, "string holds a NUL character", "")
			}
			return text, nil
		case c == '\'':
			b.WriteByte(c)
			l.at += 2
		case c != '\\' || l.at+1 >= len(l.text):
			b.WriteByte(c)
			l.at++
		default:
			l.at++
			l.escape(&b)
		}
	}
}

// escape reads what is behind a backslash.
func (l *lexer) escape(b *strings.Builder) {
	c := l.peek(0)
	l.at++
	code := func(from, most, base int) bool {
		digits, n := "01234567", 0
		if base == 16 {
			digits = "0123456789abcdefABCDEF"
		}
		for n < most && strings.IndexByte(digits, l.peek(from+n)) >= 0 {
			n++
		}
		if n == 0 || most > 3 && n < most {
			return false
		}
		r, _ := strconv.ParseUint(l.text[l.at+from:l.at+from+n], base, 32)
		if l.at += from + n; most > 3 {
			b.WriteRune(rune(r))
		} else {
			b.WriteByte(byte(r))
		}
		return true
	}
	switch {
	case strings.IndexByte("nrtbf", c) >= 0:
		b.WriteByte("\n\r\t\b\f"[strings.IndexByte("nrtbf", c)])
	case c == 'x' && code(0, 2, 16), c == 'u' && code(0, 4, 16), c == 'U' && code(0, 8, 16), c >= '0' && c <= '7' && code(-1, 3, 8):
	default:
		b.WriteByte(c)
	}
}

// number reads 12, 1_000, 1.5, .5, 1e9, 1.5e-3.
func (l *lexer) number() error {
	from := l.at
	l.digits()
	if l.peek(0) == '.' {
		l.at++
		l.digits()
	}
	if c := l.peek(0); c == 'e' || c == 'E' {
		after := 1
		if s := l.peek(1); s == '+' || s == '-' {
			after = 2
		}
		if isDigit(l.peek(after)) {
			l.at += after
			l.digits()
		}
	}
	r, _ := utf8.DecodeRuneInString(l.text[l.at:])
	text := l.text[from:l.at]
	if l.at < len(l.text) && (isNamePart(r) || r == '.') || strings.HasSuffix(text, "_") {
		if address := bareAddress(l.text[from:]); address != "" {
			return l.errorAt(from, "not a number: "+address, "addresses and networks are written '"+address+"'")
		}
		return l.errorAt(from, "not a number: "+text+string(r), "quote a name that begins with a digit")
	}
	l.emit(tokNumber, strings.ReplaceAll(text, "_", ""), from)
	return nil
}

func (l *lexer) digits() {
	for isDigit(l.peek(0)) || l.peek(0) == '_' && isDigit(l.peek(1)) {
		l.at++
	}
}

func (l *lexer) param() error {
	from := l.at
	l.at++
	for isDigit(l.peek(0)) {
		l.at++
	}
	n, err := strconv.Atoi(l.text[from+1 : l.at])
	if err != nil || n < 1 || n > 65535 {
		return l.errorAt(from, "a parameter is $ and a number from 1 to 65535", "")
	}
	l.emit(tokParam, strconv.Itoa(n), from)
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameStart(r rune) bool { return r == '_' || r != utf8.RuneError && unicode.IsLetter(r) }

func isNamePart(r rune) bool { return isNameStart(r) || unicode.IsDigit(r) }
