package codecs_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/codecs/codectest"
	"github.com/brotally/brotally/feeds"
)

// testSchemas are schemas by id, from 1.
type testSchemas []string

func (s *testSchemas) Schema(id int) ([]string, error) {
	if id < 1 || id > len(*s) {
		return nil, codecs.ErrNoSchema
	}
	return []string{(*s)[id-1]}, nil
}

// add returns the schema's id.
func (s *testSchemas) add(schema string) int {
	*s = append(*s, schema)
	return len(*s)
}

// foreign writes a record as another program does, with another Avro library.
func foreign(t testing.TB, id int, schema string, record any) []byte {
	t.Helper()
	parsed, err := avro.ParseWithCache(schema, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	b, err := avro.Marshal(parsed, record)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), b...)
}

// foreignValue is a value as that library takes it.
func foreignValue(v feeds.Value) any {
	switch v.Kind() {
	case feeds.Null:
		return nil
	case feeds.Bool:
		return v.IsTrue()
	case feeds.Bigint:
		return v.Int()
	case feeds.Ubigint, feeds.Numeric:
		return new(big.Rat).SetInt(v.Int128().Big())
	case feeds.Double, feeds.Interval:
		return v.Float()
	case feeds.Timestamp:
		return time.UnixMicro(v.Micros()).UTC()
	case feeds.Array:
		list := []any{}
		for _, e := range v.List() {
			list = append(list, foreignValue(e))
		}
		return list
	}
	return v.String()
}

func TestAvroConformance(t *testing.T) {
	schemas := &testSchemas{}
	codectest.Run(t, codectest.Codec{
		New: func(layout *feeds.Layout) codectest.Decoder { return codecs.NewAvro(layout, schemas) },
		Encode: func(columns []feeds.Column, values []feeds.Value) []byte {
			schema := codecs.AvroSchemaText(t, "test", columns)
			record := map[string]any{}
			for i, c := range columns {
				record[feeds.AvroName(c.Name)] = foreignValue(values[i])
			}
			return foreign(t, schemas.add(schema), schema, record)
		},
	})
}

