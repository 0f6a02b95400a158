package processors

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

func newStreamCombiner(t *testing.T, text string, partitions int32) *combiner {
	t.Helper()
	defs, err := tables.CompileDefinitions("test.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	s := defs.Streams[0]
	c, err := newCombiner(begin{codecs.Source{Topic: "dns", Partition: 3}, 100, 0}, &pass{feed: s.Feed, streams: []streamSink{{stream: s, topic: "out", partitions: partitions}}}, nil, testClocks)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func take(t *testing.T, c *combiner, offset int64, value string) {
	t.Helper()
	if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Partition: 3, Offset: offset, Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

// flushed returns the stream's part of an interval, nil when there is nothing to do.
func flushed(t *testing.T, c *combiner, next int64) *streamWork {
	t.Helper()
	work, err := c.flush(place{next: next, now: time.UnixMilli(1000)})
	if err != nil {
		t.Fatal(err)
	}
	if work == nil {
		return nil
	}
	return &work.(*combined).streams[0]
}

// TestAStreamsInterval: records under their keys, in the partitions of these, with a report; then nothing is held.
func TestAStreamsInterval(t *testing.T) {
	c := newStreamCombiner(t, "CREATE STREAM s AS SELECT uid, 1000000 * trans_id AS big, -9223372036854775807 - trans_id AS low FROM dns WHERE uid <> 'C2'", 7)
	if w := flushed(t, c, 100); w != nil {
		t.Errorf("an interval without records gives %v", w)
	}
	take(t, c, 100, `{"ts":1.5,"uid":"C1","trans_id":5}`)
	take(t, c, 102, `{"ts":2.5,"uid":"C2"}`)
	take(t, c, 103, `{"ts":2.0,"uid":"C3","rtt":"no interval"}`)
	take(t, c, 104, `no record`)
	if c.bytes() == 0 {
		t.Error("it holds records and no memory")
	}
	w := flushed(t, c, 105)
	var got []string
	for _, r := range w.records {
		got = append(got, string(r.key)+" "+string(r.value))
		if want := kafka.Partition(r.key, 7); r.partition != want {
			t.Errorf("key %s goes to partition %d, want %d", r.key, r.partition, want)
		}
	}
	want := []string{
		`dns/3/100 {"uid":"C1","big":5000000,"low":-9223372036854775812}`,
		`dns/3/103 {"uid":"C3","big":null,"low":null}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	report := codecs.Progress{Upto: 105, NewestTime: 2_500_000, WallTime: 1000, Active: 1000, Counts: codecs.Counts{Read: 4, Counted: 2, Filtered: 1, DeadLettered: 1}}
	if diff := cmp.Diff(report, w.report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if c.bytes() != 0 {
		t.Errorf("after the flush it holds %d bytes", c.bytes())
	}
	if w := flushed(t, c, 105); w != nil {
		t.Errorf("the next interval gives %v", w)
	}
	if string(w.records[0].key) != "dns/3/100" {
		t.Error("what was flushed has changed")
	}
}

func TestAStreamsLargeRowsAreCut(t *testing.T) {
	c := newStreamCombiner(t, "CREATE STREAM s WITH (key = query) AS SELECT uid, query FROM dns", 1)
	take(t, c, 100, `{"uid":"C1","query":"`+strings.Repeat("x", 900_000)+`"}`)
	w := flushed(t, c, 101)
	if w.cut != 1 || w.report.Counts.CutKeys != 1 || len(w.records) != 1 {
		t.Fatalf("%d rows cut, %d keys cut, %d records; want one each", w.cut, w.report.Counts.CutKeys, len(w.records))
	}
	r := w.records[0]
	var row struct{ UID, Query string }
	if err := json.Unmarshal(r.value, &row); err != nil {
		t.Fatal(err)
	}
	if len(r.value) > codecs.MaxRecord || len(r.key) > 1024 || row.UID != "C1" || !strings.HasSuffix(row.Query, "x~") {
		t.Errorf("a key of %d bytes, a value of %d", len(r.key), len(r.value))
	}
}

// TestOneRecordGivesAStreamSoMuchAtMost: else a megabyte could ask for gigabytes.
func TestOneRecordGivesAStreamSoMuchAtMost(t *testing.T) {
	c := newStreamCombiner(t, "CREATE STREAM s AS SELECT query, unnest(answers) AS answer FROM dns", 1)
	answers, _ := json.Marshal(make([]string, 5000))
	take(t, c, 100, fmt.Sprintf(`{"query":"%s","answers":%s}`, strings.Repeat("x", 400_000), answers))
	take(t, c, 101, `{"query":"next","answers":["a","b"]}`)
	w := flushed(t, c, 102)
	size := 0
	for _, r := range w.records[:len(w.records)-2] {
		size += len(r.key) + len(r.value)
	}
	if size < maxStreamed || size > maxStreamed+codecs.MaxRecord {
		t.Errorf("one record gives %d bytes, the limit is %d", size, maxStreamed)
	}
	if want := (codecs.Counts{Read: 2, Counted: 2, Overflows: 1}); w.report.Counts != want {
		t.Errorf("counts are %+v, want %+v", w.report.Counts, want)
	}
}

// TestRowsThatAreCutCountWhole: rows of a few bytes that took a megabyte each to write end as soon as large ones do.
func TestRowsThatAreCutCountWhole(t *testing.T) {
	c := newStreamCombiner(t, "CREATE STREAM s AS SELECT unnest(answers) AS a, answers, query FROM dns", 1)
	answers := make([]string, 10_000)
	for i := range answers {
		answers[i] = fmt.Sprintf("%060d", i)
	}
	list, _ := json.Marshal(answers)
	take(t, c, 100, fmt.Sprintf(`{"query":"x","answers":%s}`, list))
	w := flushed(t, c, 101)
	if n, most := len(w.records), maxStreamed/codecs.MaxRecord; n == 0 || n > most || w.cut != n {
		t.Errorf("%d rows of which %d are cut, at most %d that take half a megabyte to write", n, w.cut, most)
	}
	if want := (codecs.Counts{Read: 1, Counted: 1, Overflows: 1}); w.report.Counts != want {
		t.Errorf("counts are %+v, want %+v", w.report.Counts, want)
	}
}

func TestAStreamAllocatesNothingARecord(t *testing.T) {
	c := newStreamCombiner(t, "CREATE STREAM s WITH (key = id.orig_h) AS SELECT ts, uid, id.orig_h, query, unnest(answers) AS answer, rtt FROM dns WHERE rcode = 0", 3)
	m := &sarama.ConsumerMessage{Topic: "dns", Partition: 3, Offset: 100,
		Value: []byte(`{"ts":1575413122.764317,"uid":"C1","id.orig_h":"10.0.0.1","query":"www.example.com","rcode":0,"rtt":0.25,"answers":["192.0.2.1","192.0.2.2"]}`)}
	alone, err := newCombiner(begin{codecs.Source{Topic: "dns"}, 100, 0}, &pass{feed: c.streams[0].sink.stream.Feed}, nil, testClocks)
	if err != nil {
		t.Fatal(err)
	}
	alone.decoder = c.decoder
	add := func(c *combiner) float64 {
		return testing.AllocsPerRun(5000, func() {
			if err := c.add(m); err != nil {
				t.Fatal(err)
			}
		})
	}
	if decoding, all := add(alone), add(c); all > decoding {
		t.Errorf("%v allocations a record, %v of them to decode it", all, decoding)
	}
}
