package tables

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
)

// mergeAll deals values out to sketches and merges these pairwise, in random order, some of them through the stored form.
func mergeAll(rt *rapid.T, empty func() sketch, values []feeds.Value) sketch {
	parts := make([]sketch, rapid.IntRange(1, 6).Draw(rt, "parts"))
	for i := range parts {
		parts[i] = empty()
	}
	for _, v := range values {
		parts[rapid.IntRange(0, len(parts)-1).Draw(rt, "part")].add(v)
	}
	for len(parts) > 1 {
		i := rapid.IntRange(1, len(parts)-1).Draw(rt, "with")
		if rapid.Bool().Draw(rt, "stored") {
			back := empty()
			b := parts[i].append(nil)
			if rest, ok := back.read(b); !ok || len(rest) > 0 {
				rt.Fatalf("%x does not read back: %d bytes left", b, len(rest))
			}
			parts[i] = back
		}
		before := string(parts[i].append(nil))
		parts[0].merge(parts[i])
		if after := string(parts[i].append(nil)); after != before {
			rt.Fatal("merge changed what it read")
		}
		parts = slices.Delete(parts, i, i+1)
		rapid.Just(0).Draw(rt, "merged")
	}
	return parts[0]
}

// TestHeavyHittersKeepTheirBound checks what top_k promises of any order, any split and any merges: with n values and room
// for m, a count is at most n/(m+1) below the truth and never above it; what is more often is there.
func TestHeavyHittersKeepTheirBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(1, 8).Draw(rt, "size")
		empty := func() sketch {
			h := newHeavyHitters(feeds.Bigint, 1)
			h.size = size
			return h
		}
		var values []feeds.Value
		truth := map[int64]uint64{}
		for range rapid.IntRange(0, 200).Draw(rt, "n") {
			// Few values often, many rarely.
			i := int64(math.Pow(rapid.Float64Range(0, 1).Draw(rt, "x"), 4) * 40)
			values = append(values, feeds.BigintValue(i))
			truth[i]++
		}
		h := mergeAll(rt, empty, values).(*heavyHitters)
		bound := uint64(len(values) / (size + 1))
		if h.missed > bound || len(h.counts) > size {
			rt.Fatalf("%d are missed and %d values are kept of %d with room for %d", h.missed, len(h.counts), len(values), size)
		}
		counted := map[int64]uint64{}
		for i, c := range h.counts {
			if h.index[c.key] != i {
				rt.Fatalf("the index of %q is wrong", c.key)
			}
			counted[h.valueOf(c.key).Int()] = c.count
		}
		for v, n := range truth {
			if got := counted[v]; got > n || got+h.missed < n {
				rt.Fatalf("%d came %d times, counted %d with %d missed", v, n, got, h.missed)
			}
			if n > bound && counted[v] == 0 {
				rt.Fatalf("%d came %d times of %d and is not there", v, n, len(values))
			}
		}
		if len(truth) <= size && h.missed != 0 {
			rt.Fatal("counts of few values are not exact")
		}
	})
}

// TestPercentilesAreNear compares DDSketch with the value of that rank: within 1/129 of it, and the same to the last bit
// however the values were split.
func TestPercentilesAreNear(t *testing.T) {
	values := rapid.Custom(func(rt *rapid.T) feeds.Value {
		f := math.Pow(10, rapid.Float64Range(-6, 12).Draw(rt, "magnitude"))
		switch rapid.IntRange(0, 9).Draw(rt, "sign") {
		case 0:
			f = 0
		case 1, 2:
			f = -f
		}
		return feeds.DoubleValue(f)
	})
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(values, 1, 100).Draw(rt, "values")
		d, whole := mergeAll(rt, newDDSketch, all).(*ddSketch), newDDSketch()
		for _, v := range all {
			whole.add(v)
		}
		if string(whole.append(nil)) != string(d.append(nil)) {
			rt.Fatalf("%x in one piece, %x merged", whole.append(nil), d.append(nil))
		}
		slices.SortFunc(all, feeds.Compare)
		for _, p := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.99, 1, rapid.Float64Range(0, 1).Draw(rt, "p")} {
			want := all[max(int(math.Ceil(p*float64(len(all)))), 1)-1].Float()
			got, _ := d.percentile(p)
			if math.Abs(got-want) > math.Abs(want)*(1./129+1e-12) {
				rt.Fatalf("percentile %v is %v, want %v: off by %.3f %%", p, got, want, 100*math.Abs(got/want-1))
			}
		}
	})
}

