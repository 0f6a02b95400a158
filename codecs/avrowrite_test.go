package codecs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
)

// oneSchema is a registry with one schema, whatever its id.
type oneSchema string

func (s oneSchema) Schema(int) ([]string, error) { return []string{string(s)}, nil }

var columnTypes = []feeds.Type{
	feeds.T(feeds.String), feeds.T(feeds.Bool), feeds.T(feeds.Bigint), feeds.T(feeds.Ubigint), feeds.T(feeds.Numeric), feeds.T(feeds.Double),
	feeds.T(feeds.Timestamp), feeds.T(feeds.Interval), feeds.T(feeds.Inet), feeds.T(feeds.Subnet),
	feeds.ArrayOf(feeds.String), feeds.ArrayOf(feeds.Ubigint), feeds.ArrayOf(feeds.Timestamp), feeds.ArrayOf(feeds.Interval), feeds.ArrayOf(feeds.Numeric),
}

// valueOf draws a value of a type, NULL now and then.
func valueOf(t *rapid.T, typ feeds.Type) feeds.Value {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return feeds.NullValue
	}
	switch typ.Kind {
	case feeds.Bool:
		return feeds.BoolValue(rapid.Bool().Draw(t, "bool"))
	case feeds.Bigint:
		return feeds.BigintValue(rapid.Int64().Draw(t, "bigint"))
	case feeds.Ubigint:
		return feeds.UbigintValue(rapid.Uint64().Draw(t, "ubigint"))
	case feeds.Numeric:
		i := feeds.Int128{Hi: rapid.Int64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
		return feeds.NumericValue(i)
	case feeds.Double:
		return feeds.DoubleValue(rapid.Float64().Draw(t, "double"))
	case feeds.Timestamp:
		// The other library's time.Time has no more than this.
		return feeds.TimestampValue(rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, "timestamp"))
	case feeds.Interval:
		return feeds.IntervalValue(rapid.Float64().Draw(t, "interval"))
	case feeds.Inet:
		return feeds.InetValue(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rapid.Uint32().Draw(t, "inet")))))
	case feeds.Subnet:
		return feeds.SubnetValue(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, 2, 3}), rapid.IntRange(0, 32).Draw(t, "bits")))
	case feeds.Array:
		list := []feeds.Value{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			list = append(list, valueOf(t, feeds.T(typ.Elem)))
		}
		return feeds.ArrayValue(list)
	}
	return feeds.StringValue(rapid.String().Draw(t, "string"))
}

// theirs is a value as the other library has it.
func theirs(v feeds.Value) any {
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
			list = append(list, theirs(e))
		}
		return list
	}
	return v.String()
}

// What we write another library reads as the same values, and what it writes we read as them.
func TestAvroAgainstAnotherLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var columns []feeds.Column
		var row []feeds.Value
		record := map[string]any{}
		for i := range rapid.IntRange(0, 8).Draw(t, "columns") {
			c := feeds.Column{Name: fmt.Sprintf("c.%d", i), Type: rapid.SampledFrom(columnTypes).Draw(t, "type")}
			columns, row = append(columns, c), append(row, valueOf(t, c.Type))
			record[feeds.AvroName(c.Name)] = theirs(row[i])
		}
		schema, err := newAvroSchema("test", "test", columns)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := avro.ParseWithCache(schema.text, "", &avro.SchemaCache{})
		if err != nil {
			t.Fatal(err)
		}
		const id = 1<<24 + 7
		ours, err := newAvroRow(schema, id).append([]byte("before"), row)
		if err != nil {
			t.Fatal(err)
		}
		ours, _ = bytes.CutPrefix(ours, []byte("before"))
		if want := []byte{0, 1, 0, 0, 7}; !bytes.Equal(ours[:5], want) {
			t.Fatalf("begins with % x, want % x", ours[:5], want)
		}
		got := map[string]any{}
		if err := avro.Unmarshal(parsed, ours[5:], &got); err != nil {
			t.Fatalf("%s: % x: %v", schema.text, ours, err)
		}
		equalRats := cmp.Comparer(func(a, b *big.Rat) bool { return a.Cmp(b) == 0 })
		if diff := cmp.Diff(record, unbox(got), equalRats); diff != "" {
			t.Fatalf("%s: they read (-want +got):\n%s", schema.text, diff)
		}
		b, err := avro.Marshal(parsed, record)
		if err != nil {
			t.Fatal(err)
		}
		d := NewAvro(&feeds.Layout{Columns: columns}, oneSchema(schema.text))
		for who, msg := range map[string][]byte{"they": append([]byte{0, 0, 0, 0, 1}, b...), "we": ours} {
			var rec feeds.Record
			if err := d.Decode(msg, &rec); err != nil || rec.BadFields > 0 {
				t.Fatalf("%s wrote % x for %s: %v, %d bad fields", who, msg, schema.text, err, rec.BadFields)
			}
			for i, v := range rec.Values {
				if v.Kind() != row[i].Kind() || !feeds.Equal(v, row[i]) {
					t.Fatalf("%s wrote %v %s, we read %v %s", who, row[i], columns[i].Type, v, v.Kind())
				}
			}
		}
	})
}

