package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/brotally/brotally/internal/broker"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetcher opens a fetcher of the partitions from 0 on, at those offsets; it is closed at the end of the test.
func (c *cluster) fetcher(topic string, from ...int64) *Fetcher {
	c.t.Helper()
	at := map[int32]int64{}
	for p, offset := range from {
		at[int32(p)] = offset
	}
	f := NewFetcher(c.t.Context(), FetcherConfig{Client: c.admin.Client(), Topic: topic, From: at})
	c.t.Cleanup(f.Close)
	return f
}

// fetch returns a partition's records up to an offset, as "offset key=value".
func (c *cluster) fetch(f *Fetcher, partition int32, upto int64) (got []string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	for next := int64(0); next < upto; {
		some, err := f.Next(ctx, partition)
		if err != nil {
			c.t.Fatalf("partition %d, up to %d, after %v: %v", partition, upto, got, err)
		}
		if some.Next <= next && len(some.Messages) > 0 {
			c.t.Fatalf("partition %d goes back from %d to %d", partition, next, some.Next)
		}
		next = some.Next
		for _, m := range some.Messages {
			if m.Topic != f.c.Topic || m.Partition != partition || m.Timestamp.IsZero() {
				c.t.Fatalf("%+v is of another place or time", m)
			}
			got = append(got, fmt.Sprintf("%d %s=%s", m.Offset, m.Key, m.Value))
		}
	}
	return got
}

// consumed is what Sarama's consumer, which is the reference, has of a partition up to a record.
func (c *cluster) consumed(topic string, partition int32, from, last int64) (got []string) {
	c.t.Helper()
	consumer, err := sarama.NewConsumerFromClient(c.admin.Client())
	if err != nil {
		c.t.Fatal(err)
	}
	defer consumer.Close() //nolint:errcheck // all was read
	claim, err := consumer.ConsumePartition(topic, partition, from)
	if err != nil {
		c.t.Fatal(err)
	}
	defer claim.Close() //nolint:errcheck // all was read
	for {
		select {
		case m := <-claim.Messages():
			got = append(got, fmt.Sprintf("%d %s=%s", m.Offset, m.Key, m.Value))
			if m.Offset >= last {
				return got
			}
		case <-time.After(20 * time.Second):
			c.t.Fatalf("Sarama's consumer has %v and nothing more", got)
		}
	}
}

// TestFetcherReadsAsSaramasConsumer: transactions that are committed and aborted in any order, over several partitions, from any
// offset, also when next to nothing may be asked for at once.
func TestFetcherReadsAsSaramasConsumer(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		const partitions = 3
		rnd := rand.New(rand.NewPCG(1, 2))
		topic := c.topic(partitions)
		first, second := c.tx(c.name("tx")), c.tx(c.name("tx"))
		var ends, lasts [partitions]int64
		for step := range 40 {
			tx := []Tx{first, second}[rnd.IntN(2)]
			sent := [partitions]int64{}
			for range 1 + rnd.IntN(6) {
				p := rnd.Int32N(partitions)
				tx.Send(topic, p, fmt.Append(nil, step), make([]byte, rnd.IntN(300)))
				sent[p]++
			}
			if rnd.IntN(3) == 0 && step < 39 {
				for p, n := range sent { // else it might never be sent, and where the next record lies would be chance
					if n > 0 {
						eventually(t, func() error {
							offs, err := c.admin.Offsets(topic)
							if err == nil && offs[topic][int32(p)].Newest < ends[p]+n {
								err = fmt.Errorf("%d is not sent", p)
							}
							return err
						})
					}
				}
				if err := tx.Abort(); err != nil {
					t.Fatal(err)
				}
			} else {
				if err := tx.Commit(t.Context(), nil, nil); err != nil {
					t.Fatal(err)
				}
				for p, n := range sent {
					if n > 0 {
						lasts[p] = ends[p] + n - 1
					}
				}
			}
			for p, n := range sent {
				if n > 0 {
					ends[p] += n + 1 // and a marker
				}
			}
			c.arrived(topic, ends[:]...)
		}
		for _, size := range []int32{1, 1 << 20} {
			conf := c.admin.Client().Config()
			was := conf.Consumer.Fetch.Default
			conf.Consumer.Fetch.Default = size
			from := []int64{0, lasts[1] / 2, 1}
			f := c.fetcher(topic, from...)
			conf.Consumer.Fetch.Default = was
			for p := range int32(partitions) {
				if diff := cmp.Diff(c.consumed(topic, p, from[p], lasts[p]), c.fetch(f, p, ends[p])); diff != "" {
					t.Errorf("%d bytes at a time, partition %d (-Sarama's consumer +ours):\n%s", size, p, diff)
				}
				if got := f.LastStable(p); got != ends[p] {
					t.Errorf("partition %d is stable up to %d, want %d", p, got, ends[p])
				}
			}
		}
	})
}

