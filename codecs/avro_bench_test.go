package codecs

import (
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/linkedin/goavro/v2"

	"github.com/brotally/brotally/feeds"
)

// dnsAvro returns a record of dns with all its columns, its schema without logical types, and the layout of what a table reads of it.
func dnsAvro(b *testing.B, wanted ...string) (msg []byte, plain string, d *Avro) {
	b.Helper()
	f, _ := feeds.Lookup("dns")
	var columns []feeds.Column
	for _, c := range f.Columns {
		if c.Name[0] != '_' {
			columns = append(columns, c)
		}
	}
	record := `{"ts":1575413122.764317,"uid":"CHhAvVGS1DHFjwGM9","id.orig_h":"10.18.20.97","id.orig_p":53422,"id.resp_h":"10.18.20.1","id.resp_p":53,"proto":"udp",` +
		`"trans_id":41871,"rtt":0.085938,"query":"www.example.com","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR",` +
		`"AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["www.example.net","192.0.2.7"],"TTLs":[36.0,60.0],"rejected":false}`
	var rec feeds.Record
	if err := NewJSON(&feeds.Layout{Columns: columns}).Decode([]byte(record), &rec); err != nil {
		b.Fatal(err)
	}
	schema, err := newAvroSchema("zeek", "dns", columns)
	if err != nil {
		b.Fatal(err)
	}
	if msg, err = newAvroRow(schema, 1).append(nil, rec.Values); err != nil {
		b.Fatal(err)
	}
	if plain, err = avroText("zeek", "dns", columns, false); err != nil {
		b.Fatal(err)
	}
	layout := &feeds.Layout{Feed: "dns"}
	for _, name := range wanted {
		i, _ := f.Column(name)
		layout.Slot(f.Columns[i])
	}
	return msg, plain, NewAvro(layout, oneSchema(schema.text))
}

func BenchmarkAvro(b *testing.B) {
	for _, bench := range []struct {
		name    string
		columns []string
	}{
		{"two columns", []string{"id.orig_h", "qtype_name"}},
		{"five columns", []string{"ts", "id.orig_h", "query", "qtype_name", "rtt"}},
		{"arrays", []string{"answers", "TTLs"}},
	} {
		b.Run("decode "+bench.name, func(b *testing.B) {
			msg, _, d := dnsAvro(b, bench.columns...)
			var rec feeds.Record
			b.ReportAllocs()
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				if err := d.Decode(msg, &rec); err != nil || rec.Values[0].IsNull() {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("goavro, whole record", func(b *testing.B) {
		msg, plain, _ := dnsAvro(b)
		codec, err := goavro.NewCodec(plain)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := codec.NativeFromBinary(msg[5:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hamba, whole record", func(b *testing.B) {
		msg, plain, _ := dnsAvro(b)
		schema, err := avro.ParseWithCache(plain, "", &avro.SchemaCache{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			got := map[string]any{}
			if err := avro.Unmarshal(schema, msg[5:], &got); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write a row", func(b *testing.B) {
		f, err := NewTableAvro(compile(b, "CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n, sum(qtype) AS s, max(ts) AS last FROM dns GROUP BY 1, 2"), "t")
		if err != nil {
			b.Fatal(err)
		}
		w := f.Writer(1, 2)
		row := []feeds.Value{feeds.StringValue("10.0.0.1"), feeds.StringValue("AAAA"), feeds.BigintValue(1234), feeds.NumericValue(feeds.Int128From(123456)), feeds.TimestampValue(1575413122764317)}
		out := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			if out, err = w.AppendKey(out[:0], row[:2]); err != nil {
				b.Fatal(err)
			}
			if out, _, err = w.AppendFitting(out, row); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write a row as JSON", func(b *testing.B) {
		t := compile(b, "CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n, sum(qtype) AS s, max(ts) AS last FROM dns GROUP BY 1, 2")
		row := []feeds.Value{feeds.StringValue("10.0.0.1"), feeds.StringValue("AAAA"), feeds.BigintValue(1234), feeds.NumericValue(feeds.Int128From(123456)), feeds.TimestampValue(1575413122764317)}
		out := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			out = AppendResultKey(out[:0], t, row[:2])
			out, _ = AppendFitting(out, t, row)
		}
	})
}
