package processors

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/tables"
)

// merged is what stage 2 made of one commit interval of one partition of the partials topic.
type merged struct {
	groups   *tables.Groups
	progress map[codecs.Source]codecs.Progress
	clock    int64 // how far the table's clock has come with it
	newest   int64 // of all times that records had

	// maybe are records of sessions that are late unless these are within the gap of one that is open, by key.
	maybe map[string][]lateRecords
}

// lateRecords are records of a source that came too late.
type lateRecords struct {
	source codecs.Source
	n      int64
}

// late counts records of a source as late.
func (m *merged) late(source codecs.Source, n int64) {
	advance(m.progress, source, codecs.Progress{NewestTime: codecs.NoTime, Counts: codecs.Counts{Late: n}})
}

// merger is stage 2's intake of one partition of the partials topic: it adds up the packs of an interval, so that a key
// is written once however many packs it came in. The rows themselves are only touched by Goka's callback: what is taken
// in while an interval commits must not show in that interval's rows.
type merger struct {
	table   *placedTable
	heard   map[codecs.Source]codecs.Progress // of all intervals, this one among them
	reports map[codecs.Source]time.Time       // when these were heard of, in this session
	news    []codecs.Source                   // who was heard of in this interval
	clock   int64                             // how far the table's had come before this interval: what is late is judged by it
	idle    time.Duration                     // see Config.IdleTimeout
	due     func() bool                       // there are rows whose time has come
	scratch tables.State
	current *merged
	spare   *merged // the interval before, which is committed when the next one is flushed
	taken   bool
}

// newMerger returns the intake of a partition whose rows stand at that progress and that clock.
func newMerger(t *placedTable, have map[codecs.Source]codecs.Progress, clock int64, idle time.Duration) *merger {
	fresh := func() *merged {
		return &merged{groups: t.NewGroups(), progress: map[codecs.Source]codecs.Progress{}, maybe: map[string][]lateRecords{}}
	}
	m := &merger{table: t, heard: map[codecs.Source]codecs.Progress{}, reports: map[codecs.Source]time.Time{}, clock: clock, idle: idle, due: func() bool { return false }, scratch: t.NewState(), current: fresh(), spare: fresh()}
	maps.Copy(m.heard, have)
	return m
}

func (m *merger) add(msg *sarama.ConsumerMessage) error {
	late := int64(0)
	pack, err := codecs.ReadPack(msg.Value)
	if err == nil {
		err = codecs.MergePartials(pack.Partials, m.table.Table, m.current.groups, m.scratch, m.clock, func(key string, n int64) {
			if m.table.Window.Kind != tables.Session {
				late += n
				return
			}
			key = strings.Clone(key)
			m.current.maybe[key] = append(m.current.maybe[key], lateRecords{pack.Source, n})
		})
	}
	if err != nil {
		return fmt.Errorf("%s/%d@%d: %w", msg.Topic, msg.Partition, msg.Offset, err)
	}
	if pack.Progress != nil {
		if err := m.follows(pack); err != nil {
			return err
		}
		if _, heard := m.heard[pack.Source]; !heard {
			pack.Progress.Active = pack.Progress.WallTime
		}
		advance(m.heard, pack.Source, *pack.Progress)
		m.news = append(m.news, pack.Source)
		advance(m.current.progress, pack.Source, *pack.Progress)
	}
	if late > 0 {
		m.current.late(pack.Source, late)
	}
	m.taken = true
	return nil
}

// follows checks that a report begins where the one before it ended: what a table promises cannot be kept when somebody
// has moved the offsets of its groups or removed from its topics, and then it must not look as if it were.
func (m *merger) follows(p codecs.Pack) error {
	last, heard := m.heard[p.Source]
	if !heard && !slices.Contains(m.table.topics, p.Source.Topic) {
		return fmt.Errorf("%w: %s is new", errOutdated, p.Source) // another instance has heard before us
	}
	want := max(last.Upto, m.table.starts[p.Source]) // late records may have been counted of it before it was first heard of
	have := p.From - p.Progress.Counts.Lost
	if have == want {
		return nil
	}
	why := fmt.Sprintf("offsets [%d, %d) of %s came a second time", have, want, p.Source)
	if have > want {
		why = fmt.Sprintf("offsets [%d, %d) of %s never came", want, have, p.Source)
	}
	return refusal(&m.table.Definition, "is not exact any more: "+why+" (were its groups' offsets changed, or did they expire while nothing ran? were records of its topics removed?)",
		fmt.Sprintf("`brotally reset %s` counts anew", m.table.Name))
}

// bytesAValue is about what a value of count(DISTINCT ..) takes beside itself, once it is a record of the changelog.
const bytesAValue = 64

// bytes counts a partial for each row that it changes: a pane is written into every hopping window that it is part of.
func (m *merger) bytes() int {
	return (groupBytes(m.current.groups) + m.current.groups.Values()*bytesAValue) * m.table.RowsAPartial()
}

