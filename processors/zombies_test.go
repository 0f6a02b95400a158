package processors_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
)

// heldUp runs an instance that stops between reading the catalog and doing what it says, see [processors.Processors.Arranging],
// until it is let go. From the start of its stages on it hears of nothing new in the catalog until hear is called.
func (p *pipeline) heldUp(at, definitions string, configure func(*processors.Config)) (r *running, letGo, hear func()) {
	p.t.Helper()
	there, goOn, heard := make(chan struct{}), make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() {
		close(there)
		<-goOn
	})
	p.prepare = func(x *processors.Processors) {
		x.Arranging(func(what string) {
			if what == at {
				once()
			}
		})
	}
	r = p.run(definitions, func(c *processors.Config) {
		configure(c)
		c.Arranged = func([]string) { <-heard }
	})
	p.prepare = nil
	letGo, hear = sync.OnceFunc(func() { close(goOn) }), sync.OnceFunc(func() { close(heard) })
	p.t.Cleanup(func() {
		letGo()
		hear()
	})
	until(p.t, "it is held up", func() bool {
		select {
		case <-there:
			return true
		default:
			return false
		}
	})
	return r, letGo, hear
}

// TestAZombieOfAMergedPass: an instance that read the catalog before passes became one reads nothing through the old ones.
func TestAZombieOfAMergedPass(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 400)...)
	old := p.run(notebook, withStreams(t, copies, instance("old")))
	p.exact(notebook, nil)
	zombie, letGo, hear := p.heldUp("stages", notebook, withStreams(t, copies, instance("zombie")))
	old.stop()
	old = p.run(notebook+t0, withStreams(t, copies, instance("old")))
	p.merged("t0")
	letGo()
	zombie.says("group=test-combine-dns ", "the catalog has changed")
	hear()
	p.shared(p.kafka.CombineGroup(p.entries()["t0"].Sources["dns"].Pass), 2, 2)
	p.produce("dns", 2, office(1, 100)...)
	p.exact(notebook+t0, nil)
	p.copiedOnce()
	old.goesOn()
	zombie.goesOn()
}

// TestAZombieOfAReplacedTable: an instance that read the catalog before a table was replaced makes nothing of the old one again.
func TestAZombieOfAReplacedTable(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"topics", "stages"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 2)
			p.produce("dns", 2, office(0, 400)...)
			old := p.run(v1, instance("old"))
			p.exact(v1, nil)
			zombie, letGo, hear := p.heldUp(at, v1, instance("zombie"))
			old.stop()
			old = p.run(v2, instance("old"))
			p.becomes(v2)
			letGo()
			if at == "stages" { // else it starts none
				zombie.says("group=test-hosts ", "test-hosts-partials: requested topic was not found")
				zombie.says("group=test-combine-dns ", "the catalog has changed")
			}
			hear()
			p.shared("test-hosts.2", 2, 2)
			p.produce("dns", 2, office(1, 100)...)
			p.exact(v2, nil)
			old.goesOn()
			zombie.goesOn()
			for _, name := range p.names() {
				if strings.HasPrefix(name, "test-hosts-") {
					t.Errorf("topic %s is there again", name)
				}
			}
		})
	}
}

