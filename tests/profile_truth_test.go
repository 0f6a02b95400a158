package tests

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/tables"
)

// profiled is what DuckDB counted of a column. One that has two names in a log is one column here, with the values of both.
type profiled struct {
	name                       string
	records, values, different int64
	names                      int
}

// TestProfileOfEveryColumn compares what DuckDB counted in every column of every log: records, values that are not NULL, and
// different values.
func TestProfileOfEveryColumn(t *testing.T) {
	dir := testdata.Dir(t)
	compared, logs := 0, 0
	for truth, source := range sources(t, dir) {
		for name, columns := range readProfile(t, filepath.Join(truth, "profile.csv")) {
			var all []*tables.Table
			for _, c := range columns {
				definition := fmt.Sprintf("CREATE TABLE t AS SELECT count(*) AS n, count(%q) AS filled, count(DISTINCT %[1]q) AS different FROM %s", c.name, name)
				table, err := tables.CompileFile("profile", definition, feeds.Lookup)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, table[0])
			}
			got := foldLogs(t, []string{filepath.Join(dir, "logs", "kafka", source, name+".ndjson.gz")}, all, 100)
			for i, c := range columns {
				have := profiled{c.name, got[i][0][0].Int(), got[i][0][1].Int(), got[i][0][2].Int(), c.names}
				if c.names > 1 {
					have.different = c.different // both names may have had the same value
				}
				if have != *c {
					t.Errorf("%s of %s: %+v, DuckDB counted %+v", name, source, have, *c)
				}
				compared++
			}
			logs++
		}
	}
	t.Logf("%d columns of %d logs equal DuckDB's counts", compared, logs)
	if compared < 800 {
		t.Error("where is the rest?")
	}
}

// readProfile reads a profile.csv: the columns of each feed. What is built in has all of them but _node_name, which is of no
// Zeek that we know.
func readProfile(t *testing.T, file string) map[string][]*profiled {
	t.Helper()
	all := map[string][]*profiled{}
	known := map[string]*profiled{}
	for _, row := range readCSV(t, file)[1:] {
		feed, ok := feeds.Lookup(row[0])
		if !ok {
			t.Fatalf("%s: no feed %s", file, row[0])
		}
		at, ok := feed.Column(row[1])
		if !ok {
			if row[1] != "_node_name" {
				t.Errorf("%s: %s has no column %s", file, row[0], row[1])
			}
			continue
		}
		var n [3]int64
		for i := range n {
			var err error
			if n[i], err = strconv.ParseInt(row[3+i], 10, 64); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		key := row[0] + " " + feed.Columns[at].Name
		if known[key] == nil {
			known[key] = &profiled{name: feed.Columns[at].Name, records: n[0]}
			all[row[0]] = append(all[row[0]], known[key])
		}
		known[key].values += n[1]
		known[key].different += n[2]
		known[key].names++
	}
	return all
}
