package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/broker"
)

// committed returns what a reader of committed records sees of a topic's partition 0.
func (c *cluster) committed(topic string) rows {
	c.t.Helper()
	r := c.reader(topic, sarama.OffsetOldest)
	var got rows
	if _, err := r.Recover(c.t.Context(), got.take); err != nil {
		c.t.Fatal(err)
	}
	return got
}

func TestTxRecordsAndOffsetsTogether(t *testing.T) {
	transactors(t, func(t *testing.T, c *cluster) {
		in, out, group := c.topic(2), c.topic(1), c.name("group")
		tx := c.tx(c.name("tx"))
		meta := sarama.NewConsumerGroupMetadata(group)
		for i := range 3 {
			tx.Send(out, 0, []byte("k"), fmt.Append(nil, i), sarama.RecordHeader{Key: []byte("h"), Value: []byte("v")})
			if err := tx.Commit(t.Context(), map[string]map[int32]int64{in: {0: int64(i + 1), 1: 7}}, meta); err != nil {
				t.Fatal(err)
			}
		}
		// Offsets alone make a transaction, too.
		if err := tx.Commit(t.Context(), map[string]map[int32]int64{in: {0: 9}}, meta); err != nil {
			t.Fatal(err)
		}
		// An aborted one changes neither.
		tx.Send(out, 0, []byte("k"), []byte("aborted"))
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(rows{"k=0", "k=1", "k=2"}, c.committed(out)); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		offs, err := c.admin.CommittedOffsets(group)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]map[int32]int64{in: {0: 9, 1: 7}}, offs); diff != "" {
			t.Errorf("offsets (-want +got):\n%s", diff)
		}
	})
}

func TestTxFenced(t *testing.T) {
	transactors(t, func(t *testing.T, c *cluster) {
		topic, id := c.topic(1), c.name("tx")
		old := c.tx(id)
		old.Send(topic, 0, []byte("k"), []byte("first"))
		if err := old.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		old.Send(topic, 0, []byte("k"), []byte("zombie, sent before"))

		young := c.tx(id)
		young.Send(topic, 0, []byte("k"), []byte("young"))
		if err := young.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}

		old.Send(topic, 0, []byte("k"), []byte("zombie, sent after"))
		begin := time.Now()
		err := old.Commit(t.Context(), nil, nil)
		if !errors.Is(err, ErrFenced) {
			t.Fatalf("commit of the old one: %v, want ErrFenced", err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it took %v to find out", took)
		}
		if again := old.Commit(t.Context(), nil, nil); !errors.Is(again, ErrFenced) {
			t.Errorf("a second commit: %v", again)
		}
		if err := old.Abort(); !errors.Is(err, ErrFenced) {
			t.Errorf("abort: %v, want ErrFenced: it must not take over in turn", err)
		}
		for range 2 {
			if err := old.Close(); err != nil {
				t.Error(err)
			}
		}
		young.Send(topic, 0, []byte("k"), []byte("young again"))
		if err := young.Commit(t.Context(), nil, nil); err != nil {
			t.Errorf("the young one was disturbed: %v", err)
		}
		if diff := cmp.Diff(rows{"k=first", "k=young", "k=young again"}, c.committed(topic)); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

// A member that was thrown out of its group may not move offsets; with local state dropped it can go on in a new generation.
func TestTxOfAnotherGeneration(t *testing.T) {
	transactors(t, func(t *testing.T, c *cluster) {
		in, out, group := c.topic(1), c.topic(1), c.name("group")
		m := c.join(group, in)
		tx := c.tx(c.name("tx"))

		tx.Send(out, 0, []byte("k"), []byte("zombie"))
		stale := *m
		stale.GenerationID--
		if err := tx.Commit(t.Context(), map[string]map[int32]int64{in: {0: 1}}, &stale); !errors.Is(err, ErrRejoin) {
			t.Fatalf("generation of before: %v, want ErrRejoin", err)
		}
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}

		tx.Send(out, 0, []byte("k"), []byte("nobody"))
		stranger := *m
		stranger.MemberID = "nobody-we-know"
		if err := tx.Commit(t.Context(), map[string]map[int32]int64{in: {0: 1}}, &stranger); !errors.Is(err, ErrRejoin) {
			t.Fatalf("member that left: %v, want ErrRejoin", err)
		}
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}

		tx.Send(out, 0, []byte("k"), []byte("member"))
		if err := tx.Commit(t.Context(), map[string]map[int32]int64{in: {0: 2}}, m); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows{"k=member"}, c.committed(out)); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		offs, err := c.admin.CommittedOffsets(group)
		if err != nil || offs[in][0] != 2 {
			t.Errorf("offsets %v, %v", offs, err)
		}
	})
}

