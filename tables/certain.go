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

// MayBeGone reports whether a row need not be there, although there were records of it, when the clock stands there: its window is
// not kept any more. anyLate says that some record of the table was late: then one of a window that has closed may never have been
// there. It returns an error when key is not a key of the table.
func (t *Table) MayBeGone(key string, clock int64, anyLate bool) (bool, error) {
	l := t.plan.lifetime
	if l == nil || l.window == nil || IsOther(key) {
		return false, nil
	}
	_, start, last, err := t.plan.cutWindow(key)
	if err != nil {
		return false, err
	}
	at, ever := l.goes(start, last)
	return ever && at <= clock || l.final && anyLate && l.closes(start, last) <= clock, nil
}

// LateIn returns how many records a row says came too late for it.
func (t *Table) LateIn(row State) int64 {
	if l := t.plan.lifetime; l != nil && l.final {
		return int64(row.W[l.closed.w])
	}
	return 0
}
