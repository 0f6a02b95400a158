package tables

import (
	"fmt"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// maxChain is how deep an expression's tree may be; the parser bounds nesting, this bounds chains such as a + a + a.
const maxChain = 1000

// scope compiles expressions: it knows what a name means here.
type scope struct {
	src *sql.Source
	// column gives the meaning of a column's name.
	column func(c *sql.Column) (*expr, error)
	// special is asked first about every expression, and ok says that it has an answer: after grouping, group columns
	// and aggregates are columns. May be nil.
	special func(e sql.Expr) (x *expr, ok bool, err error)
	// aggregates says why an aggregate is not possible here: "in WHERE".
	aggregates string
	unnests    *[]unnest // of the plan, to which an unnest is added; nil: it is not possible here, aggregates says why
	params     *params   // nil: bound parameters are not possible here
	depth      int
}

func (s *scope) errorf(at sql.Node, hint, format string, args ...any) error {
	return s.src.Error(at.Pos(), fmt.Sprintf(format, args...), hint)
}

// compile resolves names, types and operators of e.
func (s *scope) compile(e sql.Expr) (*expr, error) {
	if s.depth++; s.depth > maxChain {
		return nil, s.errorf(e, "", "the expression has more than %d operators in a row", maxChain)
	}
	defer func() { s.depth-- }()
	if s.special != nil {
		if x, ok, err := s.special(e); ok || err != nil {
			return x, err
		}
	}
	switch e := e.(type) {
	case *sql.Column:
		return s.column(e)
	case *sql.Number, *sql.String, *sql.Bool, *sql.Null, *sql.Typed, *sql.Param:
		return s.literal(e)
	case *sql.Unary:
		return s.unary(e)
	case *sql.Binary:
		return s.binary(e)
	case *sql.Is:
		return s.is(e)
	case *sql.IsDistinct:
		return s.isDistinct(e)
	case *sql.In:
		return s.in(e)
	case *sql.Between:
		return s.between(e)
	case *sql.Like:
		return s.like(e)
	case *sql.Cast:
		return s.cast(e)
	case *sql.Extract:
		return s.extract(e)
	case *sql.Call:
		return s.call(e)
	case *sql.Star:
		return nil, s.errorf(e, "name the columns", "* is not possible here")
	case *sql.Case:
		return s.caseWhen(e)
	case *sql.Any:
		return s.any(e)
	case *sql.Index:
		return s.index(e)
	}
	return nil, s.errorf(e, "", "%T is not supported", e)
}

// compileAll compiles several expressions.
func (s *scope) compileAll(all []sql.Expr) ([]*expr, error) {
	xs := make([]*expr, len(all))
	for i, e := range all {
		x, err := s.compile(e)
		if err != nil {
			return nil, err
		}
		xs[i] = x
	}
	return xs, nil
}

func (s *scope) unsupported(at sql.Node, what string) error {
	return s.errorf(at, "", "%s is not supported yet", what)
}

// compileAs compiles e and converts it to typ, where PostgreSQL would without a cast.
func (s *scope) compileAs(e sql.Expr, typ feeds.Type, what string) (*expr, error) {
	x, err := s.compile(e)
	if err != nil {
		return nil, err
	}
	y, ok, err := s.coerce(e, x, typ)
	if err == nil && !ok {
		err = s.errorf(e, s.castHint(x, typ), "%s must be %s, %s is %s", what, article(typ), x.text, typeName(x))
	}
	return y, err
}

// fold replaces x by its value if all it is made of is constant. A constant that has no value is an error here, where
// its place is known, not a NULL in every row.
func (s *scope) fold(at sql.Node, x *expr, args ...*expr) (*expr, error) {
	for _, a := range args {
		if !a.konst {
			return x, nil
		}
	}
	var e env
	v := x.eval(nil)(&e)
	if e.overflows > 0 {
		return nil, s.errorf(at, "", "%s has no value: it overflows, divides by zero or does not convert", x.text)
	}
	return constant(v, x.typ, x.text), nil
}

// coerce gives x the type typ where that needs no CAST: literals, NULL and parameters take it on, integers widen. ok is
// false where a cast would be needed; an error is a literal that does not fit.
func (s *scope) coerce(at sql.Node, x *expr, typ feeds.Type) (y *expr, ok bool, err error) {
	switch {
	case x.typ == typ && !x.isOpen():
		return x, true, nil
	case x.param > 0:
		return s.paramAs(x, typ, paramExact), true, nil
	case x.isNull():
		return constant(feeds.NullValue, typ, x.text), true, nil
	case x.literal:
		if typ.Kind == feeds.String {
			return constant(x.val, typ, x.text), true, nil
		}
		v, why := parseValue(x.val.Str(), typ)
		if why != "" {
			hint := ""
			if typ.Kind == feeds.Array {
				hint = "an array that holds it is asked for by " + x.text + " = ANY (array)"
			}
			return nil, false, s.errorf(at, hint, "%s is not %s: %s", x.text, article(typ), why)
		}
		return constant(v, typ, x.text), true, nil
	case x.konst && x.typ.Kind.IsNumber() && typ.Kind.IsNumber():
		v, fits := convert(x.val, typ)
		if !fits || feeds.Compare(v, x.val) != 0 {
			return x, false, nil
		}
		return constant(v, typ, x.text), true, nil
	case x.typ.Kind.IsInteger() && (typ.Kind == feeds.Numeric || typ.Kind == feeds.Double):
		return s.converted(x, typ), true, nil
	}
	return x, false, nil
}

// converted converts a value at run time; what does not convert is NULL and counted.
func (s *scope) converted(x *expr, typ feeds.Type) *expr {
	return &expr{typ: typ, text: x.text, column: -1, eval: func(slots []int) eval {
		value := x.eval(slots)
		return func(e *env) feeds.Value {
			v := value(e)
			if v.IsNull() {
				return v
			}
			c, ok := convert(v, typ)
			if !ok {
				return e.none()
			}
			return c
		}
	}}
}

// settle gives a type of its own to what is still open: text, as in PostgreSQL.
func (s *scope) settle(at sql.Node, x *expr) (*expr, error) {
	if !x.isOpen() {
		return x, nil
	}
	y, _, err := s.coerce(at, x, feeds.T(feeds.String))
	return y, err
}

// unify gives all operands one type, for comparison and for functions such as coalesce. what names the place in an
// error.
func (s *scope) unify(what string, at []sql.Expr, xs []*expr) ([]*expr, feeds.Type, error) {
	typ, err := s.commonType(what, at, xs)
	if err != nil {
		return nil, typ, err
	}
	out := make([]*expr, len(xs))
	for i, x := range xs {
		y, ok, err := s.coerce(at[i], x, typ)
		if err != nil {
			return nil, typ, err
		}
		if !ok {
			return nil, typ, s.errorf(at[i], s.castHint(x, typ), "%s of different types: %s is %s, not %s", what, x.text, typeName(x), typ)
		}
		out[i] = y
	}
	return out, typ, nil
}

// commonType is the type that all of xs can have.
func (s *scope) commonType(what string, at []sql.Expr, xs []*expr) (feeds.Type, error) {
	var typ feeds.Type
	// Constants last: 0 beside a ubigint is a ubigint, not a reason for numeric.
	for _, constants := range []bool{false, true} {
		for i, x := range xs {
			if x.isOpen() || x.konst != constants {
				continue
			}
			switch {
			case typ.Kind == feeds.Null:
				typ = x.typ
			case typ == x.typ:
			case typ.Kind.IsNumber() && x.typ.Kind.IsNumber():
				if _, ok, _ := s.coerce(at[i], x, typ); !ok {
					typ = widest(typ, x.typ)
				}
			default:
				return typ, s.errorf(at[i], s.castHint(x, typ), "%s of different types: %s is %s, not %s", what, x.text, typeName(x), typ)
			}
		}
	}
	if typ.Kind == feeds.Null {
		typ = feeds.T(feeds.String)
	}
	return typ, nil
}

// widest is the number type that holds both.
func widest(a, b feeds.Type) feeds.Type {
	if a.Kind == feeds.Double || b.Kind == feeds.Double {
		return feeds.T(feeds.Double)
	}
	if a == b {
		return a
	}
	return feeds.T(feeds.Numeric)
}

// castHint says how x could become typ.
func (s *scope) castHint(x *expr, typ feeds.Type) string {
	switch from := x.typ.Kind; {
	case (from == feeds.Interval || from == feeds.Timestamp) && typ.Kind.IsNumber():
		return fmt.Sprintf("write extract(epoch FROM %s)", x.text)
	case from.IsNumber() && typ.Kind == feeds.Interval:
		return fmt.Sprintf("write %s * INTERVAL '1 second'", x.text)
	case castable(x.typ, typ):
		return fmt.Sprintf("write %s", castText(x.text, typ))
	}
	return ""
}

func castText(text string, typ feeds.Type) string {
	if strings.ContainsAny(text, " ") {
		return fmt.Sprintf("CAST(%s AS %s)", text, typ)
	}
	return fmt.Sprintf("%s::%s", text, typ)
}

// typeName is x's type as an error names it.
func typeName(x *expr) string {
	switch {
	case x.param > 0:
		return "a parameter"
	case x.typ.Kind == feeds.Null:
		return "NULL"
	}
	return x.typ.String()
}

// article is the type with its article: an inet, a bigint.
func article(t feeds.Type) string {
	if strings.ContainsRune("aeiou", rune(t.String()[0])) && t.Kind != feeds.Ubigint {
		return "an " + t.String()
	}
	return "a " + t.String()
}
