package views

import (
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// Explain says how a look-up would be answered now, without running it: rows of one text column. It needs no values for
// parameters, and a view that is still being restored will do.
func (v *View) Explain(sel *tables.Select) *Answer {
	start := time.Now()
	a := &Answer{Table: v.table.Name, Columns: []tables.Column{tables.PlanColumn}, AsOf: v.AsOf()}
	for _, line := range sel.Explain(v.Len()) {
		a.Rows = append(a.Rows, []feeds.Value{feeds.StringValue(line)})
	}
	a.Took = time.Since(start)
	return a
}
