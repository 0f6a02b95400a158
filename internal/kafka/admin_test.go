package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/broker"
)

func TestEnsureMakesWhatIsMissing(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		want := Topic{Name: c.name("new"), Partitions: 3, Config: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "86400000", "segment.bytes": "67108864"}}
		for range 2 { // the second time it is there
			if err := c.admin.Ensure(want); err != nil {
				t.Fatal(err)
			}
		}
		found, err := c.admin.Describe(want.Name, "there-is-no-such-topic")
		if err != nil {
			t.Fatal(err)
		}
		got, ok := found[want.Name]
		if !ok || len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		if got.Partitions != 3 || got.Replication != 1 || len(got.ID) != 22 || got.Config["segment.bytes"] != "67108864" || !got.Compacted() {
			t.Errorf("%+v", got)
		}
		all, err := c.admin.List()
		if err != nil || all[want.Name].ID != got.ID {
			t.Errorf("list: %+v, %v", all[want.Name], err)
		}

		// Made anew it is another topic.
		if err := c.admin.DeleteTopics(want.Name, "there-is-no-such-topic"); err != nil {
			t.Fatal(err)
		}
		if found, err := c.admin.Describe(want.Name); err != nil || len(found) != 0 {
			t.Fatalf("deleted: %v, %v", found, err)
		}
		if err := c.admin.Ensure(want); err != nil {
			t.Fatal(err)
		}
		again, err := c.admin.Describe(want.Name)
		if err != nil || again[want.Name].ID == got.ID {
			t.Errorf("id of before %s, now %s, %v", got.ID, again[want.Name].ID, err)
		}
	})
}

func TestEnsureRefusesWhatIsDifferent(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		empty := c.topic(2, "cleanup.policy=delete", "retention.ms=3600000", "max.message.bytes=2000000")
		used := c.topic(2)
		c.put(used, "a=1")
		for _, test := range []struct {
			name  string
			want  Topic
			what  string
			mends string
		}{
			{"the same", Topic{Name: empty, Partitions: 2, Config: map[string]string{"cleanup.policy": "delete", "max.message.bytes": "1000000"}}, "", ""},
			{"settings that keep nothing", Topic{Name: empty, Partitions: 2, Config: map[string]string{"compression.type": "zstd"}}, "", ""},
			{"more partitions, still empty", Topic{Name: empty, Partitions: 4}, "partitions", "kafka-topics --bootstrap-server HOST --alter --topic " + empty + " --partitions 4"},
			{"fewer partitions", Topic{Name: empty, Partitions: 1}, "partitions", "kafka-topics --bootstrap-server HOST --delete --topic " + empty},
			{"more partitions, in use", Topic{Name: used, Partitions: 4}, "partitions", "kafka-topics --bootstrap-server HOST --delete --topic " + used},
			{"policy", Topic{Name: empty, Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}}, "cleanup.policy",
				"kafka-configs --bootstrap-server HOST --alter --entity-type topics --entity-name " + empty + " --add-config cleanup.policy=compact"},
			{"two policies", Topic{Name: empty, Partitions: 2, Config: map[string]string{"cleanup.policy": "compact,delete"}}, "cleanup.policy", "cleanup.policy=[compact,delete]"},
			{"retention", Topic{Name: empty, Partitions: 2, Config: map[string]string{"retention.ms": "-1"}}, "retention.ms", "--add-config retention.ms=-1"},
			{"size of records", Topic{Name: empty, Partitions: 2, Config: map[string]string{"max.message.bytes": "4000000"}}, "max.message.bytes", "=4000000"},
		} {
			t.Run(test.name, func(t *testing.T) {
				err := c.admin.Ensure(test.want)
				if test.what == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var m *TopicMismatch
				if !errors.As(err, &m) || m.Topic != test.want.Name || m.What != test.what || !errors.Is(err, ErrFatal) {
					t.Fatalf("%v, want a mismatch of %s", err, test.what)
				}
				if mend := strings.ReplaceAll(m.Mend, strings.Join(c.cfg.Brokers, ","), "HOST"); !strings.Contains(mend, test.mends) {
					t.Errorf("mend %q, want %q", mend, test.mends)
				}
			})
		}
		if err := c.admin.Ensure(Topic{Name: "x"}); err == nil {
			t.Error("a topic of no partitions was made")
		}
		found, err := c.admin.Describe(empty, used)
		if err != nil || found[empty].Partitions != 2 || found[used].Partitions != 2 || found[empty].Config["cleanup.policy"] != "delete" {
			t.Errorf("refusing changed something: %v, %v", found, err)
		}
	})
}

