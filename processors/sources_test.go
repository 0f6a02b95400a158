package processors_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/processors"
)

// progress returns what one partition of a table says of a source.
func (p *pipeline) progress(definition, topic string, partition int32) codecs.Progress {
	p.t.Helper()
	store := p.settled(p.compile(definition)[0], nil)
	rows, _ := store.Partition(0)
	return rows.Progress()[codecs.Source{Topic: topic, Partition: partition}]
}

// TestRetentionWon removes records before they were read: while nothing runs, before anything ran, and under the hands of
// a reader that is stuck. What is gone is counted and said, the rest is exact.
func TestRetentionWon(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 200)...)
	r := p.run(notebook, nil)
	p.exact(notebook, nil)
	r.stop()

	// While nothing runs: 100 records of partition 0 are read, 60 more come and are gone.
	p.produce("dns", 1, office(1, 60)...)
	before := p.latest("dns_counts")
	p.must(p.broker.Cluster().DeleteRecords("dns", 0, 160))
	p.produce("dns", 1, dns("192.0.2.1", "A"))
	r = p.run(notebook, nil)
	until(t, "the record behind the gap is counted", func() bool {
		return p.latest("dns_counts")[`{"id.orig_h":"192.0.2.1","qtype_name":"A"}`] != ""
	})
	before[`{"id.orig_h":"192.0.2.1","qtype_name":"A"}`] = `{"id.orig_h":"192.0.2.1","qtype_name":"A","count":1}`
	if diff := cmp.Diff(before, p.latest("dns_counts")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r.says("ERROR", "records are gone", "topic=dns", "partition=0", "offsets=60")
	if have := p.progress(notebook, "dns", 0); have.Counts.Lost != 60 || have.Counts.Read != 101 || have.Upto != 161 {
		t.Errorf("progress of dns/0 is %+v, want 60 lost, 101 read, up to 161", have)
	}

	// Under a reader's hands: it cannot fetch, then what it wants next is gone.
	stuck := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "dns", Partitions: []int32{0}, Err: kerr.NotLeaderForPartition, Count: -1})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.must(stuck.Wait(ctx, 1))
	p.produce("dns", 1, office(2, 40)...)
	p.must(p.broker.Cluster().DeleteRecords("dns", 0, 171))
	stuck.Remove()
	p.produce("dns", 1, dns("192.0.2.2", "A"))
	until(t, "the partition is read on", func() bool { return p.progress(notebook, "dns", 0).Upto == 202 })
	if have := p.progress(notebook, "dns", 0); have.Counts.Lost != 70 || have.Counts.Read != 132 {
		t.Errorf("progress of dns/0 is %+v, want 70 lost, 132 read", have)
	}
	r.says("ERROR", "records are gone", "topic=dns", "partition=0", "offsets=10")
	r.stop()
}

// TestRetentionBeforeTheFirstCommit: a table that was to begin at offset 0 begins later; what it missed is lost.
func TestRetentionBeforeTheFirstCommit(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 50)...)
	stuck := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "test-combine-dns", Err: kerr.CoordinatorNotAvailable, Count: -1})
	r := p.run(notebook, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.must(stuck.Wait(ctx, 1)) // the catalog has the start
	p.must(p.broker.Cluster().DeleteRecords("dns", 0, 20))
	stuck.Remove()
	p.exact(notebook, nil)
	if have := p.progress(notebook, "dns", 0); have.Counts.Lost != 20 || have.Counts.Read != 30 {
		t.Errorf("progress is %+v, want 20 lost, 30 read", have)
	}
	r.stop()
}

