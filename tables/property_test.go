package tables

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
)

// kinds is a feed with a column of every kind.
var kinds = &feeds.Feed{Name: "kinds", Columns: []feeds.Column{
	{Name: "g", Type: feeds.T(feeds.String)}, {Name: "h", Type: feeds.T(feeds.Double)}, {Name: "s", Type: feeds.T(feeds.String)},
	{Name: "b", Type: feeds.T(feeds.Bool)}, {Name: "i", Type: feeds.T(feeds.Bigint)}, {Name: "u", Type: feeds.T(feeds.Ubigint)},
	{Name: "n", Type: feeds.T(feeds.Numeric)}, {Name: "d", Type: feeds.T(feeds.Double)}, {Name: "ts", Type: feeds.T(feeds.Timestamp)},
	{Name: "iv", Type: feeds.T(feeds.Interval)}, {Name: "ip", Type: feeds.T(feeds.Inet)}, {Name: "net", Type: feeds.T(feeds.Subnet)},
}}

func mustCompile(t testing.TB, text string) *Table {
	t.Helper()
	all, err := CompileFile("test.sql", text, func(name string) (*feeds.Feed, bool) {
		if name == kinds.Name {
			return kinds, true
		}
		return feeds.Lookup(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// exactAggregates has every aggregate whose merge is exact, over every kind.
func exactAggregates(t testing.TB) *Table {
	var items []string
	for _, c := range kinds.Columns[2:] {
		for _, f := range []string{"count", "min", "max", "first", "last"} {
			items = append(items, fmt.Sprintf("%s(%s) AS %s_%s", f, c.Name, f, c.Name))
		}
		items = append(items, fmt.Sprintf("array_agg(DISTINCT %s) AS set_%s", c.Name, c.Name))
		switch c.Type.Kind {
		case feeds.String, feeds.Inet, feeds.Double:
			items = append(items, fmt.Sprintf("approx_count_distinct(%s) AS distinct_%s", c.Name, c.Name))
		case feeds.Ubigint:
			items = append(items, fmt.Sprintf("approx_percentile(%s, 0.5) AS half_%s, approx_percentile(%s, 0.9) AS most_%s", c.Name, c.Name, c.Name, c.Name))
		}
		if c.Type.Kind.IsInteger() {
			items = append(items, fmt.Sprintf("sum(%s) AS sum_%s, avg(%s) AS avg_%s", c.Name, c.Name, c.Name, c.Name))
		}
	}
	return mustCompile(t, "CREATE TABLE t AS SELECT g, h, count(*) AS n, count(*) FILTER (WHERE b) AS nb, bool_or(b) AS any_b, bool_and(b) AS all_b, top_k(s, 3) AS top_s, "+strings.Join(items, ", ")+" FROM kinds GROUP BY g, h")
}

func genValue(kind feeds.Kind) *rapid.Generator[feeds.Value] {
	some := func() *rapid.Generator[feeds.Value] {
		switch kind {
		case feeds.String:
			return rapid.Map(rapid.SampledFrom([]string{"", "a", "b", "é", "abc", "\\#x", "\x00\xff", strings.Repeat("x", 2000)}), feeds.StringValue)
		case feeds.Bool:
			return rapid.Map(rapid.Bool(), feeds.BoolValue)
		case feeds.Bigint:
			return rapid.Map(rapid.Int64(), feeds.BigintValue)
		case feeds.Ubigint:
			return rapid.Map(rapid.Uint64(), feeds.UbigintValue)
		case feeds.Numeric:
			return rapid.Custom(func(t *rapid.T) feeds.Value {
				return feeds.NumericValue(feeds.Int128{Hi: rapid.Int64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")})
			})
		case feeds.Double:
			return rapid.Map(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1.5, -1e300, math.NaN(), math.Inf(1), math.Inf(-1), 5e-324}), feeds.DoubleValue)
		case feeds.Interval:
			return rapid.Map(rapid.Float64Range(-1e10, 1e10), feeds.IntervalValue)
		case feeds.Timestamp:
			return rapid.Map(rapid.Int64(), feeds.TimestampValue)
		}
		return rapid.Custom(func(t *rapid.T) feeds.Value {
			b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr")
			addr := netip.AddrFrom16([16]byte(b))
			if rapid.Bool().Draw(t, "v4") {
				addr = netip.AddrFrom4([4]byte(b))
			}
			if kind == feeds.Inet {
				return feeds.InetValue(addr)
			}
			return feeds.SubnetValue(netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "bits")))
		})
	}()
	return rapid.OneOf(rapid.Just(feeds.NullValue), some, some)
}

// genRecords makes records of kinds; few groups, so that they have several records each.
func genRecords() *rapid.Generator[[]*feeds.Record] {
	record := rapid.Custom(func(t *rapid.T) *feeds.Record {
		// Few times and places, so that every tie is there.
		rec := &feeds.Record{At: feeds.Position{
			Topic: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "topic"), Partition: rapid.Int32Range(0, 2).Draw(t, "partition"), Offset: rapid.Int64Range(0, 2).Draw(t, "offset"),
		}}
		for _, c := range kinds.Columns {
			v := genValue(c.Type.Kind).Draw(t, c.Name)
			switch c.Name {
			case "ts":
				v = rapid.SampledFrom([]feeds.Value{feeds.NullValue, feeds.TimestampValue(-1), feeds.TimestampValue(0), feeds.TimestampValue(1), v}).Draw(t, "ts")
			case "g":
				v = rapid.SampledFrom([]feeds.Value{feeds.NullValue, feeds.StringValue("a")}).Draw(t, "g")
			case "h":
				v = rapid.SampledFrom([]feeds.Value{feeds.DoubleValue(0), feeds.DoubleValue(math.Copysign(0, -1)), feeds.DoubleValue(math.NaN())}).Draw(t, "h")
			}
			rec.Values = append(rec.Values, v)
		}
		return rec
	})
	return rapid.SliceOfN(record, 0, 20)
}

var kindsLayout = &feeds.Layout{Feed: kinds.Name, Columns: kinds.Columns}

// stateOf adds records up to one state, whatever their group.
func stateOf(t *Table, records []*feeds.Record) State {
	c, err := t.NewCombiner(kindsLayout)
	if err != nil {
		panic(err)
	}
	s := t.NewState()
	for _, rec := range records {
		c.env.vals = rec.Values
		for _, add := range c.adders {
			add(&c.env, s)
		}
	}
	return s
}

func merged(t *Table, states ...State) string {
	sum := t.NewState()
	for _, s := range states {
		t.Merge(sum, s)
	}
	return string(t.AppendState(nil, sum))
}

func TestMergeIsAssociativeAndCommutativeWithAnIdentity(t *testing.T) {
	table := exactAggregates(t)
	rapid.Check(t, func(rt *rapid.T) {
		a, b, c := genRecords().Draw(rt, "a"), genRecords().Draw(rt, "b"), genRecords().Draw(rt, "c")
		sa, sb, sc := stateOf(table, a), stateOf(table, b), stateOf(table, c)
		all := string(table.AppendState(nil, stateOf(table, slices.Concat(a, b, c))))
		bc := table.NewState()
		table.Merge(bc, sb)
		table.Merge(bc, sc)
		for name, got := range map[string]string{
			"(a b) c": merged(table, sa, sb, sc), "(c b) a": merged(table, sc, sb, sa), "a (b c)": merged(table, sa, bc),
			"with the identity": merged(table, table.NewState(), sa, table.NewState(), sb, sc, table.NewState()),
		} {
			if got != all {
				rt.Fatalf("%s is %x, want %x", name, got, all)
			}
		}
	})
}

func TestStatesReadBack(t *testing.T) {
	table := exactAggregates(t)
	double := mustCompile(t, "CREATE TABLE t AS SELECT sum(d) AS s, avg(d) AS a, sum(iv) AS si, avg(iv) AS ai, avg(n) AS an, stddev(d) AS dd, variance(n) AS vn, top_k(ip, 5) AS ti, approx_percentile(iv, 0.5) AS pi, approx_percentile(d, 0.5) AS pd FROM kinds")
	rapid.Check(t, func(rt *rapid.T) {
		records, before := genRecords().Draw(rt, "records"), genRecords().Draw(rt, "before")
		for _, table := range []*Table{table, double} {
			b := table.AppendState(nil, stateOf(table, records))
			s := stateOf(table, before) // ReadState overwrites it
			rest, err := table.ReadState(append(slices.Clone(b), "rest"...), s)
			if err != nil || string(rest) != "rest" {
				rt.Fatalf("rest %q, %v", rest, err)
			}
			if again := table.AppendState(nil, s); !bytes.Equal(again, b) {
				rt.Fatalf("%x reads back as %x", b, again)
			}
			if len(b) > 0 {
				cut := rapid.IntRange(0, len(b)-1).Draw(rt, "cut")
				if _, err := table.ReadState(b[:cut], s); err == nil {
					rt.Fatalf("%x was read without its last %d bytes", b, len(b)-cut)
				}
			}
		}
	})
}

// sameRows compares rows; doubles and intervals to 1e-9 relative.
func sameRows(a, b [][]feeds.Value) bool {
	return slices.EqualFunc(a, b, func(x, y []feeds.Value) bool {
		return slices.EqualFunc(x, y, func(v, w feeds.Value) bool {
			if k := v.Kind(); (k == feeds.Double || k == feeds.Interval) && w.Kind() == k {
				f, g := v.Float(), w.Float()
				if math.Abs(f-g) <= 1e-9*max(math.Abs(f), math.Abs(g)) {
					return true
				}
			}
			return feeds.Equal(v, w)
		})
	})
}

func TestAnySplitOfTheRecordsGivesTheSameRows(t *testing.T) {
	exact := exactAggregates(t)
	sums := mustCompile(t, "CREATE TABLE t AS SELECT g, sum(iv) AS s, avg(iv) AS a, sum(extract(epoch FROM iv) * 2) AS e FROM kinds GROUP BY g")
	one := mustCompile(t, "CREATE TABLE t AS SELECT sum(n) AS s, count(*) AS c, min(s) || max(s) AS both FROM kinds WHERE b")
	rapid.Check(t, func(rt *rapid.T) {
		records := genRecords().Draw(rt, "records")
		distinct := counting(t, rapid.IntRange(0, 30).Draw(rt, "exact up to"), rapid.IntRange(1, 100).Draw(rt, "part"))
		for _, table := range []*Table{exact, sums, one, distinct} {
			fold := func(partitions int, place func(i int) (partition int, flush bool)) [][]feeds.Value {
				f, err := NewFold(table, kindsLayout, partitions)
				if err != nil {
					rt.Fatal(err)
				}
				for i, rec := range records {
					partition, flush := place(i)
					f.Combiner(partition).Add(rec)
					if flush {
						if err := f.Flush(partition); err != nil {
							rt.Fatal(err)
						}
					}
				}
				rows, err := f.Rows()
				if err != nil {
					rt.Fatal(err)
				}
				return rows
			}
			want := fold(1, func(int) (int, bool) { return 0, false })
			got := fold(3, func(int) (int, bool) {
				return rapid.IntRange(0, 2).Draw(rt, "partition"), rapid.Bool().Draw(rt, "flush")
			})
			if !sameRows(want, got) {
				rt.Fatalf("%s\n%v\n%v", table.SQL, want, got)
			}
		}
	})
}

func TestKeysReadBack(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT count(*) AS n, s, ip, i, u FROM kinds GROUP BY u, i, s, ip")
	rapid.Check(t, func(rt *rapid.T) {
		vals := []feeds.Value{
			genValue(feeds.String).Draw(rt, "s"), genValue(feeds.Inet).Draw(rt, "ip"), genValue(feeds.Bigint).Draw(rt, "i"), genValue(feeds.Ubigint).Draw(rt, "u"),
		}
		key, err := table.EncodeKey(vals)
		if err != nil {
			rt.Fatal(err)
		}
		back, err := table.KeyValues(string(key), nil)
		if err != nil {
			rt.Fatal(err)
		}
		again, err := table.EncodeKey(back)
		if err != nil || !bytes.Equal(again, key) {
			rt.Fatalf("%v: %x reads back as %v, which is %x", vals, key, back, again)
		}
		if len(key) > 0 && key[0] == '\\' {
			rt.Fatal("a key begins with a backslash")
		}
		if _, err := table.KeyValues(string(key[:len(key)-1]), nil); err == nil {
			rt.Fatal("a cut key was read")
		}
	})
}

// TestGroupsAreAMap compares Groups with a Go map over random changes.
func TestGroupsAreAMap(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT g, count(*) AS n, min(s) AS s FROM kinds GROUP BY g")
	rapid.Check(t, func(rt *rapid.T) {
		g, want := table.NewGroups(), map[string]uint64{}
		key := func() string {
			k := fmt.Sprint(rapid.IntRange(0, 60).Draw(rt, "key"))
			return strings.Repeat(k, rapid.SampledFrom([]int{0, 1, 1, 1, 700}).Draw(rt, "times"))
		}
		var next uint64
		rt.Repeat(map[string]func(*rapid.T){
			"upsert": func(rt *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(rt, "times") {
					k := key()
					s, fresh := g.Upsert([]byte(k))
					if _, have := want[k]; have == fresh || fresh && (s.W[1] != 0 || s.X[0] != nil) {
						rt.Fatalf("upsert %q: fresh %v, state %v", k, fresh, s)
					}
					next++
					s.W[1], s.X[0] = next, k
					want[k] = next
				}
			},
			"delete": func(rt *rapid.T) {
				k := key()
				g.Delete([]byte(k))
				delete(want, k)
			},
			"delete while walking": func(rt *rapid.T) {
				for k, s := range g.All() {
					if s.W[1]%3 == 0 {
						g.Delete([]byte(k))
						delete(want, k)
					}
				}
			},
			"reset": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "often") == 0 {
					g.Reset()
					clear(want)
				}
			},
			"": func(rt *rapid.T) {
				got := map[string]uint64{}
				for k, s := range g.All() {
					got[strings.Clone(k)] = s.W[1]
					if s.X[0] != k {
						rt.Fatalf("%q has the text of %q", k, s.X[0])
					}
				}
				held := 0
				for i := range g.entries {
					held += entrySize*cap(g.entries[i]) + 8*cap(g.states[i]) + 16*cap(g.texts[i])
				}
				for _, k := range g.keys {
					held += cap(k)
				}
				if held != g.bytes {
					rt.Fatalf("%d bytes are counted, %d are held", g.bytes, held)
				}
				if len(got) != len(want) || g.Len() != len(want) {
					rt.Fatalf("%d groups, Len %d, want %d", len(got), g.Len(), len(want))
				}
				for k, n := range want {
					if s, ok := g.Get([]byte(k)); !ok || got[k] != n || s.W[1] != n {
						rt.Fatalf("%q is %d, want %d", k, got[k], n)
					}
				}
			},
		})
	})
}

func TestGroupsGiveBackTheKeysOfDeletedGroups(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT g, count(*) AS n FROM kinds GROUP BY g")
	g := table.NewGroups()
	key := make([]byte, 100)
	for i := range 200_000 { // 20 MB of keys, never more than 100 alive
		copy(key, fmt.Sprintf("%09d", i))
		g.Upsert(key)
		copy(key, fmt.Sprintf("%09d", i-100))
		g.Delete(key)
	}
	if g.Len() > 101 || g.Bytes() > 1<<20 {
		t.Fatalf("%d groups hold %d bytes", g.Len(), g.Bytes())
	}
}
