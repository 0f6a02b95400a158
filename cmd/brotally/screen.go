package main

import (
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
)

// screen is what watch shows at a time. All texts are printable.
type screen struct {
	head    string // the table and how it is
	note    string // what is to be known beside; empty: nothing
	columns []output.Column
	order   int        // the column that the rows are ordered by
	cells   [][]string // by row, then by column
	changed [][]bool   // which of them have changed lately; shorter: none of the others
}

// What a terminal is told, beside texts.
const (
	boldOn, boldOff       = "\x1b[1m", "\x1b[22m"
	reverseOn, reverseOff = "\x1b[7m", "\x1b[27m"
)

// screenGap is how many blanks there are between columns, screenLeast how far a text is cut at least before columns are left out.
const (
	screenGap   = 2
	screenLeast = 12
)

// rowsOn returns how many rows a terminal of so many lines can show.
func rowsOn(height int) int { return max(height-4, 1) }

// draw returns the screen as lines of at most width columns, at most height of them. It depends on nothing else.
func (s *screen) draw(width, height int) []string {
	width, height = max(width, 1), max(height, 1)
	shown, widths, left := s.fit(width)
	note := s.note
	if left > 0 {
		if note != "" {
			note += "; "
		}
		note += count(int64(left), "column") + " more on a wider terminal"
	}
	lines := []string{boldOn + output.Cut(s.head, width) + boldOff, output.Cut(note, width)}
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = output.Printable(c.Name)
	}
	lines = append(lines, boldOn+s.line(names, nil, shown, widths)+boldOff)
	for i, cells := range s.cells[:min(len(s.cells), rowsOn(height))] {
		var changed []bool
		if i < len(s.changed) {
			changed = s.changed[i]
		}
		lines = append(lines, s.line(cells, changed, shown, widths))
	}
	return lines[:min(len(lines), height)]
}

// fit returns the columns that are shown, how wide each is, and how many are left out: texts are cut, the widest first, and then
// columns are left out from the right, but never the first nor the one that rows are ordered by.
func (s *screen) fit(width int) (shown []int, widths []int, left int) {
	widths = make([]int, len(s.columns))
	for i, c := range s.columns {
		shown = append(shown, i)
		widths[i] = output.ScreenWidth(output.Printable(c.Name))
		for _, cells := range s.cells {
			widths[i] = max(widths[i], output.ScreenWidth(cells[i]))
		}
	}
	total := func() int {
		n := screenGap * (len(shown) - 1)
		for _, i := range shown {
			n += widths[i]
		}
		return n
	}
	narrow := func(least int, may func(feeds.Kind) bool) {
		for over := total() - width; over > 0; over-- {
			widest := -1
			for _, i := range shown {
				if may(s.columns[i].Type.Kind) && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				return
			}
			widths[widest]--
		}
	}
	narrow(screenLeast, func(k feeds.Kind) bool { return k == feeds.String || k == feeds.Array })
	for n := len(shown) - 1; n > 0 && total() > width; n-- {
		if shown[n] != s.order {
			shown = append(shown[:n], shown[n+1:]...)
			left++
		}
	}
	narrow(1, func(feeds.Kind) bool { return true })
	return shown, widths, left
}

// line writes the cells that are shown: numbers to the right, all else to the left.
func (s *screen) line(cells []string, changed []bool, shown, widths []int) string {
	var b strings.Builder
	for n, i := range shown {
		if n > 0 {
			b.WriteString(strings.Repeat(" ", screenGap))
		}
		text := output.Cut(cells[i], max(widths[i], 1))
		pad := strings.Repeat(" ", max(widths[i]-output.ScreenWidth(text), 0))
		k := s.columns[i].Type.Kind
		right := k.IsNumber() || k == feeds.Interval
		if right {
			b.WriteString(pad)
		}
		if i < len(changed) && changed[i] {
			text = reverseOn + text + reverseOff
		}
		b.WriteString(text)
		if !right && n < len(shown)-1 {
			b.WriteString(pad)
		}
	}
	return b.String()
}
