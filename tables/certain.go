package tables

import (
	"math"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Certainty is how well a column of a row is known from the row's records alone, whatever came when.
type Certainty uint8

const (
	Certain   Certainty = iota // the same in any order; doubles to 1e-9
	Estimated                  // within a bound, which is a fiftieth for percentiles
	Arrival                    // it depends on what came first
)

// Certainties returns that of each column.
func (t *Table) Certainties() []Certainty {
	all := make([]Certainty, len(t.plan.items))
	for i, it := range t.plan.items {
		sql.Walk(it.at, func(e sql.Expr) bool {
			switch call, ok := e.(*sql.Call); {
			case t.plan.isLateColumn(e), ok && (call.Name == "top_k" || call.Name == "array_agg"):
				all[i] = Arrival
			case ok && call.Name == "approx_percentile":
				all[i] = max(all[i], Estimated)
			}
			return true
		})
	}
	return all
}

// Agree reports whether two values of a column are the same as far as it is certain.
func (c Certainty) Agree(a, b feeds.Value) bool {
	bound := 1e-9
	switch {
	case c == Arrival:
		return true
	case c == Estimated:
		bound = .02
	}
	if a.IsNull() || b.IsNull() {
		return a.IsNull() && b.IsNull()
	}
	if a.Kind() == b.Kind() && (a.Kind() == feeds.Double || a.Kind() == feeds.Interval) {
		x, y := a.Float(), b.Float()
		return x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= bound*max(math.Abs(x), math.Abs(y))
	}
	return a.Kind() == b.Kind() && a.String() == b.String()
}

// Forgets reports whether a row begins anew when its group comes again: TTL.
func (t *Table) Forgets() bool { return t.plan.lifetime != nil && t.plan.lifetime.ttl > 0 }

// Ended is what has become of a row's window when the clock stands somewhere.
type Ended struct {
	Group  string // the row's key without the window
	Closed bool   // EMIT FINAL: it has closed
	Gone   bool   // RETENTION: it is not kept any more
	Part   bool   // a session that began when it did, and ended at once, is not kept any more
}

// Ended returns that of a row. It returns an error when key is not one of the table. Without a clock nothing ends, nor does the row of
// the others.
func (t *Table) Ended(key string, clock int64) (e Ended, err error) {
	l := t.plan.lifetime
	if l == nil || l.window == nil || IsOther(key) {
		return Ended{Group: key}, nil
	}
	group, start, last, err := t.plan.cutWindow(key)
	if err != nil {
		return e, err
	}
	due := func(last int64) bool {
		at, ever := l.goes(start, last)
		return ever && at <= clock
	}
	return Ended{Group: group, Closed: l.final && l.closes(start, last) <= clock, Gone: due(last), Part: due(start)}, nil
}

// LateIn returns how many of a row's records came too late for it.
func (t *Table) LateIn(row State) int64 {
	if l := t.plan.lifetime; l != nil && l.final {
		return int64(row.W[l.closed.w])
	}
	return 0
}

// HasWindowsThatEnd reports whether windows close or go: EMIT FINAL, RETENTION. Then a row knows how many records it is of.
func (t *Table) HasWindowsThatEnd() bool {
	return t.plan.lifetime != nil && t.plan.lifetime.window != nil
}

// RecordsIn returns how many records a row of such a table is of, one that is unnested as often as it is in it; 0 for other tables.
func (t *Table) RecordsIn(row State) int64 {
	if !t.HasWindowsThatEnd() {
		return 0
	}
	return t.plan.lifetime.rows(row)
}

// Unnests reports whether a record of the table may be in several groups at once.
func (t *Table) Unnests() bool { return len(t.plan.unnests) > 0 }

// Keeps reports whether rows stay for good: there is neither RETENTION nor TTL.
func (t *Table) Keeps() bool {
	l := t.plan.lifetime
	return l == nil || l.retention == 0 && l.ttl == 0
}