func (m *merger) flush(at place) (any, error) {
	for _, source := range m.news {
		m.reports[source] = at.now
	}
	m.news = m.news[:0]
	if !m.taken && !m.due() {
		return nil, nil
	}
	work := m.current
	if m.table.HasClock() {
		m.clock = max(m.clock, eventClock(m.heard, m.table.sources, m.idle, m.reports, at.now))
	}
	work.clock, work.newest = m.clock, newestTime(m.heard)
	m.spare.groups.Reset()
	clear(m.spare.progress)
	clear(m.spare.maybe)
	m.current, m.spare, m.taken = m.spare, work, false
	return work, nil
}

// rowWriter writes rows that are not the callback's own key, which is all of them: to our storage, to the changelog and
// to the result topic, through the stage's transaction and to the partition by number. Goka's SetValue knows only the
// message's key, its Emit refuses the table's topic.
type rowWriter struct {
	stage     *stage
	table     *tables.Table
	store     *grouptable.Store
	changelog string
	result    string
	only      int32 // the partition of a table's only row, -1 where it has keys
	publisher *publisher

	mu       sync.Mutex                // guards all below; Goka calls back from a goroutine a partition
	updaters map[int32]*tables.Updater // of this session's partitions
}

// assigned keeps the rows of the session's partitions alone. What is known of them beside the rows is made anew for those that may have
// been another's meanwhile.
func (w *rowWriter) assigned(partitions []int32, alone bool) {
	current := w.store.Keep(partitions, alone)
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.updaters, func(n int32, _ *tables.Updater) bool { return !current[n] })
}

// updater returns what changes a partition's rows, which stand at that clock.
func (w *rowWriter) updater(partition int32, rows *tables.Groups, clock int64) (*tables.Updater, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if have, ok := w.updaters[partition]; ok {
		return have, nil
	}
	u, err := w.table.NewUpdater(rows, clock)
	if err != nil {
		return nil, fmt.Errorf("rows of %s: %w", w.table.Name, err)
	}
	u.LimitGroups(w.table.MaxGroupsIn(w.publisher.table.partitions))
	w.updaters[partition] = u
	return u, nil
}

// write is stage 2's Goka callback.
func (w *rowWriter) write(ctx goka.Context, work any) {
	partition, ok := w.store.Partition(ctx.Partition())
	if !ok {
		ctx.Fail(fmt.Errorf("partition %d of %s is not recovered", ctx.Partition(), w.changelog))
	}
	var left []tables.Leftover
	gone := map[string]bool{}
	done := false
	clock := partition.Clock()
	err := partition.Update(func(rows *tables.Groups, progress map[codecs.Source]codecs.Progress) (err error) {
		live, open, err := w.publisher.begin(ctx.Partition(), rows, progress)
		if err == nil {
			left, err = w.apply(work.(*merged), ctx.Partition(), rows, progress, &clock, live, open, gone)
		}
		if err == nil {
			done, err = w.publisher.publish(w.stage, ctx.Partition(), open, rows)
		}
		return err
	})
	if err != nil {
		ctx.Fail(err)
	}
	switch {
	case done:
		partition.SetPublished(w.publisher.mark)
	case w.publisher.voided(ctx.Partition()):
		partition.SetPublished("")
	}
	partition.SetClock(clock)
	partition.Leave(left...)
	forget := func(key []byte) { w.stage.transaction.Send(w.changelog, ctx.Partition(), key, nil) }
	partition.ForgetRows(gone, forget)
	partition.Forget(mostForgotten, forget)
}

// A commit deletes that many records of values in one partition, and closes or removes about that many rows: a million whose time has
// come at once must not hold up what comes.
const (
	mostForgotten = 20_000
	mostExpired   = 20_000
)

const (
	pieceBytes = 512       // more than most keys and rows take
	slabBytes  = 256 << 10 // they are cut out of
)

