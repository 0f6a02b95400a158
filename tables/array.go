package tables

import (
	"errors"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// arrayOperand checks that x is an array, or NULL.
func (s *scope) arrayOperand(at sql.Expr, x *expr, what string) error {
	if x.typ.Kind == feeds.Array || x.isNull() {
		return nil
	}
	return s.errorf(at, "", "%s needs an array, %s is %s", what, x.text, typeName(x))
}

// index is x[i], counted from 1; NULL where there is no such element.
func (s *scope) index(e *sql.Index) (*expr, error) {
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	if err := s.arrayOperand(e.X, x, "[]"); err != nil {
		return nil, err
	}
	i, err := s.compile(e.I)
	if err != nil {
		return nil, err
	}
	if i, err = s.integerOperand(e.I, i, "[]"); err != nil {
		return nil, err
	}
	if x.isNull() {
		return x, nil
	}
	out := &expr{typ: feeds.T(x.typ.Elem), text: sql.Format(e), column: -1}
	out.eval = binaryEval(x, i, func(_ *env, x, i feeds.Value) feeds.Value {
		list := x.List()
		if n := clampInt(i); n >= 1 && n <= int64(len(list)) {
			return list[n-1]
		}
		return feeds.NullValue
	})
	return s.fold(e, out, x, i)
}

// length is len(x): an array's elements, or a string's characters. An empty array has 0, which PostgreSQL's array_length
// does not say.
func (s *scope) length(e *sql.Call, args []*expr) (*expr, error) {
	if e.Name == "array_length" && len(e.Args) == 2 { // PostgreSQL's form: of which dimension
		if n, ok := e.Args[1].(*sql.Number); !ok || n.Text != "1" {
			return nil, s.errorf(e.Args[1], "write array_length("+args[0].text+")", "arrays have one dimension")
		}
	} else if err := s.arity(e, 1, e.Name+"(x)"); err != nil {
		return nil, err
	}
	x := args[0]
	out := &expr{typ: feeds.T(feeds.Bigint), text: sql.Format(e), column: -1}
	if e.Name == "len" && (x.typ.Kind == feeds.String || x.isOpen() && !x.isNull()) {
		text, err := s.stringOperand(e.Args[0], x, e.Name)
		if err != nil {
			return nil, err
		}
		out.eval = unaryEval(text, func(_ *env, v feeds.Value) feeds.Value {
			return feeds.BigintValue(int64(utf8.RuneCountInString(v.Str())))
		})
		return s.fold(e, out, text)
	}
	if err := s.arrayOperand(e.Args[0], x, e.Name); err != nil {
		return nil, err
	}
	out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return feeds.BigintValue(int64(len(v.List()))) })
	return s.fold(e, out, x)
}

// elements gives the value that is looked for in an array a type that compares with its elements.
func (s *scope) elements(at sql.Node, atX, atArray sql.Expr, x, array *expr, what string) (*expr, error) {
	if err := s.arrayOperand(atArray, array, what); err != nil {
		return nil, err
	}
	if array.isNull() {
		return s.settle(atX, x)
	}
	element := &expr{typ: feeds.T(array.typ.Elem), text: "an element of " + array.text, column: -1}
	x, _, err := s.comparable(at, "comparison", atX, atArray, x, element)
	var wrong *sql.Error
	if errors.As(err, &wrong) {
		wrong.Hint = "" // it would cast the element, which has no name
	}
	return x, err
}

// any is x op ANY (array): yes if it holds for one element, else unknown if one is NULL, else no. Of an empty array it
// is no, even for NULL.
func (s *scope) any(e *sql.Any) (*expr, error) {
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	array, err := s.compile(e.Array)
	if err != nil {
		return nil, err
	}
	if x, err = s.elements(e, e.X, e.Array, x, array, "ANY"); err != nil {
		return nil, err
	}
	want := outcomes[e.Op]
	out := condition(sql.Format(e), func(slots []int) cond {
		value, list := x.eval(slots), array.eval(slots)
		return func(e *env) truth {
			all := list(e)
			if all.IsNull() {
				return unknown
			}
			result, v := no, value(e)
			for _, w := range all.List() {
				switch {
				case v.IsNull() || w.IsNull():
					result = unknown
				case holds(want, feeds.Compare(v, w)) == yes:
					return yes
				}
			}
			return result
		}
	})
	return s.fold(e, out, x, array)
}

// arrayContains is array_contains(array, x): like x = ANY (array), but an element that is NULL is just another value.
func (s *scope) arrayContains(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 2, "array_contains(array, x)"); err != nil {
		return nil, err
	}
	array := args[0]
	x, err := s.elements(e, e.Args[1], e.Args[0], args[1], array, e.Name)
	if err != nil {
		return nil, err
	}
	out := condition(sql.Format(e), func(slots []int) cond {
		list, value := array.eval(slots), x.eval(slots)
		return func(e *env) truth {
			all, v := list(e), value(e)
			if all.IsNull() || v.IsNull() {
				return unknown
			}
			for _, w := range all.List() {
				if !w.IsNull() && feeds.Compare(v, w) == 0 {
					return yes
				}
			}
			return no
		}
	})
	return s.fold(e, out, array, x)
}
