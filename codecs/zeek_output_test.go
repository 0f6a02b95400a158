package codecs

import (
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
)

// TestLogsOfOursAreReadAsTheyWereWritten: what package output writes as Zeek's log is the same when it is read as one, whatever it holds.
func TestLogsOfOursAreReadAsTheyWereWritten(t *testing.T) {
	texts := []string{"", "-", "(empty)", "#fields", "a\tb\nc", `C:\x07`, `\`, `\\`, "a,b", "ünï", "\u202e", "x\x00"}
	cols := []output.Column{{Name: "s", Type: feeds.T(feeds.String)}, {Name: "l", Type: feeds.ArrayOf(feeds.String)}, {Name: "t", Type: feeds.T(feeds.Timestamp)}, {Name: "n", Type: feeds.T(feeds.Ubigint)}}
	var b strings.Builder
	w, err := output.New(&b, output.Zeek, output.Options{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Header(cols); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		list := feeds.ArrayValue([]feeds.Value{feeds.StringValue(text), feeds.StringValue("y")})
		if err := w.Row([]feeds.Value{feeds.StringValue(text), list, feeds.TimestampValue(int64(i)*1_500_000 - 1), feeds.UbigintValue(uint64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	log := NewLogReader(strings.NewReader(b.String()))
	layout := &feeds.Layout{}
	for _, c := range cols {
		layout.Columns = append(layout.Columns, feeds.Column{Name: c.Name, Type: c.Type})
	}
	d := NewJSON(layout)
	for i, text := range texts {
		msg, err := log.Next()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var rec feeds.Record
		if err := d.Decode(msg, &rec); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if text == "x\x00" {
			text = `x\x00` // the reader leaves what is no text as it is written
		}
		if rec.BadFields != 0 || rec.Values[0].Str() != text || len(rec.Values[1].List()) != 2 || rec.Values[1].List()[0].Str() != text ||
			rec.Values[2].Micros() != int64(i)*1_500_000-1 || rec.Values[3].Uint() != uint64(i) {
			t.Errorf("%q is read as %v (%s)", text, rec.Values, msg)
		}
	}
	if log.Path() != "mine" {
		t.Errorf("the path is %q", log.Path())
	}
}
