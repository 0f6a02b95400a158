package views

import (
	"flag"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/brotally/brotally/internal/testdocs"
)

var updateDocs = flag.Bool("update-docs", false, "write what Python prints into docs/HTTP.md")

// TestPythonReadsRows runs what docs/HTTP.md says of Python, with the Python that PYTHON names: one that has pandas, pyarrow, duckdb and
// polars.
func TestPythonReadsRows(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(office()...)
	testdocs.Python(t, "../docs/HTTP.md", 4, *updateDocs, "http://localhost:8080", f.server(ServerConfig{}).URL)
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
