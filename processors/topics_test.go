package processors_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
)

const logins = `CREATE TABLE talkers AS SELECT id.orig_h, count(*) AS n, sum(orig_bytes) AS bytes FROM conn GROUP BY id.orig_h;`

// conn returns a conn record.
func conn(host string) string {
	return `{"ts": 1575413122.764317, "uid": "C3", "id.orig_h": "` + host + `", "orig_bytes": 17}`
}

// TestATableWaitsForItsTopic: the others run meanwhile. It waits as well when it is known and its topic is gone.
func TestATableWaitsForItsTopic(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 50)...)
	r := p.run(notebook+logins, nil)
	p.exact(notebook, nil)
	r.says("WARN", "waiting for an input topic", "table=talkers", "topics=conn")
	if names := p.names(); slices.Contains(names, "talkers") || slices.Contains(names, "conn") {
		t.Errorf("topics were made for a table that waits, or for its feed: %v", names)
	}

	p.topic("conn", 3)
	p.produce("conn", 3, conn("10.0.0.1"), conn("10.0.0.2"), conn("10.0.0.1"))
	p.exact(logins, nil)
	p.produce("dns", 2, office(1, 50)...)
	p.exact(notebook, nil)
	r.stop()

	if err := p.broker.Cluster().DeleteTopic("conn"); err != nil {
		t.Fatal(err)
	}
	r = p.run(notebook+logins, nil)
	p.produce("dns", 2, office(2, 50)...)
	p.exact(notebook, nil)
	r.says("WARN", "waiting for an input topic", "tables=talkers", "topics=conn")
	if n := r.log.count("waiting for an input topic"); n != 1 {
		t.Errorf("it was said %d times within a minute", n)
	}
	// A topic of that name is another topic: its offsets begin anew.
	p.topic("conn", 3)
	var refused *processors.Refusal
	if err := r.wait(); !errors.As(err, &refused) || refused.Table != "talkers" || !strings.Contains(refused.WayOut, "brotally reset talkers") {
		t.Errorf("it ended with %v, want a *Refusal for talkers with the way out", err)
	}
}

// TestRefusals: before anything is made.
func TestRefusals(t *testing.T) {
	const wider = `CREATE TABLE dns_counts WITH (partitions = 7) AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name;`
	compacted := map[string]string{"cleanup.policy": "compact"}
	for _, c := range []struct {
		name     string
		before   string // what ran before
		prepare  func(p *pipeline)
		run      string
		why, out string // pieces of the error; of a Refusal's way out or a TopicMismatch's command
	}{
		{name: "more partitions than the result topic has", before: notebook, run: wider, why: "cannot have 7 partitions: its result topic dns_counts has 4", out: "WITH (topic"},
		{name: "a result topic of somebody else's", prepare: func(p *pipeline) { p.topic("dns_counts", 4) }, run: notebook, why: "topic dns_counts, which exists and is not ours", out: "WITH (topic"},
		{name: "rows from before", prepare: func(p *pipeline) { p.topic("test-dns_counts-table", 4) }, run: logins + notebook,
			why: "test-dns_counts-table from before", out: "brotally reset dns_counts"},
		{name: "a topic made anew", before: notebook, prepare: func(p *pipeline) {
			p.must(p.broker.Cluster().DeleteTopic("dns"))
			p.topic("dns", 4)
			p.produce("dns", 4, office(0, 400)...)
		}, run: notebook, why: "has counted topic dns with id", out: "brotally reset dns_counts"},
		{name: "two tables with one result topic", run: notebook + `CREATE TABLE x WITH (topic = 'dns_counts') AS SELECT count(*) AS n FROM dns;`,
			why: "table x would write to topic dns_counts, which has the result of table dns_counts", out: "WITH (topic"},
		{name: "a result topic that another table reads", run: logins + `CREATE TABLE x WITH (topic = 'conn') AS SELECT count(*) AS n FROM dns;`,
			why: "topic conn, which has the records of table talkers", out: "WITH (topic"},
		{name: "a result topic that is the catalog", run: `CREATE TABLE x WITH (topic = 'test-catalog') AS SELECT count(*) AS n FROM dns;`, why: "which has the catalog", out: "WITH (topic"},
		{name: "a name that is a pass's", run: `CREATE TABLE "combine-dns" AS SELECT count(*) AS n FROM dns;`, why: "consumer group", out: "another name"},
		{name: "wrong partitions of a topic of ours", before: notebook, prepare: func(p *pipeline) {
			p.must(p.broker.Cluster().DeleteTopic("test-dns_counts-table"))
			p.must(p.broker.Cluster().CreateTopic("test-dns_counts-table", 3, compacted))
		}, run: notebook + logins, why: "test-dns_counts-table: partitions is 3, not 4", out: "kafka-topics"},
		{name: "wrong cleanup policy of a result topic", before: notebook, prepare: func(p *pipeline) { p.configure("dns_counts", "cleanup.policy", "delete") },
			run: notebook + logins, why: "dns_counts: cleanup.policy is delete, not compact", out: "kafka-configs"},
		{name: "wrong retention of the partials", before: notebook, prepare: func(p *pipeline) { p.configure("test-dns_counts-partials", "retention.ms", "3600000") },
			run: notebook + logins, why: "test-dns_counts-partials: retention.ms is 3600000, not -1", out: "kafka-configs"},
		{name: "wrong policy of the dead-letter topic", prepare: func(p *pipeline) { p.topic("test-dead-letter", 1) }, run: notebook,
			why: "test-dead-letter: cleanup.policy is delete", out: "kafka-configs"},
		{name: "a lost result topic", before: notebook, prepare: func(p *pipeline) { p.must(p.broker.Cluster().DeleteTopic("dns_counts")) }, run: notebook,
			why: "has lost its topic dns_counts", out: "brotally reset dns_counts"},
		{name: "a lost changelog", before: notebook, prepare: func(p *pipeline) { p.must(p.broker.Cluster().DeleteTopic("test-dns_counts-table")) }, run: notebook,
			why: "has lost its topic test-dns_counts-table", out: "brotally reset dns_counts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 4)
			p.topic("conn", 4)
			if c.before != "" {
				p.produce("dns", 4, office(0, 20)...)
				p.produce("conn", 1, conn("10.0.0.1"))
				r := p.run(c.before, nil)
				p.exact(c.before, nil)
				r.stop()
			}
			if c.prepare != nil {
				c.prepare(p)
			}
			names, entries := p.names(), p.entries()
			err := p.run(c.run, nil).wait()
			var refused *processors.Refusal
			var mismatch *kafka.TopicMismatch
			out := ""
			switch {
			case errors.As(err, &refused):
				out = refused.WayOut
			case errors.As(err, &mismatch):
				out = mismatch.Mend
			default:
				t.Fatalf("it ended with %v, want *Refusal or *TopicMismatch", err)
			}
			if !strings.Contains(err.Error(), c.why) || !strings.Contains(out, c.out) {
				t.Errorf("error %q, way out %q; want %q and %q in them", err, out, c.why, c.out)
			}
			if diff := cmp.Diff(names, p.names()); diff != "" {
				t.Errorf("topics (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(entries, p.entries()); diff != "" {
				t.Errorf("catalog (-before +after):\n%s", diff)
			}
		})
	}
}