// Another instance makes the topic between our look and our request, or the answer to ours is lost.
func TestEnsureTogether(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		want := Topic{Name: c.name("together"), Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}}
		errs := make(chan error)
		for range 4 {
			go func() { errs <- c.admin.Ensure(want) }()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAdminRidesOverFaults(t *testing.T) {
	c := fakeCluster(t)
	topic := c.topic(2)
	c.put(topic, "a=1")
	cl := c.fake.Cluster()
	for _, f := range []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: kerr.LeaderNotAvailable, Count: 2},
		{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topic, Err: kerr.NotLeaderForPartition, Count: 2},
		{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress, Count: 2},
		{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.NotCoordinator, Count: 2},
		{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.RequestTimedOut, Count: 1},
	} {
		h := cl.Fault(f)
		if _, err := c.admin.Describe(topic); err != nil {
			t.Errorf("%v: describe: %v", f.Err, err)
		}
		if offs, err := c.admin.Offsets(topic); err != nil || len(offs[topic]) != 2 {
			t.Errorf("%v: offsets: %v, %v", f.Err, offs, err)
		}
		if _, err := c.admin.CommittedOffsets("g"); err != nil {
			t.Errorf("%v: committed: %v", f.Err, err)
		}
		if h.Hits() == 0 {
			t.Errorf("%v was not met", f.Err)
		}
		h.Remove()
	}
	// Connections that the broker closed, as it does with idle ones.
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.DescribeConfigs, kmsg.ListOffsets, kmsg.OffsetFetch} {
		cl.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("hang up"), true })
	}
	if _, err := c.admin.Describe(topic); err != nil {
		t.Error(err)
	}
	if _, err := c.admin.Offsets(topic); err != nil {
		t.Error(err)
	}
	if _, err := c.admin.CommittedOffsets("g"); err != nil {
		t.Error(err)
	}
}

// A broker that its controller did not hear of for a while is named by nobody, and Sarama then knows none.
func TestAdminWaitsForABroker(t *testing.T) {
	c := fakeCluster(t)
	topic, group := c.topic(1), c.name("group")
	c.put(topic, "a=1")
	if err := c.admin.CommitOffsets(group, map[string]map[int32]int64{topic: {0: 1}}); err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() (bool, error){
		"groups": func() (bool, error) {
			names, err := c.admin.Groups()
			return slices.Contains(names, group), err
		},
		"describe": func() (bool, error) {
			found, err := c.admin.Describe(topic)
			return len(found) == 1, err
		},
		"size": func() (bool, error) {
			n, err := c.admin.TopicBytes(topic)
			return n > 0, err
		},
	} {
		cl := c.fake.Cluster()
		var back atomic.Bool
		cl.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cl.KeepControl()
			if back.Load() {
				cl.DropControl()
				return nil, nil, false
			}
			return r.ResponseKind(), nil, true
		})
		err := c.admin.client.RefreshMetadata()
		back.Store(true)
		if n := len(c.admin.client.Brokers()); err == nil || n != 0 {
			t.Fatalf("%d brokers, %v", n, err)
		}
		if ok, err := ask(); !ok || err != nil {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
	}
}

