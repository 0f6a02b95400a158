package replay_test

import (
	"testing"

	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/internal/traffic"
)

// BenchmarkSender is one message of the demo's traffic through the embedded broker, acknowledged.
func BenchmarkSender(b *testing.B) {
	br := broker.StartTest(b, broker.Config{Temporary: true})
	s, err := replay.NewSender(b.Context(), replay.SenderConfig{Kafka: kafka.Config{Brokers: br.Addrs()}, CreateTopics: 4})
	if err != nil {
		b.Fatal(err)
	}
	n, err := traffic.New(traffic.Config{})
	if err != nil {
		b.Fatal(err)
	}
	messages := make([]traffic.Message, 100_000)
	for i := range messages {
		messages[i] = n.Next()
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m := messages[i%len(messages)]
		if err := s.Send(b.Context(), m.Feed, m.Value); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var total int64
	for _, partitions := range s.Sent() {
		for _, p := range partitions {
			total += p.Records
		}
	}
	if total != int64(i) {
		b.Fatalf("%d of %d acknowledged", total, i)
	}
}
