package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/tables"
)

// fold is the table as it is recounted. It is safe for concurrent use.
type fold struct {
	table *tables.Table

	mu       sync.Mutex // guards all below
	keys     *grouptable.Partitioner
	rows     []*tables.Groups // by partition
	updaters []*tables.Updater
	partial  tables.State
	bytes    []byte
}

func newFold(t *tables.Table, partitions int32) (*fold, error) {
	f := &fold{table: t, keys: grouptable.NewPartitioner(t), partial: t.NewState()}
	for range partitions {
		rows := t.NewGroups()
		u, err := t.NewUpdater(rows, tables.NoClock) // no record is late for it, and nothing goes
		if err != nil {
			return nil, err
		}
		f.rows, f.updaters = append(f.rows, rows), append(f.updaters, u)
	}
	return f, nil
}

// add adds what was combined of records from an offset on, to those partitions that are further.
func (f *fold) add(c *tables.Combiner, from int64, cuts []int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	unseen := func(tables.Change) error { return nil }
	for key, state := range c.Partials() {
		p, err := f.keys.Of(key, int32(len(f.rows)))
		if err != nil {
			return err
		}
		if cuts[p] <= from {
			continue
		}
		for part := range f.table.Parts(state) {
			f.bytes = f.table.AppendState(f.bytes[:0], part)
			if _, err := f.table.ReadState(f.bytes, f.partial); err != nil {
				return err
			}
			if _, err := f.updaters[p].Add(key, f.partial, unseen); err != nil {
				return err
			}
		}
	}
	c.Reset()
	for _, u := range f.updaters {
		if err := u.Flush(unseen); err != nil {
			return err
		}
	}
	return nil
}

// combineBytes is how much is combined at a time.
const combineBytes = 32 << 20

// recounting is that of one source partition.
type recounting struct {
	run      *portion
	source   codecs.Source
	fold     *fold
	layout   *feeds.Layout
	combiner *tables.Combiner
	json     *codecs.JSON
	avro     *codecs.Avro
	record   feeds.Record
	counts   codecs.Counts
	from     int64   // of what is combined
	cuts     []int64 // where partitions of the table end, those that are still ahead
	again    bool    // its records are dead letters that came again
}

// recount reads a source partition up to where the table is that is furthest.
func (r *portion) recount(ctx context.Context, source codecs.Source, into *fold) (codecs.Counts, error) {
	start, end := r.starts[source], r.end(source)
	if end <= start {
		return codecs.Counts{}, nil
	}
	layout, err := tables.LayoutOf(r.table)
	if err != nil {
		return codecs.Counts{}, err
	}
	layout.Mixed = r.c.Entry.Sources[source.Topic].Mixed
	c := &recounting{run: r, source: source, fold: into, layout: layout, json: codecs.NewJSON(layout), from: start}
	c.avro = codecs.NewAvro(layout, r.c.Schemas)
	if c.combiner, err = r.table.NewCombiner(layout); err != nil {
		return codecs.Counts{}, err
	}
	c.cuts = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(r.cuts[source]))), func(cut int64) bool { return cut <= start })
	c.again = r.c.Entry.Sources[source.Topic].Letters != ""
	mine := false // the record at hand came again for this table
	reader, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: r.c.Admin.Client(), Topic: source.Topic, Partition: source.Partition, From: start,
		Header: func(key, value []byte) {
			mine = mine || string(key) == letters.Missing && slices.Contains(letters.Builds(value), r.c.Entry.Build())
		}})
	if err != nil {
		return codecs.Counts{}, err
	}
	defer reader.Close() //nolint:errcheck // always nil
	last := start
	_, err = reader.ReadTo(ctx, end, func(offset int64, _, value []byte, _ int64) error {
		if offset >= end {
			return nil
		}
		r.read.Add(offset + 1 - last)
		last = offset + 1
		other := c.again && !mine
		mine = false
		return c.take(ctx, offset, value, other)
	})
	if err == nil {
		err = c.flush(end)
	}
	return c.counts, err
}

// take takes in one record; other says that it came again for others.
func (c *recounting) take(ctx context.Context, offset int64, value []byte, other bool) error {
	for len(c.cuts) > 0 && offset >= c.cuts[0] {
		if err := c.flush(c.cuts[0]); err != nil {
			return err
		}
		c.cuts = c.cuts[1:]
	}
	c.counts.Read++
	switch {
	case other:
		c.counts.OtherFeed++
		return nil
	case len(c.run.dead) > 0 && c.run.dead[letters.Place(c.source.Topic, c.source.Partition, offset)]:
		c.counts.DeadLettered++
		return nil
	}
	switch err := c.decode(ctx, value); {
	case errors.Is(err, codecs.ErrOtherFeed):
		c.counts.OtherFeed++
		return nil
	case errors.Is(err, errNoSchemas):
		return err
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		c.counts.DeadLettered++
		return nil
	}
	c.record.At = feeds.Position{Topic: c.source.Topic, Partition: c.source.Partition, Offset: offset}
	switch c.combiner.Add(&c.record) {
	case tables.Counted:
		c.counts.Counted++
	case tables.Filtered:
		c.counts.Filtered++
	case tables.NoTime:
		c.counts.NoTime++
	}
	if c.combiner.Groups().Bytes()+c.combiner.SessionBytes() > combineBytes {
		return c.flush(c.from) // of the same piece
	}
	return nil
}

func (c *recounting) decode(ctx context.Context, value []byte) error {
	if !codecs.IsAvro(value) {
		return c.json.Decode(value, &c.record)
	}
	for {
		err := c.avro.Decode(value, &c.record)
		var unknown *codecs.SchemaError
		switch {
		case c.run.c.Schemas == nil && errors.Is(err, codecs.ErrNoRegistry):
			return errNoSchemas
		case !errors.Is(err, codecs.ErrAskSchema) || !errors.As(err, &unknown):
			return err
		}
		if err := c.run.c.Schemas.Ask(ctx, unknown.ID, c.source.String()); err != nil {
			return err
		}
	}
}

// flush adds what was combined; what comes then is from an offset on.
func (c *recounting) flush(next int64) error {
	if err := c.fold.add(c.combiner, c.from, c.run.cuts[c.source]); err != nil {
		return fmt.Errorf("recount %s: %w", c.source, err)
	}
	c.from = next
	return nil
}
