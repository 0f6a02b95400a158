package processors

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/internal/kafka"
)

// queue is a source that a test fills.
type queue struct {
	batches chan []sarama.ConsumerMessage
}

func (q *queue) next(ctx context.Context) (kafka.Fetched, error) {
	select {
	case b := <-q.batches:
		return kafka.Fetched{Messages: b, Next: b[len(b)-1].Offset + 1}, nil
	case <-ctx.Done():
		return kafka.Fetched{}, ctx.Err()
	}
}

func (q *queue) lag(int64) int64 { return 0 }
func (q *queue) known() bool     { return true }

// tally is an intake that remembers offsets.
type tally struct{ offsets []int64 }

func (c *tally) add(m *sarama.ConsumerMessage) error {
	c.offsets = append(c.offsets, m.Offset)
	return nil
}
func (c *tally) bytes() int { return len(c.offsets) }

func (c *tally) flush(place) (any, error) {
	work := c.offsets
	c.offsets = nil
	if work == nil {
		return nil, nil
	}
	return work, nil
}

func newTestPump(q *queue, cap limits) *pump {
	p := &pump{topic: "dns", source: q, intake: &tally{}, cap: cap, notify: func() {}, next: 10}
	p.room = sync.NewCond(&p.mu)
	return p
}

func messages(offsets ...int64) (ms []sarama.ConsumerMessage) {
	for _, o := range offsets {
		ms = append(ms, sarama.ConsumerMessage{Offset: o})
	}
	return ms
}

func TestPumpStopsAtItsCapUntilFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{make(chan []sarama.ConsumerMessage)}
		p := newTestPump(q, limits{bytes: 3})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.run(ctx) }()

		q.batches <- messages(10, 11, 13)
		q.batches <- messages(14)
		synctest.Wait()
		if l := p.load(); !l.full || !l.waiting {
			t.Fatalf("three of three bytes held and the pump is not full: %+v", l)
		}
		work, next, taken, err := p.flush(time.Now())
		if err != nil || len(work.([]int64)) != 3 || next != 14 || taken != 3 {
			t.Fatalf("flushed %v, next %d, taken %d, %v; want three messages and the offset behind the third", work, next, taken, err)
		}
		synctest.Wait()
		if work, next, _, _ = p.flush(time.Now()); len(work.([]int64)) != 1 || next != 15 {
			t.Fatalf("flushed %v, next %d; want the message that had waited", work, next)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestPumpDoesNotCommitWhatItDidNotTakeIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{make(chan []sarama.ConsumerMessage)}
		p := newTestPump(q, limits{bytes: 1})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.run(ctx) }()
		q.batches <- messages(10)
		q.batches <- messages(11) // waits for room
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, next, taken, _ := p.flush(time.Now()); next != 11 || taken != 1 {
			t.Fatalf("next %d, taken %d after a stop; message 11 was never taken in", next, taken)
		}
	})
}

// TestPumpStopsInTheMiddleOfABatch of large messages: a batch of packs can hold a thousand times what fits.
func TestPumpStopsInTheMiddleOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{make(chan []sarama.ConsumerMessage)}
		p := newTestPump(q, limits{bytes: 2})
		told := 0
		p.notify = func() { told++ }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.run(ctx) }()
		batch := messages(10, 11, 12, 13, 14)
		for i := range batch {
			batch[i].Value = make([]byte, lookEvery)
		}
		q.batches <- batch
		for _, want := range []struct{ messages, next int64 }{{2, 12}, {2, 14}, {1, 15}} {
			synctest.Wait()
			if want.messages == 2 && (!p.load().full || told == 0) {
				t.Fatal("the pump is full and says nothing")
			}
			told = 0
			if _, next, taken, _ := p.flush(time.Now()); taken != want.messages || next != want.next {
				t.Fatalf("flushed %d messages, next %d; want %+v", taken, next, want)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
