package tables

import (
	"iter"
	"slices"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// A mark says of one value of a row whether it is an estimate where it would be exact: a count(DISTINCT x) of very many. It
// is a condition that is compiled beside the column's expression. A table's rows can be had with their marks behind them,
// and a look-up computes its own marks from those.

// isEstimate is the aggregate that reads off a count(DISTINCT x) whether it is an estimate. No call in a text has such a name.
const isEstimate = "is an estimate"

// markName is the column of a table's rows that marks another one.
func markName(column string) string { return isEstimate + ": " + column }

// addMarks compiles the marks of the first items.
func (p *plan) addMarks(items int) error {
	for _, it := range p.items[:items] {
		e := p.mark(it.at)
		if e == nil {
			continue
		}
		s := p.outer()
		x, err := s.compile(e)
		if err != nil {
			return err
		}
		if it.mark, err = s.boolean(e, x, "a mark"); err != nil {
			return err
		}
	}
	return nil
}

// mark returns the condition under which e is an estimate, nil where it never is: that any is of what e is made of.
func (p *plan) mark(e sql.Expr) (mark sql.Expr) {
	or := func(e sql.Expr) {
		if mark == nil {
			mark = e
		} else {
			mark = &sql.Binary{Op: "OR", X: mark, Y: e}
		}
	}
	sql.Walk(e, func(e sql.Expr) bool {
		switch e := e.(type) {
		case *sql.Column:
			if column := p.marked(e); column != nil {
				if p.grouped {
					or(&sql.Call{Name: "bool_or", Args: []sql.Expr{column}})
				} else {
					or(column)
				}
			}
		case *sql.Call:
			if aggregates[e.Name] == nil {
				return true
			}
			if specOf(e) == exactDistinct {
				estimate := *e
				estimate.Name = isEstimate
				or(&estimate)
			}
			for _, arg := range e.Args {
				sql.Walk(arg, func(x sql.Expr) bool {
					if c, ok := x.(*sql.Column); ok && p.marked(c) != nil {
						or(&sql.Call{Name: "bool_or", Args: []sql.Expr{p.marked(c)}, Filter: e.Filter})
					}
					return true
				})
			}
			return false
		}
		return true
	})
	return mark
}

// marked returns the column that marks c, nil if there is none.
func (p *plan) marked(c *sql.Column) sql.Expr {
	known, ok := p.resolve(c.Name)
	if !ok {
		return nil
	}
	mark := sql.Name{Text: markName(known.Name), Quoted: true}
	if _, ok := p.resolve(mark); !ok {
		return nil
	}
	return &sql.Column{Name: mark}
}

// Marks returns the positions in Columns of those whose values can be estimates.
func (t *Table) Marks() []int { return t.marks }

// MarkedRow is [Table.Row] with a bool more for each of [Table.Marks]: whether that value is an estimate.
func (t *Table) MarkedRow(key string, s State, row []feeds.Value) ([]feeds.Value, error) {
	return t.row(key, s, row, true)
}

// markInputs gives the rows of the look-up's table their marks and compiles those of the answer, after all that a user wrote,
// who knows nothing of them. It returns the rows' columns.
func (s *Select) markInputs(rows *feeds.Feed) ([]feeds.Column, error) {
	own := len(s.table.Columns)
	columns := slices.Clip(rows.Columns[:own])
	for _, i := range s.table.marks {
		columns = append(columns, feeds.Column{Name: markName(s.table.Columns[i].Name), Type: feeds.T(feeds.Bool)})
	}
	columns = append(columns, rows.Columns[own:]...)
	s.plan.feed = &feeds.Feed{Name: rows.Name, Columns: columns}
	return columns, s.addMarks()
}

func (s *Select) addMarks() error {
	if err := s.plan.addMarks(len(s.Columns)); err != nil {
		return err
	}
	for i, it := range s.plan.items[:len(s.Columns)] {
		if it.mark != nil {
			s.marks = append(s.marks, i)
		}
	}
	return nil
}

// withMarks gives rows that come without marks some that say nothing.
func (s *Select) withMarks(rows iter.Seq[[]feeds.Value]) iter.Seq[[]feeds.Value] {
	return func(yield func([]feeds.Value) bool) {
		var whole []feeds.Value
		for row := range rows {
			if len(row) < len(s.Inputs) {
				whole = append(whole[:0], row...)
				for len(whole) < len(s.Inputs) {
					whole = append(whole, feeds.NullValue)
				}
				row = whole
			}
			if !yield(row) {
				return
			}
		}
	}
}

// Estimates are the values of one column of an answer that are estimates where they would be exact.
type Estimates struct {
	Column int   // in Columns
	Rows   []int // in Values
}

// estimates returns what the marks of the answer's rows say; the marks lie behind all other values.
func (c *collector) estimates(marks []int) (all []Estimates) {
	for i, column := range marks {
		var rows []int
		for n, row := range c.kept[min(c.offset, len(c.kept)):] {
			if row.values[len(row.values)-len(marks)+i].IsTrue() {
				rows = append(rows, n)
			}
		}
		if rows != nil {
			all = append(all, Estimates{column, rows})
		}
	}
	return all
}