// TestStarts begins behind the newest record, and at a time. They stay where they began, also when they are read together.
func TestStarts(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	old, fresh := time.Now().Add(-2*time.Hour), time.Now()
	at := func(when time.Time, values []string) {
		for i, v := range values {
			if _, _, err := p.producer.SendMessage(&sarama.ProducerMessage{Topic: "dns", Partition: int32(i % 2), Value: sarama.StringEncoder(v), Timestamp: when}); err != nil {
				t.Fatal(err)
			}
		}
	}
	at(old, office(0, 20))
	at(fresh, office(1, 30))
	const (
		all    = notebook
		latest = `CREATE TABLE latest WITH (start = 'latest') AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;`
		hour   = `CREATE TABLE hour WITH (start = '-1 hour') AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;`
		twin   = `CREATE TABLE twin WITH (start = 'latest') AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY id.orig_h;`
	)
	behind := func(offset int64) starts { return starts{"dns": {0: offset, 1: offset}} }
	r := p.run(all+latest+hour+twin, nil)
	p.exact(all, nil)
	p.exact(hour, behind(10))
	p.produce("dns", 2, office(2, 40)...)
	p.exact(latest+twin, behind(25))
	p.exact(hour, behind(10))
	until(t, "all read through one pass", func() bool { return p.passes("dns") == 1 })
	r.stop()
	for name, from := range map[string]int64{"dns_counts": 0, "hour": 10, "latest": 25, "twin": 25} {
		if diff := cmp.Diff(map[int32]int64{0: from, 1: from}, p.entries()[name].Sources["dns"].Start); diff != "" {
			t.Errorf("%s started elsewhere (-want +got):\n%s", name, diff)
		}
	}
	p.produce("dns", 2, office(3, 40)...)
	p.run(all+latest+hour+twin, nil)
	p.exact(all, nil)
	p.exact(hour, behind(10))
	p.exact(latest+twin, behind(25))
}

// TestPartitionsAreAdded to a source: they are counted from their beginning, also for a table that began behind.
func TestPartitionsAreAdded(t *testing.T) {
	t.Parallel()
	const latest = `CREATE TABLE latest WITH (start = 'latest') AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;`
	p := newPipeline(t)
	p.kafka.Properties["metadata.max.age.ms"] = "1000"
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 50)...)
	r := p.run(notebook+latest, nil)
	p.exact(notebook, nil)
	admin, err := saramaAdmin(p)
	p.must(err)
	p.must(admin.CreatePartitions("dns", 4, nil, false))
	p.refresh("dns")
	p.produce("dns", 4, office(1, 50)...)
	p.exact(notebook, nil)
	p.exact(latest, starts{"dns": {0: 25, 1: 25}})
	r.stop()
	p.produce("dns", 4, office(2, 50)...)
	p.run(notebook+latest, nil)
	p.exact(notebook, nil)
	p.exact(latest, starts{"dns": {0: 25, 1: 25}})
}

// TestATopicMadeAnewWhileItIsRead ends the processors: its offsets mean other records.
func TestATopicMadeAnewWhileItIsRead(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.kafka.Properties["metadata.max.age.ms"] = "1000"
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 50)...)
	r := p.run(notebook, nil)
	p.exact(notebook, nil)
	p.must(p.broker.Cluster().DeleteTopic("dns"))
	p.topic("dns", 1)
	p.produce("dns", 1, office(1, 200)...)
	if err := r.wait(); err == nil || !strings.Contains(err.Error(), "has counted topic dns with id") {
		t.Errorf("it ended with %v, want a *Refusal", err)
	}
}

