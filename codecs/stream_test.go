package codecs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

func compileStream(t testing.TB, text string) (*tables.Stream, *feeds.Layout) {
	t.Helper()
	defs, err := tables.CompileDefinitions("test.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := tables.SharedLayout(&defs.Streams[0].Definition)
	if err != nil {
		t.Fatal(err)
	}
	return defs.Streams[0], layout
}

// TestAStreamsRowsReadBack: as they were written, also where a text of theirs looks like a record.
func TestAStreamsRowsReadBack(t *testing.T) {
	for name, c := range map[string]struct{ stream, record, row string }{
		"numbers of any size": {
			`CREATE STREAM s AS SELECT 9223372036854775807 * trans_id AS big, rtt, ts, TTLs, AA, id.orig_h FROM dns`,
			`{"ts":1.5,"trans_id":18446744073709551615,"rtt":0.25,"TTLs":[1.5,60],"AA":true,"id.orig_h":"2001:db8::1"}`,
			`{"big":170141183460469231704017187605319778305,"rtt":0.25,"ts":"1970-01-01T00:00:01.500000Z","TTLs":[1.5,60],"AA":true,"id.orig_h":"2001:db8::1"}`,
		},
		"a text that looks like a record": {
			`CREATE STREAM s AS SELECT message, uid FROM syslog`,
			`{"ts":1.5,"uid":"C1","message":"{\"uid\":\"C2\",\"message\":\"m\"}"}`,
			`{"message":"{\"uid\":\"C2\",\"message\":\"m\"}","uid":"C1"}`,
		},
		"the name of another log": {
			`CREATE STREAM s AS SELECT _path, uid FROM dns`,
			`{"ts":1.5,"uid":"C1","_path":"dns"}`,
			`{"_path":"dns","uid":"C1"}`,
		},
		"nothing": {`CREATE STREAM s AS SELECT uid, answers FROM dns`, `{}`, `{"uid":null,"answers":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, layout := compileStream(t, c.stream)
			p, err := s.NewProjector(layout)
			if err != nil {
				t.Fatal(err)
			}
			var rec feeds.Record
			if err := NewJSON(layout).Decode([]byte(c.record), &rec); err != nil {
				t.Fatal(err)
			}
			var row []byte
			p.Project(&rec, func(_ feeds.Value, values []feeds.Value) bool {
				row, _ = AppendStreamRow(nil, s, values)
				return true
			})
			if diff := cmp.Diff(c.row, string(row)); diff != "" {
				t.Fatalf("row (-want +got):\n%s", diff)
			}
			columns := &feeds.Layout{}
			for _, c := range s.Columns {
				columns.Columns = append(columns.Columns, feeds.Column{Name: c.Name, Type: c.Type})
			}
			var back feeds.Record
			if err := NewJSON(columns).DecodeRow(row, &back); err != nil || back.BadFields > 0 {
				t.Fatalf("%v, %d bad fields", err, back.BadFields)
			}
			if again, _ := AppendStreamRow(nil, s, back.Values); string(again) != c.row {
				t.Errorf("read back it is %s", again)
			}
		})
	}
}

func TestNumericsOfAnySize(t *testing.T) {
	layout := &feeds.Layout{Columns: []feeds.Column{{Name: "n", Type: feeds.T(feeds.Numeric)}}}
	for text, want := range map[string]string{
		"170141183460469231731687303715884105727": "170141183460469231731687303715884105727", "-170141183460469231731687303715884105728": "-170141183460469231731687303715884105728",
		"170141183460469231731687303715884105728": "NULL", "1.5": "NULL", "18446744073709551616.5": "NULL", "-0": "0", "1e3": "1000",
	} {
		var rec feeds.Record
		if err := NewJSON(layout).Decode([]byte(`{"n":`+text+`}`), &rec); err != nil {
			t.Fatal(err)
		}
		if got := rec.Values[0].String(); got != want {
			t.Errorf("%s is read as %s, want %s", text, got, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	if got := string(AppendPlace([]byte("x "), Source{Topic: "a/b.c", Partition: 7}, 1<<40)); got != "x a/b.c/7/1099511627776" {
		t.Errorf("the place is %s", got)
	}
}
