package tables

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
)

const notebook = "CREATE TABLE dns_counts AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name"

const connBytes = `CREATE TABLE conn_bytes AS SELECT id.orig_h, id.resp_h, sum(orig_bytes) AS o, sum(resp_bytes) AS r, count(*) AS n,
	max(duration) AS d, avg(duration) AS a, min(ts) AS t0, max(ts) AS t1, max(orig_bytes + resp_bytes) AS m
	FROM conn WHERE proto = 'tcp' AND NOT in_subnet(id.resp_h, '172.16.0.0/12') AND service IN ('ssl', 'http') AND duration < '1 hour' GROUP BY 1, 2`

// sample is a combiner and a thousand records for it, of a hundred groups.
func sample(t testing.TB, text string) (*Combiner, []feeds.Record) {
	table := mustCompile(t, text)
	layout, err := LayoutOf(table)
	if err != nil {
		t.Fatal(err)
	}
	c, err := table.NewCombiner(layout)
	if err != nil {
		t.Fatal(err)
	}
	records := make([]feeds.Record, 1000)
	for i := range records {
		for _, col := range layout.Columns {
			v := feeds.NullValue
			switch col.Type.Kind {
			case feeds.Inet:
				v = feeds.InetValue(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 20)}))
			case feeds.String:
				v = feeds.StringValue(map[string]string{"proto": "tcp", "service": "ssl"}[col.Name])
				if v.Str() == "" {
					v = feeds.StringValue([]string{"A", "AAAA", "PTR", "TXT", "MX"}[i%5])
				}
			case feeds.Ubigint:
				v = feeds.UbigintValue(uint64(i))
			case feeds.Interval:
				v = feeds.IntervalValue(float64(i) / 3)
			case feeds.Timestamp:
				v = feeds.TimestampValue(int64(i))
			}
			records[i].Values = append(records[i].Values, v)
		}
	}
	for i := range records {
		if c.Add(&records[i]) != Counted {
			t.Fatal("a record was filtered")
		}
	}
	return c, records
}

func TestAddAllocatesNothingOnceTheGroupExists(t *testing.T) {
	for _, text := range []string{
		notebook, connBytes,
		"CREATE TABLE t AS SELECT qtype_name, min(qtype_name) AS q, count(*) FILTER (WHERE query LIKE '%x_y%') AS n FROM dns WHERE query ILIKE 'a%' OR qtype_name LIKE '%A%' OR qtype_name NOT LIKE 'Z_' GROUP BY 1",
		`CREATE TABLE t AS SELECT substr(qtype_name, 1, 1) AS q, mask(id.orig_h, 24) AS net, registered_domain(query) AS d, extract(hour FROM ts) AS h,
			date_trunc('day', ts) AS day, CASE WHEN AA THEN 'a' WHEN id.resp_p > 3 THEN 'b' END AS c, split_part(left(query, 5), '.', 1) AS l, 'A' = ANY(answers) AS has,
			sum(len(answers)) AS n, max(entropy(query)) AS e, sum(round(trans_id / 7.0, 1)) AS r, max(greatest(trans_id, 5)) AS g, min(TTLs[1]) AS ttl
			FROM dns GROUP BY 1, 2, 3, 4, 5, 6, 7, 8`,
		`CREATE TABLE t AS SELECT qtype_name, approx_count_distinct(id.orig_h) AS n, approx_count_distinct(query) AS q, approx_percentile(trans_id, 0.5) AS half, approx_percentile(trans_id, 0.9) AS p90,
			count(DISTINCT query) AS dq, count(DISTINCT id.orig_h) AS dh, count(DISTINCT answers) AS da, first(query) AS fq, last(query) AS lq, last(id.orig_h) AS lh, first(answers) AS fa, top_k(query, 3) AS top, top_k(id.orig_h, 3) AS hosts, array_agg(DISTINCT id.orig_h) AS every, stddev(trans_id) AS sd, bool_or(AA) AS aa FROM dns GROUP BY 1`,
	} {
		c, records := sample(t, text)
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			c.Add(&records[i%len(records)])
			i++
		}); n != 0 {
			t.Errorf("%v allocations a record: %s", n, text)
		}
	}
}

func TestLongKeysAreCutAndStayApart(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT s, count(*) AS n, max(s) AS hi FROM kinds GROUP BY s")
	f, err := NewFold(table, &feeds.Layout{Columns: kinds.Columns[2:3]}, 1)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("é", 1<<19)
	for _, s := range []string{long, long + "x", long, strings.Repeat("y", maxKeyPart), strings.Repeat("y", maxKeyPart+1)} {
		f.Combiner(0).Add(&feeds.Record{Values: []feeds.Value{feeds.StringValue(s)}})
	}
	rows, err := f.Rows()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 || f.Combiner(0).TakeCutKeys() != 4 || f.Combiner(0).CutKeys() != 0 {
		t.Fatalf("%d groups, want 4", len(rows))
	}
	counts := int64(0)
	for _, row := range rows {
		counts += row[1].Int()
		s := row[0].Str()
		if len(s) > maxKeyPart || len(row[2].Str()) > maxKeyPart {
			t.Errorf("a text of %d bytes was kept", len(s))
		}
		key, err := table.EncodeKey(row[:1]) // what is shown can be asked for
		if err != nil {
			t.Fatal(err)
		}
		if back, _ := table.KeyValues(string(key), nil); back[0].Str() != s {
			t.Errorf("%q was cut again", s[len(s)-20:])
		}
	}
	if counts != 5 {
		t.Fatalf("%d records counted, want 5", counts)
	}
}

