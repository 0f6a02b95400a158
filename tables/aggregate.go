package tables

import (
	"slices"

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
	time   *expr // event time, for those that go by it
	cell   cell
	kernel kernel

	parameter float64 // the second argument, where there is one
	// shares is an aggregate whose cell this one reads: percentiles of one argument are read off one sketch. nil: none.
	shares *aggregate
}

// aggregateSpec says what an aggregate makes of an argument.
type aggregateSpec struct {
	// kernel returns the kernel for an argument and the result's type. ok is false where there is no such aggregate.
	kernel func(arg argument, c *cell) (k kernel, typ feeds.Type, ok bool)
	// room is how many words, extras and flags a cell takes.
	room func(arg feeds.Type) (words, extras, flags int)
	// parameter reads the second argument, which is constant; nil: there is none.
	parameter func(s *scope, at sql.Expr, x *expr) (float64, error)
	usage     string         // how it is written, where that is not name(x)
	distinct  bool           // it is written with DISTINCT
	shared    bool           // the cell does not depend on the parameter
	reads     *aggregateSpec // whose cell it reads, which is there whenever it is; nil: it has its own
	timed     bool           // it goes by event time
	ofRow     bool           // only a group table's rows have it: records change nothing
	// most is how many bytes the stored form of a cell can take, where that is more than a few; nil: it is not.
	most func(arg argument) int
}

// argument is what an aggregate is called with.
type argument struct {
	typ       feeds.Type // none: count(*)
	parameter float64
}

// maxStateBytes bounds what the aggregates of one group can take: a row is one record of Kafka, and a partial is added to a
// pack of up to 256 KiB; no record of ours exceeds 512 KiB.
const maxStateBytes = 224 << 10

// exactDistinct is count(DISTINCT x).
var exactDistinct = &aggregateSpec{
	kernel: countDistinctKernel, room: sketchRoom, usage: "count(DISTINCT x)", distinct: true,
	most: func(argument) int { return hyperLogLogBytes }, // of a row; partials are cut
}

// specOf returns what the call of an aggregate is.
func specOf(e *sql.Call) *aggregateSpec {
	if e.Name == "count" && e.Distinct {
		return exactDistinct
	}
	return aggregates[e.Name]
}

var aggregates = map[string]*aggregateSpec{
	isEstimate: {kernel: estimateKernel, room: sketchRoom, distinct: true, reads: exactDistinct},

	"count": {
		kernel: func(_ argument, c *cell) (kernel, feeds.Type, bool) {
			return counter{*c}, feeds.T(feeds.Bigint), true
		},
		room: func(feeds.Type) (int, int, int) { return 1, 0, 0 },
	},
	"sum": {kernel: sumKernel(false), room: sumRoom(false)},
	"avg": {kernel: sumKernel(true), room: sumRoom(true)},
	"min": {kernel: extremeKernel(-1), room: extremeRoom, most: textBytes},
	"max": {kernel: extremeKernel(1), room: extremeRoom, most: textBytes},

	"first": {kernel: outermostKernel(-1), room: outermostRoom, most: outermostBytes, timed: true},
	"last":  {kernel: outermostKernel(1), room: outermostRoom, most: outermostBytes, timed: true},

	"bool_or":  {kernel: boolKernel(1), room: extremeRoom},
	"bool_and": {kernel: boolKernel(-1), room: extremeRoom},

	"stddev":      {kernel: momentsKernel(true, true), room: momentsRoom},
	"stddev_samp": {kernel: momentsKernel(true, true), room: momentsRoom},
	"stddev_pop":  {kernel: momentsKernel(false, true), room: momentsRoom},
	"variance":    {kernel: momentsKernel(true, false), room: momentsRoom},
	"var_samp":    {kernel: momentsKernel(true, false), room: momentsRoom},
	"var_pop":     {kernel: momentsKernel(false, false), room: momentsRoom},

	"array_agg": {
		kernel: arrayAggKernel, room: sketchRoom, usage: "array_agg(DISTINCT x)", distinct: true,
		most: func(arg argument) int { return maxSet * (min(textBytes(arg), maxSketchText) + 24) },
	},
	"approx_count_distinct": {
		kernel: approxDistinctKernel, room: sketchRoom,
		most: func(argument) int { return hyperLogLogBytes },
	},
	"approx_percentile": {
		kernel: percentileKernel, room: sketchRoom, usage: "approx_percentile(x, 0.95)", parameter: fraction, shared: true,
		most: func(argument) int { return 2 * maxBuckets * 6 }, // a bucket's key and count, up to 34 billion
	},
	"top_k": {
		kernel: topKKernel, room: sketchRoom, usage: "top_k(x, 10)", parameter: topCount,
		most: func(arg argument) int {
			return hitters(int(arg.parameter)) * (min(textBytes(arg), maxSketchText) + 24)
		},
	},
}

