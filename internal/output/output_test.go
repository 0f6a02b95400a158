package output

import (
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
)

var columns = []Column{
	{"id.orig_h", feeds.T(feeds.Inet)},
	{"query", feeds.T(feeds.String)},
	{"n", feeds.T(feeds.Ubigint)},
	{"answers", feeds.ArrayOf(feeds.String)},
}

func row(host, query string, n uint64, answers ...string) []feeds.Value {
	list := []feeds.Value{}
	for _, a := range answers {
		list = append(list, feeds.StringValue(a))
	}
	return []feeds.Value{feeds.InetValue(netip.MustParseAddr(host)), feeds.StringValue(query), feeds.UbigintValue(n), feeds.ArrayValue(list)}
}

var (
	plainRow = row("10.0.0.1", "example.com", 13, "192.0.2.1", "192.0.2.2")
	emptyRow = row("2001:db8::1", "", 0)
	nullRow  = []feeds.Value{feeds.NullValue, feeds.NullValue, feeds.NullValue, feeds.NullValue}
	hostile  = row("10.0.0.2", "a\x1b[2J\"b\",\t\n\u202ec\u009b\x7f\xff", 1, "\x1b]0;x\x07")
)

func render(t *testing.T, f Format, o Options, cols []Column, rows ...[]feeds.Value) string {
	t.Helper()
	var b strings.Builder
	w, err := New(&b, f, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Header(cols); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Row(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFormats(t *testing.T) {
	rows := [][]feeds.Value{plainRow, emptyRow, nullRow}
	for _, test := range []struct {
		name    string
		format  Format
		options Options
		want    string
	}{
		{"table", Table, Options{}, `
id.orig_h    query           n  answers
-----------  -----------  ----  -------------------------
10.0.0.1     example.com    13  ["192.0.2.1","192.0.2.2"]
2001:db8::1                  0  []
NULL         NULL         NULL  NULL
`},
		{"json", JSON, Options{}, `
[
{"id.orig_h":"10.0.0.1","query":"example.com","n":13,"answers":["192.0.2.1","192.0.2.2"]},
{"id.orig_h":"2001:db8::1","query":"","n":0,"answers":[]},
{"id.orig_h":null,"query":null,"n":null,"answers":null}
]
`},
		{"ndjson", NDJSON, Options{}, `
{"id.orig_h":"10.0.0.1","query":"example.com","n":13,"answers":["192.0.2.1","192.0.2.2"]}
{"id.orig_h":"2001:db8::1","query":"","n":0,"answers":[]}
{"id.orig_h":null,"query":null,"n":null,"answers":null}
`},
		{"csv", CSV, Options{}, `
id.orig_h,query,n,answers
10.0.0.1,example.com,13,"[""192.0.2.1"",""192.0.2.2""]"
2001:db8::1,"",0,[]
,,,
`},
		{"csv with NULL as text", CSV, Options{Null: `\N`}, `
id.orig_h,query,n,answers
10.0.0.1,example.com,13,"[""192.0.2.1"",""192.0.2.2""]"
2001:db8::1,,0,[]
\N,\N,\N,\N
`},
		{"tsv", TSV, Options{}, "\n" +
			"id.orig_h\tquery\tn\tanswers\n" +
			"10.0.0.1\texample.com\t13\t\"[\"\"192.0.2.1\"\",\"\"192.0.2.2\"\"]\"\n" +
			"2001:db8::1\t\"\"\t0\t[]\n" +
			"\t\t\t\n"},
		{"csv for a spreadsheet", CSV, Options{Guard: true}, `
id.orig_h,query,n,answers
10.0.0.1,example.com,13,"[""192.0.2.1"",""192.0.2.2""]"
2001:db8::1,"",0,[]
,,,
`},
		{"zeek", Zeek, Options{Name: "dns_counts", At: time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)}, "\n" +
			"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns_counts\n#open\t2026-11-27-01-02-03\n" +
			"#fields\tid.orig_h\tquery\tn\tanswers\n#types\taddr\tstring\tcount\tvector[string]\n" +
			"10.0.0.1\texample.com\t13\t192.0.2.1,192.0.2.2\n" +
			"2001:db8::1\t(empty)\t0\t(empty)\n" +
			"-\t-\t-\t-\n" +
			"#close\t2026-11-27-01-02-03\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := render(t, test.format, test.options, columns, rows...)
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestNoRows(t *testing.T) {
	for f, want := range map[Format]string{
		Table: "id.orig_h  query  n  answers\n---------  -----  -  -------\n", JSON: "[]\n", NDJSON: "", CSV: "id.orig_h,query,n,answers\n",
		TSV: "id.orig_h\tquery\tn\tanswers\n",
	} {
		if got := render(t, f, Options{}, columns); got != want {
			t.Errorf("%s: got %q, want %q", f, got, want)
		}
	}
}

// A field that reads as NULL is quoted, whatever the text for NULL is.
func TestNullTextAsValue(t *testing.T) {
	one := columns[1:2]
	for _, null := range []string{"", `\N`, "NULL", "-"} {
		got := render(t, CSV, Options{Null: null}, one, []feeds.Value{feeds.StringValue(null)}, []feeds.Value{feeds.NullValue})
		if want := "query\n\"" + null + "\"\n" + null + "\n"; got != want {
			t.Errorf("--null %q: got %q, want %q", null, got, want)
		}
	}
}

// What strangers put into logs must not command the terminal.
func TestTerminalIsSafe(t *testing.T) {
	for _, f := range Formats {
		if f == Arrow {
			continue // no terminal gets it
		}
		text := render(t, f, Options{Terminal: true, Width: 200}, columns, hostile)
		for _, r := range text {
			if r != '\n' && !(r == '\t' && (f == TSV || f == Zeek)) && !unicode.IsPrint(r) {
				t.Errorf("%s: %U reaches the terminal: %q", f, r, text)
			}
		}
	}
}

// A pipe gets the data as it is: csv raw, JSON that reads back the same.
func TestPipeIsExact(t *testing.T) {
	if got, want := render(t, CSV, Options{}, columns[1:2], hostile[1:2]), "query\n\"a\x1b[2J\"\"b\"\",\t\n\u202ec\u009b\x7f\xff\"\n"; got != want {
		t.Errorf("csv: got %q, want %q", got, want)
	}
	var back struct{ Query string }
	text := render(t, NDJSON, Options{}, columns, hostile)
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if want := "a\x1b[2J\"b\",\t\n\u202ec\u009b\x7f\ufffd"; back.Query != want {
		t.Errorf("ndjson: got %q, want %q", back.Query, want)
	}
}

func TestNumbers(t *testing.T) {
	cols := []Column{{"v", feeds.T(feeds.Double)}}
	for _, test := range []struct {
		value     feeds.Value
		csv, json string
	}{
		{feeds.DoubleValue(math.NaN()), "NaN", "null"},
		{feeds.DoubleValue(math.Inf(-1)), "-Infinity", "null"},
		{feeds.DoubleValue(0.1), "0.1", "0.1"},
		{feeds.NumericValue(feeds.Int128{Hi: 1}), "18446744073709551616", "18446744073709551616"},
		{feeds.TimestampValue(1e6), "1970-01-01T00:00:01.000000Z", `"1970-01-01T00:00:01.000000Z"`},
		{feeds.IntervalValue(1.5), "1.5", "1.5"},
		{feeds.BoolValue(true), "true", "true"},
	} {
		if got := render(t, CSV, Options{}, cols, []feeds.Value{test.value}); got != "v\n"+test.csv+"\n" {
			t.Errorf("csv: got %q, want %s", got, test.csv)
		}
		if got := render(t, NDJSON, Options{}, cols, []feeds.Value{test.value}); got != `{"v":`+test.json+"}\n" {
			t.Errorf("ndjson: got %q, want %s", got, test.json)
		}
	}
}

func TestTableFitsTerminal(t *testing.T) {
	cols := []Column{{"id.orig_h", feeds.T(feeds.Inet)}, {"query", feeds.T(feeds.String)}, {"n", feeds.T(feeds.Ubigint)}}
	long := row("10.0.0.1", strings.Repeat("tunnel", 10)+".example", 7)[:3]
	t.Run("long texts are cut", func(t *testing.T) {
		want := "" +
			"id.orig_h  query                       n\n" +
			"---------  -------------------------  --\n" +
			"10.0.0.1   tunneltunneltunneltunnel…   7\n" +
			"10.0.0.1   example.com                13\n"
		if diff := cmp.Diff(want, render(t, Table, Options{Width: 40}, cols, long, plainRow[:3])); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	t.Run("too many columns go down the page, uncut", func(t *testing.T) {
		want := "-- row 1\nid.orig_h  10.0.0.1\nquery      " + long[1].Str() + "\nn          7\n"
		if diff := cmp.Diff(want, render(t, Table, Options{Width: 20}, cols, long)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	t.Run("addresses and times are not cut", func(t *testing.T) {
		cols := []Column{{"id.orig_h", feeds.T(feeds.Inet)}, {"ts", feeds.T(feeds.Timestamp)}}
		got := render(t, Table, Options{Width: 30}, cols, []feeds.Value{long[0], feeds.TimestampValue(1)})
		if want := "-- row 1\nid.orig_h  10.0.0.1\nts         1970-01-01T00:00:00.000001Z\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("a pipe is not cut", func(t *testing.T) {
		if got := render(t, Table, Options{}, cols, long); !strings.Contains(got, long[1].Str()) {
			t.Errorf("cut: %s", got)
		}
	})
	t.Run("wide characters take two columns", func(t *testing.T) {
		got := render(t, Table, Options{}, cols[1:], []feeds.Value{feeds.StringValue("日本"), feeds.UbigintValue(1)}, []feeds.Value{feeds.StringValue("e\u0301"), feeds.UbigintValue(2)})
		want := "query  n\n-----  -\n日本   1\ne\u0301      2\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// There is a DNS query type that is called NULL.
func TestTextNULL(t *testing.T) {
	got := render(t, Table, Options{}, columns[1:2], []feeds.Value{feeds.StringValue("NULL")}, []feeds.Value{feeds.NullValue})
	if want := "query\n------\n'NULL'\nNULL\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Rows behind the sample are written as they come, with the widths of the sample.
func TestTableStreams(t *testing.T) {
	var b strings.Builder
	w := newTable(&b, Options{})
	if err := w.Header(columns); err != nil {
		t.Fatal(err)
	}
	for range tableSample + 1 {
		if err := w.Row(plainRow); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.held) != 0 {
		t.Errorf("%d rows held back", len(w.held))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != tableSample+3 {
		t.Errorf("%d lines, want %d", n, tableSample+3)
	}
}

type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

func TestWriteErrorsSurface(t *testing.T) {
	for _, f := range Formats {
		w, err := New(brokenPipe{}, f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(w.Header(columns), w.Row(plainRow), w.Close())
		if !errors.Is(err, errPipe) {
			t.Errorf("%s: got %v", f, err)
		}
	}
}

func TestParseFormat(t *testing.T) {
	if f, err := ParseFormat("csv"); f != CSV || err != nil {
		t.Errorf("got %v, %v", f, err)
	}
	for name, want := range map[string]string{
		"cvs": `no format "cvs"; did you mean csv?`,
		"xml": `no format "xml"; there are table, json, ndjson, csv, tsv, zeek, arrow`,
	} {
		if _, err := ParseFormat(name); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

// TestSpreadsheetsGetNoFormulas: a text that begins like one has a quote before it; numbers have not.
func TestSpreadsheetsGetNoFormulas(t *testing.T) {
	cols := []Column{{"=name", feeds.T(feeds.String)}, {"n", feeds.T(feeds.Bigint)}}
	var rows [][]feeds.Value
	for _, text := range []string{`=1+1`, `+1`, `-1`, `@SUM(A1)`, "\t=1", "\r=1", "a=1"} {
		rows = append(rows, []feeds.Value{feeds.StringValue(text), feeds.BigintValue(-1)})
	}
	want := "'=name,n\n'=1+1,-1\n'+1,-1\n'-1,-1\n'@SUM(A1),-1\n'\t=1,-1\n\"'\r=1\",-1\na=1,-1\n"
	if diff := cmp.Diff(want, render(t, CSV, Options{Guard: true}, cols, rows...)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestArrowIsReadBack by the library's own reader, whatever the type, over several batches.
func TestArrowIsReadBack(t *testing.T) {
	cols := []Column{{"b", feeds.T(feeds.Bool)}, {"i", feeds.T(feeds.Bigint)}, {"u", feeds.T(feeds.Ubigint)}, {"n", feeds.T(feeds.Numeric)}, {"d", feeds.T(feeds.Double)},
		{"t", feeds.T(feeds.Timestamp)}, {"iv", feeds.T(feeds.Interval)}, {"a", feeds.T(feeds.Inet)}, {"s", feeds.T(feeds.String)}, {"l", feeds.ArrayOf(feeds.Ubigint)}}
	full := []feeds.Value{feeds.BoolValue(true), feeds.BigintValue(math.MinInt64), feeds.UbigintValue(math.MaxUint64), feeds.NumericValue(feeds.Int128{Hi: -1, Lo: 5}), feeds.DoubleValue(0.1),
		feeds.TimestampValue(-1), feeds.IntervalValue(1.5), feeds.InetValue(netip.MustParseAddr("2001:db8::1")), feeds.StringValue("a\x00\xffé"), feeds.ArrayValue([]feeds.Value{feeds.UbigintValue(1), feeds.NullValue})}
	none := make([]feeds.Value, len(cols))
	var rows [][]feeds.Value
	for range 20_000 {
		rows = append(rows, full, none)
	}
	r, err := ipc.NewReader(strings.NewReader(render(t, Arrow, Options{}, cols, rows...)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	n, batches := int64(0), 0
	for r.Next() {
		batch := r.RecordBatch()
		var have []string
		at := 0 // a batch begins with either row
		if batch.Column(0).IsNull(0) {
			at = 1
		}
		for i := range cols {
			have = append(have, batch.Column(i).ValueStr(at))
		}
		if diff := cmp.Diff([]string{"true", "-9223372036854775808", "18446744073709551615", "-18446744073709551611", "0.1", "1969-12-31T23:59:59.999999Z", "1.5", "2001:db8::1", "a\x00\ufffdé", "[1,null]"}, have); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		for i := range cols {
			if !batch.Column(i).IsNull(1 - at) {
				t.Fatalf("%s is not NULL", cols[i].Name)
			}
		}
		n += batch.NumRows()
		batches++
	}
	if r.Err() != nil || n != 40_000 || batches < 2 {
		t.Errorf("%d rows in %d batches, %v", n, batches, r.Err())
	}
	if got := r.Schema().Field(7).Metadata.ToMap()["brotally.type"]; got != "inet" {
		t.Errorf("the address is %s", got)
	}
}
