package codecs_test

import (
	"bytes"
	"fmt"
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
				b = codectest.AppendSeconds(b, values[i].Micros())
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

func TestTSVConforms(t *testing.T) {
	codectest.Run(t, codectest.Codec{NoEmptyElement: true,
		New: func(layout *feeds.Layout) codectest.Decoder { return fileDecoder{codecs.NewJSON(layout)} },
		Encode: func(columns []feeds.Column, values []feeds.Value) []byte {
			first := feeds.Column{Name: "first", Type: feeds.T(feeds.String)} // a log has a column more than none
			return codectest.ZeekLog("", append([]feeds.Column{first}, columns...), [][]feeds.Value{append([]feeds.Value{feeds.StringValue("#x")}, values...)})
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
