package tables

import (
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// boolean checks that x is a condition.
func (s *scope) boolean(at sql.Expr, x *expr, what string) (*expr, error) {
	y, ok, err := s.coerce(at, x, feeds.T(feeds.Bool))
	if err == nil && !ok {
		hint := ""
		switch {
		case x.typ.Kind.IsNumber():
			hint = "write " + x.text + " <> 0"
		case x.typ.Kind == feeds.String:
			hint = "write " + x.text + " <> ''"
		}
		err = s.errorf(at, hint, "%s must be a condition, %s is %s", what, x.text, typeName(x))
	}
	return y, err
}

func (s *scope) not(e *sql.Unary, x *expr, text string) (*expr, error) {
	x, err := s.boolean(e.X, x, "what NOT turns round")
	if err != nil {
		return nil, err
	}
	return s.fold(e, s.negation(text, x), x)
}

func (s *scope) negation(text string, x *expr) *expr {
	return condition(text, func(slots []int) cond {
		holds := x.bindCond(slots)
		return func(e *env) truth { return holds(e).not() }
	})
}

func (s *scope) andOr(e *sql.Binary, x, y *expr) (*expr, error) {
	x, err := s.boolean(e.X, x, "an operand of "+e.Op)
	if err != nil {
		return nil, err
	}
	if y, err = s.boolean(e.Y, y, "an operand of "+e.Op); err != nil {
		return nil, err
	}
	if e.Op == "AND" {
		return s.fold(e, s.conjunction(sql.Format(e), x, y), x, y)
	}
	return s.fold(e, s.disjunction(sql.Format(e), x, y), x, y)
}

// conjunction is no if either is no, else unknown if either is unknown.
func (s *scope) conjunction(text string, x, y *expr) *expr {
	return condition(text, func(slots []int) cond {
		left, right := x.bindCond(slots), y.bindCond(slots)
		return func(e *env) truth {
			a := left(e)
			if a == no {
				return no
			}
			if b := right(e); b != yes {
				return b
			}
			return a
		}
	})
}

// disjunction is yes if either is yes, else unknown if either is unknown.
func (s *scope) disjunction(text string, x, y *expr) *expr {
	return condition(text, func(slots []int) cond {
		left, right := x.bindCond(slots), y.bindCond(slots)
		return func(e *env) truth {
			a := left(e)
			if a == yes {
				return yes
			}
			if b := right(e); b != no {
				return b
			}
			return a
		}
	})
}

func (s *scope) is(e *sql.Is) (*expr, error) {
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	text := sql.Format(e)
	if e.What == "NULL" {
		if x, err = s.settle(e.X, x); err != nil {
			return nil, err
		}
		out := condition(text, func(slots []int) cond {
			if x.column >= 0 {
				slot := slotOf(slots, x.column)
				return func(env *env) truth { return truthOf(env.vals[slot].IsNull() != e.Not) }
			}
			value := x.eval(slots)
			return func(env *env) truth { return truthOf(value(env).IsNull() != e.Not) }
		})
		return s.fold(e, out, x)
	}
	if x, err = s.boolean(e.X, x, "what IS "+e.What+" tests"); err != nil {
		return nil, err
	}
	want := map[string]truth{"TRUE": yes, "FALSE": no, "UNKNOWN": unknown}[e.What]
	out := condition(text, func(slots []int) cond {
		holds := x.bindCond(slots)
		return func(env *env) truth { return truthOf((holds(env) == want) != e.Not) }
	})
	return s.fold(e, out, x)
}
