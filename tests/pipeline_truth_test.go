package tests

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// program builds brotally once and returns its path.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "brotally-tests-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "brotally")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/brotally").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
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

// queryTexts are the SELECTs of testdata/truth.sql by table.
func queryTexts(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/truth.sql")
	if err != nil {
		t.Fatal(err)
	}
	statements, err := sql.Parse("testdata/truth.sql", string(text))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, s := range statements {
		create := s.(*sql.CreateTable)
		texts[create.Name.Text] = sql.Format(create.Query)
	}
	return texts
}

// TestTruthThroughThePipeline runs brotally try over the logs that TestTruth folds: broker, both stages with their
// transactions, view and look-up, with records dealt to four partitions and 1, 7 or as many as fit in a commit.
func TestTruthThroughThePipeline(t *testing.T) {
	dir := testdata.Dir(t)
	texts := queryTexts(t)
	sources, err := filepath.Glob(filepath.Join(dir, "truth", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards runs
	runs := 0
	t.Run("try", func(t *testing.T) {
		for _, truth := range sources {
			source := filepath.Base(truth)
			for feed, all := range truthQueries(t) {
				for _, q := range all {
					want := filepath.Join(truth, q.Name+".csv")
					if _, err := os.Stat(want); err != nil {
						continue
					}
					for i, logs := range logsOf(t, filepath.Join(dir, "logs"), source, feed) {
						for _, commit := range []int{1, 7, 0} {
							if i > 0 && commit > 0 {
								continue // what the stream was made of is read once
							}
							name := fmt.Sprintf("%s/%s/%d/commit=%d", source, q.Name, i, commit)
							t.Run(name, func(t *testing.T) {
								t.Parallel()
								tryTruth(t, q, texts[q.Name], feed, logs, commit, want)
								mu.Lock()
								defer mu.Unlock()
								runs++
							})
						}
					}
				}
			}
		}
	})
	t.Logf("%d runs of try equal DuckDB's answers", runs)
	if runs == 0 {
		t.Fatal("nothing was run")
	}
}

func tryTruth(t *testing.T, q *tables.Table, text, feed string, logs []string, commit int, want string) {
	args := []string{"try", "-e", text, "-o", "csv", "--null", `\N`}
	if commit > 0 {
		args = append(args, "--commit-records", strconv.Itoa(commit))
	}
	for _, log := range logs {
		args = append(args, feed+"="+log)
	}
	cmd := brotally(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	compareTexts(t, q, rows[0], rows[1:], readCSV(t, want))
}

// compareTexts compares rows, as a multiset, with those of a CSV with a header: floats are equal to 1e-9 relative.
func compareTexts(t *testing.T, q *tables.Table, header []string, got, want [][]string) int {
	t.Helper()
	if !slices.Equal(header, want[0]) {
		t.Errorf("%s: columns %v, want %v", q.Name, header, want[0])
		return 0
	}
	want = slices.Clone(want[1:])
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
