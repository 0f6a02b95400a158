package kafka

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

func TestBudget(t *testing.T) {
	b := NewBudget(10)
	take := func(addr string, n int32) (free func(), ok bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		free, err := b.take(ctx, addr, n)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d bytes of %s: %v", n, addr, err)
		}
		return free, err == nil
	}
	six, ok := take("a", 6)
	if !ok {
		t.Fatal("6 of 10 bytes are not to be had")
	}
	if _, ok := take("a", 5); ok {
		t.Error("11 of 10 bytes are to be had")
	}
	four, ok := take("a", 4)
	if !ok {
		t.Error("10 of 10 bytes are not to be had")
	}
	if free, ok := take("b", 10); !ok {
		t.Error("what is asked of one broker counts for another")
	} else {
		free()
	}
	if _, ok := take("a", 1000); ok {
		t.Error("what is larger than all is to be had beside others")
	}
	six()
	four()
	free, ok := take("a", 1000)
	if !ok {
		t.Fatal("what is larger than all is never to be had")
	}
	if _, ok := take("a", 1); ok {
		t.Error("there is more than all")
	}
	free()

	b = nil
	if free, ok := take("a", 1<<30); !ok {
		t.Error("without a budget there is a bound")
	} else {
		free()
	}
}

// TestReadersShareABudget: what one has and not yet given keeps the others from asking, whatever else they wait for; what waits for
// a transaction has nothing.
func TestReadersShareABudget(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(3)
		tx := c.tx(c.name("tx"))
		for p := range int32(3) {
			tx.Send(topic, p, []byte("a"), []byte("1"))
		}
		if err := tx.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		open := c.tx(c.name("open"))
		open.Send(topic, 2, []byte("b"), []byte("2"))
		c.arrived(topic, 2, 2, 3)

		budget := NewBudget(1) // one answer at a time
		read := func(partition int32, got *rows, taken func()) <-chan error {
			r, err := NewReader(t.Context(), ReaderConfig{Client: c.admin.Client(), Topic: topic, Partition: partition, From: sarama.OffsetOldest, Budget: budget})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() }) //nolint:errcheck // always nil
			done := make(chan error, 1)
			go func() { // it is read from below
				_, err := r.Recover(t.Context(), func(off int64, key, value []byte, ts int64) error {
					taken()
					return got.take(off, key, value, ts)
				})
				done <- err
			}()
			return done
		}
		var undecided, first, second rows
		waits := make(chan struct{})
		waiting := read(2, &undecided, sync.OnceFunc(func() { close(waits) }))
		<-waits // all that is left of it is open

		has, goOn := make(chan struct{}), make(chan struct{})
		firstDone := read(0, &first, func() { close(has); <-goOn })
		<-has
		secondDone := read(1, &second, func() {})
		select {
		case err := <-secondDone:
			t.Errorf("a second answer was got beside the first: %v, %v", second, err)
		case <-time.After(100 * time.Millisecond):
		}
		close(goOn)
		for _, done := range []<-chan error{firstDone, secondDone} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]rows{{"a=1"}, {"a=1"}}, []rows{first, second}); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		select {
		case err := <-waiting:
			t.Errorf("recovered while a transaction is open: %v", err)
		default:
		}
		if err := open.Commit(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; err != nil || cmp.Diff(rows{"a=1", "b=2"}, undecided) != "" {
			t.Errorf("after the transaction: %v, %v", undecided, err)
		}
	})
}
