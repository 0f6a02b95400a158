package views

import (
	"context"
	"errors"
	"sync"

	"github.com/brotally/brotally/tables"
)

// Questions that are equal, and for which all rows are read, are answered together: for each of them one round is at work, and who
// asks meanwhile waits for the next one, without a turn of its own. So however many ask, rows are read for one of them at a time,
// and no answer is older than its question: a round that had begun before may have passed a row that the client knows of.

// question tells apart what a view is asked. Equal ones have equal answers at any time.
type question struct {
	sel     *tables.Select // the very one: compiled ones are kept
	params  string         // in binary
	pages   string         // what the tokens of its pages have; empty: it has none
	limit   int64          // rows of a page
	partial bool
}

func (r request) question() question {
	q := question{sel: r.sel, partial: r.partial}
	var params []byte
	for _, value := range r.params {
		params = value.AppendKey(params)
	}
	q.params = string(params)
	if r.page != nil {
		q.pages, q.limit = string(r.page.hash), r.page.limit
	}
	return q
}

// rounds are those of all questions that a view is asked now. The zero value is ready. It is safe for concurrent use.
type rounds struct {
	mu sync.Mutex // guards of, and what is in it
	of map[question]*pair
}

// pair is the rounds of one question.
type pair struct {
	now  *round // is at work; nil: none is
	next *round // may still be joined; nil: nobody asked since now began
}

// round is working out an answer once.
type round struct {
	question question
	pair     *pair
	askers   int // who wait for it; guarded by the lock of rounds
	stop     context.CancelFunc
	ended    chan struct{} // closed when all below is there

	answer   *Answer
	err      error
	panicked any
}

// errNobody ends a round that nobody waits for.
var errNobody = errors.New("nobody waits for the answer")

// ask returns the answer of a round that begins after the call: the one that waits, or one of its own. work is what a round does; it calls
// begin, and ends with its error, before it looks at anything that changes. Its ctx has the values of the first one's and lasts for as long
// as anybody waits. The answer is of all who asked. Errors are work's, which are of all, too, and ctx's.
func (rs *rounds) ask(ctx context.Context, q question, work func(ctx context.Context, begin func() error) (*Answer, error)) (*Answer, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := rs.join(ctx, q, work)
	var left error
	select {
	case <-r.ended:
	case <-ctx.Done():
		if left = context.Cause(ctx); !rs.leave(r) {
			return nil, left
		}
		<-r.ended // who is the last sees the work end
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	if left != nil {
		return nil, left
	}
	return r.answer, r.err
}

// join returns the round that is to begin next, with one asker more.
func (rs *rounds) join(ctx context.Context, q question, work func(ctx context.Context, begin func() error) (*Answer, error)) *round {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	p := rs.of[q]
	if p == nil {
		if rs.of == nil {
			rs.of = map[question]*pair{}
		}
		p = &pair{}
		rs.of[q] = p
	}
	if p.next == nil {
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		p.next = &round{question: q, pair: p, stop: stop, ended: make(chan struct{})}
		go rs.run(ctx, p.next, p.now, work) // the last asker waits
	}
	p.next.askers++
	return p.next
}

// run is a whole round, behind the one that is at work, if one is.
func (rs *rounds) run(ctx context.Context, r, before *round, work func(ctx context.Context, begin func() error) (*Answer, error)) {
	defer rs.end(r)
	defer func() { r.panicked = recover() }()
	if before != nil {
		select {
		case <-before.ended:
		case <-ctx.Done():
			r.err = errNobody
			return
		}
	}
	r.answer, r.err = work(ctx, func() error { return rs.begin(r) })
}

// begin says that nobody may join the round any more.
func (rs *rounds) begin(r *round) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.askers == 0 { // another one may be the next by now
		return errNobody
	}
	r.pair.now, r.pair.next = r, nil
	return nil
}

// leave takes one asker away; with the last one the round ends.
func (rs *rounds) leave(r *round) (last bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.askers--; r.askers > 0 {
		return false
	}
	if r.pair.next == r {
		rs.drop(r)
	}
	r.stop()
	return true
}

// end gives out what a round came to.
func (rs *rounds) end(r *round) {
	r.stop()
	rs.mu.Lock()
	rs.drop(r)
	rs.mu.Unlock()
	close(r.ended)
}

// drop forgets a round, and a question that has none. The lock is held.
func (rs *rounds) drop(r *round) {
	p := r.pair
	if p.now == r {
		p.now = nil
	}
	if p.next == r {
		p.next = nil
	}
	if p.now == nil && p.next == nil && rs.of[r.question] == p {
		delete(rs.of, r.question)
	}
}
