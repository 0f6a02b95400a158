package tables

import "github.com/brotally/brotally/feeds"

// Fold computes a table in memory, without Kafka: the oracle that every other way of computing it is compared with. It
// has a combiner a source partition and adds their partials up as stage 2 does; partials go through the stored form.
// However the records are dealt out to partitions and however often they are flushed, the rows are the same.
type Fold struct {
	table     *Table
	combiners []*Combiner // by source partition
	rows      *Groups
	updater   *Updater
	partial   State
	bytes     []byte
}

// NewFold returns a Fold of t over records of the layout, from that many source partitions.
func NewFold(t *Table, layout *feeds.Layout, partitions int) (*Fold, error) {
	f := &Fold{table: t, rows: t.NewGroups(), partial: t.NewState()}
	var err error
	if f.updater, err = t.NewUpdater(f.rows, NoClock); err != nil {
		return nil, err
	}
	for range partitions {
		c, err := t.NewCombiner(layout)
		if err != nil {
			return nil, err
		}
		f.combiners = append(f.combiners, c)
	}
	return f, nil
}

// Combiner returns a source partition's combiner, which takes its records.
func (f *Fold) Combiner(partition int) *Combiner { return f.combiners[partition] }

// Flush ends what a source partition has combined: a commit.
func (f *Fold) Flush(partition int) error {
	combiner := f.combiners[partition]
	unseen := func(Change) error { return nil }
	for key, state := range combiner.Partials() {
		for part := range f.table.Parts(state) {
			f.bytes = f.table.AppendState(f.bytes[:0], part)
			rest, err := f.table.ReadState(f.bytes, f.partial)
			if err == nil && len(rest) > 0 {
				err = errState
			}
			if err != nil {
				return err
			}
			if _, err := f.updater.Add(key, f.partial, unseen); err != nil {
				return err
			}
		}
	}
	combiner.Reset()
	return f.updater.Flush(unseen)
}

// Rows flushes all partitions and returns the table, by key columns, NULL last. The values live until the next record.
func (f *Fold) Rows() ([][]feeds.Value, error) {
	for partition := range f.combiners {
		if err := f.Flush(partition); err != nil {
			return nil, err
		}
	}
	if len(f.table.keys) == 0 {
		f.rows.Upsert(nil) // without GROUP BY there is one row, also over no records
	}
	var rows [][]feeds.Value
	for key, state := range f.rows.All() {
		if f.table.IsFinal() {
			f.table.plan.lifetime.closed.close(state) // nothing comes any more
		}
		if shows, err := f.table.Shows(key, state); err != nil {
			return nil, err
		} else if !shows {
			continue
		}
		row, err := f.table.Row(key, state, nil)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	SortRows(f.table.Columns, rows)
	return rows, nil
}
