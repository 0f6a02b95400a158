package pgwire

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/views"
)

var updateDocs = flag.Bool("update-docs", false, "write what Python prints into docs/POSTGRES.md")

// TestPythonReadsTables runs what docs/POSTGRES.md says of Python, with the Python that PYTHON names: one that has psycopg, SQLAlchemy and pandas.
func TestPythonReadsTables(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Skip("no Python: set PYTHON, see `make test-clients`")
	}
	const file = "../../docs/POSTGRES.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	parts := strings.Split(string(text), "```python\n")
	if len(parts) < 4 {
		t.Fatalf("%d examples", len(parts)-1)
	}
	for i, part := range parts[1:] {
		program, rest, _ := strings.Cut(part, "```\n```text\n")
		want, rest, _ := strings.Cut(rest, "```")
		out, err := exec.CommandContext(t.Context(), python, "-W", "error", "-c", strings.ReplaceAll(program, "localhost:5432", f.addr)).CombinedOutput()
		if err != nil {
			t.Errorf("example %d: %v\n%s%s", i+1, err, program, out)
			continue
		}
		if *updateDocs {
			parts[i+1] = program + "```\n```text\n" + string(out) + "```" + rest
		} else if diff := cmp.Diff(want, string(out)); diff != "" {
			t.Errorf("example %d (-want +got):\n%s", i+1, diff)
		}
	}
	if *updateDocs && !t.Failed() {
		if err := os.WriteFile(file, []byte(strings.Join(parts, "```python\n")), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
