package processors_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// moved is v1 with another result topic.
var moved = strings.Replace(v1, "hosts AS", "hosts WITH (topic = 'dns-hosts') AS", 1)

func approve(c *processors.Config) { c.Approve = true }

// refuses checks that definitions are refused, even if all may be lost, and that nothing changes.
func (p *pipeline) refuses(definitions, why string) {
	p.t.Helper()
	names, entries := p.names(), p.entries()
	var refused *processors.Refusal
	if err := p.run(definitions, approve).wait(); !errors.As(err, &refused) || !strings.Contains(err.Error(), why) {
		p.t.Errorf("run says %v, want a *Refusal because it %s", err, why)
	}
	if diff := cmp.Diff(names, p.names()) + cmp.Diff(entries, p.entries()); diff != "" {
		p.t.Errorf("what is refused changes something (-before +after):\n%s", diff)
	}
}

// TestTheResultTopicIsChangedAndChangedBack: the old topic is not used again before it has been deleted.
func TestTheResultTopicIsChangedAndChangedBack(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(v1, nil)
	p.exact(v1, nil)
	r.stop()
	kept := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteTopics}, Topic: "hosts", Err: kerr.TopicAuthorizationFailed, Count: -1})
	r = p.run(moved, approve)
	until(t, "it is entered", func() bool { return p.entries()["hosts"].Result == "dns-hosts" })
	r.stop()
	p.refuses(v1, "is being deleted")
	kept.Remove()
	r = p.run(moved, nil)
	p.becomes(moved)
	r.stop()
	p.run(v1, approve)
	p.becomes(v1)
	if slices.Contains(p.names(), "dns-hosts") {
		t.Error("the topic that it had meanwhile is left")
	}
}

// TestTwoTablesSwapTheirResultTopics: none gets a topic that another one's results are in.
func TestTwoTablesSwapTheirResultTopics(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	before := showing("one", "x", "a") + showing("two", "y", "b")
	r := p.run(before, nil)
	p.exact(before, nil)
	r.stop()
	p.refuses(showing("one", "y", "a")+showing("two", "x", "b"), "which has the results of table")
	p.run(before, nil)
	p.produce("dns", 2, office(1, 100)...)
	p.exact(before, nil)
}

// TestATopicOfOthersIsNoResultTopic: nothing is written to it, whoever approves.
func TestATopicOfOthersIsNoResultTopic(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	p.must(p.admin.Ensure(kafka.Topic{Name: "dns-hosts", Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}}))
	p.refresh("dns-hosts")
	theirs := map[string]string{}
	for i := range 10 {
		key := fmt.Sprintf("asset%d", i)
		theirs[key] = "dear"
		_, _, err := p.producer.SendMessage(&sarama.ProducerMessage{Topic: "dns-hosts", Partition: kafka.Partition([]byte(key), 2), Key: sarama.StringEncoder(key), Value: sarama.StringEncoder("dear")})
		p.must(err)
	}
	r := p.run(v1, nil)
	p.exact(v1, nil)
	r.stop()
	p.refuses(moved, "is not ours")
	if diff := cmp.Diff(theirs, p.latest("dns-hosts")); diff != "" {
		t.Errorf("their topic (-want +got):\n%s", diff)
	}
}

// TestPlanSaysWhatRunRefuses.
func TestPlanSaysWhatRunRefuses(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.topic("hosts", 2)
	p.refuses(v1, "is not ours")
	_, err := processors.Plan(context.Background(), p.admin, p.kafka, &tables.Definitions{Tables: p.compile(v1)})
	var refused *processors.Refusal
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "is not ours") {
		t.Errorf("plan says %v, want what run says", err)
	}
}

// TestAChangeIsTakenBackWhileItIsPublished: those results that were replaced are replaced again.
func TestAChangeIsTakenBackWhileItIsPublished(t *testing.T) {
	t.Parallel()
	before, after := showing("hosts", "hosts", "n"), showing("hosts", "hosts", "m")
	p := newPipeline(t)
	p.topic("dns", 1)
	var records []string
	for i := range 200 {
		records = append(records, dns(fmt.Sprintf("10.0.0.%d", i), "A"))
	}
	p.produce("dns", 1, records...)
	r := p.run(before, nil)
	p.exact(before, nil)
	r.stop()
	changed := func() (n int) {
		for _, value := range p.latest("hosts") {
			if strings.Contains(value, `"m"`) {
				n++
			}
		}
		return n
	}
	p.prepare = func(x *processors.Processors) { x.PublishRows(10) }
	r = p.run(after, nil)
	until(t, "some are published", func() bool { return changed() > 0 })
	r.stop()
	if n := changed(); n == len(records) {
		t.Fatal("all were published, want a part of them")
	}
	p.prepare = nil
	p.run(before, approve)
	until(t, "none of them is left", func() bool { return changed() == 0 })
	p.produce("dns", 1, records[:20]...)
	p.exact(before, nil)
}

// TestTheOldResultTopicStaysUntilTheNewOneIsThere, also where another instance had published the old one.
func TestTheOldResultTopicStaysUntilTheNewOneIsThere(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	p.run(v1+t0+t1, instance("old"))
	p.exact(v1+t0+t1, nil)
	// Nothing of the new result is committed.
	stuck := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "dns-hosts", Err: kerr.NotEnoughReplicas, Count: -1})
	// When the old instance, alone, has dropped one table and then the other, it has twice had the chance to delete the topic.
	for _, step := range []struct{ files, drops string }{{moved + t1, "t0"}, {moved, "t1"}} {
		young := p.run(step.files, func(c *processors.Config) { c.Kafka.Instance, c.Approve = "young", true })
		until(t, "it is entered", func() bool { e, ok := p.entries()[step.drops]; return !ok || e.Dropped })
		young.stop()
		until(t, step.drops+" is dropped", func() bool { _, ok := p.entries()[step.drops]; return !ok })
	}
	table := p.compile(v1)[0]
	want, _, _ := p.fold(table, table.FeedTopics(), nil)
	if e := p.entries()["hosts"]; e.Result != "dns-hosts" || len(e.Published) > 0 || !slices.Contains(p.names(), "hosts") || !maps.Equal(want, p.latest("hosts")) {
		t.Errorf("the old topic does not answer: topics %v, entry %+v", p.names(), e)
	}
	stuck.Remove()
	p.becomes(moved)
	if slices.Contains(p.names(), "hosts") {
		t.Error("the old topic is left")
	}
}

// TestADefinitionWhoseTopicMayNotBeMade stops who brings it, not those that run; and who has the old files takes it back.
func TestADefinitionWhoseTopicMayNotBeMade(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	old := p.run(v1, instance("old"))
	p.exact(v1, nil)
	p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "forbidden", Err: kerr.TopicAuthorizationFailed, Count: -1})
	bad := strings.Replace(notebook, "dns_counts AS", "dns_counts WITH (topic = 'forbidden') AS", 1)
	var denied *kafka.NotAllowed
	if err := p.run(v1+bad, instance("young")).wait(); !errors.As(err, &denied) {
		t.Errorf("who brings it ends with %v, want *NotAllowed", err)
	}
	old.says("it cannot run yet", "definition=dns_counts")
	p.produce("dns", 2, office(1, 100)...)
	p.exact(v1, nil)
	old.goesOn()
	old.stop()
	old = p.run(v1, instance("old")) // nothing is lost with a table that has no result
	until(t, "it is dropped", func() bool { return len(p.entries()) == 1 })
	p.produce("dns", 2, office(2, 100)...)
	p.exact(v1, nil)
	old.goesOn()
}
