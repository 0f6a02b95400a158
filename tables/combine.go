package tables

import (
	"encoding/binary"
	"iter"

	"github.com/brotally/brotally/feeds"
)

// Outcome is what became of a record.
type Outcome uint8

const (
	Counted  Outcome = iota // it is in its group
	Filtered                // WHERE left it out, or the arrays that are unnested have no element
	NoTime                  // the table has windows and the record no time, or one beyond what can be computed with
)

// Combiner adds records up by group: stage 1's work between two commits. It belongs to one goroutine.
type Combiner struct {
	plan     *plan
	where    cond // nil: every record
	rows     *unnester
	keys     []keyPart
	time     eval // event time; nil without a window
	adders   []adder
	groups   *Groups
	sessions *sessions // of the groups; nil without session windows. Keys end in a session's id then, not in its bounds
	env      env
	key      []byte // of the current record
	cut      int64
}

// keyPart is a group column. One that unnests nothing, where another one does, is the same in all rows of a record: it is made
// once, for the record chooses how many rows it gives, and how long a text is that must be hashed to be cut.
type keyPart struct {
	value eval
	fixed bool
	bytes []byte // of the current record, when fixed
}

// NewCombiner returns a Combiner for records of the layout. It returns an error when the layout lacks one of the table's
// inputs or has it with another type.
func (t *Table) NewCombiner(layout *feeds.Layout) (*Combiner, error) {
	slots, err := t.slots(layout)
	if err != nil {
		return nil, err
	}
	return t.plan.newCombiner(slots), nil
}

func (p *plan) newCombiner(slots []int) *Combiner {
	c := &Combiner{plan: p, groups: p.newGroups(), rows: p.newUnnester(slots)}
	c.env.domains = new(domainCache)
	if p.where != nil {
		c.where = p.where.bindCond(slots)
	}
	for _, g := range p.groups {
		if !g.window {
			c.keys = append(c.keys, keyPart{value: g.expr.eval(slots), fixed: c.rows != nil && findUnnest(g.ast) == nil})
		}
	}
	if p.window != nil {
		c.time = p.window.time.eval(slots)
		if p.window.Kind == Session {
			c.sessions = newSessions(p.window)
		}
	}
	for _, a := range p.stored {
		switch {
		case a.spec.ofRow:
		case c.rows != nil:
			c.adders = append(c.adders, p.bindRows(a, slots))
		default:
			c.adders = append(c.adders, a.bind(slots))
		}
	}
	return c
}

// Share lets c use what expressions of another Combiner have found out, such as registered domains. Both belong to the same
// goroutine, which gives them the same records in turn.
func (c *Combiner) Share(other *Combiner) { c.env.domains = other.env.domains }

// Add takes one record in. It keeps nothing of rec, and allocates nothing once the record's group exists (but for a new
// smallest or greatest string). BenchmarkAdd measures it.
func (c *Combiner) Add(rec *feeds.Record) Outcome {
	c.env.vals, c.env.at = rec.Values, rec.At
	if c.where != nil && c.where(&c.env) != yes {
		return Filtered
	}
	var micros int64
	if c.time != nil {
		v := c.time(&c.env)
		if micros = v.Micros(); v.IsNull() || micros > maxWindowTime || micros < -maxWindowTime {
			return NoTime
		}
	}
	n := c.rows.open(&c.env)
	if n == 0 {
		return Filtered
	}
	if c.rows != nil {
		c.fixKeyParts()
	}
	for i := range n {
		c.rows.row(&c.env, i)
		c.env.first = i == 0
		c.addRow(micros)
	}
	return Counted
}

// EventTime returns the time that tells a record's window, in microseconds since the Unix epoch; ok is false where it has none. It is
// there for tables with windows.
func (c *Combiner) EventTime(rec *feeds.Record) (micros int64, ok bool) {
	c.env.vals, c.env.at = rec.Values, rec.At
	overflows := c.env.overflows
	v := c.time(&c.env)
	c.env.overflows = overflows // they count where the record does
	micros = v.Micros()
	return micros, !v.IsNull() && micros <= maxWindowTime && micros >= -maxWindowTime
}

// fixKeyParts makes those parts of the key that are the same in all rows of the record.
func (c *Combiner) fixKeyParts() {
	for i := range c.keys {
		if k := &c.keys[i]; k.fixed {
			var cut bool
			if k.bytes, cut = appendKeyPart(k.bytes[:0], k.value(&c.env)); cut {
				c.cut++
			}
		}
	}
}

// addRow takes in one row; micros is the record's time, if there is a window.
func (c *Combiner) addRow(micros int64) {
	c.key = c.key[:0]
	for i := range c.keys {
		k := &c.keys[i]
		if k.fixed {
			c.key = append(c.key, k.bytes...)
			continue
		}
		var cut bool
		if c.key, cut = appendKeyPart(c.key, k.value(&c.env)); cut {
			c.cut++
		}
	}
	switch {
	case c.sessions != nil:
		c.inSession(micros)
	case c.time != nil:
		c.key = c.plan.window.appendWindow(c.key, c.plan.window.start(micros), 0)
	}
	s, _ := c.groups.Upsert(c.key)
	for _, add := range c.adders {
		add(&c.env, s)
	}
}

// inSession makes the group's key that of the session which the time is in. Sessions that it joins become one.
func (c *Combiner) inSession(micros int64) {
	group := len(c.key)
	joined, gone := c.sessions.join(c.key, micros, micros)
	for _, old := range gone {
		if old.id == joined.id {
			continue
		}
		c.key = binary.AppendUvarint(c.key[:group], old.id)
		from, _ := c.groups.Get(c.key)
		to, _ := c.groups.Get(binary.AppendUvarint(c.key[:group:group], joined.id))
		c.plan.merge(to, from)
		c.groups.Delete(c.key)
	}
	c.key = binary.AppendUvarint(c.key[:group], joined.id)
}

// Partials returns what was added up, by the key under which stage 2 takes it: of tables with hopping windows the windows
// are panes. Keys and states are valid until the next one.
func (c *Combiner) Partials() iter.Seq2[string, State] {
	if c.sessions == nil {
		return c.groups.All()
	}
	return func(yield func(string, State) bool) {
		for group, spans := range c.sessions.of {
			more := true
			spans.Ascend(func(s span) bool {
				state, _ := c.groups.Get(binary.AppendUvarint(append(c.key[:0], group...), s.id))
				c.key = c.plan.window.appendWindow(append(c.key[:0], group...), s.first, s.last)
				more = yield(string(c.key), state)
				return more
			})
			if !more {
				return
			}
		}
	}
}

// Reset forgets what was added up. It keeps memory for what comes next, up to a limit.
func (c *Combiner) Reset() {
	c.groups.Reset()
	if c.sessions != nil {
		c.sessions.reset()
	}
}

// Groups is the hash table that it adds up in: how many groups there are, and what they take. Its keys are those of
// [Combiner.Partials] except where windows are sessions.
func (c *Combiner) Groups() *Groups { return c.groups }

// SessionBytes estimates the memory that finding sessions takes beside the groups, in bytes.
func (c *Combiner) SessionBytes() int {
	if c.sessions == nil {
		return 0
	}
	return c.sessions.bytes
}

// Overflows returns how many expressions so far had no value where SQL has an error (overflow, division by zero, a text
// that does not convert) and were NULL instead.
func (c *Combiner) Overflows() int64 { return c.env.overflows }

// CutKeys returns how many group columns so far were over 1 KiB and were cut; one that is the same in all rows that a record
// gives counts once.
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
