package tables

import (
	"fmt"
	"math"
	"math/bits"
	"regexp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

func (s *scope) unary(e *sql.Unary) (*expr, error) {
	if n, ok := e.X.(*sql.Number); ok && e.Op == "-" {
		// -9223372036854775808 is a bigint, though 9223372036854775808 is none.
		return s.number(e, "-"+n.Text)
	}
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	text := sql.Format(e)
	if e.Op == "NOT" {
		return s.not(e, x, text)
	}
	kind := x.typ.Kind
	switch {
	case x.isNull():
		return x, nil
	case !kind.IsNumber() && kind != feeds.Interval || x.isOpen():
		return nil, s.errorf(e, "", "%s needs a number, %s is %s", e.Op, x.text, typeName(x))
	case e.Op == "+":
		return x, nil
	}
	out := &expr{typ: x.typ, text: text, column: -1}
	switch kind {
	case feeds.Double:
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return feeds.DoubleValue(-v.Float()) })
	case feeds.Interval:
		out.eval = unaryEval(x, func(_ *env, v feeds.Value) feeds.Value { return feeds.IntervalValue(-v.Seconds()) })
	default:
		if kind == feeds.Ubigint {
			out.typ = feeds.T(feeds.Numeric)
		}
		out.eval = unaryEval(x, integerOp(out.typ.Kind, feeds.Int128.Neg))
	}
	return s.fold(e, out, x)
}

// integerOp makes a function of an operation on 128 bits whose result must fit kind.
func integerOp(kind feeds.Kind, op func(feeds.Int128) (feeds.Int128, bool)) func(*env, feeds.Value) feeds.Value {
	return func(e *env, v feeds.Value) feeds.Value {
		i, ok := op(v.Int128())
		if !ok {
			return e.none()
		}
		out, ok := integerValue(i, kind)
		if !ok {
			return e.none()
		}
		return out
	}
}

func (s *scope) binary(e *sql.Binary) (*expr, error) {
	x, err := s.compile(e.X)
	if err != nil {
		return nil, err
	}
	y, err := s.compile(e.Y)
	if err != nil {
		return nil, perhapsText(e.Y, err)
	}
	switch e.Op {
	case "AND", "OR":
		return s.andOr(e, x, y)
	case "=", "<>", "<", "<=", ">", ">=":
		return s.compare(e, e.Op, e.X, e.Y, x, y, sql.Format(e))
	case "||":
		return s.concat(e, x, y)
	case "~", "!~", "~*", "!~*":
		return s.match(e, x, y)
	}
	return s.arith(e, x, y)
}

// arith compiles + - * / %.
func (s *scope) arith(e *sql.Binary, x, y *expr) (*expr, error) {
	var err error
	if x, y, err = s.openOperands(e, x, y); err != nil {
		return nil, err
	}
	out := &expr{text: sql.Format(e), column: -1}
	a, b := x.typ.Kind, y.typ.Kind
	switch {
	case a.IsNumber() && b.IsNumber():
		out.typ = widest(x.typ, y.typ)
		switch out.typ.Kind {
		case feeds.Double:
			if e.Op == "%" {
				return nil, s.errorf(e, "cast to numeric", "%% needs integers, %s is double", out.text)
			}
			out.eval = binaryEval(x, y, doubleOps[e.Op])
		case feeds.Bigint:
			out.eval = binaryEval(x, y, bigintOps[e.Op])
		default:
			out.typ = feeds.T(feeds.Numeric) // also ubigint with ubigint: a difference may be negative
			out.eval = binaryEval(x, y, numericOps[e.Op])
		}
	case a == feeds.Timestamp && b == feeds.Interval && (e.Op == "+" || e.Op == "-"):
		out.typ = x.typ
		out.eval = binaryEval(x, y, shiftOps[e.Op])
	case a == feeds.Interval && b == feeds.Timestamp && e.Op == "+":
		out.typ = y.typ
		out.eval = binaryEval(y, x, shiftOps["+"])
	case a == feeds.Timestamp && b == feeds.Timestamp && e.Op == "-":
		out.typ = feeds.T(feeds.Interval)
		out.eval = binaryEval(x, y, func(e *env, a, b feeds.Value) feeds.Value {
			micros, ok := feeds.Int128From(a.Micros()).Sub(feeds.Int128From(b.Micros()))
			if !ok {
				return e.none()
			}
			return feeds.IntervalValue(micros.Float64() / 1e6)
		})
	case a == feeds.Interval && b == feeds.Interval && (e.Op == "+" || e.Op == "-"),
		a == feeds.Interval && b.IsNumber() && (e.Op == "*" || e.Op == "/"),
		a.IsNumber() && b == feeds.Interval && e.Op == "*":
		out.typ = feeds.T(feeds.Interval)
		op := doubleOps[e.Op]
		out.eval = binaryEval(x, y, func(e *env, a, b feeds.Value) feeds.Value {
			v := op(e, a, b)
			if v.IsNull() {
				return v
			}
			return feeds.IntervalValue(v.Float())
		})
	default:
		return nil, s.errorf(e, s.arithHint(e.Op, x, y), "no operator %s %s %s: %s", typeName(x), e.Op, typeName(y), out.text)
	}
	return s.fold(e, out, x, y)
}

