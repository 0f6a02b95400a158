package tables_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

var update = flag.Bool("update", false, "rewrite the expected part of the scripts")

// TestScripts runs the scripts in testdata. A script is a list of commands: a line with the command and its argument,
// lines of input, a line of four dashes, and the output up to the next empty line. Lines that begin with # are comments.
//
//	feed NAME        declares a feed: a line a column, name and type
//	records FEED     gives the feed these records (JSON, one a line); prints what was decoded badly
//	table            compiles CREATE TABLE and CREATE STREAM; prints their columns, or the error
//	stream STREAM    prints the stream's records of its feed's records: key if it has one, row
//	rows TABLE       prints the table over its feed's records, folded in one piece, in pieces of one record each, and dealt out at random
//	query TABLE      prints the answer to a look-up; arguments follow the SQL as a line `params: 'a' 1`
//	explain TABLE    prints how a look-up is answered, in a table of 1000 rows
//	mistakes         prints each line, a statement, and below it the error with its caret where it points
//	mistakes table   the same for lines that follow CREATE TABLE t AS
//	mistakes TABLE   the same for look-ups in a table
//	scan FEED        prints the answer to a SELECT over the feed's records
//	try              prints the answer to a SELECT that is a table and a look-up in one
//	eval FEED        prints type and value of each line's expression, over the feed's first record
//	print            prints the canonical text
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test"), func(t *testing.T) {
			runScript(t, file)
		})
	}
	checkMostAreTSV(t)
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := script{t: t, feeds: map[string]*feeds.Feed{}, records: map[string][]string{}, tables: map[string]*tables.Table{}, streams: map[string]*tables.Stream{}}
	var out bytes.Buffer
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for i := 0; i < len(lines); {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			fmt.Fprintln(&out, lines[i])
			i++
			continue
		}
		at := i
		for i < len(lines) && lines[i] != "----" && lines[i] != "" {
			i++
		}
		command := lines[at:i]
		if i < len(lines) && lines[i] == "----" {
			i++
		}
		from := i
		for i < len(lines) && lines[i] != "" {
			i++
		}
		got := strings.TrimRight(s.run(command), "\n")
		if want := strings.Join(lines[from:i], "\n"); got != want && !*update {
			t.Errorf("%s:%d: %s\n%s", file, at+1, strings.Join(command, "\n"), cmp.Diff(want, got))
		}
		fmt.Fprintln(&out, strings.Join(command, "\n"))
		if got != "" {
			fmt.Fprintf(&out, "----\n%s\n", got)
		}
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

type script struct {
	t       *testing.T
	feeds   map[string]*feeds.Feed
	records map[string][]string
	tables  map[string]*tables.Table
	streams map[string]*tables.Stream
}

func (s *script) resolve(name string) (*feeds.Feed, bool) {
	if f, ok := s.feeds[name]; ok {
		return f, true
	}
	return feeds.Lookup(name)
}

func (s *script) run(command []string) string {
	verb, arg, _ := strings.Cut(command[0], " ")
	input := command[1:]
	text := strings.Join(input, "\n")
	switch verb {
	case "feed":
		f := &feeds.Feed{Name: arg}
		for _, line := range input {
			name, typ, _ := strings.Cut(line, " ")
			parsed, ok := feeds.ParseType(typ)
			if !ok {
				s.t.Fatalf("no type %s", typ)
			}
			f.Columns = append(f.Columns, feeds.Column{Name: name, Type: parsed})
		}
		s.feeds[arg] = f
		return ""
	case "records":
		s.records[arg] = append(s.records[arg], input...)
		return ""
	case "table":
		return s.define(text)
	case "rows":
		return s.rows(arg)
	case "stream":
		return s.stream(arg)
	case "query":
		return s.query(arg, input)
	case "explain":
		return s.explain(arg, text)
	case "mistakes":
		return s.mistakes(arg, input)
	case "scan":
		return s.scan(arg, text)
	case "try":
		return s.try(text)
	case "eval":
		var out []string
		for _, line := range input {
			out = append(out, line+"  =>  "+s.eval(arg, line))
		}
		return strings.Join(out, "\n")
	case "print":
		all, err := sql.Parse("script.sql", text)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, stmt := range all {
			out = append(out, sql.Format(stmt)+";")
		}
		return strings.Join(out, "\n")
	}
	s.t.Fatalf("no command %s", verb)
	return ""
}

