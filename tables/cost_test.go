package tables

import "testing"

// typical is what most tables are: a condition, two columns as key, three aggregates.
const typical = `CREATE TABLE asked AS SELECT id.orig_h, qtype_name, count(*) AS n, sum(trans_id) AS ids, max(rtt) AS longest
	FROM dns WHERE qtype_name <> 'NS' AND trans_id >= 0 GROUP BY id.orig_h, qtype_name`

func TestATypicalTableAllocatesNothingPerRecord(t *testing.T) {
	c, records := sample(t, typical)
	if groups := c.Groups().Len(); groups < 10 {
		t.Fatalf("%d groups are too few", groups)
	}
	i := 0
	if n := testing.AllocsPerRun(2*len(records), func() {
		c.Add(&records[i%len(records)])
		i++
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// BenchmarkTypical is stage 1's work for a record of a typical table, once it is decoded and its group exists.
func BenchmarkTypical(b *testing.B) {
	c, records := sample(b, typical)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.Add(&records[i])
		if i++; i == len(records) {
			i = 0
		}
	}
}