// join joins a group and stays in it until the end of the test.
func (c *cluster) join(group string, topics ...string) *sarama.ConsumerGroupMetadata {
	c.t.Helper()
	conf, err := c.cfg.Sarama()
	if err != nil {
		c.t.Fatal(err)
	}
	g, err := sarama.NewConsumerGroup(c.cfg.Brokers, group, conf)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := make(handler, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := g.Consume(ctx, topics, in); err != nil && ctx.Err() == nil {
				c.t.Errorf("consume: %v", err)
				return
			}
		}
	})
	wg.Go(func() {
		for range g.Errors() { //nolint:revive // they must be drained
		}
	})
	c.t.Cleanup(func() {
		cancel()
		g.Close() //nolint:errcheck // the test is over
		wg.Wait()
	})
	return sarama.NewConsumerGroupMetadataFromSession(<-in, group, nil)
}

// handler tells of its sessions and reads nothing.
type handler chan sarama.ConsumerGroupSession

func (h handler) Setup(s sarama.ConsumerGroupSession) error {
	select {
	case h <- s:
	default:
	}
	return nil
}
func (handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (handler) ConsumeClaim(s sarama.ConsumerGroupSession, _ sarama.ConsumerGroupClaim) error {
	<-s.Context().Done()
	return nil
}

func TestTxWithNothingInIt(t *testing.T) {
	fakeTransactors(t, func(t *testing.T, c *cluster) {
		tx := c.tx("idle")
		seen := c.fake.Cluster().Fault(kfake.Fault{Observe: true, Count: -1, Keys: []kmsg.Key{kmsg.EndTxn, kmsg.AddOffsetsToTxn, kmsg.AddPartitionsToTxn, kmsg.Produce}})
		for range 3 {
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(t.Context(), map[string]map[int32]int64{"dns": {}}, nil); err != nil {
				t.Fatal(err)
			}
			if err := tx.Abort(); err != nil {
				t.Fatal(err)
			}
		}
		if n := seen.Hits(); n != 0 {
			t.Errorf("%d requests for nothing", n)
		}
		if err := tx.Commit(t.Context(), map[string]map[int32]int64{"dns": {0: 1}}, nil); err == nil {
			t.Error("offsets without a group were committed")
		}
	})
}

func failed(tx Tx) bool {
	switch tx := tx.(type) {
	case *wire:
		tx.mu.Lock()
		defer tx.mu.Unlock()
		return tx.first != nil
	case *producer:
		tx.mu.Lock()
		defer tx.mu.Unlock()
		return tx.first != nil
	}
	panic("another kind")
}

// The cause is the first failed send, not what follows from it, and nobody waits for ever.
func TestTxFirstFailedSend(t *testing.T) {
	transactors(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		tx := c.tx(c.name("tx"))
		// One after the other: a send that is under way when another fails is a data race inside Sarama, which reads
		// transactionManager.lastError without its lock.
		tx.Send(topic, 0, nil, []byte("fine"))
		c.arrived(topic, 1)
		tx.Send(topic, 7, nil, []byte("no such partition"))
		eventually(t, func() error {
			if !failed(tx) {
				return errors.New("no send has failed")
			}
			return nil
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20_000 { // more than all queues hold
				tx.Send(topic, 0, nil, []byte("after"))
			}
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("Send blocks after a failure")
		}
		err := tx.Commit(t.Context(), nil, nil)
		if err == nil || !strings.Contains(err.Error(), topic+"/7") || !errors.Is(err, sarama.ErrInvalidPartition) {
			t.Errorf("commit: %v, want it to name %s/7", err, topic)
		}
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}
		if got := c.committed(topic); len(got) != 0 {
			t.Errorf("%d records are visible", len(got))
		}
		tx.Send(topic, 0, nil, []byte("next"))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows{"=next"}, c.committed(topic)); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

func TestTxSendsFromManyGoroutines(t *testing.T) {
	transactors(t, func(t *testing.T, c *cluster) {
		topic := c.topic(4)
		tx := c.tx(c.name("tx"))
		const goroutines, each, rounds = 8, 200, 5
		for round := range rounds {
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					for i := range each {
						key := fmt.Append(nil, round, g, i)
						tx.Send(topic, Partition(key, 4), key, []byte("v"))
					}
				})
			}
			wg.Wait()
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		var n int64
		for p := range int32(4) {
			r, err := NewReader(t.Context(), ReaderConfig{Client: c.admin.Client(), Topic: topic, Partition: p, From: sarama.OffsetOldest})
			if err != nil {
				t.Fatal(err)
			}
			done, err := r.Recover(t.Context(), func(_ int64, key, _ []byte, _ int64) error {
				if Partition(key, 4) != p {
					t.Errorf("key %q is in partition %d", key, p)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			n += done.Records
		}
		if n != goroutines*each*rounds {
			t.Errorf("%d records, want %d", n, goroutines*each*rounds)
		}
	})
}

// Close aborts, so readers need not wait for the transaction's timeout.
func TestTxCloseAborts(t *testing.T) {
	transactors(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		tx := c.tx(c.name("tx"))
		tx.Send(topic, 0, []byte("k"), []byte("open"))
		c.arrived(topic, 1)
		c.put(topic, "k=later")
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if diff := cmp.Diff(rows{"k=later"}, c.committed(topic)); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if took := time.Since(begin); took > TransactionTimeout/2 {
			t.Errorf("readers waited %v", took)
		}
		tx.Send(topic, 0, nil, nil)
		if err := tx.Commit(t.Context(), nil, nil); err == nil {
			t.Error("a closed one commits")
		}
		if err := tx.Abort(); err == nil {
			t.Error("a closed one aborts")
		}
	})
}

// The broker takes the commit and never answers.
func TestTxCommitCancelled(t *testing.T) {
	fakeTransactors(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		tx := c.tx("x")
		arrived, release := broker.HoldTest(c.fake, kmsg.EndTxn)
		defer release()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		tx.Send(topic, 0, []byte("k"), []byte("v"))
		begin := time.Now()
		err := tx.Commit(ctx, nil, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("commit: %v", err)
		}
		if err := tx.Abort(); err == nil {
			t.Error("it is undecided, and can be used")
		}
		if err := tx.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The broker goes away for good in the middle of a transaction.
func TestTxBrokerGone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a transaction lives")
	}
	fakeTransactors(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		tx := c.tx("x")
		tx.Send(topic, 0, []byte("k"), []byte("v"))
		c.arrived(topic, 1)
		if err := c.fake.Close(); err != nil {
			t.Fatal(err)
		}
		tx.Send(topic, 0, []byte("k"), []byte("v"))
		begin := time.Now()
		err := tx.Commit(t.Context(), nil, nil)
		if took := time.Since(begin); !errors.Is(err, ErrRetry) || took > commitPatience {
			t.Fatalf("commit after %v: %v, want ErrRetry", took, err)
		}
		begin = time.Now()
		if err := tx.Abort(); !errors.Is(err, ErrRetry) {
			t.Errorf("abort: %v, want ErrRetry", err)
		}
		if err := tx.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("abort and close took %v", took)
		}
	})
}

// After each commit the coordinator is busy writing markers for a moment: that must not cost Sarama's 20 to 100 ms.
func TestTxCommitsFollowEachOther(t *testing.T) {
	transactors(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		tx := c.tx(c.name("tx"))
		const n = 100
		begin := time.Now()
		for i := range n {
			tx.Send(topic, 0, []byte("k"), fmt.Append(nil, i))
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		each := time.Since(begin) / n
		t.Logf("%v a commit", each)
		if each > 50*time.Millisecond {
			t.Errorf("%v a commit", each)
		}
	})
}
