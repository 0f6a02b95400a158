package processors

import "time"

// intervalPolicy says when a stage commits: at once when its input is drained, because then waiting only adds latency;
// rarely while it is behind, because then a longer interval means fewer partials and fewer transactions.
type intervalPolicy struct {
	min    time.Duration // between two commits at least; the broker pays half a core for 20 ms
	max    time.Duration // between two commits at most, while there is anything to commit
	behind int64         // records of lag from which on a claim counts as behind
}

// load is what a stage's claims hold at some moment.
type load struct {
	waiting bool  // something was taken in since the last commit
	full    bool  // some claim has reached its cap on memory and takes in nothing more
	lag     int64 // the largest lag of any claim, in records
}

// due returns how long to wait for the next commit when the last one was since ago; 0 or less means now.
func (p intervalPolicy) due(l load, since time.Duration) time.Duration {
	switch {
	case !l.waiting:
		return p.max
	case l.full:
		return 0
	case l.lag < p.behind:
		return p.min - since
	}
	return p.max - since
}
