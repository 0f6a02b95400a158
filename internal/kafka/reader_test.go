package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/brotally/brotally/internal/broker"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestReaderSeesWhatWasCommitted(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		c.put(topic, "a=1", "b=", "c")
		tx := c.tx(c.name("tx"))
		tx.Send(topic, 0, []byte("d"), []byte("4"))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		tx.Send(topic, 0, []byte("e"), []byte("never"))
		c.arrived(topic, 6)
		if err := tx.Abort(); err != nil {
			t.Fatal(err)
		}
		tx.Send(topic, 0, []byte("f"), []byte("6"))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}

		r := c.reader(topic, sarama.OffsetOldest)
		var got rows
		done, err := r.Recover(t.Context(), got.take)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows{"a=1", "b=", "c", "d=4", "f=6"}, got); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		// Three records, three transactions of one record and one marker each.
		if want := (Reading{Next: 9, Records: 5}); done.Next != want.Next || done.Records != want.Records || r.Position() != 9 {
			t.Errorf("%+v, position %d, want %+v", done, r.Position(), want)
		}
		// There is nothing more, and finding that out takes no time.
		if done, err := r.Recover(t.Context(), got.take); err != nil || done.Records != 0 || done.Next != 9 {
			t.Errorf("again: %+v, %v", done, err)
		}
	})
}

// Trap 6, and the hole that recovery to the last stable offset has: A dies in a transaction, B commits behind it. Whoever
// recovers then must see what B committed, although the last stable offset stands before A's transaction until that times out.
func TestReaderWaitsOutTheDead(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		c.put(topic, "a=1")
		dead := c.tx(c.name("dead"), func(cfg *Config) { cfg.Properties = map[string]string{"transaction.timeout.ms": "2000"} })
		dead.Send(topic, 0, []byte("a"), []byte("lost"))
		c.arrived(topic, 2)
		kill(dead) // its connections are gone, its transaction is open

		alive := c.tx(c.name("alive"))
		alive.Send(topic, 0, []byte("b"), []byte("2"))
		if err := alive.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}

		// Who gives up in time gives up at once.
		r := c.reader(topic, sarama.OffsetOldest)
		var got rows
		ctx, cancel := context.WithCancel(t.Context())
		taken := func(off int64, key, value []byte, ts int64) error {
			defer cancel()
			return got.take(off, key, value, ts)
		}
		begin := time.Now()
		if _, err := r.Recover(ctx, taken); !errors.Is(err, context.Canceled) || time.Since(begin) > time.Second {
			t.Errorf("cancelled after %v: %v", time.Since(begin), err)
		}
		if diff := cmp.Diff(rows{"a=1"}, got); diff != "" {
			t.Errorf("before the open transaction (-want +got):\n%s", diff)
		}
		if r.LastStable() != 1 || r.HighWatermark() < 4 {
			t.Errorf("last stable offset %d, high watermark %d: there is no open transaction to wait for", r.LastStable(), r.HighWatermark())
		}

		// Who waits sees all.
		done, err := r.Recover(t.Context(), got.take)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows{"a=1", "b=2"}, got); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if done.Waited < 500*time.Millisecond || done.Waited > 15*time.Second || done.Behind == 0 {
			t.Errorf("%+v: want it to have waited for the transaction's timeout", done)
		}
		t.Logf("%+v", done)
	})
}

// Producers that interleave, commit and abort: a reader sees from any offset on what the oracle says.
func TestReaderAnyInterleaving(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		rnd := rand.New(rand.NewPCG(7, 7))
		topic := c.topic(1)
		const producers, steps = 4, 60
		var txs [producers]Tx
		var open [producers][]string
		var want []string // committed values
		for i := range txs {
			txs[i] = c.tx(c.name("tx"))
		}
		n, high := 0, int64(0)
		for range steps {
			i := rnd.IntN(producers)
			switch action := rnd.IntN(6); {
			case action < 3:
				for range 1 + rnd.IntN(5) {
					v := fmt.Sprintf("%d-%d", i, n)
					n++
					txs[i].Send(topic, 0, nil, []byte(v))
					open[i] = append(open[i], v)
					high++
				}
				c.arrived(topic, high)
			case action < 5:
				if err := txs[i].Commit(t.Context(), nil, nil); err != nil {
					t.Fatal(err)
				}
				want = append(want, open[i]...)
				if len(open[i]) > 0 {
					high++ // the marker
				}
				open[i] = nil
			default:
				if err := txs[i].Abort(); err != nil {
					t.Fatal(err)
				}
				if len(open[i]) > 0 {
					high++
				}
				open[i] = nil
			}
			c.arrived(topic, high)
		}
		for i := range txs {
			if err := txs[i].Abort(); err != nil {
				t.Fatal(err)
			}
		}
		var all []string
		offsets := map[string]int64{}
		last := int64(-1)
		done, err := c.reader(topic, 0).Recover(t.Context(), func(off int64, _, value []byte, _ int64) error {
			if off <= last {
				return fmt.Errorf("offset %d after %d", off, last)
			}
			last = off
			all = append(all, string(value))
			offsets[string(value)] = off
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(set(want), set(all)); diff != "" {
			t.Fatalf("committed records (-want +got):\n%s", diff)
		}
		for from := range done.Next {
			var expect rows
			for _, v := range all {
				if offsets[v] >= from {
					expect = append(expect, "="+v)
				}
			}
			var got rows
			if _, err := c.reader(topic, from).Recover(t.Context(), got.take); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expect, got); diff != "" {
				t.Fatalf("from %d (-want +got):\n%s", from, diff)
			}
		}
	})
}

