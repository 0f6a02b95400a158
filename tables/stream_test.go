package tables

import (
	"testing"

	"github.com/brotally/brotally/feeds"
)

func mustStream(t testing.TB, text string) (*Projector, *feeds.Layout) {
	t.Helper()
	defs, err := CompileDefinitions("test.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := SharedLayout(&defs.Streams[0].Definition)
	if err != nil {
		t.Fatal(err)
	}
	p, err := defs.Streams[0].NewProjector(layout)
	if err != nil {
		t.Fatal(err)
	}
	return p, layout
}

// streamed is a record of the layout: text in each string column, two elements in each array.
func streamed(layout *feeds.Layout) *feeds.Record {
	rec := &feeds.Record{}
	for _, c := range layout.Columns {
		v := feeds.NullValue
		switch c.Type {
		case feeds.T(feeds.String):
			v = feeds.StringValue("www.example.com")
		case feeds.T(feeds.Timestamp):
			v = feeds.TimestampValue(1_700_000_000_000_000)
		case feeds.T(feeds.Ubigint):
			v = feeds.UbigintValue(3)
		case feeds.ArrayOf(feeds.String):
			v = feeds.ArrayValue([]feeds.Value{feeds.StringValue("192.0.2.1"), feeds.StringValue("192.0.2.2")})
		}
		rec.Values = append(rec.Values, v)
	}
	return rec
}

const (
	projected         = "CREATE STREAM s AS SELECT ts, uid, id.orig_h, query, rcode + 1 AS next FROM dns WHERE rcode = 3"
	projectedUnnested = "CREATE STREAM s WITH (key = query) AS SELECT ts, query, unnest(answers) AS answer FROM dns WHERE query LIKE '%.com'"
)

func TestProjectAllocatesNothing(t *testing.T) {
	for text, want := range map[string]int{projected: 1, projectedUnnested: 2} {
		p, layout := mustStream(t, text)
		rec, rows := streamed(layout), 0
		emit := func(feeds.Value, []feeds.Value) bool { rows++; return true }
		const runs = 1000
		if n := testing.AllocsPerRun(runs, func() {
			if p.Project(rec, emit) != Counted {
				t.Fatal("the record was filtered")
			}
		}); n != 0 || rows != want*(runs+1) {
			t.Errorf("%v allocations and %d rows for %d records: %s", n, rows, runs, text)
		}
	}
}

// Rows that are not taken end the record, and count once.
func TestRowsThatAreNotTaken(t *testing.T) {
	p, layout := mustStream(t, projectedUnnested)
	rec := streamed(layout)
	for taken, overflows := range map[int]int64{1: 1, 2: 0} {
		left := taken
		outcome := p.Project(rec, func(feeds.Value, []feeds.Value) bool { left--; return left > 0 })
		if n := p.TakeOverflows(); outcome != Counted || n != overflows || left != 0 {
			t.Errorf("%d of two rows taken: outcome %d, %d overflows, want %d", taken, outcome, n, overflows)
		}
	}
}

func BenchmarkProject(b *testing.B) {
	for name, text := range map[string]string{"where and five columns": projected, "two rows": projectedUnnested} {
		b.Run(name, func(b *testing.B) {
			p, layout := mustStream(b, text)
			rec := streamed(layout)
			emit := func(feeds.Value, []feeds.Value) bool { return true }
			b.ReportAllocs()
			for b.Loop() {
				p.Project(rec, emit)
			}
		})
	}
}
