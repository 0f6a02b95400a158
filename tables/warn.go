package tables

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// warnings says what is surely not meant, and which group columns can have any number of values, each of them a row that
// stays: what fills memory when somebody wants it to, or by itself.
func (t *Table) warnings(groupBytes int) (d []Detail) {
	for _, e := range conjuncts(t.query.Where) {
		if b, ok := e.(*sql.Binary); ok && outcomes[b.Op] != 0 && (isNullLiteral(b.X) || isNullLiteral(b.Y)) {
			d = append(d, Detail{Part: PartWarning, Text: sql.Format(e) + " is never true, so that nothing is counted; write IS NULL or IS NOT NULL"})
		}
	}
	if bounded(t.query) {
		return d
	}
	if l := t.plan.lifetime; t.Window != nil && (l == nil || l.retention == 0) {
		d = append(d, Detail{Part: PartWarning, Name: windowStart, Type: feeds.T(feeds.Timestamp), Text: "each window is a row a group, and all of them stay; write RETENTION '30 DAYS' or the like in WINDOW's brackets"})
	}
	if l := t.plan.lifetime; t.Window != nil && t.Window.Grace > 0 && (l == nil || !l.final) {
		d = append(d, Detail{Part: PartWarning, Text: "GRACE does nothing without EMIT FINAL: late records correct their windows"})
	}
	bound := "MAX GROUPS is the only bound"
	if t.MaxGroups() == 0 {
		bound = "nothing bounds the rows"
	}
	known := t.plan.boundedByWhere(t.query)
	for _, it := range t.plan.items {
		if !it.column.Key || t.plan.groups[it.group].window {
			continue
		}
		v := t.plan.variety(t.plan.groups[it.group].ast, known)
		if v == feeds.Few {
			continue
		}
		d = append(d, Detail{Part: PartWarning, Name: it.column.Name, Type: it.column.Type,
			Text: fmt.Sprintf("%s: %s, and a million rows take about %d MiB; %s", varietyText[v], bound, (groupBytes*1_000_000)>>20, varietyHint[v])})
	}
	return d
}

var varietyText = map[feeds.Variety]string{
	feeds.Hosts:  "who sends packets chooses addresses, forged ones too",
	feeds.Texts:  "strangers write it",
	feeds.Unique: "nearly every record has another value",
}

var varietyHint = map[feeds.Variety]string{
	feeds.Hosts:  "WHERE in_subnet(..) or is_private(..) keeps the site's own, TTL '30 days' lets go of those that are gone",
	feeds.Texts:  "let WHERE name the values that matter, group by something coarser, or let go of those that are gone with TTL '30 days'",
	feeds.Unique: "aggregate it, or group by something coarser such as date_trunc('hour', ts)",
}

func isNullLiteral(e sql.Expr) bool {
	_, ok := e.(*sql.Null)
	return ok
}

// bounded reports whether a clause bounds how many rows a table has, whatever its groups are.
func bounded(q *sql.Select) bool {
	return q.TTL != nil || q.MaxGroups != nil && q.MaxGroups.Text != "0"
}

// boundedByWhere returns the expressions, by their text, that have few values in the records that WHERE lets pass.
func (p *plan) boundedByWhere(q *sql.Select) map[string]bool {
	known := map[string]bool{}
	for _, e := range conjuncts(q.Where) {
		switch e := e.(type) {
		case *sql.Binary:
			switch {
			case e.Op != "=":
			case isConstant(e.Y):
				known[sql.Format(e.X)] = true
			case isConstant(e.X):
				known[sql.Format(e.Y)] = true
			}
		case *sql.In:
			if !e.Not && isConstant(e.List...) {
				known[sql.Format(e.X)] = true
			}
		case *sql.Is:
			if !e.Not {
				known[sql.Format(e.X)] = true
			}
		case *sql.Call: // no list of values, but one that the site decides on
			if len(e.Args) > 0 && (e.Name == "in_subnet" || e.Name == "is_private") {
				known[sql.Format(e.Args[0])] = true
			}
		}
	}
	return known
}

// isConstant reports whether no column is in any of the expressions.
func isConstant(all ...sql.Expr) bool {
	constant := true
	for _, e := range all {
		sql.Walk(e, func(e sql.Expr) bool {
			_, column := e.(*sql.Column)
			constant = constant && !column
			return constant
		})
	}
	return constant
}

// variety is how many values an expression over the feed's columns can have. known are expressions that have few.
func (p *plan) variety(e sql.Expr, known map[string]bool) feeds.Variety {
	if e == nil || known[sql.Format(e)] {
		return feeds.Few
	}
	most := func(all ...sql.Expr) (v feeds.Variety) {
		for _, e := range all {
			v = max(v, p.variety(e, known))
		}
		return v
	}
	switch e := e.(type) {
	case *sql.Column:
		c, ok := p.resolve(e.Name)
		if !ok {
			return feeds.Few
		}
		return p.feed.Variety(c)
	case *sql.Cast:
		return most(e.X)
	case *sql.Unary:
		if e.Op == "NOT" {
			return feeds.Few
		}
		return most(e.X)
	case *sql.Binary:
		switch e.Op {
		case "+", "-", "*", "/", "||":
			return most(e.X, e.Y)
		}
	case *sql.Index:
		return most(e.X)
	case *sql.Extract:
		if e.Field == "epoch" {
			return most(e.X)
		}
	case *sql.Case:
		v := most(e.Else)
		for _, w := range e.Whens {
			v = max(v, most(w.Then))
		}
		return v
	case *sql.Call:
		return p.callVariety(e, most)
	}
	return feeds.Few // constants, comparisons, parts of a date, remainders
}

// callVariety is that of a function's result.
func (p *plan) callVariety(e *sql.Call, most func(...sql.Expr) feeds.Variety) feeds.Variety {
	switch e.Name {
	case "length", "len", "array_length", "cardinality", "in_subnet", "is_private", "array_contains":
		return feeds.Few
	case "date_trunc":
		if unit, ok := e.Args[0].(*sql.String); ok && !strings.Contains(strings.ToLower(unit.Value), "sec") {
			return feeds.Few // a row a minute at most, for ever: a sensor does not live that long
		}
	case "mask":
		if n, ok := e.Args[1].(*sql.Number); ok {
			if bits, err := strconv.Atoi(n.Text); err == nil && bits <= 16 {
				return feeds.Few
			}
		}
	}
	return most(e.Args...)
}
