package processors_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
)

const (
	t0 = "CREATE TABLE t0 AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;\n"
	t1 = "CREATE TABLE t1 AS SELECT qtype_name, count(*) AS m FROM dns GROUP BY qtype_name;\n"
)

// trickle makes an instance read a record a commit and partition.
func trickle(c *processors.Config) {
	c.CommitRecords, c.CommitMin, c.CommitMax = 1, 50*time.Millisecond, time.Second
}

// slowTransactions makes the broker take its time over the end of each transaction.
func (p *pipeline) slowTransactions(each time.Duration) {
	c := p.broker.Cluster()
	c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { time.Sleep(each) })
		return nil, nil, false
	})
}

// merged waits until a table that came later reads dns through one pass with all others, and nothing is left of the former ones.
func (p *pipeline) merged(table string) {
	p.t.Helper()
	until(p.t, table+" is read together with the others", func() bool {
		entries := p.entries()
		source := entries[table].Sources["dns"]
		for _, e := range entries {
			if e.Sources["dns"].Pass != source.Pass || len(e.Retired) > 0 {
				return false
			}
		}
		return source.From != nil
	})
}

// copiedOnce waits until the stream has a record for each that it copies, and checks that it has no more.
func (p *pipeline) copiedOnce() {
	p.t.Helper()
	_, counts, _ := p.fold(p.compile("CREATE TABLE c AS SELECT count(*) AS n FROM dns WHERE qtype_name <> 'PTR';")[0], []string{"dns"}, nil)
	want := int64(0)
	for _, c := range counts {
		want += c.Counted
	}
	var have []record
	until(p.t, "all is copied", func() bool { have = p.read("copies", nil); return int64(len(have)) >= want })
	times := map[string]int{}
	for _, r := range have {
		times[string(r.key)]++
	}
	if int64(len(have)) != want || len(times) != len(have) {
		p.t.Errorf("the stream has %d records of %d, want %d", len(have), len(times), want)
	}
}

// TestPassesMergeAgainBeforeAllTakePart: a table that has come further than the others of its pass keeps its place when that
// becomes one with a third.
func TestPassesMergeAgainBeforeAllTakePart(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 2000)...)
	r := p.run(notebook, withStreams(t, copies))
	p.exact(notebook, nil)
	r.stop()
	r = p.run(notebook+t0, withStreams(t, copies, trickle))
	p.merged("t0")
	pass := p.entries()["t0"].Sources["dns"].Pass
	until(t, "the pass has committed", func() bool {
		committed, err := p.admin.CommittedOffsets(p.kafka.CombineGroup(pass))
		return err == nil && len(committed["dns"]) > 0
	})
	r.stop()
	r = p.run(notebook+t0+t1, withStreams(t, copies, trickle))
	p.merged("t1")
	r.stop()
	if e := p.entries(); e["dns_counts"].Sources["dns"].From[0] != 2000 || e["t0"].Sources["dns"].From[0] >= 2000 {
		t.Fatalf("the catalog has %+v", e)
	}
	p.run(notebook+t0+t1, withStreams(t, copies))
	p.exact(notebook+t0+t1, nil)
	p.copiedOnce()
}

// TestDeadLettersOfMergedPasses: a pass that began later has not written those that lie before its beginning.
func TestDeadLettersOfMergedPasses(t *testing.T) {
	t.Parallel()
	const late = "CREATE TABLE late WITH (start = 'latest') AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY qtype_name;\n"
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 300)...)
	r := p.run(notebook, trickle)
	r.counts(5)
	r.stop()
	r = p.run(notebook+late, trickle)
	p.merged("late")
	r.stop()
	p.run(notebook+late, nil)
	p.produce("dns", 1, office(1, 50)...)
	p.exact(notebook, nil)
	p.exact(late, starts{"dns": {0: 300}})
	_, counts, _ := p.fold(p.compile(notebook)[0], []string{"dns"}, nil)
	bad := counts[codecs.Source{Topic: "dns"}].DeadLettered
	letters := map[string]bool{}
	for _, r := range p.read("test-dead-letter", nil) {
		letters[string(r.key)] = true
	}
	if int64(len(letters)) != bad {
		t.Errorf("%d records are dead letters, want %d", len(letters), bad)
	}
}

