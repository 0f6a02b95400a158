package codecs

import (
	"fmt"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// benchGroups is how many groups the benchmarks' packs hold: what an interval brings to one partition.
const benchGroups = 1000

// notebookGroups returns the notebook's table with that many groups.
func notebookGroups(b *testing.B) (*tables.Table, *tables.Groups) {
	b.Helper()
	table := compile(b, "CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name")
	layout, err := tables.LayoutOf(table)
	if err != nil {
		b.Fatal(err)
	}
	combiner, err := table.NewCombiner(layout)
	if err != nil {
		b.Fatal(err)
	}
	decoder := NewJSON(layout)
	var rec feeds.Record
	for i := range benchGroups {
		msg := fmt.Sprintf(`{"id.orig_h":"10.0.%d.%d","qtype_name":"AAAA"}`, i>>8, i&255)
		if err := decoder.Decode([]byte(msg), &rec); err != nil {
			b.Fatal(err)
		}
		combiner.Add(&rec)
	}
	if n := combiner.Groups().Len(); n != benchGroups {
		b.Fatalf("%d groups, want %d", n, benchGroups)
	}
	return table, combiner.Groups()
}

// perGroup reports the time of one group, where an iteration is all of them.
func perGroup(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchGroups, "ns/group")
}

// BenchmarkPack is the way of partials from stage 1 to stage 2: written into a pack, read and merged.
func BenchmarkPack(b *testing.B) {
	table, groups := notebookGroups(b)
	write := func(out []byte) []byte {
		for key, s := range groups.All() {
			out = AppendPartial(out, table, key, s)
		}
		return out
	}
	b.Run("write", func(b *testing.B) {
		var partials, pack []byte
		b.ReportAllocs()
		for b.Loop() {
			partials = write(partials[:0])
			pack = (Pack{Source: Source{Topic: "dns"}, Partials: partials}).Append(pack[:0])
		}
		b.SetBytes(int64(len(pack)))
		perGroup(b)
	})
	b.Run("merge", func(b *testing.B) {
		msg := (Pack{Source: Source{Topic: "dns"}, Partials: write(nil)}).Append(nil)
		into, scratch := table.NewGroups(), table.NewState()
		b.ReportAllocs()
		b.SetBytes(int64(len(msg)))
		for b.Loop() {
			pack, err := ReadPack(msg)
			if err == nil {
				err = MergePartials(pack.Partials, table, into, scratch, tables.NoClock, nil)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		perGroup(b)
	})
}

// BenchmarkRow is a row of the changelog: written by stage 2, read by a recovery and by views.
func BenchmarkRow(b *testing.B) {
	table, groups := notebookGroups(b)
	var state tables.State
	for _, s := range groups.All() {
		state = s
		break
	}
	row := AppendRow(nil, table, state)
	b.Run("write", func(b *testing.B) {
		out := make([]byte, 0, 64)
		b.ReportAllocs()
		for b.Loop() {
			out = AppendRow(out[:0], table, state)
		}
	})
	b.Run("read", func(b *testing.B) {
		into := table.NewState()
		b.ReportAllocs()
		for b.Loop() {
			if err := ReadRow(row, table, into); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkResult is a record of the result topic in JSON, from the binary key and the state on.
func BenchmarkResult(b *testing.B) {
	table, groups := notebookGroups(b)
	var (
		keys, row []feeds.Value
		err       error
	)
	out := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		for key, s := range groups.All() {
			if keys, err = table.KeyValues(key, keys); err != nil {
				b.Fatal(err)
			}
			if row, err = table.Row(key, s, row); err != nil {
				b.Fatal(err)
			}
			out = AppendResultKey(out[:0], table, keys)
			out, _ = AppendFitting(out, table, row)
		}
	}
	perGroup(b)
}