// TestFetcherFollows: what comes later comes at once, and a partition that nobody reads holds up no other.
func TestFetcherFollows(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(2)
		tx := c.tx(c.name("tx"))
		put := func(partition int32, value string) {
			tx.Send(topic, partition, []byte("k"), []byte(value))
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		f := c.fetcher(topic, 0, 0)
		put(0, "unread")
		put(0, "unread too")
		for n := range int64(5) {
			put(1, "x")
			if got := c.fetch(f, 1, 2*n+1); len(got) != 1 {
				t.Fatalf("record %d: %v", n, got)
			}
		}
		c.arrived(topic, 4)
		if got := c.fetch(f, 0, 3); len(got) != 2 {
			t.Errorf("what was read later: %v", got)
		}
	})
}

// TestFetcherOutOfRange: a partition whose records are gone says so, the others are read on.
func TestFetcherOutOfRange(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(2)
		tx := c.tx(c.name("tx"))
		for range 3 {
			tx.Send(topic, 0, []byte("k"), []byte("v"))
			tx.Send(topic, 1, []byte("k"), []byte("v"))
		}
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		c.arrived(topic, 4, 4)
		if err := c.admin.DeleteRecords(topic, map[int32]int64{0: 2}); err != nil {
			t.Fatal(err)
		}
		f := c.fetcher(topic, 1, 1)
		_, err := f.Next(t.Context(), 0)
		want := &OutOfRange{Topic: topic, Offset: 1, Oldest: 2, Newest: 4}
		var got *OutOfRange
		if !errors.As(err, &got) || *got != *want {
			t.Errorf("%v, want %v", err, want)
		}
		if got := c.fetch(f, 1, 4); len(got) != 2 {
			t.Errorf("the other partition: %v", got)
		}
	})
}

func TestFetcherRidesOverFaults(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.OffsetNotAvailable,
		kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.UnknownServerError} {
		t.Run(e.Message, func(t *testing.T) {
			c := fakeCluster(t)
			topic := c.topic(1)
			c.put(topic, "a=1", "b=2")
			h := c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: e, Count: 3})
			if diff := cmp.Diff([]string{"0 a=1", "1 b=2"}, c.fetch(c.fetcher(topic, 0), 0, 2)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if h.Hits() != 3 {
				t.Errorf("%d faults were met", h.Hits())
			}
		})
	}
	t.Run("connection broken off", func(t *testing.T) {
		c := fakeCluster(t)
		topic := c.topic(1)
		c.put(topic, "a=1", "b=2")
		cl, n := c.fake.Cluster(), 0
		cl.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			cl.KeepControl()
			if n++; n == 3 {
				cl.DropControl()
			}
			return nil, errors.New("hang up"), true
		})
		if got := c.fetch(c.fetcher(topic, 0), 0, 2); len(got) != 2 {
			t.Error(got)
		}
	})
	t.Run("leaders move", func(t *testing.T) {
		c := fakeCluster(t, broker.Config{Nodes: 3})
		topic := c.topic(2)
		f := c.fetcher(topic, 0, 0)
		tx := c.tx("mover")
		for i := range int64(6) {
			for p := range int32(2) {
				if err := c.fake.Cluster().MoveTopicPartition(topic, p, (int32(i)+p)%3); err != nil {
					t.Fatal(err)
				}
				tx.Send(topic, p, []byte("k"), fmt.Append(nil, i))
			}
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			for p := range int32(2) {
				want := []string{fmt.Sprintf("%d k=%d", 2*i, i)}
				if diff := cmp.Diff(want, c.fetch(f, p, 2*i+1)); diff != "" {
					t.Fatalf("records of %d (-want +got):\n%s", p, diff)
				}
			}
		}
	})
}

