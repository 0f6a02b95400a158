package tables

import (
	"fmt"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// PlanColumn is the only column of EXPLAIN's answer.
var PlanColumn = Column{Name: "plan", Type: feeds.T(feeds.String)}

// Explain says how the look-up is answered, a line a step as PostgreSQL's EXPLAIN has it: the last step first, what it reads
// indented below it. rows is how many rows the table has; below 0 it is not known. Parameters need no values.
func (s *Select) Explain(rows int) []string {
	var p explained
	if s.limit != nil || s.offset != nil {
		p.step("Limit")
		p.property("Rows", textOf(s.limit))
		p.property("Offset", textOf(s.offset))
	}
	if len(s.order) > 0 {
		p.step("Sort")
		var keys []string
		for _, by := range s.order {
			keys = append(keys, s.orderText(by))
		}
		p.property("Sort Key", strings.Join(keys, ", "))
		if s.limit != nil {
			p.property("Sort Method", "top-N heapsort")
		}
	}
	if s.distinct {
		p.step("Unique")
	}
	if s.plan.grouped {
		s.explainGroups(&p)
	}
	s.explainScan(&p, rows)
	return p.lines
}

func (s *Select) explainGroups(p *explained) {
	if len(s.plan.groups) == 0 {
		p.step("Aggregate")
	} else {
		p.step("HashAggregate")
		var keys []string
		for _, g := range s.plan.groups {
			keys = append(keys, g.text)
		}
		p.property("Group Key", strings.Join(keys, ", "))
	}
	if s.stmt.Having != nil {
		p.property("Filter", sql.Format(s.stmt.Having))
	}
}

func (s *Select) explainScan(p *explained, rows int) {
	filter := s.stmt.Where
	switch {
	case s.key == nil || s.asksForNull():
		count := ""
		if rows >= 0 {
			count = fmt.Sprintf("  (rows=%d)", rows)
		}
		p.step("Seq Scan on " + s.plan.feed.Name + count)
	case len(s.key) == 0:
		p.step("Single Row of " + s.plan.feed.Name)
	default:
		p.step("Index Scan using key on " + s.plan.feed.Name)
		var used, left []sql.Expr
		for _, e := range conjuncts(s.stmt.Where) {
			if b, ok := e.(*sql.Binary); ok && s.asked[b] {
				used = append(used, e)
			} else {
				left = append(left, e)
			}
		}
		p.property("Index Cond", sql.Format(conjunction(used)))
		filter = conjunction(left)
	}
	if filter != nil {
		p.property("Filter", sql.Format(filter))
	}
}

// asksForNull reports whether WHERE wants a group column to be equal to NULL, which no row is.
func (s *Select) asksForNull() bool {
	for _, x := range s.key {
		if x.isNull() {
			return true
		}
	}
	return false
}

func (s *Select) orderText(by ordering) string {
	text := sql.Format(s.plan.items[by.item].at)
	if by.item < len(s.Columns) {
		text = sql.Format(sql.Name{Text: s.Columns[by.item].Name})
	}
	if by.desc {
		text += " DESC"
	}
	switch {
	case by.nullsFirst && !by.desc:
		text += " NULLS FIRST"
	case by.desc && !by.nullsFirst:
		text += " NULLS LAST"
	}
	return text
}

// textOf is an expression as the user wrote it; nothing for none.
func textOf(x *expr) string {
	if x == nil {
		return ""
	}
	return x.text
}

// conjuncts returns the conditions that all have to hold for e to hold.
func conjuncts(e sql.Expr) []sql.Expr {
	if b, ok := e.(*sql.Binary); ok && b.Op == "AND" {
		return append(conjuncts(b.X), conjuncts(b.Y)...)
	}
	if e == nil {
		return nil
	}
	return []sql.Expr{e}
}

// conjunction is what holds when all of the conditions do; nil for none.
func conjunction(all []sql.Expr) (e sql.Expr) {
	for _, x := range all {
		if e == nil {
			e = x
			continue
		}
		e = &sql.Binary{Op: "AND", X: e, Y: x}
	}
	return e
}

// explained is a plan as it is written.
type explained struct {
	lines []string
	depth int
}

// step begins the step that the last one reads.
func (p *explained) step(text string) {
	if p.depth > 0 {
		text = p.indent() + "->  " + text
	}
	p.depth++
	p.lines = append(p.lines, text)
}

// property is something about the last step; what is empty is not said.
func (p *explained) property(name, text string) {
	if text != "" {
		p.lines = append(p.lines, p.indent()+name+": "+text)
	}
}

// indent is the blanks before what belongs to the last step.
func (p *explained) indent() string {
	if p.depth == 0 {
		return ""
	}
	return strings.Repeat(" ", 6*p.depth-4)
}
