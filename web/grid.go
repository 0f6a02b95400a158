package web

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/brotally/brotally/views/client"
)

// grid is rows as they are shown.
type grid struct {
	Columns []gridColumn
	Rows    []gridRow
}

type gridColumn struct {
	Name, Type string
	Number     bool // set to the right
	Key        bool
	Sorted     string // "ascending" or "descending", as aria-sort has it; empty: rows are not sorted by it

	// Of a card, where there is little room: "rest" shares what the others leave, "last" takes it as far as it needs to; empty: as wide as its texts.
	Width string

	// Of a page of one table.
	Sort   string // link that sorts by it
	Param  string // of the address, for its filter
	Filter string // what the filter says
}

type gridRow struct {
	Key   string // the same as long as it is the same row
	Cells []cell
}

// newGrid makes the grid of an answer to a look-up of a table with these columns.
func newGrid(rows *client.Rows, columns []client.TableColumn, order string) *grid {
	g := &grid{}
	var keys []int
	for i, c := range rows.Columns {
		column := gridColumn{Name: c.Name, Type: c.Type, Number: isNumber(c.Type)}
		column.Key = slices.ContainsFunc(columns, func(t client.TableColumn) bool { return t.Name == c.Name && t.Key })
		switch order {
		case c.Name:
			column.Sorted = "ascending"
		case "-" + c.Name:
			column.Sorted = "descending"
		}
		if column.Key {
			keys = append(keys, i)
		}
		g.Columns = append(g.Columns, column)
	}
	for _, values := range rows.Values {
		row := gridRow{Cells: make([]cell, len(values))}
		for i, v := range values {
			row.Cells[i] = show(v, rows.Columns[i].Type)
		}
		for _, i := range keys {
			row.Key += string(values[i]) + "\x1f"
		}
		row.Key = printable(row.Key)
		g.Rows = append(g.Rows, row)
	}
	for i, c := range g.Columns {
		if c.Number && c.Sorted != "" {
			g.bars(i)
		}
	}
	return g
}

// bars gives the cells of a column their share of the largest.
func (g *grid) bars(column int) {
	largest := 0.0
	for _, r := range g.Rows {
		if v := r.Cells[column].Number; v > largest && !math.IsInf(v, 1) {
			largest = v
		}
	}
	for _, r := range g.Rows {
		if v := r.Cells[column].Number; v > 0 && largest > 0 {
			r.Cells[column].Share = min(v/largest, 1)
		}
	}
}

// short leaves the first columns of the key and the one that rows are sorted by.
func (g *grid) short(keys int) *grid {
	var kept []int
	for i, c := range g.Columns {
		if c.Sorted != "" {
			kept = append(kept, i)
		} else if c.Key && keys > 0 {
			keys--
			kept = append(kept, i)
		}
	}
	s := &grid{}
	for _, i := range kept {
		s.Columns = append(s.Columns, g.Columns[i])
	}
	for _, r := range g.Rows {
		row := gridRow{Key: r.Key}
		for _, i := range kept {
			row.Cells = append(row.Cells, r.Cells[i])
		}
		s.Rows = append(s.Rows, row)
	}
	s.fit(cardColumns)
	return s
}

// cardColumns is how many characters stand beside each other in a card on a phone.
const cardColumns = 30

// fit says which columns are as wide as their texts when there is room for so many characters: the narrower before the wider, as long as
// each gets no more than its part of what is left.
func (g *grid) fit(room int) {
	needs := make([]int, len(g.Columns))
	order := make([]int, len(g.Columns))
	for i := range g.Columns {
		order[i] = i
		for _, r := range g.Rows {
			n := 0
			for _, c := range r.Cells[i].Text {
				n += wide(c)
			}
			needs[i] = max(needs[i], n)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(needs[a], needs[b]) })
	all := true
	for k, i := range order {
		if needs[i] > room/(len(order)-k) {
			g.Columns[i].Width, all = "rest", false
			continue
		}
		room -= needs[i]
	}
	for i := len(g.Columns) - 1; all && i >= 0; i-- {
		if !g.Columns[i].Number {
			g.Columns[i].Width = "last"
			return
		}
	}
}

// usualOrder is by the column called count, or the first aggregate that is a number, largest first.
func usualOrder(columns []client.TableColumn) string {
	order := ""
	for _, c := range columns {
		switch {
		case c.Key || !isNumber(c.Type):
		case c.Name == "count":
			return "-count"
		case order == "":
			order = "-" + c.Name
		}
	}
	if order == "" && len(columns) > 0 {
		order = columns[0].Name
	}
	return order
}

// bare is an order's column.
func bare(order string) string { return strings.TrimPrefix(order, "-") }
