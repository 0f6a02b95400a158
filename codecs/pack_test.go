package codecs

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// manyKinds has a state of every kind of word and text.
const manyKinds = `CREATE TABLE t AS SELECT query, id.orig_h, count(*) AS n, sum(qtype) AS s, avg(rtt) AS a, min(ts) AS first, max(uid) AS u, min(id.resp_h) AS r, count(DISTINCT uid) AS d, last(uid) AS l FROM dns GROUP BY query, id.orig_h`

func sources(t *rapid.T) Source {
	return Source{Topic: rapid.StringMatching(`[a-z./0-9]{0,20}`).Draw(t, "topic"), Partition: rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition")}
}

func progresses(t *rapid.T) (p Progress) {
	p.Upto, p.NewestTime, p.WallTime = rapid.Int64().Draw(t, "upto"), rapid.Int64().Draw(t, "newest"), rapid.Int64().Draw(t, "wall")
	for i, f := range p.Counts.fields() {
		*f = rapid.Int64().Draw(t, fmt.Sprint("count ", i))
	}
	return p
}

// randomGroups returns groups of random records, as a combiner makes them.
func randomGroups(t *rapid.T, table *tables.Table) *tables.Groups {
	layout, err := tables.LayoutOf(table)
	if err != nil {
		t.Fatal(err)
	}
	c, err := table.NewCombiner(layout)
	if err != nil {
		t.Fatal(err)
	}
	decoder := NewJSON(layout)
	var rec feeds.Record
	for range rapid.IntRange(0, 12).Draw(t, "records") {
		value := fmt.Sprintf(`{"query": %q, "id.orig_h": "10.0.0.%d", "qtype": %d, "rtt": %g, "ts": %d.25, "uid": %q, "id.resp_h": "2001:db8::%d"}`,
			rapid.SampledFrom([]string{"a", "b", "", strings.Repeat("x", 1500)}).Draw(t, "query"), rapid.IntRange(0, 2).Draw(t, "host"), rapid.Uint32().Draw(t, "qtype"),
			rapid.Float64Range(0, 1e9).Draw(t, "rtt"), rapid.IntRange(-9e8, 9e8).Draw(t, "ts"), rapid.StringMatching(`[a-zA-Z]{0,9}`).Draw(t, "uid"), rapid.IntRange(1, 9).Draw(t, "server"))
		if err := decoder.Decode([]byte(value), &rec); err != nil {
			t.Fatal(err)
		}
		c.Add(&rec)
	}
	return c.Groups()
}

// flat writes groups down, by key.
func flat(t *rapid.T, table *tables.Table, g *tables.Groups) map[string]string {
	all := map[string]string{}
	for key, s := range g.All() {
		row, err := table.Row(key, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		all[key] = string(AppendResult(nil, table, row))
	}
	return all
}

func TestPacksReadBack(t *testing.T) {
	table := compile(t, manyKinds)
	rapid.Check(t, func(t *rapid.T) {
		groups := randomGroups(t, table)
		want := Pack{Source: sources(t)}
		if rapid.Bool().Draw(t, "last") {
			p := progresses(t)
			want.From, want.Progress = rapid.Int64().Draw(t, "from"), &p
		}
		for key, s := range groups.All() {
			want.Partials = AppendPartial(want.Partials, table, key, s)
		}
		got, err := ReadPack(want.Append([]byte("before"))[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("", func(b []byte) string { return string(b) })); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		read := table.NewGroups()
		if err := MergePartials(got.Partials, table, read, table.NewState(), tables.NoClock, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(flat(t, table, groups), flat(t, table, read)); diff != "" {
			t.Fatalf("partials (-want +got):\n%s", diff)
		}
	})
}

// TestPacksAddUp: two packs of the same groups are twice the records.
func TestPacksAddUp(t *testing.T) {
	table := compile(t, `CREATE TABLE t AS SELECT query, count(*) AS n FROM dns GROUP BY query`)
	rapid.Check(t, func(t *rapid.T) {
		groups := randomGroupsOf(t, table)
		var partials []byte
		for key, s := range groups.All() {
			partials = AppendPartial(partials, table, key, s)
		}
		twice := table.NewGroups()
		for range 2 {
			if err := MergePartials(partials, table, twice, table.NewState(), tables.NoClock, nil); err != nil {
				t.Fatal(err)
			}
		}
		for key, s := range groups.All() {
			table.Merge(s, s)
			got, ok := twice.Get([]byte(key))
			if !ok || string(AppendRow(nil, table, got)) != string(AppendRow(nil, table, s)) {
				t.Fatalf("group %q is %v, want %v", key, got, s)
			}
		}
	})
}

func randomGroupsOf(t *rapid.T, table *tables.Table) *tables.Groups {
	c, err := table.NewCombiner(&feeds.Layout{Columns: table.Inputs})
	if err != nil {
		t.Fatal(err)
	}
	for range rapid.IntRange(0, 30).Draw(t, "records") {
		c.Add(&feeds.Record{Values: []feeds.Value{feeds.StringValue(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "query"))}})
	}
	return c.Groups()
}

// TestPacksThatAreCut are errors at every length but the few at which a shorter pack ends as well.
func TestPacksThatAreCut(t *testing.T) {
	table := compile(t, manyKinds)
	c, err := table.NewCombiner(&feeds.Layout{Columns: table.Inputs})
	if err != nil {
		t.Fatal(err)
	}
	c.Add(&feeds.Record{Values: make([]feeds.Value, len(table.Inputs))})
	pack := Pack{Source: Source{Topic: "dns", Partition: 300}, From: 7, Progress: &Progress{Upto: 1 << 40}}
	bare := len(pack.Append(nil))
	for key, s := range c.Groups().All() {
		pack.Partials = AppendPartial(pack.Partials, table, key, s)
	}
	whole := pack.Append(nil)
	for n := range whole {
		p, err := ReadPack(whole[:n])
		if err == nil {
			err = MergePartials(p.Partials, table, table.NewGroups(), table.NewState(), tables.NoClock, nil)
		}
		if (err == nil) != (n == bare) {
			t.Errorf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := ReadPack(append([]byte{packVersion + 1}, whole[1:]...)); err == nil || !strings.Contains(err.Error(), "update it") {
		t.Errorf("a newer version: %v", err)
	}
}

// FuzzReadPack reads packs of whoever may write to the partials topic: no panic, and no more memory than the bytes explain.
func FuzzReadPack(f *testing.F) {
	table := compile(f, manyKinds)
	f.Add(Pack{Source: Source{Topic: "dns", Partition: 1}, Partials: AppendPartial(nil, table, "\x01", table.NewState())}.Append(nil))
	f.Add(Pack{Source: Source{Topic: "dns"}, From: 3, Progress: &Progress{Upto: 9, NewestTime: NoTime, Counts: Counts{Read: 6, Counted: 6}}}.Append(nil))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPack(b)
		if err != nil {
			return
		}
		if again, err := ReadPack(p.Append(nil)); err != nil || again.Source != p.Source || again.From != p.From || (again.Progress == nil) != (p.Progress == nil) || string(again.Partials) != string(p.Partials) {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
		groups := table.NewGroups()
		if err := MergePartials(p.Partials, table, groups, table.NewState(), tables.NoClock, nil); err != nil {
			return
		}
		held := 0
		for key := range groups.All() {
			held += len(key) + 1
		}
		if held > len(p.Partials) {
			t.Errorf("%d bytes of keys out of %d bytes", held, len(p.Partials))
		}
	})
}
