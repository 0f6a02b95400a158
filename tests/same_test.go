package tests

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// TestTheSameQueriesCompile compiles Brotally's side of docs/SAME.md, and looks that no question lacks a side.
func TestTheSameQueriesCompile(t *testing.T) {
	text, err := os.ReadFile("../docs/SAME.md")
	if err != nil {
		t.Fatal(err)
	}
	_, questions, _ := strings.Cut(string(text), "\n## 1. ")
	all := strings.Split(questions, "\n## ")
	if len(all) != 10 {
		t.Errorf("%d questions, want 10", len(all))
	}
	for _, question := range all {
		title, _, _ := strings.Cut(question, "\n")
		blocks := fenced(question)
		if languages := slices.Sorted(maps.Keys(blocks)); !slices.Equal(languages, []string{"python spark", "sql brotally", "sql flink", "sql ksqldb"}) {
			t.Errorf("%s: there are %q", title, languages)
		}
		if _, err := tables.CompileDefinitions("SAME.md", blocks["sql brotally"], feeds.Lookup); err != nil {
			t.Errorf("%s:\n%v", title, err)
		}
	}
}

// fenced returns the fenced blocks of a text by what stands behind their fence, the first of each.
func fenced(text string) map[string]string {
	blocks := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		info, ok := strings.CutPrefix(lines[i], "```")
		if !ok {
			continue
		}
		from := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if _, twice := blocks[info]; !twice {
			blocks[info] = strings.Join(lines[from:i], "\n")
		}
	}
	return blocks
}
