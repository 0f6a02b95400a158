package tables

import (
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// maxUnnest is how many rows one record gives at most: whoever sends the records chooses how long arrays are. What is
// behind is left out and counted as an overflow.
const maxUnnest = 10_000

// unnest is one unnest(array) of a plan. Two that are written alike are one: all of them go in lock-step.
type unnest struct {
	text  string // canonical
	array *expr
}

// unnest compiles unnest(array): its value is the element that the current row is of.
func (s *scope) unnest(e *sql.Call, args []*expr) (*expr, error) {
	if s.unnests == nil {
		return nil, s.refuseUnnest(e, s.aggregates)
	}
	if err := s.arity(e, 1, "unnest(array)"); err != nil {
		return nil, err
	}
	if err := s.noUnnest(e.Args[0], "inside another unnest"); err != nil {
		return nil, err
	}
	array := args[0]
	if array.typ.Kind != feeds.Array {
		return nil, s.errorf(e.Args[0], "", "unnest needs an array, %s is %s", array.text, typeName(array))
	}
	text, at := sql.Format(e), -1
	for i, u := range *s.unnests {
		if u.text == text {
			at = i
		}
	}
	if at < 0 {
		at = len(*s.unnests)
		*s.unnests = append(*s.unnests, unnest{text, array})
	}
	return &expr{typ: feeds.T(array.typ.Elem), text: text, column: -1, eval: func([]int) eval {
		return func(e *env) feeds.Value { return e.elements[at] }
	}}, nil
}

// noUnnest refuses an unnest in e; where says where that is.
func (s *scope) noUnnest(e sql.Expr, where string) error {
	if call := findUnnest(e); call != nil {
		return s.refuseUnnest(call, where)
	}
	return nil
}

func (s *scope) refuseUnnest(e *sql.Call, where string) error {
	array := "array"
	if len(e.Args) == 1 {
		array = sql.Format(e.Args[0])
	}
	hint := "it makes rows, so it belongs in SELECT"
	switch {
	case where == "in WHERE" || strings.HasPrefix(where, "in FILTER"):
		hint = "write x = ANY (" + array + ") to ask for an element"
	case strings.HasPrefix(where, "inside an aggregate"):
		hint = "it makes rows, so it belongs in SELECT and GROUP BY"
	case strings.HasPrefix(where, "inside CASE"), strings.HasPrefix(where, "inside COALESCE"):
		hint = "it would make rows in some branches only"
	}
	return s.errorf(e, hint, "%s is not possible %s", sql.Format(e), where)
}

// findUnnest returns the first unnest in e, nil if there is none.
func findUnnest(e sql.Expr) (found *sql.Call) {
	sql.Walk(e, func(e sql.Expr) bool {
		if call, ok := e.(*sql.Call); ok && call.Name == "unnest" && found == nil {
			found = call
		}
		return found == nil
	})
	return found
}

// groupedUnnest is what an unnest of a grouped plan is when it is no group: refused.
func (s *scope) groupedUnnest(e *sql.Call) error {
	if hasAggregate(e) {
		return s.errorf(e, "a look-up in the table can do it, where the aggregate is a column", "unnest of an aggregate is not possible")
	}
	text := sql.Format(e)
	return s.errorf(e, "add it to GROUP BY", "%s is not grouped", text)
}

// unnester makes rows of a record's arrays: as many as the longest has elements; the others have NULL behind their ends. A nil
// one unnests nothing: a record is one row. So it is used:
//
//	n := u.open(e) // 0: the record counts as filtered
//	for i := range n {
//		u.row(e, i)
//		..
//	}
type unnester struct {
	arrays []eval
	lists  [][]feeds.Value // of the current record
}

// newUnnester returns nil when the plan unnests nothing.
func (p *plan) newUnnester(slots []int) *unnester {
	if len(p.unnests) == 0 {
		return nil
	}
	u := &unnester{lists: make([][]feeds.Value, len(p.unnests))}
	for _, one := range p.unnests {
		u.arrays = append(u.arrays, one.array.eval(slots))
	}
	return u
}

// forget lets go of the arrays that were read last.
func (u *unnester) forget() {
	if u != nil {
		clear(u.lists)
	}
}

// open reads the arrays of e's record and returns how many rows it gives.
func (u *unnester) open(e *env) (rows int) {
	if u == nil {
		return 1
	}
	return u.read(e)
}

func (u *unnester) read(e *env) (rows int) {
	e.record++
	for i, array := range u.arrays {
		u.lists[i] = array(e).List()
		rows = max(rows, len(u.lists[i]))
	}
	if rows > maxUnnest {
		e.overflows++
		return maxUnnest
	}
	return rows
}

// row makes e's elements those of a row, counted from 0.
func (u *unnester) row(e *env, n int) {
	if u != nil {
		u.take(e, n)
	}
}

func (u *unnester) take(e *env, n int) {
	e.elements = e.elements[:0]
	for _, list := range u.lists {
		v := feeds.NullValue
		if n < len(list) {
			v = list[n]
		}
		e.elements = append(e.elements, v)
	}
}

// once returns x, which unnests nothing, for a plan that does: computed once a record, not for each of its rows. Its closure is
// for one goroutine.
func (x *expr) once() *expr {
	if x == nil || x.konst || x.column >= 0 {
		return x
	}
	out := *x
	out.cond = nil // it is made of eval
	out.eval = func(slots []int) eval {
		value, last, of := x.eval(slots), feeds.NullValue, uint64(0)
		return func(e *env) feeds.Value {
			if of != e.record {
				of, last = e.record, value(e)
			}
			return last
		}
	}
	return &out
}

// bindRows is bind for an aggregate of a plan that unnests. What it takes in is the same in all rows of a record. Where that
// is long, and would be hashed for each row, it is taken into a state of its own, which the groups then merge.
func (p *plan) bindRows(a *aggregate, slots []int) adder {
	same := *a
	same.arg, same.filter, same.time = a.arg.once(), a.filter.once(), a.time.once()
	add := same.bind(slots)
	if a.arg == nil || !inExtra(a.arg.typ.Kind) {
		return add
	}
	value, one := same.arg.eval(slots), p.newState()
	var (
		of    uint64
		long  bool
		bytes []byte // room for measuring a value
	)
	return func(e *env, s State) {
		if of != e.record {
			of = e.record
			bytes = value(e).AppendKey(bytes[:0])
			if long = len(bytes) > maxKeyPart; long {
				clear(one.W)
				one.drop()
				add(e, one)
			}
		}
		if long {
			a.kernel.merge(s, one)
		} else {
			add(e, s)
		}
	}
}
