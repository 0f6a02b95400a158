package tables

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

func (s *scope) like(e *sql.Like) (*expr, error) {
	op := map[bool]string{false: "LIKE", true: "ILIKE"}[e.Fold]
	operands := []sql.Expr{e.X, e.Pattern}
	if e.Escape != nil {
		operands = append(operands, e.Escape)
	}
	var xs []*expr
	for _, operand := range operands {
		x, err := s.compile(operand)
		if err != nil {
			return nil, err
		}
		if x.typ.Kind == feeds.Inet {
			return nil, s.errorf(operand, "write in_subnet("+x.text+", '10.0.0.0/8')", "%s needs a string, %s is inet", op, x.text)
		}
		if x, err = s.stringOperand(operand, x, op); err != nil {
			return nil, err
		}
		xs = append(xs, x)
	}
	escape := "\\"
	if e.Escape != nil {
		switch c := xs[2]; {
		case !c.konst || c.isNull() || utf8.RuneCountInString(c.val.Str()) > 1:
			return nil, s.errorf(e.Escape, "", "ESCAPE takes one character, or '' for none")
		default:
			escape = c.val.Str()
		}
	}
	text := sql.Format(e)
	x, pattern := xs[0], xs[1]
	out, err := s.likeCondition(e, text, x, pattern, escape)
	if err != nil {
		return nil, err
	}
	if e.Not {
		out = s.negation(text, out)
	}
	return s.fold(e, out, x, pattern)
}

func (s *scope) likeCondition(e *sql.Like, text string, x, pattern *expr, escape string) (*expr, error) {
	switch {
	case pattern.isNull():
		return constant(feeds.NullValue, feeds.T(feeds.Bool), text), nil
	case !pattern.konst:
		return condition(text, func(slots []int) cond {
			value, template := x.eval(slots), pattern.eval(slots)
			return func(env *env) truth {
				v, t := value(env), template(env)
				if v.IsNull() || t.IsNull() {
					return unknown
				}
				m, ok := parseLike(t.Str(), escape, e.Fold)
				if !ok {
					env.overflows++
					return unknown
				}
				return truthOf(m.match(v.Str()))
			}
		}), nil
	}
	m, ok := parseLike(pattern.val.Str(), escape, e.Fold)
	if !ok {
		return nil, s.errorf(e.Pattern, "double the escape character to mean itself", "the pattern ends with its escape character")
	}
	return condition(text, func(slots []int) cond {
		value := x.eval(slots)
		return func(env *env) truth {
			v := value(env)
			if v.IsNull() {
				return unknown
			}
			return truthOf(m.match(v.Str()))
		}
	}), nil
}

// likePattern is a pattern of LIKE: pieces of text with any text between them. Most patterns are one piece at an end or
// in the middle, which the strings package finds fastest.
type likePattern struct {
	pieces []likePiece // '%' stands between them
	fold   bool        // ILIKE: letters of either case match
}

// likePiece is a piece without '%': its characters, -1 for '_'. text is the same where it has no '_' and case counts.
type likePiece struct {
	runes []rune
	text  string
	plain bool
}

const anyRune = -1

// parseLike reads a pattern; ok is false when it ends with its escape character.
func parseLike(pattern, escape string, fold bool) (p *likePattern, ok bool) {
	p = &likePattern{fold: fold}
	var piece likePiece
	plain := !fold
	var text strings.Builder
	flush := func() {
		piece.plain, piece.text = plain, text.String()
		p.pieces = append(p.pieces, piece)
		piece, plain = likePiece{}, !fold
		text.Reset()
	}
	for len(pattern) > 0 {
		r, size := likeRune(pattern)
		switch c := pattern[:size]; {
		case escape != "" && c == escape:
			pattern = pattern[size:]
			if pattern == "" {
				return nil, false
			}
			r, size = likeRune(pattern)
			piece.runes = append(piece.runes, p.folded(r))
			text.WriteString(pattern[:size])
		case c == "%":
			flush()
		case c == "_":
			piece.runes = append(piece.runes, anyRune)
			plain = false
		default:
			piece.runes = append(piece.runes, p.folded(r))
			text.WriteString(c)
		}
		pattern = pattern[size:]
	}
	flush()
	return p, true
}

// likeRune reads one character; a byte that is no UTF-8 is a character of its own, different from every other.
func likeRune(s string) (r rune, size int) {
	if c := s[0]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	r, size = utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 {
		return utf8.MaxRune + 1 + rune(s[0]), 1
	}
	return r, size
}

func (p *likePattern) folded(r rune) rune {
	if p.fold && r <= utf8.MaxRune {
		return unicode.ToLower(r)
	}
	return r
}

// match reports whether all of s matches.
func (p *likePattern) match(s string) bool {
	first, last := p.pieces[0], p.pieces[len(p.pieces)-1]
	rest, ok := p.matchAt(s, first)
	if !ok {
		return false
	}
	if len(p.pieces) == 1 {
		return rest == ""
	}
	// Between two '%' the first place that fits is as good as any: what follows may stand anywhere behind it.
	for _, piece := range p.pieces[1 : len(p.pieces)-1] {
		if rest, ok = p.find(rest, piece); !ok {
			return false
		}
	}
	return p.matchEnd(rest, last)
}

// matchAt matches piece at the start of s and returns what follows.
func (p *likePattern) matchAt(s string, piece likePiece) (rest string, ok bool) {
	if piece.plain {
		return strings.CutPrefix(s, piece.text)
	}
	for _, want := range piece.runes {
		if s == "" {
			return "", false
		}
		r, size := likeRune(s)
		if want != anyRune && p.folded(r) != want {
			return "", false
		}
		s = s[size:]
	}
	return s, true
}

// find matches piece at the first place in s where it fits.
func (p *likePattern) find(s string, piece likePiece) (rest string, ok bool) {
	if piece.plain {
		_, rest, ok = strings.Cut(s, piece.text)
		return rest, ok
	}
	for {
		if rest, ok = p.matchAt(s, piece); ok {
			return rest, true
		}
		if s == "" {
			return "", false
		}
		_, size := likeRune(s)
		s = s[size:]
	}
}

// matchEnd matches piece at the end of s.
func (p *likePattern) matchEnd(s string, piece likePiece) bool {
	if piece.plain {
		return strings.HasSuffix(s, piece.text)
	}
	// As many characters from the end as the piece has.
	for skip := likeCount(s) - len(piece.runes); skip > 0; skip-- {
		_, size := likeRune(s)
		s = s[size:]
	}
	rest, ok := p.matchAt(s, piece)
	return ok && rest == ""
}

func likeCount(s string) (n int) {
	for ; s != ""; n++ {
		_, size := likeRune(s)
		s = s[size:]
	}
	return n
}
