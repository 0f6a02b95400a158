package tests

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// truthQueries are the queries that have a truth table, by feed.
func truthQueries(t *testing.T) map[string][]*tables.Table {
	t.Helper()
	text, err := os.ReadFile("testdata/truth.sql")
	if err != nil {
		t.Fatal(err)
	}
	all, err := tables.CompileFile("testdata/truth.sql", string(text), feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	byFeed := map[string][]*tables.Table{}
	for _, table := range all {
		byFeed[table.Feed.Name] = append(byFeed[table.Feed.Name], table)
	}
	return byFeed
}

// messages calls add with each message of a log: JSON lines or TSV, gzip or not.
func messages(t *testing.T, file string, add func(msg []byte)) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(file, ".gz") {
		if in, err = gzip.NewReader(in); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(file, ".ndjson") {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			add(lines.Bytes())
		}
		if lines.Err() != nil {
			t.Fatal(lines.Err())
		}
		return
	}
	log := codecs.NewLogReader(in)
	for {
		msg, err := log.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		add(msg)
	}
}

// TestTruth folds the topic-ready streams, and the TSV logs that they were made of, through compiled tables, in one pass
// a feed, and compares every table with DuckDB's answer. Records are dealt round robin to four partitions.
func TestTruth(t *testing.T) {
	dir := testdata.Dir(t)
	queries := truthQueries(t)
	compared, rows := map[string]int{}, 0
	for truth, source := range sources(t, dir) {
		for feed, all := range queries {
			have := withTruth(all, truth)
			if len(have) == 0 {
				continue
			}
			for _, logs := range logsOf(t, filepath.Join(dir, "logs"), source, feed) {
				log, _ := filepath.Rel(dir, logs[0])
				for _, batch := range []int{1, 7, 0} {
					got := foldLogs(t, logs, have, batch)
					for i, q := range have {
						before := t.Failed()
						rows += compareWithCSV(t, q, got[i], filepath.Join(truth, q.Name+".csv"))
						if t.Failed() != before {
							t.Errorf("that was %s at %d records a flush", log, batch)
						}
						compared[log]++
					}
				}
			}
		}
	}
	total := 0
	for _, log := range slices.Sorted(maps.Keys(compared)) {
		t.Logf("%-32s %3d comparisons", log, compared[log])
		total += compared[log]
	}
	count := 0
	for _, all := range queries {
		count += len(all)
	}
	t.Logf("%d queries over %d logs: %d comparisons of %d rows", count, len(compared), total, rows)
}

// logsOf returns the logs that hold a source's records of a feed: the topic-ready stream, and what it was made of where
// that is there. Each is a list of files, read one after the other.
func logsOf(t *testing.T, dir, source, feed string) [][]string {
	t.Helper()
	all := [][]string{{filepath.Join(dir, "kafka", source, feed+".ndjson.gz")}}
	switch source {
	case "zat_json":
		all = append(all, []string{filepath.Join(dir, "json", "zat", feed+".log.gz")})
	default:
		all = append(all, []string{filepath.Join(dir, "tsv", source, feed+".log.gz")})
	}
	if source == "zat" && feed == "ssl" { // as STREAMS.csv says
		all[1] = append(all[1], filepath.Join(dir, "tsv", source, "tor_ssl.log.gz"))
	}
	for _, files := range all {
		for _, f := range files {
			if _, err := os.Stat(f); err != nil {
				t.Errorf("%s of %s has truth but no log: %v", feed, source, err)
				return nil
			}
		}
	}
	return all
}

