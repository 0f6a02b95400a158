package grouptable

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
)

// BenchmarkRecover recovers a million rows of the notebook's table from an embedded broker, four partitions at the same time.
// The broker takes its share of the processors.
func BenchmarkRecover(b *testing.B) {
	const (
		n          = 1_000_000
		partitions = 4
	)
	table := compile(b, `CREATE TABLE dns_counts AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name`)
	br := broker.StartTest(b, broker.Config{Temporary: true})
	cfg := kafka.Config{Brokers: br.Addrs()}
	admin, err := kafka.NewAdmin(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	const topic = "bench-table"
	if err := admin.Ensure(kafka.Topic{Name: topic, Partitions: partitions}); err != nil {
		b.Fatal(err)
	}
	tx, err := kafka.NewTx(b.Context(), cfg, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Close() //nolint:errcheck // all is committed
	counted, err := table.NewCombiner(&feeds.Layout{Columns: table.Inputs})
	if err != nil {
		b.Fatal(err)
	}
	types := []string{"A", "AAAA", "PTR", "TXT"}
	var row []byte
	for i := range n {
		host := feeds.InetValue(netip.AddrFrom4([4]byte{10, byte(i >> 18), byte(i >> 10), byte(i >> 2)}))
		qtype := feeds.StringValue(types[i%len(types)])
		if row == nil {
			counted.Add(&feeds.Record{Values: []feeds.Value{host, qtype}})
			for _, s := range counted.Groups().All() {
				row = codecs.AppendRow(nil, table, s)
			}
		}
		key, err := table.EncodeKey([]feeds.Value{host, qtype})
		if err != nil {
			b.Fatal(err)
		}
		tx.Send(topic, int32(i%partitions), key, row)
		if i%50_000 == 0 || i == n-1 {
			if err := tx.Commit(b.Context(), nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	resolved, err := cfg.Resolve()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		runtime.GC() // of the run before
		s := New(Config{Client: admin.Client(), Table: table, Topic: topic, Budget: resolved.Budget()})
		var all sync.WaitGroup
		for p := range int32(partitions) {
			all.Go(func() {
				if _, err := s.recover(context.Background(), p); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		rows := 0
		for _, p := range s.Held() {
			rows += p.Len()
		}
		if rows != n {
			b.Fatalf("%d rows", rows)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}
