// Package faults kills processes, stops them, takes their protections away, and counts afterwards: the table, the result
// topic and the views must hold exactly what was sent. It needs a real broker, see internal/testkafka.
package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/brotally/brotally/internal/testkafka"
)

// binary is the program under test, built with the faults in it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "brotally-faults-")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	path := filepath.Join(dir, "brotally")
	out, err := exec.Command("go", "build", "-tags", "faults", "-o", path, "../../cmd/brotally").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

var binaryDir string // where it was built, if it was

func TestMain(m *testing.M) {
	code := m.Run()
	if binaryDir != "" {
		_ = os.RemoveAll(binaryDir)
	}
	os.Exit(code)
}

const partitions = 4

// world is one input topic with a known truth, and an app that counts it.
type world struct {
	t       *testing.T
	brokers []string
	app     string
	topic   string
	sql     string // file with the definition
	binary  string
	client  *kgo.Client
	admin   *kadm.Client

	patience time.Duration // how long an instance may take to count what was sent

	mu    sync.Mutex // guards truth
	truth map[string]int64
	sent  atomic.Int64
}

// worlds numbers the worlds of this process, so that none meets another's topics.
var worlds atomic.Int64

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, brokers: testkafka.Brokers(t), truth: map[string]int64{}, patience: 45 * time.Second}
	var err error
	if w.binary, err = binary(); err != nil {
		t.Fatalf("build: %v", err)
	}
	w.app = fmt.Sprintf("f%d-%d", os.Getpid(), worlds.Add(1))
	w.topic = w.app + "-dns"
	w.sql = filepath.Join(t.TempDir(), "tables.sql")
	definition := fmt.Sprintf("CREATE TABLE counts WITH (topic = '%s-counts', feed_topic = '%s') AS\nSELECT id.orig_h, qtype_name, count(*) AS count, sum(trans_id) AS sum\nFROM dns GROUP BY id.orig_h, qtype_name;\n", w.app, w.topic)
	if err := os.WriteFile(w.sql, []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(w.topic))
	if err != nil {
		t.Fatal(err)
	}
	w.admin = kadm.NewClient(w.client)
	if _, err := w.admin.CreateTopic(context.Background(), partitions, 1, nil, w.topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// close deletes the world's topics: a broker that keeps those of every test gets slow.
func (w *world) close() {
	ctx := context.Background()
	if names, err := w.admin.ListTopics(ctx); err == nil {
		var ours []string
		for name := range names {
			if strings.HasPrefix(name, w.app+"-") {
				ours = append(ours, name)
			}
		}
		if _, err := w.admin.DeleteTopics(ctx, ours...); err != nil {
			w.t.Errorf("delete topics: %v", err)
		}
	}
	w.client.Close()
}

var qtypes = []string{"A", "AAAA", "PTR", "", "TXT"}

// groupOf returns the group of the i-th record, from 1.
func groupOf(i int64) (host, qtype string) {
	return fmt.Sprintf("10.1.%d.%d", i*i%7, i*31%241), qtypes[i*i%int64(len(qtypes))]
}

// truthKey is a group as the result topic's keys have it. An empty type is none.
func truthKey(host, qtype string) string {
	if qtype == "" {
		return fmt.Sprintf(`{"id.orig_h":"%s","qtype_name":null}`, host)
	}
	return fmt.Sprintf(`{"id.orig_h":"%s","qtype_name":"%s"}`, host, qtype)
}

// send sends n records, at most rate a second, and adds them to the truth when they are acknowledged.
func (w *world) send(ctx context.Context, n, rate int) error {
	const every = 20 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	batch := max(1, rate*int(every)/int(time.Second))
	var failed atomic.Pointer[error]
	for sent := 0; sent < n; {
		for range min(batch, n-sent) {
			i := w.sent.Add(1)
			host, qtype := groupOf(i)
			value := fmt.Sprintf(`{"ts":%d.5,"uid":"C%d","id.orig_h":"%s","trans_id":%d}`, 1700000000+i, i, host, i%1000)
			if qtype != "" {
				value = fmt.Sprintf(`{"ts":%d.5,"uid":"C%d","id.orig_h":"%s","trans_id":%d,"qtype_name":"%s"}`, 1700000000+i, i, host, i%1000, qtype)
			}
			key := truthKey(host, qtype)
			w.mu.Lock()
			w.truth[key+" count"]++
			w.truth[key+" sum"] += i % 1000
			w.mu.Unlock()
			w.client.Produce(ctx, &kgo.Record{Partition: int32(i % partitions), Value: []byte(value)}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
			sent++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := w.client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// instance is one process of the program.
type instance struct {
	w    *world
	name string
	cmd  *exec.Cmd
	log  string
	http string
	gone chan struct{} // closed when the process has ended
}

// start runs the program under an instance name; env are further NAME=VALUE.
func (w *world) start(name string, env ...string) *instance {
	return w.launch(name, w.sql, nil, env...)
}

// launch is start with another file of definitions and further flags.
func (w *world) launch(name, definitions string, flags []string, env ...string) *instance {
	w.t.Helper()
	i := &instance{w: w, name: name, log: filepath.Join(w.t.TempDir(), name+".log"), gone: make(chan struct{})}
	out, err := os.Create(i.log)
	if err != nil {
		w.t.Fatal(err)
	}
	args := append([]string{"run", definitions, "-b", strings.Join(w.brokers, ","), "--app", w.app, "--instance", name, "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"}, flags...)
	i.cmd = exec.Command(w.binary, args...)
	i.cmd.Env = append(os.Environ(), env...)
	i.cmd.Stdout, i.cmd.Stderr = out, out
	if err := i.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	_ = out.Close() // the process has its own
	go func() { _ = i.cmd.Wait(); close(i.gone) }()
	w.t.Cleanup(func() {
		i.kill()
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", name, tail(i.log, 40))
		}
	})
	return i
}

func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	var last []string
	for s := bufio.NewScanner(f); s.Scan(); {
		last = append(last, s.Text())
		if len(last) > lines {
			last = last[1:]
		}
	}
	return strings.Join(last, "\n")
}

func (i *instance) signal(s syscall.Signal) { _ = i.cmd.Process.Signal(s) }

// kill ends the process as kill -9 does, and waits for its end.
func (i *instance) kill() {
	i.signal(syscall.SIGKILL)
	<-i.gone
}

// stop ends the process as Ctrl-C does.
func (i *instance) stop() {
	i.w.t.Helper()
	i.signal(syscall.SIGTERM)
	select {
	case <-i.gone:
	case <-time.After(20 * time.Second):
		i.w.t.Errorf("%s does not stop", i.name)
		i.kill()
	}
}

// alive reports whether the process still runs.
func (i *instance) alive() bool {
	select {
	case <-i.gone:
		return false
	default:
		return true
	}
}

// logged reports whether the log has a line with all the texts.
func (i *instance) logged(texts ...string) bool {
	f, err := os.Open(i.log)
	if err != nil {
		return false
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
lines:
	for s.Scan() {
		for _, text := range texts {
			if !strings.Contains(s.Text(), text) {
				continue lines
			}
		}
		return true
	}
	return false
}

// eventually waits until check is true.
func (w *world) eventually(what string, patience time.Duration, check func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		if check() {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// address returns where the instance serves HTTP, once it says so.
func (i *instance) address() string {
	if i.http != "" {
		return i.http
	}
	f, err := os.Open(i.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if _, after, ok := strings.Cut(s.Text(), "http://127.0.0.1:"); ok {
			port := after[:strings.IndexFunc(after+" ", func(r rune) bool { return r < '0' || r > '9' })]
			i.http = "http://127.0.0.1:" + port
		}
	}
	return i.http
}

// view returns the table as the instance's HTTP shows it, nil as long as it does not.
func (i *instance) view() map[string]int64 {
	addr := i.address()
	if addr == "" {
		return nil
	}
	res, err := http.Get(addr + "/api/v1/tables/counts/rows?limit=100000&format=ndjson")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil
	}
	got := map[string]int64{}
	dec := json.NewDecoder(res.Body)
	for {
		var row struct {
			Host  string  `json:"id.orig_h"`
			QType *string `json:"qtype_name"`
			Count int64   `json:"count"`
			Sum   int64   `json:"sum"`
		}
		if err := dec.Decode(&row); err == io.EOF {
			return got
		} else if err != nil {
			return nil
		}
		qtype := "null"
		if row.QType != nil {
			qtype = strconv.Quote(*row.QType)
		}
		key := fmt.Sprintf(`{"id.orig_h":"%s","qtype_name":%s}`, row.Host, qtype)
		got[key+" count"], got[key+" sum"] = row.Count, row.Sum
	}
}

// result reads the result topic, committed records only: the last value of each key.
func (w *world) result() map[string]int64 {
	w.t.Helper()
	got := map[string]int64{}
	w.read(w.app+"-counts", kgo.ReadCommitted(), func(r *kgo.Record) {
		var row struct{ Count, Sum int64 }
		if err := json.Unmarshal(r.Value, &row); err != nil {
			w.t.Fatalf("%s %s: %v", r.Key, r.Value, err)
		}
		got[string(r.Key)+" count"], got[string(r.Key)+" sum"] = row.Count, row.Sum
	})
	return got
}

// read calls fn for every record of a topic up to where it ends now.
func (w *world) read(topic string, level kgo.IsolationLevel, fn func(*kgo.Record), opts ...kgo.Opt) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := w.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	// Control records are kept so that the end is seen also where the last offset is a marker.
	opts = append(opts, kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			w.t.Fatalf("read %s: %v (left %v)", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() || level == kgo.ReadUncommitted() {
				fn(r)
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
}

// aborted returns how many transactions were rolled back on the world's topics: one per topic and partition they touched.
func (w *world) aborted() (n int) {
	w.t.Helper()
	for _, topic := range []string{w.app + "-counts-partials", w.app + "-counts-table", w.app + "-counts"} {
		w.read(topic, kgo.ReadUncommitted(), func(r *kgo.Record) {
			if r.Attrs.IsControl() && len(r.Key) >= 4 && r.Key[2] == 0 && r.Key[3] == 0 {
				n++
			}
		})
	}
	return n
}

// truthNow returns what was sent so far.
func (w *world) truthNow() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.truth)
}

// exact waits until the instance's view has everything that was sent, then compares view and result topic with the truth.
func (w *world) exact(i *instance) {
	w.t.Helper()
	if diff := w.settle(i); diff != "" {
		w.t.Fatalf("not exact after %d records (-sent +counted):\n%s", w.sent.Load(), diff)
	}
}

// verified has the program count the tables anew, and compare.
func (w *world) verified() {
	w.t.Helper()
	out, err := exec.Command(w.binary, "verify", "--all", "-b", strings.Join(w.brokers, ","), "--app", w.app).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	w.t.Logf("%s", out)
}

// settle waits until the instance has counted all that was sent, and a moment longer if it does not seem right; it returns
// what differs.
func (w *world) settle(i *instance) (diff string) {
	w.t.Helper()
	truth := w.truthNow()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(w.patience); time.Now().Before(end); <-tick.C {
		if cmp.Equal(i.view(), truth) {
			break
		}
		if !i.alive() {
			return i.name + " has ended: " + tail(i.log, 2)
		}
	}
	if d := difference(truth, i.view()); d != "" {
		diff += "view of " + i.name + ": " + d
	}
	if d := difference(truth, w.result()); d != "" {
		diff += "result topic: " + d
	}
	return diff
}

// difference describes how got differs from want, briefly.
func difference(want, got map[string]int64) string {
	var sumWant, sumGot int64
	wrong := 0
	for k, v := range want {
		if strings.HasSuffix(k, "count") {
			sumWant += v
		}
		if got[k] != v {
			wrong++
		}
	}
	for k, v := range got {
		if strings.HasSuffix(k, "count") {
			sumGot += v
		}
		if _, ok := want[k]; !ok {
			wrong++
		}
	}
	if wrong == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d cells differ, counted %d of %d\n", wrong, len(want), sumGot, sumWant)
}
