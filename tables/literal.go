package tables

import (
	"math"
	"strconv"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

func (s *scope) literal(e sql.Expr) (*expr, error) {
	text := sql.Format(e)
	switch e := e.(type) {
	case *sql.Number:
		return s.number(e, e.Text)
	case *sql.String:
		x := constant(feeds.StringValue(e.Value), feeds.T(feeds.String), text)
		x.literal = true
		return x, nil
	case *sql.Bool:
		return constant(feeds.BoolValue(e.Value), feeds.T(feeds.Bool), text), nil
	case *sql.Null:
		return constant(feeds.NullValue, feeds.Type{}, text), nil
	case *sql.Typed:
		return s.typed(e)
	}
	p := e.(*sql.Param)
	if s.params == nil {
		return nil, s.errorf(p, "write the value", "parameters such as %s belong to look-ups", text)
	}
	s.params.count = max(s.params.count, p.N)
	return &expr{text: text, param: p.N, column: -1}, nil
}

// number reads a number with its sign: whole ones are bigint or, if larger, numeric; the others double.
func (s *scope) number(at sql.Node, text string) (*expr, error) {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return constant(feeds.BigintValue(i), feeds.T(feeds.Bigint), text), nil
		}
		if i, ok := feeds.ParseInt128(text); ok {
			return constant(feeds.NumericValue(i), feeds.T(feeds.Numeric), text), nil
		}
		return nil, s.errorf(at, "write it with a decimal point to make it a double", "%s is beyond 128 bits", text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, s.errorf(at, "", "%s is beyond the range of double", text)
	}
	return constant(feeds.DoubleValue(f), feeds.T(feeds.Double), text), nil
}

// typed reads INTERVAL '1 hour' and the like.
func (s *scope) typed(e *sql.Typed) (*expr, error) {
	typ, err := s.typeOf(e.Type)
	if err != nil {
		return nil, err
	}
	v, why := parseValue(e.Value.Value, typ)
	if why != "" {
		return nil, s.errorf(&e.Value, "", "%s is not %s: %s", sql.Format(&e.Value), article(typ), why)
	}
	return constant(v, typ, sql.Format(e)), nil
}

// typeOf gives the type that a name stands for.
func (s *scope) typeOf(t sql.TypeName) (feeds.Type, error) {
	name := sql.Format(t)
	typ, ok := feeds.ParseType(name)
	if !ok {
		known := []string{"string", "bool", "bigint", "ubigint", "numeric", "double", "timestamp", "interval", "inet", "subnet", "text", "integer", "boolean"}
		hint := sql.DidYouMean(t.Name, known)
		if t.Name == "date" {
			hint = "a day is date_trunc('day', ts)"
		}
		if hint == "" {
			hint = "the types are " + strings.Join(known[:10], ", ")
		}
		return typ, s.errorf(t, hint, "no type %s", name)
	}
	return typ, nil
}
