package codecs_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/codecs/codectest"
	"github.com/brotally/brotally/feeds"
)

func TestJSONConforms(t *testing.T) {
	decoder := func(layout *feeds.Layout) codectest.Decoder { return codecs.NewJSON(layout) }
	object := func(columns []feeds.Column, values []feeds.Value) []byte {
		b := []byte("{")
		for i, c := range columns {
			if values[i].IsNull() {
				continue
			}
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(feeds.AppendQuoted(b, c.Name), ':')
			if values[i].Kind() == feeds.Timestamp { // the plugin writes seconds
				b = appendSeconds(b, values[i].Micros())
				continue
			}
			b = values[i].AppendJSON(b)
		}
		return append(b, '}')
	}
	t.Run("plain", func(t *testing.T) { codectest.Run(t, codectest.Codec{New: decoder, Encode: object}) })
	for _, w := range wrappings {
		t.Run(w.name, func(t *testing.T) {
			codectest.Run(t, codectest.Codec{New: decoder, Encode: func(columns []feeds.Column, values []feeds.Value) []byte {
				return w.wrap("test", object(columns, values))
			}})
		})
	}
	t.Run("with nulls and blanks", func(t *testing.T) {
		codectest.Run(t, codectest.Codec{New: decoder, Encode: func(columns []feeds.Column, values []feeds.Value) []byte {
			b := []byte(" {")
			for i, c := range columns {
				b = fmt.Appendf(b, "\n  %q : %s ,", c.Name, values[i].AppendJSON(nil))
			}
			return append(b, "\r\n\t\"last\" : null } "...)
		}})
	})
}

func appendSeconds(b []byte, micros int64) []byte {
	if micros < 0 {
		b, micros = append(b, '-'), -micros
	}
	return fmt.Appendf(b, "%d.%06d", micros/1e6, micros%1e6)
}

func TestTSVConforms(t *testing.T) {
	codectest.Run(t, codectest.Codec{NoEmptyElement: true,
		New: func(layout *feeds.Layout) codectest.Decoder { return fileDecoder{codecs.NewJSON(layout)} },
		Encode: func(columns []feeds.Column, values []feeds.Value) []byte {
			names, types, line := []string{"first"}, []string{"string"}, []string{"x"}
			for i, c := range columns {
				names, types = append(names, c.Name), append(types, zeekType(c.Type))
				line = append(line, tsvText(values[i], false))
			}
			return fmt.Appendf(nil, "#separator \\x09\n#fields\t%s\n#types\t%s\n%s\n", strings.Join(names, "\t"), strings.Join(types, "\t"), strings.Join(line, "\t"))
		},
	})
}

// fileDecoder decodes a log file of one record.
type fileDecoder struct{ *codecs.JSON }

func (d fileDecoder) Decode(file []byte, rec *feeds.Record) error {
	msg, err := codecs.NewLogReader(bytes.NewReader(file)).Next()
	if err != nil {
		return err
	}
	return d.JSON.Decode(msg, rec)
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
		return string(appendSeconds(nil, v.Micros()))
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
