package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A flood of random names, as a tunnel or an attack makes them: one record of ten asks for one of the names that a site always asks for,
// all of which were there before it began.
const (
	floodNames  = 1000
	floodGroups = 100_000 // MAX GROUPS
	floodShown  = 100     // of the names, the busiest
)

// floodQueries gives the name that each record asks for, and whether it is one of the site's.
func floodQueries(records int, each func(i int, name string, ours bool) bool) {
	r := rand.New(rand.NewPCG(7, 7))
	names := zipf(floodNames, 8)
	for i := range records {
		switch {
		case i < floodNames:
			if !each(i, ourName(i), true) {
				return
			}
		case r.IntN(10) == 0:
			if !each(i, ourName(draw(names, r)), true) {
				return
			}
		default:
			if !each(i, strconv.FormatUint(r.Uint64(), 36)+".t.example.net", false) {
				return
			}
		}
	}
}

func ourName(i int) string { return fmt.Sprintf("host%d.example.com", i) }

// flood counts names under MAX GROUPS.
func (b *bench) flood(ctx context.Context) error {
	want := map[string]int64{}
	floodQueries(b.Records, func(_ int, name string, ours bool) bool {
		if ours {
			want[name]++
		}
		return true
	})
	topic := fmt.Sprintf("bench-flood-%d", b.Records)
	err := b.fillWith(ctx, topic, int64(b.Records), func(put func(value []byte)) {
		floodQueries(b.Records, func(i int, name string, _ bool) bool {
			put(fmt.Appendf(nil, `{"ts":%d.%06d,"uid":"C%016x","id.orig_h":"10.0.0.%d","id.orig_p":53124,"id.resp_h":"10.0.0.1","id.resp_p":53,"proto":"udp","query":%q,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"RD":true}`,
				1_700_000_000+i/1000, i%1000*1000, i, i%250, name))
			return true
		})
	})
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s records, one of ten of %s names, the others of a name each; MAX GROUPS %s", thousands(float64(b.Records)), thousands(floodNames), thousands(floodGroups))
	for r := range b.Runs {
		if err := b.floodOnce(ctx, topic, want, r, title); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) floodOnce(ctx context.Context, topic string, want map[string]int64, r int, title string) (failed error) {
	j := b.job("flood", topic, int64(b.Records))
	defer b.done(ctx, j, &failed)
	cmd, err := b.brotallyWith(j.app, "bench", topic, fmt.Sprintf("CREATE TABLE names WITH (topic = '%s') AS\nSELECT query, is_other, count(*) AS n FROM dns GROUP BY query MAX GROUPS %d;\n", j.result, floodGroups))
	if err != nil {
		return err
	}
	p, err := start("brotally-"+j.app, b.dir, cmd)
	if err != nil {
		return err
	}
	i := &instance{process: p}
	defer i.end()
	ctx, alive := i.watch(ctx)
	defer alive()
	at, err := i.reached(ctx, "names", topic, int64(b.Records))
	if err != nil {
		return err
	}
	cpu, peak := i.used()
	if n, err := i.number(ctx, "SELECT sum(n) FROM names"); err != nil || n != int64(b.Records) {
		return fmt.Errorf("the sum over all rows is %d, want %d: %w", n, b.Records, err)
	}
	if s, err := i.table(ctx, "names"); err != nil || s.Groups > floodGroups+2*partitions {
		return fmt.Errorf("%d rows, want %d at most: %w", s.Groups, floodGroups, err)
	}
	got := map[string]int64{}
	err = i.query(ctx, fmt.Sprintf("SELECT query, n FROM names WHERE NOT is_other ORDER BY n DESC LIMIT %d", floodShown), func(row []string) error {
		n, err := strconv.ParseInt(row[1], 10, 64)
		got[row[0]] = n
		return err
	})
	if err != nil {
		return err
	}
	busiest := slices.Sorted(func(yield func(int64) bool) {
		for _, n := range want {
			if !yield(-n) {
				return
			}
		}
	})
	for name, n := range got {
		if want[name] != n || -n > busiest[floodShown-1] {
			return fmt.Errorf("%s has %d of %d records", name, n, want[name])
		}
	}
	if len(got) != floodShown {
		return fmt.Errorf("%d names are shown, want %d", len(got), floodShown)
	}
	seconds := at.Sub(i.started).Seconds()
	b.note("flood", title, "brotally", r, values{perSecond: float64(b.Records) / seconds, cpuPerMillion: cpu / float64(b.Records) * 1e6, peakRSS: peak})
	return nil
}

// fillWith makes a topic of n records, if it is not there with as many.
func (b *bench) fillWith(ctx context.Context, topic string, n int64, each func(put func(value []byte))) error {
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	have := int64(0)
	ends.Each(func(o kadm.ListedOffset) { have += max(0, o.Offset) })
	if have == n {
		return nil
	}
	if err := b.remove(ctx, func(name string) bool { return name == topic }); err != nil {
		return err
	}
	if err := b.create(ctx, topic, partitions, nil); err != nil {
		return err
	}
	client, err := b.producer(5 * time.Millisecond)
	if err != nil {
		return err
	}
	defer client.Close()
	failed, i := &firstError{}, 0
	each(func(value []byte) {
		client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i / blockRecords % partitions), Value: value}, failed.promise)
		i++
	})
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return failed.get()
}

