package web

import (
	"context"
	"sync"
	"time"
)

const (
	askEvery  = 5 * time.Second        // how old an answer gets at least before it is asked for again
	askShare  = 20                     // times as long as it took to get it
	askMost   = 20 * time.Second       // who has not answered by then does not
	firstWait = 300 * time.Millisecond // how long a page waits for the first answer
)

// asked keeps the answer to something that Kafka is asked, for all who look: asked for while somebody does, and no page waits for
// a broker that does not answer.
type asked[T any] struct {
	ask  func(context.Context) (T, error)
	want chan struct{} // somebody looks

	mu    sync.Mutex // guards what follows
	known T
	err   error
	first chan struct{} // closed when there is an answer
	due   time.Time
}

func newAsked[T any](ask func(context.Context) (T, error)) *asked[T] {
	return &asked[T]{ask: ask, want: make(chan struct{}, 1), first: make(chan struct{})}
}

// run asks until ctx is done.
func (a *asked[T]) run(ctx context.Context) {
	for {
		select {
		case <-a.want:
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		early := time.Now().Before(a.due) // who wanted it looked while it was being asked for
		a.mu.Unlock()
		if early {
			continue
		}
		began := time.Now()
		within, cancel := context.WithTimeout(ctx, askMost)
		known, err := a.ask(within)
		cancel()
		a.mu.Lock()
		if a.err = err; err == nil {
			a.known = known
		}
		if a.due.IsZero() {
			close(a.first)
		}
		a.due = time.Now().Add(max(askEvery, askShare*time.Since(began)))
		a.mu.Unlock()
	}
}

// get returns the last answer, and why there is no newer one. Nothing is known before the first.
func (a *asked[T]) get(ctx context.Context) (known T, there bool, err error) {
	a.mu.Lock()
	stale := time.Now().After(a.due)
	a.mu.Unlock()
	if stale {
		select {
		case a.want <- struct{}{}:
		default: // it is being asked for
		}
	}
	wait := time.NewTimer(firstWait)
	defer wait.Stop()
	select {
	case <-a.first:
	case <-wait.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known, !a.due.IsZero(), a.err
}
