package processors

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// testClocks are those of most tests.
var testClocks = clocks{time.Now, 24 * time.Hour, new(atomic.Bool)}

const (
	idle     = 30 * time.Second
	byMinute = `CREATE TABLE t AS SELECT window_start, query, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY query EMIT FINAL`
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// listening is stage 2 as it hears of several source partitions.
type listening struct {
	t     *testing.T
	heard map[codecs.Source]codecs.Progress
	must  []codecs.Source
	of    []*combiner
	next  []int64
	now   time.Time

	reports map[codecs.Source]time.Time
}

// listen begins with n partitions of a table's feed.
func listen(t *testing.T, table *tables.Table, n int) *listening {
	l := &listening{t: t, heard: map[codecs.Source]codecs.Progress{}, next: make([]int64, n), now: noon, reports: map[codecs.Source]time.Time{}}
	for p := range int32(n) {
		source := codecs.Source{Topic: table.Feed.Name, Partition: p}
		l.must = append(l.must, source)
		c := newTestCombiner(t, begin{source, 0, 0}, table, 1)
		c.now = func() time.Time { return l.now }
		l.of = append(l.of, c)
	}
	return l
}

// add gives a partition a record that came at a time.
func (l *listening) add(p int, came time.Time, record string) {
	l.t.Helper()
	source := l.must[p]
	if err := l.of[p].add(&sarama.ConsumerMessage{Topic: source.Topic, Partition: source.Partition, Offset: l.next[p], Timestamp: came, Value: []byte(record)}); err != nil {
		l.t.Fatal(err)
	}
	l.next[p]++
}

// report lets a partition report.
func (l *listening) report(p int) {
	l.t.Helper()
	work, err := l.of[p].flush(place{next: l.next[p], now: l.now})
	if err != nil {
		l.t.Fatal(err)
	}
	if work == nil {
		return
	}
	pack, err := codecs.ReadPack(work.(*combined).packs[0].pack)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, heard := l.heard[pack.Source]; !heard {
		pack.Progress.Active = pack.Progress.WallTime
	}
	advance(l.heard, pack.Source, *pack.Progress)
	l.reports[pack.Source] = l.now
}

// wants compares the clock.
func (l *listening) wants(what string, want time.Time) {
	l.t.Helper()
	if have := eventClock(l.heard, l.must, idle, l.reports, l.now); have != want.UnixMicro() {
		l.t.Errorf("%s: the clock is at %v, want %v", what, time.UnixMicro(have).UTC(), want)
	}
}

func query(at time.Time) string { return fmt.Sprintf(`{"ts": %d.0, "query": "q"}`, at.Unix()) }

// TestWhoIsIdle: a partition without records for a while does not hold up the clock, but only as long as it says so.
func TestWhoIsIdle(t *testing.T) {
	l := listen(t, compileOne(t, byMinute), 2)
	for p := range 2 {
		l.add(p, l.now, query(l.now))
		l.report(p)
	}
	l.wants("both have records", noon)
	for range 40 {
		l.now = l.now.Add(time.Second)
		l.add(0, l.now, query(l.now))
		l.report(0)
		l.report(1)
	}
	l.wants("one is idle", noon.Add(40*time.Second))

	// Nothing ran for an hour. The first to report is not the one that has much to read.
	l.now = l.now.Add(time.Hour)
	l.add(0, l.now, query(l.now))
	l.report(0)
	l.wants("of the other one nothing was heard for an hour", noon)
	l.report(1)
	l.wants("it says that it is idle still", l.now)

	// Its instance's clock is slow by more than that.
	l.of[1].now = func() time.Time { return l.now.Add(-time.Hour) }
	for range 40 {
		l.now = l.now.Add(time.Second)
		l.add(0, l.now, query(l.now))
		l.report(0)
		l.now = l.now.Add(-time.Hour)
		l.report(1)
		l.now = l.now.Add(time.Hour)
		l.reports[l.must[1]] = l.now
	}
	l.wants("a slow clock is not silence", l.now)
}

// TestSensorsFromTheFutureDoNotMoveTheClock, nor hold it up.
func TestSensorsFromTheFutureDoNotMoveTheClock(t *testing.T) {
	for _, c := range []struct {
		what  string
		stamp time.Duration // how far Kafka's timestamp is ahead, too
	}{{"the broker's time", 0}, {"the sensor's own", 48 * time.Hour}} {
		l := listen(t, compileOne(t, byMinute), 2)
		for range 60 {
			l.now = l.now.Add(time.Second)
			l.add(0, l.now, query(l.now))
			l.add(1, l.now.Add(c.stamp), query(l.now.Add(48*time.Hour)))
			l.report(0)
			l.report(1)
		}
		l.wants(c.what, l.now)
		if n := l.heard[l.must[1]].Counts.Skewed; n != 60 {
			t.Errorf("%s: %d records are skewed, want 60", c.what, n)
		}
	}
}

// TestATableThatGoesByAnotherTime: its partitions are alive by that time.
func TestATableThatGoesByAnotherTime(t *testing.T) {
	feed := &feeds.Feed{Name: "x", Columns: []feeds.Column{{Name: "when", Type: feeds.T(feeds.Timestamp)}, {Name: "host", Type: feeds.T(feeds.String)}}}
	all, err := tables.CompileFile("t.sql", `CREATE TABLE t AS SELECT window_start, host, count(*) AS n FROM x WINDOW TUMBLING (SIZE 1 MINUTE) ON "when" GROUP BY host EMIT FINAL`,
		func(string) (*feeds.Feed, bool) { return feed, true })
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, all[0], 2)
	for range 60 {
		l.now = l.now.Add(time.Second)
		for p := range 2 {
			l.add(p, l.now, fmt.Sprintf(`{"when": %d.0, "host": "h"}`, l.now.Unix()-600*int64(p)))
			l.report(p)
		}
	}
	l.wants("one is ten minutes behind", l.now.Add(-10*time.Minute))
}

// asking is an intake whose records' schema is not known.
type asking struct{ *combiner }

func (asking) add(*sarama.ConsumerMessage) error {
	return &codecs.SchemaError{ID: 7, Err: codecs.ErrAskSchema}
}

// TestWhoWaitsForASchemaIsNotIdle: a partition whose records cannot be decoded yet has something to read.
func TestWhoWaitsForASchemaIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &queue{make(chan []sarama.ConsumerMessage)}
		c := newTestCombiner(t, begin{codecs.Source{Topic: "dns"}, 0, 0}, compileOne(t, byMinute), 1)
		p := newPump(begin{codecs.Source{Topic: "dns"}, 0, 0}, source, asking{c}, limits{bytes: 1 << 20}, func() {})
		p.ask = func(ctx context.Context, _ codecs.Source, _ int) error { // the registry is down
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { _ = p.run(ctx) })
		source.batches <- messages(0, 1, 2)
		synctest.Wait()
		for range 60 {
			time.Sleep(time.Second)
			work, _, _, err := p.flush(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if w, ok := work.(*combined); ok && w.report.progress.WallTime != w.report.progress.Active {
				t.Fatalf("it is idle: %+v", w.report.progress)
			}
		}
		cancel()
		ended.Wait()
	})
}
