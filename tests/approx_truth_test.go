package tests

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/tables"
)

// stated are the errors that docs/SQL.md states, relative, by estimated column: a percentile is within 1/129; a count of
// different values has a standard error of 0.81 %, of which four are allowed.
var stated = map[string]float64{
	"p50_disc": 1. / 129, "p90_disc": 1. / 129, "p95_disc": 1. / 129, "p99_disc": 1. / 129, "min_duration": 1e-9, "max_duration": 1e-9,
	"distinct_query": 4 * 0.0081, "distinct_orig": 4 * 0.0081, "distinct_resp_h": 4 * 0.0081, "distinct_resp_p": 4 * 0.0081, "distinct_uid": 4 * 0.0081,
}

// TestApproximateTruth compares estimates with DuckDB's exact answers and prints how far they are off. Percentiles and
// counts must be the same however the records are flushed.
func TestApproximateTruth(t *testing.T) {
	dir := testdata.Dir(t)
	const file = "testdata/truth_approx.sql"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := tables.CompileFile(file, string(text), feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, source := range []string{"m57", "zat", "zat_json"} {
		for _, q := range all {
			csv := filepath.Join(dir, "truth", source, q.Name+".csv")
			if _, err := os.Stat(csv); err != nil {
				t.Fatal(err)
			}
			want := readCSV(t, csv)
			for _, logs := range logsOf(t, filepath.Join(dir, "logs"), source, q.Feed.Name) {
				for _, batch := range []int{1, 7, 0} {
					rows := foldLogs(t, logs, []*tables.Table{q}, batch)[0]
					if q.Name == "k01_dns_topk_query" {
						compareTop(t, source, logs, q, rows[0])
					} else {
						compareEstimates(t, source, q, rows, want, batch == 0)
					}
					compared++
				}
			}
		}
	}
	t.Logf("%d comparisons of %d queries", compared, len(all))
}

// compareEstimates compares rows with those of the CSV that have the same group columns.
func compareEstimates(t *testing.T, source string, q *tables.Table, rows [][]feeds.Value, want [][]string, report bool) {
	t.Helper()
	places := make([]int, len(q.Columns))
	for i, c := range q.Columns {
		if places[i] = slices.Index(want[0], c.Name); places[i] < 0 {
			t.Fatalf("%s: no column %s in %v", q.Name, c.Name, want[0])
		}
	}
	if len(rows) != len(want)-1 {
		t.Errorf("%s %s: %d rows, want %d", source, q.Name, len(rows), len(want)-1)
	}
	worst := map[string]float64{}
	for _, row := range texts(rows) {
		at := slices.IndexFunc(want[1:], func(w []string) bool {
			for i, c := range q.Columns {
				if c.Key && row[i] != w[places[i]] {
					return false
				}
			}
			return true
		})
		if at < 0 {
			t.Errorf("%s %s: no row %v", source, q.Name, row)
			continue
		}
		for i, c := range q.Columns {
			truth := want[1+at][places[i]]
			bound, estimated := stated[c.Name]
			if !estimated || row[i] == `\N` || truth == `\N` {
				if row[i] != truth {
					t.Errorf("%s %s: %s is %s, want %s", source, q.Name, c.Name, row[i], truth)
				}
				continue
			}
			got, _ := strconv.ParseFloat(row[i], 64)
			exact, _ := strconv.ParseFloat(truth, 64)
			off := 0.0
			if got != exact {
				off = math.Abs(got-exact) / math.Abs(exact)
			}
			worst[c.Name] = max(worst[c.Name], off)
			if off > bound+1e-12 {
				t.Errorf("%s %s: %s is %s, want %s: off by %.3f %%", source, q.Name, c.Name, row[i], truth, 100*off)
			}
		}
	}
	if report {
		for _, c := range q.Columns {
			if off, ok := worst[c.Name]; ok {
				t.Logf("%-8s %-40s %-16s off by at most %.3f %%", source, q.Name, c.Name, 100*off)
			}
		}
	}
}

// compareTop checks that every value of top_k is as often as the last one that must be there, but for the stated n/801.
func compareTop(t *testing.T, source string, logs []string, q *tables.Table, row []feeds.Value) {
	t.Helper()
	const k = 50
	exact, err := tables.CompileFile("exact", "CREATE TABLE queries AS SELECT query, count(*) AS n FROM dns WHERE query IS NOT NULL GROUP BY 1", feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	counts, ordered, total := map[string]int64{}, []int64{}, int64(0)
	for _, r := range foldLogs(t, logs, exact, 0)[0] {
		counts[r[0].Str()] = r[1].Int()
		ordered = append(ordered, r[1].Int())
		total += r[1].Int()
	}
	slices.SortFunc(ordered, func(a, b int64) int { return int(b - a) })
	top := row[0].List()
	if len(top) != min(k, len(ordered)) || row[1].Int() != total {
		t.Fatalf("%s: %d values of %d", source, len(top), row[1].Int())
	}
	last, missed := ordered[len(top)-1], total/801
	for _, v := range top {
		if counts[v.Str()] < last-missed {
			t.Errorf("%s %s: %s came %d times, the %dth must be above %d", source, q.Name, v.Str(), counts[v.Str()], k, last-missed)
		}
	}
}

// TestApproximateTruthThroughThePipeline runs the same tables with brotally try: estimates are a function of the records, so
// that what packs and changelog rows carried gives the very rows that a fold gives. Only top_k may differ beyond its bound.
func TestApproximateTruthThroughThePipeline(t *testing.T) {
	dir := testdata.Dir(t)
	const file = "testdata/truth_approx.sql"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := tables.CompileFile(file, string(text), feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	byFeed := map[string][]*tables.Table{}
	for _, q := range all {
		if q.Name != "k01_dns_topk_query" {
			byFeed[q.Feed.Name] = append(byFeed[q.Feed.Name], q)
		}
	}
	for feed, queries := range byFeed {
		logs := logsOf(t, filepath.Join(dir, "logs"), "m57", feed)[0]
		want := foldLogs(t, logs, queries, 0)
		got := tryTables(t, queries, feed, logs, 7)
		for i, q := range queries {
			header := make([]string, len(q.Columns))
			for j, c := range q.Columns {
				header[j] = c.Name
			}
			compareTexts(t, q, got[q][0], got[q][1:], append([][]string{header}, texts(want[i])...))
		}
	}
}
