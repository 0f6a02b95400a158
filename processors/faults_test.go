package processors_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
)

// Names that the stages of [notebook] have.
const (
	combineID, groupID       = "test-combine-dns-one", "test-dns_counts-one" // transactional ids
	combineGroup, tableGroup = "test-combine-dns", "test-dns_counts"
)

// survives runs the notebook's table, lets break break something in mid-stream, and checks that everything is counted once,
// dead letters too. broken waits until it has taken effect.
func (p *pipeline) survives(breakIt func() (broken func() bool)) *running {
	p.t.Helper()
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(notebook, nil)
	p.exact(notebook, nil)
	broken := breakIt()
	p.produce("dns", 2, office(1, 100)...)
	until(p.t, "the fault has taken effect", broken)
	p.produce("dns", 2, office(2, 100)...)
	p.exact(notebook, nil)
	p.letters("dns")
	return r
}

// letters checks that each bad record of a topic is in the dead-letter topic once.
func (p *pipeline) letters(topic string) (all map[string]record) {
	p.t.Helper()
	_, counts, _ := p.fold(p.compile(notebook)[0], []string{topic}, nil)
	want := int64(0)
	for _, c := range counts {
		want += c.DeadLettered
	}
	all = map[string]record{}
	letters := p.read(p.kafka.DeadLetterTopic(), nil)
	for _, r := range letters {
		all[string(r.key)] = r
	}
	if len(letters) != int(want) || len(all) != int(want) {
		p.t.Errorf("%d dead letters of %d records, want %d of %d", len(letters), len(all), want, want)
	}
	return all
}

const rebuilt = "building the processor anew"

// TestSurvivesWhatBrokersAnswer: a stage that cannot go on is built anew, and counts nothing twice.
func TestSurvivesWhatBrokersAnswer(t *testing.T) {
	type faults = []kfake.Fault
	for _, c := range []struct {
		name    string
		faults  faults
		rebuilt bool // or the client retries
	}{
		{"fenced at the commit of stage 1", faults{{Keys: []kmsg.Key{kmsg.EndTxn}, TxnID: combineID, Err: kerr.ProducerFenced}}, true},
		{"fenced at the commit of stage 2", faults{{Keys: []kmsg.Key{kmsg.EndTxn}, TxnID: groupID, Err: kerr.ProducerFenced}}, true},
		{"an old epoch at the commit of stage 2", faults{{Keys: []kmsg.Key{kmsg.EndTxn}, TxnID: groupID, Err: kerr.InvalidProducerEpoch}}, true},
		{"an old epoch while partials are sent", faults{{Keys: []kmsg.Key{kmsg.Produce}, Topic: "test-dns_counts-partials", Err: kerr.InvalidProducerEpoch}}, true},
		{"an old epoch while results are sent", faults{{Keys: []kmsg.Key{kmsg.Produce}, Topic: "dns_counts", Err: kerr.InvalidProducerEpoch}}, true},
		{"a lost generation in stage 1", faults{{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, TxnID: combineID, Err: kerr.IllegalGeneration}}, true},
		{"a lost place in stage 2", faults{{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, TxnID: groupID, Err: kerr.UnknownMemberID}}, true},
		{"a record that the broker does not take", faults{{Keys: []kmsg.Key{kmsg.Produce}, Topic: "test-dns_counts-table", Err: kerr.InvalidRecord}}, true},
		{"a commit too early", faults{
			{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.ConcurrentTransactions, Count: 5},
			{Keys: []kmsg.Key{kmsg.AddOffsetsToTxn}, TxnID: groupID, Err: kerr.ConcurrentTransactions, Count: 5},
			{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ConcurrentTransactions, Count: 5}}, false},
		{"a coordinator on the move", faults{{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator, Count: 3}, {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.NotCoordinator, Count: 3}}, false},
		{"a leader on the move", faults{{Keys: []kmsg.Key{kmsg.Produce, kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: 5}}, false},
		{"sends done that time out", faults{{Keys: []kmsg.Key{kmsg.Produce}, Topic: "dns_counts", Err: kerr.RequestTimedOut, Count: 2}}, false},
		{"offsets committed that time out", faults{{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, TxnID: groupID, Err: kerr.RequestTimedOut, Count: 2}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			r := p.survives(func() func() bool {
				h := p.broker.Cluster().Fault(c.faults...)
				return func() bool { return h.Hits() > 0 }
			})
			if c.rebuilt {
				r.says("WARN", rebuilt)
			}
			if n := r.log.count(rebuilt); n > 1 || n > 0 && !c.rebuilt {
				t.Errorf("built anew %d times", n)
			}
			r.stop()
		})
	}
}

// TestSurvivesLostAnswers cuts connections when a request is done and its answer is not out, a commit's above all.
func TestSurvivesLostAnswers(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.AddOffsetsToTxn, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.Fetch, kmsg.Heartbeat} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			var l lossy
			p := newPipeline(t, l.broker())
			r := p.survives(func() func() bool {
				l.answers(key, 3)
				return func() bool { return l.losses() == 3 }
			})
			r.stop()
		})
	}
}

