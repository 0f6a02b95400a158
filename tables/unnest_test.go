package tables

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
)

var unnested = &feeds.Feed{Name: "kinds", Columns: []feeds.Column{
	{Name: "id", Type: feeds.T(feeds.Bigint)}, {Name: "xs", Type: feeds.ArrayOf(feeds.String)}, {Name: "ns", Type: feeds.ArrayOf(feeds.Bigint)},
}}

func compileUnnested(t testing.TB, text string) *Combiner {
	all, err := CompileFile("test.sql", text, func(string) (*feeds.Feed, bool) { return unnested, true })
	if err != nil {
		t.Fatal(err)
	}
	c, err := all[0].NewCombiner(&feeds.Layout{Columns: unnested.Columns})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bigints(n int) feeds.Value {
	list := make([]feeds.Value, n)
	for i := range list {
		list[i] = feeds.BigintValue(int64(i))
	}
	return feeds.ArrayValue(list)
}

func TestARecordGivesSoManyRowsAtMost(t *testing.T) {
	c := compileUnnested(t, "CREATE TABLE t AS SELECT unnest(ns) AS n, count(*) FROM kinds GROUP BY n")
	for _, step := range []struct {
		elements int
		outcome  Outcome
		rows     int
		left     int64 // overflows
	}{{0, Filtered, 0, 0}, {3, Counted, 3, 0}, {maxUnnest, Counted, maxUnnest, 0}, {maxUnnest + 1, Counted, maxUnnest, 1}} {
		outcome := c.Add(&feeds.Record{Values: []feeds.Value{feeds.NullValue, feeds.NullValue, bigints(step.elements)}})
		if rows, left := c.Groups().Len(), c.TakeOverflows(); outcome != step.outcome || rows != step.rows || left != step.left {
			t.Errorf("%d elements: outcome %d, %d rows, %d overflows; want %+v", step.elements, outcome, rows, left, step)
		}
		c.Groups().Reset()
	}
	if outcome := c.Add(&feeds.Record{Values: []feeds.Value{feeds.NullValue, feeds.NullValue, feeds.NullValue}}); outcome != Filtered {
		t.Errorf("a record without the array has outcome %d, want it filtered", outcome)
	}
}

// TestWhatIsNotUnnestedIsMadeOnceARecord: a column that is the same in all rows of a record is evaluated, cut and counted once.
func TestWhatIsNotUnnestedIsMadeOnceARecord(t *testing.T) {
	c := compileUnnested(t, "CREATE TABLE t AS SELECT unnest(ns) AS n, xs[1] AS x, 10 / id AS i, unnest(xs) AS e, count(*) FROM kinds GROUP BY xs[1], n, i, e")
	long := strings.Repeat("x", 2000)
	for _, elements := range []int{1, 100, 0} {
		c.Reset()
		rec := &feeds.Record{Values: []feeds.Value{feeds.BigintValue(0), feeds.ArrayValue([]feeds.Value{feeds.StringValue(long)}), bigints(elements)}}
		if elements == 0 {
			rec.Values[1] = feeds.NullValue
		}
		c.Add(rec)
		// The first row's element is long as well, which is a column of its own.
		want := [3]int64{int64(elements), int64(min(elements, 1)) * 2, int64(min(elements, 1))}
		if got := [3]int64{int64(c.Groups().Len()), c.TakeCutKeys(), c.TakeOverflows()}; got != want {
			t.Errorf("%d elements: groups, cut keys and overflows are %v, want %v", elements, got, want)
		}
		for key := range c.Partials() {
			vals, err := readKey(key, 4, nil)
			if err != nil {
				t.Fatal(err)
			}
			if vals[1].Str() != cutString(long).Str() {
				t.Fatalf("a group of %.40v..", vals[1])
			}
		}
	}
}

// TestALongTextIsTakenInOnceARecord: however many rows a record gives, what is long in it is computed and hashed once, and counts
// in each row.
func TestALongTextIsTakenInOnceARecord(t *testing.T) {
	c := compileUnnested(t, "CREATE TABLE t AS SELECT unnest(ns) AS n, count(DISTINCT xs[1]) AS c, count(DISTINCT xs) AS ca, approx_count_distinct(upper(xs[1])) AS a, top_k(xs[1], 1)[1] AS k, max(xs[1]) AS m, sum(length(upper(xs[1]))) AS l, sum(10 / id) AS o, count(*) FILTER (WHERE upper(xs[1]) LIKE 'X%') AS f FROM kinds GROUP BY n")
	overflows := int64(0)
	for _, letter := range []string{"x", "y"} {
		rec := &feeds.Record{Values: []feeds.Value{feeds.BigintValue(0), feeds.ArrayValue([]feeds.Value{feeds.StringValue(strings.Repeat(letter, 900_000))}), bigints(maxUnnest)}}
		c.Add(rec)
		overflows++
	}
	if got := c.TakeOverflows(); got != overflows {
		t.Errorf("%d expressions overflowed, want one a record", got)
	}
	rows := 0
	for key, s := range c.Partials() {
		e := env{}
		if err := c.plan.compute(&e, key, s); err != nil {
			t.Fatal(err)
		}
		v := e.vals[1:]
		if v[0].Int() != 2 || v[1].Int() != 2 || v[2].Int() != 2 || len(v[3].List()) != 1 || len(v[4].Str()) != maxTextBytes || v[5].String() != "1800000" || v[7].Int() != 1 {
			t.Fatalf("a row is %.40v", v)
		}
		rows++
	}
	if rows != maxUnnest {
		t.Errorf("%d rows", rows)
	}
}

func TestUnnestAllocatesNothingOnceTheGroupsExist(t *testing.T) {
	c := compileUnnested(t, "CREATE TABLE t AS SELECT unnest(ns) * 2 AS n, unnest(xs) AS x, count(*), sum(id) FROM kinds GROUP BY n, x")
	rec := &feeds.Record{Values: []feeds.Value{feeds.BigintValue(1), feeds.ArrayValue([]feeds.Value{feeds.StringValue("a"), feeds.NullValue}), bigints(5)}}
	if n := testing.AllocsPerRun(1000, func() { c.Add(rec) }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// A table that unnests has the rows that the records written out one an element would give.
func TestUnnestIsTheRecordsWrittenOut(t *testing.T) {
	const text = "CREATE TABLE t AS SELECT unnest(xs) AS x, unnest(ns) AS n, count(*) AS c, sum(id) AS ids FROM kinds GROUP BY x, n"
	type key struct{ x, n string }
	type row struct{ c, ids int64 }
	rapid.Check(t, func(t *rapid.T) {
		table, err := CompileFile("test.sql", text, func(string) (*feeds.Feed, bool) { return unnested, true })
		if err != nil {
			t.Fatal(err)
		}
		fold, err := NewFold(table[0], &feeds.Layout{Columns: unnested.Columns}, 2)
		if err != nil {
			t.Fatal(err)
		}
		want := map[key]row{}
		for range rapid.IntRange(0, 20).Draw(t, "records") {
			id := rapid.Int64Range(0, 9).Draw(t, "id")
			xs := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "NULL"}), 0, 4).Draw(t, "xs")
			ns := rapid.SliceOfN(rapid.Int64Range(0, 2), 0, 4).Draw(t, "ns")
			rec := feeds.Record{Values: []feeds.Value{feeds.BigintValue(id), {}, {}}}
			var strings, numbers []feeds.Value
			for _, x := range xs {
				v := feeds.NullValue
				if x != "NULL" {
					v = feeds.StringValue(x)
				}
				strings = append(strings, v)
			}
			for _, n := range ns {
				numbers = append(numbers, feeds.BigintValue(n))
			}
			rec.Values[1], rec.Values[2] = feeds.ArrayValue(strings), feeds.ArrayValue(numbers)
			outcome := Filtered
			for i := range max(len(xs), len(ns)) {
				outcome = Counted
				k := key{"NULL", "NULL"}
				if i < len(xs) {
					k.x = xs[i]
				}
				if i < len(ns) {
					k.n = feeds.BigintValue(ns[i]).String()
				}
				r := want[k]
				want[k] = row{r.c + 1, r.ids + id}
			}
			partition := rapid.IntRange(0, 1).Draw(t, "partition")
			if got := fold.Combiner(partition).Add(&rec); got != outcome {
				t.Fatalf("outcome %d, want %d", got, outcome)
			}
			if rapid.Bool().Draw(t, "flush") {
				if err := fold.Flush(partition); err != nil {
					t.Fatal(err)
				}
			}
		}
		rows, err := fold.Rows()
		if err != nil {
			t.Fatal(err)
		}
		got := map[key]row{}
		for _, r := range rows {
			ids, _ := r[3].Int128().Int64()
			got[key{r[0].String(), r[1].String()}] = row{r[2].Int(), ids}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
			t.Fatal(diff)
		}
	})
}
