package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"time"
)

// Rows are the rows of an answer.
type Rows struct {
	Columns []Column            `json:"columns"`
	Values  [][]json.RawMessage `json:"rows"` // by row, then by column
	Meta    Meta                `json:"meta"`
}

// Column is one column of an answer.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // as SQL spells it: "bigint", "inet", "string[]"
}

// Meta says what an answer reflects.
type Meta struct {
	Table string `json:"table"`

	// AsOf are the next offsets of the source partitions: every record below is in the answer. It may hold later ones too.
	AsOf Offsets `json:"as_of"`

	// EventTime is the newest time of a record; nil when there is none.
	EventTime *time.Time `json:"event_time"`

	// Full says that MAX GROUPS was reached: a row of the table has what came for groups above it, its group columns NULL.
	Full bool `json:"max_groups_reached"`
	// Partial says that the table was being restored, and that rows are missing.
	Partial bool `json:"partial"`

	// Approximate are the values that are estimates where they would be exact: count(DISTINCT ..) of very many.
	Approximate []Approximate `json:"approximate"`

	// Next is where the next page begins, for [RowsOptions]; empty: there is none, or no limit was given.
	Next string `json:"next"`

	Counts Counts  `json:"counts"`
	TookMS float64 `json:"took_ms"` // milliseconds in the server
}

// Approximate are the values of one column that are estimates.
type Approximate struct {
	Column string `json:"column"`
	Rows   []int  `json:"rows"` // numbers of the answer's rows, from 0
}

// Counts say what became of the records of a table's source. Read = Counted + Filtered + OtherFeed + NoTime + DeadLettered.
type Counts struct {
	Read         int64 `json:"read"`
	Counted      int64 `json:"counted"`       // in the table
	Filtered     int64 `json:"filtered"`      // WHERE was not true
	OtherFeed    int64 `json:"other_feed"`    // tagged as records of another feed
	NoTime       int64 `json:"no_time"`       // without a time, in a table that has windows
	DeadLettered int64 `json:"dead_lettered"` // not decodable

	BadFields int64 `json:"bad_fields"` // fields of the wrong type, read as NULL
	Overflows int64 `json:"overflows"`  // expressions that did not fit, read as NULL
	CutKeys   int64 `json:"cut_keys"`   // group columns over the limit
	Lost      int64 `json:"lost"`       // offsets that retention removed before they were read
	Skewed    int64 `json:"skewed"`     // records whose time is too far in the future to tell how far the source has come
	Late      int64 `json:"late"`       // records among Counted that came when all their windows had closed or gone
}

// AddsUp reports whether every record that was read is accounted for.
func (c Counts) AddsUp() bool {
	return c.Read == c.Counted+c.Filtered+c.OtherFeed+c.NoTime+c.DeadLettered
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.Values) }

// Row returns row i, counted from 0.
func (r *Rows) Row(i int) Row { return Row{columns: r.Columns, values: r.Values[i], Meta: r.Meta} }

// Decode stores the rows in the slice that dst points at: structs whose json tags are the columns' names, or maps.
func (r *Rows) Decode(dst any) error {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range r.Values {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := r.Row(i).appendObject(&b); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return decode(b.Bytes(), dst)
}

// decode is json.Unmarshal, but numbers in an any stay exact.
func decode(b []byte, dst any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(dst); err != nil {
		return fmt.Errorf("decode rows: %w", err)
	}
	return nil
}

// Row is one row.
type Row struct {
	columns []Column
	values  []json.RawMessage
	Meta    Meta
}

// Decode stores the row in the struct or map that dst points at, see [Rows.Decode].
func (r Row) Decode(dst any) error {
	var b bytes.Buffer
	if err := r.appendObject(&b); err != nil {
		return err
	}
	return decode(b.Bytes(), dst)
}

// MarshalJSON writes the row as an object, its columns in their order and its values as the server wrote them.
func (r Row) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := r.appendObject(&b)
	return b.Bytes(), err
}

func (r Row) appendObject(b *bytes.Buffer) error {
	b.WriteByte('{')
	for i, c := range r.columns {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(c.Name)
		if err != nil {
			return err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(r.values[i])
	}
	b.WriteByte('}')
	return nil
}

// Value returns a column's value as JSON; nil when there is no such column.
func (r Row) Value(column string) json.RawMessage {
	for i, c := range r.columns {
		if c.Name == column {
			return r.values[i]
		}
	}
	return nil
}

// IsNull reports whether a column is NULL, or is not there.
func (r Row) IsNull(column string) bool {
	v := r.Value(column)
	return v == nil || string(v) == "null"
}

// Text returns a column's value as text: strings without their quotes, all else as JSON. NULL and columns that are not
// there give "".
func (r Row) Text(column string) string {
	v := r.Value(column)
	var s string
	switch {
	case r.IsNull(column):
		return ""
	case v[0] == '"' && json.Unmarshal(v, &s) == nil:
		return s
	}
	return string(v)
}

// Int64 returns a column's value as an integer; the error says that it is none, or does not fit.
func (r Row) Int64(column string) (int64, error) {
	n, err := strconv.ParseInt(string(r.Value(column)), 10, 64)
	if err != nil {
		return 0, r.not(column, "an int64")
	}
	return n, nil
}

// BigInt returns a column's value as an integer of any size; the error says that it is none.
func (r Row) BigInt(column string) (*big.Int, error) {
	n, ok := new(big.Int).SetString(string(r.Value(column)), 10)
	if !ok {
		return nil, r.not(column, "an integer")
	}
	return n, nil
}

// Float64 returns a column's value as a number; the error says that it is none.
func (r Row) Float64(column string) (float64, error) {
	f, err := strconv.ParseFloat(string(r.Value(column)), 64)
	if err != nil {
		return 0, r.not(column, "a number")
	}
	return f, nil
}

func (r Row) not(column, what string) error {
	v := r.Value(column)
	if v == nil {
		return fmt.Errorf("column %s: there is none", column)
	}
	return fmt.Errorf("column %s: %s is not %s", column, v, what)
}
