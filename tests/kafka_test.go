package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/internal/testkafka"
)

// TestNotebookOnARealBroker does the notebook's job on a real broker, as a user would: replay the m57 logs, run the table,
// read the result topic with Kafka's own console consumer and with the example readers in Go, Java and Python. Each of
// them must end with DuckDB's counts.
func TestNotebookOnARealBroker(t *testing.T) {
	brokers := testkafka.Brokers(t)
	data := testdata.Dir(t)
	app := fmt.Sprintf("notebook-%d", os.Getpid())
	input, result := app+"-dns", app+"-counts"
	t.Cleanup(func() { deleteTopics(t, brokers, app) })

	run(t, brotally(t, "replay", "dns="+filepath.Join(data, "logs", "tsv", "m57", "dns.log.gz"), "-b", brokers[0], "--feed", "dns="+input, "--create-topics", "4"))

	definition := filepath.Join(t.TempDir(), "tables.sql")
	text := fmt.Sprintf("CREATE TABLE dns_counts WITH (topic = '%s') AS\nSELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name;\n", result)
	if err := os.WriteFile(definition, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	running := brotally(t, "run", definition, "-b", brokers[0], "--app", app, "--feed", "dns="+input, "--listen", "127.0.0.1:0")
	var log bytes.Buffer
	running.Stderr = &log
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = running.Process.Signal(os.Interrupt)
		err := running.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() != 130 {
			t.Errorf("run ended with %v:\n%s", err, log.String())
		}
	})

	want := map[string]string{}
	for _, row := range readCSV(t, filepath.Join(data, "truth", "m57", "q01_dns_count_by_orig_qtype.csv"))[1:] {
		qtype := "null"
		if row[1] != `\N` {
			b, err := json.Marshal(row[1])
			if err != nil {
				t.Fatal(err)
			}
			qtype = string(b)
		}
		group := fmt.Sprintf(`"id.orig_h":"%s","qtype_name":%s`, row[0], qtype)
		want["{"+group+"}"] = fmt.Sprintf(`{%s,"count":%s}`, group, row[2])
	}
	awaitResult(ctx, t, brokers, result, want)

	libs := filepath.Join(filepath.Dir(filepath.Dir(testkafka.Tool(t, "kafka-console-consumer"))), "libs", "*")
	for name, cmd := range map[string]*exec.Cmd{
		"kafka-console-consumer": exec.Command(testkafka.Tool(t, "kafka-console-consumer"), "--bootstrap-server", brokers[0], "--topic", result,
			"--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", "5000", "--formatter-property", "print.key=true"),
		"Go":     exec.Command("go", "run", "../examples/consumers/go", "-b", brokers[0], "-topic", result),
		"Java":   exec.Command("java", "-Dstdout.encoding=UTF-8", "-cp", libs, "../examples/consumers/java/ResultTable.java", brokers[0], result, "3000"),
		"Python": exec.Command(pythonWith(t, "confluent-kafka==2.12.1"), "../examples/consumers/python/result_table.py", brokers[0], result),
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for line := range strings.Lines(run(t, cmd)) {
				if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
					got[key] = value // the last value of each key
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the last value of each key is not DuckDB's count (-want +got):\n%s", diff)
			}
			t.Logf("%d keys, all equal", len(got))
		})
	}
}

// run runs a command to its end and returns its standard output.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.Bytes())
	}
	return string(out)
}

// awaitResult waits until the result topic holds the table.
func awaitResult(ctx context.Context, t *testing.T, brokers []string, topic string, want map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := map[string]string{}
	for !maps.Equal(want, got) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("the table is not there after a minute (-want +got):\n%s", cmp.Diff(want, got))
		}
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Key)] = string(r.Value) })
	}
}

// deleteTopics deletes the topics of one test.
func deleteTopics(t *testing.T, brokers []string, prefix string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	names, err := admin.ListTopics(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	ours := slices.DeleteFunc(names.Names(), func(n string) bool { return !strings.HasPrefix(n, prefix) })
	if _, err := admin.DeleteTopics(context.Background(), ours...); err != nil {
		t.Error(err)
	}
}

// pythonWith returns a Python that has the package, in a virtual environment that is kept for the next time.
func pythonWith(t *testing.T, pkg string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "brotally", "python-"+strings.ReplaceAll(pkg, "==", "-"))
	python := filepath.Join(dir, "bin", "python")
	if exec.Command(python, "-m", "pip", "show", "-q", strings.Split(pkg, "==")[0]).Run() == nil {
		return python
	}
	run(t, exec.Command("python3", "-m", "venv", dir))
	run(t, exec.Command(python, "-m", "pip", "install", "-q", pkg))
	return python
}
