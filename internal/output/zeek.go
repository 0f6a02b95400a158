package output

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
)

// zeekWriter writes a log as Zeek's ASCII writer does: tab separated, with a header of # lines that says which fields there are.
type zeekWriter struct {
	w    *bufio.Writer
	o    Options
	cell []byte // scratch
}

func newZeek(w io.Writer, o Options) *zeekWriter {
	if o.At.IsZero() {
		o.At = time.Now()
	}
	return &zeekWriter{w: bufio.NewWriterSize(w, 64<<10), o: o}
}

// zeekTime is how a log says when it was opened and closed.
const zeekTime = "2006-01-02-15-04-05"

func (z *zeekWriter) Header(columns []Column) error {
	path := z.o.Name
	if path == "" {
		path = "result"
	}
	z.w.WriteString("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t") //nolint:errcheck // Flush returns the first error
	z.w.Write(z.appendText(nil, path, false))                                                               //nolint:errcheck // as above
	z.w.WriteString("\n#open\t" + z.o.At.UTC().Format(zeekTime) + "\n#fields")                              //nolint:errcheck // as above
	for _, c := range columns {
		z.w.WriteByte('\t')                         //nolint:errcheck // as above
		z.w.Write(z.appendText(nil, c.Name, false)) //nolint:errcheck // as above
	}
	z.w.WriteString("\n#types") //nolint:errcheck // as above
	for _, c := range columns {
		z.w.WriteString("\t" + zeekType(c.Type)) //nolint:errcheck // as above
	}
	return z.w.WriteByte('\n')
}

// zeekType is a type's name in Zeek. Sums of integers are wider than any of its own: they are written as text.
func zeekType(t feeds.Type) string {
	switch t.Kind {
	case feeds.Bool:
		return "bool"
	case feeds.Bigint:
		return "int"
	case feeds.Ubigint:
		return "count"
	case feeds.Double:
		return "double"
	case feeds.Timestamp:
		return "time"
	case feeds.Interval:
		return "interval"
	case feeds.Inet:
		return "addr"
	case feeds.Subnet:
		return "subnet"
	case feeds.Array:
		return "vector[" + zeekType(feeds.T(t.Elem)) + "]"
	}
	return "string"
}

func (z *zeekWriter) Row(row []feeds.Value) error {
	for i, v := range row {
		if i > 0 {
			z.w.WriteByte('\t') //nolint:errcheck // as above
		}
		z.cell = z.append(z.cell[:0], v)
		z.w.Write(z.cell) //nolint:errcheck // as above
	}
	return z.w.WriteByte('\n')
}

func (z *zeekWriter) Close() error {
	z.w.WriteString("#close\t" + z.o.At.UTC().Format(zeekTime) + "\n") //nolint:errcheck // as above
	return z.w.Flush()
}

func (z *zeekWriter) append(b []byte, v feeds.Value) []byte {
	if v.Kind() != feeds.Array {
		return z.appendValue(b, v, false)
	}
	list := v.List()
	if len(list) == 0 {
		return append(b, "(empty)"...)
	}
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = z.appendValue(b, e, true)
	}
	return b
}

// appendValue appends one value; element says that it is one of an array's.
func (z *zeekWriter) appendValue(b []byte, v feeds.Value, element bool) []byte {
	switch v.Kind() {
	case feeds.Null:
		return append(b, '-')
	case feeds.Bool:
		if v.IsTrue() {
			return append(b, 'T')
		}
		return append(b, 'F')
	case feeds.Timestamp:
		return appendSeconds(b, v.Micros())
	case feeds.String:
		return z.appendText(b, v.Str(), element)
	}
	return v.AppendText(b)
}

// appendSeconds appends microseconds as seconds with six decimals, without a double between.
func appendSeconds(b []byte, micros int64) []byte {
	if micros < 0 {
		b, micros = append(b, '-'), -micros
	}
	return fmt.Appendf(b, "%d.%06d", micros/1e6, micros%1e6)
}

// appendText appends a text so that it is one field, or one element, and neither NULL nor empty by mistake. Bytes that are no UTF-8 are
// escaped, as Zeek does, and so is what a terminal would obey.
func (z *zeekWriter) appendText(b []byte, s string, element bool) []byte {
	if s == "" {
		return append(b, "(empty)"...)
	}
	escape := func(text string) {
		for i := range len(text) {
			b = append(b, '\\', 'x', hexDigits[text[i]>>4], hexDigits[text[i]&15])
		}
	}
	if s == "-" || s == "(empty)" {
		escape(s[:1])
		s = s[1:]
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < ' ', r == 0x7f, r == '\\', element && r == ',', i == 0 && r == '#', z.o.Terminal && !unicode.IsPrint(r):
			escape(s[i : i+size])
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}

// guard makes a text harmless to a spreadsheet, which would take it for a formula.
func guard(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
