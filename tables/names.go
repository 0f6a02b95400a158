package tables

import (
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// declare writes the names in q as the feed spells them (an unquoted name may differ in case, any name may carry the
// feed's name before it) and finds the columns that a CAST declares: those that the feed does not know.
func (p *plan) declare(q *sql.Select) error {
	var all []sql.Expr
	for _, it := range q.Items {
		all = append(all, it.Expr)
	}
	all = append(all, q.GroupBy...)
	for _, o := range q.OrderBy {
		all = append(all, o.Expr)
	}
	all = append(all, q.Where, q.Having)
	if q.Window != nil {
		all = append(all, q.Window.On)
	}
	var err error
	for _, e := range all {
		sql.Walk(e, func(e sql.Expr) bool {
			c, ok := e.(*sql.Cast)
			if ok && err == nil {
				err = p.declareCast(c)
			}
			return true
		})
	}
	for i, e := range all {
		sql.Walk(e, func(e sql.Expr) bool {
			if c, ok := e.(*sql.Column); ok {
				if by := i - len(q.Items); by >= 0 && by < len(q.GroupBy)+len(q.OrderBy) && namesOutput(q, c) {
					return true // it may begin with the feed's name
				}
				if known, ok := p.resolve(c.Name); ok {
					c.Text, c.Quoted = known.Name, false
				} else if q.Window != nil && isWindowColumn(c.Name) {
					c.Text, c.Quoted = strings.ToLower(c.Text), false
				}
			}
			return true
		})
	}
	return err
}

func (p *plan) declareCast(c *sql.Cast) error {
	col, ok := c.X.(*sql.Column)
	if !ok || !p.open {
		return nil
	}
	if _, known := p.find(p.feed.Columns, col.Name); known {
		return nil
	}
	s := p.scope("")
	typ, err := s.typeOf(c.Type)
	if err != nil {
		return err
	}
	if d, declared := p.find(p.declared, col.Name); declared {
		if d.Type != typ {
			return s.errorf(c, "the feed does not know the column, so its type is what the first CAST says", "column %s is declared as %s and as %s", col.Text, d.Type, typ)
		}
		return nil
	}
	p.declared = append(p.declared, feeds.Column{Name: col.Text, Type: typ})
	return nil
}

// resolve finds a column of the feed or a declared one.
func (p *plan) resolve(n sql.Name) (feeds.Column, bool) {
	if c, ok := p.find(p.feed.Columns, n); ok {
		return c, true
	}
	return p.find(p.declared, n)
}

// find looks a name up: as written, as another version's name of the column, in other case if it was not quoted, with
// the feed's name before it.
func (p *plan) find(columns []feeds.Column, n sql.Name) (feeds.Column, bool) {
	named := func(name string) func(feeds.Column) bool {
		return func(c feeds.Column) bool { return c.Name == name || slices.Contains(c.Aliases, name) }
	}
	if i := slices.IndexFunc(columns, func(c feeds.Column) bool { return c.Name == n.Text }); i >= 0 {
		return columns[i], true
	}
	if i := slices.IndexFunc(columns, named(n.Text)); i >= 0 {
		return columns[i], true
	}
	if !n.Quoted {
		if i := slices.IndexFunc(columns, func(c feeds.Column) bool { return strings.EqualFold(c.Name, n.Text) }); i >= 0 {
			return columns[i], true
		}
	}
	if rest, ok := strings.CutPrefix(n.Text, p.feed.Name+"."); ok {
		return p.find(columns, sql.Name{Text: rest, Quoted: n.Quoted})
	}
	return feeds.Column{}, false
}

// input gives a name in an expression over the inputs its meaning, and notes that the column is read.
func (p *plan) input(c *sql.Column) (*expr, error) {
	known, ok := p.resolve(c.Name)
	if !ok {
		hint := sql.DidYouMean(c.Text, p.columnNames())
		switch {
		case isWindowColumn(c.Name) && p.window != nil:
			return nil, p.src.Error(c.At, c.Text+" is known after grouping only", "it can stand in SELECT and in HAVING")
		case isWindowColumn(c.Name) && p.open:
			hint = "it comes with a window: WINDOW TUMBLING (SIZE 1 HOUR)"
		case hint != "":
		case p.synonym(c) != "":
			hint = "Zeek calls it " + p.synonym(c)
		case p.otherFeed(c) != "":
			hint = "FROM reads " + p.feed.Name + " alone, and there are no joins"
		case nameHint(c) != "":
			hint = nameHint(c)
		case p.open:
			hint = "if records have it, write CAST(" + sql.Format(c) + " AS its type)"
		case len(p.feed.Columns) <= 20:
			hint = "the columns are " + strings.Join(p.columnNames(), ", ")
		}
		return nil, p.src.Error(c.At, "no column "+c.Text+" in "+p.feed.Name, hint)
	}
	i := slices.IndexFunc(p.inputs, func(have feeds.Column) bool { return have.Name == known.Name })
	if i < 0 {
		i = len(p.inputs)
		p.inputs = append(p.inputs, known)
	}
	return columnExpr(i, known.Type, sql.Format(c)), nil
}

func (p *plan) columnNames() []string {
	var names []string
	for _, c := range slices.Concat(p.feed.Columns, p.declared) {
		names = append(names, c.Name)
	}
	return names
}