func sumKernel(avg bool) func(argument, *cell) (kernel, feeds.Type, bool) {
	return func(arg argument, c *cell) (kernel, feeds.Type, bool) {
		switch k := arg.typ.Kind; {
		case k.IsInteger() && avg:
			return integerSum{*c, true}, feeds.T(feeds.Double), true
		case k.IsInteger():
			return integerSum{*c, false}, feeds.T(feeds.Numeric), true
		case k == feeds.Double || k == feeds.Interval:
			return doubleSum{*c, avg, k}, arg.typ, true
		}
		return nil, arg.typ, false
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

func extremeKernel(sign int) func(argument, *cell) (kernel, feeds.Type, bool) {
	return func(arg argument, c *cell) (kernel, feeds.Type, bool) {
		switch arg.typ.Kind {
		case feeds.Array, feeds.Null:
			return nil, arg.typ, false
		case feeds.String:
			return textExtreme{*c, sign}, arg.typ, true
		}
		return extreme{*c, arg.typ.Kind, sign}, arg.typ, true
	}
}

// boolKernel is bool_or, the greatest, and bool_and, the least.
func boolKernel(sign int) func(argument, *cell) (kernel, feeds.Type, bool) {
	return func(arg argument, c *cell) (kernel, feeds.Type, bool) {
		return extreme{*c, feeds.Bool, sign}, arg.typ, arg.typ.Kind == feeds.Bool
	}
}

func momentsKernel(sample, root bool) func(argument, *cell) (kernel, feeds.Type, bool) {
	return func(arg argument, c *cell) (kernel, feeds.Type, bool) {
		switch k := arg.typ.Kind; {
		case k.IsNumber():
			return moments{*c, feeds.Double, sample, root}, feeds.T(feeds.Double), true
		case k == feeds.Interval && root: // the unit of a variance would be square seconds
			return moments{*c, k, sample, root}, arg.typ, true
		}
		return nil, arg.typ, false
	}
}

func momentsRoom(feeds.Type) (words, extras, flags int) { return 5, 0, 1 }

// textBytes is how much text one value can have.
func textBytes(arg argument) int {
	if arg.typ.Kind == feeds.String {
		return maxTextBytes
	}
	return 0
}

func sketchRoom(feeds.Type) (words, extras, flags int) { return 0, 1, 1 }

func arrayAggKernel(arg argument, c *cell) (kernel, feeds.Type, bool) {
	return sketched{
		cell: *c, version: 1, empty: func() sketch { return &valueSet{kind: arg.typ.Kind} },
		result: func(s sketch) feeds.Value { return feeds.ArrayValue(slices.Clone(s.(*valueSet).values)) },
	}, feeds.ArrayOf(arg.typ.Kind), arg.typ.Kind != feeds.Array
}

func approxDistinctKernel(arg argument, c *cell) (kernel, feeds.Type, bool) {
	return sketched{
		cell: *c, version: 2, empty: func() sketch { return &hyperLogLog{} }, none: feeds.BigintValue(0),
		result: func(s sketch) feeds.Value { return feeds.BigintValue(s.(*hyperLogLog).count()) },
	}, feeds.T(feeds.Bigint), true
}

func percentileKernel(arg argument, c *cell) (kernel, feeds.Type, bool) {
	typ := feeds.T(feeds.Double)
	if arg.typ.Kind == feeds.Interval {
		typ = arg.typ
	}
	return sketched{
		cell: *c, version: 1, empty: newDDSketch,
		result: func(s sketch) feeds.Value {
			f, ok := s.(*ddSketch).percentile(arg.parameter)
			switch {
			case !ok:
				return feeds.NullValue
			case typ.Kind == feeds.Interval:
				return feeds.IntervalValue(f)
			}
			return feeds.DoubleValue(f)
		},
	}, typ, arg.typ.Kind.IsNumber() || arg.typ.Kind == feeds.Interval
}

func topKKernel(arg argument, c *cell) (kernel, feeds.Type, bool) {
	k := int(arg.parameter)
	return sketched{
		cell: *c, version: 1, empty: func() sketch { return newHeavyHitters(arg.typ.Kind, k) },
		result: func(s sketch) feeds.Value { return s.(*heavyHitters).top(k) },
	}, feeds.ArrayOf(arg.typ.Kind), arg.typ.Kind != feeds.Array
}

// fraction reads the p of approx_percentile.
func fraction(s *scope, at sql.Expr, x *expr) (float64, error) {
	y, ok, err := s.coerce(at, x, feeds.T(feeds.Double))
	switch {
	case err != nil:
		return 0, err
	case !ok || !y.konst || !(y.val.Float() >= 0 && y.val.Float() <= 1) || y.isNull():
		return 0, s.errorf(at, "write 0.95 for the 95th percentile", "approx_percentile needs a constant from 0 to 1, not %s", x.text)
	}
	return y.val.Float(), nil
}

// topCount reads the k of top_k.
func topCount(s *scope, at sql.Expr, x *expr) (float64, error) {
	y, ok, err := s.coerce(at, x, feeds.T(feeds.Bigint))
	switch {
	case err != nil:
		return 0, err
	case !ok || !y.konst || y.isNull() || y.val.Int() < 1 || y.val.Int() > 100:
		return 0, s.errorf(at, "", "top_k needs a constant from 1 to 100, not %s", x.text)
	}
	return float64(y.val.Int()), nil
}

func extremeRoom(arg feeds.Type) (words, extras, flags int) {
	if arg.Kind == feeds.String {
		return 0, 1, 1
	}
	return wordsOf(arg.Kind), 0, 1
}

// aggregate compiles an aggregate's call; in is the scope of its argument.
func (p *plan) aggregate(in *scope, e *sql.Call) (*aggregate, error) {
	a := &aggregate{text: sql.Format(e), spec: specOf(e)}
	if err := a.checkCall(in, e); err != nil {
		return nil, err
	}
	for _, arg := range e.Args {
		if err := in.noUnnest(arg, "inside an aggregate"); err != nil {
			return nil, err
		}
	}
	if err := in.noUnnest(e.Filter, "in FILTER"); err != nil {
		return nil, err
	}
	if !e.Star {
		x, err := in.compile(e.Args[0])
		if err != nil {
			return nil, err
		}
		if a.arg, err = in.settle(e.Args[0], x); err != nil {
			return nil, err
		}
	}
	if a.spec.timed {
		var err error
		if a.time, err = p.recordTime(in, e); err != nil {
			return nil, err
		}
	}
	if a.spec.parameter != nil {
		x, err := in.compile(e.Args[1])
		if err != nil {
			return nil, err
		}
		if a.parameter, err = a.spec.parameter(in, e.Args[1], x); err != nil {
			return nil, err
		}
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
	if _, a.typ, ok = a.spec.kernel(a.argument(), new(cell)); !ok {
		return nil, in.errorf(e, a.hint(e.Name), "no aggregate %s(%s)", e.Name, typeName(a.arg))
	}
	return a, nil
}

// checkCall checks how an aggregate is written.
func (a *aggregate) checkCall(in *scope, e *sql.Call) error {
	usage, want := a.spec.usage, "one argument"
	if a.spec.parameter != nil {
		want = "two arguments"
	}
	switch {
	case e.Distinct && (e.Name == "sum" || e.Name == "avg"):
		return in.unsupported(e, e.Name+"(DISTINCT ..)")
	case e.Distinct && !a.spec.distinct && (e.Name == "min" || e.Name == "max" || e.Name == "bool_or" || e.Name == "bool_and" || e.Name == "approx_count_distinct"):
		return in.errorf(e, "leave it out", "DISTINCT changes nothing in %s", e.Name)
	case e.Distinct && !a.spec.distinct:
		return in.errorf(e, "leave it out", "DISTINCT is not possible in %s", e.Name)
	case e.Star && e.Name != "count":
		return in.errorf(e, "name a column", "%s(*) is not possible", e.Name)
	case !e.Star && (a.spec.parameter == nil && len(e.Args) != 1 || a.spec.parameter != nil && len(e.Args) != 2):
		hint := ""
		switch {
		case usage != "":
			hint = "write " + usage
		case e.Name == "count" && len(e.Args) == 0:
			hint = "write count(*)"
		}
		return in.errorf(e, hint, "%s takes %s, not %d", e.Name, want, len(e.Args))
	case !e.Distinct && a.spec.distinct:
		return in.errorf(e, "write "+usage, "%s keeps different values only", e.Name)
	}
	return nil
}

// sharing returns the aggregate whose cell a can read, nil if there is none.
func (p *plan) sharing(a *aggregate) *aggregate {
	same := func(x, y *expr) bool { return x == nil && y == nil || x != nil && y != nil && x.text == y.text }
	cell := a.spec
	switch {
	case a.spec.reads != nil:
		cell = a.spec.reads
	case !a.spec.shared:
		return nil
	}
	for _, b := range p.stored {
		if b.spec == cell && same(a.arg, b.arg) && same(a.filter, b.filter) {
			return b
		}
	}
	return nil
}

// hint says what to write where there is no such aggregate of the argument's type.
func (a *aggregate) hint(name string) string {
	rest := ""
	if a.spec.parameter != nil {
		rest = ", .."
	}
	switch kind := a.arg.typ.Kind; {
	case a.spec.distinct, name == "top_k":
		return ""
	case name == "bool_or" || name == "bool_and":
		if kind.IsNumber() {
			return "write " + name + "(" + a.arg.text + " <> 0)"
		}
	case kind == feeds.Timestamp || kind == feeds.Interval:
		return "write " + name + "(extract(epoch FROM " + a.arg.text + ")" + rest + ")"
	case kind == feeds.Bool && name == "sum":
		return "write count(*) FILTER (WHERE " + a.arg.text + ")"
	case kind == feeds.Array && name == "sum":
		return "write sum(len(" + a.arg.text + "))"
	case kind == feeds.String:
		return "write " + name + "(" + castText(a.arg.text, feeds.T(feeds.Bigint)) + rest + ")"
	}
	return ""
}

// checkSize refuses aggregates whose state would not fit one record.
func (p *plan) checkSize(in *scope, e *sql.Call) error {
	most := 0
	for _, a := range p.stored {
		if a.spec.most != nil {
			most += a.spec.most(a.argument())
		}
	}
	if most > maxStateBytes {
		return in.errorf(e, "make two tables of it, or give top_k a smaller k", "the aggregates of one group could take %d KiB with this one, the limit is %d", most>>10, maxStateBytes>>10)
	}
	return nil
}

// arrange gives every aggregate its cell, flags first, and makes its kernel.
func (p *plan) arrange() {
	flags := 0
	for _, a := range p.stored {
		if _, _, n := a.spec.room(a.argument().typ); n > 0 {
			a.cell.word, a.cell.bit = flags/64, 1<<(flags%64)
			flags++
		}
	}
	p.layout = stateLayout{flags: (flags + 63) / 64}
	p.layout.words = p.layout.flags
	for _, a := range p.stored {
		words, extras, _ := a.spec.room(a.argument().typ)
		a.cell.w, a.cell.x = p.layout.words, p.layout.extras
		p.layout.words += words
		p.layout.extras += extras
	}
	for _, a := range p.aggregates {
		if a.shares != nil {
			a.cell = a.shares.cell
		}
		a.kernel, _, _ = a.spec.kernel(a.argument(), &a.cell)
	}
	p.arrangeRows()
}

// arrangeRows gathers the stored aggregates as rows have them, and numbers those that count DISTINCT values.
func (p *plan) arrangeRows() {
	p.rows, p.counting = nil, nil
	for _, a := range p.stored {
		switch k := a.kernel.(type) {
		case countDistinct:
			k.number = len(p.counting)
			p.rows, p.counting = append(p.rows, k), append(p.counting, k)
		case rowKernel:
			p.rows = append(p.rows, k)
		default:
			p.rows = append(p.rows, wholeRow{a.kernel})
		}
	}
}

// argument is what the aggregate is called with; count(*) has no type.
func (a *aggregate) argument() argument {
	if a.arg == nil {
		return argument{}
	}
	return argument{a.arg.typ, a.parameter}
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
	if c, ok := k.(wholeRecords); ok {
		return func(e *env, s State) {
			if e.first {
				s.W[c.w]++
			}
		}
	}
	value := a.arg.eval(slots)
	slot := -1
	if a.arg.column >= 0 {
		slot = slotOf(slots, a.arg.column)
	}
	switch k := k.(type) {
	case counter:
		if slot >= 0 {
			return func(e *env, s State) {
				if !e.vals[slot].IsNull() {
					s.W[k.w]++
				}
			}
		}
	case integerSum:
		if slot >= 0 {
			return func(e *env, s State) {
				if v := &e.vals[slot]; !v.IsNull() {
					k.add(s.W, *v)
				}
			}
		}
	case timedKernel:
		when := a.time.eval(slots)
		return func(e *env, s State) {
			v := value(e)
			if v.IsNull() {
				return
			}
			if t := when(e); !t.IsNull() {
				k.takeAt(s, v, t.Micros(), &e.at)
			}
		}
	case extraKernel:
		if slot >= 0 {
			return func(e *env, s State) {
				if v := &e.vals[slot]; !v.IsNull() {
					k.take(s, *v)
				}
			}
		}
		return func(e *env, s State) {
			if v := value(e); !v.IsNull() {
				k.take(s, v)
			}
		}
	}
	words := k.(wordKernel)
	if slot >= 0 {
		return func(e *env, s State) {
			if v := &e.vals[slot]; !v.IsNull() {
				words.add(s.W, *v)
			}
		}
	}
	return func(e *env, s State) {
		if v := value(e); !v.IsNull() {
			words.add(s.W, v)
		}
	}
}