// openOperands gives NULL and parameters the other operand's type. A 'string' stays one: 'a' + 1 is a mistake, and which
// of two types '1 day' beside a timestamp would be is a guess.
func (s *scope) openOperands(e *sql.Binary, x, y *expr) (*expr, *expr, error) {
	adapt := func(at sql.Expr, x, other *expr) (*expr, error) {
		if x.literal || !x.isOpen() {
			return x, nil
		}
		typ := other.typ
		if other.isOpen() {
			typ = feeds.T(feeds.Double)
		}
		out, _, err := s.coerce(at, x, typ)
		return out, err
	}
	left, err := adapt(e.X, x, y)
	if err != nil {
		return nil, nil, err
	}
	right, err := adapt(e.Y, y, x)
	return left, right, err
}

func (s *scope) arithHint(op string, x, y *expr) string {
	for _, pair := range [][2]*expr{{x, y}, {y, x}} {
		a, b := pair[0], pair[1]
		switch {
		case a.typ.Kind == feeds.String && b.typ.Kind == feeds.String && op == "+":
			return "strings are joined by ||"
		case a.literal && (b.typ.Kind == feeds.Timestamp || b.typ.Kind == feeds.Interval):
			return "write INTERVAL " + a.text
		case (a.typ.Kind == feeds.Timestamp || a.typ.Kind == feeds.Interval) && b.typ.Kind.IsNumber():
			return s.castHint(a, b.typ)
		case a.typ.Kind == feeds.String && b.typ.Kind.IsNumber():
			return s.castHint(a, b.typ)
		}
	}
	return ""
}

type binaryOp func(e *env, a, b feeds.Value) feeds.Value

var bigintOps = map[string]binaryOp{
	"+": func(e *env, a, b feeds.Value) feeds.Value {
		x, y := a.Int(), b.Int()
		sum := x + y
		if (sum > x) != (y > 0) && y != 0 {
			return e.none()
		}
		return feeds.BigintValue(sum)
	},
	"-": func(e *env, a, b feeds.Value) feeds.Value {
		x, y := a.Int(), b.Int()
		diff := x - y
		if (diff < x) != (y > 0) && y != 0 {
			return e.none()
		}
		return feeds.BigintValue(diff)
	},
	"*": func(e *env, a, b feeds.Value) feeds.Value {
		product, _ := mulInt64(a.Int(), b.Int()) // two 64-bit integers fit 128
		i, ok := product.Int64()
		if !ok {
			return e.none()
		}
		return feeds.BigintValue(i)
	},
	"/": func(e *env, a, b feeds.Value) feeds.Value {
		x, y := a.Int(), b.Int()
		if y == 0 || x == math.MinInt64 && y == -1 {
			return e.none()
		}
		return feeds.BigintValue(x / y)
	},
	"%": func(e *env, a, b feeds.Value) feeds.Value {
		if b.Int() == 0 {
			return e.none()
		}
		if b.Int() == -1 { // the smallest bigint % -1 is 0, though the quotient overflows
			return feeds.BigintValue(0)
		}
		return feeds.BigintValue(a.Int() % b.Int())
	},
}

var numericOps = map[string]binaryOp{
	"+": numericOp(feeds.Int128.Add),
	"-": numericOp(feeds.Int128.Sub),
	"*": numericOp(func(a, b feeds.Int128) (feeds.Int128, bool) {
		x, small := a.Int64()
		y, alsoSmall := b.Int64()
		if small && alsoSmall {
			return mulInt64(x, y)
		}
		return a.Mul(b)
	}),
	"/": numericOp(func(a, b feeds.Int128) (feeds.Int128, bool) {
		if x, y, ok := smallDivision(a, b); ok {
			return feeds.Int128From(x / y), true
		}
		quo, _, ok := a.QuoRem(b)
		return quo, ok
	}),
	"%": numericOp(func(a, b feeds.Int128) (feeds.Int128, bool) {
		if x, y, ok := smallDivision(a, b); ok {
			return feeds.Int128From(x % y), true
		}
		if b == feeds.Int128From(-1) {
			return feeds.Int128{}, true
		}
		_, rem, ok := a.QuoRem(b)
		return rem, ok
	}),
}

func numericOp(op func(a, b feeds.Int128) (feeds.Int128, bool)) binaryOp {
	return func(e *env, a, b feeds.Value) feeds.Value {
		i, ok := op(a.Int128(), b.Int128())
		if !ok {
			return e.none()
		}
		return feeds.NumericValue(i)
	}
}

