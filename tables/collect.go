package tables

import (
	"container/heap"
	"slices"

	"github.com/brotally/brotally/feeds"
)

// collector keeps the rows of an answer: all of them, or with ORDER BY and LIMIT only as many as can still be in it, so
// that the top ten of a million rows keep ten.
type collector struct {
	visible int // columns that the answer shows; the others only order it
	order   []ordering
	limit   int // rows to keep at most, those that OFFSET skips included
	offset  int // those
	seen    map[string]struct{}
	within  Within
	give    func(row []feeds.Value) (more bool) // takes each row instead of keeping it, which no order may need; nil: they are kept

	kept    []keptRow // with order and limit: a heap, the last row of the answer on top
	offered int
	bytes   int       // estimate of what kept and seen take
	over    *TooLarge // why it takes no more
	scratch []feeds.Value
	key     []byte
}

type keptRow struct {
	values []feeds.Value
	number int // rows that are equal in order stay in the order they came in
}

// offer computes a row and keeps it if it is in the answer; full says that no later row can be, or that over is set.
func (c *collector) offer(e *env, items []eval) (full bool) {
	c.scratch = slices.Grow(c.scratch[:0], len(items))
	for _, value := range items {
		c.scratch = append(c.scratch, value(e))
	}
	row := keptRow{c.scratch, c.offered}
	if c.seen != nil && !c.isNew(c.scratch[:c.visible]) {
		return false
	}
	c.offered++
	switch {
	case c.give != nil:
		return c.offered > c.offset && !c.give(c.scratch) || c.offered >= c.limit
	case len(c.order) == 0:
		c.kept = append(c.kept, row.clone())
		c.bytes += row.weight()
		return c.overweight() || len(c.kept) >= c.limit
	case len(c.kept) < c.limit:
		heap.Push(c, row.clone())
		c.bytes += row.weight()
	case c.compare(row, c.kept[0]) < 0:
		c.bytes += row.weight() - c.kept[0].weight()
		c.kept[0] = row.clone()
		heap.Fix(c, 0)
	}
	return c.overweight()
}

func (c *collector) isNew(row []feeds.Value) bool {
	c.key = c.key[:0]
	for _, v := range row {
		c.key = v.AppendKey(c.key)
	}
	if _, old := c.seen[string(c.key)]; old {
		return false
	}
	c.seen[string(c.key)] = struct{}{}
	c.bytes += len(c.key) + rowBytes
	return true
}

func (r keptRow) clone() keptRow {
	values := make([]feeds.Value, len(r.values))
	for i, v := range r.values {
		values[i] = v.Clone()
	}
	return keptRow{values, r.number}
}

// rows returns the answer without the rows that OFFSET skips.
func (c *collector) rows() [][]feeds.Value {
	if len(c.order) > 0 {
		slices.SortFunc(c.kept, c.compare)
	}
	out := make([][]feeds.Value, 0, max(len(c.kept)-c.offset, 0))
	for _, r := range c.kept[min(c.offset, len(c.kept)):] {
		out = append(out, r.values[:c.visible:c.visible])
	}
	return out
}

func (c *collector) compare(a, b keptRow) int {
	for _, by := range c.order {
		if d := by.compare(a.values[by.item], b.values[by.item]); d != 0 {
			return d
		}
	}
	return a.number - b.number
}

func (by ordering) compare(a, b feeds.Value) int {
	switch {
	case a.IsNull() && b.IsNull():
		return 0
	case a.IsNull() || b.IsNull():
		if a.IsNull() == by.nullsFirst {
			return -1
		}
		return 1
	}
	d := feeds.Compare(a, b)
	if by.desc {
		return -d
	}
	return d
}

// What follows is heap.Interface: the row that is last in order is on top.

func (c *collector) Len() int           { return len(c.kept) }
func (c *collector) Less(i, j int) bool { return c.compare(c.kept[i], c.kept[j]) > 0 }
func (c *collector) Swap(i, j int)      { c.kept[i], c.kept[j] = c.kept[j], c.kept[i] }
func (c *collector) Push(x any)         { c.kept = append(c.kept, x.(keptRow)) }
func (c *collector) Pop() any           { panic("tables: a collector is never popped") }

// SortRows orders rows by the key columns, NULL last: the order in which tables are shown that nobody ordered.
func SortRows(columns []Column, rows [][]feeds.Value) {
	slices.SortStableFunc(rows, func(a, b []feeds.Value) int {
		for i, c := range columns {
			if !c.Key {
				continue
			}
			if d := (ordering{}).compare(a[i], b[i]); d != 0 {
				return d
			}
		}
		return 0
	})
}
