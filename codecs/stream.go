package codecs

import (
	"strconv"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// AppendStreamKey appends the key of a stream's record: what [AppendResultKey] makes of a table's only group column, of the
// value of the stream's key column.
func AppendStreamKey(b []byte, v feeds.Value) []byte { return appendKeyText(b, v) }

// AppendPlace appends topic/partition/offset: where a record came from, which is the key of records of a stream without a
// key column.
func AppendPlace(b []byte, s Source, offset int64) []byte {
	b = append(append(b, s.Topic...), '/')
	b = append(strconv.AppendInt(b, int64(s.Partition), 10), '/')
	return strconv.AppendInt(b, offset, 10)
}

// AppendStreamRow appends a stream's row as its topic holds it: as [AppendFitting] has those of tables. whole is how many bytes
// it would have had: over [MaxRecord] it is cut.
func AppendStreamRow(b []byte, s *tables.Stream, row []feeds.Value) (value []byte, whole int) {
	return appendFitting(b, s.Columns, row)
}

// DecodeRow reads what [AppendStreamRow] wrote into rec, whose layout has the stream's columns. It is [JSON.Decode] for a
// record that stands for itself: a text in it that looks like a record of Zeek's, or a _path, is a text.
func (d *JSON) DecodeRow(msg []byte, rec *feeds.Record) error {
	if d.rec = rec; !d.scan(msg) {
		return explain(msg)
	}
	return nil
}
