package tables

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// numberOperand checks that x is a number.
func (s *scope) numberOperand(at sql.Expr, x *expr, what string) (*expr, error) {
	if x.param > 0 || x.isNull() {
		y, _, err := s.coerce(at, x, feeds.T(feeds.Double))
		return y, err
	}
	if !x.typ.Kind.IsNumber() {
		return nil, s.errorf(at, s.castHint(x, feeds.T(feeds.Double)), "%s needs a number, %s is %s", what, x.text, typeName(x))
	}
	return x, nil
}

// integerOperand checks that x is a whole number.
func (s *scope) integerOperand(at sql.Expr, x *expr, what string) (*expr, error) {
	if x.typ.Kind.IsInteger() {
		return x, nil
	}
	y, ok, err := s.coerce(at, x, feeds.T(feeds.Bigint))
	if err == nil && !ok {
		err = s.errorf(at, s.castHint(x, feeds.T(feeds.Bigint)), "%s needs a whole number, %s is %s", what, x.text, typeName(x))
	}
	return y, err
}

// clampInt returns an integer of any kind as 64 bits, those beyond as the nearest of a quarter of that range: places in
// texts and arrays can be added without overflow.
func clampInt(v feeds.Value) int64 {
	const limit = math.MaxInt64 / 4
	switch i, ok := v.Int128().Int64(); {
	case ok:
		return min(max(i, -limit), limit)
	case v.Int128().Hi < 0:
		return -limit
	}
	return limit
}

// whole is floor, ceil: integers stay what they are.
func whole(f func(float64) float64) function {
	return func(s *scope, e *sql.Call, args []*expr) (*expr, error) {
		if err := s.arity(e, 1, e.Name+"(number)"); err != nil {
			return nil, err
		}
		x, err := s.numberOperand(e.Args[0], args[0], e.Name)
		if err != nil || x.typ.Kind.IsInteger() {
			return x, err
		}
		out := &expr{typ: x.typ, text: sql.Format(e), column: -1}
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return feeds.DoubleValue(f(v.Float())) })
		return s.fold(e, out, x)
	}
}

// round is round(number) and round(number, decimals). A double that lies in the middle goes to the even neighbour, as
// PostgreSQL's double precision does; an integer to the one farther from zero, as PostgreSQL's numeric.
func (s *scope) round(e *sql.Call, args []*expr) (*expr, error) {
	if len(args) == 1 {
		return whole(math.RoundToEven)(s, e, args)
	}
	if err := s.arity(e, 2, "round(number, decimals)"); err != nil {
		return nil, err
	}
	x, err := s.numberOperand(e.Args[0], args[0], e.Name)
	if err != nil {
		return nil, err
	}
	decimals, err := s.integerOperand(e.Args[1], args[1], e.Name)
	if err != nil {
		return nil, err
	}
	out := &expr{typ: x.typ, text: sql.Format(e), column: -1}
	if x.typ.Kind == feeds.Double {
		out.eval = binaryEval(x, decimals, func(_ *env, v, decimals feeds.Value) feeds.Value {
			return feeds.DoubleValue(roundDouble(v.Float(), clampInt(decimals)))
		})
	} else {
		out.eval = binaryEval(x, decimals, func(e *env, v, decimals feeds.Value) feeds.Value {
			i, ok := roundInteger(v.Int128(), clampInt(decimals))
			if !ok {
				return e.none()
			}
			if v, ok = integerValue(i, x.typ.Kind); !ok {
				return e.none()
			}
			return v
		})
	}
	return s.fold(e, out, x, decimals)
}

// roundDouble rounds to that many decimals: the nearest decimal number of the double's exact value, and the double that is
// nearest to it.
func roundDouble(f float64, decimals int64) float64 {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0) || decimals > 1100: // no double has more decimals
		return f
	case decimals < -308:
		return 0
	case decimals < 0:
		unit := math.Pow10(int(-decimals))
		return math.RoundToEven(f/unit) * unit
	}
	var space [64]byte
	text := strconv.AppendFloat(space[:0], f, 'f', int(decimals), 64)
	f, _ = strconv.ParseFloat(unsafe.String(&text[0], len(text)), 64) // ParseFloat keeps nothing of a text that is a number
	return f
}

// roundInteger rounds to a multiple of 10^-decimals; ok is false on overflow.
func roundInteger(i feeds.Int128, decimals int64) (rounded feeds.Int128, ok bool) {
	if decimals >= 0 {
		return i, true
	}
	if decimals < -38 { // 10^39 is beyond twice any 128-bit integer
		return feeds.Int128{}, true
	}
	unit := feeds.Int128From(1)
	for range -decimals {
		if unit, ok = unit.Mul(feeds.Int128From(10)); !ok {
			return feeds.Int128{}, true
		}
	}
	_, rest, ok := i.QuoRem(unit)
	if !ok {
		return i, false
	}
	down, _ := i.Sub(rest)
	negative := rest.Hi < 0
	if negative {
		rest, _ = rest.Neg()
	}
	if gap, _ := unit.Sub(rest); gap.Cmp(rest) > 0 {
		return down, true
	}
	if negative {
		return down.Sub(unit)
	}
	return down.Add(unit)
}

// extremeOf is greatest and least: of the arguments that are not NULL, as in PostgreSQL.
func extremeOf(sign int) function {
	return func(s *scope, e *sql.Call, args []*expr) (*expr, error) {
		if len(args) == 0 {
			return nil, s.errorf(e, "write "+e.Name+"(a, b)", "%s takes at least one argument", e.Name)
		}
		args, typ, err := s.unify(e.Name, e.Args, args)
		if err != nil {
			return nil, err
		}
		out := &expr{typ: typ, text: sql.Format(e), column: -1, eval: func(slots []int) eval {
			evals := make([]eval, len(args))
			for i, a := range args {
				evals[i] = a.eval(slots)
			}
			return func(e *env) (best feeds.Value) {
				for _, value := range evals {
					if v := value(e); !v.IsNull() && (best.IsNull() || feeds.Compare(v, best)*sign > 0) {
						best = v
					}
				}
				return best
			}
		}}
		return s.fold(e, out, args...)
	}
}