// TestPercentilesOfAnyRange checks that a sketch stays small whatever comes, that what is folded is folded the same way in
// any order, and that the large values stay right.
func TestPercentilesOfAnyRange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(rapid.Map(rapid.Float64(), feeds.DoubleValue), 1, 50).Draw(rt, "values")
		d, whole := mergeAll(rt, newDDSketch, all).(*ddSketch), newDDSketch()
		for _, v := range all {
			whole.add(v)
		}
		if string(whole.append(nil)) != string(d.append(nil)) {
			rt.Fatalf("%x in one piece, %x merged", whole.append(nil), d.append(nil))
		}
		finite := slices.DeleteFunc(all, func(v feeds.Value) bool { return math.IsInf(v.Float(), 0) || math.IsNaN(v.Float()) })
		if len(finite) == 0 {
			return
		}
		if got, want := slices.MaxFunc(finite, feeds.Compare).Float(), d.greatest; got != want {
			rt.Fatalf("the greatest is %v, want %v", got, want)
		}
		if got, _ := d.percentile(1); got != d.greatest {
			rt.Fatalf("percentile 1 is %v, want %v", got, d.greatest)
		}
		for _, side := range [][]bucket{d.positive, d.negative} {
			if n := len(side); n > 1 && side[n-1].key-side[0].key >= maxBuckets {
				rt.Fatal("the buckets are too far apart")
			}
		}
	})
}

// TestVarianceIsStable compares with exact arithmetic over values that lie up to ten million deviations from zero, split
// anyhow.
func TestVarianceIsStable(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT variance(d) AS v, stddev_pop(d) AS s FROM kinds")
	layout := &feeds.Layout{Columns: kinds.Columns[7:8]}
	rapid.Check(t, func(rt *rapid.T) {
		middle := rapid.SampledFrom([]float64{0, 1, 1e3, -1e7, 1.7e9}).Draw(rt, "middle")
		spread := max(math.Abs(middle)*1e-7, rapid.Float64Range(1e-6, 1e6).Draw(rt, "spread"))
		f, err := NewFold(table, layout, 3)
		if err != nil {
			rt.Fatal(err)
		}
		exact := func(x float64) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(x) }
		sum, squares := exact(0), exact(0)
		n := rapid.IntRange(2, 50).Draw(rt, "n")
		for range n {
			d := middle + spread*rapid.Float64Range(-1, 1).Draw(rt, "d")
			sum.Add(sum, exact(d))
			squares.Add(squares, new(big.Float).Mul(exact(d), exact(d)))
			partition := rapid.IntRange(0, 2).Draw(rt, "partition")
			f.Combiner(partition).Add(&feeds.Record{Values: []feeds.Value{feeds.DoubleValue(d)}})
			if rapid.Bool().Draw(rt, "flush") {
				if err := f.Flush(partition); err != nil {
					rt.Fatal(err)
				}
			}
		}
		mean := new(big.Float).Quo(new(big.Float).Mul(sum, sum), exact(float64(n)))
		deviations, _ := squares.Sub(squares, mean).Float64()
		rows, err := f.Rows()
		if err != nil {
			rt.Fatal(err)
		}
		for i, want := range []float64{deviations / float64(n-1), math.Sqrt(deviations / float64(n))} {
			if got := rows[0][i].Float(); math.Abs(got-want) > 1e-9*want && math.Sqrt(deviations/float64(n)) > 1e-7*math.Abs(middle) {
				rt.Fatalf("%s is %v, want %v", table.Columns[i].Name, got, want)
			}
		}
	})
}

// TestArrayAggKeepsTheSmallest checks that array_agg(DISTINCT x) is the hundred smallest values, split anyhow.
func TestArrayAggKeepsTheSmallest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		parts := []*valueSet{{kind: feeds.String}, {kind: feeds.String}, {kind: feeds.String}}
		want := map[string]bool{}
		for range rapid.IntRange(0, 400).Draw(rt, "n") {
			s := fmt.Sprintf("%03d", random.IntN(300))
			want[s] = true
			parts[random.IntN(3)].add(feeds.StringValue(s))
		}
		parts[2].merge(parts[1])
		parts[2].merge(parts[0])
		var got, sorted []string
		for _, v := range parts[2].values {
			got = append(got, v.Str())
		}
		for s := range want {
			sorted = append(sorted, s)
		}
		slices.Sort(sorted)
		if sorted = sorted[:min(len(sorted), maxSet)]; !slices.Equal(got, sorted) {
			rt.Fatalf("%v, want %v", got, sorted)
		}
	})
}

