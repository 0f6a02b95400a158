package processors

import (
	"testing"
	"time"
)

func TestCommitsWhenDrainedAndRarelyWhenBehind(t *testing.T) {
	policy := intervalPolicy{min: 20 * time.Millisecond, max: time.Second, most: 4 * time.Second, behind: 5000}
	for _, c := range []struct {
		name  string
		load  load
		since time.Duration
		late  int
		want  time.Duration
	}{
		{"nothing to commit, just committed", load{}, 0, 0, time.Second},
		{"nothing to commit for a while", load{}, time.Second, 0, 0},
		{"drained, just committed", load{waiting: true}, 5 * time.Millisecond, 0, 15 * time.Millisecond},
		{"drained, floor reached", load{waiting: true}, 20 * time.Millisecond, 3, 0},
		{"behind", load{waiting: true, lag: 5000}, 20 * time.Millisecond, 0, 980 * time.Millisecond},
		{"behind for a second", load{waiting: true, lag: 5000}, time.Second, 0, 0},
		{"behind again", load{waiting: true, lag: 5000}, time.Second, 1, time.Second},
		{"behind for long", load{waiting: true, lag: 5000}, time.Second, 1000, 3 * time.Second},
		{"behind and full", load{waiting: true, lag: 5000, full: true}, time.Millisecond, 1000, 0},
	} {
		if got := policy.due(c.load, c.since, c.late); got != c.want {
			t.Errorf("%s: due in %v, want %v", c.name, got, c.want)
		}
	}
}
