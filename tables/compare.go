package tables

import (
	"math"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// outcomes says for which results of a comparison an operator holds: bit 0 less, bit 1 equal, bit 2 greater.
var outcomes = map[string]uint8{"<": 1, "=": 2, "<=": 3, ">": 4, "<>": 5, ">=": 6}

func holds(outcomes uint8, c int) truth { return truthOf(outcomes>>(c+1)&1 != 0) }

// comparable gives two operands types that compare. A 'string' takes on the other's type: id.orig_h = '10.0.0.1'.
func (s *scope) comparable(at sql.Node, what string, atX, atY sql.Expr, x, y *expr) (*expr, *expr, error) {
	var err error
	switch {
	case x.isOpen() && y.isOpen():
		if x, err = s.settle(atX, x); err != nil {
			return nil, nil, err
		}
		y, err = s.settle(atY, y)
		return x, y, err
	case y.param > 0 && x.typ.Kind.IsNumber():
		return x, s.paramAs(y, x.typ, paramNumber), nil
	case x.param > 0 && y.typ.Kind.IsNumber():
		return s.paramAs(x, y.typ, paramNumber), y, nil
	case y.isOpen():
		y, _, err = s.coerce(atY, y, x.typ)
		return x, y, err
	case x.isOpen():
		x, _, err = s.coerce(atX, x, y.typ)
		return x, y, err
	case x.typ == y.typ:
		return x, y, nil
	case x.typ.Kind.IsNumber() && y.typ.Kind.IsNumber():
		// A constant of the column's own kind compares fastest; where it has none, numbers compare across kinds.
		if c, ok, _ := s.coerce(atY, y, x.typ); ok && y.konst {
			return x, c, nil
		}
		if c, ok, _ := s.coerce(atX, x, y.typ); ok && x.konst {
			return c, y, nil
		}
		return x, y, nil
	}
	return nil, nil, s.errorf(at, s.compareHint(x, y), "%s of %s and %s: %s is %s, %s is %s", what, typeName(x), typeName(y), x.text, typeName(x), y.text, typeName(y))
}

func (s *scope) compareHint(x, y *expr) string {
	for _, pair := range [][2]*expr{{x, y}, {y, x}} {
		a, b := pair[0], pair[1]
		switch {
		case (a.typ.Kind == feeds.Interval || a.typ.Kind == feeds.Timestamp) && b.typ.Kind.IsNumber():
			return s.castHint(a, b.typ)
		case a.typ.Kind == feeds.Inet && b.typ.Kind == feeds.Subnet:
			return "write in_subnet(" + a.text + ", " + b.text + ")"
		case a.typ.Kind == feeds.Bool && b.typ.Kind.IsNumber():
			return "write " + a.text + " or NOT " + a.text
		case a.typ.Kind == feeds.String && !a.konst && b.konst && b.typ.Kind.IsNumber():
			return "write " + castText(a.text, b.typ) + ", or '" + b.text + "'"
		case a.typ.Kind == feeds.String && b.typ.Kind != feeds.Array:
			return "write " + castText(a.text, b.typ)
		}
	}
	return ""
}

// compare compiles x op y.
func (s *scope) compare(at sql.Node, op string, atX, atY sql.Expr, x, y *expr, text string) (*expr, error) {
	x, y, err := s.comparable(at, "comparison", atX, atY, x, y)
	if err != nil {
		return nil, err
	}
	if x.isNull() || y.isNull() {
		return constant(feeds.NullValue, feeds.T(feeds.Bool), text), nil
	}
	out := condition(text, func(slots []int) cond {
		if fast := compareWithConstant(op, x, y, slots); fast != nil {
			return fast
		}
		left, right, want := x.eval(slots), y.eval(slots), outcomes[op]
		return func(e *env) truth {
			a := left(e)
			if a.IsNull() {
				return unknown
			}
			b := right(e)
			if b.IsNull() {
				return unknown
			}
			return holds(want, feeds.Compare(a, b))
		}
	})
	return s.fold(at, out, x, y)
}

// compareWithConstant is the fast path for what most conditions are: a column beside a constant of its own type. nil
// when it is not that. BenchmarkWhere measures it.
func compareWithConstant(op string, x, y *expr, slots []int) cond {
	want := outcomes[op]
	if x.konst && y.column >= 0 {
		x, y = y, x
		want = want>>2&1 | want&2 | want<<2&4
	}
	if x.column < 0 || !y.konst || x.typ != y.typ {
		return nil
	}
	slot, c := slotOf(slots, x.column), y.val
	switch x.typ.Kind {
	case feeds.String:
		text := c.Str()
		if want != 2 && want != 5 {
			return nil
		}
		equal := want == 2
		return func(e *env) truth {
			v := &e.vals[slot]
			if v.IsNull() {
				return unknown
			}
			return truthOf((v.Str() == text) == equal)
		}
	case feeds.Bigint, feeds.Timestamp:
		i := c.Int()
		return func(e *env) truth {
			v := &e.vals[slot]
			if v.IsNull() {
				return unknown
			}
			return holds(want, compareInts(v.Int(), i))
		}
	case feeds.Ubigint:
		u := c.Uint()
		return func(e *env) truth {
			v := &e.vals[slot]
			if v.IsNull() {
				return unknown
			}
			return holds(want, compareInts(v.Uint(), u))
		}
	case feeds.Double, feeds.Interval:
		f := c.Float()
		if math.IsNaN(f) {
			return nil
		}
		return func(e *env) truth {
			v := &e.vals[slot]
			if v.IsNull() {
				return unknown
			}
			g := v.Float()
			if math.IsNaN(g) {
				return holds(want, 1)
			}
			return holds(want, compareInts(g, f))
		}
	}
	return nil
}

func compareInts[T int64 | uint64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *scope) isDistinct(e *sql.IsDistinct) (*expr, error) {
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	y, err := s.compile(e.Y)
	if err != nil {
		return nil, err
	}
	if x, y, err = s.comparable(e, "comparison", e.X, e.Y, x, y); err != nil {
		return nil, err
	}
	out := condition(sql.Format(e), func(slots []int) cond {
		left, right := x.eval(slots), y.eval(slots)
		return func(env *env) truth { return truthOf(feeds.Equal(left(env), right(env)) == e.Not) }
	})
	return s.fold(e, out, x, y)
}

func (s *scope) between(e *sql.Between) (*expr, error) {
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	low, err := s.compile(e.Low)
	if err != nil {
		return nil, err
	}
	high, err := s.compile(e.High)
	if err != nil {
		return nil, err
	}
	text := sql.Format(e)
	above, err := s.compare(e, ">=", e.X, e.Low, x, low, text)
	if err != nil {
		return nil, err
	}
	below, err := s.compare(e, "<=", e.X, e.High, x, high, text)
	if err != nil {
		return nil, err
	}
	out := s.conjunction(text, above, below)
	if e.Not {
		out = s.negation(text, out)
	}
	return s.fold(e, out, x, low, high)
}

// in is x IN (a, b, ..): yes if one equals, else unknown if one is NULL, else no.
func (s *scope) in(e *sql.In) (*expr, error) {
	at := append([]sql.Expr{e.X}, e.List...)
	xs, err := s.compileAll(at)
	if err != nil {
		return nil, err
	}
	if xs, err = s.adapt("IN", at, xs); err != nil {
		return nil, err
	}
	text := sql.Format(e)
	out := condition(text, func(slots []int) cond {
		if set := inSet(xs[0], xs[1:], slots); set != nil {
			return set
		}
		evals := make([]eval, len(xs))
		for i, x := range xs {
			evals[i] = x.eval(slots)
		}
		return func(e *env) truth {
			v := evals[0](e)
			if v.IsNull() {
				return unknown
			}
			result := no
			for _, item := range evals[1:] {
				switch w := item(e); {
				case w.IsNull():
					result = unknown
				case feeds.Compare(v, w) == 0:
					return yes
				}
			}
			return result
		}
	})
	if e.Not {
		out = s.negation(text, out)
	}
	return s.fold(e, out, xs...)
}

// adapt gives all but the first of xs types that compare with the first; the first adapts to them only where its own type
// is open.
func (s *scope) adapt(what string, at []sql.Expr, xs []*expr) ([]*expr, error) {
	if xs[0].isOpen() {
		xs, _, err := s.unify(what, at, xs)
		return xs, err
	}
	for i := 1; i < len(xs); i++ {
		_, y, err := s.comparable(at[i], what, at[0], at[i], xs[0], xs[i])
		if err != nil {
			return nil, err
		}
		xs[i] = y
	}
	return xs, nil
}

// inSet is the fast path for a list of constant strings.
func inSet(x *expr, list []*expr, slots []int) cond {
	if x.typ.Kind != feeds.String {
		return nil
	}
	set, miss := make(map[string]struct{}, len(list)), no
	for _, item := range list {
		switch {
		case !item.konst:
			return nil
		case item.isNull():
			miss = unknown
		default:
			set[item.val.Str()] = struct{}{}
		}
	}
	value := x.eval(slots)
	return func(e *env) truth {
		v := value(e)
		if v.IsNull() {
			return unknown
		}
		if _, ok := set[v.Str()]; ok {
			return yes
		}
		return miss
	}
}
