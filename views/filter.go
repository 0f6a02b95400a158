package views

import (
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// operator is what follows a column's name in a filter, behind a dot: count.gte=10. Nothing is equality.
type operator string

const (
	opEqual   operator = ""
	opUnequal operator = "ne"
	opSubnet  operator = "subnet"
)

// comparisons are the operators that compare, and what SQL calls them.
var comparisons = map[operator]string{"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

// filter is one condition of a rows request.
type filter struct {
	column int // in the table's columns
	operator
	value feeds.Value
}

// filters reads all parameters that are conditions: all but the given ones. Each column has an operator once, but for ne and subnet.
func (v *View) filters(query map[string][]string, params []string) (all []filter, err error) {
	all = make([]filter, 0, len(query))
	for name, values := range query {
		if slices.Contains(params, name) {
			if len(values) > 1 {
				return nil, bad("bad_parameter", name+" is given twice", "")
			}
			continue
		}
		column, op := v.filtered(name)
		if column < 0 {
			return nil, v.unknownColumn("unknown_parameter", "no column or parameter ", name, params)
		}
		for _, text := range values {
			f, err := v.filter(column, op, text)
			if err != nil {
				return nil, err
			}
			all = append(all, f)
		}
	}
	// In one order, whatever the map's: requests that mean the same are compiled once.
	slices.SortFunc(all, func(a, b filter) int {
		if a.column != b.column {
			return a.column - b.column
		}
		if d := strings.Compare(string(a.operator), string(b.operator)); d != 0 {
			return d
		}
		return strings.Compare(string(a.value.AppendKey(nil)), string(b.value.AppendKey(nil)))
	})
	for i, f := range all {
		if i == 0 || f.column != all[i-1].column || f.operator != all[i-1].operator || f.operator == opUnequal || f.operator == opSubnet {
			continue
		}
		name := v.table.Columns[f.column].Name
		if f.operator != opEqual {
			name += "." + string(f.operator)
		}
		return nil, bad("bad_parameter", name+" is given twice", "POST /api/v1/query takes SQL, which has OR and IN")
	}
	return all, nil
}

// filtered returns the column and the operator that a parameter's name says; below 0 there is no such column. A column that
// is called like one with an operator comes first.
func (v *View) filtered(name string) (column int, op operator) {
	plain := strings.TrimPrefix(name, columnPrefix)
	for _, whole := range []string{name, plain} {
		if column = v.column(whole); column >= 0 {
			return column, opEqual
		}
	}
	for _, whole := range []string{name, plain} {
		rest, suffix, _ := cutLast(whole, ".")
		op = operator(suffix)
		if _, compares := comparisons[op]; !compares && op != opUnequal && op != opSubnet {
			continue
		}
		if column = v.column(rest); column >= 0 {
			return column, op
		}
	}
	return -1, opEqual
}

// filter reads what a filter's value is. NULL is written \N, and a text that begins with a backslash gets one more, as in
// result keys.
func (v *View) filter(column int, op operator, text string) (f filter, err error) {
	c := v.table.Columns[column]
	f = filter{column: column, operator: op}
	isNull := text == `\N`
	if strings.HasPrefix(text, `\\`) {
		text = text[1:]
	}
	switch {
	case isNull && (op == opEqual || op == opUnequal):
		return f, nil
	case isNull:
		return f, bad("bad_value", c.Name+"."+string(op)+": NULL is neither below nor above anything", c.Name+`=\N and `+c.Name+`.ne=\N ask for it`)
	case op == opSubnet && c.Type.Kind != feeds.Inet:
		return f, bad("bad_parameter", c.Name+".subnet: "+c.Name+" is "+c.Type.String()+", not inet", "")
	case op == opSubnet:
		f.value, err = tables.ParseValue(text, feeds.T(feeds.Subnet))
	default:
		f.value, err = tables.ParseValue(text, c.Type)
	}
	if err != nil {
		return f, bad("bad_value", c.Name+": "+err.Error(), `NULL is written \N`)
	}
	return f, nil
}

// condition is the filter in SQL; param is where its value is, which NULL has not.
func (f filter) condition(column sql.Expr, param *sql.Param) sql.Expr {
	switch f.operator {
	case opEqual, opUnequal:
		switch {
		case f.value.IsNull():
			return &sql.Is{X: column, Not: f.operator == opUnequal, What: "NULL"}
		case f.operator == opUnequal: // of a value, NULL is unequal: what = leaves out
			return &sql.IsDistinct{X: column, Y: param}
		}
		return &sql.Binary{Op: "=", X: column, Y: param}
	case opSubnet:
		return &sql.Call{Name: "in_subnet", Args: []sql.Expr{column, param}}
	}
	return &sql.Binary{Op: comparisons[f.operator], X: column, Y: param}
}

// holds reports whether the condition is true of a value, as SQL has it.
func (f filter) holds(v feeds.Value) bool {
	switch {
	case f.operator == opEqual:
		return feeds.Equal(v, f.value)
	case f.operator == opUnequal:
		return !feeds.Equal(v, f.value)
	case v.IsNull():
		return false
	case f.operator == opSubnet:
		return tables.InSubnet(v, f.value)
	}
	d := feeds.Compare(v, f.value)
	switch comparisons[f.operator] {
	case "<":
		return d < 0
	case "<=":
		return d <= 0
	case ">":
		return d > 0
	}
	return d >= 0
}