func set(values []string) map[string]int {
	m := map[string]int{}
	for _, v := range values {
		m[v]++
	}
	return m
}

// A changelog as ours: transactions over few keys, tombstones, compacted until little is left of it.
func TestReaderOfACompactedTopic(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1, "cleanup.policy=compact", "segment.ms=100", "min.cleanable.dirty.ratio=0.001", "max.compaction.lag.ms=100",
			"delete.retention.ms=0", "min.compaction.lag.ms=0")
		tx := c.tx(c.name("tx"))
		want := map[string]string{}
		round := 0
		write := func() {
			round++
			for k := range 5 {
				key := fmt.Sprintf("key-%d", k)
				if (round+k)%4 == 0 {
					tx.Send(topic, 0, []byte(key), nil)
					delete(want, key)
					continue
				}
				value := fmt.Sprintf("%d in round %d", k, round)
				tx.Send(topic, 0, []byte(key), []byte(value))
				want[key] = value
			}
			if err := tx.Commit(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		table := func() (m map[string]string, done Reading) {
			m = map[string]string{}
			done, err := c.reader(topic, sarama.OffsetOldest).Recover(t.Context(), func(_ int64, key, value []byte, _ int64) error {
				if value == nil {
					delete(m, string(key))
				} else {
					m[string(key)] = string(value)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return m, done
		}
		for range 40 {
			write()
		}
		// Compaction goes on beside us: whatever it has done so far, the table is right.
		var done Reading
		eventually(t, func() error {
			if c.fake != nil {
				c.fake.Cluster().Compact()
			}
			write() // rolls the segment, so that all before can be compacted
			var got map[string]string
			got, done = table()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("table after %d rounds, %+v (-want +got):\n%s", round, done, diff)
			}
			if done.Records > 30 {
				return fmt.Errorf("%d records in %d offsets: not compacted yet", done.Records, done.Next)
			}
			return nil
		})
		if done.Next < int64(6*round) {
			t.Errorf("%+v: position before the end, %d", done, 6*round)
		}
		t.Logf("after %d rounds: %+v", round, done)
	})
}

// Compaction leaves batches without records where a producer's last sequence number has to be kept. When an answer has
// nothing else, Sarama shows nothing at all.
func TestReaderPassesEmptyBatches(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(1)
	c.put(topic, "a=1", "b=2", "c=3", "d=4")
	cl := c.fake.Cluster()
	cl.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cl.KeepControl()
		f := req.(*kmsg.FetchRequest)
		if f.Topics[0].Partitions[0].FetchOffset != 0 {
			return nil, nil, false
		}
		res := f.ResponseKind().(*kmsg.FetchResponse)
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = f.Topics[0].Topic, f.Topics[0].TopicID
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.HighWatermark, rp.LastStableOffset = 4, 4
		rp.RecordBatches = emptyBatch(0, 2)
		rt.Partitions = append(rt.Partitions, rp)
		res.Topics = append(res.Topics, rt)
		return res, nil, true
	})
	r := c.reader(topic, 0)
	var got rows
	done, err := r.Recover(t.Context(), got.take)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows{"d=4"}, got); diff != "" || done.Next != 4 {
		t.Errorf("%+v, records (-want +got):\n%s", done, diff)
	}
}

// emptyBatch is a record batch of [first, last] that compaction has emptied.
func emptyBatch(first, last int64) []byte {
	b := kmsg.RecordBatch{FirstOffset: first, Magic: 2, LastOffsetDelta: int32(last - first), ProducerID: 4711, FirstSequence: 0}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func TestReaderBeginsInTheMiddleOfABatch(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		tx := c.tx(c.name("tx"))
		var all rows
		for i := range 50 {
			tx.Send(topic, 0, []byte("k"), fmt.Append(nil, i))
			all = append(all, fmt.Sprintf("k=%d", i))
		}
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		for _, from := range []int64{1, 25, 49, 50, 51} {
			var got rows
			done, err := c.reader(topic, from).Recover(t.Context(), got.take)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(rows(nil), all[min(from, 50):]...), got); diff != "" || done.Next != 51 {
				t.Errorf("from %d: %+v (-want +got):\n%s", from, done, diff)
			}
		}
	})
}

