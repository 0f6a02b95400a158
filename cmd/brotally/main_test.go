package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables/sql"
	"github.com/brotally/brotally/views/client"
)

// beBrotally is the variable with which the test's binary is brotally: demo starts itself.
const beBrotally = "BE_BROTALLY"

func TestMain(m *testing.M) {
	if os.Getenv(beBrotally) != "" {
		main() // does not return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")) // Sarama's, one a process
}

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"fine", nil, 0},
		{"anything", errors.New("x"), 1},
		{"usage", &usageError{errors.New("x")}, 2},
		{"SQL", fmt.Errorf("compile: %w", &sql.Error{}), 2},
		{"SQL that a server found", &placedError{"x"}, 2},
		{"a client setting", &kafka.PropertyError{}, 2},
		{"another definition", fmt.Errorf("arrange: %w", &processors.Refusal{}), 2},
		{"a topic that is not as it must be", &kafka.TopicMismatch{}, 1},
		{"no broker", fmt.Errorf("run: %w", &kafka.ErrNoBroker{}), 3},
		{"not allowed", fmt.Errorf("run: %w", &kafka.NotAllowed{Err: errors.New("x")}), 4},
		{"interrupted", fmt.Errorf("wait: %w", errInterrupted), 130},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := exitCode(test.err); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// invoke runs one command line in this process.
func invoke(ctx context.Context, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: environ}
	code = p.main(ctx, args)
	return code, out.String(), errs.String()
}

func TestInterruptedIs130(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errInterrupted)
	code, _, stderr := invoke(ctx, nil, "reset", "--all", "-b", "127.0.0.1:1")
	if code != exitInterrupted || stderr != "brotally: interrupted\n" {
		t.Errorf("got %d, %q", code, stderr)
	}
}

// What an error quotes may come from anywhere.
func TestErrorsDoNotCommandTheTerminal(t *testing.T) {
	code, _, stderr := invoke(context.Background(), nil, "feeds", "dns\x1b[2J\u202e")
	if want := "brotally: no feed dns\\x1b[2J\\u202e"; code != exitUsage || !strings.HasPrefix(stderr, want) {
		t.Errorf("got %d, %q", code, stderr)
	}
}