// TestAnInstanceThatHasNotHeardOfTheSecondOfTwoChanges: it writes no results of the second definition once those of the third one
// are there.
func TestAnInstanceThatHasNotHeardOfTheSecondOfTwoChanges(t *testing.T) {
	t.Parallel()
	const v3 = `CREATE TABLE hosts AS SELECT qtype_name, count(*) AS n, min(ts) AS first FROM dns GROUP BY qtype_name;`
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(v1, nil)
	p.exact(v1, nil)
	r.stop()
	// What the first change leaves behind is not deleted yet, so that the second one finds it.
	kept := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteTopics}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	arranged, goOn := 0, make(chan struct{})
	deaf := p.run(v2, func(c *processors.Config) {
		c.Kafka.Instance = "deaf"
		c.Arranged = func([]string) {
			if arranged++; arranged == 2 { // the second definition has taken the first one's place
				<-goOn
			}
		}
	})
	letGo := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(letGo)
	shows := func(definition string) func() bool {
		table := p.compile(definition)[0]
		return func() bool {
			want, _, _ := p.fold(table, table.FeedTopics(), nil)
			return maps.Equal(want, p.latest("hosts"))
		}
	}
	until(t, "the second definition is shown", func() bool { return p.entries()["hosts"].Generation == 1 && shows(v2)() })
	young := p.run(v3, instance("young"))
	until(t, "the third definition takes its place", func() bool { return p.entries()["hosts"].Generation == 2 })
	outdated := []string{"group=test-hosts.2", "the catalog has changed"}
	deaf.says(outdated...) // for its share grew when the young one left the group
	admin, err := saramaAdmin(p)
	p.must(err)
	until(t, "the third definition is shown", func() bool {
		// Which waits for a while until the deaf one's place in the group is free.
		_, _ = admin.RemoveMemberFromConsumerGroup("test-hosts.2", []string{"test-hosts.2-deaf"})
		return shows(v3)()
	})
	tried := deaf.log.count(outdated...)
	until(t, "the deaf one has tried again", func() bool { return deaf.log.count(outdated...) > tried })
	p.produce("dns", 2, office(1, 100)...)
	until(t, "the third definition is shown still", shows(v3))
	letGo()
	kept.Remove()
	p.becomes(v3)
	p.shared("test-hosts.3", 2, 2)
	p.produce("dns", 2, office(2, 100)...)
	p.exact(v3, nil)
	deaf.goesOn()
	young.goesOn()
}

// TestAWaitingTableBringsNothingElse: when a topic appears that a table of an instance waits for, only that table begins. What
// others have brought meanwhile is not dropped, and no reason to end.
func TestAWaitingTableBringsNothingElse(t *testing.T) {
	t.Parallel()
	const waits = "CREATE TABLE w AS SELECT id.orig_h, count(*) AS n FROM conn GROUP BY id.orig_h;\n"
	for name, approved := range map[string]bool{"approved": true, "not approved": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 2)
			p.produce("dns", 2, office(0, 100)...)
			old := p.run(v1+waits, func(c *processors.Config) { c.Kafka.Instance, c.Approve = "old", approved })
			p.exact(v1, nil)
			young := p.run(v1+notebook+waits, instance("young"))
			p.becomes(v1 + notebook)
			young.stop() // so that it is the old one that brings w
			p.topic("conn", 1)
			p.produce("conn", 1, dns("10.0.0.1", ""))
			p.exact(v1+notebook+waits, nil)
			if got := slices.Sorted(maps.Keys(p.entries())); !slices.Equal(got, []string{"dns_counts", "hosts", "w"}) || p.entries()["dns_counts"].Dropped {
				t.Errorf("the catalog has %v", got)
			}
			old.goesOn()
		})
	}
}

// TestOthersFollowWhenATopicIsAdded to what a table reads: they read it, too, from where it has something.
func TestOthersFollowWhenATopicIsAdded(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	for i, topic := range []string{"dns", "dns2"} {
		p.topic(topic, 2)
		p.produce(topic, 2, office(i, 100)...)
	}
	p.must(p.admin.DeleteRecords("dns2", map[int32]int64{0: 20, 1: 20}))
	old := p.run(v1, instance("old"))
	p.exact(v1, nil)
	both := []string{"dns", "dns2"}
	young := p.run(v1, func(c *processors.Config) {
		c.Kafka.Instance = "young"
		c.Tables[0].Options.FeedTopics = both
	})
	var added kafka.Source
	until(t, "it is entered", func() bool {
		var there bool
		added, there = p.entries()["hosts"].Sources["dns2"]
		return there
	})
	p.shared(p.kafka.CombineGroup(added.Pass), 2, 2)
	p.produce("dns2", 2, office(2, 100)...)
	table := p.compile(v1)[0]
	table.Options.FeedTopics = both
	p.exactTable(table, nil)
	old.goesOn()
	young.goesOn()
}