// apply changes the rows, and the result topic if it is live: open is its publication, if one is under way. clock is where the table's
// stood before, and then where it stands. left are values whose records are to be deleted; gone gets the rows that may come again, with
// values of their own.
func (w *rowWriter) apply(m *merged, partition int32, held *tables.Groups, progress map[codecs.Source]codecs.Progress, clock *codecs.Clock, live bool, open *publication, gone map[string]bool) (left []tables.Leftover, err error) {
	var (
		out  []byte // what is sent is sliced from here; it is never written twice
		keys []feeds.Value
		row  []feeds.Value
		cut  int // rows
		to   = w.publisher.table.writer()
		send = func(topic string, key []byte, value []byte) {
			w.stage.transaction.Send(topic, partition, key, value)
		}
		// begin and grown are the two ends of a piece of out. No piece is nil, for a nil key is none, and a compacted topic takes
		// no record without a key: the only row of a table without GROUP BY has the empty one.
		begin = func() int {
			if cap(out)-len(out) < pieceBytes { // growing would copy all that was sent
				out = make([]byte, 0, min(max(2*cap(out), 8*pieceBytes), slabBytes))
			}
			return len(out)
		}
		grown = func(from int) []byte { return out[from:len(out):len(out)] }
	)
	changed := func(c tables.Change) error {
		from := begin()
		out = append(out, c.Key...)
		binary := grown(from)
		if c.Gone {
			send(w.changelog, binary, nil)
			if w.table.Forgets() && w.table.HasValues() {
				gone[c.Key] = true
			}
		} else {
			from = begin()
			out = codecs.AppendRow(out, w.table, c.State)
			send(w.changelog, binary, grown(from))
		}
		if !c.Shown && !c.WasShown || c.Settled || !live {
			return nil
		}
		if tables.IsOther(c.Key) && to.avro != nil {
			return nil // its key would be that of the group of NULLs
		}
		from = begin()
		if out, keys, err = to.appendKeyOf(out, c.Key, partition, keys); err != nil {
			return err
		}
		text := grown(from)
		if open != nil {
			open.sent(text)
		}
		if !c.Shown {
			send(w.result, text, nil)
			return nil
		}
		if row, err = w.table.Row(c.Key, c.State, row); err != nil {
			return err
		}
		from = begin()
		var short bool
		if out, short, err = to.appendRow(out, row); err != nil {
			return err
		}
		if short {
			cut++
		}
		send(w.result, text, grown(from))
		return nil
	}
	rows, err := w.updater(partition, held, clock.Time)
	if err != nil {
		return nil, err
	}
	there := codecs.AppendValueRow(nil)
	rows.RecordValues(func(key []byte, number int, value []byte) {
		from := begin()
		out = codecs.AppendValueKey(out, number, key, value)
		send(w.changelog, grown(from), there)
	}, func(l tables.Leftover) { left = append(left, l) })
	rows.RecordRemoved(func(key []byte, number int, value []byte) {
		from := begin()
		out = codecs.AppendValueKey(out, number, key, value)
		send(w.changelog, grown(from), nil)
	})
	rows.Begin(m.clock, m.newest)
	for key, delta := range m.groups.All() {
		late, err := rows.Add(key, delta, changed)
		if err != nil {
			return nil, fmt.Errorf("row of %s: %w", w.table.Name, err)
		}
		if late {
			for _, of := range m.maybe[key] {
				m.late(of.source, of.n)
			}
		}
	}
	if w.only == partition && held.Len() == 0 {
		// Without GROUP BY the table has one row, also over no records.
		if _, err := rows.Add("", w.table.NewState(), changed); err != nil {
			return nil, fmt.Errorf("row of %s: %w", w.table.Name, err)
		}
	}
	if err := rows.Flush(changed); err != nil {
		return nil, fmt.Errorf("row of %s: %w", w.table.Name, err)
	}
	now := codecs.Clock{Time: m.clock}
	if now.Left, err = rows.Expire(mostExpired, changed); err != nil {
		return nil, fmt.Errorf("row of %s: %w", w.table.Name, err)
	}
	if cut > 0 {
		w.stage.log.Warn("rows are too large for one record, their texts were cut in the result topic", "rows", cut, "bytes", codecs.MaxRecord)
	}
	for source, delta := range m.progress {
		advance(progress, source, delta)
		send(w.changelog, []byte(codecs.ProgressKey(source)), codecs.AppendProgressRow(nil, progress[source]))
	}
	if now != *clock {
		*clock = now
		send(w.changelog, []byte(codecs.ClockKey), codecs.AppendClockRow(nil, now))
	}
	return left, nil
}

// resultWriter writes a table's results as its topic has them. It is not safe for concurrent use.
type resultWriter struct {
	table *tables.Table
	avro  *codecs.AvroWriter // nil: they are JSON
}

// writer returns a writer of the table's results.
func (t *placedTable) writer() resultWriter { return resultWriter{t.Table, t.avro.writer()} }

func (w resultWriter) appendKey(b []byte, keys []feeds.Value) ([]byte, error) {
	if w.avro != nil {
		return w.avro.AppendKey(b, keys)
	}
	return codecs.AppendResultKey(b, w.table, keys), nil
}

// appendKeyOf appends the result's key of a group's row in a partition. keys is overwritten and reused if it is large enough.
func (w resultWriter) appendKeyOf(b []byte, key string, partition int32, keys []feeds.Value) ([]byte, []feeds.Value, error) {
	if tables.IsOther(key) {
		return codecs.AppendOtherKey(b, partition), keys, nil
	}
	keys, err := w.table.KeyValues(key, keys)
	if err == nil {
		b, err = w.appendKey(b, keys)
	}
	return b, keys, err
}

// appendRow says whether texts were cut for the row to fit into a record.
func (w resultWriter) appendRow(b []byte, row []feeds.Value) (_ []byte, cut bool, err error) {
	if w.avro != nil {
		b, whole, err := w.avro.AppendFitting(b, row)
		return b, whole > codecs.MaxRecord, err
	}
	b, cut = codecs.AppendFitting(b, w.table, row)
	return b, cut, nil
}
