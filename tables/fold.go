package tables

import "github.com/brotally/brotally/feeds"

// Fold computes a table in memory, without Kafka: the oracle that every other way of computing it is compared with. Split
// cuts the records into partials that go through the stored form, as between the stages; however often it is called,
// the rows are the same.
type Fold struct {
	table    *Table
	combiner *Combiner
	total    *Groups
	partial  State
	bytes    []byte
}

// NewFold returns a Fold of t over records of the layout.
func NewFold(t *Table, layout *feeds.Layout) (*Fold, error) {
	c, err := t.NewCombiner(layout)
	if err != nil {
		return nil, err
	}
	return &Fold{table: t, combiner: c, total: t.NewGroups(), partial: t.NewState()}, nil
}

// Add takes a record in.
func (f *Fold) Add(rec *feeds.Record) Outcome { return f.combiner.Add(rec) }

// Combiner returns what counts overflows and cut keys.
func (f *Fold) Combiner() *Combiner { return f.combiner }

// Split ends a partial.
func (f *Fold) Split() error {
	for key, state := range f.combiner.Groups().All() {
		f.bytes = f.table.AppendState(f.bytes[:0], state)
		if rest, err := f.table.ReadState(f.bytes, f.partial); err != nil || len(rest) > 0 {
			return errorOr(err, errState)
		}
		row, _ := f.total.Upsert([]byte(key))
		f.table.Merge(row, f.partial)
	}
	f.combiner.Groups().Reset()
	return nil
}

func errorOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Rows returns the table, by key columns, NULL last. It ends a partial.
func (f *Fold) Rows() ([][]feeds.Value, error) {
	if err := f.Split(); err != nil {
		return nil, err
	}
	if len(f.table.keys) == 0 {
		f.total.Upsert(nil) // without GROUP BY there is one row, also over no records
	}
	var rows [][]feeds.Value
	for key, state := range f.total.All() {
		row, err := f.table.Row(key, state, nil)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	SortRows(f.table.Columns, rows)
	return rows, nil
}