// foldLogs returns the rows of every table over a log; batch is how many records a partition combines before it is
// flushed, 0: all.
func foldLogs(t *testing.T, files []string, all []*tables.Table, batch int) [][][]feeds.Value {
	t.Helper()
	const partitions = 4
	layout, err := tables.LayoutOf(all...)
	if err != nil {
		t.Fatal(err)
	}
	folds := make([]*tables.Fold, len(all))
	for i, q := range all {
		if folds[i], err = tables.NewFold(q, layout, partitions); err != nil {
			t.Fatal(err)
		}
	}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	read := 0
	add := func(msg []byte) {
		partition, pending := read%partitions, read/partitions+1
		read++
		if err := decoder.Decode(msg, &rec); err != nil {
			t.Fatalf("%v record %d: %v", files, read, err)
		}
		for _, f := range folds {
			f.Combiner(partition).Add(&rec)
			if batch > 0 && pending%batch == 0 {
				if err := f.Flush(partition); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, file := range files {
		messages(t, file, add)
	}
	if read == 0 {
		t.Errorf("%v hold no records", files)
	}
	out := make([][][]feeds.Value, len(all))
	for i, f := range folds {
		if out[i], err = f.Rows(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestEveryTruthIsCompared looks that no answer of DuckDB's is left out: each is a table's here, an estimate's or a look-up's.
func TestEveryTruthIsCompared(t *testing.T) {
	dir := testdata.Dir(t)
	asked := map[string]bool{}
	for _, file := range []string{"testdata/truth.sql", "testdata/truth_approx.sql"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all, err := tables.CompileFile(file, string(text), feeds.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range all {
			asked[q.Name] = true
		}
	}
	for name := range truthLookUps {
		asked[name] = true
	}
	answers, err := filepath.Glob(filepath.Join(dir, "truth", "*", "*.csv"))
	if err != nil || len(answers) == 0 {
		t.Fatalf("no answers: %v", err)
	}
	sources, compared := map[string]bool{}, 0
	for _, file := range answers {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		if name == "profile" || name == "ts_order" {
			continue // what the logs are like, not a query's answer
		}
		if !asked[name] {
			t.Errorf("nobody asks %s", file)
		}
		sources[filepath.Dir(file)] = true
		compared++
	}
	t.Logf("%d queries, %d sources, %d answers", len(asked), len(sources), compared)
}

// truthLookUps are look-ups whose answers have an order.
var truthLookUps = map[string]struct{ table, lookup string }{
	"k01_dns_topk_query": {
		"CREATE TABLE queries AS SELECT query, count(*) AS n FROM dns GROUP BY 1",
		"SELECT query, n FROM queries ORDER BY n DESC, query NULLS LAST LIMIT 50",
	},
}

// TestTruthOfLookUps compares ordered and filtered look-ups with DuckDB's answers, order included.
func TestTruthOfLookUps(t *testing.T) {
	dir := testdata.Dir(t)
	for csvName, q := range truthLookUps {
		all, err := tables.CompileFile(csvName, q.table, feeds.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		stmt, err := sql.ParseStatement(csvName, q.lookup)
		if err != nil {
			t.Fatal(err)
		}
		look, err := tables.CompileSelect(stmt.(*sql.Select), all[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{"m57", "zat", "zat_json"} {
			want := readCSV(t, filepath.Join(dir, "truth", source, csvName+".csv"))[1:]
			log := filepath.Join(dir, "logs", "kafka", source, all[0].Feed.Name+".ndjson.gz")
			answer, err := look.Run(slices.Values(foldLogs(t, []string{log}, all, 7)[0]), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, texts(answer.Values), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s of %s:\n%s", csvName, source, diff)
			}
		}
	}
}

func readCSV(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return all
}

// texts writes rows as the CSVs have them: NULL is \N.
func texts(rows [][]feeds.Value) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		for _, v := range row {
			text := `\N`
			if !v.IsNull() {
				text = v.String()
			}
			out[i] = append(out[i], text)
		}
	}
	return out
}

// compareWithCSV compares rows, as a multiset, with a CSV of DuckDB's: NULL is \N, floats are equal to 1e-9 relative. It
// returns the number of rows.
func compareWithCSV(t *testing.T, q *tables.Table, rows [][]feeds.Value, file string) int {
	t.Helper()
	header := make([]string, len(q.Columns))
	for i, c := range q.Columns {
		header[i] = c.Name
	}
	return compareTexts(t, q, header, texts(rows), readCSV(t, file))
}

// nearly reports whether two texts are doubles that agree to 1e-9 relative.
func nearly(typ feeds.Type, a, b string) bool {
	if typ.Kind != feeds.Double {
		return false
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y))
}
