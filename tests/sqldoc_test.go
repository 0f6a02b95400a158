package tests

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

var updateDocs = flag.Bool("update-docs", false, "rewrite the answers in docs/SQL.md")

// TestExamplesOfTheReference runs every example of docs/SQL.md:
//
//	```json dns         records of a feed, one a line
//	```sql              statements, each run in turn; the answer to the last follows as ```text
//	```sql expressions  an expression a line over the first record of dns, its value behind two blanks and --
//
// go test ./tests -run Reference -update-docs writes the answers anew.
func TestExamplesOfTheReference(t *testing.T) {
	const file = "../docs/SQL.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := reference{t: t, records: map[string][]string{}, tables: map[string]*tables.Table{}}
	var out []string
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	ran := 0
	for i := 0; i < len(lines); i++ {
		out = append(out, lines[i])
		info, fence := strings.CutPrefix(lines[i], "```")
		if !fence {
			continue
		}
		at := i + 1
		for i++; lines[i] != "```"; i++ {
		}
		block := lines[at:i]
		switch kind, rest, _ := strings.Cut(info, " "); {
		case kind == "json":
			d.records[rest] = append(d.records[rest], block...)
		case kind == "sql" && rest == "expressions":
			for j, line := range block {
				if line != "" && !strings.HasPrefix(line, "--") {
					block[j] = d.expression(line)
					ran++
				}
			}
		case kind == "sql":
			d.answer = d.statements(strings.Join(block, "\n"))
			ran++
		case kind == "text":
			block = strings.Split(strings.TrimRight(d.answer, "\n"), "\n")
		}
		out = append(append(out, block...), "```")
	}
	if diff := cmp.Diff(string(text), strings.Join(out, "\n")+"\n"); diff != "" && !*updateDocs {
		t.Errorf("%s says something else (-), run it with -update-docs:\n%s", file, diff)
	}
	if *updateDocs {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n")+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d examples", ran)
	if ran < 50 {
		t.Error("where are the examples?")
	}
}

// reference is what the examples have defined so far.
type reference struct {
	t       *testing.T
	records map[string][]string
	tables  map[string]*tables.Table
	answer  string // to the last statements
}

// statements runs statements and returns the last one's answer, or its error.
func (d *reference) statements(text string) (answer string) {
	d.t.Helper()
	all, err := sql.Parse("tables.sql", text)
	if err != nil {
		return err.Error()
	}
	for _, stmt := range all {
		if answer, err = d.statement(stmt); err != nil {
			return err.Error()
		}
	}
	return answer
}

func (d *reference) statement(stmt sql.Statement) (string, error) {
	switch stmt := stmt.(type) {
	case *sql.CreateTable:
		table, err := tables.Compile(stmt, feeds.Lookup)
		if err != nil {
			return "", err
		}
		d.tables[table.Name] = table
		return show(table.Columns, d.rows(table)), nil
	case *sql.CreateStream:
		stream, err := tables.CompileStream(stmt, feeds.Lookup)
		if err != nil {
			return "", err
		}
		return d.stream(stream), nil
	case *sql.Explain:
		table := d.tables[stmt.Query.From.Text]
		if table == nil {
			return "", errors.New("EXPLAIN is of look-ups in tables")
		}
		look, err := tables.CompileSelect(stmt.Query, table)
		if err != nil {
			return "", err
		}
		var lines [][]feeds.Value
		for _, line := range look.Explain(len(d.rows(table))) {
			lines = append(lines, []feeds.Value{feeds.StringValue(line)})
		}
		return show([]tables.Column{tables.PlanColumn}, lines), nil
	case *sql.Select:
		if table := d.tables[stmt.From.Text]; table != nil {
			look, err := tables.CompileSelect(stmt, table)
			if err != nil {
				return "", err
			}
			return d.look(look, d.rows(table))
		}
		table, look, err := tables.CompileQuery("query", stmt, feeds.Lookup)
		if err == nil {
			return d.look(look, d.rows(table))
		}
		feed, ok := feeds.Lookup(stmt.From.Text)
		if !ok {
			return "", err
		}
		if look, err = tables.CompileScan(stmt, feed); err != nil {
			return "", err
		}
		return d.look(look, d.decode(feed.Name, look.Inputs))
	}
	return "", errors.New("the reference has no examples of that")
}

