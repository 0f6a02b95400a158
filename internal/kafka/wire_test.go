package kafka

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/broker"
)

// TestTxRidesOverFaults: whatever request is refused for now, or broken off, everything is there once, and in order.
func TestTxRidesOverFaults(t *testing.T) {
	moved := []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress}
	faults := map[kmsg.Key][]*kerr.Error{
		kmsg.Produce:            {kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut},
		kmsg.AddPartitionsToTxn: append(moved, kerr.ConcurrentTransactions),
		kmsg.AddOffsetsToTxn:    append(moved, kerr.ConcurrentTransactions),
		kmsg.TxnOffsetCommit:    moved,
		kmsg.EndTxn:             append(moved, kerr.ConcurrentTransactions),
	}
	check := func(t *testing.T, c *cluster, fault func(topic string)) {
		topic, group := c.topic(1), c.name("group")
		tx := c.tx(c.name("tx"))
		var want rows
		for round := range 3 {
			if round == 1 {
				fault(topic)
			}
			for i := range 10 {
				value := fmt.Sprintf("%d.%d", round, i)
				tx.Send(topic, 0, []byte("k"), []byte(value))
				want = append(want, "k="+value)
			}
			offsets := map[string]map[int32]int64{topic: {0: int64(round + 1)}}
			if err := tx.Commit(t.Context(), offsets, &sarama.ConsumerGroupMetadata{GroupID: group, GenerationID: -1}); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if diff := cmp.Diff(want, c.committed(topic)); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if got, err := c.admin.CommittedOffsets(group); err != nil || got[topic][0] != 3 {
			t.Errorf("offsets %v, %v", got, err)
		}
	}
	for key, errs := range faults {
		for _, e := range errs {
			t.Run(kmsg.NameForKey(int16(key))+" "+e.Message, func(t *testing.T) {
				t.Parallel()
				c := fakeCluster(t)
				check(t, c, func(string) {
					h := c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: e, Count: 3})
					t.Cleanup(func() {
						if h.Hits() != 3 {
							t.Errorf("%d faults were met", h.Hits())
						}
					})
				})
			})
		}
		t.Run(kmsg.NameForKey(int16(key))+" broken off", func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t)
			check(t, c, func(string) {
				cl, n := c.fake.Cluster(), 0
				cl.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
					cl.KeepControl()
					if n++; n == 3 {
						cl.DropControl()
					}
					return nil, errors.New("hang up"), true
				})
			})
		})
	}
}

// TestTxAnswerLost: the broker has the batch, and the connection breaks before it says so. Sent again it is a duplicate.
func TestTxAnswerLost(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(1)
	tx := c.tx("x")
	h := c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 1})
	twice := c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.DuplicateSequenceNumber, Count: 1, Topic: topic})
	tx.Send(topic, 0, []byte("k"), []byte("v"))
	if err := tx.Commit(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if h.Hits() != 1 || twice.Hits() != 1 {
		t.Errorf("%d timed out, %d duplicates", h.Hits(), twice.Hits())
	}
}

// TestTxOfUnknownOutcome: a producer that cannot know what a broker has is not used again.
func TestTxOfUnknownOutcome(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.DuplicateSequenceNumber} {
		t.Run(e.Message, func(t *testing.T) {
			c := fakeCluster(t)
			topic := c.topic(1)
			tx := c.tx("x")
			c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: e, Count: 1})
			tx.Send(topic, 0, []byte("k"), []byte("v"))
			if err := tx.Commit(t.Context(), nil, nil); err == nil {
				t.Fatal("it commits")
			}
			if err := tx.Abort(); err == nil {
				t.Error("it may be used again")
			}
			next := c.tx("x")
			next.Send(topic, 0, []byte("k"), []byte("again"))
			if err := next.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(rows{"k=again"}, c.committed(topic)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTxDoubtBesideARefusal: one batch is refused for good, of another of the same request nobody knows. Its numbers are not used
// again: the next batch would be taken for it, and be lost.
func TestTxDoubtBesideARefusal(t *testing.T) {
	c := fakeCluster(t)
	doubtful, refused := c.topic(1), c.topic(1)
	tx := c.tx("x")
	c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: doubtful, Err: kerr.RequestTimedOut, Count: -1})
	c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: refused, Err: kerr.InvalidRecord, Count: -1})
	arrived, release := broker.HoldTest(c.fake, kmsg.AddPartitionsToTxn) // both gather behind a third one
	third := c.topic(1)
	tx.Send(third, 0, nil, []byte("v"))
	<-arrived
	tx.Send(doubtful, 0, nil, []byte("v"))
	tx.Send(refused, 0, nil, []byte("v"))
	release()
	if err := tx.Commit(t.Context(), nil, nil); !errors.Is(err, sarama.ErrInvalidRecord) {
		t.Fatalf("commit: %v", err)
	}
	if err := tx.Abort(); err == nil {
		t.Error("it may be used again")
	}
}

