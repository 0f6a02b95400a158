package traffic

import (
	"cmp"
	"slices"
)

// Tally counts messages by what the generator knows of them, without reading their JSON: the truth that a table over
// the same messages must show. The zero value is empty. It is for one goroutine.
type Tally struct {
	feeds  map[string]int64
	poison map[string]int64
	dns    map[dnsKey]int64
}

type dnsKey struct{ origH, qtypeName string }

// DNSCount is one row of the notebook's table: SELECT id.orig_h, qtype_name, count(*) FROM dns GROUP BY 1, 2.
type DNSCount struct {
	OrigH     string
	QtypeName string // empty if Null
	Null      bool   // the records have no qtype_name
	Count     int64  // > 0
}

// Add counts m.
func (t *Tally) Add(m Message) {
	if t.feeds == nil {
		t.feeds = make(map[string]int64)
		t.poison = make(map[string]int64)
		t.dns = make(map[dnsKey]int64)
	}
	t.feeds[m.Feed]++
	switch {
	case m.Poison:
		t.poison[m.Feed]++
	case m.Feed == "dns":
		t.dns[dnsKey{m.origH, m.qtypeName}]++
	}
}

// Poisoned returns how many messages of feed were added that are no records.
func (t *Tally) Poisoned(feed string) int64 { return t.poison[feed] }

// Sent returns how many messages of feed were added, poisoned ones included.
func (t *Tally) Sent(feed string) int64 { return t.feeds[feed] }

// Total returns how many messages were added.
func (t *Tally) Total() int64 {
	var total int64
	for _, c := range t.feeds {
		total += c
	}
	return total
}

// DNSCounts returns the notebook's table as the notebook shows it, largest count first; equal counts by host, then
// query type, NULL last.
func (t *Tally) DNSCounts() []DNSCount {
	rows := make([]DNSCount, 0, len(t.dns))
	for k, c := range t.dns {
		rows = append(rows, DNSCount{OrigH: k.origH, QtypeName: k.qtypeName, Null: k.qtypeName == "", Count: c})
	}
	slices.SortFunc(rows, func(a, b DNSCount) int {
		return cmp.Or(
			cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.OrigH, b.OrigH),
			cmp.Compare(btoi(a.Null), btoi(b.Null)),
			cmp.Compare(a.QtypeName, b.QtypeName),
		)
	})
	return rows
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
