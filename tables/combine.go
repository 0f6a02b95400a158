package tables

import (
	"fmt"
	"slices"

	"github.com/brotally/brotally/feeds"
)

// Outcome is what became of a record.
type Outcome uint8

const (
	Counted  Outcome = iota // it is in its group
	Filtered                // WHERE left it out
)

// Combiner adds records up by group: stage 1's work between two commits. It belongs to one goroutine.
type Combiner struct {
	where  cond // nil: every record
	keys   []eval
	adders []adder
	groups *Groups
	env    env
	key    []byte // of the current record
	cut    int64
}

// NewCombiner returns a Combiner for records of the layout. It returns an error when the layout lacks one of the table's
// inputs or has it with another type.
func (t *Table) NewCombiner(layout *feeds.Layout) (*Combiner, error) {
	slots := make([]int, len(t.Inputs))
	for i, in := range t.Inputs {
		slots[i] = slices.IndexFunc(layout.Columns, func(c feeds.Column) bool { return c.Name == in.Name })
		switch {
		case slots[i] < 0:
			return nil, fmt.Errorf("table %s: the layout has no column %s", t.Name, in.Name)
		case layout.Columns[slots[i]].Type != in.Type:
			return nil, fmt.Errorf("table %s: the layout has %s as %s, not %s", t.Name, in.Name, layout.Columns[slots[i]].Type, in.Type)
		}
	}
	return t.plan.newCombiner(slots), nil
}

func (p *plan) newCombiner(slots []int) *Combiner {
	c := &Combiner{groups: p.newGroups()}
	if p.where != nil {
		c.where = p.where.bindCond(slots)
	}
	for _, g := range p.groups {
		c.keys = append(c.keys, g.expr.eval(slots))
	}
	for _, a := range p.stored {
		c.adders = append(c.adders, a.bind(slots))
	}
	return c
}

// Add takes one record in. It keeps nothing of rec, and allocates nothing once the record's group exists (but for a new
// smallest or greatest string). BenchmarkAdd measures it.
func (c *Combiner) Add(rec *feeds.Record) Outcome {
	c.env.vals = rec.Values
	if c.where != nil && c.where(&c.env) != yes {
		return Filtered
	}
	c.key = c.key[:0]
	for _, value := range c.keys {
		var cut bool
		if c.key, cut = appendKeyPart(c.key, value(&c.env)); cut {
			c.cut++
		}
	}
	s, _ := c.groups.Upsert(c.key)
	for _, add := range c.adders {
		add(&c.env, s)
	}
	return Counted
}

// Groups returns what was added up. The caller empties it with Reset once it is sent.
func (c *Combiner) Groups() *Groups { return c.groups }

// Overflows returns how many expressions so far had no value where SQL has an error (overflow, division by zero, a text
// that does not convert) and were NULL instead.
func (c *Combiner) Overflows() int64 { return c.env.overflows }

// CutKeys returns how many group columns so far were over 1 KiB and were cut.
func (c *Combiner) CutKeys() int64 { return c.cut }

// TakeOverflows returns [Combiner.Overflows] and begins again at zero.
func (c *Combiner) TakeOverflows() (n int64) {
	n, c.env.overflows = c.env.overflows, 0
	return n
}

// TakeCutKeys returns [Combiner.CutKeys] and begins again at zero.
func (c *Combiner) TakeCutKeys() (n int64) {
	n, c.cut = c.cut, 0
	return n
}
