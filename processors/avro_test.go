package processors_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/registry"
	"github.com/brotally/brotally/internal/testregistry"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// withRegistry gives an instance a registry.
func withRegistry(t *testing.T, url string, more ...func(*processors.Config)) func(*processors.Config) {
	t.Helper()
	return func(c *processors.Config) {
		for _, configure := range more {
			configure(c)
		}
		settings, _, err := registry.Split(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Registry, err = registry.New(settings, c.Log); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Registry.Close)
	}
}

// avroRows returns the last value of each key of an Avro result topic, both as the JSON that they would be; each must lie in the
// partition that its key as text belongs to.
func (p *pipeline) avroRows(t *tables.Table, schemas *registry.Client) map[string]string {
	p.t.Helper()
	key, value := &feeds.Layout{Columns: t.Keys()}, &feeds.Layout{}
	for _, c := range t.Columns {
		value.Columns = append(value.Columns, feeds.Column{Name: c.Name, Type: c.Type})
	}
	keys, values := codecs.NewAvro(key, schemas), codecs.NewAvro(value, schemas)
	decode := func(d *codecs.Avro, r record, msg []byte) []feeds.Value {
		p.t.Helper()
		id, ok := codecs.AvroID(msg)
		if !ok {
			p.t.Fatalf("%s/%d@%d is not Avro: %q", r.topic, r.partition, r.offset, msg)
		}
		var rec feeds.Record
		p.must(schemas.Ask(context.Background(), id, r.topic))
		p.must(d.Decode(msg, &rec))
		if rec.BadFields > 0 {
			p.t.Errorf("%s/%d@%d: %d bad fields", r.topic, r.partition, r.offset, rec.BadFields)
		}
		return rec.Values
	}
	last := map[string]string{}
	for _, r := range p.read(t.Topic(), nil) {
		cells := decode(keys, r, r.key)
		text := string(codecs.AppendResultKey(nil, t, cells))
		if want := kafka.Partition(codecs.AppendResultKey(nil, t, cells[:t.GroupColumns()]), p.partitions(t.Topic())); r.partition != want {
			p.t.Errorf("%s: key %s lies in partition %d, its text belongs in %d", r.topic, text, r.partition, want)
		}
		if r.value == nil {
			delete(last, text)
			continue
		}
		row, _ := codecs.AppendFitting(nil, t, decode(values, r, r.value))
		last[text] = string(row)
	}
	return last
}

const columnsOfAllKinds = `count(*) AS n, sum(id.orig_p) AS ports, max(ts) AS newest, avg(id.orig_p) AS mean, array_agg(DISTINCT qtype_name) AS types, bool_or(rejected) AS bad, max(rtt) AS slowest`

func TestAvroResultIsTheTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, query string }{
		{"two group columns", `SELECT id.orig_h, qtype_name, ` + columnsOfAllKinds + ` FROM dns GROUP BY 1, 2`},
		{"one", `SELECT qtype_name, ` + columnsOfAllKinds + ` FROM dns GROUP BY 1`},
		{"none", `SELECT count(*) AS n FROM dns`},
		{"windows", `SELECT window_start, id.orig_h, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY id.orig_h`},
		{"rows that go", `SELECT id.orig_h, max(qtype_name) AS q, count(*) AS n FROM dns GROUP BY 1 HAVING max(qtype_name) <> 'TXT'`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 3)
			r := testregistry.Start(t)
			text := "CREATE TABLE a WITH (topic = 'avro-out', format = 'avro') AS " + c.query + ";"
			table := p.compile(text)[0]
			var config processors.Config
			withRegistry(t, r.URL())(&config)
			for seed := range 2 { // the second time it goes on with what it finds
				p.produce("dns", 3, office(seed, 200)...)
				run := p.run(text, withRegistry(t, r.URL()))
				want, _, ends := p.fold(table, []string{"dns"}, nil)
				p.settled(table, ends)
				if diff := cmp.Diff(want, p.avroRows(table, config.Registry)); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
				run.stop()
			}
			if !r.SubjectExists("avro-out-key") || !r.SubjectExists("avro-out-value") {
				t.Error("the schemas are not under the topic's subjects")
			}
		})
	}
}