// TestATableAddedLater reads all of its feed in a pass of its own; the others are not read again. When it has caught up it is read
// together with them, also after a restart.
func TestATableAddedLater(t *testing.T) {
	t.Parallel()
	const hosts = `CREATE TABLE hosts AS SELECT id.orig_h, count(*) AS n FROM dns WHERE qtype_name = 'A' GROUP BY id.orig_h;`
	const types = `CREATE TABLE types AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;`
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(notebook+hosts, nil)
	p.exact(notebook+hosts, nil)
	r.stop()
	p.produce("dns", 2, office(1, 100)...)
	r = p.run(types+hosts+notebook, nil)
	p.exact(notebook+hosts+types, nil)
	// 100 new ones in the old pass, all 200 in the new one; fewer if they became one before both stood at the end, for what is
	// left is read once then. None is read again.
	until(t, "the new table's records are committed", func() bool { return r.processors.Records() >= 200 })
	if n := r.processors.Records(); n > 300 {
		t.Errorf("%d records were read, want 300 at most", n)
	}
	r.stop()
	r = p.run(notebook+hosts+types, nil)
	until(t, "all read through one pass", func() bool { return p.passes("dns") == 1 })
	r.stop()
	r = p.run(notebook+hosts+types, nil)
	p.produce("dns", 2, office(2, 100)...)
	p.exact(notebook+hosts+types, nil)
	r.stop()
	if n := r.processors.Records(); n != 100 {
		t.Errorf("%d records were read after the restart, want each once", n)
	}
}

// passes returns through how many passes a topic is read; none is about to become another one.
func (p *pipeline) passes(topic string) int {
	p.t.Helper()
	all := map[string]bool{}
	for _, e := range p.entries() {
		if source := e.Sources[topic]; source.Merge == "" {
			all[source.Pass] = true
		} else {
			return 0
		}
	}
	return len(all)
}

// TestAFeedOfSeveralTopics with different numbers of partitions, one of them called like another one's second pass.
func TestAFeedOfSeveralTopics(t *testing.T) {
	t.Parallel()
	const (
		both = `CREATE TABLE both WITH (feed_topic = 'a,a.2') AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;`
		one  = `CREATE TABLE one WITH (feed_topic = 'a') AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;`
	)
	p := newPipeline(t)
	p.topic("a", 1)
	p.topic("a.2", 3)
	p.produce("a", 1, office(0, 30)...)
	p.produce("a.2", 3, office(1, 60)...)
	r := p.run(both, nil)
	p.exact(both, nil)
	r.stop()
	r = p.run(both+one, nil) // it must not join the group that reads a.2
	p.produce("a", 1, office(2, 30)...)
	p.produce("a.2", 3, office(3, 60)...)
	p.exact(both+one, nil)
	r.stop()
	if got := p.entries()["both"].Partitions; got != 3 {
		t.Errorf("the table has %d partitions, want as many as the larger topic", got)
	}
}

// TestTwoFeedsInOneTopic, as Bro's plugin writes it with tags: each table sees its own feed's records.
func TestTwoFeedsInOneTopic(t *testing.T) {
	t.Parallel()
	const (
		names = `CREATE TABLE names WITH (feed_topic = 'bro') AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY id.orig_h;`
		flows = `CREATE TABLE flows WITH (feed_topic = 'bro') AS SELECT id.orig_h, sum(orig_bytes) AS bytes FROM conn GROUP BY id.orig_h;`
		more  = `CREATE TABLE more WITH (feed_topic = 'bro') AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;`
	)
	p := newPipeline(t)
	p.topic("bro", 2)
	var tagged []string
	for i := range 60 {
		host := fmt.Sprintf("10.0.0.%d", i%7)
		tagged = append(tagged, `{"dns": `+dns(host, "A")+`}`, `{"conn": `+conn(host)+`}`)
	}
	p.produce("bro", 2, tagged...)
	r := p.run(names+flows+more, nil)
	p.exact(names+flows+more, nil)
	r.stop()
	e := p.entries()
	if a, b, c := e["names"].Sources["bro"].Pass, e["flows"].Sources["bro"].Pass, e["more"].Sources["bro"].Pass; a == b || a != c {
		t.Errorf("passes are %s, %s, %s; want one for dns, one for conn", a, b, c)
	}
}

