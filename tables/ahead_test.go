package tables_test

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// TestAheadLeavesTheAnswerAsItIs: what is passed over would not have been in the answer, and of much data much is passed over.
func TestAheadLeavesTheAnswerAsItIs(t *testing.T) {
	all, err := tables.CompileFile("t.sql", `CREATE TABLE t WITH (feed_topic = 'x') AS
		SELECT query AS q, qtype AS k, count(*) AS n, max(rtt) AS m, count(*) * 2 AS twice, approx_count_distinct(query) AS d FROM dns GROUP BY query, qtype MAX GROUPS 400`, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	table := all[0]
	layout, err := tables.LayoutOf(table)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		combiner, err := table.NewCombiner(layout)
		if err != nil {
			t.Fatal(err)
		}
		few := rapid.IntRange(1, 30)
		rec := feeds.Record{Values: make([]feeds.Value, len(layout.Columns))}
		for range rapid.IntRange(0, 300).Draw(t, "records") {
			for i, c := range layout.Columns {
				n := few.Draw(t, c.Name)
				switch {
				case n == 1:
					rec.Values[i] = feeds.NullValue
				case c.Name == "query":
					rec.Values[i] = feeds.StringValue(strings.Repeat("x", n%7) + string(rune('a'+n)))
				case c.Name == "qtype":
					rec.Values[i] = feeds.BigintValue(int64(n % 5))
				default:
					rec.Values[i] = feeds.IntervalValue(float64(n % 9))
				}
			}
			combiner.Add(&rec)
		}
		order := rapid.Permutation([]string{"q", "k", "n", "m", "twice", "d", "n + k", "-m"}).Draw(t, "order")
		order = order[:rapid.IntRange(1, len(order)).Draw(t, "columns")]
		for i := range order {
			order[i] += rapid.SampledFrom([]string{"", " DESC", " NULLS FIRST", " DESC NULLS LAST"}).Draw(t, "how")
		}
		text := rapid.SampledFrom([]string{"SELECT *", "SELECT DISTINCT q, k, n, m, twice, d, n + k, -m", "SELECT m, q"}).Draw(t, "what") + " FROM t" +
			rapid.SampledFrom([]string{"", " WHERE n > 1", " WHERE m IS NOT NULL OR k = 2"}).Draw(t, "where") +
			" ORDER BY " + strings.Join(order, ", ") + " LIMIT " + rapid.SampledFrom([]string{"0", "1", "5", "1000"}).Draw(t, "limit") + " OFFSET " + rapid.SampledFrom([]string{"0", "3"}).Draw(t, "offset")
		stmt, err := sql.ParseStatement("", text)
		if err != nil {
			t.Fatal(err)
		}
		look, err := tables.CompileSelect(stmt.(*sql.Select), table)
		if err != nil {
			t.Fatal(text, err)
		}
		read := func(ahead *tables.Ahead) iter.Seq[[]feeds.Value] {
			return func(yield func([]feeds.Value) bool) {
				for key, state := range combiner.Groups().All() {
					if ahead != nil && ahead.Passes(key, state) {
						passed++
						continue
					}
					row, err := table.MarkedRow(key, state, nil)
					if err != nil {
						t.Fatal(err)
					}
					if !yield(row) {
						return
					}
				}
			}
		}
		want, err := look.Run(read(nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := look.RunWithin(read, nil, tables.Within{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(want.Values, got.Values, func(a, b []feeds.Value) bool { return show1Row(a) == show1Row(b) }) {
			t.Fatalf("%s: %v, want %v", text, got.Values, want.Values)
		}
	})
	if passed == 0 {
		t.Error("nothing was passed over")
	}
}

func show1Row(row []feeds.Value) string { return show([][]feeds.Value{row}) }