func TestACombinerNeedsItsInputs(t *testing.T) {
	table := mustCompile(t, notebook)
	for _, layout := range []*feeds.Layout{
		{Columns: []feeds.Column{{Name: "id.orig_h", Type: feeds.T(feeds.Inet)}}},
		{Columns: []feeds.Column{{Name: "id.orig_h", Type: feeds.T(feeds.Inet)}, {Name: "qtype_name", Type: feeds.T(feeds.Bigint)}}},
	} {
		if _, err := table.NewCombiner(layout); err == nil {
			t.Errorf("a layout of %v was taken", layout.Columns)
		}
	}
}

func TestEncodeKeyConvertsWhereThatIsExact(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT i, ip, count(*) AS n FROM kinds GROUP BY i, ip")
	addr := feeds.InetValue(netip.MustParseAddr("10.0.0.1"))
	want, err := table.EncodeKey([]feeds.Value{feeds.BigintValue(443), addr})
	if err != nil {
		t.Fatal(err)
	}
	for _, vals := range [][]feeds.Value{
		{feeds.StringValue("443"), feeds.StringValue("10.0.0.1")}, {feeds.DoubleValue(443), addr}, {feeds.UbigintValue(443), addr},
	} {
		if got, err := table.EncodeKey(vals); err != nil || string(got) != string(want) {
			t.Errorf("%v gives %x, %v", vals, got, err)
		}
	}
	for _, vals := range [][]feeds.Value{
		{feeds.DoubleValue(1.5), addr}, {feeds.StringValue("x"), addr}, {feeds.BigintValue(1), feeds.StringValue("host")}, {addr}, {feeds.BoolValue(true), addr},
	} {
		if got, err := table.EncodeKey(vals); err == nil {
			t.Errorf("%v gives %x", vals, got)
		}
	}
}

func TestSumsOfDoublesLoseNothing(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT sum(d) AS s, avg(d) AS a FROM kinds")
	f, err := NewFold(table, &feeds.Layout{Columns: kinds.Columns[7:8]}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range []float64{1e16, 1, -1e16, 0.5, 1e300, 1, -1e300} {
		f.Combiner(i % 2).Add(&feeds.Record{Values: []feeds.Value{feeds.DoubleValue(d)}})
	}
	rows, err := f.Rows()
	if err != nil {
		t.Fatal(err)
	}
	if got := rows[0][0].Float(); got != 2.5 {
		t.Fatalf("the sum is %v, want 2.5", got)
	}
}

// BenchmarkAdd is stage 1's work a record once it is decoded: the notebook's table, and one with everything in it.
func BenchmarkAdd(b *testing.B) {
	for name, text := range map[string]string{"dns_counts": notebook, "conn_bytes": connBytes} {
		b.Run(name, func(b *testing.B) {
			c, records := sample(b, text)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.Add(&records[i])
				if i++; i == len(records) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkWhere is one condition over a record.
func BenchmarkWhere(b *testing.B) {
	for _, where := range []string{"qtype_name = 'A'", "query LIKE '%.com'", "query ILIKE '%.com'", "id.resp_p = 53", "in_subnet(id.orig_h, '10.0.0.0/8')", "qtype_name IN ('A', 'AAAA')", "id.resp_p + 1 = 54"} {
		b.Run(where, func(b *testing.B) {
			table := mustCompile(b, "CREATE TABLE t AS SELECT count(*) FROM dns WHERE "+where)
			layout, _ := LayoutOf(table)
			e := env{}
			for _, c := range layout.Columns {
				e.vals = append(e.vals, map[feeds.Kind]feeds.Value{
					feeds.String: feeds.StringValue("www.example.com"), feeds.Bigint: feeds.BigintValue(53), feeds.Inet: feeds.InetValue(netip.MustParseAddr("10.1.2.3")),
				}[c.Type.Kind])
			}
			holds := table.plan.where.bindCond(nil)
			b.ReportAllocs()
			for b.Loop() {
				holds(&e)
			}
		})
	}
}

// BenchmarkGroups makes groups with keys of 24 bytes, and says what one costs.
func BenchmarkGroups(b *testing.B) {
	table := mustCompile(b, notebook)
	const n = 1 << 20
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%020d", i)
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		g := table.NewGroups()
		for _, k := range keys {
			s, _ := g.Upsert(k)
			s.W[0]++
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/group")
		b.ReportMetric(float64(g.Bytes())/n, "B/group-estimated")
	}
}
