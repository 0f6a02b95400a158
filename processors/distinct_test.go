package processors_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

const distinct = `CREATE TABLE peers AS
	SELECT qtype_name, count(DISTINCT id.orig_h) AS hosts, count(*) AS n, count(DISTINCT uid) FILTER (WHERE id.orig_h <> '10.0.0.1') AS uids, last(uid) AS uid
	FROM dns GROUP BY qtype_name;`

// asks returns n records of a type, of hosts from that number on.
func asks(qtype string, from, n int) (records []string) {
	for i := range n {
		host := from + i
		records = append(records, fmt.Sprintf(`{"ts":%d.5,"uid":"C%d","id.orig_h":"10.0.%d.%d","qtype_name":%q}`, 1000+i%7, host%5, host/250, host%250, qtype))
	}
	return records
}

// values returns how many records of values the changelog has, by group and number.
func (p *pipeline) values(t *tables.Table) map[string]int {
	p.t.Helper()
	found := map[string]int{}
	for key := range p.latest(p.kafka.ChangelogTopic(t.Name)) {
		if number, group, _, ok := codecs.ParseValueKey([]byte(key)); ok {
			vals, err := t.KeyValues(string(group), nil)
			if err != nil {
				p.t.Fatal(err)
			}
			found[fmt.Sprintf("%s/%d", vals[0], number)]++
		}
	}
	return found
}

// TestDistinctValuesAreCountedOnce whatever the interval, over stops and starts, below and above the limit of what is exact; and
// the changelog holds each value that is counted exactly, and no other.
func TestDistinctValuesAreCountedOnce(t *testing.T) {
	for _, commitRecords := range []int{1, 7, 0} {
		t.Run(fmt.Sprintf("%d records a commit", commitRecords), func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.distinct = 20
			p.topic("dns", 3)
			configure := func(pc *processors.Config) { pc.CommitRecords = commitRecords }
			for _, records := range [][]string{
				slices.Concat(asks("A", 0, 15), asks("MX", 0, 20), asks("TXT", 0, 3)),
				slices.Concat(asks("A", 5, 15), asks("MX", 0, 20), asks("TXT", 0, 3)), // A comes to the limit
				slices.Concat(asks("A", 10, 10), asks("MX", 20, 1), asks("TXT", 0, 3)),
				slices.Concat(asks("MX", 21, 30), asks("PTR", 0, 60), asks("TXT", 3, 1)), // PTR is above it at once
			} {
				p.produce("dns", 3, records...)
				r := p.run(distinct, configure)
				p.exact(distinct, nil)
				r.stop()
			}
			r := p.run(distinct, configure)
			p.exact(distinct, nil)
			table := p.compile(distinct)[0]
			want := map[string]int{"A/0": 20, "A/1": 5, "MX/1": 5, "PTR/1": 5, "TXT/0": 4, "TXT/1": 3} // C1 comes of 10.0.0.1 alone
			until(t, "records of values are deleted", func() bool { return len(p.values(table)) == len(want) })
			if diff := cmp.Diff(want, p.values(table)); diff != "" {
				t.Errorf("records of values (-want +got):\n%s", diff)
			}
			if r.log.has("level=WARN") {
				t.Error("a clean stop left something to be said by the next start")
			}
		})
	}
}

// TestDistinctValuesMoveWithTheirPartitions: who takes a partition over has its values.
func TestDistinctValuesMoveWithTheirPartitions(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.distinct = 40
	p.topic("dns", 4)
	types := []string{"A", "AAAA", "MX", "NS", "PTR", "SRV", "TXT"}
	some := func(from, n int) {
		for _, qtype := range types {
			p.produce("dns", 4, asks(qtype, from, n)...)
		}
	}
	some(0, 20)
	one := p.run(distinct, nil)
	p.exact(distinct, nil)
	p.run(distinct, instance("two"))
	p.shared("test-peers", 2, 4)
	some(10, 20)
	p.exact(distinct, nil)
	one.stop()
	p.shared("test-peers", 1, 4)
	some(20, 20)
	p.exact(distinct, nil)
	p.run(distinct, nil)
	p.shared("test-peers", 2, 4)
	some(30, 11)
	p.exact(distinct, nil)

	table := p.compile(distinct)[0]
	until(t, "records of values are deleted", func() bool { return len(p.values(table)) == len(types) })
	for group, n := range maps.All(p.values(table)) {
		if n != 5 {
			t.Errorf("%s has %d records of values, want those of five uids", group, n)
		}
	}
}