func (p *pipeline) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// configure changes a setting of a topic.
func (p *pipeline) configure(topic, name, value string) {
	p.t.Helper()
	admin, err := saramaAdmin(p)
	p.must(err)
	p.must(admin.AlterConfig(2, topic, map[string]*string{name: &value}, false)) // 2: of a topic
}

// TestBeginsAgainAfterAHalfStart: making the topics fails after the catalog was written. The next start makes the rest.
func TestBeginsAgainAfterAHalfStart(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 4)
	p.produce("dns", 4, office(0, 50)...)
	fault := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "test-dns_counts-table", Err: kerr.PolicyViolation, Count: -1})
	if err := p.run(notebook, nil).wait(); err == nil || !strings.Contains(err.Error(), "create topic test-dns_counts-table") {
		t.Fatalf("it ended with %v, though a topic could not be made", err)
	}
	if len(p.entries()) != 1 {
		t.Fatalf("the catalog has %v", p.entries())
	}
	fault.Remove()
	p.run(notebook, nil)
	p.exact(notebook, nil)
}

// TestStopsWhileItBegins: an end that was asked for is no error, at whatever point it comes.
func TestStopsWhileItBegins(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.DescribeConfigs, kmsg.ListOffsets, kmsg.InitProducerID, kmsg.CreateTopics, kmsg.JoinGroup, kmsg.OffsetFetch} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 4)
			p.produce("dns", 4, office(0, 50)...)
			r := p.run(notebook, nil)
			seen := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Observe: true})
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			p.must(seen.Wait(ctx, 1))
			r.stop()
			p.run(notebook, nil)
			p.exact(notebook, nil)
		})
	}
}

// TestATableWithoutGroupByHasItsRow, also over no records at all, and has one only.
func TestATableWithoutGroupByHasItsRow(t *testing.T) {
	t.Parallel()
	const all = `CREATE TABLE everything WITH (partitions = 3) AS SELECT count(*) AS n, max(query) AS last FROM dns;`
	p := newPipeline(t)
	p.topic("dns", 4)
	r := p.run(all, nil)
	r.says("session begins", "group=test-everything")
	until(t, "the row is there", func() bool { return len(p.latest("everything")) > 0 })
	if diff := cmp.Diff(map[string]string{"{}": `{"n":0,"last":null}`}, p.latest("everything")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p.latest("test-everything-table") // no record without a key
	r.stop()
	p.run(all, nil)
	p.produce("dns", 4, `{"ts": 1.0, "query": "www.example.com"}`, `{"ts": 2.0}`)
	p.exact(all, nil)
	if diff := cmp.Diff(map[string]string{"{}": `{"n":2,"last":"www.example.com"}`}, p.latest("everything")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestStopsWhileNobodyAnswers: a broker that takes connections and says nothing holds up nobody who wants to stop.
func TestStopsWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	p.must(err)
	defer func() { _ = silent.Close() }()
	p.kafka.Brokers = []string{silent.Addr().String()}
	r := p.run(notebook, nil)
	if _, err := silent.Accept(); err != nil {
		t.Fatal(err)
	}
	r.stop()
}
