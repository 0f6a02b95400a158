package tables

import (
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// caseWhen is CASE in both forms. Only the branch that is taken is evaluated: CASE WHEN n <> 0 THEN 1 / n END divides
// nothing by zero. Constants are the exception, as in PostgreSQL: 1 / 0 is an error wherever it stands.
func (s *scope) caseWhen(e *sql.Case) (*expr, error) {
	if err := s.noUnnest(e, "inside CASE"); err != nil {
		return nil, err
	}
	holds, all, err := s.caseConditions(e)
	if err != nil {
		return nil, err
	}
	var at []sql.Expr
	var results []*expr
	for _, w := range e.Whens {
		at = append(at, w.Then)
	}
	if e.Else != nil {
		at = append(at, e.Else)
	}
	for _, result := range at {
		x, err := s.compile(result)
		if err != nil {
			return nil, err
		}
		results = append(results, x)
	}
	results, typ, err := s.unify("CASE", at, results)
	if err != nil {
		return nil, err
	}
	out := &expr{typ: typ, text: sql.Format(e), column: -1, eval: func(slots []int) eval {
		branch := holds(slots)
		values := make([]eval, len(results))
		for i, x := range results {
			values[i] = x.eval(slots)
		}
		return func(e *env) feeds.Value {
			if i := branch(e); i < len(values) {
				return values[i](e)
			}
			return feeds.NullValue
		}
	}}
	return s.fold(e, out, append(all, results...)...)
}

// branch says which of a CASE's conditions is the first to hold; their number when none does.
type branch func(e *env) int

// caseConditions compiles what decides between the branches, and returns what that is made of.
func (s *scope) caseConditions(e *sql.Case) (bind func(slots []int) branch, all []*expr, err error) {
	if e.Operand != nil {
		return s.caseOperand(e)
	}
	for _, w := range e.Whens {
		x, err := s.compile(w.Cond)
		if err != nil {
			return nil, nil, err
		}
		if x, err = s.boolean(w.Cond, x, "what follows WHEN"); err != nil {
			return nil, nil, err
		}
		all = append(all, x)
	}
	return func(slots []int) branch {
		conditions := make([]cond, len(all))
		for i, x := range all {
			conditions[i] = x.bindCond(slots)
		}
		return func(e *env) int {
			for i, holds := range conditions {
				if holds(e) == yes {
					return i
				}
			}
			return len(conditions)
		}
	}, all, nil
}

// caseOperand is CASE x WHEN a ..: the first WHEN that x equals. NULL equals none, not even NULL.
func (s *scope) caseOperand(e *sql.Case) (bind func(slots []int) branch, all []*expr, err error) {
	at := []sql.Expr{e.Operand}
	for _, w := range e.Whens {
		at = append(at, w.Cond)
	}
	if all, err = s.compileAll(at); err != nil {
		return nil, nil, err
	}
	if all, err = s.adapt("CASE", at, all); err != nil {
		return nil, nil, err
	}
	return func(slots []int) branch {
		evals := make([]eval, len(all))
		for i, x := range all {
			evals[i] = x.eval(slots)
		}
		return func(e *env) int {
			v := evals[0](e)
			if v.IsNull() {
				return len(evals) - 1
			}
			for i, value := range evals[1:] {
				if w := value(e); !w.IsNull() && feeds.Compare(v, w) == 0 {
					return i
				}
			}
			return len(evals) - 1
		}
	}, all, nil
}