// TestFetcherOneIll: a partition that its leader has no answer for, or whose leader hangs up, holds up no other, and is read when
// it is well again.
func TestFetcherOneIll(t *testing.T) {
	for _, tt := range []struct {
		name string
		node int32 // that leads partition 1; partition 0 is on node 0
		ill  func(*kmsg.FetchRequest) (kmsg.Response, error)
	}{
		{"of the same leader", 0, storageError},
		{"of another leader", 1, storageError},
		{"of a leader that hangs up", 1, func(*kmsg.FetchRequest) (kmsg.Response, error) { return nil, errors.New("hang up") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, broker.Config{Nodes: 2})
			topic := c.topic(2)
			cl := c.fake.Cluster()
			for p, node := range []int32{0, tt.node} {
				if err := cl.MoveTopicPartition(topic, int32(p), node); err != nil {
					t.Fatal(err)
				}
			}
			tx := c.tx("x")
			put := func(partition int32, value string) {
				tx.Send(topic, partition, []byte("k"), []byte(value))
				if err := tx.Commit(t.Context(), nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			put(1, "late")
			var well atomic.Bool
			var refused atomic.Int64
			cl.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
				cl.KeepControl()
				req := r.(*kmsg.FetchRequest)
				for _, topic := range req.Topics {
					for _, p := range topic.Partitions {
						if p.Partition == 1 && !well.Load() {
							refused.Add(1)
							res, err := tt.ill(req)
							return res, err, true
						}
					}
				}
				return nil, nil, false
			})
			f := c.fetcher(topic, 0, 0)
			eventually(t, func() error {
				if n := refused.Load(); n < 8 { // the pauses are long by now
					return fmt.Errorf("refused %d times", n)
				}
				return nil
			})
			const records = 100
			before := refused.Load()
			for n := range int64(records) {
				put(0, "x")
				if got := c.fetch(f, 0, 2*n+1); len(got) != 1 {
					t.Fatalf("record %d: %v", n, got)
				}
			}
			if n := refused.Load() - before; n > records {
				t.Errorf("the ill partition was asked for %d times while %d records of the other were read", n, records)
			}
			well.Store(true)
			if diff := cmp.Diff([]string{"0 k=late"}, c.fetch(f, 1, 1)); diff != "" {
				t.Errorf("the ill partition when it is well (-want +got):\n%s", diff)
			}
		})
	}
}

// storageError answers that partition 1 cannot be read, and nothing about the others.
func storageError(req *kmsg.FetchRequest) (kmsg.Response, error) {
	res := req.ResponseKind().(*kmsg.FetchResponse)
	for _, asked := range req.Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic = asked.Topic
		for _, p := range asked.Partitions {
			answer := kmsg.NewFetchResponseTopicPartition()
			answer.Partition, answer.HighWatermark, answer.LastStableOffset, answer.RecordBatches = p.Partition, p.FetchOffset, p.FetchOffset, []byte{}
			if p.Partition == 1 {
				answer.ErrorCode = kerr.KafkaStorageError.Code
			}
			topic.Partitions = append(topic.Partitions, answer)
		}
		res.Topics = append(res.Topics, topic)
	}
	return res, nil
}

// TestFetcherAddsAndRemoves: partitions come and go while others are read, and one that comes again is read anew.
func TestFetcherAddsAndRemoves(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(3)
		tx := c.tx(c.name("tx"))
		put := func(value string) {
			for p := range int32(3) {
				tx.Send(topic, p, []byte("k"), []byte(value))
			}
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		put("first")
		f := NewFetcher(t.Context(), FetcherConfig{Client: c.admin.Client(), Topic: topic, Partitions: 3})
		t.Cleanup(f.Close)
		f.Add(1, 0)
		if diff := cmp.Diff([]string{"0 k=first"}, c.fetch(f, 1, 1)); diff != "" {
			t.Errorf("a partition that was added (-want +got):\n%s", diff)
		}
		f.Add(2, 1)
		put("second")
		if diff := cmp.Diff([]string{"2 k=second"}, c.fetch(f, 2, 3)); diff != "" {
			t.Errorf("another one (-want +got):\n%s", diff)
		}
		f.Remove(1)
		if _, err := f.Next(t.Context(), 1); !errors.Is(err, context.Canceled) {
			t.Errorf("one that was removed: %v", err)
		}
		f.Add(1, 0)
		if diff := cmp.Diff([]string{"0 k=first", "2 k=second"}, c.fetch(f, 1, 3)); diff != "" {
			t.Errorf("one that was added again (-want +got):\n%s", diff)
		}
		f.Remove(1)
		f.Remove(2) // the leader has none left
		f.Add(0, 2)
		put("third")
		if diff := cmp.Diff([]string{"2 k=second", "4 k=third"}, c.fetch(f, 0, 5)); diff != "" {
			t.Errorf("when there was none (-want +got):\n%s", diff)
		}
	})
}

