package processors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

const notebook = `CREATE TABLE dns_counts AS
	SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name`

// pipeline is a broker with topics and what a test does to it.
type pipeline struct {
	t      *testing.T
	kafka  kafka.Config
	admin  *kafka.Admin
	client sarama.Client
}

func newPipeline(t *testing.T) *pipeline {
	b := broker.StartTest(t)
	c := kafka.Config{Brokers: b.Addrs(), App: "test", Instance: "one"}
	admin, err := kafka.NewAdmin(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	return &pipeline{t: t, kafka: c, admin: admin, client: admin.Client()}
}

func (p *pipeline) topic(name string, partitions int32) {
	p.t.Helper()
	if err := p.admin.Ensure(kafka.Topic{Name: name, Partitions: partitions}); err != nil {
		p.t.Fatal(err)
	}
}

// produce sends values to a topic, round robin over its partitions.
func (p *pipeline) produce(topic string, partitions int32, values ...string) {
	p.t.Helper()
	config, err := p.kafka.Sarama()
	if err != nil {
		p.t.Fatal(err)
	}
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer(p.kafka.Brokers, config)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	for i, v := range values {
		if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: int32(i) % partitions, Value: sarama.StringEncoder(v)}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// run runs the tables until the test calls stop.
func (p *pipeline) run(configure func(*processors.Config), definitions string) (stop func()) {
	p.t.Helper()
	defined, err := tables.CompileFile("test.sql", definitions, feeds.Lookup)
	if err != nil {
		p.t.Fatal(err)
	}
	config := processors.Config{Kafka: p.kafka, Tables: defined}
	if testing.Verbose() {
		config.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if configure != nil {
		configure(&config)
	}
	runner, err := processors.New(config)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("run: %v", err)
		}
	}
	p.t.Cleanup(stop)
	return stop
}

// result reads the result topic until the table is want or patience ends: the last value of each key.
func (p *pipeline) result(topic string, want map[string]string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	got := map[string]string{}
	var readers []*kafka.Reader
	for ctx.Err() == nil {
		if readers == nil {
			found, err := p.admin.Describe(topic)
			if err != nil {
				p.t.Fatal(err)
			}
			for n := range found[topic].Partitions {
				_ = p.client.RefreshMetadata(topic)
				r, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: p.client, Topic: topic, Partition: n, From: sarama.OffsetOldest, MaxWait: 20 * time.Millisecond})
				if err != nil {
					p.t.Fatal(err)
				}
				defer func() { _ = r.Close() }()
				readers = append(readers, r)
			}
		}
		for _, r := range readers {
			_, err := r.Poll(ctx, func(_ int64, key, value []byte, _ int64) error {
				if value == nil {
					delete(got, string(key))
				} else {
					got[string(key)] = string(value)
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				p.t.Fatal(err)
			}
		}
		if cmp.Equal(got, want) {
			return
		}
	}
	p.t.Fatalf("%s is not as it should be (-want +got):\n%s", topic, cmp.Diff(want, got))
}

func dns(host, qtype string) string {
	record := map[string]any{"ts": 1575413122.764317, "uid": "C1", "id.orig_h": host}
	if qtype != "" {
		record["qtype_name"] = qtype
	}
	b, _ := json.Marshal(record)
	return string(b)
}

func TestTheNotebooksTable(t *testing.T) {
	p := newPipeline(t)
	p.topic("dns", 4)
	var records []string
	for i := range 100 {
		records = append(records, dns("10.0.0.1", "A"), dns("10.0.0.2", ""))
		if i%10 == 0 {
			records = append(records, dns("10.0.0.1", "PTR"), "no record")
		}
	}
	p.produce("dns", 4, records...)
	p.run(nil, notebook)
	row := func(host, qtype string, n int) (string, string) {
		q := `"` + qtype + `"`
		if qtype == "" {
			q = "null"
		}
		key := fmt.Sprintf(`"id.orig_h":"%s","qtype_name":%s`, host, q)
		return "{" + key + "}", fmt.Sprintf(`{%s,"count":%d}`, key, n)
	}
	want := map[string]string{}
	for _, r := range []struct {
		host, qtype string
		n           int
	}{{"10.0.0.1", "A", 100}, {"10.0.0.2", "", 100}, {"10.0.0.1", "PTR", 10}} {
		k, v := row(r.host, r.qtype, r.n)
		want[k] = v
	}
	p.result("dns_counts", want)
}