func TestPlanReset(t *testing.T) {
	cfg := kafka.Config{App: "app"}
	entries := map[string]kafka.Entry{
		"a": {Table: "a", Result: "a", Sources: map[string]kafka.Source{"dns": {Pass: "dns"}}},
		"b": {Table: "b", Result: "b-results", Sources: map[string]kafka.Source{"dns": {Pass: "dns"}, "dns2": {Pass: "dns2"}}},
		"c": {Table: "c", Result: "c", Sources: map[string]kafka.Source{"dns": {Pass: "dns.2"}}},
	}
	for _, test := range []struct {
		name  string
		reset []string
		want  *resetPlan
		err   string
	}{
		{"alone in its pass", []string{"c"}, &resetPlan{
			tables: []string{"c"}, topics: []string{"c", "app-c-partials", "app-c-table"},
			groups: []string{"app-c", "app-combine-dns.2"}, shared: map[string][]string{},
		}, ""},
		{"sharing a pass", []string{"b"}, &resetPlan{
			tables: []string{"b"}, topics: []string{"b-results", "app-b-partials", "app-b-table"},
			groups: []string{"app-b", "app-combine-dns2"}, shared: map[string][]string{"app-combine-dns": {"a"}},
		}, ""},
		{"all that share it", []string{"a", "b", "a"}, &resetPlan{
			tables: []string{"a", "b"}, topics: []string{"a", "app-a-partials", "app-a-table", "b-results", "app-b-partials", "app-b-table"},
			groups: []string{"app-a", "app-combine-dns", "app-b", "app-combine-dns2"}, shared: map[string][]string{},
		}, ""},
		{"remains", []string{"gone", "gone"}, &resetPlan{topics: []string{"app-gone-table"}, groups: []string{"app-gone"}, shared: map[string][]string{}}, ""},
		{"unknown", []string{"d"}, nil, "app app has no table d; did you mean"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := planReset(cfg, entries, map[string][]string{"gone": {"app-gone-table"}}, test.reset)
			if test.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.err) && !strings.Contains(err.Error(), "there are a, b, c") {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(resetPlan{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// An answer that came over HTTP is printed as one that did not.
func TestTypedAnswers(t *testing.T) {
	rows := &client.Rows{}
	for _, c := range []struct{ name, typ, value string }{
		{"s", "string", `"NULL"`}, {"s", "string", `null`}, {"t", "timestamp", `"2026-11-23T04:05:06.123456Z"`},
		{"old", "timestamp", `"1601-01-01T00:00:00.000001Z"`},
		{"n", "numeric", `170141183460469231731687303715884105727`}, {"u", "ubigint", `18446744073709551615`}, {"b", "bigint", `-9223372036854775808`},
		{"d", "double", `0.1`}, {"i", "interval", `1.5`}, {"a", "inet", `"2001:db8::1"`}, {"net", "subnet", `"10.0.0.0/8"`},
		{"l", "string[]", `["a",null,""]`}, {"ok", "bool", `true`},
	} {
		rows.Columns = append(rows.Columns, client.Column{Name: c.name, Type: c.typ})
		if len(rows.Values) == 0 {
			rows.Values = append(rows.Values, nil)
		}
		rows.Values[0] = append(rows.Values[0], []byte(c.value))
	}
	columns, values, err := typed(rows)
	if err != nil {
		t.Fatal(err)
	}
	if columns[4] != (output.Column{Name: "n", Type: feeds.T(feeds.Numeric)}) {
		t.Errorf("column is %v", columns[4])
	}
	var got []string
	for _, v := range values[0] {
		got = append(got, string(v.AppendJSON(nil)))
	}
	var want []string
	for _, v := range rows.Values[0] {
		want = append(want, string(v))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestBar(t *testing.T) {
	for _, test := range []struct {
		done, total int64
		width       int
		want        string
	}{
		{0, 100, 80, "reading [------------------------]   0 %  5 records"},
		{50, 100, 80, "reading [############------------]  50 %  5 records"},
		{200, 100, 80, "reading [########################] 100 %  5 records"},
		{50, 0, 80, "reading  5 records"},
		{50, 100, 12, "reading [###"},
	} {
		if got := bar("reading", test.done, test.total, "5 records", test.width); got != test.want {
			t.Errorf("bar(%d, %d, %d): got %q, want %q", test.done, test.total, test.width, got, test.want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestWithPort(t *testing.T) {
	for in, want := range map[string]string{
		"kafka": "kafka:9092", "kafka:9093": "kafka:9093", "10.0.0.1": "10.0.0.1:9092", "[::1]": "[::1]:9092", "[::1]:9093": "[::1]:9093",
	} {
		if got := withPort(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestOffsetsText(t *testing.T) {
	for _, test := range []struct {
		offsets map[int32]int64
		want    string
	}{
		{map[int32]int64{0: 7, 1: 7}, "7"}, {map[int32]int64{0: 7, 1: 8, 2: 0}, "7/8/0"}, {nil, ""},
	} {
		if got := offsetsText(test.offsets); got != test.want {
			t.Errorf("%v: got %q, want %q", test.offsets, got, test.want)
		}
	}
}

func TestRoughly(t *testing.T) {
	for records, want := range map[int64]string{1: "1 s", 4_000_000: "10 s", 100_000_000: "4 min", 4_000_000_000: "2.8 h"} {
		if got := roughly(records); got != want {
			t.Errorf("%d: got %s, want %s", records, got, want)
		}
	}
}

func TestSplitList(t *testing.T) {
	if diff := cmp.Diff([]string{"a", "b"}, splitList(" a,b ,,a")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
