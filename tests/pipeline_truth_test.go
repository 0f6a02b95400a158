package tests

import (
	"encoding/csv"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/tables"
)

// program builds brotally once and returns its path.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "brotally-tests-")
	if err != nil {
		return "", err
	}
	programDir = dir
	path := filepath.Join(dir, "brotally")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/brotally").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

var programDir string // where it was built, if it was

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// brotally returns a command of the program.
func brotally(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return exec.Command(path, args...)
}

// TestTruthThroughThePipeline runs brotally try over the logs that TestTruth folds, all tables of a feed at once: broker,
// both stages with their transactions, views and look-ups, with records dealt to four partitions and 1, 7 or as many as
// fit in a commit.
func TestTruthThroughThePipeline(t *testing.T) {
	dir := testdata.Dir(t)
	var compared, rows atomic.Int64
	t.Run("try", func(t *testing.T) {
		for truth, source := range sources(t, dir) {
			for feed, all := range truthQueries(t) {
				if all = withTruth(all, truth); len(all) == 0 {
					continue
				}
				for i, logs := range logsOf(t, filepath.Join(dir, "logs"), source, feed) {
					for _, commit := range []int{1, 7, 0} {
						if i > 0 && commit > 0 {
							continue // what the stream was made of is read once
						}
						all := all
						if commit > 0 {
							all = few(all, commit)
						}
						t.Run(fmt.Sprintf("%s/%s/%d/commit=%d", source, feed, i, commit), func(t *testing.T) {
							t.Parallel()
							for q, got := range tryTables(t, all, feed, logs, commit) {
								rows.Add(int64(compareTexts(t, q, got[0], got[1:], readCSV(t, filepath.Join(truth, q.Name+".csv")))))
								compared.Add(1)
							}
						})
					}
				}
			}
		}
	})
	t.Logf("%d tables of %d rows equal DuckDB's answers", compared.Load(), rows.Load())
	if compared.Load() == 0 {
		t.Fatal("nothing was compared")
	}
}

// TestTruthOfOneQuery runs the notebook's query as the README shows it, with -e.
func TestTruthOfOneQuery(t *testing.T) {
	dir := testdata.Dir(t)
	const query = "SELECT id.orig_h, qtype_name, count(*) AS n FROM dns GROUP BY id.orig_h, qtype_name"
	q := truthQueries(t)["dns"][0]
	for truth, source := range sources(t, dir) {
		if len(withTruth([]*tables.Table{q}, truth)) == 0 {
			continue
		}
		for _, logs := range logsOf(t, filepath.Join(dir, "logs"), source, "dns") {
			out := run(t, brotally(t, append([]string{"try", "-e", query, "-o", "csv", "--null", `\N`}, logs...)...))
			rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			n := compareTexts(t, q, rows[0], rows[1:], readCSV(t, filepath.Join(truth, q.Name+".csv")))
			t.Logf("%s: %d rows equal DuckDB's", strings.TrimPrefix(logs[0], dir), n)
		}
	}
}

// sources yields the folders of truth tables and their names.
func sources(t *testing.T, dir string) iter.Seq2[string, string] {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(dir, "truth", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no truth in %s: %v", dir, err)
	}
	return func(yield func(folder, name string) bool) {
		for _, folder := range folders {
			if !yield(folder, filepath.Base(folder)) {
				return
			}
		}
	}
}

// few returns the first tables: a transaction a record, stage and table takes its time. TestTruth folds all of them.
func few(all []*tables.Table, commit int) []*tables.Table {
	if commit == 1 {
		return all[:1]
	}
	return all[:min(len(all), 3)]
}

// withTruth returns the tables that have an answer in the folder.
func withTruth(all []*tables.Table, truth string) []*tables.Table {
	return slices.DeleteFunc(slices.Clone(all), func(q *tables.Table) bool {
		_, err := os.Stat(filepath.Join(truth, q.Name+".csv"))
		return err != nil
	})
}

// tryTables runs the tables over the logs and returns each one's rows, the header first.
func tryTables(t *testing.T, all []*tables.Table, feed string, logs []string, commit int) map[*tables.Table][][]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tables.sql")
	var text strings.Builder
	for _, q := range all {
		fmt.Fprintf(&text, "%s;\n", q.SQL)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"try", file, "-o", "csv", "--null", `\N`}
	if commit > 0 {
		args = append(args, "--commit-records", strconv.Itoa(commit))
	}
	for _, log := range logs {
		args = append(args, feed+"="+log)
	}
	reader := csv.NewReader(strings.NewReader(run(t, brotally(t, args...))))
	reader.FieldsPerRecord = -1
	lines, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	// The tables come one after the other, in the file's order, each with its header.
	got := map[*tables.Table][][]string{}
	at := -1
	for _, line := range lines {
		if at+1 < len(all) && slices.EqualFunc(line, all[at+1].Columns, func(cell string, c tables.Column) bool { return cell == c.Name }) {
			at++
		}
		if at < 0 {
			t.Fatalf("%v instead of the header of %s", line, all[0].Name)
		}
		got[all[at]] = append(got[all[at]], line)
	}
	if len(got) != len(all) {
		t.Fatalf("%d of %d tables were printed", len(got), len(all))
	}
	return got
}

// compareTexts compares rows, as a multiset, with those of a CSV with a header: floats are equal to 1e-9 relative.
func compareTexts(t *testing.T, q *tables.Table, header []string, got, want [][]string) int {
	t.Helper()
	if !slices.Equal(header, want[0]) {
		t.Errorf("%s: columns %v, want %v", q.Name, header, want[0])
		return 0
	}
	want = slices.Clone(want[1:])
	if i := slices.Index(header, "window_start"); i >= 0 {
		for _, row := range got {
			start, err := time.Parse(time.RFC3339Nano, row[i])
			if err != nil {
				t.Errorf("%s: window_start: %v", q.Name, err)
			}
			row[i] = strconv.FormatInt(start.Unix(), 10)
		}
	}
	slices.SortFunc(got, slices.Compare)
	slices.SortFunc(want, slices.Compare)
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", q.Name, len(got), len(want))
		return 0
	}
	for i := range got {
		for j := range got[i] {
			if got[i][j] != want[i][j] && !nearly(q.Columns[j].Type, got[i][j], want[i][j]) {
				t.Errorf("%s row %d: %v, want %v", q.Name, i, got[i], want[i])
				break
			}
		}
	}
	return len(got)
}
