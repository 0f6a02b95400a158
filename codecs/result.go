package codecs

import (
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// AppendResultKey appends the key under which a row lies on the result topic. values are the group columns', in the
// order of the table's columns.
//
// One group column: its plain text; NULL is \N, and a text that begins with a backslash gets one more, so that no two
// values have one key. Several: a compact JSON object of them in their order. None: {}.
func AppendResultKey(b []byte, t *tables.Table, values []feeds.Value) []byte {
	if len(values) == 1 {
		if values[0].IsNull() {
			return append(b, `\N`...)
		}
		at := len(b)
		b = values[0].AppendText(b)
		if len(b) > at && b[at] == '\\' {
			b = append(b, 0)
			copy(b[at+1:], b[at:])
			b[at] = '\\'
		}
		return b
	}
	b = append(b, '{')
	i := 0
	for _, c := range t.Columns {
		if !c.Key {
			continue
		}
		b = appendMember(b, i, c.Name, values[i])
		i++
	}
	return append(b, '}')
}

// AppendResult appends a row as the result topic holds it: one flat JSON object of all columns in the order of SELECT.
// NULL is null, times are RFC 3339 in UTC with microseconds, integers of any size are numbers, intervals are seconds.
func AppendResult(b []byte, t *tables.Table, row []feeds.Value) []byte {
	b = append(b, '{')
	for i, c := range t.Columns {
		b = appendMember(b, i, c.Name, row[i])
	}
	return append(b, '}')
}

func appendMember(b []byte, i int, name string, v feeds.Value) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = feeds.AppendQuoted(b, name)
	b = append(b, ':')
	return v.AppendJSON(b)
}
