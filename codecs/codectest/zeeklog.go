package codectest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// ZeekLog writes records as Zeek's ASCII writer does: a header of the columns with their Zeek types, a line a record. path may
// be empty. It cannot tell an array of one empty string from the empty array, nor can Zeek.
func ZeekLog(path string, columns []feeds.Column, records [][]feeds.Value) []byte {
	var b bytes.Buffer
	names, types := []string{"#fields"}, []string{"#types"}
	for _, c := range columns {
		names, types = append(names, c.Name), append(types, zeekType(c.Type))
	}
	b.WriteString("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n")
	if path != "" {
		fmt.Fprintf(&b, "#path\t%s\n", path)
	}
	fmt.Fprintf(&b, "%s\n%s\n", strings.Join(names, "\t"), strings.Join(types, "\t"))
	for _, values := range records {
		line := make([]string, len(values))
		for i, v := range values {
			line[i] = tsvText(v, false)
		}
		if first, ok := strings.CutPrefix(line[0], "#"); ok {
			line[0] = `\x23` + first
		}
		b.WriteString(strings.Join(line, "\t") + "\n")
	}
	return b.Bytes()
}

func zeekType(t feeds.Type) string {
	switch t.Kind {
	case feeds.Array:
		return "vector[" + zeekType(feeds.T(t.Elem)) + "]"
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
	}
	return "string"
}

// tsvText writes a value as Zeek does.
func tsvText(v feeds.Value, inArray bool) string {
	switch v.Kind() {
	case feeds.Null:
		return "-"
	case feeds.Bool:
		return strings.ToUpper(v.String()[:1])
	case feeds.Timestamp:
		return string(AppendSeconds(nil, v.Micros()))
	case feeds.Array:
		var elements []string
		for _, e := range v.List() {
			elements = append(elements, tsvText(e, true))
		}
		if len(elements) == 0 {
			return "(empty)"
		}
		return strings.Join(elements, ",")
	case feeds.String:
		s := v.Str()
		switch {
		case s == "":
			return "(empty)"
		case s == "-" || s == "(empty)":
			return fmt.Sprintf(`\x%02x%s`, s[0], s[1:])
		}
		var b strings.Builder
		for i := range len(s) {
			c := s[i]
			switch {
			case c == '\\':
				b.WriteString(`\\`)
			case c < 0x20 || c == 0x7f || inArray && c == ',':
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	return v.String()
}

// AppendSeconds appends a time, in microseconds since the Unix epoch, as Zeek writes it.
func AppendSeconds(b []byte, micros int64) []byte {
	if micros < 0 {
		b, micros = append(b, '-'), -micros
	}
	return fmt.Appendf(b, "%d.%06d", micros/1e6, micros%1e6)
}