// TestOffsetsThatSomebodyMoved are noticed before anything is counted twice or passed over.
func TestOffsetsThatSomebodyMoved(t *testing.T) {
	for _, c := range []struct {
		name  string
		move  func(p *pipeline)
		again string
	}{
		{"back", func(p *pipeline) {
			p.must(p.admin.CommitOffsets("test-combine-dns", map[string]map[int32]int64{"dns": {0: 5}}))
		}, "offsets [5, 50) of dns/0 came a second time"},
		{"on", func(p *pipeline) {
			p.must(p.admin.CommitOffsets("test-combine-dns", map[string]map[int32]int64{"dns": {0: 60}}))
		}, "offsets [50, 60) of dns/0 never came"},
		{"away", func(p *pipeline) { p.must(p.admin.DeleteGroups("test-combine-dns")) }, "offsets [0, 50) of dns/0 came a second time"},
		{"away for stage 2", func(p *pipeline) { p.must(p.admin.DeleteGroups("test-dns_counts")) }, "offsets [0, 50) of dns/0 came a second time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 1)
			p.produce("dns", 1, office(0, 50)...)
			r := p.run(notebook, nil)
			p.exact(notebook, nil)
			r.stop()
			before := p.latest("dns_counts")
			p.produce("dns", 1, office(1, 50)...)
			c.move(p)
			err := p.run(notebook, nil).wait()
			if _, ok := err.(*processors.Refusal); !ok || !strings.Contains(err.Error(), c.again) {
				t.Fatalf("it ended with %v, want a *Refusal with %q", err, c.again)
			}
			if diff := cmp.Diff(before, p.latest("dns_counts")); diff != "" {
				t.Errorf("the table changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestAMixedTopicWithoutTags: a record that does not say what it is goes to the table whose feed its names tell. A table
// that was made when the topic was its feed's alone goes on as it was made, and that is said.
func TestAMixedTopicWithoutTags(t *testing.T) {
	t.Parallel()
	const (
		names = `CREATE TABLE names WITH (feed_topic = 'sensor') AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY id.orig_h;`
		flows = `CREATE TABLE flows WITH (feed_topic = 'sensor') AS SELECT id.orig_h, count(*) AS n FROM conn GROUP BY id.orig_h;`
		other = `CREATE TABLE other WITH (feed_topic = 'sensor') AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY id.orig_h;`
	)
	p := newPipeline(t)
	p.topic("sensor", 1)
	p.produce("sensor", 1, dns("10.0.0.1", "A"), dns("10.0.0.1", "A"))
	r := p.run(names, nil)
	p.exact(names, nil)
	r.stop()
	r = p.run(names+flows+other, nil)
	p.produce("sensor", 1, conn("10.0.0.1"), dns("10.0.0.2", "A"))
	want := map[string]map[string]string{
		"names": {"10.0.0.1": `{"id.orig_h":"10.0.0.1","n":3}`, "10.0.0.2": `{"id.orig_h":"10.0.0.2","n":1}`},
		"flows": {"10.0.0.1": `{"id.orig_h":"10.0.0.1","n":1}`},
		"other": {"10.0.0.1": `{"id.orig_h":"10.0.0.1","n":2}`, "10.0.0.2": `{"id.orig_h":"10.0.0.2","n":1}`},
	}
	for _, table := range p.compile(names + flows + other) {
		p.settled(table, map[codecs.Source]int64{{Topic: "sensor", Partition: 0}: 4})
		if diff := cmp.Diff(want[table.Name], p.latest(table.Name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table.Name, diff)
		}
	}
	r.stop()
	for name, warned := range map[string]bool{"names": true, "flows": false, "other": false} {
		if r.log.has("the topic carries other feeds now", "table="+name) != warned {
			t.Errorf("%s: warned is %v, want %v", name, !warned, warned)
		}
	}
	e := p.entries()
	for name, mixed := range map[string]bool{"names": false, "flows": true, "other": true} {
		if e[name].Sources["sensor"].Mixed != mixed {
			t.Errorf("%s: mixed is %v, want %v", name, !mixed, mixed)
		}
	}
}