// unbox replaces what the other library makes of a value in a union, which it shows as a map where the type has a logical one.
func unbox(record map[string]any) map[string]any {
	for name, v := range record {
		record[name] = unboxed(v)
	}
	return record
}

func unboxed(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for _, inner := range x {
			return unboxed(inner)
		}
	case []any:
		for i := range x {
			x[i] = unboxed(x[i])
		}
	case big.Rat:
		return &x
	}
	return v
}

// Columns can come and go: who reads with the older schema understands the newer records, and the other way round.
func TestAvroSchemasAreCompatible(t *testing.T) {
	schema := func(columns ...string) avro.Schema {
		f, err := NewTableAvro(compile(t, "CREATE TABLE t AS SELECT "+strings.Join(columns, ", ")+" FROM dns GROUP BY query"), "out")
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := avro.ParseWithCache(f.Value(), "", &avro.SchemaCache{})
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	c := avro.NewSchemaCompatibility()
	was := schema("query", "count(*) AS n")
	for _, is := range []avro.Schema{
		schema("query", "count(*) AS n", "sum(qtype) AS s", "max(ts) AS newest", "array_agg(DISTINCT rcode) AS codes"),
		schema("count(*) AS n", "query"), schema("query"),
	} {
		if err := c.Compatible(is, was); err != nil {
			t.Errorf("%s does not read what was written: %v", is, err)
		}
		if err := c.Compatible(was, is); err != nil {
			t.Errorf("%s is not read by who was there before: %v", is, err)
		}
	}
	if err := c.Compatible(schema("query", "max(query) AS n"), was); err == nil {
		t.Error("a text for a number is taken")
	}
}

func TestAvroDecimal(t *testing.T) {
	for _, i := range []feeds.Int128{{}, feeds.Int128From(-1), feeds.Int128From(127), feeds.Int128From(128), feeds.Int128From(-128), feeds.Int128From(-129),
		feeds.Int128FromUint(math.MaxUint64), {Hi: math.MaxInt64, Lo: math.MaxUint64}, {Hi: math.MinInt64}} {
		b := avroDecimal(i)
		v, ok := fromAvroBytes(feeds.Numeric, &avroNode{logical: "decimal"}, b)
		if !ok || v.Int128() != i {
			t.Errorf("%s: % x, read as %v", i, b, v)
		}
		if whole := (i.Big().BitLen() + 8) / 8; len(b) != whole && !(i.Hi < 0 && len(b) == whole-1) {
			t.Errorf("%s takes %d bytes: % x", i, len(b), b)
		}
	}
}

func TestAvroKeys(t *testing.T) {
	for _, c := range []struct{ name, sql, schema string }{
		{"one group column", "CREATE TABLE t AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY 1",
			`{"type":"record","name":"out_key","namespace":"brotally","fields":[{"name":"id_orig_h","type":["null","string"],"default":null,"doc":"id.orig_h inet"}]}`},
		{"none", "CREATE TABLE t AS SELECT count(*) AS n FROM dns", `{"type":"record","name":"out_key","namespace":"brotally","fields":[]}`},
		{"a window", "CREATE TABLE t AS SELECT window_start, query, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY query",
			`{"type":"record","name":"out_key","namespace":"brotally","fields":[{"name":"query","type":["null","string"],"default":null,"doc":"query string"},` +
				`{"name":"window_start","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null,"doc":"window_start timestamp"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := NewTableAvro(compile(t, c.sql), "out")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.schema, f.Key()); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
		})
	}
	f, err := NewTableAvro(compile(t, "CREATE TABLE t AS SELECT count(*) AS n FROM dns"), "out")
	if err != nil {
		t.Fatal(err)
	}
	key, err := f.Writer(3, 4).AppendKey([]byte{}, nil)
	if want := []byte{0, 0, 0, 0, 3}; err != nil || !bytes.Equal(key, want) {
		t.Errorf("the key of the only row is % x, %v, want % x", key, err, want)
	}
}

func TestAvroStream(t *testing.T) {
	compiled := func(text string) *AvroFormat {
		s, _ := compileStream(t, text)
		f, err := NewStreamAvro(s, "out-s")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := compiled("CREATE STREAM s AS SELECT ts, query FROM dns")
	if f.Key() != `"string"` {
		t.Errorf("the schema of places is %s", f.Key())
	}
	w := f.Writer(1, 2)
	key, err := w.AppendPlace(nil, Source{"dns", 3}, 41)
	if want := "\x00\x00\x00\x00\x01\x10dns/3/41"; err != nil || string(key) != want {
		t.Errorf("key %q, %v, want %q", key, err, want)
	}
	value, whole, err := w.AppendFitting(nil, []feeds.Value{feeds.TimestampValue(1), feeds.StringValue("a\xff\xfe")})
	if want := "\x00\x00\x00\x00\x02\x02\x02\x02\x0ea\ufffd\ufffd"; err != nil || whole != len(want) || string(value) != want {
		t.Errorf("value %q of %d, %v, want %q", value, whole, err, want)
	}
	f = compiled("CREATE STREAM s WITH (key = query) AS SELECT ts, query FROM dns")
	if want := `{"type":"record","name":"out_s_key","namespace":"brotally","fields":[{"name":"query","type":["null","string"],"default":null,"doc":"query string"}]}`; f.Key() != want {
		t.Errorf("the schema of a key column is %s", f.Key())
	}
}

func TestAvroRowThatIsTooLarge(t *testing.T) {
	f, err := NewTableAvro(compile(t, "CREATE TABLE t AS SELECT query, max(answers[1]) AS a, count(*) AS n FROM dns GROUP BY 1"), "out")
	if err != nil {
		t.Fatal(err)
	}
	row := []feeds.Value{feeds.StringValue("x"), feeds.StringValue(strings.Repeat("é", MaxRecord)), feeds.BigintValue(7)}
	value, whole, err := f.Writer(1, 2).AppendFitting(nil, row)
	if err != nil || whole <= 2*MaxRecord || len(value) > MaxRecord || len(value) < MaxRecord/4 {
		t.Errorf("%d bytes of %d: %v", len(value), whole, err)
	}
	var rec feeds.Record
	layout := &feeds.Layout{Columns: avroColumns(compile(t, "CREATE TABLE t AS SELECT query, max(answers[1]) AS a, count(*) AS n FROM dns GROUP BY 1").Columns)}
	if err := NewAvro(layout, oneSchema(f.Value())).Decode(value, &rec); err != nil || rec.Values[2].Int() != 7 || !strings.HasSuffix(rec.Values[1].Str(), "é~") {
		t.Errorf("%v: %.20v .. %v", err, rec.Values[1], rec.Values[2])
	}
}
