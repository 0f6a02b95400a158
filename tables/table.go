package tables

import (
	"fmt"
	"slices"
	"sync"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Table is a compiled CREATE TABLE. It is never changed and safe for concurrent use; what is computed with it lives in
// [Combiner], [Groups] and [State].
type Table struct {
	Name    string
	Feed    *feeds.Feed
	Inputs  []feeds.Column // the feed's columns that the expressions read, in order of first use
	Columns []Column       // the result's columns, as SELECT lists them
	SQL     string         // the definition's canonical text
	Options Options
	Window  *Window // how groups are divided by time; nil: they are not

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

// Resolve returns the feed that FROM names; ok is false when there is none.
type Resolve = func(name string) (f *feeds.Feed, ok bool)

// CompileFile compiles the CREATE TABLE statements of a text; file names it in errors. Errors are *sql.Error.
func CompileFile(file, text string, resolve Resolve) ([]*Table, error) {
	statements, err := sql.Parse(file, text)
	if err != nil {
		return nil, err
	}
	var all []*Table
	for _, s := range statements {
		src := &sql.Source{File: file, Text: text}
		create, ok := s.(*sql.CreateTable)
		if !ok {
			if _, stream := s.(*sql.CreateStream); stream {
				return nil, src.Error(s.Pos(), "CREATE STREAM is not supported yet", "")
			}
			return nil, src.Error(s.Pos(), "a SELECT defines no table", "write CREATE TABLE name AS SELECT ..")
		}
		t, err := Compile(create, resolve)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(other *Table) bool { return other.Name == t.Name }) {
			return nil, src.Error(create.Name.At, "table "+t.Name+" is defined twice", "give one of them another name")
		}
		all = append(all, t)
	}
	return all, nil
}

// Compile compiles one CREATE TABLE. It writes the statement's names as the feed spells them. Errors are *sql.Error.
func Compile(stmt *sql.CreateTable, resolve Resolve) (*Table, error) {
	src, q := stmt.Source, stmt.Query
	fail := func(at sql.Pos, message, hint string) (*Table, error) { return nil, src.Error(at, message, hint) }
	if why := checkName(stmt.Name.Text); why != "" {
		return fail(stmt.Name.At, "table name "+why, "")
	}
	options, err := compileOptions(src, stmt.With)
	if err != nil {
		return nil, err
	}
	if err := checkClauses(q); err != nil {
		return nil, err
	}
	feed, ok := resolve(q.From.Text)
	if !ok {
		hint := sql.DidYouMean(q.From.Text, feeds.Names())
		if hint == "" {
			hint = "`brotally feeds` lists those that are built in"
		}
		return fail(q.From.At, "no feed "+q.From.Text, hint)
	}
	if err := checkTopics(stmt, feed, options); err != nil {
		return nil, err
	}
	p, err := newPlan(q, feed, true, nil)
	if err != nil {
		return nil, err
	}
	if !p.grouped {
		return fail(q.At, "a table needs an aggregate or GROUP BY: nothing here says what is one row", "add count(*), or GROUP BY the columns that make up a row's key")
	}
	if err := p.checkNames(); err != nil {
		return nil, err
	}
	if err := p.keysFirstCome(); err != nil {
		return nil, err
	}
	if err := p.addMarks(len(p.items)); err != nil {
		return nil, err
	}
	t := &Table{Name: stmt.Name.Text, Feed: feed, Inputs: p.inputs, SQL: sql.Format(stmt), Options: options, plan: p}
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
			return p.src.Error(g.ast.Pos(), "GROUP BY "+g.text+" is not a column of the result", "add it to SELECT: it is part of a row's key")
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
	for _, it := range q.Items {
		if _, star := it.Expr.(*sql.Star); star {
			return s.errorf(it.Expr, "name the group columns and aggregates", "a table cannot SELECT *")
		}
	}
	const lookups = "tables have no order; a look-up has: SELECT .. FROM the table ORDER BY .. LIMIT .."
	switch {
	case q.Distinct != nil:
		return q.Source.Error(q.Distinct.At, "SELECT DISTINCT does not define a table", "GROUP BY gives each combination once")
	case q.Emit != nil && q.Emit.Final:
		return s.unsupported(at(q.Emit.At), "EMIT FINAL")
	case q.TTL != nil:
		return s.unsupported(at(q.TTLAt), "TTL")
	case q.MaxGroups != nil:
		return s.unsupported(q.MaxGroups, "MAX GROUPS")
	case len(q.OrderBy) > 0:
		return q.Source.Error(q.OrderByAt, "ORDER BY does not belong in a table", lookups)
	case q.Limit != nil:
		return s.errorf(q.Limit, lookups, "LIMIT does not belong in a table")
	case q.Offset != nil:
		return s.errorf(q.Offset, lookups, "OFFSET does not belong in a table")
	}
	return nil
}

// at is a place by itself.
type at sql.Pos

func (a at) Pos() sql.Pos { return sql.Pos(a) }

// checkName says why a name cannot be a table's: it is the name of topics. Empty: it can.
func checkName(name string) (why string) {
	for _, r := range name {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			continue
		}
		return fmt.Sprintf("%q may have letters, digits, _ and - only: it is a topic's name", name)
	}
	if len(name) > 200 {
		return fmt.Sprintf("has %d characters; the limit is 200", len(name))
	}
	return ""
}

// checkTopics refuses a table whose result would be written into its own feed.
func checkTopics(stmt *sql.CreateTable, feed *feeds.Feed, o Options) error {
	topics := o.FeedTopics
	if len(topics) == 0 {
		topics = []string{feed.Name}
	}
	result := o.Topic
	if result == "" {
		result = stmt.Name.Text
	}
	switch {
	case stmt.Name.Text == feed.Name:
		return stmt.Source.Error(stmt.Name.At, "table "+feed.Name+" is called like its feed", "name it after what it counts, such as "+feed.Name+"_counts")
	case slices.Contains(topics, stmt.Name.Text):
		return stmt.Source.Error(stmt.Name.At, "table "+stmt.Name.Text+" is called like a topic of its feed", "give it another name")
	case slices.Contains(topics, result):
		return stmt.Source.Error(stmt.Name.At, "the result topic "+result+" is a topic of the feed", "give it another name with WITH (topic = '..')")
	}
	return nil
}

// LayoutOf returns the layout that a decoder of one pass fills: the union of the inputs of its tables, which are all of
// one feed. It returns an error when two tables declare a column with different types.
func LayoutOf(all ...*Table) (*feeds.Layout, error) {
	l := &feeds.Layout{}
	for _, t := range all {
		l.Feed = t.Feed.Name
		for _, c := range t.Inputs {
			if have := l.Columns[l.Slot(c)]; have.Type != c.Type {
				return nil, fmt.Errorf("table %s reads %s as %s, another table of the feed as %s", t.Name, c.Name, c.Type, have.Type)
			}
		}
	}
	return l, nil
}
