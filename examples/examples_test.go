package examples_test

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/examples"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/traffic"
	"github.com/brotally/brotally/tables"
)

// compile returns the standing tables by name.
func compile(t *testing.T) map[string]*tables.Table {
	t.Helper()
	names, err := fs.Glob(examples.Tables, "tables/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*tables.Table{}
	for _, name := range names {
		text, err := fs.ReadFile(examples.Tables, name)
		if err != nil {
			t.Fatal(err)
		}
		defined, err := tables.CompileFile(name, string(text), feeds.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(path.Base(name), ".sql"); len(defined) != 1 || defined[0].Name != want {
			t.Fatalf("%s defines %d tables, want one called %s", name, len(defined), want)
		}
		comment, _, _ := strings.Cut(string(text), "\n")
		if !strings.HasPrefix(comment, "-- ") || !strings.HasSuffix(comment, ".") {
			t.Errorf("%s does not begin with a comment of one line that says what it answers", name)
		}
		all[defined[0].Name] = defined[0]
	}
	return all
}

// TestTablesOverTraffic counts the demo's traffic with each table: all records of its feed are in it, and the notebook's
// table is what the generator says it must be.
func TestTablesOverTraffic(t *testing.T) {
	const messages = 60_000
	n, err := traffic.New(traffic.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	type counting struct {
		fold    *tables.Fold
		decoder *codecs.JSON
		rec     feeds.Record
	}
	byFeed := map[string][]*counting{}
	byName := map[string]*counting{}
	all := compile(t)
	for name, table := range all {
		layout, err := tables.LayoutOf(table)
		if err != nil {
			t.Fatal(err)
		}
		fold, err := tables.NewFold(table, layout, 4)
		if err != nil {
			t.Fatal(err)
		}
		c := &counting{fold: fold, decoder: codecs.NewJSON(layout)}
		byFeed[table.Feed.Name] = append(byFeed[table.Feed.Name], c)
		byName[name] = c
	}
	var tally traffic.Tally
	for i := range messages {
		m := n.Next()
		tally.Add(m)
		for _, c := range byFeed[m.Feed] {
			if err := c.decoder.Decode(m.Value, &c.rec); err != nil || c.rec.BadFields > 0 {
				t.Fatalf("%v, %d bad fields: %s", err, c.rec.BadFields, m.Value)
			}
			c.fold.Combiner(i % 4).Add(&c.rec)
		}
	}
	for name, table := range all {
		rows, err := byName[name].fold.Rows()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) < 3 {
			t.Errorf("%s has only %d rows", name, len(rows))
		}
		at := map[string]int{}
		for i, c := range table.Columns {
			at[c.Name] = i
		}
		count, ok := at["count"]
		if !ok {
			count = at["conns"]
		}
		var counted int64
		for _, row := range rows {
			counted += row[count].Int()
		}
		if sent := tally.Sent(table.Feed.Name); counted != sent {
			t.Errorf("%s counts %d records, %d were sent", name, counted, sent)
		}
	}

	rows, err := byName["dns_counts"].fold.Rows()
	if err != nil {
		t.Fatal(err)
	}
	got := map[traffic.DNSCount]bool{}
	for _, row := range rows {
		c := traffic.DNSCount{OrigH: row[0].Addr().String(), Null: row[1].IsNull(), Count: row[2].Int()}
		if !c.Null {
			c.QtypeName = row[1].Str()
		}
		got[c] = true
	}
	want := map[traffic.DNSCount]bool{}
	for _, c := range tally.DNSCounts() {
		want[c] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dns_counts differs from the generator's tally (-tally +table):\n%.2000s", diff)
	}
}

// TestStreamsOverTraffic writes the demo's traffic into each stream: some records of its feed are in it, and no more than a
// demo that is left alone can keep.
func TestStreamsOverTraffic(t *testing.T) {
	const messages = 60_000
	names, err := fs.Glob(examples.Streams, "streams/*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d streams, %v", len(names), err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(examples.Streams, name)
		if err != nil {
			t.Fatal(err)
		}
		defs, err := tables.CompileDefinitions(name, string(text), feeds.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(path.Base(name), ".sql"); len(defs.All()) != 1 || len(defs.Streams) != 1 || defs.Streams[0].Name != want {
			t.Fatalf("%s does not define one stream called %s", name, want)
		}
		s := defs.Streams[0]
		layout, err := tables.SharedLayout(&s.Definition)
		if err != nil {
			t.Fatal(err)
		}
		projector, err := s.NewProjector(layout)
		if err != nil {
			t.Fatal(err)
		}
		decoder, rec := codecs.NewJSON(layout), feeds.Record{}
		n, err := traffic.New(traffic.Config{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		rows, empty := 0, make([]int, len(s.Columns))
		for range messages {
			m := n.Next()
			if m.Feed != s.Feed.Name {
				continue
			}
			if err := decoder.Decode(m.Value, &rec); err != nil || rec.BadFields > 0 {
				t.Fatalf("%v, %d bad fields: %s", err, rec.BadFields, m.Value)
			}
			projector.Project(&rec, func(_ feeds.Value, row []feeds.Value) bool {
				rows++
				for i, v := range row {
					if v.IsNull() {
						empty[i]++
					}
				}
				return true
			})
		}
		if rows == 0 || rows > messages/500 {
			t.Errorf("%s has %d of %d records", s.Name, rows, messages)
		}
		for i, c := range s.Columns {
			if empty[i] == rows {
				t.Errorf("%s: %s is never there", s.Name, c.Name)
			}
		}
	}
}
