package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/metrics"
)

var updateDocs = flag.Bool("update-docs", false, "rewrite the table of metrics in docs/OPERATIONS.md")

// TestTableOfMetrics compares the table in the documentation with the metrics that there are; with -update-docs it writes it.
func TestTableOfMetrics(t *testing.T) {
	const file, begin, end = "../../docs/OPERATIONS.md", "<!-- metrics: written by go test ./internal/metrics -update-docs -->\n", "<!-- end of metrics -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	table, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no %q .. %q", file, begin, end)
	}
	var want strings.Builder
	want.WriteString("| metric | kind | labels | what it is |\n|---|---|---|---|\n")
	for _, m := range metrics.All() {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "` `") + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	if *updateDocs {
		if err := os.WriteFile(file, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("%s says something else, run the test with -update-docs (-want +got):\n%s", file, diff)
	}
}
