package tables

import "github.com/brotally/brotally/feeds"

// params are the places of bound parameters in a look-up. A parameter is converted to what its place needs once a run,
// not once a row.
type params struct {
	count  int // the highest number
	places []paramPlace
}

type paramPlace struct {
	n    int // from 1
	typ  feeds.Type
	mode paramMode
	text string
}

type paramMode uint8

const (
	paramExact  paramMode = iota // the value must be one of the place's type
	paramNumber                  // beside a number in a comparison: any number will do
	paramOrNull                  // what is not of the place's type is NULL
)

// paramAs reserves a place of type typ for parameter x.
func (s *scope) paramAs(x *expr, typ feeds.Type, mode paramMode) *expr {
	place := len(s.params.places)
	s.params.places = append(s.params.places, paramPlace{n: x.param, typ: typ, mode: mode, text: x.text})
	return &expr{typ: typ, text: x.text, column: -1, eval: func([]int) eval {
		return func(e *env) feeds.Value { return e.params[place] }
	}}
}

// convert gives a parameter's value the place's type.
func (p paramPlace) convert(v feeds.Value) (feeds.Value, error) {
	out, err := exactly(v, p.typ)
	switch {
	case err == nil:
	case p.mode == paramOrNull:
		return feeds.NullValue, nil
	case p.mode == paramNumber && v.Kind().IsNumber():
		return v, nil
	case p.mode == paramNumber && v.Kind() == feeds.String:
		if d, why := parseValue(v.Str(), feeds.T(feeds.Double)); why == "" {
			return d, nil
		}
	}
	return out, err
}
