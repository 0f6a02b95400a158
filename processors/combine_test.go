package processors

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

func compileOne(t testing.TB, text string) *tables.Table {
	t.Helper()
	all, err := tables.CompileFile("test.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func newTestCombiner(t testing.TB, b begin, table *tables.Table, partitions int32) *combiner {
	t.Helper()
	c, err := newCombiner(b, &pass{feed: table.Feed, sinks: []tableSink{{table: table, topic: "partials", partitions: partitions}}}, nil, testClocks)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPacksAreSplit: an interval of many groups fills several packs a partition, none of which is too large, and only the
// last one of each partition carries the report.
func TestPacksAreSplit(t *testing.T) {
	table := compileOne(t, `CREATE TABLE t AS SELECT query, count(*) AS n, max(uid) AS u FROM dns GROUP BY query`)
	source := codecs.Source{Topic: "dns", Partition: 3}
	c := newTestCombiner(t, begin{source, 100, 7}, table, 2)
	const groups = 3000
	for i := range groups {
		value := fmt.Sprintf(`{"ts": %d.5, "query": "%s%d", "uid": "%s"}`, i, strings.Repeat("q", 900), i, strings.Repeat("u", 900))
		if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Partition: 3, Offset: int64(100 + 2*i), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.UnixMilli(1_700_000_000_000)
	work, err := c.flush(place{next: 100 + 2*groups, now: now})
	if err != nil {
		t.Fatal(err)
	}
	reports, packs := map[int32]int{}, map[int32]int{}
	sums := table.NewGroups()
	scratch := table.NewState()
	for _, o := range work.(*combined).packs {
		packs[o.partition]++
		if reports[o.partition] > 0 {
			t.Errorf("partition %d: a pack follows behind the report", o.partition)
		}
		if len(o.pack) > codecs.MaxRecord {
			t.Errorf("a pack has %d bytes", len(o.pack))
		}
		pack, err := codecs.ReadPack(o.pack)
		if err != nil {
			t.Fatal(err)
		}
		if pack.Source != source {
			t.Errorf("a pack of %v", pack.Source)
		}
		if pack.Progress != nil {
			reports[o.partition]++
			want := codecs.Progress{Upto: 100 + 2*groups, NewestTime: (groups-1)*1_000_000 + 500_000, WallTime: now.UnixMilli(), Active: now.UnixMilli(),
				Counts: codecs.Counts{Read: groups, Counted: groups, Lost: 7}}
			if diff := cmp.Diff(want, *pack.Progress); diff != "" || pack.From != 100 {
				t.Errorf("the report of partition %d begins at %d (-want +got):\n%s", o.partition, pack.From, diff)
			}
		}
		if err := codecs.MergePartials(pack.Partials, table, sums, scratch, tables.NoClock, nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[int32]int{0: 1, 1: 1}, reports); diff != "" {
		t.Errorf("reports by partition (-want +got):\n%s", diff)
	}
	if packs[0] < 5 || packs[1] < 5 {
		t.Errorf("%v packs for five megabytes", packs)
	}
	if sums.Len() != groups {
		t.Errorf("the packs have %d groups, want %d", sums.Len(), groups)
	}
}

// TestManyValuesOfOneGroupAreSplit: a group of more values than a record of Kafka holds comes in several partials, which add
// up to it.
func TestManyValuesOfOneGroupAreSplit(t *testing.T) {
	table := compileOne(t, `CREATE TABLE t AS SELECT qtype_name, count(*) AS n, count(DISTINCT query) AS q, count(DISTINCT uid) AS u, max(query) AS m FROM dns GROUP BY qtype_name`)
	c := newTestCombiner(t, begin{codecs.Source{Topic: "dns"}, 0, 0}, table, 2)
	const values = 9000
	for i := range values {
		value := fmt.Sprintf(`{"ts": 1.5, "qtype_name": "A", "query": "%s%d", "uid": "%s%d"}`, strings.Repeat("q", 100), i, strings.Repeat("u", 150), i/2)
		if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Offset: int64(i), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	if c.bytes() < values*150 {
		t.Errorf("%d values are %d bytes", values, c.bytes())
	}
	work, err := c.flush(place{next: values, now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	sums, packs := table.NewGroups(), 0
	for _, o := range work.(*combined).packs {
		if len(o.pack) > packBytes+80<<10 {
			t.Errorf("a pack has %d bytes", len(o.pack))
		}
		pack, err := codecs.ReadPack(o.pack)
		if err != nil {
			t.Fatal(err)
		}
		if err := codecs.MergePartials(pack.Partials, table, sums, table.NewState(), tables.NoClock, nil); err != nil {
			t.Fatal(err)
		}
		packs++
	}
	for key, s := range sums.All() {
		row, err := table.Row(key, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(row[:4]); got != "[A 9000 9000 4500]" {
			t.Errorf("the packs add up to %s", got)
		}
	}
	if sums.Len() != 1 || packs < 5 {
		t.Errorf("%d packs have %d groups", packs, sums.Len())
	}
}

// TestReportsFollowEachOther: the next one begins where the last one ended, counts begin anew, and what is idle says so
// once a second.
func TestReportsFollowEachOther(t *testing.T) {
	table := compileOne(t, `CREATE TABLE t AS SELECT count(*) AS n FROM dns`)
	c := newTestCombiner(t, begin{codecs.Source{Topic: "dns"}, 5, 3}, table, 1)
	now := time.Now()
	report := func(next int64, after time.Duration) *codecs.Pack {
		t.Helper()
		now = now.Add(after)
		work, err := c.flush(place{next: next, now: now})
		if err != nil {
			t.Fatal(err)
		}
		if work == nil {
			return nil
		}
		packs := work.(*combined).packs
		if len(packs) != 1 {
			t.Fatalf("%d packs, want one", len(packs))
		}
		pack, err := codecs.ReadPack(packs[0].pack)
		if err != nil {
			t.Fatal(err)
		}
		return &pack
	}
	if first := report(5, 0); first == nil || first.From != 5 || first.Progress.Upto != 5 || first.Progress.Counts.Lost != 3 || len(first.Partials) != 0 {
		t.Fatalf("the first report is %+v, want one of nothing that says what was lost", first)
	}
	if r := report(5, 999*time.Millisecond); r != nil {
		t.Fatalf("idle for less than a second: %+v", r)
	}
	for _, value := range []string{`{"ts": 1.0}`, "none"} {
		if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	want := codecs.Counts{Read: 2, Counted: 1, DeadLettered: 1}
	if r := report(9, 0); r == nil || r.From != 5 || r.Progress.Upto != 9 || r.Progress.Counts != want || r.Progress.NewestTime != 1_000_000 {
		t.Fatalf("the report of two records is %+v", r)
	}
	if r := report(9, time.Second); r == nil || r.From != 9 || r.Progress.Upto != 9 || r.Progress.Counts != (codecs.Counts{}) || r.Progress.NewestTime != codecs.NoTime {
		t.Fatalf("the report of an idle second is %+v", r)
	}
	if c.bytes() != 0 {
		t.Errorf("an empty intake holds %d bytes", c.bytes())
	}
}

// TestAReportThatDoesNotFollowIsRefused: what came twice or never makes a table that is not exact.
func TestAReportThatDoesNotFollowIsRefused(t *testing.T) {
	table := &placedTable{topics: []string{"dns"}, Table: compileOne(t, `CREATE TABLE t AS SELECT count(*) AS n FROM dns`), starts: map[codecs.Source]int64{{Topic: "dns", Partition: 1}: 40}}
	known, fresh, added := codecs.Source{Topic: "dns"}, codecs.Source{Topic: "dns", Partition: 1}, codecs.Source{Topic: "dns", Partition: 2}
	have := map[codecs.Source]codecs.Progress{known: {Upto: 100}}
	type report struct {
		source     codecs.Source
		from, upto int64
		lost       int64
	}
	for _, c := range []struct {
		name    string
		reports []report
		refused string // empty: none is
	}{
		{"one after the other", []report{{known, 100, 110, 0}, {known, 110, 110, 0}, {known, 110, 200, 0}}, ""},
		{"behind what was lost", []report{{known, 130, 140, 30}, {known, 140, 150, 0}}, ""},
		{"the first of a source", []report{{fresh, 40, 50, 0}, {added, 0, 10, 0}}, ""},
		{"the first of a source, its start lost", []report{{fresh, 45, 50, 5}}, ""},
		{"twice", []report{{known, 100, 110, 0}, {known, 100, 110, 0}}, "offsets [100, 110) of dns/0 came a second time"},
		{"not from where the rows are", []report{{known, 90, 120, 0}}, "offsets [90, 100) of dns/0 came a second time"},
		{"one missing", []report{{known, 100, 110, 0}, {known, 120, 130, 0}}, "offsets [110, 120) of dns/0 never came"},
		{"the rows lost", []report{{fresh, 90, 120, 0}}, "offsets [40, 90) of dns/1 never came"},
		{"a partition that was added, its first one missing", []report{{added, 10, 20, 0}}, "offsets [0, 10) of dns/2 never came"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMerger(table, have, tables.NoClock, 0)
			var err error
			for _, r := range c.reports {
				pack := codecs.Pack{Source: r.source, From: r.from, Progress: &codecs.Progress{Upto: r.upto, Counts: codecs.Counts{Lost: r.lost}}}
				if err = m.add(&sarama.ConsumerMessage{Topic: "partials", Value: pack.Append(nil)}); err != nil {
					break
				}
			}
			var refused *Refusal
			switch {
			case c.refused == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.As(err, &refused) || !strings.Contains(err.Error(), c.refused):
				t.Errorf("%v, want a *Refusal with %q", err, c.refused)
			}
		})
	}
}

// TestAPackThatIsNoneStopsStage2: it is ours, so it cannot be passed over.
func TestAPackThatIsNoneStopsStage2(t *testing.T) {
	table := &placedTable{topics: []string{"dns"}, Table: compileOne(t, `CREATE TABLE t AS SELECT count(*) AS n FROM dns`)}
	m := newMerger(table, nil, tables.NoClock, 0)
	err := m.add(&sarama.ConsumerMessage{Topic: "partials", Partition: 2, Offset: 17, Value: []byte{99}})
	if err == nil || !strings.Contains(err.Error(), "partials/2@17") || !strings.Contains(err.Error(), "format version 99") {
		t.Errorf("%v, want the place and the version", err)
	}
}

// TestLongKeysFillAnInterval: whoever sends the records chooses them.
func TestLongKeysFillAnInterval(t *testing.T) {
	table := compileOne(t, `CREATE TABLE t AS SELECT query, count(*) AS n FROM dns GROUP BY query`)
	c := newTestCombiner(t, begin{codecs.Source{Topic: "dns"}, 0, 0}, table, 1)
	fill := func(prefix string) int {
		t.Helper()
		for i := range 1000 {
			if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Value: []byte(fmt.Sprintf(`{"ts": 1.0, "query": "%s%d"}`, prefix, i))}); err != nil {
				t.Fatal(err)
			}
		}
		held := c.bytes()
		if _, err := c.flush(place{next: 1000, now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if c.bytes() != 0 {
			t.Errorf("%d bytes are held after a flush", c.bytes())
		}
		return held
	}
	if short, long := fill(""), fill(strings.Repeat("q", 900)); short > 150_000 || long < 900_000 {
		t.Errorf("a thousand short keys hold %d bytes, long ones %d", short, long)
	}
}

// TestPanesCountAsTheirWindows: what panes become in stage 2 is part of how much a commit interval may hold, and packs of them
// are small enough for stage 2 to stop in time.
func TestPanesCountAsTheirWindows(t *testing.T) {
	const panes, windows = 3000, 60
	table := compileOne(t, `CREATE TABLE t AS SELECT window_start, uid, count(*) AS n FROM dns WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 1 MINUTE) GROUP BY uid`)
	c := newTestCombiner(t, begin{codecs.Source{Topic: "dns"}, 0, 0}, table, 1)
	for i := range panes {
		if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Offset: int64(i), Value: fmt.Appendf(nil, `{"ts":1.5,"uid":"C%d"}`, i)}); err != nil {
			t.Fatal(err)
		}
	}
	work, err := c.flush(place{next: panes, now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	m := newMerger(&placedTable{topics: []string{"dns"}, Table: table}, nil, tables.NoClock, 0)
	rows := 0
	for _, o := range work.(*combined).packs {
		if len(o.pack) > packBytes/windows+100 {
			t.Errorf("a pack has %d bytes, which become %d times as much", len(o.pack), windows)
		}
		if err := m.add(&sarama.ConsumerMessage{Topic: "partials", Value: o.pack}); err != nil {
			t.Fatal(err)
		}
		if grown := m.current.groups.Len() * windows; m.bytes() < grown*bytesAGroup {
			t.Fatalf("%d rows count as %d bytes", grown, m.bytes())
		} else {
			rows = grown
		}
	}
	if rows != panes*windows {
		t.Errorf("%d rows, want %d", rows, panes*windows)
	}
}

// TestLongTextsFillAnInterval: they also choose what aggregates hold, in stage 1 and 2.
func TestLongTextsFillAnInterval(t *testing.T) {
	table := compileOne(t, `CREATE TABLE t AS SELECT trans_id, min(query) AS a, max(query) AS z, first(query) AS f, last(query) AS l FROM dns GROUP BY trans_id`)
	c := newTestCombiner(t, begin{codecs.Source{Topic: "dns"}, 0, 0}, table, 1)
	m := newMerger(&placedTable{topics: []string{"dns"}, Table: table}, nil, tables.NoClock, 0)
	const groups = 1000
	for i := range groups {
		value := fmt.Sprintf(`{"ts": 1.0, "trans_id": %d, "query": "%s%d"}`, i, strings.Repeat("q", 1024), i)
		if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Offset: int64(i), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	texts := groups * 4 * 1024
	if held := c.bytes(); held < texts || held > texts+texts/4 {
		t.Errorf("stage 1 holds %d bytes, its texts have %d", held, texts)
	}
	work, err := c.flush(place{next: groups, now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if c.bytes() != 0 {
		t.Errorf("%d bytes are held after a flush", c.bytes())
	}
	for _, o := range work.(*combined).packs {
		if err := m.add(&sarama.ConsumerMessage{Topic: "partials", Value: o.pack}); err != nil {
			t.Fatal(err)
		}
	}
	if held := m.bytes(); held < texts || held > texts+texts/4 {
		t.Errorf("stage 2 holds %d bytes, its texts have %d", held, texts)
	}
}

// TestAFloodIsCountedAndNotCopied: the dead-letter topic gets so much at once, and so much in a second.
func TestAFloodIsCountedAndNotCopied(t *testing.T) {
	table := compileOne(t, `CREATE TABLE t AS SELECT count(*) AS n FROM dns`)
	c := newTestCombiner(t, begin{codecs.Source{Topic: "dns"}, 0, 0}, table, 1)
	now, offset := time.Unix(1_700_000_000, 0), int64(0)
	flood := func(n int) *combined {
		t.Helper()
		for range n {
			if err := c.add(&sarama.ConsumerMessage{Topic: "dns", Offset: offset, Value: []byte("!")}); err != nil {
				t.Fatal(err)
			}
			offset++
		}
		work, err := c.flush(place{next: offset, now: now})
		if err != nil {
			t.Fatal(err)
		}
		w := work.(*combined)
		if got := w.report.progress.Counts.DeadLettered; got != int64(n) {
			t.Errorf("%d dead letters are counted, want %d", got, n)
		}
		sum := int64(0)
		for _, of := range w.report.letters {
			sum += of
		}
		if sum != int64(n) || int64(len(w.letters))+w.report.uncopied != int64(n) {
			t.Errorf("of %d letters %d have a reason, %d are copied and %d are not", n, sum, len(w.letters), w.report.uncopied)
		}
		return w
	}
	const each = letterOverhead + 1
	if w := flood(letterBurst/each + 100); len(w.letters) != letterBurst/each {
		t.Errorf("%d are copied at once, want %d", len(w.letters), letterBurst/each)
	}
	now = now.Add(10 * time.Second)
	if w := flood(10); len(w.letters) > 1 { // what is left of the first, at most: a second is counted when it is over
		t.Errorf("%d are copied before there is room", len(w.letters))
	}
	if w := flood(10_000); len(w.letters) < 10*letterRate/each-1 || len(w.letters) > 10*letterRate/each+1 {
		t.Errorf("%d are copied after ten seconds, want %d", len(w.letters), 10*letterRate/each)
	}
}
