package views

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/brotally/brotally/tables"
)

// Limits bound what look-ups may take. The zero value of a field is its default, a negative value is no limit.
type Limits struct {
	// Queries is how many look-ups may scan at once. Others wait for up to Wait. Defaults to the number of processors,
	// at least 4. Point look-ups do not count, and equal ones whose rows are kept count as one. They read in turn, a part each, one
	// fewer at any moment than there are processors, but one.
	Queries int

	// Wait is how long a look-up waits for its turn. Defaults to 1 second.
	Wait time.Duration

	// Time is how long a look-up may run after it has its turn. Defaults to 10 seconds.
	Time time.Duration

	// Rows is how many rows an answer may have. Defaults to 1,000,000.
	Rows int

	// Bytes is how much memory the rows of an answer may take. Defaults to 256 MiB.
	Bytes int

	// Stream is how long a look-up may read whose rows are sent as they are found, beside the time that its client takes to
	// receive them; Time, Rows and Bytes do not hold for it, for nothing is kept. Defaults to 1 minute.
	Stream time.Duration

	// Listeners is how many may listen to changes at once, over all tables; others are refused. Defaults to 256.
	Listeners int

	// Changes is how many changes of a table are kept while somebody listens to them: who falls further behind is cut off, and
	// who comes back later than that begins anew. Defaults to no limit: ChangesBytes is one.
	Changes int

	// ChangesBytes is how much memory they may take, a table. It has to hold a burst: when windows close, up to 20,000 rows of each
	// partition change at once. Defaults to 64 MiB.
	ChangesBytes int

	// Linger is how long they are kept after the last listener has gone, so that it can go on where it was. Defaults to 1 minute.
	Linger time.Duration

	// Reading is how long a listener may take to read what was sent, at most 64 KiB and a row, before it is let go. Defaults to
	// 10 seconds.
	Reading time.Duration
}

func (l Limits) orDefaults() Limits {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&l.Queries, max(4, runtime.GOMAXPROCS(0)))
	set(&l.Rows, 1_000_000)
	set(&l.Bytes, 256<<20)
	set(&l.Listeners, 256)
	set(&l.Changes, -1)
	set(&l.ChangesBytes, 64<<20)
	for _, kept := range []*int{&l.Changes, &l.ChangesBytes} {
		if *kept < 0 {
			*kept = math.MaxInt
		}
	}
	if l.Linger == 0 {
		l.Linger = time.Minute
	}
	if l.Reading == 0 {
		l.Reading = 10 * time.Second
	}
	if l.Wait == 0 {
		l.Wait = time.Second
	}
	if l.Time == 0 {
		l.Time = 10 * time.Second
	}
	if l.Stream == 0 {
		l.Stream = time.Minute
	}
	return l
}

// LimitError says that a look-up went beyond a limit and was given up.
type LimitError struct {
	What  string // "queries", "time", "rows" or "bytes"
	Limit string // with its unit: "10s", "1000000 rows"
	Hint  string // what to do about it
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the look-up is over the limit of %s; %s", e.Limit, e.Hint)
}

func (l Limits) tooLarge(e *tables.TooLarge) error {
	if e.What == "rows" {
		return &LimitError{What: "rows", Limit: fmt.Sprintf("%d rows an answer", l.Rows), Hint: "add LIMIT, or a WHERE that fewer rows meet"}
	}
	return &LimitError{What: "bytes", Limit: size(l.Bytes) + " an answer", Hint: "add LIMIT, or SELECT fewer columns"}
}

// size writes a number of bytes for people.
func size(bytes int) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// gate lets so many look-ups scan at once. Of these fewer read at any moment than there are processors, one part of their rows after the
// other in turn: a processor that has nothing to do hears of a request at once, one that reads after ten milliseconds.
type gate struct {
	limits Limits
	slots  chan struct{} // nil: no limit
	turns  chan struct{}

	listening atomic.Int64 // how many listen to changes
}

func newGate(l Limits) *gate {
	g := &gate{limits: l, turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
	if l.Queries > 0 {
		g.slots = make(chan struct{}, l.Queries)
	}
	return g
}

// turn is what a look-up has that may read rows.
type turn struct {
	gate *gate
	slot bool // it is one of Limits.Queries
	has  bool // it may read now
}

// enter waits for a turn, which is to be left. The error is *LimitError, or ctx's.
func (g *gate) enter(ctx context.Context) (*turn, error) {
	if g.slots == nil {
		return g.again(ctx)
	}
	t := &turn{gate: g}
	select {
	case g.slots <- struct{}{}:
		t.slot = true
		return t, t.take(ctx)
	default:
	}
	var timeout <-chan time.Time
	if g.limits.Wait > 0 {
		timer := time.NewTimer(g.limits.Wait)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case g.slots <- struct{}{}:
		t.slot = true
		return t, t.take(ctx)
	case <-timeout:
		return nil, &LimitError{What: "queries", Limit: fmt.Sprintf("%d look-ups at once", g.limits.Queries), Hint: "try again in a moment"}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// isBusy says that there were too many look-ups for too long.
func isBusy(err error) bool {
	var limit *LimitError
	return errors.As(err, &limit) && limit.What == "queries"
}

// again waits for another turn of a look-up that had one, for as long as anybody waits for its answer.
func (g *gate) again(ctx context.Context) (*turn, error) {
	t := &turn{gate: g}
	if g.slots != nil {
		select {
		case g.slots <- struct{}{}:
			t.slot = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return t, t.take(ctx)
}

// take waits until the look-up may read; an error is ctx's, and leaves.
func (t *turn) take(ctx context.Context) error {
	select {
	case t.gate.turns <- struct{}{}:
		t.has = true
		return nil
	case <-ctx.Done():
		t.leave()
		return context.Cause(ctx)
	}
}

// pass lets another one read that waits. It is for between two parts.
func (t *turn) pass(ctx context.Context) error {
	<-t.gate.turns
	t.has = false
	return t.take(ctx)
}

// leave gives back what the look-up has. It may be called again.
func (t *turn) leave() {
	if t.has {
		t.has = false
		<-t.gate.turns
	}
	if t.slot {
		t.slot = false
		<-t.gate.slots
	}
}

// tooSlow says that a look-up read for longer than it may.
func tooSlow(limit time.Duration) *LimitError {
	return &LimitError{What: "time", Limit: limit.String(), Hint: "ask for less: name every group column, or add a WHERE that fewer rows meet"}
}

// listen lets one more listen to changes; leave says that it has ended.
func (g *gate) listen() (leave func(), err error) {
	if n := g.listening.Add(1); g.limits.Listeners >= 0 && n > int64(g.limits.Listeners) {
		g.listening.Add(-1)
		return nil, &apiError{status: http.StatusTooManyRequests, retry: retryAfter, Code: "too_many_listeners",
			Message: fmt.Sprintf("%d listen to changes already, which is the limit", g.limits.Listeners), Hint: "try again in a moment"}
	}
	return func() { g.listening.Add(-1) }, nil
}

// timed gives ctx the time limit.
func (g *gate) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	if g.limits.Time < 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, g.limits.Time, tooSlow(g.limits.Time))
}
