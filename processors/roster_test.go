package processors

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRosterTellsWhoIsGone(t *testing.T) {
	r := &roster{}
	for _, step := range []struct {
		group       string
		names, gone []string
	}{
		{"one", []string{"a", "b"}, nil},
		{"two", []string{"c"}, nil},
		{"one", []string{"a", "d"}, []string{"b"}},
		{"one", []string{"a", "d"}, nil},
		{"one", nil, nil}, // not known
		{"one", []string{"d"}, []string{"a"}},
		{"two", []string{"c"}, nil},
	} {
		if diff := cmp.Diff(step.gone, r.gone(step.group, step.names), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s with %v (-want +got):\n%s", step.group, step.names, diff)
		}
	}
}
