package tables

import (
	"fmt"
	"iter"

	"github.com/brotally/brotally/feeds"
)

// Within bounds the memory of a look-up; 0 is no bound.
type Within struct {
	Rows  int // that the answer has, and those that OFFSET skips
	Bytes int // that rows and groups take, estimated
}

// TooLarge says that a look-up needs more than it may.
type TooLarge struct {
	Within
	What string // "rows" or "bytes": which of them
}

func (e *TooLarge) Error() string {
	if e.What == "rows" {
		return fmt.Sprintf("the answer has more than %d rows", e.Rows)
	}
	return fmt.Sprintf("the answer takes more than %d bytes", e.Bytes)
}

// RunWithin is Run that gives up with *TooLarge instead of keeping more than w allows. rows may leave out what ahead passes.
func (s *Select) RunWithin(rows func(ahead *Ahead) iter.Seq[[]feeds.Value], params []feeds.Value, w Within) (*Rows, error) {
	out := &collector{within: w}
	return s.run(rows(s.ahead(out)), params, out)
}

// overweight reports whether the collector keeps more than it may, and notes in over what.
func (c *collector) overweight() bool {
	switch {
	case c.within.Rows > 0 && len(c.kept) > c.within.Rows:
		c.over = &TooLarge{c.within, "rows"}
	case c.within.Bytes > 0 && c.bytes > c.within.Bytes:
		c.over = &TooLarge{c.within, "bytes"}
	}
	return c.over != nil
}

func (r keptRow) weight() int {
	n := rowBytes
	for _, v := range r.values {
		n += weight(v)
	}
	return n
}

const (
	valueBytes = 48 // a feeds.Value
	rowBytes   = 56 // a keptRow, and what the allocator adds
)

func weight(v feeds.Value) int {
	n := valueBytes + len(v.Str())
	for _, e := range v.List() {
		n += weight(e)
	}
	return n
}
