package tables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// StateText returns what a table's rows, partials and keys depend on, as text: tables of equal texts can take over each
// other's rows. HAVING, WITH, the columns that are no keys and how they are computed from aggregates are not in it.
func (t *Table) StateText() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("FROM %s", t.Feed.Name)
	inputs := slices.SortedFunc(slices.Values(t.Inputs), func(a, b feeds.Column) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range inputs {
		line("INPUT %s %s", c.Name, c.Type)
	}
	if t.query.Where != nil {
		line("WHERE %s", sql.Format(t.query.Where))
	}
	if w := t.plan.window; w != nil {
		line("WINDOW %s %v %v %v ON %s", w.Kind, w.Size, w.Advance, w.Gap, w.time.text)
	}
	if l := t.plan.lifetime; l != nil && l.final {
		line("FINAL %d", l.grace) // what has closed would be open again
	}
	for i, g := range t.plan.groups {
		line("GROUP %s AS %s %s", g.text, t.keys[i].Name, t.keys[i].Type) // a key's text has the column's name
	}
	for _, a := range t.plan.stored {
		line("AGGREGATE %s %s", a.text, a.typ)
	}
	return b.String()
}
