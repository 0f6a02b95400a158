package codecs

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/linkedin/goavro/v2"

	"github.com/brotally/brotally/feeds"
)

// AvroWriter writes the records of one definition in Avro, as Confluent's serializers do: a zero byte, the schema's id in four
// bytes, the record. It is not safe for concurrent use.
type AvroWriter struct{ key, value *avroRow }

// Writer returns a writer for schemas that the registry knows under these ids.
func (f *AvroFormat) Writer(keyID, valueID int) *AvroWriter {
	w := &AvroWriter{value: newAvroRow(f.value, valueID)}
	if f.key != nil {
		w.key = newAvroRow(f.key, keyID)
	} else {
		w.key = &avroRow{codec: stringCodec, header: avroHeader(keyID)}
	}
	return w
}

var stringCodec = func() *goavro.Codec {
	codec, err := goavro.NewCodec(`"string"`)
	if err != nil {
		panic(err) // it is a constant
	}
	return codec
}()

// AppendKey appends the key of a table's row or of a record of a stream with a key column; values are those of
// [tables.Table.Keys], or of that column. An error is a mistake of ours.
func (w *AvroWriter) AppendKey(b []byte, values []feeds.Value) ([]byte, error) {
	return w.key.append(b, values)
}

// AppendPlace appends the key of a stream without a key column: what [AppendPlace] writes, as a string.
func (w *AvroWriter) AppendPlace(b []byte, s Source, offset int64) ([]byte, error) {
	b = append(b, w.key.header[:]...)
	return w.key.codec.BinaryFromNative(b, string(AppendPlace(nil, s, offset)))
}

// AppendFitting appends a row, cut as [AppendFitting] cuts one whose record would be larger than [MaxRecord]. whole is how many
// bytes it would have had uncut. An error is a mistake of ours.
func (w *AvroWriter) AppendFitting(b []byte, row []feeds.Value) (value []byte, whole int, err error) {
	from := len(b)
	if b, err = w.value.append(b, row); err != nil {
		return b, 0, err
	}
	whole = len(b) - from
	for most := MaxRecord / 2; len(b)-from > MaxRecord && most > 0; most /= 2 {
		if b, err = w.value.append(b[:from], shorten(row, most)); err != nil {
			return b, 0, err
		}
	}
	return b, whole, nil
}

// avroRow writes rows of one schema. goavro takes a record as a map and a value that may be NULL as a map in it: both are
// made once and filled anew for each row.
type avroRow struct {
	codec  *goavro.Codec
	header [5]byte
	fields []avroCell
	datum  map[string]any
}

type avroCell struct {
	name, branch string
	typ          feeds.Type
	box          map[string]any
}

func newAvroRow(s *avroSchema, id int) *avroRow {
	r := &avroRow{codec: s.codec, header: avroHeader(id), datum: make(map[string]any, len(s.columns))}
	for _, c := range s.columns {
		r.fields = append(r.fields, avroCell{name: feeds.AvroName(c.Name), branch: avroBranch(c.Type.Kind), typ: c.Type, box: map[string]any{}})
	}
	return r
}

func avroHeader(id int) (h [5]byte) {
	binary.BigEndian.PutUint32(h[1:], uint32(id))
	return h
}

func (r *avroRow) append(b []byte, row []feeds.Value) ([]byte, error) {
	for i, f := range r.fields {
		if row[i].IsNull() {
			r.datum[f.name] = nil
			continue
		}
		f.box[f.branch] = avroNative(f.typ, row[i])
		r.datum[f.name] = f.box
	}
	b = append(b, r.header[:]...)
	out, err := r.codec.BinaryFromNative(b, r.datum)
	if err != nil {
		return b, fmt.Errorf("write Avro: %w", err)
	}
	return out, nil
}

// avroNative returns a value of a type, not NULL, as goavro takes it.
func avroNative(typ feeds.Type, v feeds.Value) any {
	switch typ.Kind {
	case feeds.Bool:
		return v.IsTrue()
	case feeds.Bigint:
		return v.Int()
	case feeds.Timestamp:
		return v.Micros()
	case feeds.Ubigint, feeds.Numeric:
		return avroDecimal(v.Int128())
	case feeds.Double, feeds.Interval:
		return v.Float()
	case feeds.Array:
		list := make([]any, len(v.List()))
		for i, e := range v.List() {
			if !e.IsNull() {
				list[i] = map[string]any{avroBranch(typ.Elem): avroNative(feeds.T(typ.Elem), e)}
			}
		}
		return list
	}
	if v.Kind() == feeds.String {
		return avroUTF8(v.Str())
	}
	return string(v.AppendText(nil))
}

// avroUTF8 returns a text as Avro demands it. What is not UTF-8 becomes U+FFFD, byte by byte, as in JSON.
func avroUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

// avroDecimal returns an integer as a decimal's bytes: two's complement, the highest byte first, as few as it takes.
func avroDecimal(i feeds.Int128) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint64(b, uint64(i.Hi))
	binary.BigEndian.PutUint64(b[8:], i.Lo)
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}
