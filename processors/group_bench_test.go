package processors

import (
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// counting is a transaction that only counts what is sent.
type counting struct {
	kafka.Tx
	records int
}

func (c *counting) Send(string, int32, []byte, []byte, ...sarama.RecordHeader) { c.records++ }

// BenchmarkApply is stage 2's work for the rows of an interval, short of the producer: 1,000 partials added to rows that are
// there, their changelog and result records encoded.
func BenchmarkApply(b *testing.B) {
	const groups = 1000
	table := &placedTable{topics: []string{"dns"}, Table: compileOne(b, "CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name")}
	source := codecs.Source{Topic: "dns"}
	c := newTestCombiner(b, begin{source, 0, 0}, table.Table, 1)
	for i := range groups {
		msg := fmt.Sprintf(`{"id.orig_h":"10.0.%d.%d","qtype_name":"AAAA"}`, i>>8, i&255)
		if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Offset: int64(i), Value: []byte(msg)}); err != nil {
			b.Fatal(err)
		}
	}
	interval, err := c.flush(place{next: groups, now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	intake := newMerger(table, nil, tables.NoClock, 0)
	for _, o := range interval.(*combined).packs {
		if err := intake.add(&sarama.ConsumerMessage{Topic: "partials", Value: o.pack}); err != nil {
			b.Fatal(err)
		}
	}
	work, err := intake.flush(place{next: 0, now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	sent := &counting{}
	s := &stage{}
	s.transaction.open(sent)
	w := &rowWriter{stage: s, table: table.Table, changelog: "t-table", result: "t", only: -1, publisher: &publisher{table: table}, updaters: map[int32]*tables.Updater{}}
	rows, progress := table.NewGroups(), map[codecs.Source]codecs.Progress{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.apply(work.(*merged), 0, rows, progress, &codecs.Clock{Time: tables.NoClock}, true, nil, map[string]bool{}); err != nil {
			b.Fatal(err)
		}
	}
	if want := b.N * (2*groups + 1); rows.Len() != groups || sent.records != want {
		b.Fatalf("%d rows and %d records, want %d and %d", rows.Len(), sent.records, groups, want)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/groups, "ns/row")
}
