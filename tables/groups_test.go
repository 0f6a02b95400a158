package tables

import (
	"fmt"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
)

// TestTextsAreCountedOnce: a group that holds four texts of a kilobyte takes that much, no more.
func TestTextsAreCountedOnce(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT i, min(s) AS a, max(s) AS z, first(s) AS f, last(s) AS l FROM kinds GROUP BY i")
	c := table.plan.newCombiner(nil)
	const groups = 2000
	for g := range groups {
		rec := feeds.Record{Values: make([]feeds.Value, len(table.Inputs))}
		for i, in := range table.Inputs {
			switch in.Name {
			case "i":
				rec.Values[i] = feeds.BigintValue(int64(g))
			case "ts":
				rec.Values[i] = feeds.TimestampValue(int64(g))
			case "s":
				rec.Values[i] = feeds.StringValue(strings.Repeat("x", 2000) + fmt.Sprint(g))
			}
		}
		c.Add(&rec)
	}
	if got := c.groups.Bytes() / groups; got < 4*maxTextBytes || got > 4*maxTextBytes+512 {
		t.Errorf("a group takes %d bytes, its texts have %d", got, 4*maxTextBytes)
	}
	if got := c.groups.SketchBytes() / groups; got < 4*maxTextBytes || got > 4*maxTextBytes+256 {
		t.Errorf("its texts take %d bytes, they have %d", got, 4*maxTextBytes)
	}
}
