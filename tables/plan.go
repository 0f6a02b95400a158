package tables

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// plan is a SELECT with its names and types resolved: a grouped one, or a plain list of expressions. Tables are made of
// grouped ones, look-ups of both. It is never changed after it is made.
type plan struct {
	feed       *feeds.Feed
	src        *sql.Source
	open       bool           // records may have columns that the feed does not know
	declared   []feeds.Column // columns that CAST declares, which the feed does not know
	inputs     []feeds.Column // columns that are read; expressions name them by position
	where      *expr          // nil: every row
	window     *window        // nil: groups are not divided by time
	grouped    bool
	groups     []*group // those that the window adds come last
	aggregates []*aggregate
	stored     []*aggregate    // those of them that have a cell of their own
	counting   []countDistinct // those of these that are count(DISTINCT x)
	rows       []rowKernel     // all of these, as a group table has them
	lifetime   *lifetime       // nil: rows stay
	maxGroups  int64           // 0: any number
	having     *expr           // over groups and aggregates
	havingAST  sql.Expr
	unnests    []unnest // a record gives a row an element of them
	items      []*item
	layout     stateLayout
	params     *params
}

// group is one expression of GROUP BY.
type group struct {
	ast  sql.Expr
	text string // canonical
	expr *expr
	used bool // an item is just this group

	window bool // the window adds it
}

// item is one expression of the SELECT list; visible ones come first, then what only ORDER BY needs.
type item struct {
	column Column
	at     sql.Expr
	expr   *expr // over inputs; in a grouped plan over groups and aggregates
	group  int   // position of the group it is, else -1
	mark   *expr // says that its value is an estimate; nil: it never is
}