func (d *reference) look(look *tables.Select, rows [][]feeds.Value) (string, error) {
	answer, err := look.Run(slices.Values(rows), nil)
	if err != nil {
		return "", err
	}
	return show(answer.Columns, answer.Values), nil
}

// decode returns the columns of a feed's records.
func (d *reference) decode(feed string, columns []feeds.Column) (rows [][]feeds.Value) {
	decoder, rec := codecs.NewJSON(&feeds.Layout{Feed: feed, Columns: columns}), feeds.Record{}
	for _, line := range d.records[feed] {
		if err := decoder.Decode([]byte(line), &rec); err != nil {
			d.t.Fatalf("%s: %v", line, err)
		}
		if rec.BadFields > 0 {
			d.t.Errorf("%s: %d fields are of another type", line, rec.BadFields)
		}
		var row []feeds.Value
		for _, v := range rec.Values {
			row = append(row, v.Clone())
		}
		rows = append(rows, row)
	}
	return rows
}

// rows folds a table over its feed's records.
func (d *reference) rows(table *tables.Table) [][]feeds.Value {
	layout, err := tables.LayoutOf(table)
	if err != nil {
		d.t.Fatal(err)
	}
	fold, err := tables.NewFold(table, layout, 1)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, row := range d.decode(table.Feed.Name, layout.Columns) {
		fold.Combiner(0).Add(&feeds.Record{Values: row})
	}
	rows, err := fold.Rows()
	if err != nil {
		d.t.Fatal(err)
	}
	return rows
}

// stream returns a stream's records as a consumer sees them: key and value.
func (d *reference) stream(s *tables.Stream) string {
	layout, err := tables.SharedLayout(&s.Definition)
	if err != nil {
		d.t.Fatal(err)
	}
	p, err := s.NewProjector(layout)
	if err != nil {
		d.t.Fatal(err)
	}
	var out strings.Builder
	for offset, row := range d.decode(s.Feed.Name, layout.Columns) {
		p.Project(&feeds.Record{Values: row}, func(key feeds.Value, row []feeds.Value) bool {
			text := codecs.AppendPlace(nil, codecs.Source{Topic: s.Feed.Name}, int64(offset))
			if s.HasKey() {
				text = codecs.AppendStreamKey(nil, key)
			}
			value, _ := codecs.AppendStreamRow(nil, s, row)
			fmt.Fprintf(&out, "%s  %s\n", text, value)
			return true
		})
	}
	return out.String()
}

// expression returns `text  -- value` for a line.
func (d *reference) expression(line string) string {
	text, _, _ := strings.Cut(line, "  --")
	text = strings.TrimRight(text, " ")
	value := ""
	feed, _ := feeds.Lookup("dns")
	stmt, err := sql.ParseStatement("", "SELECT "+text+" FROM dns LIMIT 1")
	if err == nil {
		var look *tables.Select
		if look, err = tables.CompileScan(stmt.(*sql.Select), feed); err == nil {
			var answer *tables.Rows
			if answer, err = look.Run(slices.Values(d.decode("dns", look.Inputs)), nil); err == nil {
				value = literal(answer.Values[0][0])
			}
		}
	}
	var wrong *sql.Error
	if errors.As(err, &wrong) {
		_, value, _ = strings.Cut(wrong.Summary(), ": ")
		value = "error: " + value
	}
	return fmt.Sprintf("%-48s  -- %s", text, value)
}

func literal(v feeds.Value) string {
	if v.Kind() == feeds.String {
		return quoted(v.Str())
	}
	return v.String()
}

// show writes an answer in columns.
func show(columns []tables.Column, rows [][]feeds.Value) string {
	lines := [][]string{{}}
	for _, c := range columns {
		lines[0] = append(lines[0], c.Name)
	}
	for _, row := range rows {
		var line []string
		for _, v := range row {
			line = append(line, v.String())
		}
		lines = append(lines, line)
	}
	var out bytes.Buffer
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			width := 0
			for _, other := range lines {
				width = max(width, utf8.RuneCountInString(other[i]))
			}
			text.WriteString(cell + strings.Repeat(" ", width-utf8.RuneCountInString(cell)+2))
		}
		out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	return out.String()
}
