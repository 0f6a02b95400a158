package tables

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/brotally/brotally/feeds"
)

// BenchmarkMemory says what a row of typical tables takes: measured in the heap of stage 2, measured in that of a view, what
// Groups says of itself, which metrics show, and what plan says before. docs/OPERATIONS.md has the figures.
func BenchmarkMemory(b *testing.B) {
	for _, bench := range []struct {
		name   string
		text   string
		rows   int
		values int // records a row; each has another name
	}{
		{"counts", "SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name", 100_000, 1},
		{"seen", "SELECT id.orig_h, registered_domain(query) AS domain, count(*) AS count, min(ts) AS first, max(ts) AS last FROM dns GROUP BY 1, 2", 100_000, 1},
		{"text", "SELECT id.orig_h, qtype_name, count(*) AS count, last(query) AS newest FROM dns GROUP BY id.orig_h, qtype_name", 100_000, 1},
		{"sketch/values=2", "SELECT id.orig_h, approx_count_distinct(query) AS names FROM dns GROUP BY 1", 20_000, 2},
		{"sketch/values=100", "SELECT id.orig_h, approx_count_distinct(query) AS names FROM dns GROUP BY 1", 20_000, 100},
		{"sketch/values=10000", "SELECT id.orig_h, approx_count_distinct(query) AS names FROM dns GROUP BY 1", 500, 10_000},
		{"distinct/values=2", "SELECT id.orig_h, count(DISTINCT query) AS names FROM dns GROUP BY 1", 20_000, 2},
		{"distinct/values=100", "SELECT id.orig_h, count(DISTINCT query) AS names FROM dns GROUP BY 1", 20_000, 100},
		{"distinct/values=10000", "SELECT id.orig_h, count(DISTINCT query) AS names FROM dns GROUP BY 1", 500, 10_000},
	} {
		b.Run(bench.name, func(b *testing.B) {
			all, err := CompileFile("f", "CREATE TABLE t AS "+bench.text, feeds.Lookup)
			if err != nil {
				b.Fatal(err)
			}
			t := all[0]
			for b.Loop() {
				before := heapBytes()
				stage2, rows := fill(b, t, bench.rows, bench.values)
				after := heapBytes()
				views := recoverView(b, t, stage2)
				end := heapBytes()
				estimate := 0
				for _, g := range stage2 {
					estimate += g.Bytes()
				}
				for i := range stage2 {
					if stage2[i].Len() != views[i].Len() {
						b.Fatalf("%d rows in stage 2, %d in the view", stage2[i].Len(), views[i].Len())
					}
				}
				a := func(bytes int, unit string) { b.ReportMetric(float64(bytes)/float64(rows), unit) }
				a(after-before, "B/row-stage2")
				a(end-after, "B/row-view")
				a(estimate, "B/row-estimated")
				b.ReportMetric(float64(part(t, PartGroup)[0].Bytes), "B/row-plan")
				runtime.KeepAlive(stage2)
				runtime.KeepAlive(views)
			}
		})
	}
}

// fill makes rows of records as stage 2 does, in four partitions whose hash tables are differently full.
func fill(b *testing.B, t *Table, rows, values int) (partitions []*Groups, all int) {
	types := []string{"A", "AAAA", "PTR", "TXT"}
	at := map[string]int{}
	for i, in := range t.Inputs {
		at[in.Name] = i
	}
	rec := feeds.Record{Values: make([]feeds.Value, len(t.Inputs))}
	set := func(name string, v feeds.Value) {
		if i, ok := at[name]; ok {
			rec.Values[i] = v
		}
	}
	c, err := t.NewCombiner(&feeds.Layout{Columns: t.Inputs})
	if err != nil {
		b.Fatal(err)
	}
	for p := range 4 {
		g := t.NewGroups()
		u, err := t.NewUpdater(g, NoClock)
		if err != nil {
			b.Fatal(err)
		}
		n := rows * (4 + p) / 4
		for row := range n {
			c.Groups().Reset()
			host := row
			if _, ok := at["qtype_name"]; ok {
				host /= len(types)
			}
			set("id.orig_h", feeds.InetValue(netip.AddrFrom4([4]byte{10, byte(host >> 16), byte(host >> 8), byte(host)})))
			set("qtype_name", feeds.StringValue(types[row%len(types)]))
			set("ts", feeds.TimestampValue(1_700_000_000_000_000+int64(row)))
			for i := range values {
				set("query", feeds.StringValue(fmt.Sprintf("www.site%06d.com", (row+i)%1_000_000)))
				c.Add(&rec)
			}
			for key, state := range c.Groups().All() {
				if _, err := u.Add(key, state, func(Change) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		}
		if g.Len() != n {
			b.Fatalf("%d rows, want %d", g.Len(), n)
		}
		partitions, all = append(partitions, g), all+n
	}
	return partitions, all
}

// recoverView makes a view's rows of the changelog's records.
func recoverView(b *testing.B, t *Table, partitions []*Groups) (views []*Groups) {
	var stored []byte
	for _, g := range partitions {
		v := t.NewGroups()
		for key, state := range g.All() {
			stored = t.AppendRow(stored[:0], state)
			s, _ := v.Upsert([]byte(key))
			if _, err := t.ReadRow(stored, s); err != nil {
				b.Fatal(err)
			}
		}
		views = append(views, v)
	}
	return views
}
