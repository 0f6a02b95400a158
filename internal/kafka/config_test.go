package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka"
)

// TestDefaults lists every default of Sarama and Goka that would lose records, count some twice or hang. One that a new
// version of theirs has mended is logged, so that it can be dropped here.
func TestDefaults(t *testing.T) {
	ours, err := Config{Brokers: []string{"127.0.0.1:9092"}}.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []struct {
		name string
		why  string
		get  func(*sarama.Config) any
		want any
	}{
		{"RequiredAcks", "a leader that dies takes acknowledged records along", func(c *sarama.Config) any { return c.Producer.RequiredAcks }, sarama.WaitForAll},
		{"Idempotent", "a retry writes a batch twice", func(c *sarama.Config) any { return c.Producer.Idempotent }, true},
		{"MaxOpenRequests", "a retried batch is overtaken", func(c *sarama.Config) any { return c.Net.MaxOpenRequests }, 1},
		{"AutoCommit", "offsets are committed before their records count", func(c *sarama.Config) any { return c.Consumer.Offsets.AutoCommit.Enable }, false},
		{"IsolationLevel", "records of aborted transactions are counted", func(c *sarama.Config) any { return c.Consumer.IsolationLevel }, sarama.ReadCommitted},
		{"Offsets.Initial", "a new group begins at the newest record", func(c *sarama.Config) any { return c.Consumer.Offsets.Initial }, sarama.OffsetOldest},
		{"ResetInvalidOffsets", "a topic made anew is read again in silence", func(c *sarama.Config) any { return c.Consumer.Group.ResetInvalidOffsets }, false},
		{"AllowAutoTopicCreation", "waiting for an input topic makes it", func(c *sarama.Config) any { return c.Metadata.AllowAutoTopicCreation }, false},
		{"Transaction.Timeout", "a dead instance's partitions stand still for a minute", func(c *sarama.Config) any { return c.Producer.Transaction.Timeout }, 10 * time.Second},
		{"Session.Timeout", "a dead instance is noticed late", func(c *sarama.Config) any { return c.Consumer.Group.Session.Timeout }, 6 * time.Second},
		{"Heartbeat.Interval", "a rebalance is noticed late", func(c *sarama.Config) any { return c.Consumer.Group.Heartbeat.Interval }, 150 * time.Millisecond},
		{"Rebalance.Retry.Max", "a group that rebalances for ten seconds ends the consumer", func(c *sarama.Config) any { return c.Consumer.Group.Rebalance.Retry.Max }, 100},
		{"Metadata.Timeout", "an unreachable broker is waited for without end", func(c *sarama.Config) any { return c.Metadata.Timeout }, 6 * time.Second},
		{"DialTimeout", "an unreachable broker is waited for half a minute", func(c *sarama.Config) any { return c.Net.DialTimeout }, 3 * time.Second},
		{"ClientID", "the cluster's administrators cannot tell who it is", func(c *sarama.Config) any { return c.ClientID }, "brotally"},
	} {
		if got := d.get(ours); !cmp.Equal(got, d.want) {
			t.Errorf("%s is %v, want %v: else %s", d.name, got, d.want, d.why)
		}
		for who, def := range map[string]*sarama.Config{"Sarama": sarama.NewConfig(), "Goka": goka.DefaultConfig()} {
			if got := d.get(def); cmp.Equal(got, d.want) {
				t.Logf("%s's default of %s is right now: %v", who, d.name, got)
			}
		}
	}

	// Some are no plain values.
	if ours.Version.IsAtLeast(sarama.V2_8_0_0) == false || goka.DefaultConfig().Version.IsAtLeast(sarama.V2_8_0_0) {
		t.Errorf("version %v: topic ids and fencing by name need 2.8, and Kafka 4 refuses Goka's 2.0", ours.Version)
	}
	if ours.MetricRegistry == nil {
		t.Error("no MetricRegistry: Sarama panics in a fetch")
	}
	if sarama.MaxDecompressedBatchSize != MaxBatchBytes {
		t.Errorf("MaxDecompressedBatchSize is %d: a batch may inflate without limit", sarama.MaxDecompressedBatchSize)
	}
	if f := ours.Producer.Flush; f.Frequency != 0 || f.Bytes != 0 || f.Messages != 0 {
		t.Errorf("flush %+v: waiting here is latency in every commit (Goka waits 100 ms)", f)
	}
	if pause := ours.Producer.Transaction.Retry.BackoffFunc(0, 0); pause > 5*time.Millisecond {
		t.Errorf("first try after CONCURRENT_TRANSACTIONS after %v: it is the normal answer for a millisecond or two", pause)
	}
	if s := ours.Consumer.Group.Rebalance.Strategy; s != nil {
		t.Errorf("deprecated Rebalance.Strategy is set: it would hide GroupStrategies")
	}
	if p := ours.Producer.Partitioner("x"); p.RequiresConsistency() != true {
		t.Error("the partitioner may choose among writable partitions: keys move when a leader is missing")
	}
	if !ours.Producer.Return.Errors {
		t.Error("failed sends are not reported")
	}
	for _, err := range []error{
		ours.Validate(),
		func() error { c := *ours; c.Producer.Transaction.ID = "x"; return c.Validate() }(),
		func() error {
			c := *ours
			c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{goka.CopartitioningStrategy}
			return c.Validate()
		}(),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestPresetPartitioner(t *testing.T) {
	p := presetPartitioner{}
	if got, err := p.Partition(&sarama.ProducerMessage{Partition: 3}, 4); got != 3 || err != nil {
		t.Errorf("partition %d, %v", got, err)
	}
	for _, n := range []int32{-1, 4} {
		if _, err := p.Partition(&sarama.ProducerMessage{Topic: "t", Partition: n}, 4); !errors.Is(err, sarama.ErrInvalidPartition) {
			t.Errorf("partition %d of 4: %v", n, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	c, err := Config{}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if c.App != "brotally" || c.Instance == "" {
		t.Errorf("app %q, instance %q", c.App, c.Instance)
	}
}

func TestNobodyAnswers(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	addr := closed.Addr().String()

	_, err = NewAdmin(t.Context(), Config{Brokers: []string{addr}})
	var none *ErrNoBroker
	if !errors.As(err, &none) || !cmp.Equal(none.Brokers, []string{addr}) {
		t.Fatalf("%v, want *ErrNoBroker of %s", err, addr)
	}
	if !strings.Contains(err.Error(), addr) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q", err)
	}
	if _, err := NewTx(t.Context(), Config{Brokers: []string{addr}}, "x"); !errors.As(err, &none) {
		t.Errorf("transactional producer: %v", err)
	}
	if _, err := NewAdmin(t.Context(), Config{}); !errors.As(err, &none) || !strings.Contains(err.Error(), "-b") {
		t.Errorf("without brokers: %v", err)
	}
}

// A broker that takes connections and never answers, as one that is stopped by SIGSTOP.
func TestSilentBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	t.Run("gives up within ten seconds", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes nine seconds")
		}
		t.Parallel()
		begin := time.Now()
		_, err := NewAdmin(t.Context(), Config{Brokers: []string{l.Addr().String()}})
		var none *ErrNoBroker
		if took := time.Since(begin); !errors.As(err, &none) || took > 10*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
	t.Run("cancelled at once", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		conns := make(chan net.Conn, 1)
		go func() {
			if c, err := l.Accept(); err == nil {
				conns <- c
				cancel()
			}
		}()
		begin := time.Now()
		_, err := NewAdmin(ctx, Config{Brokers: []string{l.Addr().String()}})
		if !errors.Is(err, context.Canceled) || time.Since(begin) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		(<-conns).Close()
	})
}

func TestOneOfSeveralBrokersIsEnough(t *testing.T) {
	c := fakeCluster(t)
	a, err := NewAdmin(t.Context(), Config{Brokers: append([]string{"127.0.0.1:1"}, c.cfg.Brokers...)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := Config{
		Brokers: []string{"b:1"},
		SASL:    SASL{Mechanism: "PLAIN", Username: "zeek", Password: NewSecret("hunter2"), OAuth: OAuth{ClientSecret: NewSecret("hunter2")}},
		TLS:     TLS{Enable: true, KeyPEM: NewSecret("hunter2"), CertPEM: "public"},
		Properties: map[string]string{
			"sasl.password": "hunter2", "pass": "hunter2", "ssl.key.pem": "hunter2", "ssl.keystore.key": "hunter2", "client.id": "me",
			"sasl.oauthbearer.client.secret": "hunter2", "sasl.password.file": "shown",
		},
	}
	for _, s := range []string{c.String(), fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%v", c.SASL),
		fmt.Sprintf("%#v", c.SASL), fmt.Sprintf("%#v", c.TLS), fmt.Sprintf("%+v", struct{ C Config }{c}),
		fmt.Sprintf("%+v", struct{ s SASL }{c.SASL}), fmt.Sprintf("%#v", struct{ t *TLS }{&c.TLS}), fmt.Sprintf("%s %q %x %d", c.SASL.Password, c.SASL.Password, c.SASL.Password, c.SASL.Password),
		asJSON(t, c), asJSON(t, c.SASL), asJSON(t, c.TLS), logged(c), logged(c.SASL), logged(c.SASL.Password)} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "68756e") {
			t.Errorf("a secret shows: %s", s)
		}
	}
	if s := c.String(); !strings.Contains(s, "zeek") || !strings.Contains(s, "client.id=me") || !strings.Contains(s, "sasl.password.file=shown") {
		t.Errorf("too little shows: %s", s)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func logged(v any) string {
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("settings", "are", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("settings", "are", v)
	return b.String()
}
