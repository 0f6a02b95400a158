package processors

import (
	"testing"
	"time"
)

func TestCommitsWhenDrainedAndRarelyWhenBehind(t *testing.T) {
	policy := intervalPolicy{min: 20 * time.Millisecond, max: time.Second, behind: 5000}
	for _, c := range []struct {
		name  string
		load  load
		since time.Duration
		want  time.Duration
	}{
		{"nothing to commit", load{}, time.Hour, time.Second},
		{"drained, just committed", load{waiting: true}, 5 * time.Millisecond, 15 * time.Millisecond},
		{"drained, floor reached", load{waiting: true}, 20 * time.Millisecond, 0},
		{"behind", load{waiting: true, lag: 5000}, 20 * time.Millisecond, 980 * time.Millisecond},
		{"behind for long", load{waiting: true, lag: 5000}, time.Second, 0},
		{"behind and full", load{waiting: true, lag: 5000, full: true}, time.Millisecond, 0},
	} {
		if got := policy.due(c.load, c.since); got != c.want {
			t.Errorf("%s: due in %v, want %v", c.name, got, c.want)
		}
	}
}