// expire counts a backlog that begins with ROWS rows, all of which a TTL takes at once as soon as the rest comes, beside the same
// with a TTL that takes none: a row that has one costs more than one without, whether it goes or not.
func (b *bench) expire(ctx context.Context) error {
	old, young := rowsLaw(b.Rows), dnsLaw(b.Records)
	was, want := old.counts(), young.counts()
	topic, total := fmt.Sprintf("bench-expire-%d-%d", b.Rows, b.Records), b.Rows+b.Records
	err := b.fillWith(ctx, topic, int64(total), func(put func(value []byte)) {
		for n, l := range []law{old, young} {
			fill, at := l.filler(), firstRecord+int64(n)*int64(365*24*time.Hour/time.Microsecond)
			for c := range l.choices() {
				at += fill.gap()
				put(fill.append(make([]byte, 0, 512), at, hostName(c.host), qtypes[c.qtype]))
			}
		}
	})
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s rows, then %s records a year later", thousands(float64(b.Rows)), thousands(float64(b.Records)))
	for r := range b.Runs {
		for _, goes := range []bool{false, true} {
			if err := b.expireOnce(ctx, topic, total, goes, was, want, r, title); err != nil {
				return err
			}
		}
	}
	return nil
}

// fewer waits until the rows of dns_counts have not become fewer for a second, and returns how long after a time the last went.
func (i *instance) fewer(ctx context.Context, after time.Time) (seconds float64, err error) {
	last, at := -1, time.Now()
	for time.Since(at) < time.Second {
		s, err := i.table(ctx, "dns_counts")
		if err != nil {
			return 0, err
		}
		if s.Groups != last {
			last, at = s.Groups, time.Now()
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return max(at.Sub(after).Seconds(), 0.001), nil
}

func (b *bench) expireOnce(ctx context.Context, topic string, total int, goes bool, was, want map[string]int64, r int, title string) (failed error) {
	name, ttl := "rows stay", "9999 days"
	if goes {
		name, ttl = "rows go", "30 days"
	}
	j := b.job("expire", topic, int64(total))
	defer b.done(ctx, j, &failed)
	cmd, err := b.brotallyWith(j.app, "bench", topic, fmt.Sprintf("CREATE TABLE dns_counts WITH (topic = '%s') AS\nSELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name TTL '%s';\n", j.result, ttl))
	if err != nil {
		return err
	}
	p, err := start("brotally-"+j.app, b.dir, cmd)
	if err != nil {
		return err
	}
	i := &instance{process: p}
	defer i.end()
	ctx, alive := i.watch(ctx)
	defer alive()
	at, err := i.reached(ctx, "dns_counts", topic, int64(total))
	if err != nil {
		return err
	}
	seconds := at.Sub(i.started).Seconds()
	cpu, peak := i.used()
	v := values{perSecond: float64(total) / seconds, cpuPerMillion: cpu / float64(total) * 1e6, peakRSS: peak}
	if goes {
		if v[goneAfter], err = i.fewer(ctx, at); err != nil {
			return err
		}
	}
	got, err := i.counts(ctx)
	if err != nil {
		return err
	}
	if goes {
		// What was counted for a group before may have gone, or not, when it came again. Rows of a source partition that was behind came
		// when another one was in the next year already: they stay.
		for group, have := range got {
			if n := want[group]; have != n && have != n+was[group] {
				return fmt.Errorf("HTTP: %s has %d, want %d", group, have, n)
			}
		}
		for group := range want {
			if got[group] == 0 {
				return fmt.Errorf("HTTP: %s is not there", group)
			}
		}
		if left := len(got) - len(want); left > len(was)/2 {
			return fmt.Errorf("%d of %d rows did not go", left, len(was))
		}
	} else {
		all := map[string]int64{}
		for _, of := range []map[string]int64{was, want} {
			for group, n := range of {
				all[group] += n
			}
		}
		if err := difference("HTTP", all, got); err != nil {
			return err
		}
	}
	b.note("expire", title, name, r, v)
	return nil
}