// TestRetentionOvertakesAMergedPass: each of its tables lacks what it had not read, no more.
func TestRetentionOvertakesAMergedPass(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"some", "all"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 1)
			p.produce("dns", 1, office(0, 2000)...)
			r := p.run(notebook, withStreams(t, copies))
			p.exact(notebook, nil)
			p.copiedOnce()
			copied, rows := len(p.read("copies", nil)), p.latest("dns_counts")
			r.stop()
			p.slowTransactions(10 * time.Millisecond)
			r = p.run(notebook+t0, withStreams(t, copies, trickle))
			p.merged("t0")
			r.stop()
			gone := int64(2000)
			if name == "some" {
				gone = (gone + p.progress(t0, "dns", 0).Upto) / 2
			}
			p.must(p.admin.DeleteRecords("dns", map[int32]int64{0: gone}))
			r = p.run(notebook+t0, withStreams(t, copies))
			source := codecs.Source{Topic: "dns"}
			for _, table := range p.compile(notebook + t0) {
				p.settled(table, map[codecs.Source]int64{source: 2000})
			}
			if c := p.progress(t0, "dns", 0).Counts; c.Read+c.Lost != 2000 || c.Lost == 0 {
				t.Errorf("t0 has read %d and lost %d of 2000, %d removed", c.Read, c.Lost, gone)
			}
			if c := p.progress(notebook, "dns", 0).Counts; c.Read != 2000 || c.Lost != 0 {
				t.Errorf("dns_counts has read %d and lost %d of 2000", c.Read, c.Lost)
			}
			// All that comes from now on counts, once.
			p.produce("dns", 1, dns("10.9.9.9", "MX"))
			for _, table := range p.compile(notebook + t0) {
				p.settled(table, map[codecs.Source]int64{source: 2001})
			}
			rows[`{"id.orig_h":"10.9.9.9","qtype_name":"MX"}`] = `{"id.orig_h":"10.9.9.9","qtype_name":"MX","count":1}`
			if diff := cmp.Diff(rows, p.latest("dns_counts")); diff != "" {
				t.Errorf("dns_counts (-want +got):\n%s", diff)
			}
			if n := len(p.read("copies", nil)); n != copied+1 {
				t.Errorf("the stream has %d records, want %d", n, copied+1)
			}
			r.goesOn()
		})
	}
}

// TestPartitionsAreAddedWhilePassesMerge: all read them from their beginning.
func TestPartitionsAreAddedWhilePassesMerge(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 2000)...)
	r := p.run(notebook, withStreams(t, copies))
	p.exact(notebook, nil)
	r.stop()
	// Nobody sees that the first pass has stopped.
	unseen := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Group: p.kafka.CombineGroup("dns"), Err: kerr.CoordinatorLoadInProgress, Count: -1})
	r = p.run(notebook+t0, withStreams(t, copies, trickle))
	until(t, "they are to be one", func() bool { return p.entries()["t0"].Sources["dns"].Merge != "" })
	admin, err := saramaAdmin(p)
	p.must(err)
	p.must(admin.CreatePartitions("dns", 3, nil, false))
	p.refresh("dns")
	p.produce("dns", 3, office(2, 300)...)
	unseen.Remove()
	p.merged("t0")
	r.stop()
	p.run(notebook+t0, withStreams(t, copies))
	p.produce("dns", 3, office(3, 300)...)
	p.exact(notebook+t0, nil)
	p.copiedOnce()
}

// TestBothOfAStoppedMergeMoveTheirResults: what waits for the passes to be one does not keep them from it.
func TestBothOfAStoppedMergeMoveTheirResults(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	both := showing("one", "x", "a") + showing("two", "y", "b")
	r := p.run(both, nil)
	p.becomes(both)
	r.stop()
	catalog, err := kafka.OpenCatalog(p.admin, p.kafka)
	p.must(err)
	p.must(catalog.Update(context.Background(), func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		stopped := map[string]*kafka.Entry{}
		for name, e := range entries {
			e.Sources = maps.Clone(e.Sources)
			source := e.Sources["dns"]
			source.Merge = "dns.7"
			e.Sources["dns"] = source
			stopped[name] = &e
		}
		return stopped, nil
	}))
	after := showing("one", "x2", "a") + showing("two", "y2", "b")
	p.run(after, approve)
	p.becomes(after)
	p.produce("dns", 2, office(1, 100)...)
	p.exact(after, nil)
}

// TestWhoMayNotDelete goes on, and says what is left.
func TestWhoMayNotDelete(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(v1, nil)
	p.exact(v1, nil)
	r.stop()
	p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteGroups}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	r = p.run(v1+notebook, nil)
	r.says("passes became one")
	r.says("cannot be done yet", "Delete")
	p.produce("dns", 2, office(1, 100)...)
	p.exact(v1+notebook, nil)
	r.goesOn()
}

// showing defines a table of hosts: what its count is called, and which topic has its results, are no matter of its rows.
func showing(name, topic, count string) string {
	return fmt.Sprintf("CREATE TABLE %s WITH (topic = '%s') AS SELECT id.orig_h, count(*) AS %s FROM dns GROUP BY id.orig_h;\n", name, topic, count)
}
