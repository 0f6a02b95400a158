// Package testdocs runs the examples of a document.
package testdocs

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Python runs a document's examples in Python, which are so many at least, with the Python that PYTHON names, and compares what each prints with the text block
// behind it; update writes that instead. An example finds the server at the address that it names, in whose place another one is put. Without
// PYTHON the test is skipped.
func Python(t *testing.T, file string, least int, update bool, named, address string) {
	t.Helper()
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Skip("no Python: set PYTHON, see `make test-clients`")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```python\n")
	if n := len(parts) - 1; n < least {
		t.Fatalf("%s has %d examples, want %d at least", file, n, least)
	}
	for i, part := range parts[1:] {
		program, rest, _ := strings.Cut(part, "```\n```text\n")
		want, rest, _ := strings.Cut(rest, "```")
		if !strings.Contains(program, named) {
			t.Errorf("example %d does not ask %s", i+1, named)
		}
		out, err := exec.CommandContext(t.Context(), python, "-W", "error", "-c", strings.ReplaceAll(program, named, address)).CombinedOutput()
		if err != nil {
			t.Errorf("example %d: %v\n%s%s", i+1, err, program, out)
			continue
		}
		if update {
			parts[i+1] = program + "```\n```text\n" + string(out) + "```" + rest
		} else if diff := cmp.Diff(want, string(out)); diff != "" {
			t.Errorf("example %d (-want +got):\n%s", i+1, diff)
		}
	}
	if update && !t.Failed() {
		if err := os.WriteFile(file, []byte(strings.Join(parts, "```python\n")), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
