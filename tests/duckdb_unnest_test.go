package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// unnested returns an expression over elements of the arrays, or of none.
func (g generator) unnested() expression {
	text, number := same("unnest(arr)"), same("unnest(nums)")
	switch g.IntN(9) {
	case 0:
		return both("lower(%s)", text)
	case 1:
		return both("(%s || t)", text)
	case 2:
		return both("length(%s)", text)
	case 3:
		return of("(%s + i)", "TRY_CAST(%s::HUGEINT + i::HUGEINT AS BIGINT)", number)
	case 4:
		return both("(%s IS NULL)", text)
	case 5:
		return both("(%s > "+g.pick("1", "j")+")", number)
	case 6:
		return same("i")
	case 7:
		return number
	}
	return text
}

// TestUnnestAgainstDuckDB compares the rows of random SELECT lists with unnest, which go in lock-step there, too.
func TestUnnestAgainstDuckDB(t *testing.T) {
	python := duckdb(t)
	g := generator{rand.New(rand.NewPCG(7, 8))}
	feed := &feeds.Feed{Name: "r"}
	var columns [][2]string
	for _, c := range duckColumns {
		typ, _ := feeds.ParseType(c.ours)
		feed.Columns = append(feed.Columns, feeds.Column{Name: c.name, Type: typ})
		columns = append(columns, [2]string{c.name, c.duck})
	}
	var rows [][]any
	var records [][]feeds.Value
	for range 40 {
		row, values := g.record()
		rows, records = append(rows, row), append(records, values)
	}
	var ours []string
	var lists []string
	for range 200 {
		all := []expression{same("unnest(%s)", g.pick("arr", "nums"))}
		for range g.IntN(4) {
			all = append(all, g.unnested())
		}
		g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		var x, y []string
		for i, e := range all {
			x, y = append(x, fmt.Sprintf("%s AS c%d", e.ours, i)), append(y, fmt.Sprintf("%s AS c%d", e.duck, i))
		}
		ours, lists = append(ours, strings.Join(x, ", ")), append(lists, strings.Join(y, ", "))
	}
	input, err := json.Marshal(map[string]any{"columns": columns, "rows": rows, "lists": lists})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", duckdbScript)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	var answer struct{ Lists [][][]any }
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, text := range ours {
		got := selectRows(t, feed, text, records)
		want := answer.Lists[i]
		compared += len(want)
		if !slices.EqualFunc(got, want, func(g []feeds.Value, w []any) bool { return slices.EqualFunc(g, w, agree) }) {
			t.Errorf("SELECT %s gives\n%v, DuckDB's SELECT %s\n%v", text, got, lists[i], want)
		}
	}
	t.Logf("%d SELECT lists, %d rows compared", len(ours), compared)
	if compared < 1000 {
		t.Error("where are the rows?")
	}
}

// selectRows returns the rows of a SELECT list over the feed's records.
func selectRows(t *testing.T, feed *feeds.Feed, list string, records [][]feeds.Value) [][]feeds.Value {
	t.Helper()
	stmt, err := sql.ParseStatement("", "SELECT "+list+" FROM r")
	if err != nil {
		t.Fatal(err)
	}
	look, err := tables.CompileScan(stmt.(*sql.Select), feed)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]feeds.Value
	for _, rec := range records {
		row := make([]feeds.Value, len(look.Inputs))
		for i, in := range look.Inputs {
			at, _ := feed.Column(in.Name)
			row[i] = rec[at]
		}
		rows = append(rows, row)
	}
	answer, err := look.Run(slices.Values(rows), nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Values
}
