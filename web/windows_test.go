package web

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/views/client"
)

// TestWindowChart draws two windows of seven groups: five by name, the rest as one, each bar on top of the last.
func TestWindowChart(t *testing.T) {
	rows := &client.Rows{Columns: []client.Column{{Name: "window_start", Type: "timestamp"}, {Name: "part", Type: "string"}, {Name: "n", Type: "numeric"}}}
	add := func(window, part string, n int) {
		rows.Values = append(rows.Values, []json.RawMessage{fmt.Appendf(nil, "%q", window), fmt.Appendf(nil, "%q", part), fmt.Append(nil, n)})
	}
	late, early := "2026-11-28T08:01:00Z", "2026-11-28T08:00:00Z"
	for i, part := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		add(late, part, 10*(7-i))
	}
	add(early, "a", 50)
	c := windowChart(rows)

	var names []string
	for _, s := range c.Series {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "others"}, names); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"2026-11-28 08:00:00", "2026-11-28 08:01:00"}, c.Ends); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	if got := len(c.Series[0].Boxes); got != 2 {
		t.Errorf("a has %d bars, want 2", got)
	}
	if got := c.Series[5].Boxes[0].Title; got != "2026-11-28 08:01:00, others: 30" {
		t.Errorf("the rest: %s", got)
	}
	// The whole bar of the later window reaches the top, 280.
	if top := c.Series[5].Boxes[0].Y; top != "16.0" || c.Rules[2].Text != "280" {
		t.Errorf("the highest bar ends at %s below the rule %s", top, c.Rules[2].Text)
	}
	if c.Series[1].Boxes[0].Y >= c.Series[0].Boxes[1].Y && len(c.Series[1].Boxes[0].Y) == len(c.Series[0].Boxes[1].Y) {
		t.Errorf("b stands at %s, not above a at %s", c.Series[1].Boxes[0].Y, c.Series[0].Boxes[1].Y)
	}
}
