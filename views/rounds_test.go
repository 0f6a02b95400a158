package views

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brotally/brotally/feeds"
)

// work counts rounds: each answers with its number, when it may.
type work struct {
	rounds
	begun atomic.Int64
	ended atomic.Int64
	may   chan struct{}
}

func (w *work) round(ctx context.Context, begin func() error) (*Answer, error) {
	if err := begin(); err != nil {
		return nil, err
	}
	n := w.begun.Add(1)
	defer w.ended.Add(1)
	select {
	case <-w.may:
		return &Answer{Took: time.Duration(n)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// told is what somebody was answered: the number of the round, or an error.
type told struct {
	number int
	err    error
}

// asks asks from another goroutine.
func (w *work) asks(ctx context.Context, q question) <-chan told {
	got := make(chan told, 1)
	go func() { // ends with its round, or ctx
		a, err := w.ask(ctx, q, w.round)
		if err != nil {
			got <- told{err: err}
			return
		}
		got <- told{number: int(a.Took)}
	}()
	synctest.Wait()
	return got
}

// nothing reports that no round is left.
func (w *work) nothing(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if len(w.of) != 0 || w.begun.Load() != w.ended.Load() {
		t.Errorf("%d questions are left, %d rounds began, %d ended", len(w.of), w.begun.Load(), w.ended.Load())
	}
}

func TestEqualQuestionsTakeTwoRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &work{may: make(chan struct{})}
		var all []<-chan told
		for range 64 {
			all = append(all, w.asks(t.Context(), question{params: "a"}))
		}
		other := w.asks(t.Context(), question{params: "b"})
		if n := w.begun.Load(); n != 2 {
			t.Errorf("%d rounds at once, of two questions", n)
		}
		close(w.may)
		if got := <-all[0]; got.number != 1 {
			t.Errorf("the first: %v", got)
		}
		if got := <-other; got.number != 2 {
			t.Errorf("another question: %v", got)
		}
		for _, got := range all[1:] {
			if got := <-got; got.number != 3 { // not 1, which had begun before
				t.Errorf("who came later: %v", got)
			}
		}
		w.nothing(t)
	})
}

func TestWhoLeavesARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &work{may: make(chan struct{})}
		why := errors.New("enough")
		someone := func() (<-chan told, context.CancelCauseFunc) {
			ctx, leave := context.WithCancelCause(t.Context())
			return w.asks(ctx, question{}), leave
		}
		first, leaveFirst := someone()
		second, leaveSecond := someone()
		leaveSecond(why)
		if got := <-second; got.err != why { //nolint:errorlint // the very one
			t.Errorf("who leaves what has not begun: %v", got)
		}
		third, leaveThird := someone()
		fourth, leaveFourth := someone()
		defer leaveFourth(nil)
		leaveFirst(why)
		if got := <-first; got.err != why { //nolint:errorlint // the very one
			t.Errorf("who leaves alone: %v", got)
		}
		if n := w.ended.Load(); n != 1 {
			t.Error("the work went on for nobody")
		}
		synctest.Wait()
		if n := w.begun.Load(); n != 2 {
			t.Errorf("%d rounds began", n)
		}
		leaveThird(why)                     // whose question the work was begun for
		if got := <-third; got.err != why { //nolint:errorlint // the very one
			t.Errorf("who leaves others behind: %v", got)
		}
		close(w.may)
		if got := <-fourth; got.number != 2 {
			t.Errorf("who was left behind: %v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.ask(ctx, question{}, w.round); !errors.Is(err, context.Canceled) {
			t.Errorf("who left before: %v", err)
		}
		w.nothing(t)
	})
}

func TestARoundThatNobodyWaitsForDoesNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &work{may: make(chan struct{})}
		turn := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error)
		go func() { // ends with ctx
			_, err := w.ask(ctx, question{}, func(ctx context.Context, begin func() error) (*Answer, error) {
				<-turn // it comes as the last one leaves
				return w.round(ctx, begin)
			})
			got <- err
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		later := w.asks(t.Context(), question{}) // is not answered by the one that is given up
		close(turn)
		close(w.may)
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := <-later; got.number != 1 {
			t.Errorf("%v", got)
		}
		w.nothing(t)
	})
}

func TestErrorsAndPanicsAreOfAllWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w work
		may, fault := make(chan struct{}), errors.New("a fault")
		var failed, panicked atomic.Int64
		for _, work := range []func() (*Answer, error){
			func() (*Answer, error) { return nil, fault },
			func() (*Answer, error) { panic(fault) },
		} {
			for range 3 {
				go func() { // ends with its round
					defer func() {
						if p := recover(); p == fault {
							panicked.Add(1)
						}
					}()
					_, err := w.ask(t.Context(), question{}, func(_ context.Context, begin func() error) (*Answer, error) {
						<-may
						if err := begin(); err != nil {
							return nil, err
						}
						return work()
					})
					if err == fault { //nolint:errorlint // the very one
						failed.Add(1)
					}
				}()
				synctest.Wait()
			}
			may <- struct{}{}
			w.nothing(t)
		}
		if failed.Load() != 3 || panicked.Load() != 3 {
			t.Errorf("%d errors, %d panics", failed.Load(), panicked.Load())
		}
	})
}

