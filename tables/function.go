package tables

import (
	"net/netip"
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
		"coalesce":   (*scope).coalesce,
		"nullif":     (*scope).nullif,
		"length":     stringFunction(feeds.Bigint, func(s string) feeds.Value { return feeds.BigintValue(int64(utf8.RuneCountInString(s))) }),
		"lower":      stringFunction(feeds.String, func(s string) feeds.Value { return feeds.StringValue(strings.ToLower(s)) }),
		"upper":      stringFunction(feeds.String, func(s string) feeds.Value { return feeds.StringValue(strings.ToUpper(s)) }),
		"abs":        (*scope).abs,
		"in_subnet":  (*scope).inSubnet,
		"is_private": (*scope).isPrivate,
	}
}

// laterFunctions are promised by the language and not there yet.
var laterFunctions = []string{
	"substr", "substring", "split_part", "left", "right", "trim", "ltrim", "rtrim", "round", "floor", "ceil", "greatest", "least",
	"date_trunc", "to_timestamp", "array_length", "len", "array_contains", "unnest", "registered_domain", "public_suffix", "mask", "entropy",
	"stddev", "variance", "bool_or", "bool_and", "first", "last", "array_agg", "approx_count_distinct", "approx_percentile", "top_k",
}

func (s *scope) call(e *sql.Call) (*expr, error) {
	f, ok := functions[e.Name]
	switch {
	case aggregates[e.Name] != nil:
		return nil, s.errorf(e, "", "aggregate %s is not possible %s", sql.Format(e), s.aggregates)
	case !ok && slices.Contains(laterFunctions, e.Name):
		return nil, s.unsupported(e, e.Name+"()")
	case !ok:
		return nil, s.errorf(e, sql.DidYouMean(e.Name, functionNames()), "no function %s", e.Name)
	case e.Star, e.Distinct, e.Filter != nil:
		return nil, s.errorf(e, "", "*, DISTINCT and FILTER belong to aggregates, %s is none", e.Name)
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
		names = append(names, n)
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

// addrOf returns the address of an inet or of a string that is one; ok is false for other strings.
func addrOf(v feeds.Value) (a netip.Addr, ok bool) {
	if v.Kind() == feeds.Inet {
		return v.Addr().Unmap(), true
	}
	a, err := netip.ParseAddr(v.Str())
	return a.Unmap().WithZone(""), err == nil
}

// addrOperand checks that x is an inet, or a string that may hold one.
func (s *scope) addrOperand(at sql.Expr, x *expr, what string) (*expr, error) {
	if x.isOpen() {
		y, _, err := s.coerce(at, x, feeds.T(feeds.Inet))
		return y, err
	}
	if x.typ.Kind != feeds.Inet && x.typ.Kind != feeds.String {
		return nil, s.errorf(at, "", "%s needs an inet, %s is %s", what, x.text, typeName(x))
	}
	return x, nil
}

// inSubnet is in_subnet(address, '10.0.0.0/8'); a string that is no address is in no subnet.
func (s *scope) inSubnet(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 2, "in_subnet(id.orig_h, '10.0.0.0/8')"); err != nil {
		return nil, err
	}
	x, err := s.addrOperand(e.Args[0], args[0], "in_subnet")
	if err != nil {
		return nil, err
	}
	net, ok, err := s.coerce(e.Args[1], args[1], feeds.T(feeds.Subnet))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, s.errorf(e.Args[1], "write '10.0.0.0/8'", "in_subnet needs a subnet, %s is %s", net.text, typeName(net))
	}
	text := sql.Format(e)
	if net.isNull() || x.isNull() {
		return constant(feeds.NullValue, feeds.T(feeds.Bool), text), nil
	}
	out := condition(text, func(slots []int) cond {
		value, subnet := x.eval(slots), net.eval(slots)
		if net.konst {
			prefix := canonicalPrefix(net.val.Prefix())
			return func(e *env) truth {
				v := value(e)
				if v.IsNull() {
					return unknown
				}
				a, ok := addrOf(v)
				return truthOf(ok && prefix.Contains(a))
			}
		}
		return func(e *env) truth {
			v, n := value(e), subnet(e)
			if v.IsNull() || n.IsNull() {
				return unknown
			}
			a, ok := addrOf(v)
			return truthOf(ok && canonicalPrefix(n.Prefix()).Contains(a))
		}
	})
	return s.fold(e, out, x, net)
}

// canonicalPrefix turns ::ffff:10.0.0.0/104 into 10.0.0.0/8: one network in two spellings.
func canonicalPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// isPrivate is is_private(address): the networks of RFC 1918, 4193 and 6598, link-local and loopback addresses.
func (s *scope) isPrivate(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 1, "is_private(id.orig_h)"); err != nil {
		return nil, err
	}
	x, err := s.addrOperand(e.Args[0], args[0], "is_private")
	if err != nil {
		return nil, err
	}
	shared := netip.MustParsePrefix("100.64.0.0/10")
	out := condition(sql.Format(e), func(slots []int) cond {
		value := x.eval(slots)
		return func(e *env) truth {
			v := value(e)
			if v.IsNull() {
				return unknown
			}
			a, ok := addrOf(v)
			return truthOf(ok && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a)))
		}
	})
	return s.fold(e, out, x)
}