// TestTxNewEpochAfterABreak: a request that was repeated because the connection broke may arrive in the next transaction, so that one
// has an epoch of its own; and nobody else's is fenced by that.
func TestTxNewEpochAfterABreak(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		t.Run(kmsg.NameForKey(int16(key)), func(t *testing.T) {
			c := fakeCluster(t)
			topic := c.topic(1)
			tx := c.tx("x")
			commit := func(offset int64) error {
				tx.Send(topic, 0, nil, fmt.Append(nil, offset))
				return tx.Commit(t.Context(), map[string]map[int32]int64{topic: {0: offset}}, &sarama.ConsumerGroupMetadata{GroupID: "group", GenerationID: -1})
			}
			epoch := func() int16 { return tx.(*wire).epoch }
			first := epoch()
			if err := commit(1); err != nil || epoch() != first {
				t.Fatalf("epoch %d, was %d, %v", epoch(), first, err)
			}
			hangUp := func() {
				c.fake.Cluster().ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("hang up"), true })
			}
			hangUp()
			if err := commit(2); err != nil || epoch() == first {
				t.Fatalf("epoch %d, was %d, %v", epoch(), first, err)
			}
			if err := commit(3); err != nil {
				t.Fatal(err)
			}
			hangUp()
			other := c.tx("x")
			if err := commit(4); !errors.Is(err, ErrFenced) {
				t.Errorf("after a takeover: %v", err)
			}
			other.Send(topic, 0, nil, []byte("other"))
			if err := other.Commit(t.Context(), nil, nil); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(rows{"=1", "=2", "=3", "=other"}, c.committed(topic)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTxSilentLeader: what is not taken while the transaction lives will not be, and is not waited for.
func TestTxSilentLeader(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(1)
	tx := c.tx("x", func(c *Config) { c.Properties = map[string]string{"transaction.timeout.ms": "1000"} })
	arrived, release := broker.HoldTest(c.fake, kmsg.Produce)
	defer release()
	tx.Send(topic, 0, nil, []byte("v"))
	<-arrived
	began := time.Now()
	if err := tx.Commit(t.Context(), nil, nil); !errors.Is(err, ErrRetry) {
		t.Errorf("%v", err)
	}
	if err := tx.Abort(); err == nil {
		t.Error("it may be used again")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestTxCommitBesideItsEnd: who closes or aborts waits for a commit, which has either all or nothing.
func TestTxCommitBesideItsEnd(t *testing.T) {
	for name, end := range map[string]func(Tx) error{"close": Tx.Close, "abort": Tx.Abort} {
		t.Run(name, func(t *testing.T) {
			c := fakeCluster(t)
			topic := c.topic(1)
			tx := c.tx("x")
			arrived, release := broker.HoldTest(c.fake, kmsg.Produce)
			tx.Send(topic, 0, []byte("k"), []byte("first"))
			<-arrived
			tx.Send(topic, 0, []byte("k"), []byte("second"))
			committed, ended := make(chan error, 1), make(chan error, 1)
			go func() { committed <- tx.Commit(t.Context(), nil, nil) }()
			eventually(t, func() error {
				if w := tx.(*wire); w.ending.TryLock() {
					w.ending.Unlock()
					return errors.New("it does not commit yet")
				}
				return nil
			})
			go func() { ended <- end(tx) }()
			release()
			err := <-committed
			if e := <-ended; e != nil {
				t.Error(e)
			}
			want := rows{"k=first", "k=second"}
			if err != nil {
				want = nil
			}
			if diff := cmp.Diff(want, c.committed(topic), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the commit says %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestTxLeadersMove: records of one transaction go to several brokers, which change between and while they are sent.
func TestTxLeadersMove(t *testing.T) {
	fakeTransactorsOn(t, broker.Config{Nodes: 3}, func(t *testing.T, c *cluster) {
		topic := c.topic(3)
		tx := c.tx("mover")
		want := [3]int{}
		for round := range 6 {
			for p := range int32(3) {
				if err := c.fake.Cluster().MoveTopicPartition(topic, p, (p+int32(round))%3); err != nil {
					t.Fatal(err)
				}
				for i := range 5 {
					tx.Send(topic, p, nil, fmt.Appendf(nil, "%d.%d", round, i))
					want[p]++
				}
			}
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		for p, n := range want {
			r, err := NewReader(t.Context(), ReaderConfig{Client: c.admin.Client(), Topic: topic, Partition: int32(p), From: sarama.OffsetOldest})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close() //nolint:errcheck // always nil
			var got rows
			if _, err := r.Recover(t.Context(), got.take); err != nil || len(got) != n {
				t.Errorf("partition %d has %v, %v, want %d records", p, got, err, n)
			}
		}
	})
}

// TestTxOfManyBatches: more than one request may hold, and more than Send takes without waiting.
func TestTxOfManyBatches(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(2)
		tx := c.tx(c.name("tx"))
		value := make([]byte, 100<<10)
		const n = 2 * mostUnsent / (100 << 10)
		for i := range n {
			tx.Send(topic, int32(i%2), fmt.Appendf(nil, "%06d", i), value)
		}
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		last, seen := "", 0
		r := c.reader(topic, sarama.OffsetOldest)
		if _, err := r.Recover(t.Context(), func(_ int64, key, got []byte, _ int64) error {
			if string(key) <= last || len(got) != len(value) {
				return fmt.Errorf("%s of %d bytes after %s", key, len(got), last)
			}
			last = string(key)
			seen++
			return nil
		}); err != nil || seen != (n+1)/2 {
			t.Errorf("%d records, %v", seen, err)
		}
	})
}

func TestTxRecordTooLarge(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		tx := c.tx(c.name("tx"))
		tx.Send(topic, 0, nil, make([]byte, MaxMessageBytes))
		err := tx.Commit(t.Context(), nil, nil)
		if !errors.Is(err, ErrFatal) || !errors.Is(err, sarama.ErrMessageSizeTooLarge) {
			t.Errorf("%v", err)
		}
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}
		tx.Send(topic, 0, nil, make([]byte, MaxMessageBytes-1000))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestSequenceNumbersGoRound(t *testing.T) {
	for _, test := range []struct{ from, n, want int64 }{{0, 1, 1}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 3, 1}} {
		if got := after(int32(test.from), int(test.n)); int64(got) != test.want {
			t.Errorf("%d after %d is %d, want %d", test.n, test.from, got, test.want)
		}
	}
}

// BenchmarkTxCommit commits a record in each of four partitions, with offsets.
func BenchmarkTxCommit(b *testing.B) {
	for name, as := range kinds {
		b.Run(name, func(b *testing.B) {
			br := broker.StartTest(b, broker.Config{})
			cfg := Config{Brokers: br.Addrs()}
			a, err := NewAdmin(b.Context(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close() //nolint:errcheck // nothing is under way
			if err := a.Ensure(Topic{Name: "bench", Partitions: 4}); err != nil {
				b.Fatal(err)
			}
			tx, err := newTx(b.Context(), cfg, "bench", as)
			if err != nil {
				b.Fatal(err)
			}
			defer tx.Close() //nolint:errcheck // all was committed
			meta := &sarama.ConsumerGroupMetadata{GroupID: "bench", GenerationID: -1}
			n := int64(0)
			for b.Loop() {
				n++
				for p := range int32(4) {
					tx.Send("bench", p, []byte("key"), []byte("value"))
				}
				if err := tx.Commit(b.Context(), map[string]map[int32]int64{"bench": {0: n}}, meta); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
