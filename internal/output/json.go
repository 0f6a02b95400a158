package output

import (
	"bufio"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
)

// jsonWriter writes rows as JSON objects whose fields are the columns in their order.
type jsonWriter struct {
	w     *bufio.Writer
	array bool     // json: one array; else ndjson: a line each
	names [][]byte // quoted, with the colon
	rows  int
	value []byte // scratch
}

func newJSON(w io.Writer, f Format) *jsonWriter {
	return &jsonWriter{w: bufio.NewWriterSize(w, 64<<10), array: f == JSON}
}

func (j *jsonWriter) Header(columns []Column) error {
	for _, c := range columns {
		j.names = append(j.names, append(VisibleJSON(nil, feeds.AppendQuoted(nil, c.Name)), ':'))
	}
	if j.array {
		j.w.WriteByte('[') //nolint:errcheck // Flush returns the first error
	}
	return nil
}

func (j *jsonWriter) Row(row []feeds.Value) error {
	if j.array {
		if j.rows > 0 {
			j.w.WriteByte(',') //nolint:errcheck // as above
		}
		j.w.WriteByte('\n') //nolint:errcheck // as above
	}
	j.rows++
	j.w.WriteByte('{') //nolint:errcheck // as above
	for i, v := range row {
		if i > 0 {
			j.w.WriteByte(',') //nolint:errcheck // as above
		}
		j.w.Write(j.names[i]) //nolint:errcheck // as above
		j.value = v.AppendJSON(j.value[:0])
		if plain(j.value) {
			j.w.Write(j.value) //nolint:errcheck // as above
			continue
		}
		j.w.Write(VisibleJSON(nil, j.value)) //nolint:errcheck // as above
	}
	err := j.w.WriteByte('}')
	if !j.array {
		err = j.w.WriteByte('\n')
	}
	return err
}

func (j *jsonWriter) Close() error {
	if j.array {
		if j.rows > 0 {
			j.w.WriteByte('\n') //nolint:errcheck // as above
		}
		j.w.WriteString("]\n") //nolint:errcheck // as above
	}
	return j.w.Flush()
}

// AppendJSON appends a value as JSON in which every character that does not print is an escape: what json and ndjson write,
// for others that write JSON which may end on a terminal.
func AppendJSON(b []byte, v feeds.Value) []byte {
	from := len(b)
	b = v.AppendJSON(b)
	if plain(b[from:]) {
		return b
	}
	return append(b[:from], VisibleJSON(nil, b[from:])...)
}

// plain reports whether b is ASCII without DEL; JSON text has no other control characters.
func plain(b []byte) bool {
	for _, c := range b {
		if c >= 0x7f {
			return false
		}
	}
	return true
}

// VisibleJSON appends JSON text to b with every non-printing character, which can only be inside a string, as an escape.
func VisibleJSON(b, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case unicode.IsPrint(r):
			b = append(b, text[:size]...)
		case r < 0x10000:
			b = appendHex4(b, r)
		default:
			high, low := utf16.EncodeRune(r)
			b = appendHex4(appendHex4(b, high), low)
		}
		text = text[size:]
	}
	return b
}
