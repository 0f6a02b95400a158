package output

import (
	"bufio"
	"io"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// csvWriter writes comma or tab separated values with a header line. A field is quoted, with its quotes doubled, when it
// holds the separator, a quote or a line break, or when it would read as NULL.
type csvWriter struct {
	w        *bufio.Writer
	sep      byte
	special  string // what a field must not hold bare
	null     string
	terminal bool
	guard    bool
	cell     []byte // scratch
}

func newCSV(w io.Writer, f Format, o Options) *csvWriter {
	c := &csvWriter{w: bufio.NewWriterSize(w, 64<<10), sep: ',', null: o.Null, terminal: o.Terminal, guard: o.Guard}
	if f == TSV {
		c.sep = '\t'
	}
	c.special = string(c.sep) + "\"\r\n"
	return c
}

func (c *csvWriter) Header(columns []Column) error {
	for i, col := range columns {
		if i > 0 {
			c.w.WriteByte(c.sep) //nolint:errcheck // Flush returns the first error
		}
		name := col.Name
		if c.guard {
			name = guard(name)
		}
		c.field(name)
	}
	return c.w.WriteByte('\n')
}

func (c *csvWriter) Row(row []feeds.Value) error {
	for i, v := range row {
		if i > 0 {
			c.w.WriteByte(c.sep) //nolint:errcheck // as above
		}
		if v.IsNull() {
			c.w.WriteString(c.null) //nolint:errcheck // as above
			continue
		}
		c.cell = v.AppendText(c.cell[:0])
		text := string(c.cell)
		if c.guard && v.Kind() == feeds.String {
			text = guard(text)
		}
		c.field(text)
	}
	return c.w.WriteByte('\n')
}

func (c *csvWriter) field(s string) {
	if c.terminal {
		s = Printable(s)
	}
	if s != c.null && !strings.ContainsAny(s, c.special) {
		c.w.WriteString(s) //nolint:errcheck // as above
		return
	}
	c.w.WriteByte('"')                                //nolint:errcheck // as above
	c.w.WriteString(strings.ReplaceAll(s, `"`, `""`)) //nolint:errcheck // as above
	c.w.WriteByte('"')                                //nolint:errcheck // as above
}

func (c *csvWriter) Close() error { return c.w.Flush() }