// TestFetcherAsksBeforeItGoesOn: who must not read on when a leader was lost is asked each time, and never before.
func TestFetcherAsksBeforeItGoesOn(t *testing.T) {
	t.Parallel()
	c := fakeCluster(t)
	topic := c.topic(1)
	c.put(topic, "a=1", "b=2")
	var asked atomic.Int64
	no := errors.New("another topic")
	f := NewFetcher(t.Context(), FetcherConfig{Client: c.admin.Client(), Topic: topic, From: map[int32]int64{0: 0}, Again: func() error {
		if asked.Add(1) == 3 {
			return no
		}
		return nil
	}})
	t.Cleanup(f.Close)
	c.fetch(f, 0, 2)
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times while all was well", n)
	}
	c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.NotLeaderForPartition, Count: -1})
	if _, err := f.Next(t.Context(), 0); !errors.Is(err, no) {
		t.Errorf("%v", err)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// TestFetcherUnknownForAMoment: a topic that has been known and is unknown once, after a long time of other troubles, is read.
func TestFetcherUnknownForAMoment(t *testing.T) {
	t.Parallel()
	c := fakeCluster(t)
	topic := c.topic(1)
	c.put(topic, "a=1")
	c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.NotLeaderForPartition, Count: unknownAttempts + 2},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.UnknownTopicOrPartition, Count: 1})
	if diff := cmp.Diff([]string{"0 a=1"}, c.fetch(c.fetcher(topic, 0), 0, 1)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestFetcherAsksForShares: no answer is larger than four partitions' shares, however many partitions there are, and all are read.
func TestFetcherAsksForShares(t *testing.T) {
	c := fakeCluster(t)
	const partitions, records, most = 32, 20, 64 << 10
	topic := c.topic(partitions)
	tx := c.tx("x", func(c *Config) { c.Properties = map[string]string{"compression.type": "none"} })
	for range records {
		for p := range int32(partitions) {
			tx.Send(topic, p, []byte("k"), make([]byte, 1000))
		}
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	var largest atomic.Int32
	cl := c.fake.Cluster()
	cl.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cl.KeepControl()
		largest.Store(max(largest.Load(), r.(*kmsg.FetchRequest).MaxBytes))
		return nil, nil, false
	})
	conf := c.admin.Client().Config()
	was := conf.Consumer.Fetch.MaxBytes
	conf.Consumer.Fetch.MaxBytes = most
	f := c.fetcher(topic, make([]int64, partitions)...)
	conf.Consumer.Fetch.MaxBytes = was
	for p := range int32(partitions) {
		if got := c.fetch(f, p, 2*records); len(got) != records {
			t.Errorf("partition %d: %d records", p, len(got))
		}
	}
	if got, want := largest.Load(), int32(4*most/partitions); got != want {
		t.Errorf("%d bytes are asked for at once, want %d", got, want)
	}
}

// TestFetcherCancelledWhileNobodyLeads: the broker does not say who leads.
func TestFetcherCancelledWhileNobodyLeads(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(1)
	arrived, release := broker.HoldTest(c.fake, kmsg.Metadata)
	defer release()
	f := c.fetcher(topic, 0)
	<-arrived
	began := time.Now()
	f.Close()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestFetcherMayNotRead(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(1)
	c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
	_, err := c.fetcher(topic, 0).Next(t.Context(), 0)
	var denied *NotAllowed
	if !errors.As(err, &denied) || denied.What != "Read on topic "+topic {
		t.Errorf("%v", err)
	}
}

// The broker takes a fetch and never answers.
func TestFetcherCancelled(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(2)
	arrived, release := broker.HoldTest(c.fake, kmsg.Fetch)
	defer release()
	f := c.fetcher(topic, 0, 0)
	<-arrived
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Next(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}
	f.Close()
	if _, err := f.Next(t.Context(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("closed: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// BenchmarkFetcher reads a million records of some 430 bytes from four partitions.
func BenchmarkFetcher(b *testing.B) {
	br := broker.StartTest(b, broker.Config{Temporary: true})
	cfg := Config{Brokers: br.Addrs()}
	a, err := NewAdmin(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // nothing is under way
	const partitions, each = 4, 250_000
	if err := a.Ensure(Topic{Name: "bench", Partitions: partitions}); err != nil {
		b.Fatal(err)
	}
	tx, err := NewTx(b.Context(), cfg, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Close() //nolint:errcheck // all was committed
	value := make([]byte, 430)
	for i := range partitions * each {
		tx.Send("bench", int32(i%partitions), nil, value)
		if i%50_000 == 49_999 {
			if err := tx.Commit(b.Context(), nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	from := map[int32]int64{}
	for p := range int32(partitions) {
		from[p] = 0
	}
	for b.Loop() {
		f := NewFetcher(b.Context(), FetcherConfig{Client: a.Client(), Topic: "bench", From: from})
		done := make(chan error, partitions)
		for p := range int32(partitions) {
			go func() {
				for n := 0; n < each; {
					got, err := f.Next(b.Context(), p)
					if err != nil {
						done <- err
						return
					}
					n += len(got.Messages)
				}
				done <- nil
			}()
		}
		for range partitions {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		f.Close()
	}
	b.ReportMetric(partitions*each*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