// newPlan resolves a SELECT over feed. open says that CAST may declare columns that the feed does not know. params is nil
// where there can be no bound parameters.
func newPlan(q *sql.Select, feed *feeds.Feed, open bool, params *params) (*plan, error) {
	p := &plan{feed: feed, src: q.Source, open: open, params: params}
	if err := p.declare(q); err != nil {
		return nil, err
	}
	items, err := p.expand(q)
	if err != nil {
		return nil, err
	}
	if q.Window != nil {
		if err := p.compileWindow(q.Window); err != nil {
			return nil, err
		}
	}
	p.grouped = len(q.GroupBy) > 0 || q.Having != nil || q.Window != nil
	for _, it := range items {
		p.grouped = p.grouped || hasAggregate(it.Expr)
	}
	if err := p.groupBy(q, items); err != nil {
		return nil, err
	}
	if err := p.compileLifetime(q); err != nil {
		return nil, err
	}
	if err := p.compileMaxGroups(q); err != nil {
		return nil, err
	}
	if q.Where != nil {
		in := p.scope("in WHERE")
		x, err := in.compile(q.Where)
		if err != nil {
			return nil, p.aliasInWhere(q, items, err)
		}
		if p.where, err = in.boolean(q.Where, x, "WHERE"); err != nil {
			return nil, err
		}
	}
	for _, it := range items {
		if _, err := p.addItem(it); err != nil {
			return nil, err
		}
	}
	if q.Having != nil {
		p.havingAST = q.Having
		if p.having, err = p.compileHaving(q.Having); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// scope is that of expressions over the inputs. aggregates says where they are, for errors: aggregates are not possible.
func (p *plan) scope(aggregates string) *scope {
	return &scope{src: p.src, column: p.input, aggregates: aggregates, params: p.params}
}

// outer is the scope of SELECT and HAVING: after grouping, its columns are the groups and behind them the aggregates.
func (p *plan) outer() *scope {
	if !p.grouped {
		s := p.scope("without grouping")
		s.unnests = &p.unnests
		return s
	}
	s := &scope{src: p.src, params: p.params}
	s.column = func(c *sql.Column) (*expr, error) {
		// The input scope has the better errors for names that nobody knows.
		if _, err := p.input(c); err != nil {
			return nil, err
		}
		return nil, s.errorf(c, "add it to GROUP BY, or aggregate it as in max("+sql.Format(c)+")", "column %s is neither grouped nor aggregated", c.Text)
	}
	s.special = func(e sql.Expr) (*expr, bool, error) {
		if i := p.groupOf(e); i >= 0 {
			return columnExpr(i, p.groups[i].expr.typ, p.groups[i].expr.text), true, nil
		}
		if x, ok := p.windowColumn(e); ok {
			return x, true, nil
		}
		if x, ok, err := p.late(s, e); ok || err != nil {
			return x, ok, err
		}
		if x, ok := p.other(e); ok {
			return x, true, nil
		}
		call, ok := e.(*sql.Call)
		if ok && call.Name == "unnest" {
			return nil, false, s.groupedUnnest(call)
		}
		if !ok || aggregates[call.Name] == nil {
			return nil, false, nil
		}
		return p.aggregateColumn(call)
	}
	return s
}

// groupOf returns the position of the group that is written as e is; -1: none.
func (p *plan) groupOf(e sql.Expr) int {
	text := ""
	for i, g := range p.groups {
		if reflect.TypeOf(g.ast) != reflect.TypeOf(e) {
			continue
		}
		if text == "" {
			text = sql.Format(e)
		}
		if g.text == text {
			return i
		}
	}
	return -1
}

// aggregateColumn returns the column that an aggregate's value is after grouping.
func (p *plan) aggregateColumn(call *sql.Call) (*expr, bool, error) {
	text := sql.Format(call)
	at := p.aggregateOf(text)
	if at < 0 {
		a, err := p.aggregate(p.scope("inside another aggregate"), call)
		if err != nil {
			return nil, false, err
		}
		at = len(p.aggregates)
		p.aggregates = append(p.aggregates, a)
		if a.shares = p.sharing(a); a.shares == nil {
			p.stored = append(p.stored, a)
		}
		if err := p.checkSize(p.scope(""), call); err != nil {
			return nil, false, err
		}
		p.arrange()
	}
	return columnExpr(len(p.groups)+at, p.aggregates[at].typ, text), true, nil
}

// aggregateOf returns the position of the aggregate that is written so; -1: none.
func (p *plan) aggregateOf(text string) int {
	return slices.IndexFunc(p.aggregates, func(a *aggregate) bool { return a.text == text })
}

// store adds an aggregate that nobody has written.
func (p *plan) store(a *aggregate) {
	p.aggregates, p.stored = append(p.aggregates, a), append(p.stored, a)
	p.arrange()
}

// hasAggregate reports whether e holds an aggregate's call.
func hasAggregate(e sql.Expr) (has bool) {
	sql.Walk(e, func(e sql.Expr) bool {
		call, ok := e.(*sql.Call)
		has = has || ok && aggregates[call.Name] != nil
		return !has
	})
	return has
}

// expand replaces * by all columns.
func (p *plan) expand(q *sql.Select) ([]sql.Item, error) {
	var out []sql.Item
	for _, it := range q.Items {
		if _, star := it.Expr.(*sql.Star); !star {
			out = append(out, it)
			continue
		}
		if it.As != nil {
			return nil, p.src.Error(it.As.At, "* takes no name", "")
		}
		for _, c := range p.feed.Columns {
			out = append(out, sql.Item{Expr: &sql.Column{Name: sql.Name{At: it.Expr.Pos(), Text: c.Name}}})
		}
	}
	return out, nil
}

// groupBy resolves GROUP BY: names, aliases of the SELECT list, its ordinals, expressions.
func (p *plan) groupBy(q *sql.Select, items []sql.Item) error {
	in := p.scope("in GROUP BY")
	in.unnests = &p.unnests
	for _, written := range q.GroupBy {
		ast, err := p.grouping(written, items)
		if err != nil {
			return err
		}
		if c, ok := ast.(*sql.Column); ok && p.window != nil && isWindowColumn(c.Name) {
			continue // a window's columns are groups without being said to be
		}
		x, err := in.compile(ast)
		if err != nil {
			return err
		}
		if x, err = in.settle(ast, x); err != nil {
			return err
		}
		if x.konst {
			return in.errorf(written, "leave it out", "GROUP BY of the constant %s", x.text)
		}
		if c, ok := ast.(*sql.Cast); ok && x.column >= 0 {
			ast = c.X // a cast that only declares the column's type
		}
		if p.groupOf(ast) < 0 {
			p.groups = append(p.groups, &group{ast: ast, text: sql.Format(ast), expr: x})
		}
	}
	p.groups = append(p.groups, p.window.windowGroups()...)
	return nil
}

// grouping returns the expression that one entry of GROUP BY stands for: a column, else the item with that alias or
// ordinal, else the expression itself.
func (p *plan) grouping(e sql.Expr, items []sql.Item) (sql.Expr, error) {
	s := &scope{src: p.src}
	switch e := e.(type) {
	case *sql.Column:
		if _, ok := p.resolve(e.Name); ok {
			return e, nil
		}
		if i := findAlias(items, e.Name); i >= 0 {
			return p.notAggregate(e, items[i].Expr, items)
		}
	case *sql.Number:
		i, err := ordinal(s, e, len(items))
		if err != nil {
			return nil, err
		}
		return p.notAggregate(e, items[i].Expr, items)
	}
	return e, nil
}

func (p *plan) notAggregate(at sql.Node, e sql.Expr, items []sql.Item) (sql.Expr, error) {
	if hasAggregate(e) {
		s := &scope{src: p.src}
		return nil, s.errorf(at, p.swallowed(items), "GROUP BY of the aggregate %s", sql.Format(e))
	}
	return e, nil
}

// ordinal reads a position in the SELECT list, counted from 1.
func ordinal(s *scope, e *sql.Number, n int) (int, error) {
	for i := range n {
		if e.Text == fmt.Sprint(i+1) {
			return i, nil
		}
	}
	return 0, s.errorf(e, "", "position %s is not in the SELECT list, which has %d column(s)", e.Text, n)
}

// findAlias returns the item that was given that name with AS; -1: none.
func findAlias(items []sql.Item, name sql.Name) int {
	exact := func(it sql.Item) bool { return it.As != nil && it.As.Text == name.Text }
	if i := slices.IndexFunc(items, exact); i >= 0 || name.Quoted {
		return i
	}
	return slices.IndexFunc(items, func(it sql.Item) bool { return it.As != nil && strings.EqualFold(it.As.Text, name.Text) })
}

// addItem compiles an item and appends it; its name may be taken, which is for the caller to see to.
func (p *plan) addItem(it sql.Item) (*item, error) {
	s := p.outer()
	x, err := s.compile(it.Expr)
	if err != nil {
		return nil, err
	}
	if x, err = s.settle(it.Expr, x); err != nil {
		return nil, err
	}
	out := &item{at: it.Expr, expr: x, group: -1}
	out.column = Column{Name: p.columnName(it), Type: x.typ, Aggregate: hasAggregate(it.Expr)}
	if i := p.groupColumn(x); i >= 0 {
		out.group = i
		out.column.Key = !p.groups[i].used
		p.groups[i].used = true
	}
	p.items = append(p.items, out)
	return out, nil
}

// groupColumn returns the position of the group that x, compiled in the outer scope, is; -1: it is none.
func (p *plan) groupColumn(x *expr) int {
	if !p.grouped || x.column >= len(p.groups) {
		return -1
	}
	return x.column
}

// columnName is the result column's name: the alias, a column's Zeek name, a function's name, else column and its place.
func (p *plan) columnName(it sql.Item) string {
	if it.As != nil {
		return it.As.Text
	}
	e := it.Expr
	for {
		switch x := e.(type) {
		case *sql.Column:
			return x.Text
		case *sql.Call:
			return x.Name
		case *sql.Extract:
			return "extract"
		case *sql.Cast:
			e = x.X
			continue
		}
		return fmt.Sprintf("column%d", len(p.items)+1)
	}
}

func (p *plan) compileHaving(e sql.Expr) (*expr, error) {
	s := p.outer()
	if err := s.noUnnest(e, "in HAVING"); err != nil {
		return nil, err
	}
	if err := p.noLate(s, e); err != nil {
		return nil, err
	}
	x, err := s.compile(e)
	if err != nil {
		return nil, err
	}
	return s.boolean(e, x, "HAVING")
}

// checkNames refuses two result columns of one name, in the format that the result has.
func (p *plan) checkNames(format Format) error {
	for i, it := range p.items {
		for _, other := range p.items[:i] {
			a, b := other.column.Name, it.column.Name
			switch {
			case a == b:
				return p.src.Error(it.at.Pos(), "two columns of the result are called "+b, "name one of them with AS")
			case format == FormatAvro && feeds.AvroName(a) == feeds.AvroName(b):
				return p.src.Error(it.at.Pos(), fmt.Sprintf("in Avro the columns %s and %s are both called %s", a, b, feeds.AvroName(b)), "name one of them with AS")
			}
		}
	}
	return nil
}
