package codecs

import (
	"testing"

	"github.com/brotally/brotally/feeds"
)

// FuzzAvro decodes foreign bytes under foreign schemas. Nothing may panic, and what is a record is the same one each time, with a
// value of its type or NULL in each slot.
func FuzzAvro(f *testing.F) {
	columns := []feeds.Column{
		{Name: "ts", Type: feeds.T(feeds.Timestamp)}, {Name: "id.orig_h", Type: feeds.T(feeds.Inet)}, {Name: "n", Type: feeds.T(feeds.Bigint)},
		{Name: "s", Type: feeds.T(feeds.String)}, {Name: "d", Type: feeds.T(feeds.Double)}, {Name: "l", Type: feeds.ArrayOf(feeds.Ubigint)},
	}
	schema, err := newAvroSchema("test", "test", columns)
	if err != nil {
		f.Fatal(err)
	}
	row := []feeds.Value{feeds.TimestampValue(1), feeds.NullValue, feeds.BigintValue(7), feeds.StringValue("x"), feeds.DoubleValue(0.5), feeds.ArrayValue([]feeds.Value{feeds.UbigintValue(1), feeds.NullValue})}
	msg, err := newAvroRow(schema, 1).append(nil, row)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(schema.text, msg[5:])
	for _, s := range []string{
		`{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]},{"name":"n","type":"long"}]}`,
		`{"type":"record","name":"r","fields":[{"name":"l","type":{"type":"array","items":"null"}}]}`,
		`{"type":"record","name":"r","fields":[{"name":"n","type":{"type":"fixed","name":"f","size":8,"logicalType":"decimal","precision":9,"scale":3}}]}`,
		`{"type":"record","name":"r","fields":[{"name":"id","type":{"type":"record","name":"i","fields":[{"name":"orig_h","type":"bytes"}]}}]}`,
		`{"type":"record","name":"r","fields":[{"name":"s","type":{"type":"enum","name":"e","symbols":["a","b"]}},{"name":"m","type":{"type":"map","values":"e"}}]}`,
	} {
		f.Add(s, []byte("\x00\x02\x04\x06\x00"))
	}
	f.Fuzz(func(t *testing.T, schema string, payload []byte) {
		msg := append([]byte{0, 0, 0, 0, 1}, payload...)
		d := NewAvro(&feeds.Layout{Columns: columns}, oneSchema(schema))
		var rec feeds.Record
		if d.Decode(msg, &rec) != nil {
			return
		}
		first := valuesText(&rec)
		for i, v := range rec.Values {
			if !v.IsNull() && v.Kind() != columns[i].Type.Kind {
				t.Errorf("%s has a %s", columns[i].Name, v.Kind())
			}
		}
		if err := d.Decode(msg, &rec); err != nil || valuesText(&rec) != first {
			t.Errorf("%v: %s, first %s", err, valuesText(&rec), first)
		}
	})
}
