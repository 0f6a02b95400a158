package main

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/brotally/brotally/internal/testkafka"
)

// program builds the benchmark and returns how to run it.
func program(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "bench")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		return cmd
	}
}

// TestQuickBenchmark runs the whole benchmark, short: all its parts, whose counts it checks itself, and the report.
func TestQuickBenchmark(t *testing.T) {
	brokers, bench, dir := testkafka.Brokers(t), program(t), t.TempDir()
	out, err := bench("-brokers", brokers[0], "-records", "20000", "-runs", "1", "-rates", "500", "-seconds", "500ms", "-out", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "20*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("results %v, %v\n%s", files, err, out)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if again, err := r.write(dir); err != nil || again != strings.TrimSuffix(files[0], ".json")+"-2.md" {
		t.Errorf("a second report is %s, %v", again, err)
	}
	got := map[string]int{}
	for _, m := range r.Measurements {
		if len(m.Values) == 0 {
			t.Errorf("%s of %s, %s: no figures", m.Name, m.Part, m.Title)
		}
		for name, v := range m.Values {
			if v < 0 || v == 0 && name != usedCores {
				t.Errorf("%s of %s, %s: %v %s", m.Name, m.Part, m.Title, v, name)
			}
		}
		got[m.Part]++
	}
	want := map[string]int{"throughput": 3, "latency": 2, "lookups": 9, "restore": 1, "members": 3, "many": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("measurements (-want +got):\n%s\n%s", diff, out)
	}
	written, err := os.ReadFile(strings.TrimSuffix(files[0], "json") + "md")
	if err != nil || string(written) != r.markdown() {
		t.Errorf("the Markdown is not the report's: %v\n%s", err, written)
	}
}

// TestAWrongCountFailsTheBenchmark: the backlog has as many records as it should, but other ones.
func TestAWrongCountFailsTheBenchmark(t *testing.T) {
	brokers, start := testkafka.Brokers(t), program(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b := &bench{brokers: brokers[0], admin: kadm.NewClient(client)}
	l := dnsLaw(1000)
	other := l
	other.seed++
	if err := b.fill(t.Context(), other, l.topic()); err != nil {
		t.Fatal(err)
	}
	cmd := start("-brokers", brokers[0], "-records", "1000", "-parts", "throughput", "-topics", "dns", "-out", t.TempDir())
	out, err := cmd.CombinedOutput()
	app := "bench" + strconv.Itoa(cmd.Process.Pid) + "-brotally-1"
	t.Cleanup(func() {
		if err := b.forget(context.Background(), app); err != nil {
			t.Error(err)
		}
	})
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "brotally's result topic is not exact: ") {
		t.Errorf("%v, want exit status 1 and the difference\n%s", err, out)
	}
}

// TestLawsCountTheirRecords: the counts that everything is checked against are those of the records, and the same each time.
func TestLawsCountTheirRecords(t *testing.T) {
	for _, l := range []law{dnsLaw(20_000), wideLaw(20_000), rowsLaw(3000), groupsLaw(20_000, 10), groupsLaw(20_000, 20_000), groupsLaw(20_001, 7013)} {
		t.Run(l.topic(), func(t *testing.T) {
			t.Parallel()
			counted := map[string]int64{}
			hosts := map[string]bool{}
			fill, at, size := l.filler(), firstRecord, 0
			for c := range l.choices() {
				at += fill.gap()
				msg := fill.append(nil, at, hostName(c.host), qtypes[c.qtype])
				var record struct {
					Host  string `json:"id.orig_h"`
					QType string `json:"qtype_name"`
				}
				if err := json.Unmarshal(msg, &record); err != nil {
					t.Fatalf("%s: %v", msg, err)
				}
				counted[groupOf(record.Host, record.QType)]++
				hosts[record.Host] = true
				size += len(msg)
			}
			if diff := cmp.Diff(counted, l.counts()); diff != "" {
				t.Errorf("counts (-of the records +of the law):\n%s", diff)
			}
			if mean := size / l.records; mean < 390 || mean > 480 {
				t.Errorf("a record has %d bytes", mean)
			}
			if l.wide && len(hosts) != l.hosts || l.unique && len(counted) != l.records || l.groups > 0 && len(counted) != l.groups {
				t.Errorf("%d hosts of %d, %d groups", len(hosts), l.hosts, len(counted))
			}
		})
	}
}

