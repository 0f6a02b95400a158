package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/internal/testdata"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// go-metrics keeps one goroutine for all meters, Sarama makes the first of them.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// cluster is a broker and what a test asks it.
type cluster struct {
	t      *testing.T
	broker *broker.Broker
	cfg    kafka.Config
	admin  *kafka.Admin
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	b := broker.StartTest(t)
	c := &cluster{t: t, broker: b, cfg: kafka.Config{Brokers: b.Addrs(), Instance: "test"}}
	admin, err := kafka.NewAdmin(context.Background(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.admin = admin
	t.Cleanup(func() {
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// read returns the values of a topic by partition, and fails the test if one has a key.
func (c *cluster) read(topic string) map[int32][]string {
	c.t.Helper()
	found, err := c.admin.Describe(topic)
	if err != nil {
		c.t.Fatal(err)
	}
	all := map[int32][]string{}
	for p := range found[topic].Partitions {
		r, err := kafka.NewReader(c.t.Context(), kafka.ReaderConfig{Client: c.admin.Client(), Topic: topic, Partition: p})
		if err != nil {
			c.t.Fatal(err)
		}
		_, err = r.Recover(c.t.Context(), func(_ int64, key, value []byte, _ int64) error {
			if key != nil {
				return fmt.Errorf("key %q", key)
			}
			all[p] = append(all[p], string(value))
			return nil
		})
		if err := errors.Join(err, r.Close()); err != nil {
			c.t.Fatal(err)
		}
	}
	return all
}

// messages returns all values of a topic, sorted.
func (c *cluster) messages(topic string) []string {
	c.t.Helper()
	var all []string
	for _, values := range c.read(topic) {
		all = append(all, values...)
	}
	slices.Sort(all)
	return all
}

// write makes a file in a folder of the test's and returns its path; a name that ends in .gz is packed.
func write(t *testing.T, name, text string) string {
	t.Helper()
	content := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		content = pack(t, text)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func pack(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tsv is a log with the given path of count records, a second apart from ts on.
func tsv(path string, ts, count int) string {
	var b strings.Builder
	b.WriteString("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n")
	if path != "" {
		b.WriteString("#path\t" + path + "\n")
	}
	b.WriteString("#fields\tts\tid.orig_h\tnote\n#types\ttime\taddr\tstring\n")
	for i := range count {
		fmt.Fprintf(&b, "%d.000000\t10.0.0.%d\t-\n", ts+i, i)
	}
	b.WriteString("#close\t2026-11-23-00-00-00\n")
	return b.String()
}

// tsvMessages is what that log is on Kafka, sorted.
func tsvMessages(ts, count int) []string {
	var all []string
	for i := range count {
		all = append(all, fmt.Sprintf(`{"ts":%d.0,"id.orig_h":"10.0.0.%d"}`, ts+i, i))
	}
	slices.Sort(all)
	return all
}

func TestRunSendsFiles(t *testing.T) {
	c := newCluster(t)
	sum, err := replay.Run(t.Context(), replay.Config{
		Kafka: c.cfg,
		Files: []string{
			write(t, "dns.2026-11-23.log.gz", tsv("dns", 100, 10)),
			write(t, "dns.log", tsv("dns", 200, 3)),
			write(t, "flows.log", tsv("conn", 50, 4)),                                      // #path says it
			"http=" + write(t, "conn.log", tsv("conn", 10, 2)),                             // the user says it
			write(t, "ssl.ndjson", "{\"ts\": 1.5, \"uid\": \"C1\"}\n{\"ts\":2,\"uid\":2}"), // its name says it
			write(t, "all.json", `{"_path":"weird","ts":3}`+"\n"+`{"files": {"ts":4}}`+"\n"),
			"-",
		},
		Stdin:        strings.NewReader(tsv("smtp", 7, 5)),
		CreateTopics: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string][]string{
		"dns":   slices.Concat(tsvMessages(100, 10), tsvMessages(200, 3)),
		"conn":  tsvMessages(50, 4),
		"http":  tsvMessages(10, 2),
		"smtp":  tsvMessages(7, 5),
		"ssl":   {`{"ts": 1.5, "uid": "C1"}`, `{"ts":2,"uid":2}`},
		"weird": {`{"_path":"weird","ts":3}`},
		"files": {`{"files": {"ts":4}}`},
	} {
		if diff := cmp.Diff(want, c.messages(topic)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", topic, diff)
		}
		for p, sent := range sum.Sent[topic] {
			if got := int64(len(c.read(topic)[p])); sent.Records != got || sent.End != got {
				t.Errorf("%s/%d has %d records, summary says %+v", topic, p, got, sent)
			}
		}
	}
	if sum.Records != 28 || sum.Bad != 0 {
		t.Errorf("%d records and %d bad lines, want 28 and 0", sum.Records, sum.Bad)
	}
	if got := len(c.read("dns")); got != 4 {
		t.Errorf("dns lies in %d partitions, want all 4", got)
	}
	var records []int64
	for _, f := range sum.Files {
		records = append(records, f.Records)
	}
	if diff := cmp.Diff([]int64{10, 3, 4, 2, 2, 2, 5}, records); diff != "" {
		t.Errorf("records by file:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"weird": 1, "files": 1}, sum.Files[5].Feeds); diff != "" {
		t.Errorf("feeds of all.json:\n%s", diff)
	}
}

// TestRunSendsWhatThePluginSent compares the m57 logs, replayed, with the messages that an independent converter made of
// the same files.
func TestRunSendsWhatThePluginSent(t *testing.T) {
	data := testdata.Dir(t)
	c := newCluster(t)
	var files []string
	for _, feed := range []string{"dns", "http", "ssl", "smtp", "ftp"} {
		files = append(files, filepath.Join(data, "logs/tsv/m57", feed+".log.gz"))
	}
	sum, err := replay.Run(t.Context(), replay.Config{Kafka: c.cfg, Files: files, CreateTopics: 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, feed := range []string{"dns", "http", "ssl", "smtp", "ftp"} {
		want := unpackLines(t, filepath.Join(data, "logs/kafka/m57", feed+".ndjson.gz"))
		if diff := cmp.Diff(want, c.messages(feed)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%.2000s", feed, diff)
		}
	}
	if sum.Bad != 0 {
		t.Errorf("%d bad lines: %v", sum.Bad, sum.Files)
	}
}

func unpackLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	slices.Sort(lines)
	return lines
}

func TestRunTagged(t *testing.T) {
	c := newCluster(t)
	_, err := replay.Run(t.Context(), replay.Config{
		Kafka: c.cfg,
		Files: []string{
			write(t, "dns.log", tsv("dns", 100, 2)),
			write(t, "x.json", `{"conn":{"ts":1},"site":"a"}`+"\n"+`{"_path":"http","ts":2}`+"\n"+` { "id" : {"orig_h":"::1"}, "_path":"ssl" }`),
		},
		Topic: "bro", Tagged: true, CreateTopics: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"conn":{"ts":1},"site":"a"}`,
		`{"dns": {"ts":100.0,"id.orig_h":"10.0.0.0"}}`,
		`{"dns": {"ts":101.0,"id.orig_h":"10.0.0.1"}}`,
		`{"http": {"_path":"http","ts":2}}`,
		`{"ssl": { "id" : {"orig_h":"::1"}, "_path":"ssl" }}`,
	}
	if diff := cmp.Diff(want, c.messages("bro")); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

func TestRunMergesFeedsByTime(t *testing.T) {
	c := newCluster(t)
	_, err := replay.Run(t.Context(), replay.Config{
		Kafka: c.cfg,
		Files: []string{
			write(t, "dns.log", tsv("dns", 10, 3)),
			write(t, "conn.1.log", tsv("conn", 11, 1)),
			write(t, "conn.2.log", tsv("conn", 9, 1)), // of the same feed: after the one before
			write(t, "http.json", `{"ts":11.5,"n":1}`+"\n"+`{"n":2}`+"\n"+`{"ts":99,"n":3}`),
		},
		Topics: map[string]string{"dns": "one", "conn": "one", "http": "one"}, CreateTopics: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"ts":10.0,"id.orig_h":"10.0.0.0"}`,
		`{"ts":11.0,"id.orig_h":"10.0.0.1"}`,
		`{"ts":11.0,"id.orig_h":"10.0.0.0"}`,
		`{"ts":9.0,"id.orig_h":"10.0.0.0"}`,
		`{"ts":11.5,"n":1}`,
		`{"n":2}`,
		`{"ts":12.0,"id.orig_h":"10.0.0.2"}`,
		`{"ts":99,"n":3}`,
	}
	if diff := cmp.Diff(want, c.read("one")[0]); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

func TestRunGoesOnBehindBadLines(t *testing.T) {
	c := newCluster(t)
	large := `{"ts":5,"query":"` + strings.Repeat("x", 2_000_000) + `"}`
	var last replay.Progress
	sum, err := replay.Run(t.Context(), replay.Config{
		Kafka: c.cfg,
		Files: []string{
			write(t, "dns.json", "{\"ts\":1}\nnot json\n{\"ts\":2\n"+large+"\n[]\n\n{\"ts\":3}\n{}x\n{\n{\n"),
			write(t, "conn.log", tsv("conn", 1, 2)+"1.0\ttoo few\n"),
			write(t, "odd.json", `{"_path":"ok","ts":1}`+"\n"+`{"_path":"../no topic","ts":2}`+"\n"+`{"ts":3}`),
		},
		CreateTopics: 2,
		Progress:     func(p replay.Progress) { last = p },
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{"ts":1}`, `{"ts":3}`}, c.messages("dns")); diff != "" {
		t.Errorf("dns differs:\n%s", diff)
	}
	if sum.Records != 2+2+3 || sum.Bad != 7+1 {
		t.Errorf("%d records and %d bad lines, want 7 and 8: %+v", sum.Records, sum.Bad, sum.Files)
	}
	if last.Sent != 7 || last.Bad != 8 || last.Bytes != last.Total || last.Total != sum.Bytes {
		t.Errorf("last progress %+v, summary %d bytes", last, sum.Bytes)
	}
	if got := sum.Files[0].Reasons; len(got) != 5 || !strings.HasPrefix(got[0], "line 2: ") ||
		got[2] != "line 4: 2000019 bytes, more than a record of 1000000 bytes can hold (message.max.bytes)" {
		t.Errorf("reasons: %q", got)
	}
	if diff := cmp.Diff([]string{"line 11: 2 columns, the header has 3"}, sum.Files[1].Reasons); diff != "" {
		t.Error(diff)
	}
	// Its name says what a line of odd.json is whose _path cannot.
	if diff := cmp.Diff(map[string]int64{"ok": 1, "odd": 2}, sum.Files[2].Feeds); diff != "" {
		t.Error(diff)
	}
}

func TestRunReadsWhatIsLeftOfBrokenFiles(t *testing.T) {
	c := newCluster(t)
	whole := pack(t, tsv("dns", 100, 5000))
	torn := filepath.Join(t.TempDir(), "dns.log.gz")
	if err := os.WriteFile(torn, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	sum, err := replay.Run(t.Context(), replay.Config{
		Kafka:        c.cfg,
		Files:        []string{torn, write(t, "dns.2.log", tsv("dns", 1, 3)), write(t, "conn.zst", "\x28\xb5\x2f\xfd")},
		CreateTopics: 2,
	})
	if err == nil || !strings.Contains(err.Error(), torn) || !strings.Contains(err.Error(), "unexpected EOF") || !strings.Contains(err.Error(), "zstd") {
		t.Errorf("got %v", err)
	}
	if sum.Files[0].Records < 1000 || sum.Files[0].Err == nil || sum.Files[1].Records != 3 || sum.Files[2].Err == nil {
		t.Errorf("%+v", sum.Files)
	}
	if got := int64(len(c.messages("dns"))); got != sum.Records {
		t.Errorf("%d records in dns, summary says %d", got, sum.Records)
	}
}

func TestRunRefuses(t *testing.T) {
	c := newCluster(t)
	none := kafka.Config{Brokers: []string{"127.0.0.1:1"}, Instance: "test"}
	dns := write(t, "dns.log", tsv("dns", 1, 3))
	unnamed := write(t, "a log.json", `{"ts":1}`)
	missing := filepath.Join(t.TempDir(), "dns.log")
	for name, tc := range map[string]struct {
		cfg  replay.Config
		want func(error) bool
	}{
		"missing file": {replay.Config{Kafka: none, Files: []string{dns, "conn=" + missing}}, func(err error) bool {
			return errors.Is(err, os.ErrNotExist) && strings.Contains(err.Error(), missing)
		}},
		"folder": {replay.Config{Kafka: none, Files: []string{filepath.Dir(dns)}}, func(err error) bool {
			return strings.Contains(err.Error(), "is a folder")
		}},
		"standard input twice": {replay.Config{Kafka: none, Files: []string{"-", "conn=-"}, Stdin: strings.NewReader("")}, func(err error) bool {
			return strings.Contains(err.Error(), "only once")
		}},
		"unknown feed": {replay.Config{Kafka: none, Files: []string{unnamed}}, func(err error) bool {
			var e *replay.NoFeed
			return errors.As(err, &e) && err.Error() == unnamed+": cannot tell which feed it is: say it, as in dns="+unnamed
		}},
		"unknown feed of standard input": {replay.Config{Kafka: none, Files: []string{"-"}, Stdin: strings.NewReader(`{"ts":1}`)}, func(err error) bool {
			return err.Error() == "standard input: cannot tell which feed it is: say it, as in dns=-"
		}},
		"nobody answers": {replay.Config{Kafka: none, Files: []string{dns}}, func(err error) bool {
			var e *kafka.ErrNoBroker
			return errors.As(err, &e)
		}},
		"missing topic": {replay.Config{Kafka: c.cfg, Files: []string{dns}}, func(err error) bool {
			var e *replay.MissingTopic
			return errors.As(err, &e) && e.Topic == "dns"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			sum, err := replay.Run(t.Context(), tc.cfg)
			if err == nil || !tc.want(err) {
				t.Errorf("got %v", err)
			}
			if sum.Records != 0 {
				t.Errorf("%d records sent", sum.Records)
			}
		})
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	sum, err := replay.Run(ctx, replay.Config{
		Kafka: c.cfg,
		Files: []string{write(t, "dns.log", tsv("dns", 1000, 500))},
		Speed: 20, CreateTopics: 4,
		Progress: func(p replay.Progress) {
			if p.Sent >= 4 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if sum.Records < 4 || sum.Records > 100 {
		t.Errorf("%d records sent", sum.Records)
	}
	if got := int64(len(c.messages("dns"))); got != sum.Records {
		t.Errorf("%d records in dns, summary says %d", got, sum.Records)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestRunKeepsTheRate(t *testing.T) {
	c := newCluster(t)
	sum, err := replay.Run(t.Context(), replay.Config{
		Kafka: c.cfg, Files: []string{write(t, "dns.log", tsv("dns", 1000, 301))}, Rate: 1000, CreateTopics: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Records != 301 || sum.Elapsed < 300*time.Millisecond {
		t.Errorf("%d records in %v, want 301 in at least 300 ms", sum.Records, sum.Elapsed)
	}
}

// TestSendAgainIsOnce has the broker refuse batches, and take some and say that it did not.
func TestSendAgainIsOnce(t *testing.T) {
	c := newCluster(t)
	produce := []kmsg.Key{kmsg.Produce}
	faults := c.broker.Cluster().Fault(
		kfake.Fault{Keys: produce, Partitions: []int32{0}, Err: kerr.NotLeaderForPartition, Count: 3},
		kfake.Fault{Keys: produce, Partitions: []int32{1}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 3},
		kfake.Fault{Keys: produce, Partitions: []int32{2}, Err: kerr.RequestTimedOut, Count: 3},
	)
	s, err := replay.NewSender(t.Context(), replay.SenderConfig{Kafka: c.cfg, CreateTopics: 3})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 5000 {
		value := fmt.Sprintf("%06d", i)
		want = append(want, value)
		if err := s.Send(t.Context(), "dns", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.messages("dns")); diff != "" {
		t.Errorf("differs (-want +got):\n%.1000s", diff)
	}
	if hits := faults.Hits(); hits < 9 {
		t.Errorf("%d of 9 faults happened", hits)
	}
	for p, sent := range s.Sent()["dns"] {
		if got := int64(len(c.read("dns")[p])); sent.Records != got || sent.End != got {
			t.Errorf("dns/%d has %d records, the sender says %+v", p, got, sent)
		}
	}
}

func TestSenderSaysWhyItFailed(t *testing.T) {
	c := newCluster(t)
	s, err := replay.NewSender(t.Context(), replay.SenderConfig{Kafka: c.cfg, CreateTopics: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	if err := s.Send(t.Context(), "dns", []byte("x")); err != nil {
		t.Fatal(err)
	}
	err = s.Flush(t.Context())
	var denied *kafka.NotAllowed
	if !errors.As(err, &denied) || denied.What != "Write on topic dns" {
		t.Errorf("flush: %v", err)
	}
	if err := s.Close(); !errors.As(err, &denied) {
		t.Errorf("close: %v", err)
	}
	if got := s.Sent(); len(got) != 0 {
		t.Errorf("sent: %v", got)
	}
}

func TestSenderGivesUpWithItsContext(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := replay.NewSender(ctx, replay.SenderConfig{Kafka: c.cfg, CreateTopics: 1})
	if err != nil {
		t.Fatal(err)
	}
	held, release := broker.HoldTest(c.broker, kmsg.Produce)
	defer release()
	if err := s.Send(ctx, "dns", []byte("x")); err != nil {
		t.Fatal(err)
	}
	<-held
	cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("flush: %v", err)
	}
	began := time.Now()
	if err := s.Close(); err == nil {
		t.Error("closed as if all had been delivered")
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("close took %v", took)
	}
}