// mulInt64 multiplies without the big integers that 128-bit factors need.
func mulInt64(x, y int64) (feeds.Int128, bool) {
	hi, lo := bits.Mul64(magnitude(x), magnitude(y))
	product := feeds.Int128{Hi: int64(hi), Lo: lo}
	if (x < 0) != (y < 0) {
		return product.Neg()
	}
	return product, true
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// smallDivision reports whether a by b can be divided in 64 bits.
func smallDivision(a, b feeds.Int128) (x, y int64, ok bool) {
	x, okX := a.Int64()
	y, okY := b.Int64()
	return x, y, okX && okY && y != 0 && y != -1
}

var doubleOps = map[string]binaryOp{
	"+": doubleOp(func(a, b float64) float64 { return a + b }),
	"-": doubleOp(func(a, b float64) float64 { return a - b }),
	"*": doubleOp(func(a, b float64) float64 { return a * b }),
	"/": func(e *env, a, b feeds.Value) feeds.Value {
		if b.Float() == 0 {
			return e.none()
		}
		return divide(e, a, b)
	},
}

var divide = doubleOp(func(a, b float64) float64 { return a / b })

// doubleOp makes infinity out of finite numbers an overflow, as PostgreSQL does.
func doubleOp(op func(a, b float64) float64) binaryOp {
	return func(e *env, a, b feeds.Value) feeds.Value {
		x, y := a.Float(), b.Float()
		f := op(x, y)
		if math.IsInf(f, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
			return e.none()
		}
		return feeds.DoubleValue(f)
	}
}

// shiftOps move a timestamp by an interval, rounded to microseconds.
var shiftOps = map[string]binaryOp{
	"+": func(e *env, ts, by feeds.Value) feeds.Value { return shift(e, ts, by.Seconds()) },
	"-": func(e *env, ts, by feeds.Value) feeds.Value { return shift(e, ts, -by.Seconds()) },
}

func shift(e *env, ts feeds.Value, seconds float64) feeds.Value {
	by, ok := feeds.Int128FromFloat(math.RoundToEven(seconds * 1e6))
	if !ok {
		return e.none()
	}
	sum, _ := feeds.Int128From(ts.Micros()).Add(by)
	micros, ok := sum.Int64()
	if !ok {
		return e.none()
	}
	return feeds.TimestampValue(micros)
}

// concat is ||: what is not a string beside one is written as text, as PostgreSQL does.
func (s *scope) concat(e *sql.Binary, x, y *expr) (*expr, error) {
	text := sql.Format(e)
	if x.typ.Kind == feeds.Array || y.typ.Kind == feeds.Array {
		return nil, s.unsupported(e, "|| of arrays")
	}
	if x.typ.Kind != feeds.String && y.typ.Kind != feeds.String && !x.isOpen() && !y.isOpen() {
		return nil, s.errorf(e, "write "+castText(x.text, feeds.T(feeds.String)), "|| needs a string, %s is %s and %s is %s", x.text, typeName(x), y.text, typeName(y))
	}
	x, err := s.settle(e.X, x)
	if err != nil {
		return nil, err
	}
	if y, err = s.settle(e.Y, y); err != nil {
		return nil, err
	}
	out := &expr{typ: feeds.T(feeds.String), text: text, column: -1}
	out.eval = binaryEval(x, y, func(_ *env, a, b feeds.Value) feeds.Value {
		if a.Kind() == feeds.String && b.Kind() == feeds.String {
			return feeds.StringValue(a.Str() + b.Str())
		}
		return feeds.StringValue(string(b.AppendText(a.AppendText(nil))))
	})
	return s.fold(e, out, x, y)
}

// match is ~ and its kin: RE2 expressions, which take time linear in the text, so that no record can hang a table.
func (s *scope) match(e *sql.Binary, x, y *expr) (*expr, error) {
	x, err := s.stringOperand(e.X, x, e.Op)
	if err != nil {
		return nil, err
	}
	if y, err = s.stringOperand(e.Y, y, e.Op); err != nil {
		return nil, err
	}
	if !y.konst {
		return nil, s.errorf(e.Y, "write it as a 'string'", "the expression behind %s must be constant", e.Op)
	}
	text := sql.Format(e)
	if y.isNull() {
		return constant(feeds.NullValue, feeds.T(feeds.Bool), text), nil
	}
	pattern := y.val.Str()
	if e.Op == "~*" || e.Op == "!~*" {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, s.errorf(e.Y, "", "%s is no RE2 expression: %v", y.text, err)
	}
	want := truthOf(e.Op[0] == '~')
	out := condition(text, func(slots []int) cond {
		value := x.eval(slots)
		return func(e *env) truth {
			v := value(e)
			if v.IsNull() {
				return unknown
			}
			return truthOf(truthOf(re.MatchString(v.Str())) == want)
		}
	})
	return s.fold(e, out, x)
}

// stringOperand checks that x is a string.
func (s *scope) stringOperand(at sql.Expr, x *expr, op string) (*expr, error) {
	y, ok, err := s.coerce(at, x, feeds.T(feeds.String))
	if err == nil && !ok {
		err = s.errorf(at, fmt.Sprintf("write %s", castText(x.text, feeds.T(feeds.String))), "%s needs a string, %s is %s", op, x.text, typeName(x))
	}
	return y, err
}