// The same names, types and values are there for a program that knows nothing of us.
func TestAvroStream(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	r := testregistry.Start(t)
	const text = `CREATE STREAM plain WITH (key = qtype_name) AS SELECT ts, id.orig_h, qtype_name FROM dns;
		CREATE STREAM keyed WITH (key = qtype_name, format = 'avro') AS SELECT ts, id.orig_h, qtype_name FROM dns;
		CREATE STREAM placed WITH (format = 'avro') AS SELECT ts, id.orig_h, qtype_name FROM dns;`
	p.produce("dns", 2, dns("10.0.0.1", "A"), dns("10.0.0.2", ""), dns("10.0.0.3", "PTR"))
	run := p.run("", withRegistry(t, r.URL(), withStreams(t, text)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, stream := range []string{"plain", "keyed", "placed"} {
		p.must(run.processors.AwaitStream(ctx, stream, map[codecs.Source]int64{{Topic: "dns"}: 2, {Topic: "dns", Partition: 1}: 1}))
	}
	read := func(msg []byte) any {
		schema, ok := r.GetSchema("placed-key", 1)
		for _, subject := range []string{"placed-value", "keyed-key", "keyed-value"} {
			if s, _ := r.GetSchema(subject, 1); s.ID == int(binary.BigEndian.Uint32(msg[1:])) {
				schema, ok = s, true
			}
		}
		parsed, err := avro.ParseWithCache(schema.Schema.Schema, "", &avro.SchemaCache{})
		if !ok || err != nil {
			t.Fatal(err)
		}
		var v any
		p.must(avro.Unmarshal(parsed, msg[5:], &v))
		return v
	}
	where := map[string]int32{}
	for _, rec := range p.read("plain", nil) {
		where[string(rec.key)] = rec.partition
	}
	ts := time.UnixMicro(1575413122764317).UTC()
	got := map[string]any{}
	for _, rec := range p.read("keyed", nil) {
		key := read(rec.key).(map[string]any)["qtype_name"]
		text := `\N`
		if key != nil {
			text = key.(string)
		}
		if rec.partition != where[text] {
			t.Errorf("%s lies in partition %d, as JSON in %d", text, rec.partition, where[text])
		}
		got[text] = read(rec.value)
	}
	want := map[string]any{
		"A":   map[string]any{"ts": ts, "id_orig_h": "10.0.0.1", "qtype_name": "A"},
		`\N`:  map[string]any{"ts": ts, "id_orig_h": "10.0.0.2", "qtype_name": nil},
		"PTR": map[string]any{"ts": ts, "id_orig_h": "10.0.0.3", "qtype_name": "PTR"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	for _, rec := range p.read("placed", nil) {
		place := read(rec.key).(string)
		if !strings.HasPrefix(place, "dns/") || rec.partition != kafka.Partition([]byte(place), 2) {
			t.Errorf("the record of %s lies in partition %d", place, rec.partition)
		}
	}
}

// avroDNS returns a dns record in Avro.
func avroDNS(t *testing.T, id int, schema, host string) string {
	t.Helper()
	parsed, err := avro.ParseWithCache(schema, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := avro.Marshal(parsed, map[string]any{"id_orig_h": host, "qtype_name": "A"})
	if err != nil {
		t.Fatal(err)
	}
	return string(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), b...))
}

const dnsSchema = `{"type":"record","name":"dns","fields":[{"name":"id_orig_h","type":"string"},{"name":"qtype_name","type":["null","string"]}]}`

// Records whose schema the registry cannot tell just now wait, in their place; others go on, and nothing is lost or counted
// twice, also when the partition changes hands meanwhile.
func TestAvroRecordsWaitForTheRegistry(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	r := testregistry.Start(t)
	id := r.Add(t, "dns-value", dnsSchema)
	var down atomic.Bool
	down.Store(true)
	r.Break(func(w http.ResponseWriter, req *http.Request) {
		if down.Load() {
			testregistry.Answers(503, "text/html", "<html>no upstream")(w, req)
			return
		}
		r.Break(nil)
		r.Handler().ServeHTTP(w, req)
	})
	// Partition 0: JSON, then Avro, then JSON. Partition 1: JSON alone.
	first, behind := dns("10.0.0.1", "A"), dns("10.0.0.1", "A")
	p.produce("dns", 2, first, dns("10.0.0.9", "A"), avroDNS(t, id, dnsSchema, "10.0.0.1"), dns("10.0.0.9", "A"), behind, dns("10.0.0.9", "A"))
	one := p.run(notebook, withRegistry(t, r.URL()))
	one.says("waiting for the schema registry", "schema 1 of dns/0", "no upstream")
	const host1, host9 = `{"id.orig_h":"10.0.0.1","qtype_name":"A"}`, `{"id.orig_h":"10.0.0.9","qtype_name":"A"}`
	row := func(host string, n int) string {
		return fmt.Sprintf(`{"id.orig_h":%q,"qtype_name":"A","count":%d}`, host, n)
	}
	until(t, "what can be read is counted", func() bool {
		rows := p.latest("dns_counts")
		return rows[host1] == row("10.0.0.1", 1) && rows[host9] == row("10.0.0.9", 3)
	})
	// What comes to the other partition goes on.
	p.produce("dns", 2, dns("10.0.0.1", "A"), dns("10.0.0.9", "A"))
	until(t, "the other partition goes on", func() bool { return p.latest("dns_counts")[host9] == row("10.0.0.9", 4) })

	// Another instance comes, and the first one goes: neither waits for the registry to do so.
	two := p.run(notebook, withRegistry(t, r.URL(), instance("two")))
	p.shared(p.kafka.CombineGroup("dns"), 2, 2)
	one.stop()
	p.shared(p.kafka.CombineGroup("dns"), 1, 2)
	two.says("waiting for the schema registry", "no upstream")
	if rows := p.latest("dns_counts"); rows[host1] != row("10.0.0.1", 1) {
		t.Errorf("the partition did not wait: %s", rows[host1])
	}
	down.Store(false)
	two.says("the schema registry has answered")
	until(t, "all is counted, once", func() bool {
		rows := p.latest("dns_counts")
		return rows[host1] == row("10.0.0.1", 4) && rows[host9] == row("10.0.0.9", 4)
	})
	if letters := p.read(p.kafka.DeadLetterTopic(), nil); len(letters) > 0 {
		t.Errorf("dead letters: %v", letters)
	}
	two.stop()
}

func TestAvroRecordsThatAreNone(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	r := testregistry.Start(t)
	id := r.Add(t, "dns-value", dnsSchema)
	good := avroDNS(t, id, dnsSchema, "10.0.0.1")
	p.produce("dns", 1, good, good[:len(good)-1], "\x00\x00\x00\x30\x39xx", "\x00", good)
	p.run(notebook, withRegistry(t, r.URL()))
	until(t, "the good ones are counted", func() bool {
		return p.latest("dns_counts")[`{"id.orig_h":"10.0.0.1","qtype_name":"A"}`] == `{"id.orig_h":"10.0.0.1","qtype_name":"A","count":2}`
	})
	letters := p.read(p.kafka.DeadLetterTopic(), nil)
	for i, want := range []string{
		"not an Avro record: unexpected end of the record at byte 16",
		"Avro record of schema 12345: the schema registry has no such schema",
		"not an Avro record: a zero byte, and no schema id behind it at byte 1",
	} {
		if got := p.headers(letters[i])["__streams.errors.message"]; got != want {
			t.Errorf("%s: %s, want %s", letters[i].key, got, want)
		}
	}
	if len(letters) != 3 {
		t.Errorf("%d letters", len(letters))
	}
}

func TestAvroRecordsWithoutARegistry(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, dns("10.0.0.1", "A"), avroDNS(t, 1, dnsSchema, "10.0.0.1"), dns("10.0.0.1", "A"))
	run := p.run(notebook, nil)
	until(t, "the others are counted", func() bool {
		return p.latest("dns_counts")[`{"id.orig_h":"10.0.0.1","qtype_name":"A"}`] == `{"id.orig_h":"10.0.0.1","qtype_name":"A","count":2}`
	})
	run.says("records are Avro and no schema registry is set", "topic=dns", "--schema-registry URL")
	if got := p.headers(p.read(p.kafka.DeadLetterTopic(), nil)[0])["__streams.errors.message"]; got != "Avro record of schema 1: no schema registry is set: --schema-registry URL" {
		t.Errorf("the letter says %s", got)
	}
	_, err := processors.New(processors.Config{Kafka: p.kafka, Tables: p.compile("CREATE TABLE a WITH (format = 'avro') AS SELECT count(*) AS n FROM dns")})
	if err == nil || err.Error() != "table a has format = 'avro', and no schema registry is set: --schema-registry URL" {
		t.Errorf("an Avro table without one: %v", err)
	}
}

// While the registry is down what needs no schema of it starts, and what does starts when it is back.
func TestAvroTablesStartWithoutTheRegistry(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	r := testregistry.Start(t)
	r.Break(testregistry.Answers(401, "application/json", `{"error_code":40101,"message":"who are you"}`))
	p.produce("dns", 1, dns("10.0.0.1", "A"))
	const avroTable = `CREATE TABLE a WITH (format = 'avro') AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY 1;`
	const stream = `CREATE STREAM s WITH (format = 'avro') AS SELECT id.orig_h FROM dns`
	run := p.run(notebook+avroTable, withRegistry(t, r.URL(), withStreams(t, stream)))
	run.says("waiting for the schema registry", "who are you", "basic.auth.user.info")
	p.exact(notebook, nil)
	if n := len(p.read("a", nil)) + len(p.read("s", nil)); n > 0 {
		t.Errorf("%d records were written without a schema", n)
	}
	r.Break(nil)
	until(t, "they start", func() bool { return len(p.read("a", nil)) == 1 && len(p.read("s", nil)) == 1 })
}

func TestAvroIsRefused(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, dns("10.0.0.1", "A"))
	const text = `CREATE TABLE a WITH (format = 'avro') AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY 1;`
	refused := func(url, why, out string) {
		t.Helper()
		var refusal *processors.Refusal
		if err := p.run(text, withRegistry(t, url)).wait(); !errors.As(err, &refusal) || !strings.Contains(refusal.Why, why) || !strings.Contains(refusal.WayOut, out) {
			t.Errorf("%v, want a refusal with %q and %q", err, why, out)
		}
	}
	other := testregistry.Start(t)
	other.Add(t, "a-value", `{"type":"record","name":"a","namespace":"brotally","fields":[{"name":"n","type":"string"}]}`)
	refused(other.URL(), "incompatible with an earlier schema", "curl -X DELETE "+other.URL()+"/subjects/a-value")

	r := testregistry.Start(t)
	run := p.run(text, withRegistry(t, r.URL()))
	until(t, "it has a row", func() bool { return len(p.read("a", nil)) == 1 })
	run.stop()

	// Another registry has other ids: all rows are written anew under them, and the old keys are gone.
	another := testregistry.Start(t)
	another.Add(t, "something-else", `"string"`)
	before := p.latest("a")
	run = p.run(text, withRegistry(t, another.URL()))
	run.says("results are published", "table=a")
	after := p.latest("a")
	if len(before) != 1 || len(after) != 1 {
		t.Fatalf("before %q, after %q, want one row", before, after)
	}
	for key := range after {
		if _, old := before[key]; old {
			t.Errorf("key %q has the id that the first registry gave", key)
		}
	}
	run.stop()
}