// TestEqualQuestionsWaitWithoutATurn has one turn, and nobody who waits for it.
func TestEqualQuestionsWaitWithoutATurn(t *testing.T) {
	f := newFixture(t, Limits{Queries: 1, Wait: 1}, dnsCounts)
	f.add(many(5000)...)
	url := f.server(ServerConfig{}).URL
	for _, ask := range []func() reply{
		func() reply { return get(t, url+rowsPath+"?order=-count&limit=10") },
		func() reply { return get(t, url+rowsPath+"?order=-count&offset=3&id.orig_h.subnet=10.0.0.0/8") },
		func() reply {
			return do(t, "POST", url+"/api/v1/query", `{"sql": "SELECT qtype_name, sum(count) FROM dns_counts WHERE count < $1 GROUP BY 1", "params": [7]}`, "Content-Type", "application/json")
		},
	} {
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if r := ask(); r.status != http.StatusOK {
					t.Errorf("%d %s", r.status, r.body)
				}
			})
		}
		all.Wait()
	}
	if n := len(f.view("dns_counts").rounds.of); n != 0 {
		t.Errorf("%d questions are left", n)
	}
}

// TestWhoJoinsLateWaitsAsLongAsOthers: the round that it joined gives up for one who has waited for long.
func TestWhoJoinsLateWaitsAsLongAsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = time.Second
		f := newFixture(t, Limits{Queries: 1, Wait: wait}, dnsCounts)
		f.add(many(10)...)
		l, err := f.Compile("SELECT count(*) FROM dns_counts")
		if err != nil {
			t.Fatal(err)
		}
		ask := func() (took time.Duration, err error) {
			began := time.Now()
			_, err = l.View.Query(t.Context(), l.Select, nil)
			return time.Since(began), err
		}
		turn, err := l.View.gate.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan error, 1)
		go func() { // ends when it has waited
			took, err := ask()
			if !isBusy(err) || took != wait {
				err = fmt.Errorf("the first one waited for %v: %v", took, err)
			} else {
				err = nil
			}
			first <- err
		}()
		time.AfterFunc(wait+wait/2, turn.leave)
		time.Sleep(wait * 9 / 10)
		if took, err := ask(); err != nil || took != wait*6/10 {
			t.Errorf("the second one waited for %v: %v", took, err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestQuestionsThatDifferAreNotOne(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	view := f.view("dns_counts")
	of := func(query string) question {
		t.Helper()
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		r, err := view.rowsRequest(values)
		if err != nil {
			t.Fatal(err)
		}
		return r.question()
	}
	seen := map[question]string{}
	for _, query := range []string{
		"order=count", "order=-count", "order=count&limit=3", "order=count&limit=4", "limit=3", "order=id.orig_h,qtype_name&limit=3", "order=count&offset=3", "count=3&order=count",
		"count=4&order=count", "count.gt=3&order=count", `qtype_name=\N&order=count`, "qtype_name=A&order=count",
	} {
		q := of(query)
		if other, is := seen[q]; is {
			t.Errorf("%s is %s", query, other)
		}
		if seen[q] = query; of(query) != q {
			t.Errorf("%s is not itself", query)
		}
	}
	l, err := f.Compile("SELECT count FROM dns_counts WHERE qtype_name = $1 ORDER BY count")
	if err != nil {
		t.Fatal(err)
	}
	text := request{sel: l.Select, params: []feeds.Value{feeds.StringValue("1")}}
	number, partial := text, text
	number.params, partial.partial = []feeds.Value{feeds.BigintValue(1)}, true
	if text.question() == number.question() || text.question() == partial.question() {
		t.Error("a parameter's type, or what may be missing, makes no difference")
	}
}

// TestNoAnswerIsOlderThanItsQuestion asks while records come.
func TestNoAnswerIsOlderThanItsQuestion(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(many(5000)...)
	view := f.view("dns_counts")
	l, err := f.Compile("SELECT sum(count)::bigint AS n FROM dns_counts GROUP BY qtype_name ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var done atomic.Bool
	var shared atomic.Int64
	var last sync.Map // of rows
	for range 8 {
		all.Go(func() {
			for !done.Load() {
				before := view.AsOf()
				a, err := l.View.Query(t.Context(), l.Select, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if !a.AsOf.Reached(before.Offsets) || a.Rows[0][0].Int() < before.Counts.Counted {
					t.Errorf("%v records as of %s, asked as of %s", a.Rows[0][0], a.AsOf, before)
				}
				if _, same := last.LoadOrStore(&a.Rows[0], true); same {
					shared.Add(1)
				}
			}
		})
	}
	for range 100 {
		f.add(`{"id.orig_h":"10.0.0.7","qtype_name":"A"}`, `{"id.orig_h":"10.0.0.8","qtype_name":"A"}`)
	}
	done.Store(true)
	all.Wait()
	t.Logf("%d answers were those of others", shared.Load())
}
