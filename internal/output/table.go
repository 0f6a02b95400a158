package output

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/brotally/brotally/feeds"
)

const (
	tableSample = 1000 // rows that decide how wide columns are; what comes later streams
	columnGap   = 2    // blanks between columns
	leastWidth  = 12   // a text column is not cut further than this; what then does not fit is written down the page
)

// tableWriter writes aligned columns: numbers to the right, everything else to the left.
type tableWriter struct {
	w       *bufio.Writer
	width   int // of the terminal, 0 for none
	columns []Column
	right   []bool
	widths  []int
	held    [][]string // the sample, until widths are known
	begun   bool
	down    bool // one column a line
	row     int
}

func newTable(w io.Writer, o Options) *tableWriter {
	return &tableWriter{w: bufio.NewWriterSize(w, 64<<10), width: o.Width}
}

func (t *tableWriter) Header(columns []Column) error {
	t.columns = columns
	for _, c := range columns {
		k := c.Type.Kind
		t.right = append(t.right, k.IsNumber() || k == feeds.Interval)
		t.widths = append(t.widths, ScreenWidth(Printable(c.Name)))
	}
	return nil
}

func (t *tableWriter) Row(row []feeds.Value) error {
	cells := make([]string, len(row))
	for i, v := range row {
		cells[i] = CellText(v)
	}
	if t.begun {
		return t.write(cells)
	}
	for i, s := range cells {
		t.widths[i] = max(t.widths[i], ScreenWidth(s))
	}
	t.held = append(t.held, cells)
	if len(t.held) == tableSample {
		return t.begin()
	}
	return nil
}

func (t *tableWriter) Close() error {
	if !t.begun {
		if err := t.begin(); err != nil {
			return err
		}
	}
	return t.w.Flush()
}

// CellText returns the value for people. A text that reads NULL is quoted: there is a DNS query type of that name.
func CellText(v feeds.Value) string {
	if v.IsNull() {
		return "NULL"
	}
	if v.Kind() == feeds.String && v.Str() == "NULL" {
		return "'NULL'"
	}
	return Printable(string(v.AppendText(nil)))
}

// begin decides on the widths, then writes the header and the rows held back.
func (t *tableWriter) begin() error {
	t.begun = true
	t.fit()
	if !t.down {
		names, rules := make([]string, len(t.columns)), make([]string, len(t.columns))
		for i, c := range t.columns {
			names[i], rules[i] = Printable(c.Name), strings.Repeat("-", t.widths[i])
		}
		t.line(names)
		t.line(rules)
	}
	for _, cells := range t.held {
		if err := t.write(cells); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

// fit narrows columns of texts and arrays, the widest first, until a row fits the terminal, or gives up and sets down. Half a
// number, time or address would be a wrong one.
func (t *tableWriter) fit() {
	if t.width <= 0 {
		return
	}
	total := columnGap * (len(t.widths) - 1)
	for _, w := range t.widths {
		total += w
	}
	natural := append([]int(nil), t.widths...)
	for total > t.width {
		widest := -1
		for i, w := range t.widths {
			k := t.columns[i].Type.Kind
			if (k == feeds.String || k == feeds.Array) && w > leastWidth && (widest < 0 || w > t.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			t.down, t.widths = true, natural
			return
		}
		t.widths[widest]--
		total--
	}
}

func (t *tableWriter) write(cells []string) error {
	t.row++
	if !t.down {
		return t.line(cells)
	}
	names := 0
	for _, c := range t.columns {
		names = max(names, ScreenWidth(Printable(c.Name)))
	}
	fmt.Fprintf(t.w, "-- row %d\n", t.row)
	for i, c := range t.columns {
		name := Printable(c.Name)
		fmt.Fprintf(t.w, "%s%s  %s\n", name, spaces(names-ScreenWidth(name)), cells[i])
	}
	return t.w.Flush()
}

// line writes one line of cells; blanks at its end are left out.
func (t *tableWriter) line(cells []string) error {
	pending := 0 // blanks to write before the next text
	for i, s := range cells {
		if i > 0 {
			pending += columnGap
		}
		if t.width > 0 {
			s = Cut(s, max(t.widths[i], 1))
		}
		pad := t.widths[i] - ScreenWidth(s)
		if t.right[i] {
			pending += max(pad, 0)
		}
		if s != "" {
			t.w.WriteString(spaces(pending)) //nolint:errcheck // Flush returns the first error
			t.w.WriteString(s)               //nolint:errcheck // as above
			pending = 0
		}
		if !t.right[i] {
			pending += max(pad, 0)
		}
	}
	return t.w.WriteByte('\n')
}