func TestAvroDecode(t *testing.T) {
	column := func(name string, typ feeds.Type, aliases ...string) feeds.Column {
		return feeds.Column{Name: name, Type: typ, Aliases: aliases}
	}
	bigint, str, ts := feeds.T(feeds.Bigint), feeds.T(feeds.String), feeds.T(feeds.Timestamp)
	for _, c := range []struct {
		name, schema string
		record       any
		column       feeds.Column
		want         string // the column's value
		bad          int
	}{
		{"an alias", `{"type":"record","name":"r","fields":[{"name":"qtype","type":"long"}]}`, map[string]any{"qtype": int64(7)}, column("query_type", bigint, "qtype"), "7", 0},
		{"an alias with a dot", `{"type":"record","name":"r","fields":[{"name":"a_b","type":"long"}]}`, map[string]any{"a_b": int64(7)}, column("x", bigint, "a.b"), "7", 0},
		{"a name before an alias", `{"type":"record","name":"r","fields":[{"name":"b","type":"long"},{"name":"a","type":"long"}]}`, map[string]any{"a": int64(1), "b": int64(2)}, column("a", bigint, "b"), "1", 0},
		{"records for dots", `{"type":"record","name":"r","fields":[{"name":"id","type":["null",{"type":"record","name":"i","fields":[{"name":"orig_h","type":"string"}]}]}]}`,
			map[string]any{"id": map[string]any{"i": map[string]any{"orig_h": "10.0.0.1"}}}, column("id.orig_h", feeds.T(feeds.Inet)), "10.0.0.1", 0},
		{"a tagged record", `{"type":"record","name":"r","fields":[{"name":"test","type":{"type":"record","name":"i","fields":[{"name":"uid","type":"string"}]}}]}`,
			map[string]any{"test": map[string]any{"uid": "C1"}}, column("uid", str), "C1", 0},
		{"milliseconds", `{"type":"record","name":"r","fields":[{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}}]}`,
			map[string]any{"ts": time.UnixMilli(1575413122764)}, column("ts", ts), "2019-12-03T22:45:22.764000Z", 0},
		{"a date", `{"type":"record","name":"r","fields":[{"name":"ts","type":{"type":"int","logicalType":"date"}}]}`,
			map[string]any{"ts": time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}, column("ts", ts), "2026-11-23T00:00:00.000000Z", 0},
		{"seconds as a double", `{"type":"record","name":"r","fields":[{"name":"ts","type":"double"}]}`, map[string]any{"ts": 1.5}, column("ts", ts), "1970-01-01T00:00:01.500000Z", 0},
		{"seconds as a long", `{"type":"record","name":"r","fields":[{"name":"ts","type":"long"}]}`, map[string]any{"ts": int64(1)}, column("ts", ts), "1970-01-01T00:00:01.000000Z", 0},
		{"milliseconds as a long", `{"type":"record","name":"r","fields":[{"name":"ts","type":"long"}]}`, map[string]any{"ts": int64(1575413122764)}, column("ts", ts), "2019-12-03T22:45:22.764000Z", 0},
		{"a time as a text", `{"type":"record","name":"r","fields":[{"name":"ts","type":"string"}]}`, map[string]any{"ts": "2018-03-24T17:15:21.255387Z"}, column("ts", ts), "2018-03-24T17:15:21.255387Z", 0},
		{"an int for a bigint", `{"type":"record","name":"r","fields":[{"name":"n","type":"int"}]}`, map[string]any{"n": 7}, column("n", bigint), "7", 0},
		{"a whole double for a bigint", `{"type":"record","name":"r","fields":[{"name":"n","type":"double"}]}`, map[string]any{"n": 7.0}, column("n", bigint), "7", 0},
		{"half a number for a bigint", `{"type":"record","name":"r","fields":[{"name":"n","type":"double"}]}`, map[string]any{"n": 7.5}, column("n", bigint), "NULL", 1},
		{"a negative number for a ubigint", `{"type":"record","name":"r","fields":[{"name":"n","type":"long"}]}`, map[string]any{"n": int64(-1)}, column("n", feeds.T(feeds.Ubigint)), "NULL", 1},
		{"a text for a number", `{"type":"record","name":"r","fields":[{"name":"n","type":"string"}]}`, map[string]any{"n": "7"}, column("n", bigint), "NULL", 1},
		{"a number for a text", `{"type":"record","name":"r","fields":[{"name":"n","type":"long"}]}`, map[string]any{"n": int64(7)}, column("n", str), "NULL", 1},
		{"a map for a text", `{"type":"record","name":"r","fields":[{"name":"n","type":{"type":"map","values":"long"}}]}`, map[string]any{"n": map[string]any{"a": int64(7)}}, column("n", str), "NULL", 1},
		{"a fraction", `{"type":"record","name":"r","fields":[{"name":"n","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}}]}`,
			map[string]any{"n": big.NewRat(-1, 8)}, column("n", feeds.T(feeds.Double)), "-0.125", 0},
		{"a fixed decimal", `{"type":"record","name":"r","fields":[{"name":"n","type":{"type":"fixed","name":"f","size":8,"logicalType":"decimal","precision":9,"scale":0}}]}`,
			map[string]any{"n": big.NewRat(-12345, 1)}, column("n", bigint), "-12345", 0},
		{"decimals of two precisions", `{"type":"record","name":"r","fields":[{"name":"m","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},{"name":"n","type":{"type":"bytes","logicalType":"decimal","precision":20}}]}`,
			map[string]any{"m": big.NewRat(1, 1), "n": big.NewRat(300, 1)}, column("n", bigint), "300", 0},
		{"a decimal that is none", `{"type":"record","name":"r","fields":[{"name":"s","type":{"type":"bytes","logicalType":"decimal"}}]}`, map[string]any{"s": []byte("x")}, column("s", str), "x", 0},
		{"a default that is the text null", `{"type":"record","name":"r","fields":[{"name":"s","type":["string","null"],"default":"null"}]}`, map[string]any{"s": "x"}, column("s", str), "x", 0},
		{"an address in its bytes", `{"type":"record","name":"r","fields":[{"name":"h","type":{"type":"fixed","name":"f","size":4}}]}`, map[string]any{"h": [4]byte{10, 0, 0, 1}}, column("h", feeds.T(feeds.Inet)), "10.0.0.1", 0},
		{"_path as a column", `{"type":"record","name":"r","fields":[{"name":"_path","type":["null","string"]}]}`, map[string]any{"_path": "test"}, column("_path", str), "test", 0},
		{"an enum", `{"type":"record","name":"r","fields":[{"name":"proto","type":{"type":"enum","name":"e","symbols":["tcp","udp"]}}]}`, map[string]any{"proto": "udp"}, column("proto", str), "udp", 0},
		{"an array of two types", `{"type":"record","name":"r","fields":[{"name":"l","type":{"type":"array","items":["null","int","long"]}}]}`,
			map[string]any{"l": []any{int64(1), nil, 2}}, column("l", feeds.ArrayOf(feeds.Bigint)), "[1,null,2]", 0},
		{"an array with an element of another type", `{"type":"record","name":"r","fields":[{"name":"l","type":{"type":"array","items":["null","string","long"]}}]}`,
			map[string]any{"l": []any{int64(1), "x"}}, column("l", feeds.ArrayOf(feeds.Bigint)), "NULL", 1},
		{"a scalar for an array", `{"type":"record","name":"r","fields":[{"name":"l","type":"long"}]}`, map[string]any{"l": int64(1)}, column("l", feeds.ArrayOf(feeds.Bigint)), "NULL", 1},
		{"an array for a scalar", `{"type":"record","name":"r","fields":[{"name":"l","type":{"type":"array","items":"long"}}]}`, map[string]any{"l": []any{int64(1)}}, column("l", bigint), "NULL", 1},
		{"a recursive schema", `{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]},{"name":"n","type":"long"}]}`,
			map[string]any{"next": map[string]any{"r": map[string]any{"next": nil, "n": int64(1)}}, "n": int64(2)}, column("n", bigint), "2", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			schemas := &testSchemas{}
			d := codecs.NewAvro(&feeds.Layout{Feed: "test", Columns: []feeds.Column{c.column}}, schemas)
			var rec feeds.Record
			if err := d.Decode(foreign(t, schemas.add(c.schema), c.schema, c.record), &rec); err != nil {
				t.Fatal(err)
			}
			if got := rec.Values[0].String(); got != c.want || rec.BadFields != c.bad {
				t.Errorf("%s with %d bad fields, want %s with %d", got, rec.BadFields, c.want, c.bad)
			}
		})
	}
}