// TestGroupsCountExtras checks that Groups.Bytes knows what sketches and texts take, whatever becomes of the groups.
func TestGroupsCountExtras(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT g, approx_count_distinct(i) AS n, top_k(s, 3) AS k, array_agg(DISTINCT s) AS a, approx_percentile(d, 0.5) AS p, min(s) AS m, max(s) AS z, first(s) AS f, last(s) AS l, last(n) AS ln FROM kinds GROUP BY g")
	take := func(s State) (n int) {
		for _, x := range s.X {
			n += extraBytes(x)
		}
		return n
	}
	rapid.Check(t, func(rt *rapid.T) {
		c, err := table.NewCombiner(kindsLayout)
		if err != nil {
			rt.Fatal(err)
		}
		g, partial := c.Groups(), table.NewState()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			for _, rec := range genRecords().Draw(rt, "records") {
				c.Add(rec)
			}
			switch rapid.IntRange(0, 5).Draw(rt, "then") {
			case 0:
				g.Reset()
			case 1:
				for key := range g.All() {
					g.Delete([]byte(key))
				}
			case 2:
				for _, s := range g.All() {
					b := table.AppendState(nil, s)
					if _, err := table.ReadState(b, s); err != nil {
						rt.Fatal(err)
					}
					if _, err := table.ReadState(b, partial); err != nil {
						rt.Fatal(err)
					}
					table.Merge(s, partial)
				}
			}
			held := 0
			for _, s := range g.All() {
				held += take(s)
			}
			if held != g.held.bytes {
				rt.Fatalf("extras take %d bytes, %d are counted", held, g.held.bytes)
			}
		}
	})
}

func TestSketchesHoldNoLongTexts(t *testing.T) {
	long := strings.Repeat("é", 1000)
	h, s := newHeavyHitters(feeds.String, 1), &valueSet{kind: feeds.String}
	for _, k := range []sketch{h, s} {
		for _, text := range []string{long, long + "x", long} {
			k.add(feeds.StringValue(text))
		}
	}
	if len(h.counts) != 2 || h.counts[0].count != 2 || len(s.values) != 2 || len(h.counts[0].key) > maxSketchText {
		t.Fatalf("%v, %v", h.counts, s.values)
	}
}

// TestTheLargestStatesAreBounded fills sketches with the worst that can come: what is stated at definition time holds.
func TestTheLargestStatesAreBounded(t *testing.T) {
	for _, text := range []string{
		"CREATE TABLE t AS SELECT top_k(s, 100) AS x FROM kinds", "CREATE TABLE t AS SELECT array_agg(DISTINCT s) AS x FROM kinds",
		"CREATE TABLE t AS SELECT approx_percentile(d, 0.5) AS x FROM kinds", "CREATE TABLE t AS SELECT approx_count_distinct(i) AS x FROM kinds",
		"CREATE TABLE t AS SELECT top_k(net, 100) AS x, array_agg(DISTINCT net) AS y FROM kinds",
	} {
		table := mustCompile(t, text)
		c, err := table.NewCombiner(kindsLayout)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 1))
		values := make([]feeds.Value, len(kinds.Columns))
		for i := range 100_000 {
			f := math.Ldexp(1+random.Float64(), random.IntN(64))
			if i%2 == 0 {
				f = -f
			}
			var addr [16]byte
			for j := range addr {
				addr[j] = byte(random.Uint32())
			}
			values[2] = feeds.StringValue(fmt.Sprintf("%0300d", random.IntN(1000)))
			values[4], values[7] = feeds.BigintValue(random.Int64()), feeds.DoubleValue(f)
			values[11] = feeds.SubnetValue(netip.PrefixFrom(netip.AddrFrom16(addr), 128))
			if i > 5000 && strings.Contains(text, "net") {
				break
			}
			c.Add(&feeds.Record{Values: values})
		}
		for _, s := range c.Groups().All() {
			most := 0
			for _, a := range table.plan.stored {
				most += a.spec.most(a.argument())
			}
			if got := len(table.AppendState(nil, s)); got > most+16 || most > maxStateBytes {
				t.Errorf("%s takes %d bytes, stated are %d", text, got, most)
			} else {
				t.Logf("%s takes %d bytes of %d", text, got, most)
			}
		}
	}
}
