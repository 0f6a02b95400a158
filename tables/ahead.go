package tables

import "github.com/brotally/brotally/feeds"

// Ahead tells of a group that its row cannot be in a look-up's answer, before the row is worked out: the rows that are kept by then
// are as many as LIMIT asks for, and all of them come before it. It is for one run.
type Ahead struct {
	kept   *collector
	values []func(key string, s State) (v feeds.Value, ok bool) // of the first columns in ORDER BY; none: nothing is told
}

// ahead looks at what out keeps.
func (s *Select) ahead(out *collector) *Ahead {
	a := &Ahead{kept: out}
	if s.table == nil || s.plan.grouped || s.limit == nil {
		return a
	}
	for _, by := range s.order {
		i := s.plan.items[by.item].expr.column
		if i < 0 || i >= len(s.slots) || s.slots[i] >= len(s.table.Columns) {
			break
		}
		value := s.table.valueOf(s.slots[i])
		if value == nil {
			break
		}
		a.values = append(a.values, value)
	}
	return a
}

// Knows reports whether it tells anything at all; nil does not.
func (a *Ahead) Knows() bool { return a != nil && len(a.values) > 0 }

// Passes reports whether the group's row cannot be in the answer. What it does not know it does not pass.
func (a *Ahead) Passes(key string, s State) bool {
	if !a.Knows() || len(a.kept.kept) < a.kept.limit || IsOther(key) {
		return false
	}
	last := a.kept.kept[0].values
	for i, value := range a.values {
		v, ok := value(key, s)
		if !ok {
			return false
		}
		by := a.kept.order[i]
		if d := by.compare(v, last[by.item]); d != 0 {
			return d > 0
		}
	}
	return len(a.values) == len(a.kept.order) // of equal ones those stay that came first
}

// valueOf works out one column of a group's row alone; nil when that takes more than reading a group column or an aggregate.
func (t *Table) valueOf(column int) func(key string, s State) (feeds.Value, bool) {
	i := t.plan.items[column].expr.column
	switch {
	case i < 0:
		return nil
	case i < len(t.plan.groups):
		return func(key string, _ State) (v feeds.Value, ok bool) {
			for range i + 1 {
				if v, key, ok = feeds.ReadKey(key); !ok {
					return v, false
				}
			}
			return v, true
		}
	}
	kernel := t.plan.aggregates[i-len(t.plan.groups)].kernel
	return func(_ string, s State) (feeds.Value, bool) { return kernel.value(s), true }
}