func TestReaderOutOfRange(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		c.put(topic, "a=1", "b=2", "c=3", "d=4", "e=5")
		if err := c.admin.DeleteRecords(topic, map[int32]int64{0: 3}); err != nil {
			t.Fatal(err)
		}
		for _, from := range []int64{1, 9} {
			_, err := c.reader(topic, from).Poll(t.Context(), new(rows).take)
			want := &OutOfRange{Topic: topic, Offset: from, Oldest: 3, Newest: 5}
			var got *OutOfRange
			if !errors.As(err, &got) || *got != *want || !errors.Is(err, ErrFatal) {
				t.Errorf("from %d: %v, want %v", from, err, want)
			}
		}
		var got rows
		r := c.reader(topic, sarama.OffsetOldest)
		if err := c.admin.DeleteRecords(topic, map[int32]int64{0: 4}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Recover(t.Context(), got.take); err != nil || len(got) != 1 {
			t.Errorf("from the oldest, of which one was deleted meanwhile: %v, %v", got, err)
		}
		c.put(topic, "f=6", "g=7")
		if err := c.admin.DeleteRecords(topic, map[int32]int64{0: 6}); err != nil {
			t.Fatal(err)
		}
		var out *OutOfRange
		if _, err := r.Recover(t.Context(), got.take); !errors.As(err, &out) {
			t.Errorf("what it had not read yet was deleted: %v", err)
		}
	})
}

func TestReaderFollows(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		c.put(topic, "old=1")
		r := c.reader(topic, sarama.OffsetNewest)
		var got rows
		if n, err := r.Poll(t.Context(), got.take); n != 0 || err != nil {
			t.Fatalf("nothing there: %d, %v", n, err)
		}
		for i := range 3 {
			c.put(topic, fmt.Sprintf("new=%d", i))
			eventually(t, func() error {
				_, err := r.Poll(t.Context(), got.take)
				if err == nil && len(got) <= i {
					err = fmt.Errorf("%d records", len(got))
				}
				return err
			})
		}
		if diff := cmp.Diff(rows{"new=0", "new=1", "new=2"}, got); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if r.Lag() != 0 || r.HighWatermark() != 4 || r.Position() != 4 {
			t.Errorf("lag %d, high watermark %d, position %d", r.Lag(), r.HighWatermark(), r.Position())
		}
	})
}