func (s *script) define(text string) string {
	all, err := tables.CompileDefinitions("script.sql", text, s.resolve)
	if err != nil {
		return err.Error()
	}
	for _, t := range all.Tables {
		s.tables[t.Name] = t
	}
	for _, t := range all.Streams {
		s.streams[t.Name] = t
	}
	var out []string
	for _, t := range all.All() {
		var columns, inputs []string
		for _, c := range t.Columns {
			mark := ""
			if c.Key {
				mark = " key"
			}
			columns = append(columns, fmt.Sprintf("%s %s%s", c.Name, c.Type, mark))
		}
		for _, c := range t.Inputs {
			inputs = append(inputs, c.Name)
		}
		out = append(out, fmt.Sprintf("%s: %s; reads %s", t.Name, strings.Join(columns, ", "), strings.Join(inputs, ", ")))
	}
	return strings.Join(out, "\n")
}

// decode calls add for each record of the feed.
func (s *script) decode(layout *feeds.Layout, add func(rec *feeds.Record)) {
	d := codecs.NewJSON(layout)
	var rec feeds.Record
	for offset, line := range s.records[layout.Feed] {
		msg := []byte(line)
		if err := d.Decode(msg, &rec); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		rec.At.Offset = int64(offset)
		add(&rec)
		for i := range msg {
			msg[i] = '#' // nothing may be kept of a record but what was cloned
		}
	}
}