// Of a cluster that refuses us by now, it is said that it does, not that it cannot be found.
func TestAdminSaysWhyItFindsNoBroker(t *testing.T) {
	start := func(addr string) *broker.Broker {
		b, err := broker.Start(broker.Config{Addr: addr, Temporary: true, Options: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "ann", "secret")}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := start("")
	admin, err := NewAdmin(t.Context(), Config{App: "x", Brokers: b.Addrs(), SASL: SASL{Mechanism: "SCRAM-SHA-512", Username: "ann", Password: NewSecret("secret")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = admin.client.RefreshController()
	if n := len(admin.client.Brokers()); n != 0 {
		t.Fatalf("%d brokers", n)
	}
	again := start(b.Addrs()[0])
	t.Cleanup(func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
	cl := again.Cluster()
	cl.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cl.KeepControl()
		no := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		no.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return no, nil, true
	})
	var not *NotAllowed
	if _, err := admin.List(); !errors.As(err, &not) {
		t.Errorf("%T %v, want *NotAllowed", err, err)
	}
}

func TestOffsets(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		a, b := c.topic(3), c.topic(1)
		tx := c.tx(c.name("tx"))
		for i := range 10 {
			tx.Send(a, int32(i%2), nil, fmt.Append(nil, i))
		}
		tx.Send(b, 0, nil, []byte("b"))
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		c.arrived(a, 6, 6)
		c.arrived(b, 2)
		if err := c.admin.DeleteRecords(a, map[int32]int64{0: 3, 1: -1}); err != nil {
			t.Fatal(err)
		}
		if err := c.admin.DeleteRecords(a, map[int32]int64{0: 1}); err != nil {
			t.Errorf("offsets that are gone already: %v", err)
		}
		if err := c.admin.DeleteRecords(a, nil); err != nil {
			t.Errorf("nothing to delete: %v", err)
		}
		if err := c.admin.DeleteRecords(a, map[int32]int64{0: 1, 2: 100}); !errors.Is(err, sarama.ErrOffsetOutOfRange) {
			t.Errorf("offsets that are not there yet: %v", err)
		}
		got, err := c.admin.Offsets(a, b)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]map[int32]Range{a: {0: {3, 6}, 1: {6, 6}, 2: {0, 0}}, b: {0: {0, 2}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("offsets (-want +got):\n%s", diff)
		}
		if got, err := c.admin.Offsets(); err != nil || len(got) != 0 {
			t.Errorf("of nothing: %v, %v", got, err)
		}
		if _, err := c.admin.Offsets("there-is-no-such-topic"); !errors.Is(err, sarama.ErrUnknownTopicOrPartition) || !strings.Contains(err.Error(), "there-is-no-such-topic") {
			t.Errorf("of a topic that is not there: %v", err)
		}
	})
}

func TestOffsetsForTime(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(2)
		conf, err := c.cfg.Sarama()
		if err != nil {
			t.Fatal(err)
		}
		conf.Producer.Return.Successes = true
		p, err := sarama.NewSyncProducer(c.cfg.Brokers, conf)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 5 {
			if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("x"), Timestamp: at.Add(time.Duration(i) * time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, test := range []struct {
			at   time.Time
			want int64
		}{{at.Add(-time.Hour), 0}, {at, 0}, {at.Add(time.Minute), 1}, {at.Add(4 * time.Hour), 4}, {at.Add(5 * time.Hour), 5}} {
			got, err := c.admin.OffsetsForTime(topic, test.at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[int32]int64{0: test.want, 1: 0}, got); diff != "" {
				t.Errorf("at %v (-want +got):\n%s", test.at, diff)
			}
		}
	})
}

func TestGroups(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(1), c.name("group")
		offs := map[string]map[int32]int64{topic: {0: 5}}

		if got, err := c.admin.CommittedOffsets(group); err != nil || len(got) != 0 {
			t.Errorf("group that is not there: %v, %v", got, err)
		}
		if got, err := c.admin.GroupMembers(group); err != nil || len(got) != 0 {
			t.Errorf("members of a group that is not there: %v, %v", got, err)
		}
		if err := c.admin.DeleteGroups(group); err != nil {
			t.Errorf("delete a group that is not there: %v", err)
		}

		if err := c.admin.CommitOffsets(group, offs); err != nil {
			t.Fatal(err)
		}
		if err := c.admin.CommitOffsets(group, nil); err != nil {
			t.Errorf("nothing to set: %v", err)
		}
		got, err := c.admin.CommittedOffsets(group)
		if diff := cmp.Diff(offs, got); diff != "" || err != nil {
			t.Errorf("offsets, %v (-want +got):\n%s", err, diff)
		}
		names, err := c.admin.Groups()
		if err != nil || !strings.Contains(strings.Join(names, " "), group) {
			t.Errorf("groups %v, %v", names, err)
		}

		t.Run("in use", func(t *testing.T) {
			sub := *c
			sub.t = t
			sub.join(group, topic)
			members, err := c.admin.GroupMembers(group)
			if err != nil || len(members) != 1 || members[0].Client != c.cfg.App || members[0].ID == "" || !strings.Contains(members[0].Host, "127.0.0.1") {
				t.Errorf("members %+v, %v", members, err)
			}
			var used *GroupInUse
			if err := c.admin.CommitOffsets(group, map[string]map[int32]int64{topic: {0: 0}}); !errors.As(err, &used) || len(used.Members) != 1 || !strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("set offsets: %v, want *GroupInUse", err)
			}
			if err := c.admin.DeleteGroups(group); !errors.As(err, &used) {
				t.Errorf("delete: %v, want *GroupInUse", err)
			}
			for topic, want := range map[string]int{topic: 0, c.topic(3): 3} {
				// The member hears what it was given a moment before the group is stable, and Unread asks once.
				eventually(t, func() error {
					unread, err := c.admin.Unread(group, topic)
					if err == nil && unread != want {
						err = fmt.Errorf("%d partitions of %s are unread, want %d", unread, topic, want)
					}
					return err
				})
			}
		})

		if got, err := c.admin.CommittedOffsets(group); err != nil || got[topic][0] != 5 {
			t.Errorf("offsets were moved: %v, %v", got, err)
		}
		if err := c.admin.DeleteGroups(group); err != nil {
			t.Fatal(err)
		}
		if got, err := c.admin.CommittedOffsets(group); err != nil || len(got) != 0 {
			t.Errorf("deleted: %v, %v", got, err)
		}
	})
}

