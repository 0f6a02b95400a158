package tables

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// FuzzCompile compiles any text as tables and as look-ups and computes what compiles over a few records: nothing panics,
// errors have a place, and what is computed in pieces equals what is computed at once.
func FuzzCompile(f *testing.F) {
	for _, file := range []string{"testdata/expressions.test", "testdata/functions.test", "testdata/lookups.test"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			switch {
			case strings.Contains(line, "  =>  "):
				expr, _, _ := strings.Cut(line, "  =>  ")
				f.Add("SELECT " + strings.ReplaceAll(expr, "id.orig_h", "ip") + " FROM kinds")
			case strings.HasPrefix(line, "SELECT"):
				f.Add(line)
			}
		}
	}
	f.Add("SELECT g, count(*) AS c, sum(i) + max(d) AS x, min(s) AS s FROM kinds WHERE NOT b GROUP BY g ORDER BY c DESC LIMIT 3")
	f.Add("SELECT h, avg(n) FILTER (WHERE iv > '1 hour'), extract(epoch FROM max(ts)) FROM kinds GROUP BY 1")
	f.Add("SELECT g, top_k(s, 3), array_agg(DISTINCT ip), approx_percentile(d, 0.5) FILTER (WHERE b), approx_count_distinct(net), stddev(iv), bool_or(b) FROM kinds GROUP BY g")
	f.Add("CREATE TABLE t AS SELECT mask(ip, 16) AS m, date_trunc('hour', ts) AS h, CASE WHEN b THEN s END AS c, count(*) AS n FROM kinds WHERE s = NULL AND is_private(ip) GROUP BY m, h, c")
	f.Add("CREATE TABLE t WITH (start = '-7 days') AS SELECT lower(s) AS l, CAST(x AS double), count(*) FROM kinds GROUP BY l, x")
	records := []*feeds.Record{}
	for seed := range 8 {
		records = append(records, &feeds.Record{})
		for _, c := range kinds.Columns {
			records[seed].Values = append(records[seed].Values, genValue(c.Type.Kind).Example(seed))
		}
	}
	resolve := func(name string) (*feeds.Feed, bool) { return kinds, true }
	f.Fuzz(func(t *testing.T, text string) {
		stmts, err := sql.Parse("f", text)
		if err != nil {
			return
		}
		check := func(err error) {
			var e *sql.Error
			if !errors.As(err, &e) || e.Line < 1 {
				t.Fatalf("%s\n%T without a place: %v", text, err, err)
			}
		}
		for _, stmt := range stmts {
			switch s := stmt.(type) {
			case *sql.CreateTable:
				table, err := Compile(s, resolve)
				if err != nil {
					check(err)
					continue
				}
				fuzzTable(t, table, records)
			case *sql.Select:
				if table, look, err := CompileQuery("t_", s, resolve); err != nil {
					check(err)
				} else {
					_, _ = look.Point(nil)
					_ = look.Explain(1)
					fuzzTable(t, table, records)
				}
				look, err := CompileScan(s, kinds)
				if err != nil {
					check(err)
					continue
				}
				_ = look.Explain(-1)
				_, _ = look.Run(func(yield func([]feeds.Value) bool) {
					for _, rec := range records {
						if !yield(valuesOf(rec, look.Inputs)) {
							return
						}
					}
				}, make([]feeds.Value, look.Params()))
			}
		}
	})
}

// valuesOf picks the columns out of a record of kinds; the others are NULL.
func valuesOf(rec *feeds.Record, columns []feeds.Column) []feeds.Value {
	out := make([]feeds.Value, len(columns))
	for i, c := range columns {
		if at, ok := kinds.Column(c.Name); ok {
			out[i] = rec.Values[at]
		}
	}
	return out
}

func fuzzTable(t *testing.T, table *Table, records []*feeds.Record) {
	_, _ = table.describeKey(), table.warnings(1) // filling sketches, as Describe does, would take the time of a thousand others
	layout, err := LayoutOf(table)
	if err != nil {
		t.Fatal(err)
	}
	fold := func(flush bool) [][]feeds.Value {
		f, err := NewFold(table, layout, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			f.Combiner(0).Add(&feeds.Record{Values: valuesOf(rec, layout.Columns)})
			if flush {
				if err := f.Flush(0); err != nil {
					t.Fatal(err)
				}
			}
		}
		rows, err := f.Rows()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if a, b := fold(false), fold(true); len(a) != len(b) {
		t.Fatalf("%s\n%d rows at once, %d in pieces", table.SQL, len(a), len(b))
	}
	again, err := sql.ParseStatement("f", table.SQL)
	if err != nil {
		t.Fatalf("%s\ndoes not parse: %v", table.SQL, err)
	}
	second, err := Compile(again.(*sql.CreateTable), func(string) (*feeds.Feed, bool) { return kinds, true })
	if err != nil {
		t.Fatalf("the canonical text does not compile: %v", err)
	}
	if second.SQL != table.SQL || len(second.Columns) != len(table.Columns) {
		t.Fatalf("%s\nbecomes\n%s", table.SQL, second.SQL)
	}
}

// FuzzReadState reads any bytes as a state: it never panics, and what it accepts is written as the same state.
func FuzzReadState(f *testing.F) {
	table := exactAggregates(f)
	double := mustCompile(f, "CREATE TABLE t AS SELECT sum(d) AS s, avg(iv) AS a, min(s) AS m, stddev(d) AS dd, top_k(net, 5) AS tn FROM kinds")
	f.Add([]byte{})
	for seed := range 4 {
		records := genRecords().Example(seed)
		f.Add(table.AppendState(nil, stateOf(table, records)))
		f.Add(double.AppendState(nil, stateOf(double, records)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, table := range []*Table{table, double} {
			s := table.NewState()
			if _, err := table.ReadState(b, s); err != nil {
				continue
			}
			once := table.AppendState(nil, s)
			again := table.NewState()
			if rest, err := table.ReadState(once, again); err != nil || len(rest) > 0 {
				t.Fatalf("%x was read, but not what it is written as, %x: %v", b, once, err)
			}
			if twice := table.AppendState(nil, again); string(twice) != string(once) {
				t.Fatalf("%x is written as %x and that as %x", b, once, twice)
			}
			if _, err := table.Row("", s, nil); err == nil && len(table.keys) > 0 {
				t.Fatal("an empty key was read")
			}
		}
	})
}
