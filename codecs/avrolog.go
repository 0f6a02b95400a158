package codecs

import (
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// AvroLog writes the records of one feed's log in Avro, with the schema zeek.<feed>: the feed's columns, and behind them those
// that its records turn out to have. It is not safe for concurrent use.
type AvroLog struct {
	feed    string
	columns []feeds.Column
	known   map[string]bool // names of members that have a column
	found   *feeds.Discovery

	json   *JSON
	rec    feeds.Record
	schema *avroSchema
	row    *avroRow // nil: the schema's id is not known
}

// NewAvroLog returns a writer of a feed's records.
func NewAvroLog(feed string) (*AvroLog, error) {
	l := &AvroLog{feed: feed, found: feeds.NewDiscovery(feed)}
	if f, ok := feeds.Lookup(feed); ok {
		return l, l.take(f.Columns)
	}
	return l, l.take(nil)
}

// take makes the schema one of columns.
func (l *AvroLog) take(columns []feeds.Column) (err error) {
	l.columns, l.known = nil, map[string]bool{}
	taken := map[string]bool{}
	for _, c := range columns {
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			l.known[name] = true
			outer, _, _ := strings.Cut(name, ".")
			l.known[outer] = true
		}
		// Two names may be one in Avro. The first is the built-in feed's.
		if name := feeds.AvroName(c.Name); !taken[name] {
			taken[name] = true
			l.columns = append(l.columns, c)
		}
	}
	l.json = NewJSON(&feeds.Layout{Columns: l.columns})
	l.schema, err = newAvroSchema("zeek", l.feed, l.columns)
	l.row = nil
	return err
}

// Schema returns the schema that records are written with.
func (l *AvroLog) Schema() string { return l.schema.text }

// Name returns the schema's full name.
func (l *AvroLog) Name() string { return "zeek." + feeds.AvroName(l.feed) }

// Append appends a record, which is JSON as [JSON] takes it. register is asked for the id of [AvroLog.Schema] before it is
// first used; its errors are returned. bad is how many fields did not fit their column, and were left out.
func (l *AvroLog) Append(b, record []byte, register func(schema string) (id int, err error)) (value []byte, bad int, err error) {
	if err := l.json.Decode(record, &l.rec); err != nil {
		return b, 0, err
	}
	if inner := l.json.record(record); hasOther(inner, l.known) {
		if err := l.learn(inner); err != nil {
			return b, 0, err
		}
		if err := l.json.Decode(record, &l.rec); err != nil {
			return b, 0, err
		}
	}
	if l.row == nil {
		id, err := register(l.schema.text)
		if err != nil {
			return b, 0, err
		}
		l.row = newAvroRow(l.schema, id)
	}
	value, err = l.row.append(b, l.rec.Values)
	return value, l.rec.BadFields, err
}

// learn adds the columns that a record has beside the known ones. Those that are there keep their type: what was written with
// it is to be read with the new schema, too.
func (l *AvroLog) learn(record []byte) error {
	if err := l.found.AddRecord(record); err != nil {
		return err
	}
	columns := slices.Clone(l.columns)
	for _, c := range l.found.Feed().Columns {
		if !slices.ContainsFunc(columns, func(have feeds.Column) bool { return have.Name == c.Name }) {
			columns = append(columns, c)
		}
	}
	had := len(l.columns)
	known := l.known
	row := l.row
	if err := l.take(columns); err != nil {
		return err
	}
	if len(l.columns) == had {
		l.row = row
	}
	for name := range known {
		l.known[name] = true
	}
	for name := range members(record) {
		l.known[string(name)] = true
	}
	return nil
}

// hasOther says whether a record has a member whose name is not known.
func hasOther(record []byte, known map[string]bool) bool {
	for name := range members(record) {
		if !known[string(name)] {
			return true
		}
	}
	return false
}