func (s *script) fold(t *tables.Table, split bool) (rows [][]feeds.Value, overflows, cut int64) {
	layout, err := tables.LayoutOf(t)
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := tables.NewFold(t, layout, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	s.decode(layout, func(rec *feeds.Record) {
		f.Combiner(0).Add(rec)
		if split {
			if err := f.Flush(0); err != nil {
				s.t.Fatal(err)
			}
		}
	})
	if rows, err = f.Rows(); err != nil {
		s.t.Fatal(err)
	}
	return rows, f.Combiner(0).Overflows(), f.Combiner(0).CutKeys()
}

func (s *script) rows(name string) string {
	t := s.tables[name]
	if t == nil {
		s.t.Fatalf("no table %s", name)
	}
	rows, overflows, cut := s.fold(t, false)
	split, _, _ := s.fold(t, true)
	s.deals(t, rows)
	out := show(rows)
	if diff := cmp.Diff(out, show(split)); diff != "" {
		s.t.Errorf("table %s differs when every record is a partial of its own:\n%s", name, diff)
	}
	if overflows > 0 {
		out += fmt.Sprintf("overflows %d\n", overflows)
	}
	if cut > 0 {
		out += fmt.Sprintf("cut keys %d\n", cut)
	}
	return out
}

func (s *script) stream(name string) string {
	t := s.streams[name]
	if t == nil {
		s.t.Fatalf("no stream %s", name)
	}
	layout, err := tables.SharedLayout(&t.Definition)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := t.NewProjector(layout)
	if err != nil {
		s.t.Fatal(err)
	}
	var out strings.Builder
	counts := map[tables.Outcome]int{}
	s.decode(layout, func(rec *feeds.Record) {
		counts[p.Project(rec, func(key feeds.Value, row []feeds.Value) bool {
			if t.HasKey() {
				out.WriteString(strings.TrimSpace(show([][]feeds.Value{{key}})) + " => ")
			}
			out.WriteString(show([][]feeds.Value{row}))
			return true
		})]++
	})
	fmt.Fprintf(&out, "counted %d, filtered %d, overflows %d, cut keys %d\n", counts[tables.Counted], counts[tables.Filtered], p.TakeOverflows(), p.TakeCutKeys())
	return out.String()
}

func show(rows [][]feeds.Value) string {
	var b strings.Builder
	for _, row := range rows {
		for i, v := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			switch {
			case v.Kind() == feeds.String && len(v.Str()) > 100:
				fmt.Fprintf(&b, "'%s..%s' (%d bytes)", v.Str()[:20], v.Str()[len(v.Str())-30:], len(v.Str()))
			case v.Kind() == feeds.String:
				fmt.Fprintf(&b, "'%s'", v.Str())
			default:
				b.WriteString(v.String())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func parseSelect(text string) (*sql.Select, error) {
	stmt, err := sql.ParseStatement("script.sql", text)
	if err != nil {
		return nil, err
	}
	sel, ok := stmt.(*sql.Select)
	if !ok {
		return nil, errors.New("not a SELECT")
	}
	return sel, nil
}

func (s *script) query(name string, input []string) string {
	var params []feeds.Value
	if last := len(input) - 1; last >= 0 && strings.HasPrefix(input[last], "params:") {
		for _, p := range strings.Fields(strings.TrimPrefix(input[last], "params:")) {
			params = append(params, param(p))
		}
		input = input[:last]
	}
	stmt, err := parseSelect(strings.Join(input, "\n"))
	if err != nil {
		return err.Error()
	}
	t := s.tables[name]
	look, err := tables.CompileSelect(stmt, t)
	if err != nil {
		return err.Error()
	}
	rows, _, _ := s.fold(t, true)
	head := ""
	if key, ok := look.Point(params); ok {
		vals, err := t.KeyValues(string(key), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		head = "point " + show([][]feeds.Value{vals})
	}
	answer, err := look.Run(slices.Values(rows), params)
	if err != nil {
		return err.Error()
	}
	return head + showAnswer(answer)
}

func param(text string) feeds.Value {
	if inner, ok := strings.CutPrefix(text, "'"); ok {
		return feeds.StringValue(strings.TrimSuffix(inner, "'"))
	}
	if text == "NULL" {
		return feeds.NullValue
	}
	i, ok := feeds.ParseInt128(text)
	if n, fits := i.Int64(); ok && fits {
		return feeds.BigintValue(n)
	}
	var f float64
	fmt.Sscan(text, &f)
	return feeds.DoubleValue(f)
}

func showAnswer(answer *tables.Rows) string {
	var names []string
	for _, c := range answer.Columns {
		names = append(names, c.Name+" "+c.Type.String())
	}
	return strings.Join(names, ", ") + "\n" + show(answer.Values)
}

func (s *script) scanRows(look *tables.Select, feed string) iter.Seq[[]feeds.Value] {
	return func(yield func([]feeds.Value) bool) {
		layout := &feeds.Layout{Feed: feed, Columns: look.Inputs}
		done := false
		s.decode(layout, func(rec *feeds.Record) {
			done = done || !yield(rec.Values)
		})
	}
}

func (s *script) scan(name, text string) string {
	stmt, err := parseSelect(text)
	if err != nil {
		return err.Error()
	}
	feed, _ := s.resolve(name)
	look, err := tables.CompileScan(stmt, feed)
	if err != nil {
		return err.Error()
	}
	answer, err := look.Run(s.scanRows(look, name), nil)
	if err != nil {
		return err.Error()
	}
	return showAnswer(answer)
}

func (s *script) try(text string) string {
	stmt, err := parseSelect(text)
	if err != nil {
		return err.Error()
	}
	t, look, err := tables.CompileQuery("query", stmt, s.resolve)
	if err != nil {
		return err.Error()
	}
	rows, _, _ := s.fold(t, true)
	answer, err := look.Run(slices.Values(rows), nil)
	if err != nil {
		return err.Error()
	}
	return showAnswer(answer)
}

func (s *script) eval(name, text string) string {
	stmt, err := parseSelect("SELECT " + text + " FROM " + name + " LIMIT 1")
	if err != nil {
		return summary(err)
	}
	feed, ok := s.resolve(name)
	if !ok {
		s.t.Fatalf("no feed %s", name)
	}
	look, err := tables.CompileScan(stmt, feed)
	if err != nil {
		return summary(err)
	}
	answer, err := look.Run(s.scanRows(look, name), nil)
	if err != nil {
		return err.Error()
	}
	return answer.Columns[0].Type.String() + " " + strings.TrimSpace(show(answer.Values[:1]))
}

// summary is an error's one line without its place, which follows from `SELECT ` before the expression.
func summary(err error) string {
	var e *sql.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	_, text, _ := strings.Cut(e.Summary(), ": ")
	return fmt.Sprintf("error at %d: %s", e.Column-len("SELECT "), text)
}
