package processors

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRosterTellsWhoIsGone(t *testing.T) {
	r, began := &roster{}, time.Unix(0, 0)
	for i, step := range []struct {
		group   string
		after   time.Duration
		names   []string
		gone    []string
		missing bool
		buried  string
	}{
		{group: "one", names: []string{"a", "b"}},
		{group: "two", names: []string{"c"}},
		{group: "one", names: []string{"a", "d"}, missing: true},
		{group: "one", after: absence - 1, names: []string{"a", "d"}, missing: true},
		{group: "one", after: absence - 1, missing: true}, // not known
		{group: "one", after: absence, names: []string{"a", "d"}, gone: []string{"b"}},
		{group: "one", after: absence, names: []string{"a", "d"}, gone: []string{"b"}, buried: "b"}, // the session ended before it was
		{group: "one", after: absence, names: []string{"a", "d"}},
		{group: "one", after: absence, names: []string{"d"}, missing: true},
		{group: "one", after: 2 * absence, names: []string{"a"}, missing: true}, // back in time, while d goes
		{group: "one", after: 3 * absence, names: []string{"a"}, gone: []string{"d"}, buried: "d"},
		{group: "one", after: 3 * absence, missing: true},
		{group: "two", after: 3 * absence, names: []string{"c"}},
	} {
		gone, missing := r.gone(step.group, step.names, began.Add(step.after))
		if diff := cmp.Diff(step.gone, gone, cmpopts.EquateEmpty()); diff != "" || missing != step.missing {
			t.Errorf("step %d: %s with %v: missing %t (-want +got):\n%s", i+1, step.group, step.names, missing, diff)
		}
		r.buried(step.group, step.buried)
	}
}