func TestHostsAreDistinct(t *testing.T) {
	names := map[string]int{}
	for i := range 300_000 {
		name := hostName(i)
		if other, ok := names[name]; ok {
			t.Fatalf("%d and %d are both %s", other, i, name)
		}
		names[name] = i
	}
}

// TestWrongCountsFail: one record too many, too few, in another group, or in one that is not there.
func TestWrongCountsFail(t *testing.T) {
	want := map[string]int64{"a|A": 3, "b|": 1, "c|TXT": 7}
	if err := difference("it", want, maps.Clone(want)); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		name   string
		change func(map[string]int64)
		says   string
	}{
		{"twice", func(m map[string]int64) { m["a|A"]++ }, "1 of 3 groups differ, +1 records in all: a|A has 4, want 3"},
		{"lost", func(m map[string]int64) { delete(m, "b|") }, "1 of 3 groups differ, -1 records in all: b| has 0, want 1"},
		{"elsewhere", func(m map[string]int64) { m["a|A"]--; m["c|TXT"]++ }, "2 of 3 groups differ, +0 records in all"},
		{"out of nothing", func(m map[string]int64) { m["d|A"] = 1 }, "d|A has 1, want 0"},
	} {
		got := maps.Clone(want)
		tt.change(got)
		if err := difference("it", want, got); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

func TestSlope(t *testing.T) {
	at := func(seconds float64, sum int64) point {
		return point{time.Unix(0, 0).Add(time.Duration(seconds * float64(time.Second))), sum}
	}
	past := []point{at(0, 0), at(5, 100), at(6, 200), at(7, 400), at(7.5, 400), at(8, 700), at(10, 1000), at(20, 1000)}
	if got, ok := slope(past, 1000); !ok || got != 200 {
		t.Errorf("%v %v, want 800 records in 4 s", got, ok)
	}
	if got, ok := slope(past[5:], 1000); ok {
		t.Errorf("%v of two steps", got)
	}
}

func TestReport(t *testing.T) {
	r := report{Date: "2026-01-02", Commit: "abc", Command: "make bench", Machine: []string{"2 cores"}}
	for run, n := range []float64{1_000_000, 3_000_000, 2_000_000} {
		r.Measurements = append(r.Measurements, measurement{"throughput", "dns", "brotally", run + 1, values{perSecond: n, cpuPerMillion: 1.5}},
			measurement{"throughput", "dns", "other", run + 1, values{perSecond: n / 4}})
	}
	want := `dns (3 runs)

| | records/s end to end | ratio | least to most | CPU s per million |
|---|---:|---:|---:|---:|
| brotally | 2,000,000 | 1.00 | 1,000,000 to 3,000,000 | 1.50 |
| other | 500,000 | 0.25 | 250,000 to 750,000 | - |
`
	if got := r.markdown(); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

func TestFlags(t *testing.T) {
	c, err := parse([]string{"-records", "200000", "-parts", "latency many", "-peers", "goka", "-axes", "tables groups"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{[]string{"latency", "many"}, []string{"goka"}, 40_000, 3 * time.Second, []int{500, 20_000}, []string{"tables", "groups"}, "docs/images"}, []any{c.Parts, c.Peers, c.Rows, c.Sustain, c.Rates, c.Axes, c.Charts}); diff != "" {
		t.Error(diff)
	}
	for _, args := range [][]string{{"-parts", "speed"}, {"-peers", "mysql"}, {"-topics", "conn"}, {"-axes", "height"}, {"-rates", "0"}, {"-records", "10"}, {"-runs", "0"}, {"dns"}, {"-rows", "2000000"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}
