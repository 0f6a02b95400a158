package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/broker"
)

func inspector(t *testing.T, cfg Config) (*Inspector, Cluster) {
	t.Helper()
	i, err := NewInspector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	c, err := i.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i, c
}

func TestInspect(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(2)
		c.put(topic, "a=1", "b=2")
		i, about := inspector(t, c.cfg)
		if about.ID == "" || len(about.Brokers) == 0 || len(about.Lacks) > 0 {
			t.Errorf("cluster: %+v", about)
		}
		for id := range about.Brokers {
			settings, err := i.Settings(t.Context(), id)
			if err != nil || settings["transaction.max.timeout.ms"] == "" {
				t.Errorf("settings of broker %d: %v, %v", id, settings, err)
			}
		}
		disks, err := i.Disks(t.Context())
		size := int64(0)
		for _, d := range disks {
			size += d.Topics[topic]
		}
		if err != nil || size == 0 {
			t.Errorf("disks: %+v, %v", disks, err)
		}
		ahead, within, err := i.Clock(t.Context(), about)
		switch {
		case c.fake != nil && !errors.Is(err, ErrNoClock):
			t.Errorf("clock of a broker without a quorum: %v", err)
		case c.fake == nil && (err != nil || max(ahead, -ahead) > within || within > 5*time.Second): // the broker is on this machine
			t.Errorf("clock: %v ahead, give or take %v, %v", ahead, within, err)
		}
	})
}

func TestOpenTransactions(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(2)
		i, _ := inspector(t, c.cfg)
		old := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		client, err := kgo.NewClient(kgo.SeedBrokers(c.cfg.Brokers...), kgo.TransactionalID(c.name("id")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte("x"), Timestamp: old}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		open, err := i.OpenTransactions(t.Context(), map[string]int32{topic: 2, "not-there": 1})
		if err != nil || len(open) != 1 || open[0].Topic != topic || open[0].Partition != 1 || open[0].Offset != 0 || c.fake == nil && !open[0].Last.Equal(old) { // the embedded broker says when it was written
			t.Errorf("one is open: %+v, %v", open, err)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			open, err := i.OpenTransactions(t.Context(), map[string]int32{topic: 2})
			if err == nil && len(open) > 0 {
				err = errors.New("it is still open")
			}
			return err
		})
	})
}

