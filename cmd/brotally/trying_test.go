package main

import (
	"testing"
	"time"
)

// TestADifferenceIsOneWhenItStays: what is there for a moment is of a commit that some partitions have and others do not; what stays
// is told, as much of it as was there all the time.
func TestADifferenceIsOneWhenItStays(t *testing.T) {
	x := newTrying(nil, nil)
	begin := time.Now()
	for _, look := range []struct {
		after       time.Duration
		found, want int64
	}{
		{0, 2, 0}, {settled - 1, 1, 0}, {settled, 0, 0}, // it has passed
		{settled + 1, 3, 0}, {2 * settled, 5, 0}, {2*settled + 1, 7, 3}, {3 * settled, 9, 3}, {4 * settled, 1, 1}, {4*settled + 1, 0, 0},
	} {
		if got := x.settle("dns_counts", look.found, begin.Add(look.after)); got != look.want {
			t.Errorf("%d found after %s: %d, want %d", look.found, look.after, got, look.want)
		}
	}
}