// TestSurvivesLostAnswersWhileItBegins is the same for what a start, or a session's, asks for.
func TestSurvivesLostAnswersWhileItBegins(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.ListOffsets, kmsg.FindCoordinator, kmsg.CreateTopics} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			var l lossy
			p := newPipeline(t, l.broker())
			p.topic("dns", 2)
			p.produce("dns", 2, office(0, 100)...)
			l.answers(key, 2)
			r := p.run(notebook, nil)
			p.exact(notebook, nil)
			if l.losses() != 2 {
				t.Errorf("%d answers were lost", l.losses())
			}
			r.stop()
		})
	}
}

// TestSurvivesOffsetsThatADeadMemberHolds joins again until they are free, longer than Sarama's own patience.
func TestSurvivesOffsetsThatADeadMemberHolds(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 100)...)
	first := p.run(notebook, nil)
	first.counts(100)
	first.stop()
	held := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: combineGroup, Err: kerr.UnstableOffsetCommit, Count: -1})
	r := p.run(notebook, nil)
	r.says("joining again")
	held.Remove()
	p.exact(notebook, nil)
	if r.log.has(rebuilt) {
		t.Error("it died of it")
	}
	r.stop()
}

// TestSurvivesASetupThatFails: Sarama calls Cleanup all the same.
func TestSurvivesASetupThatFails(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 100)...)
	r := p.run(notebook, nil)
	p.exact(notebook, nil)
	r.stop()
	corrupt := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "test-dns_counts-table", Err: kerr.CorruptMessage, Count: 3})
	r = p.run(notebook, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.must(corrupt.Wait(ctx, 3))
	p.produce("dns", 1, office(1, 100)...)
	p.exact(notebook, nil)
	r.says("WARN", rebuilt, "recover test-dns_counts-table/0")
	r.stop()
}

// TestSurvivesCallbacksThatFail: Goka leaves the claim, the commit that waits for it wakes up and fails.
func TestSurvivesCallbacksThatFail(t *testing.T) {
	for _, kind := range []string{fault.StageCombine, fault.StageGroup} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			var due, failed atomic.Int64
			p.prepare = func(pr *processors.Processors) {
				pr.FailCallbacks(kind, func() error {
					if due.Add(-1) >= 0 {
						failed.Add(1)
						return errors.New("it was told to fail")
					}
					return nil
				})
			}
			r := p.survives(func() func() bool {
				due.Store(1)
				return func() bool { return failed.Load() == 1 }
			})
			r.says("WARN", rebuilt, "its callback failed")
			r.stop()
		})
	}
}

// TestEndsWithoutRights: it says what is missing, and leaves its groups to the others at once.
func TestEndsWithoutRights(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.kafka.Properties["session.timeout.ms"] = "300000"
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(notebook, nil)
	p.exact(notebook, nil)
	p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "dns_counts", Err: kerr.TopicAuthorizationFailed, Count: -1})
	p.produce("dns", 2, office(1, 100)...)
	var denied *kafka.NotAllowed
	if err := r.wait(); !errors.As(err, &denied) {
		t.Fatalf("it ended with %v, want *NotAllowed", err)
	}
	for _, group := range []string{combineGroup, tableGroup} {
		if members, err := p.admin.GroupMembers(group); err != nil || len(members) > 0 {
			t.Errorf("members of %s after the end: %v, %v", group, members, err)
		}
	}
}

// TestStopsInTheMiddleOfARecovery, when it is told to or when its group rebalances, and recovers later.
func TestStopsInTheMiddleOfARecovery(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(notebook, nil)
	p.exact(notebook, nil)
	r.stop()

	stuck := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "test-dns_counts-table", Err: kerr.NotLeaderForPartition, Count: -1})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r = p.run(notebook, nil)
	p.must(stuck.Wait(ctx, 1))
	r.stop()

	one := p.run(notebook, nil)
	hits := stuck.Hits()
	p.must(stuck.Wait(ctx, hits+2))
	two := p.run(notebook, instance("two"))
	p.shared(tableGroup, 2, 2) // while neither has recovered
	p.produce("dns", 2, office(1, 100)...)
	stuck.Remove()
	p.exact(notebook, nil)
	two.stop()
	p.produce("dns", 2, office(2, 100)...)
	p.exact(notebook, nil)
	if one.log.has(rebuilt) {
		t.Error("a rebalance in the middle of a recovery was taken for a failure")
	}
	one.stop()
}