func TestMissingRights(t *testing.T) {
	allow := func(r kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, ops ...kmsg.ACLOperation) (acls []kfake.ACL) {
		for _, op := range ops {
			acls = append(acls, kfake.ACL{Resource: r, Name: name, Pattern: pattern, Operation: op, Allow: true})
		}
		return acls
	}
	literal, prefixed := kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLResourcePatternTypePrefixed
	acls := slices.Concat(
		allow(kmsg.ACLResourceTypeTopic, "dns", literal, kmsg.ACLOperationRead),
		allow(kmsg.ACLResourceTypeTopic, "app-", prefixed, kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate),
		allow(kmsg.ACLResourceTypeTopic, "seen", literal, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeGroup, "app-", prefixed, kmsg.ACLOperationRead),
		allow(kmsg.ACLResourceTypeTransactionalId, "app-a", literal, kmsg.ACLOperationWrite),
		allow(kmsg.ACLResourceTypeTransactionalId, "app-b", literal, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeCluster, "kafka-cluster", literal, kmsg.ACLOperationDescribeConfigs),
	)
	b := broker.StartTest(t, broker.Config{Options: []kfake.Opt{
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("SCRAM-SHA-512", "root", "root"), kfake.User("SCRAM-SHA-512", "zeek", "zeek", acls...),
		kfake.SeedTopics(1, "dns", "conn", "app-there"),
	}})
	cfg := Config{Brokers: b.Addrs(), SASL: SASL{Mechanism: "SCRAM-SHA-512", Username: "zeek", Password: NewSecret("zeek")}}
	i, about := inspector(t, cfg)
	at := Resources{Topics: []string{"app-there", "result"}, Groups: []string{"app-g"}, IDs: []string{"app-a"}}
	on := func(kind, name string, ops ...string) (rights []Right) {
		name, prefixed := strings.CutSuffix(name, "*")
		for _, o := range ops {
			rights = append(rights, Right{o, kind, name, prefixed})
		}
		return rights
	}
	for _, test := range []struct {
		name            string
		rights          []Right
		at              Resources
		missing, untold []Right
	}{
		{"all are there", slices.Concat(on(KindTopic, "dns", "Read", "Describe"), on(KindTopic, "app-*", "Read", "Write", "Create"), on(KindGroup, "app-*", "Read"), on(KindID, "app-*", "Write"), on(KindCluster, "", "DescribeConfigs")), at, nil, nil},
		{"one that is not seen", on(KindTopic, "conn", "Read"), at, on(KindTopic, "conn", "Read"), nil},
		{"one of several", on(KindTopic, "app-*", "Read", "Delete", "DescribeConfigs"), at, on(KindTopic, "app-*", "Delete", "DescribeConfigs"), nil},
		{"to be made, and we may", on(KindTopic, "app-*", "Create"), Resources{Topics: []string{"app-new"}}, nil, nil},
		{"to be made, and we may not", on(KindTopic, "seen", "Create"), at, on(KindTopic, "seen", "Create"), nil},
		{"not there, so nobody says", on(KindTopic, "app-*", "Write"), Resources{Topics: []string{"app-new"}}, nil, on(KindTopic, "app-*", "Write")},
		{"another group", on(KindGroup, "other", "Read"), at, on(KindGroup, "other", "Read"), nil},
		{"no deleting of groups", on(KindGroup, "app-*", "Delete"), at, on(KindGroup, "app-*", "Delete"), nil},
		{"an id that is only seen", on(KindID, "app-*", "Write"), Resources{IDs: []string{"app-a", "app-b"}}, on(KindID, "app-*", "Write"), nil},
		{"an id of others", on(KindID, "other", "Write"), at, on(KindID, "other", "Write"), nil},
	} {
		missing, untold, err := i.Missing(t.Context(), about, test.rights, test.at)
		if diff := cmp.Diff([2][]Right{test.missing, test.untold}, [2][]Right{missing, untold}); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", test.name, err, diff)
		}
	}
	// Asking has changed nothing.
	root := cfg
	root.SASL.Username, root.SASL.Password = "root", NewSecret("root")
	a, err := NewAdmin(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // nothing depends on it
	topics, err := a.List()
	if err != nil || len(topics) != 3 {
		t.Errorf("topics: %v, %v", topics, err)
	}
	var denied *NotAllowed
	if _, err := i.Disks(context.Background()); !errors.As(err, &denied) || !strings.Contains(err.Error(), "kafka-acls --add --allow-principal User:zeek --operation Describe --cluster") {
		t.Errorf("disks: %v", err)
	}
}

func TestLinesOfRights(t *testing.T) {
	var got []string
	for _, line := range Lines([]Right{
		{"Read", KindTopic, "dns", false}, {"Read", KindTopic, "conn", false}, {"Read", KindTopic, "app-", true}, {"Write", KindTopic, "app-", true},
		{"Write", KindTopic, "a", false}, {"Create", KindTopic, "a", false}, {"Write", KindTopic, "b", false}, {"Create", KindTopic, "b", false},
		{"Write", KindID, "app-", true}, {"Describe", KindCluster, "", false}, {"Read", KindGroup, "it's", false},
	}) {
		got = append(got, Describe(line)+" | "+Grant("User:CN=zeek,O=Lab 1", line...))
	}
	who := "--add --allow-principal 'User:CN=zeek,O=Lab 1' --operation "
	want := []string{
		"Read on topics dns, conn | " + who + "Read --topic dns --topic conn",
		"Read, Write on topics app-* | " + who + "Read --operation Write --topic app- --resource-pattern-type prefixed",
		"Write, Create on topics a, b | " + who + "Write --operation Create --topic a --topic b",
		"Write on transactional ids app-* | " + who + "Write --transactional-id app- --resource-pattern-type prefixed",
		"Describe on the cluster | " + who + "Describe --cluster",
		`Read on group it's | ` + who + `Read --group 'it'\''s'`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