func TestAvroColumns(t *testing.T) {
	names, types, err := codecs.AvroColumns([]string{
		`{"type":"record","name":"zeek.id","fields":[{"name":"orig_h","type":"string"},{"name":"n","type":["null","int"]}]}`,
		`{"type":"record","name":"zeek.x","fields":[{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"id","type":["null","id"]},` +
			`{"name":"certificate_version","type":"long"},{"name":"m","type":{"type":"map","values":"string"}},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4}},` +
			`{"name":"l","type":{"type":"array","items":["null","string"]}},{"name":"u","type":["null","string","double"]},{"name":"nothing","type":"null"}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, name := range names {
		got = append(got, name+" "+types[i].String())
	}
	want := []string{"ts timestamp", "id.orig_h string", "id.n bigint", "certificate_version bigint", "d numeric", "l string[]", "u string"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

// doubling returns the schema of a record of two records, each of which is of two records, and so on: as text it grows by a
// line a level, what it describes doubles.
func doubling(levels int) string {
	typ := `{"type":"record","name":"r0","fields":[{"name":"a","type":"null"}]}`
	for i := 1; i <= levels; i++ {
		typ = fmt.Sprintf(`{"type":"record","name":"r%d","fields":[{"name":"a","type":%s},{"name":"b","type":"r%d"}]}`, i, typ, i-1)
	}
	return typ
}

func TestAvroNoRecord(t *testing.T) {
	const list = `{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]}]}`
	const nulls = `{"type":"record","name":"r","fields":[{"name":"l","type":{"type":"array","items":"null"}}]}`
	deep := make([]byte, 5000)
	for i := range deep {
		deep[i] = 2 // another one follows
	}
	for _, c := range []struct{ name, schema, payload, want string }{
		{"cut", `{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}`, "\x08ab", "not an Avro record: unexpected end of the record at byte 6"},
		{"something behind it", `{"type":"record","name":"r","fields":[{"name":"a","type":"boolean"}]}`, "\x01ab", "not an Avro record: 2 bytes behind the record at byte 6"},
		{"no record", `"string"`, "\x00", "Avro record of schema 1: not an Avro record: a string at byte 5"},
		{"no schema", `{"type":"record"`, "", "Avro record of schema 1: the schema is not JSON: unexpected end of JSON input"},
		{"deep", list, string(deep), "not an Avro record: more than 1000 levels at byte 505"},
		{"many fields of nothing", doubling(40), "", "not an Avro record: more values than 5 bytes have at byte 5"},
		{"many elements of nothing", nulls, "\x80\x80\x80\x80\x20", "not an Avro record: 4294967296 elements in 0 bytes at byte 10"},
		{"no such choice", `{"type":"record","name":"r","fields":[{"name":"a","type":["null","int"]}]}`, "\x08", "not an Avro record: choice 4 of 2 at byte 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			schemas := &testSchemas{}
			schemas.add(c.schema)
			d := codecs.NewAvro(&feeds.Layout{Feed: "test"}, schemas)
			err := d.Decode([]byte("\x00\x00\x00\x00\x01"+c.payload), &feeds.Record{})
			if err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	var schema *codecs.SchemaError
	err := codecs.NewAvro(&feeds.Layout{}, &testSchemas{}).Decode([]byte("\x00\x00\x00\x00\x01"), &feeds.Record{})
	if !errors.Is(err, codecs.ErrNoSchema) || !errors.As(err, &schema) || schema.ID != 1 {
		t.Errorf("a schema that does not exist: %v", err)
	}
	err = codecs.NewAvro(&feeds.Layout{}, nil).Decode([]byte("\x00\x00\x00\x00\x01"), &feeds.Record{})
	if !errors.Is(err, codecs.ErrNoRegistry) {
		t.Errorf("no registry: %v", err)
	}
}

func TestAvroFeed(t *testing.T) {
	const uid = `"fields":[{"name":"uid","type":"string"}]`
	record := map[string]any{"uid": "C1"}
	for _, c := range []struct {
		name, schema string
		record       any
		mixed, other bool
	}{
		{"of any name", `{"type":"record","name":"r",` + uid + `}`, record, false, false},
		{"of the feed's name", `{"type":"record","name":"zeek.dns",` + uid + `}`, record, true, false},
		{"of another feed's name", `{"type":"record","name":"zeek.conn",` + uid + `}`, record, false, true},
		{"tagged as another feed", `{"type":"record","name":"r","fields":[{"name":"conn","type":{"type":"record","name":"i",` + uid + `}}]}`, map[string]any{"conn": record}, false, true},
		{"with the path of another feed", `{"type":"record","name":"r","fields":[{"name":"_path","type":"string"}]}`, map[string]any{"_path": "conn"}, false, true},
		{"with the feed's path", `{"type":"record","name":"r","fields":[{"name":"_path","type":["null","string"]}]}`, map[string]any{"_path": "dns"}, true, false},
		{"that nothing tells, in a mixed topic", `{"type":"record","name":"r",` + uid + `}`, record, true, true},
		{"that its fields tell, in a mixed topic", `{"type":"record","name":"r","fields":[{"name":"id_orig_h","type":"string"},{"name":"qtype_name","type":"string"},{"name":"query","type":"string"}]}`,
			map[string]any{"id_orig_h": "10.0.0.1", "qtype_name": "A", "query": "x"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			schemas := &testSchemas{}
			d := codecs.NewAvro(&feeds.Layout{Feed: "dns", Mixed: c.mixed}, schemas)
			err := d.Decode(foreign(t, schemas.add(c.schema), c.schema, c.record), &feeds.Record{})
			if err != nil && !errors.Is(err, codecs.ErrOtherFeed) || (err != nil) != c.other {
				t.Errorf("%v, of another feed: want %t", err, c.other)
			}
		})
	}
}
