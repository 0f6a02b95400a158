package main

import (
	"cmp"
	"slices"

	"github.com/brotally/brotally/feeds"
)

// top is the first rows of a table in an order, kept from its changes alone, in memory that does not grow with the table.
//
// It keeps more rows than are shown. What is left out is worse than the bound, the best that was ever left out; a row comes back when
// it changes, for a change has the whole row. So the rows that are better than the bound are the table's first, and only where
// fewer of them are left than are to be shown the table has to be read anew.
type top struct {
	order int  // the column
	desc  bool // the highest first
	most  int  // how many rows are kept

	rows  map[string]*topRow
	bound *topRow // nil: nothing was left out
}

// topRow is one row.
type topRow struct {
	key    string
	values []feeds.Value
}

func newTop(order int, desc bool, most int) *top {
	return &top{order: order, desc: desc, most: most, rows: map[string]*topRow{}}
}

// clear forgets all rows: others follow.
func (t *top) clear() { t.rows, t.bound = map[string]*topRow{}, nil }

// put keeps a row, in the place of the one with its key.
func (t *top) put(key string, values []feeds.Value) {
	t.rows[key] = &topRow{key, values}
	if len(t.rows) <= 2*t.most {
		return
	}
	all := t.sorted()
	for _, r := range all[t.most:] {
		delete(t.rows, r.key)
	}
	if left := all[t.most]; t.bound == nil || t.compare(left, t.bound) < 0 {
		t.bound = left
	}
}

// remove forgets a row.
func (t *top) remove(key string) { delete(t.rows, key) }

// compare orders rows: NULL comes last, and equal rows come by key.
func (t *top) compare(a, b *topRow) int {
	x, y := a.values[t.order], b.values[t.order]
	switch {
	case x.IsNull() && y.IsNull():
	case x.IsNull():
		return 1
	case y.IsNull():
		return -1
	default:
		c := feeds.Compare(x, y)
		if t.desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(a.key, b.key)
}

func (t *top) sorted() []*topRow {
	all := make([]*topRow, 0, len(t.rows))
	for _, r := range t.rows {
		all = append(all, r)
	}
	slices.SortFunc(all, t.compare)
	return all
}

// head returns the first n rows. sure is false when the table may have others that belong before the last of them.
func (t *top) head(n int) (rows []*topRow, sure bool) {
	all := t.sorted()
	rows = all[:min(n, len(all))]
	switch {
	case t.bound == nil:
		return rows, true
	case len(rows) < n:
		return rows, false
	}
	return rows, len(rows) == 0 || t.compare(rows[len(rows)-1], t.bound) < 0
}