// Offsets that an open transaction is about to commit are waited for: passed over, a start would be decided on old ones.
func TestCommittedOffsetsAreStable(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(1), c.name("group")
		id := c.name("tx")
		c.tx(id) // the coordinator is there
		if err := c.admin.CommitOffsets(group, map[string]map[int32]int64{topic: {0: 1}}); err != nil {
			t.Fatal(err)
		}
		// By hand, because Tx sends its offsets only to commit them at once.
		cl := c.admin.Client()
		coord, err := cl.TransactionCoordinator(id)
		if err != nil {
			t.Fatal(err)
		}
		res, err := coord.InitProducerID(&sarama.InitProducerIDRequest{Version: 4, TransactionalID: &id, TransactionTimeout: 10 * time.Second, ProducerID: -1, ProducerEpoch: -1})
		if err != nil || res.Err != sarama.ErrNoError {
			t.Fatal(err, res)
		}
		added, err := coord.AddOffsetsToTxn(&sarama.AddOffsetsToTxnRequest{Version: 3, TransactionalID: id, ProducerID: res.ProducerID, ProducerEpoch: res.ProducerEpoch, GroupID: group})
		if err != nil || added.Err != sarama.ErrNoError {
			t.Fatal(err, added)
		}
		b, err := cl.Coordinator(group)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.TxnOffsetCommit(&sarama.TxnOffsetCommitRequest{Version: 3, TransactionalID: id, ProducerID: res.ProducerID, ProducerEpoch: res.ProducerEpoch, GroupID: group,
			GenerationID: -1, Topics: map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: 9, LeaderEpoch: -1}}}})
		if err != nil {
			t.Fatal(err)
		}

		done := make(chan int64, 1)
		go func() {
			offs, err := c.admin.CommittedOffsets(group)
			if err != nil {
				t.Error(err)
			}
			done <- offs[topic][0]
		}()
		select {
		case at := <-done:
			t.Errorf("%d while the transaction is open", at)
		case <-time.After(500 * time.Millisecond):
		}
		end, err := coord.EndTxn(&sarama.EndTxnRequest{Version: 3, TransactionalID: id, ProducerID: res.ProducerID, ProducerEpoch: res.ProducerEpoch, TransactionResult: true})
		if err != nil || end.Err != sarama.ErrNoError {
			t.Fatal(err, end)
		}
		select {
		case at := <-done:
			if at != 9 {
				t.Errorf("offset %d, want 9", at)
			}
		case <-time.After(15 * time.Second):
			t.Fatal("it waits on")
		}
	})
}
