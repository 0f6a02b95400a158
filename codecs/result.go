package codecs

import (
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// AppendResultKey appends the key under which a row lies on the result topic. values are those of [tables.Table.Keys], or
// only of the first of them: the group columns without the window's, whose text says in which partition a row lies.
//
// One column: its plain text; NULL is \N, and a text that begins with a backslash gets one more, so that no two
// values have one key. Several: a compact JSON object of them in their order. None: {}.
func AppendResultKey(b []byte, t *tables.Table, values []feeds.Value) []byte {
	if len(values) == 1 {
		return appendKeyText(b, values[0])
	}
	b = append(b, '{')
	for i, c := range t.Keys()[:len(values)] {
		b = appendMember(b, i, c.Name, values[i])
	}
	return append(b, '}')
}

// appendKeyText appends a value as a key of its own.
func appendKeyText(b []byte, v feeds.Value) []byte {
	if v.IsNull() {
		return append(b, `\N`...)
	}
	at := len(b)
	b = v.AppendText(b)
	if len(b) > at && b[at] == '\\' {
		b = append(b, 0)
		copy(b[at+1:], b[at:])
		b[at] = '\\'
	}
	return b
}

// AppendResult appends a row as the result topic holds it: one flat JSON object of all columns in the order of SELECT.
// NULL is null, times are RFC 3339 in UTC with microseconds, integers of any size are numbers, intervals are seconds.
func AppendResult(b []byte, t *tables.Table, row []feeds.Value) []byte {
	return appendRow(b, t.Columns, row)
}

func appendRow(b []byte, columns []tables.Column, row []feeds.Value) []byte {
	b = append(b, '{')
	for i, c := range columns {
		b = appendMember(b, i, c.Name, row[i])
	}
	return append(b, '}')
}

// MaxRecord is how large a key or a value of ours may be, in bytes.
const MaxRecord = 512 << 10

// AppendFitting is [AppendResult] for a row that may be too large for a record of ours, as only a table with very many
// texts can make one: its texts and arrays are then cut, evenly, until the rest fits. Which ones depends on nothing but the row.
func AppendFitting(b []byte, t *tables.Table, row []feeds.Value) (value []byte, cut bool) {
	value, whole := appendFitting(b, t.Columns, row)
	return value, whole > MaxRecord
}

// appendFitting also says how many bytes the row would have had uncut.
func appendFitting(b []byte, columns []tables.Column, row []feeds.Value) (value []byte, whole int) {
	from := len(b)
	b = appendRow(b, columns, row)
	whole = len(b) - from
	for most := MaxRecord / 2; len(b)-from > MaxRecord && most > 0; most /= 2 {
		b = appendRow(b[:from], columns, shorten(row, most))
	}
	return b, whole
}

// shorten returns a row whose texts have most bytes and one more, and that has no arrays that are longer.
func shorten(row []feeds.Value, most int) []feeds.Value {
	short := slices.Clone(row)
	for i, v := range short {
		switch {
		case v.Kind() == feeds.String && len(v.Str()) > most:
			short[i] = feeds.StringValue(strings.ToValidUTF8(v.Str()[:most], "") + "~")
		case v.Kind() == feeds.Array && len(v.AppendJSON(nil)) > most:
			short[i] = feeds.NullValue
		}
	}
	return short
}

func appendMember(b []byte, i int, name string, v feeds.Value) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = feeds.AppendQuoted(b, name)
	b = append(b, ':')
	return v.AppendJSON(b)
}