// An error of the function stops the reading in front of the record.
func TestReaderStopsAtAnError(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(1)
	c.put(topic, "a=1", "b=2", "c=3")
	r := c.reader(topic, 0)
	bad := errors.New("bad row")
	var got rows
	_, err := r.Recover(t.Context(), func(off int64, key, value []byte, ts int64) error {
		if string(key) == "b" {
			return bad
		}
		return got.take(off, key, value, ts)
	})
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), topic+"/0@1") || r.Position() != 1 {
		t.Errorf("%v at %d", err, r.Position())
	}
	if _, err := r.Recover(t.Context(), got.take); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows{"a=1", "b=2", "c=3"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestReaderCodecsAndTimes(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		at := time.Date(2012, 3, 16, 12, 30, 0, 789e6, time.UTC)
		for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
			t.Run(codec.String(), func(t *testing.T) {
				topic := c.topic(1)
				conf, err := c.cfg.Sarama()
				if err != nil {
					t.Fatal(err)
				}
				conf.Producer.Return.Successes = true
				conf.Producer.Compression = codec
				p, err := sarama.NewSyncProducer(c.cfg.Brokers, conf)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				var batch []*sarama.ProducerMessage
				for i := range 100 {
					batch = append(batch, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(strings.Repeat("x", i)), Timestamp: at.Add(time.Duration(i) * time.Second)})
				}
				if err := p.SendMessages(batch); err != nil {
					t.Fatal(err)
				}
				n := 0
				_, err = c.reader(topic, 0).Recover(t.Context(), func(off int64, key, value []byte, ts int64) error {
					if want := at.Add(time.Duration(off) * time.Second).UnixMilli(); ts != want || len(value) != int(off) || key != nil || value == nil {
						t.Errorf("offset %d: key %v, value of %d bytes, time %d, want %d", off, key, len(value), ts, want)
					}
					n++
					return nil
				})
				if err != nil || n != 100 {
					t.Errorf("%d records, %v", n, err)
				}
			})
		}
		t.Run("time of the broker", func(t *testing.T) {
			topic := c.topic(1, "message.timestamp.type=LogAppendTime")
			begin := time.Now().Add(-time.Minute).UnixMilli()
			c.put(topic, "a=1")
			_, err := c.reader(topic, 0).Recover(t.Context(), func(_ int64, _, _ []byte, ts int64) error {
				if ts < begin {
					t.Errorf("time %d, want one after %d", ts, begin)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
}

// A record that is larger than a request asks for.
func TestReaderLargeRecord(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1, "max.message.bytes=12000000")
		big := bytes.Repeat([]byte("0123456789abcdef"), 10<<16)
		tx := c.tx(c.name("tx"), func(cfg *Config) {
			cfg.Properties = map[string]string{"message.max.bytes": "11000000", "compression.type": "none"}
		})
		for range 2 {
			tx.Send(topic, 0, nil, big)
		}
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(t.Context(), ReaderConfig{Client: c.admin.Client(), Topic: topic, From: 0, FetchBytes: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		done, err := r.Recover(t.Context(), func(_ int64, _, value []byte, _ int64) error {
			if !bytes.Equal(value, big) {
				t.Errorf("%d bytes, want %d", len(value), len(big))
			}
			return nil
		})
		if err != nil || done.Records != 2 {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

// Trap 11: what passes is retried, without losing or repeating a record.
func TestReaderRidesOverFaults(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.OffsetNotAvailable,
		kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.ReplicaNotAvailable, kerr.UnknownServerError} {
		t.Run(e.Message, func(t *testing.T) {
			c := fakeCluster(t)
			topic := c.topic(1)
			c.put(topic, "a=1", "b=2")
			h := c.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: e, Count: 3})
			var got rows
			if _, err := c.reader(topic, 0).Recover(t.Context(), got.take); err != nil {
				t.Fatal(err)
			}
			if h.Hits() != 3 {
				t.Errorf("%d faults were met", h.Hits())
			}
			if diff := cmp.Diff(rows{"a=1", "b=2"}, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
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
		var got rows
		if _, err := c.reader(topic, 0).Recover(t.Context(), got.take); err != nil || len(got) != 2 {
			t.Errorf("%v, %v", got, err)
		}
		if n != 3 {
			t.Errorf("hung up %d times", n)
		}
	})
	t.Run("leader moves", func(t *testing.T) {
		c := fakeCluster(t, broker.Config{Nodes: 3})
		topic := c.topic(1)
		r := c.reader(topic, 0)
		var got rows
		for i := range 6 {
			if err := c.fake.Cluster().MoveTopicPartition(topic, 0, int32(i%3)); err != nil {
				t.Fatal(err)
			}
			c.put(topic, fmt.Sprintf("k=%d", i))
			if _, err := r.Recover(t.Context(), got.take); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(rows{"k=0", "k=1", "k=2", "k=3", "k=4", "k=5"}, got); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

func TestReaderOfATopicThatIsGone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes four seconds")
	}
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(1)
		r := c.reader(topic, 0)
		if err := c.admin.DeleteTopics(topic); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Poll(t.Context(), new(rows).take); !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			t.Errorf("%v, want an unknown topic", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := r.Poll(ctx, new(rows).take); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
			t.Errorf("cancelled after %v: %v", time.Since(begin), err)
		}
	})
}

// The broker takes a fetch and never answers.
func TestReaderCancelled(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(1)
	c.put(topic, "a=1")
	arrived, release := broker.HoldTest(c.fake, kmsg.Fetch)
	r := c.reader(topic, 0)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	begin := time.Now()
	if _, err := r.Recover(ctx, new(rows).take); !errors.Is(err, context.Canceled) || time.Since(begin) > 3*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
	release()
	var got rows
	if _, err := r.Recover(t.Context(), got.take); err != nil || len(got) != 1 {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

// BenchmarkReader reads a changelog of a million rows of some 100 bytes.
func BenchmarkReader(b *testing.B) {
	br := broker.StartTest(b, broker.Config{Temporary: true})
	cfg := Config{Brokers: br.Addrs()}
	a, err := NewAdmin(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	if err := a.Ensure(Topic{Name: "bench", Partitions: 1}); err != nil {
		b.Fatal(err)
	}
	tx, err := NewTx(b.Context(), cfg, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Close()
	const n = 1_000_000
	for i := range n {
		tx.Send("bench", 0, fmt.Appendf(nil, "10.1.%d.%d|type-%d", i%251, i%241, i), fmt.Appendf(nil, "%064d", i))
		if i%20_000 == 0 {
			if err := tx.Commit(b.Context(), nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := tx.Commit(b.Context(), nil, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(b.Context(), ReaderConfig{Client: a.Client(), Topic: "bench", From: 0})
		if err != nil {
			b.Fatal(err)
		}
		done, err := r.Recover(b.Context(), func(int64, []byte, []byte, int64) error { return nil })
		if err != nil || done.Records != n {
			b.Fatalf("%+v, %v", done, err)
		}
		r.Close()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}
