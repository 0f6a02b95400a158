package tables

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// function compiles one call.
type function func(s *scope, e *sql.Call, args []*expr) (*expr, error)

// functions by name. Aggregates are not among them: see aggregates.
var functions map[string]function

func init() { // in init, for the functions reach it again through the compiler
	functions = map[string]function{
		"coalesce": (*scope).coalesce,
		"nullif":   (*scope).nullif,
		"greatest": extremeOf(1),
		"least":    extremeOf(-1),

		"length":     stringFunction(feeds.Bigint, func(s string) feeds.Value { return feeds.BigintValue(int64(utf8.RuneCountInString(s))) }),
		"lower":      stringFunction(feeds.String, func(s string) feeds.Value { return feeds.StringValue(strings.ToLower(s)) }),
		"upper":      stringFunction(feeds.String, func(s string) feeds.Value { return feeds.StringValue(strings.ToUpper(s)) }),
		"substr":     (*scope).substr,
		"substring":  (*scope).substr,
		"left":       end(left),
		"right":      end(right),
		"trim":       trim(strings.Trim),
		"btrim":      trim(strings.Trim),
		"ltrim":      trim(strings.TrimLeft),
		"rtrim":      trim(strings.TrimRight),
		"split_part": (*scope).splitPart,
		"entropy":    stringFunction(feeds.Double, entropyOf),

		"abs":     (*scope).abs,
		"round":   (*scope).round,
		"floor":   whole(math.Floor),
		"ceil":    whole(math.Ceil),
		"ceiling": whole(math.Ceil),

		"date_trunc":   (*scope).dateTrunc,
		"to_timestamp": (*scope).toTimestamp,

		"len":            (*scope).length,
		"array_length":   (*scope).length,
		"cardinality":    (*scope).length,
		"array_contains": (*scope).arrayContains,
		"unnest":         (*scope).unnest,

		"in_subnet":         (*scope).inSubnet,
		"is_private":        (*scope).isPrivate,
		"mask":              (*scope).mask,
		"registered_domain": domainFunction(registeredDomainOf),
		"public_suffix":     domainFunction(publicSuffixOf),
	}
}

func (s *scope) call(e *sql.Call) (*expr, error) {
	f, ok := functions[e.Name]
	switch {
	case aggregates[e.Name] != nil:
		hint := ""
		if s.aggregates == "in WHERE" {
			hint = "conditions on aggregates belong in HAVING"
		}
		return nil, s.errorf(e, hint, "aggregate %s is not possible %s", sql.Format(e), s.aggregates)
	case !ok:
		return nil, s.errorf(e, functionHint(e.Name), "no function %s", e.Name)
	case e.Star, e.Distinct, e.Filter != nil:
		return nil, s.errorf(e, "", "*, DISTINCT and FILTER belong to aggregates, %s is none", e.Name)
	case e.Name == "coalesce":
		if err := s.noUnnest(e, "inside COALESCE"); err != nil {
			return nil, err
		}
	}
	args := make([]*expr, len(e.Args))
	for i, a := range e.Args {
		x, err := s.compile(a)
		if err != nil {
			return nil, err
		}
		args[i] = x
	}
	return f(s, e, args)
}

func functionNames() []string {
	var names []string
	for n := range functions {
		names = append(names, n)
	}
	for n := range aggregates {
		if n != isEstimate {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return append(names, "extract")
}

// arity checks the number of arguments.
func (s *scope) arity(e *sql.Call, n int, usage string) error {
	if len(e.Args) != n {
		return s.errorf(e, "write "+usage, "%s takes %d argument(s), not %d", e.Name, n, len(e.Args))
	}
	return nil
}

// coalesce is the first argument that is not NULL.
func (s *scope) coalesce(e *sql.Call, args []*expr) (*expr, error) {
	if len(args) == 0 {
		return nil, s.errorf(e, "write coalesce(a, b)", "coalesce takes at least one argument")
	}
	args, typ, err := s.unify("coalesce", e.Args, args)
	if err != nil {
		return nil, err
	}
	out := &expr{typ: typ, text: sql.Format(e), column: -1, eval: func(slots []int) eval {
		evals := make([]eval, len(args))
		for i, a := range args {
			evals[i] = a.eval(slots)
		}
		return func(e *env) feeds.Value {
			for _, value := range evals {
				if v := value(e); !v.IsNull() {
					return v
				}
			}
			return feeds.NullValue
		}
	}}
	return s.fold(e, out, args...)
}

// nullif is NULL where both arguments are equal, else the first.
func (s *scope) nullif(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 2, "nullif(a, b)"); err != nil {
		return nil, err
	}
	x, y, err := s.comparable(e, "nullif", e.Args[0], e.Args[1], args[0], args[1])
	if err != nil {
		return nil, err
	}
	out := &expr{typ: x.typ, text: sql.Format(e), column: -1, eval: func(slots []int) eval {
		left, right := x.eval(slots), y.eval(slots)
		return func(e *env) feeds.Value {
			v, w := left(e), right(e)
			if !v.IsNull() && !w.IsNull() && feeds.Compare(v, w) == 0 {
				return feeds.NullValue
			}
			return v
		}
	}}
	return s.fold(e, out, x, y)
}

func (s *scope) abs(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 1, "abs(number)"); err != nil {
		return nil, err
	}
	x := args[0]
	kind := x.typ.Kind
	out := &expr{typ: x.typ, text: sql.Format(e), column: -1}
	switch {
	case x.isNull():
		return x, nil
	case kind == feeds.Ubigint:
		return x, nil
	case kind.IsInteger():
		out.eval = unaryEval(x, integerOp(kind, func(i feeds.Int128) (feeds.Int128, bool) {
			if i.Hi < 0 {
				return i.Neg()
			}
			return i, true
		}))
	case kind == feeds.Double:
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return feeds.DoubleValue(max(v.Float(), -v.Float())) })
	case kind == feeds.Interval:
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return feeds.IntervalValue(max(v.Float(), -v.Float())) })
	default:
		return nil, s.errorf(e.Args[0], "", "abs needs a number, %s is %s", x.text, typeName(x))
	}
	return s.fold(e, out, x)
}
