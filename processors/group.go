package processors

import (
	"fmt"
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
}

// merger is stage 2's intake of one partition of the partials topic: it adds up the packs of an interval, so that a key
// is written once however many packs it came in. The rows themselves are only touched by Goka's callback: what is taken
// in while an interval commits must not show in that interval's rows.
type merger struct {
	table   *placedTable
	upto    map[codecs.Source]int64 // where the next report of a source must begin; a source that is not in it: at its start
	scratch tables.State
	current *merged
	spare   *merged // the interval before, which is committed when the next one is flushed
	taken   bool
}

// newMerger returns the intake of a partition whose rows stand at that progress.
func newMerger(t *placedTable, have map[codecs.Source]codecs.Progress) *merger {
	fresh := func() *merged {
		return &merged{groups: t.NewGroups(), progress: map[codecs.Source]codecs.Progress{}}
	}
	m := &merger{table: t, upto: map[codecs.Source]int64{}, scratch: t.NewState(), current: fresh(), spare: fresh()}
	for source, progress := range have {
		m.upto[source] = progress.Upto
	}
	return m
}

func (m *merger) add(msg *sarama.ConsumerMessage) error {
	pack, err := codecs.ReadPack(msg.Value)
	if err == nil {
		err = codecs.MergePartials(pack.Partials, m.table.Table, m.current.groups, m.scratch)
	}
	if err != nil {
		return fmt.Errorf("%s/%d@%d: %w", msg.Topic, msg.Partition, msg.Offset, err)
	}
	if pack.Progress != nil {
		if err := m.follows(pack); err != nil {
			return err
		}
		have, ok := m.current.progress[pack.Source]
		if !ok {
			have.NewestTime = codecs.NoTime
		}
		have.Advance(*pack.Progress)
		m.current.progress[pack.Source] = have
	}
	m.taken = true
	return nil
}

// follows checks that a report begins where the one before it ended: what a table promises cannot be kept when somebody
// has moved the offsets of its groups or removed from its topics, and then it must not look as if it were.
func (m *merger) follows(p codecs.Pack) error {
	want, heard := m.upto[p.Source]
	if !heard {
		want = m.table.starts[p.Source]
	}
	m.upto[p.Source] = p.Progress.Upto
	have := p.From - p.Progress.Counts.Lost
	if have == want {
		return nil
	}
	why := fmt.Sprintf("offsets [%d, %d) of %s came a second time", have, want, p.Source)
	if have > want {
		why = fmt.Sprintf("offsets [%d, %d) of %s never came", want, have, p.Source)
	}
	return &Refusal{m.table.Name, "is not exact any more: " + why + " (were its groups' offsets changed, or did they expire while nothing ran? were records of its topics removed?)",
		fmt.Sprintf("`brotally reset %s` counts anew", m.table.Name)}
}

func (m *merger) bytes() int { return groupBytes(m.current.groups) }

func (m *merger) flush(int64, time.Time) (any, error) {
	if !m.taken {
		return nil, nil
	}
	work := m.current
	m.spare.groups.Reset()
	clear(m.spare.progress)
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
}

// write is stage 2's Goka callback.
func (w *rowWriter) write(ctx goka.Context, work any) {
	partition, ok := w.store.Partition(ctx.Partition())
	if !ok {
		ctx.Fail(fmt.Errorf("partition %d of %s is not recovered", ctx.Partition(), w.changelog))
	}
	err := partition.Update(func(rows *tables.Groups, progress map[codecs.Source]codecs.Progress) error {
		return w.apply(work.(*merged), ctx.Partition(), rows, progress)
	})
	if err != nil {
		ctx.Fail(err)
	}
}

func (w *rowWriter) apply(m *merged, partition int32, rows *tables.Groups, progress map[codecs.Source]codecs.Progress) error {
	var (
		// What is sent is sliced from here; it is never written twice. It is not nil, for a nil key is none, and a compacted
		// topic takes no record without a key: the only row of a table without GROUP BY has the empty one.
		out  = []byte{}
		keys []feeds.Value
		row  []feeds.Value
		err  error
		cut  int // rows
		send = func(topic string, key []byte, value []byte) {
			w.stage.transaction.Send(topic, partition, key, value)
		}
		grown = func(from int) []byte { return out[from:len(out):len(out)] }
	)
	emit := func(key string, state tables.State) error {
		from := len(out)
		out = append(out, key...)
		binary := grown(from)
		from = len(out)
		out = codecs.AppendRow(out, w.table, state)
		send(w.changelog, binary, grown(from))

		if keys, err = w.table.KeyValues(key, keys); err != nil {
			return err
		}
		if row, err = w.table.Row(key, state, row); err != nil {
			return err
		}
		from = len(out)
		out = codecs.AppendResultKey(out, w.table, keys)
		text := grown(from)
		from = len(out)
		var short bool
		if out, short = codecs.AppendFitting(out, w.table, row); short {
			cut++
		}
		send(w.result, text, grown(from))
		return nil
	}
	for key, delta := range m.groups.All() {
		state, _ := rows.Upsert([]byte(key))
		w.table.Merge(state, delta)
		if err := emit(key, state); err != nil {
			return fmt.Errorf("row of %s: %w", w.table.Name, err)
		}
	}
	if w.only == partition && rows.Len() == 0 {
		// Without GROUP BY the table has one row, also over no records.
		state, _ := rows.Upsert(nil)
		if err := emit("", state); err != nil {
			return fmt.Errorf("row of %s: %w", w.table.Name, err)
		}
	}
	if cut > 0 {
		w.stage.log.Warn("rows are too large for one record, their texts were cut in the result topic", "rows", cut, "bytes", codecs.MaxRecord)
	}
	for source, delta := range m.progress {
		have, ok := progress[source]
		if !ok {
			have.NewestTime = codecs.NoTime
		}
		have.Advance(delta)
		progress[source] = have
		send(w.changelog, []byte(codecs.ProgressKey(source)), codecs.AppendProgressRow(nil, have))
	}
	return nil
}
