package tables

import (
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// PublicSchema is the schema that all tables are in, for those who write one: public.dns_counts.
const PublicSchema = "public"

// InPublic returns the name without the schema before it, if it has one.
func InPublic(n sql.Name) sql.Name {
	if len(n.Text) > len(PublicSchema) && n.Text[len(PublicSchema)] == '.' && strings.EqualFold(n.Text[:len(PublicSchema)], PublicSchema) {
		n.Text = n.Text[len(PublicSchema)+1:]
	}
	return n
}

// unqualify writes a look-up's columns without the table's name, or the name that FROM gives it, before them: of
// x.id.orig_h there stays id.orig_h.
func unqualify(stmt *sql.Select, feed *feeds.Feed) error {
	names := []string{feed.Name, PublicSchema + "." + feed.Name}
	if stmt.FromAs != nil {
		names = append(names, stmt.FromAs.Text)
	}
	known := func(name string) bool {
		return slices.ContainsFunc(feed.Columns, func(c feeds.Column) bool { return strings.EqualFold(c.Name, name) })
	}
	visit := func(e sql.Expr) bool {
		c, ok := e.(*sql.Column)
		if !ok || known(c.Text) {
			return true
		}
		for _, name := range names {
			if n := len(name); len(c.Text) > n+1 && c.Text[n] == '.' && strings.EqualFold(c.Text[:n], name) {
				c.Text = c.Text[n+1:]
				break
			}
		}
		return true
	}
	besideOutput := func(e sql.Expr) bool {
		if c, ok := e.(*sql.Column); ok && namesOutput(stmt, c) {
			return true
		}
		return visit(e)
	}
	for _, it := range stmt.Items {
		if star, ok := it.Expr.(*sql.Star); ok && star.Of != nil {
			if !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(star.Of.Text, name) }) {
				return stmt.Source.Error(star.At, "FROM has no "+star.Of.Text, sql.DidYouMean(star.Of.Text, names))
			}
			star.Of = nil
		}
		sql.Walk(it.Expr, visit)
	}
	for _, e := range stmt.GroupBy {
		sql.Walk(e, besideOutput)
	}
	for _, o := range stmt.OrderBy {
		sql.Walk(o.Expr, besideOutput)
	}
	sql.Walk(stmt.Where, visit)
	sql.Walk(stmt.Having, visit)
	return nil
}

// namesOutput reports whether a column of GROUP BY or ORDER BY is one of the answer, whose name has a dot: it is what it is, whatever it
// begins with.
func namesOutput(q *sql.Select, c *sql.Column) bool {
	return strings.Contains(c.Text, ".") && slices.ContainsFunc(q.Items, func(it sql.Item) bool { return it.As != nil && it.As.Text == c.Text })
}
