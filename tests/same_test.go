package tests

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// refusedYet are the queries of docs/SAME.md that are of the language and not built, with the beginning of what they are
// refused with. One that compiles has to leave this list.
var refusedYet = map[string]string{
	"names_asked":    "count(DISTINCT ..) is not supported yet",
	"failed_lookups": "CREATE STREAM is not supported yet",
}

// TestTheSameQueriesCompile compiles Brotally's side of docs/SAME.md, and looks that no question lacks a side.
func TestTheSameQueriesCompile(t *testing.T) {
	text, err := os.ReadFile("../docs/SAME.md")
	if err != nil {
		t.Fatal(err)
	}
	_, questions, _ := strings.Cut(string(text), "\n## 1. ")
	refused := maps.Clone(refusedYet)
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
		stmt, err := sql.ParseStatement("SAME.md", blocks["sql brotally"])
		if err != nil {
			t.Errorf("%s: %v", title, err)
			continue
		}
		var name string
		switch stmt := stmt.(type) {
		case *sql.CreateTable:
			name = stmt.Name.Text
		case *sql.CreateStream:
			name = stmt.Name.Text
		default:
			t.Errorf("%s: %T defines nothing", title, stmt)
		}
		_, err = tables.CompileFile("SAME.md", blocks["sql brotally"], feeds.Lookup)
		why, isRefused := refused[name]
		delete(refused, name)
		var wrong *sql.Error
		switch {
		case isRefused && err == nil:
			t.Errorf("%s: %s compiles now, so it is to leave refusedYet", title, name)
		case isRefused && (!errors.As(err, &wrong) || !strings.HasPrefix(wrong.Message, why)):
			t.Errorf("%s: %s is refused with\n%v\nwhich does not begin with %q", title, name, err, why)
		case !isRefused && err != nil:
			t.Errorf("%s:\n%v", title, err)
		}
	}
	for name := range refused {
		t.Errorf("%s of refusedYet is not in docs/SAME.md", name)
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
