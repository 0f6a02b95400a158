package tables

import (
	"fmt"
	"math"
	"net/netip"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

func (s *scope) cast(e *sql.Cast) (*expr, error) {
	typ, err := s.typeOf(e.Type)
	if err != nil {
		return nil, err
	}
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	y, ok, err := s.coerce(e.X, x, typ)
	if err != nil {
		return nil, err
	}
	if !ok {
		if !castable(x.typ, typ) {
			hint := s.castHint(x, typ)
			return nil, s.errorf(e, hint, "cannot cast %s to %s: %s", typeName(x), typ, x.text)
		}
		y = s.converted(x, typ)
	}
	out := *y
	out.text, out.literal = sql.Format(e), false
	if out.konst {
		return &out, nil
	}
	return s.fold(e, &out, x)
}

// castable reports whether CAST(x AS to) exists. Times and lengths of time do not become numbers: in which unit?
func castable(from, to feeds.Type) bool {
	f, t := from.Kind, to.Kind
	switch {
	case from == to, t == feeds.String:
		return true
	case t == feeds.Array || f == feeds.Array:
		return false
	case f == feeds.String:
		return true
	case t.IsNumber():
		return f.IsNumber() || f == feeds.Bool && t != feeds.Double
	case t == feeds.Bool:
		return f.IsInteger()
	case t == feeds.Subnet:
		return f == feeds.Inet
	}
	return false
}

// convert gives a value that is not NULL the type to, as CAST does; ok is false where it has no such value. Doubles
// become integers by rounding half to even, as PostgreSQL's float8 does.
func convert(v feeds.Value, to feeds.Type) (out feeds.Value, ok bool) {
	from := v.Kind()
	switch {
	case from == to.Kind:
		return v, true
	case to.Kind == feeds.String:
		return feeds.StringValue(v.String()), true
	case from == feeds.String:
		out, why := parseValue(v.Str(), to)
		return out, why == ""
	case to.Kind == feeds.Double && from.IsNumber():
		return feeds.DoubleValue(v.Float()), true
	case to.Kind.IsInteger():
		return convertToInteger(v, to.Kind)
	case to.Kind == feeds.Bool && from.IsInteger():
		return feeds.BoolValue(v.Int128() != feeds.Int128{}), true
	case to.Kind == feeds.Subnet && from == feeds.Inet:
		return feeds.SubnetValue(netip.PrefixFrom(v.Addr(), v.Addr().BitLen())), true
	}
	return feeds.NullValue, false
}

func convertToInteger(v feeds.Value, to feeds.Kind) (out feeds.Value, ok bool) {
	var i feeds.Int128
	switch from := v.Kind(); {
	case from.IsInteger():
		i = v.Int128()
	case from == feeds.Double:
		if i, ok = feeds.Int128FromFloat(math.RoundToEven(v.Float())); !ok {
			return feeds.NullValue, false
		}
	case from == feeds.Bool:
		if v.IsTrue() {
			i = feeds.Int128From(1)
		}
	default:
		return feeds.NullValue, false
	}
	return integerValue(i, to)
}

// integerValue returns i as a value of an integer kind; ok is false when it does not fit.
func integerValue(i feeds.Int128, kind feeds.Kind) (v feeds.Value, ok bool) {
	switch kind {
	case feeds.Bigint:
		n, ok := i.Int64()
		return feeds.BigintValue(n), ok
	case feeds.Ubigint:
		n, ok := i.Uint64()
		return feeds.UbigintValue(n), ok
	case feeds.Numeric:
		return feeds.NumericValue(i), true
	}
	panic(fmt.Sprintf("tables: %v is no integer kind", kind))
}

// unaryEval evaluates f over x where x is not NULL.
func unaryEval(x *expr, f func(e *env, v feeds.Value) feeds.Value) func([]int) eval {
	return func(slots []int) eval {
		value := x.eval(slots)
		return func(e *env) feeds.Value {
			v := value(e)
			if v.IsNull() {
				return v
			}
			return f(e, v)
		}
	}
}

// binaryEval evaluates f over x and y where neither is NULL.
func binaryEval(x, y *expr, f func(e *env, a, b feeds.Value) feeds.Value) func([]int) eval {
	return func(slots []int) eval {
		left, right := x.eval(slots), y.eval(slots)
		return func(e *env) feeds.Value {
			a := left(e)
			if a.IsNull() {
				return a
			}
			b := right(e)
			if b.IsNull() {
				return b
			}
			return f(e, a, b)
		}
	}
}

// ternaryEval evaluates f over x, y and z where none is NULL.
func ternaryEval(x, y, z *expr, f func(e *env, a, b, c feeds.Value) feeds.Value) func([]int) eval {
	return func(slots []int) eval {
		first, second, third := x.eval(slots), y.eval(slots), z.eval(slots)
		return func(e *env) feeds.Value {
			a := first(e)
			if a.IsNull() {
				return a
			}
			b := second(e)
			if b.IsNull() {
				return b
			}
			c := third(e)
			if c.IsNull() {
				return c
			}
			return f(e, a, b, c)
		}
	}
}
