package tables

import (
	"slices"
	"sync"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Table is a compiled CREATE TABLE. It is never changed and safe for concurrent use; what is computed with it lives in
// [Combiner], [Groups] and [State].
type Table struct {
	Definition
	Window *Window // how groups are divided by time; nil: they are not

	query *sql.Select // as it was written, with the feed's names
	plan  *plan
	keys  []feeds.Column // the group columns, in the order of the key
	marks []int          // positions in Columns of those that can be estimates
	envs  sync.Pool      // *rowEnv: what Row computes in
}

// Column is one column of a result.
type Column struct {
	Name      string
	Type      feeds.Type
	Key       bool // a group column: part of the row's key
	Aggregate bool // computed from aggregates, so that it changes
}

// Compile compiles one CREATE TABLE. It writes the statement's names as the feed spells them. Errors are *sql.Error.
func Compile(stmt *sql.CreateTable, resolve Resolve) (*Table, error) {
	q := stmt.Query
	if err := checkClauses(q); err != nil {
		return nil, err
	}
	d, err := begin(KindTable, stmt.Source, stmt.Name, stmt.With, q.From, resolve)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(q, d.Feed, true, nil)
	if err != nil {
		return nil, err
	}
	if !p.grouped {
		return nil, q.Source.Error(q.At, "a table needs an aggregate or GROUP BY: nothing here says what is one row", "add count(*), or GROUP BY the columns that make up a row's key")
	}
	if err := p.checkNames(d.Options.Format); err != nil {
		return nil, err
	}
	if err := p.keysFirstCome(); err != nil {
		return nil, err
	}
	if err := p.addMarks(len(p.items)); err != nil {
		return nil, err
	}
	d.Inputs, d.SQL = p.inputs, sql.Format(stmt)
	t := &Table{Definition: *d, query: q, plan: p}
	for i, it := range p.items {
		t.Columns = append(t.Columns, it.column)
		if it.mark != nil {
			t.marks = append(t.marks, i)
		}
	}
	for i := range p.groups {
		at := slices.IndexFunc(p.items, func(it *item) bool { return it.column.Key && it.group == i })
		t.keys = append(t.keys, feeds.Column{Name: t.Columns[at].Name, Type: t.Columns[at].Type})
	}
	if p.window != nil {
		t.Window = &p.window.Window
	}
	t.envs.New = func() any { return p.newRowEnv() }
	return t, nil
}

// keysFirstCome checks that every group is a column of the result, which is how a reader tells rows apart, and brings the
// groups into the order of those columns, the window's last.
func (p *plan) keysFirstCome() error {
	for _, g := range p.groups {
		if !g.used && g.window {
			return p.src.Error(g.ast.Pos(), "the window's "+g.text+" is not a column of the result", "add it to SELECT: it is part of a row's key")
		}
		if !g.used {
			hint := "add it to SELECT: it is part of a row's key"
			for _, it := range p.items {
				if c, ok := it.at.(*sql.Column); ok && it.column.Name == g.text && c.Text != g.text {
					hint = g.text + " is the name of " + c.Text + " there: is a comma missing before it?"
				}
			}
			return p.src.Error(g.ast.Pos(), "GROUP BY "+g.text+" is not a column of the result", hint)
		}
	}
	// The items' expressions name groups by position, so those are compiled anew for the new order.
	order := make([]*group, 0, len(p.groups))
	for _, it := range p.items {
		if it.column.Key && !p.groups[it.group].window {
			order = append(order, p.groups[it.group])
		}
	}
	p.groups = append(order, p.groups[len(order):]...)
	for _, it := range p.items {
		s := p.outer()
		x, err := s.compile(it.at)
		if err != nil {
			return err
		}
		if it.expr, err = s.settle(it.at, x); err != nil {
			return err
		}
		it.group = p.groupColumn(it.expr)
	}
	if p.having != nil {
		x, err := p.compileHaving(p.havingAST)
		if err != nil {
			return err
		}
		p.having = x
	}
	return nil
}

// Keys returns the columns that make up a row's key, in the key's order: the group columns as SELECT lists them, then
// those of the window.
func (t *Table) Keys() []feeds.Column { return t.keys }

// GroupColumns returns how many of [Table.Keys] are not the window's: what partitions go by, so that all windows of a group
// lie in one.
func (t *Table) GroupColumns() int { return len(t.keys) - len(t.plan.window.keys()) }

// checkClauses refuses what a table's query cannot have, and what it cannot have yet.
func checkClauses(q *sql.Select) error {
	s := &scope{src: q.Source}
	if q.FromAs != nil {
		return noAlias(q)
	}
	for _, it := range q.Items {
		if _, star := it.Expr.(*sql.Star); star {
			return s.errorf(it.Expr, "name the group columns and aggregates", "a table cannot SELECT *")
		}
	}
	const lookups = "tables have no order; a look-up has: SELECT .. FROM the table ORDER BY .. LIMIT .."
	switch {
	case q.Distinct != nil:
		return q.Source.Error(q.Distinct.At, "SELECT DISTINCT does not define a table", "GROUP BY gives each combination once")
	case len(q.OrderBy) > 0:
		return q.Source.Error(q.OrderByAt, "ORDER BY does not belong in a table", lookups)
	case q.Limit != nil:
		return s.errorf(q.Limit, lookups, "LIMIT does not belong in a table")
	case q.Offset != nil:
		return s.errorf(q.Offset, lookups, "OFFSET does not belong in a table")
	}
	return nil
}

// noAlias says that a definition gives its feed a name of its own.
func noAlias(q *sql.Select) error {
	return q.Source.Error(q.FromAs.At, "a feed takes no alias", "leave it out")
}

// LayoutOf returns the layout that a decoder of one pass fills: the union of the inputs of its tables, which are all of
// one feed. It returns an error when two tables declare a column with different types.
func LayoutOf(all ...*Table) (*feeds.Layout, error) {
	defs := make([]*Definition, len(all))
	for i, t := range all {
		defs[i] = &t.Definition
	}
	return SharedLayout(defs...)
}
