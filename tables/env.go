package tables

import "github.com/brotally/brotally/feeds"

// env is what an expression is evaluated over: one row of values. It belongs to one goroutine.
type env struct {
	vals   []feeds.Value  // a record's slots; after grouping: the group columns, then the aggregates
	at     feeds.Position // of the record
	other  bool           // it is the row of those above MAX GROUPS
	params []feeds.Value  // bound parameters, converted to the type each place needs
	// elements are those of the arrays that are unnested, in the current row: see unnester.
	elements []feeds.Value
	record   uint64 // counts the records whose arrays are unnested
	first    bool   // it is the first of the record's rows
	// overflows counts expressions that had no value where SQL's standard has an error: overflow, division by zero,
	// a text that does not convert. They are NULL: no record can stop a table.
	overflows int64
	domains   *domainCache // nil: none yet
}

// domain returns a domain name in lower case and its public suffix, which is empty for what is none.
func (e *env) domain(text string) (name, suffix string) {
	if e.domains == nil {
		e.domains = new(domainCache)
	}
	return e.domains.split(text)
}

// none is the value of an expression that overflowed.
func (e *env) none() feeds.Value {
	e.overflows++
	return feeds.NullValue
}

// eval computes an expression's value; cond a condition's.
type (
	eval func(e *env) feeds.Value
	cond func(e *env) truth
)

// truth is a value of three-valued logic.
type truth uint8

const (
	no truth = iota
	yes
	unknown
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// not turns yes and no round; unknown stays.
func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func (t truth) value() feeds.Value {
	if t == unknown {
		return feeds.NullValue
	}
	return feeds.BoolValue(t == yes)
}

// truthOfValue is the truth of a bool or NULL.
func truthOfValue(v feeds.Value) truth {
	if v.IsNull() {
		return unknown
	}
	return truthOf(v.IsTrue())
}

// expr is an expression whose names and types are resolved. It becomes a closure when it is known in which slots its
// columns land; nothing is looked up by name after that.
type expr struct {
	typ   feeds.Type // Kind Null: the type is still open (NULL, a parameter)
	text  string     // as the user wrote it, for errors and hints
	konst bool       // val is its value, always
	val   feeds.Value
	// literal says that it is a bare 'string', which takes on the type that its place asks for, as in PostgreSQL.
	literal bool
	param   int // number of a bound parameter whose type is still open; 0: none
	column  int // position in the scope's columns if it is just a column, else -1
	eval    func(slots []int) eval
	cond    func(slots []int) cond // set for conditions; eval is then made of it
}

// slotOf returns where column i lands; no slots means that columns stay where they are.
func slotOf(slots []int, i int) int {
	if slots == nil {
		return i
	}
	return slots[i]
}

func constant(v feeds.Value, typ feeds.Type, text string) *expr {
	return &expr{typ: typ, text: text, konst: true, val: v, column: -1, eval: func([]int) eval {
		return func(*env) feeds.Value { return v }
	}}
}

func columnExpr(i int, typ feeds.Type, text string) *expr {
	return &expr{typ: typ, text: text, column: i, eval: func(slots []int) eval {
		slot := slotOf(slots, i)
		return func(e *env) feeds.Value { return e.vals[slot] }
	}}
}

// condition makes an expression of a condition.
func condition(text string, make func(slots []int) cond) *expr {
	return &expr{typ: feeds.T(feeds.Bool), text: text, column: -1, cond: make, eval: func(slots []int) eval {
		holds := make(slots)
		return func(e *env) feeds.Value { return holds(e).value() }
	}}
}

// bindCond returns x, which is a bool, as a condition.
func (x *expr) bindCond(slots []int) cond {
	if x.cond != nil {
		return x.cond(slots)
	}
	if x.column >= 0 {
		slot := slotOf(slots, x.column)
		return func(e *env) truth { return truthOfValue(e.vals[slot]) }
	}
	value := x.eval(slots)
	return func(e *env) truth { return truthOfValue(value(e)) }
}

// isNull reports whether x is the constant NULL.
func (x *expr) isNull() bool { return x.konst && x.val.IsNull() }

// isOpen reports whether x's type follows from its place.
func (x *expr) isOpen() bool { return x.literal || x.param > 0 || x.typ.Kind == feeds.Null }
