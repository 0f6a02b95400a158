package tables

import (
	"strings"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// stringFunction is a function of one string.
func stringFunction(kind feeds.Kind, f func(s string) feeds.Value) function {
	return func(s *scope, e *sql.Call, args []*expr) (*expr, error) {
		if err := s.arity(e, 1, e.Name+"(text)"); err != nil {
			return nil, err
		}
		x, err := s.stringOperand(e.Args[0], args[0], e.Name)
		if err != nil {
			return nil, err
		}
		out := &expr{typ: feeds.T(kind), text: sql.Format(e), column: -1}
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return f(v.Str()) })
		return s.fold(e, out, x)
	}
}

// substr is substr(text, from [, count]): characters counted from 1. As in PostgreSQL, places before the first are
// counted as well: substr('abc', 0, 2) is 'a'. A negative count has no value.
func (s *scope) substr(e *sql.Call, args []*expr) (*expr, error) {
	if len(args) != 2 && len(args) != 3 {
		return nil, s.errorf(e, "write "+e.Name+"(text, from, count)", "%s takes 2 or 3 arguments, not %d", e.Name, len(args))
	}
	text, err := s.stringOperand(e.Args[0], args[0], e.Name)
	if err != nil {
		return nil, err
	}
	from, err := s.integerOperand(e.Args[1], args[1], e.Name)
	if err != nil {
		return nil, err
	}
	out := &expr{typ: feeds.T(feeds.String), text: sql.Format(e), column: -1}
	if len(args) == 2 {
		out.eval = binaryEval(text, from, func(_ *env, text, from feeds.Value) feeds.Value {
			return feeds.StringValue(text.Str()[runeOffset(text.Str(), clampInt(from)-1):])
		})
		return s.fold(e, out, text, from)
	}
	count, err := s.integerOperand(e.Args[2], args[2], e.Name)
	if err != nil {
		return nil, err
	}
	out.eval = ternaryEval(text, from, count, func(e *env, text, from, count feeds.Value) feeds.Value {
		first, n := clampInt(from)-1, clampInt(count)
		if n < 0 {
			return e.none()
		}
		rest := text.Str()[runeOffset(text.Str(), first):]
		return feeds.StringValue(rest[:runeOffset(rest, n+min(first, 0))])
	})
	return s.fold(e, out, text, from, count)
}

// runeOffset returns where the n-th character of s begins, counted from 0: 0 for negative n, len(s) beyond the end.
func runeOffset(s string, n int64) (offset int) {
	if n >= int64(len(s)) {
		return len(s)
	}
	for ; n > 0 && offset < len(s); n-- {
		if s[offset] < utf8.RuneSelf {
			offset++
			continue
		}
		_, size := utf8.DecodeRuneInString(s[offset:])
		offset += size
	}
	return offset
}

// end is left(text, n) and right(text, n): n characters of one end; of a negative n, all but -n at the other.
func end(cut func(s string, n int64) string) function {
	return func(s *scope, e *sql.Call, args []*expr) (*expr, error) {
		if err := s.arity(e, 2, e.Name+"(text, n)"); err != nil {
			return nil, err
		}
		text, err := s.stringOperand(e.Args[0], args[0], e.Name)
		if err != nil {
			return nil, err
		}
		n, err := s.integerOperand(e.Args[1], args[1], e.Name)
		if err != nil {
			return nil, err
		}
		out := &expr{typ: feeds.T(feeds.String), text: sql.Format(e), column: -1}
		out.eval = binaryEval(text, n, func(_ *env, text, n feeds.Value) feeds.Value {
			return feeds.StringValue(cut(text.Str(), clampInt(n)))
		})
		return s.fold(e, out, text, n)
	}
}

func left(s string, n int64) string {
	if n < 0 {
		n = max(int64(utf8.RuneCountInString(s))+n, 0)
	}
	return s[:runeOffset(s, n)]
}

func right(s string, n int64) string {
	if n < 0 {
		return s[runeOffset(s, -n):]
	}
	return s[runeOffset(s, int64(utf8.RuneCountInString(s))-n):]
}

// trim is trim, ltrim and rtrim of blanks, or of the characters that the second argument lists.
func trim(cut func(s, characters string) string) function {
	return func(s *scope, e *sql.Call, args []*expr) (*expr, error) {
		if len(args) != 1 && len(args) != 2 {
			return nil, s.errorf(e, "write "+e.Name+"(text) or "+e.Name+"(text, characters)", "%s takes 1 or 2 arguments, not %d", e.Name, len(args))
		}
		text, err := s.stringOperand(e.Args[0], args[0], e.Name)
		if err != nil {
			return nil, err
		}
		out := &expr{typ: feeds.T(feeds.String), text: sql.Format(e), column: -1}
		if len(args) == 1 {
			out.eval = unaryEval(text, func(_ *env, v feeds.Value) feeds.Value { return feeds.StringValue(cut(v.Str(), " ")) })
			return s.fold(e, out, text)
		}
		characters, err := s.stringOperand(e.Args[1], args[1], e.Name)
		if err != nil {
			return nil, err
		}
		out.eval = binaryEval(text, characters, func(_ *env, v, characters feeds.Value) feeds.Value {
			return feeds.StringValue(cut(v.Str(), characters.Str()))
		})
		return s.fold(e, out, text, characters)
	}
}

// splitPart is split_part(text, separator, n): the n-th part, counted from 1, or from the end when n is negative; empty
// where there is none. Part 0 has no value.
func (s *scope) splitPart(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 3, "split_part(text, '.', 1)"); err != nil {
		return nil, err
	}
	text, err := s.stringOperand(e.Args[0], args[0], e.Name)
	if err != nil {
		return nil, err
	}
	separator, err := s.stringOperand(e.Args[1], args[1], e.Name)
	if err != nil {
		return nil, err
	}
	n, err := s.integerOperand(e.Args[2], args[2], e.Name)
	if err != nil {
		return nil, err
	}
	out := &expr{typ: feeds.T(feeds.String), text: sql.Format(e), column: -1}
	out.eval = ternaryEval(text, separator, n, func(e *env, text, separator, n feeds.Value) feeds.Value {
		i := clampInt(n)
		if i == 0 {
			return e.none()
		}
		return feeds.StringValue(partOf(text.Str(), separator.Str(), i))
	})
	return s.fold(e, out, text, separator, n)
}

func partOf(s, separator string, n int64) string {
	if separator == "" {
		if n == 1 || n == -1 {
			return s
		}
		return ""
	}
	if n < 0 {
		// From the end, but of parts that are found from the start: the last of 'aaa' at 'aa' is 'a'.
		if n += int64(strings.Count(s, separator)) + 2; n < 1 {
			return ""
		}
	}
	for ; n > 1; n-- {
		var ok bool
		if _, s, ok = strings.Cut(s, separator); !ok {
			return ""
		}
	}
	part, _, _ := strings.Cut(s, separator)
	return part
}
