package views

import (
	"flag"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateDocs = flag.Bool("update-docs", false, "write what Python prints into docs/HTTP.md")

// TestPythonReadsRows runs what docs/HTTP.md says of Python, with the Python that PYTHON names: one that has pandas, pyarrow, duckdb and
// polars.
func TestPythonReadsRows(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Skip("no Python: set PYTHON, see `make test-clients`")
	}
	const file = "../docs/HTTP.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL
	parts := strings.Split(string(text), "```python\n")
	if len(parts) < 5 {
		t.Fatalf("%d examples", len(parts)-1)
	}
	for i, part := range parts[1:] {
		program, rest, _ := strings.Cut(part, "```\n```text\n")
		want, rest, _ := strings.Cut(rest, "```")
		out, err := exec.Command(python, "-W", "error", "-c", strings.ReplaceAll(program, "http://localhost:8080", url)).CombinedOutput()
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

// TestSchemathesis has the schemathesis that SCHEMATHESIS names make up requests from /openapi.json: no answer may be a fault of the
// server, or another one than is described.
func TestSchemathesis(t *testing.T) {
	program := os.Getenv("SCHEMATHESIS")
	if program == "" {
		t.Skip("no schemathesis: set SCHEMATHESIS, see `make test-clients`")
	}
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal, queries)
	f.add(office()...)
	numbers := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte("up 1\n"))
	})
	url := f.server(ServerConfig{Metrics: numbers}).URL
	cmd := exec.Command(program, "run", url+"/openapi.json", "--checks", "all", "--exclude-path-regex", "/changes$", // which does not end
		"--exclude-checks", "positive_data_acceptance", // names of tables and columns are not in the description
		"--max-examples", "40", "--seed", "1", "--generation-database", "none", "--no-color", "--warnings", "off")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No issues found") {
		t.Fatalf("%v\n%s", err, out)
	}
	_, summary, _ := strings.Cut(string(out), "SUMMARY")
	t.Log(summary)
}
