package tables

import (
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// aggregate is one aggregate of a plan. Two that are written alike are one.
type aggregate struct {
	text   string // canonical
	spec   *aggregateSpec
	typ    feeds.Type
	arg    *expr // nil: count(*)
	filter *expr // nil: none
	cell   cell
	kernel kernel
}

// aggregateSpec says what an aggregate makes of an argument's type.
type aggregateSpec struct {
	// kernel returns the kernel for an argument, the result's type, and how much room its cell needs. ok is false where
	// there is no such aggregate; hint then says what to write instead.
	kernel func(arg feeds.Type, c *cell) (k kernel, typ feeds.Type, ok bool)
	// room is how many words, extras and flags a cell takes.
	room func(arg feeds.Type) (words, extras, flags int)
}

var aggregates = map[string]*aggregateSpec{
	"count": {
		kernel: func(_ feeds.Type, c *cell) (kernel, feeds.Type, bool) {
			return counter{*c}, feeds.T(feeds.Bigint), true
		},
		room: func(feeds.Type) (int, int, int) { return 1, 0, 0 },
	},
	"sum": {kernel: sumKernel(false), room: sumRoom(false)},
	"avg": {kernel: sumKernel(true), room: sumRoom(true)},
	"min": {kernel: extremeKernel(-1), room: extremeRoom},
	"max": {kernel: extremeKernel(1), room: extremeRoom},
}

func sumKernel(avg bool) func(feeds.Type, *cell) (kernel, feeds.Type, bool) {
	return func(arg feeds.Type, c *cell) (kernel, feeds.Type, bool) {
		switch k := arg.Kind; {
		case k.IsInteger() && avg:
			return integerSum{*c, true}, feeds.T(feeds.Double), true
		case k.IsInteger():
			return integerSum{*c, false}, feeds.T(feeds.Numeric), true
		case k == feeds.Double || k == feeds.Interval:
			return doubleSum{*c, avg, k}, arg, true
		}
		return nil, arg, false
	}
}

func sumRoom(avg bool) func(feeds.Type) (int, int, int) {
	return func(arg feeds.Type) (words, extras, flags int) {
		words = 2
		if arg.Kind.IsInteger() {
			words = 3
		}
		if avg {
			words++
		}
		return words, 0, 1
	}
}

func extremeKernel(sign int) func(feeds.Type, *cell) (kernel, feeds.Type, bool) {
	return func(arg feeds.Type, c *cell) (kernel, feeds.Type, bool) {
		switch arg.Kind {
		case feeds.Array, feeds.Null:
			return nil, arg, false
		case feeds.String:
			return textExtreme{*c, sign}, arg, true
		}
		return extreme{*c, arg.Kind, sign}, arg, true
	}
}

func extremeRoom(arg feeds.Type) (words, extras, flags int) {
	if arg.Kind == feeds.String {
		return 0, 1, 1
	}
	return wordsOf(arg.Kind), 0, 1
}

// aggregate compiles an aggregate's call; in is the scope of its argument.
func (p *plan) aggregate(in *scope, e *sql.Call) (*aggregate, error) {
	text := sql.Format(e)
	a := &aggregate{text: text, spec: aggregates[e.Name]}
	var arg feeds.Type
	switch {
	case e.Distinct && (e.Name == "count" || e.Name == "sum" || e.Name == "avg"):
		return nil, in.unsupported(e, e.Name+"(DISTINCT ..)")
	case e.Distinct:
		return nil, in.errorf(e, "leave it out", "DISTINCT changes nothing in %s", e.Name)
	case e.Star && e.Name != "count":
		return nil, in.errorf(e, "name a column", "%s(*) is not possible", e.Name)
	case !e.Star && len(e.Args) != 1:
		hint := ""
		if e.Name == "count" && len(e.Args) == 0 {
			hint = "write count(*)"
		}
		return nil, in.errorf(e, hint, "%s takes one argument, not %d", e.Name, len(e.Args))
	case !e.Star:
		x, err := in.compile(e.Args[0])
		if err != nil {
			return nil, err
		}
		if x, err = in.settle(e.Args[0], x); err != nil {
			return nil, err
		}
		a.arg, arg = x, x.typ
	}
	if e.Filter != nil {
		x, err := in.compile(e.Filter)
		if err != nil {
			return nil, err
		}
		if a.filter, err = in.boolean(e.Filter, x, "FILTER's condition"); err != nil {
			return nil, err
		}
	}
	var ok bool
	if _, a.typ, ok = a.spec.kernel(arg, new(cell)); !ok {
		hint := ""
		switch {
		case arg.Kind == feeds.Timestamp:
			hint = "write " + e.Name + "(extract(epoch FROM " + a.arg.text + "))"
		case arg.Kind == feeds.String:
			hint = "write " + e.Name + "(" + castText(a.arg.text, feeds.T(feeds.Bigint)) + ")"
		}
		return nil, in.errorf(e, hint, "no aggregate %s(%s)", e.Name, typeName(a.arg))
	}
	return a, nil
}

// arrange gives every aggregate its cell, flags first, and makes its kernel.
func (p *plan) arrange() {
	flags := 0
	for _, a := range p.aggregates {
		if _, _, n := a.spec.room(a.argType()); n > 0 {
			a.cell.word, a.cell.bit = flags/64, 1<<(flags%64)
			flags++
		}
	}
	p.layout = stateLayout{flags: (flags + 63) / 64}
	p.layout.words = p.layout.flags
	for _, a := range p.aggregates {
		words, extras, _ := a.spec.room(a.argType())
		a.cell.w, a.cell.x = p.layout.words, p.layout.extras
		p.layout.words += words
		p.layout.extras += extras
		a.kernel, _, _ = a.spec.kernel(a.argType(), &a.cell)
	}
}

// argType is the argument's type; count(*) has none.
func (a *aggregate) argType() feeds.Type {
	if a.arg == nil {
		return feeds.Type{}
	}
	return a.arg.typ
}

// adder takes one record into a group's state.
type adder func(e *env, s State)

// bind makes the closure that takes a record in. NULL and what FILTER leaves out change nothing.
func (a *aggregate) bind(slots []int) adder {
	add := a.bindUnfiltered(slots)
	if a.filter == nil {
		return add
	}
	holds := a.filter.bindCond(slots)
	return func(e *env, s State) {
		if holds(e) == yes {
			add(e, s)
		}
	}
}

func (a *aggregate) bindUnfiltered(slots []int) adder {
	k := a.kernel
	if c, ok := k.(counter); ok && (a.arg == nil || a.arg.konst && !a.arg.isNull()) {
		return func(_ *env, s State) { s.W[c.w]++ }
	}
	if a.arg.column >= 0 {
		slot := slotOf(slots, a.arg.column)
		switch k := k.(type) {
		case counter:
			return func(e *env, s State) {
				if !e.vals[slot].IsNull() {
					s.W[k.w]++
				}
			}
		case integerSum:
			return func(e *env, s State) {
				if v := &e.vals[slot]; !v.IsNull() {
					k.add(s.W, nil, *v)
				}
			}
		}
		return func(e *env, s State) {
			if v := &e.vals[slot]; !v.IsNull() {
				k.add(s.W, s.X, *v)
			}
		}
	}
	value := a.arg.eval(slots)
	return func(e *env, s State) {
		if v := value(e); !v.IsNull() {
			k.add(s.W, s.X, v)
		}
	}
}
