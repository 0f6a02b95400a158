package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// watcher reads a result topic as everybody else may, committed records only, and knows the last count of every group.
type watcher struct {
	system *system
	topic  string
	grown  func(group string, from, to int64, at time.Time) // called for every record; may be nil

	mu     sync.Mutex // guards all below
	counts map[string]*counted
	sum    int64
	past   []point
	err    error
	moved  chan struct{} // closed when sum or err has changed
	done   chan struct{}
}

// counted is a group, under the key that the system has for it.
type counted struct {
	group string
	n     int64
}

// point is how many records the result showed at a time.
type point struct {
	at  time.Time
	sum int64
}

// watch reads the topic until ctx ends, from the moment it exists on.
func (b *bench) watch(ctx context.Context, s *system, topic string, grown func(group string, from, to int64, at time.Time)) *watcher {
	w := &watcher{system: s, topic: topic, grown: grown, counts: map[string]*counted{}, moved: make(chan struct{}), done: make(chan struct{})}
	go func() { // wait waits for it
		defer close(w.done)
		if err := w.read(ctx, b); err != nil && ctx.Err() == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.err = fmt.Errorf("read %s: %w", topic, err)
			close(w.moved)
			w.moved = make(chan struct{})
		}
	}()
	return w
}

func (w *watcher) read(ctx context.Context, b *bench) error {
	for {
		found, err := b.admin.ListTopics(ctx, w.topic)
		if err != nil {
			return err
		}
		if t, ok := found[w.topic]; ok && t.Err == nil && len(t.Partitions) > 0 {
			break
		} else if ok && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) && t.Err != nil {
			return t.Err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers), kgo.ConsumeTopics(w.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.MetadataMinAge(metadataAge))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetched := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetched.Err(); err != nil {
			return err
		}
		if err := w.take(fetched, time.Now()); err != nil {
			return err
		}
	}
}

// take notes what one fetch shows.
func (w *watcher) take(fetched kgo.Fetches, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var failed error
	fetched.EachRecord(func(r *kgo.Record) {
		have, ok := w.counts[string(r.Key)]
		if !ok {
			group, err := w.system.group(r.Key)
			if err != nil {
				failed = fmt.Errorf("key %q: %w", r.Key, err)
				return
			}
			have = &counted{group: group}
			w.counts[string(r.Key)] = have
		}
		n := int64(0)
		if r.Value != nil {
			var err error
			if n, err = w.system.count(r.Value); err != nil {
				failed = fmt.Errorf("value %q: %w", r.Value, err)
				return
			}
		}
		if w.grown != nil {
			w.grown(have.group, have.n, n, now)
		}
		w.sum += n - have.n
		have.n = n
	})
	w.past = append(w.past, point{now, w.sum})
	close(w.moved)
	w.moved = make(chan struct{})
	return failed
}

// wait waits until the result shows n records, and returns when that was.
func (w *watcher) wait(ctx context.Context, n int64) (time.Time, error) {
	for {
		w.mu.Lock()
		sum, moved, err := w.sum, w.moved, w.err
		var at time.Time
		if len(w.past) > 0 {
			at = w.past[len(w.past)-1].at
		}
		w.mu.Unlock()
		if err != nil || sum >= n {
			return at, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return at, fmt.Errorf("%s shows %d of %d records: %w", w.topic, sum, n, context.Cause(ctx))
		}
	}
}

// groups returns the last count of every group.
func (w *watcher) groups() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]int64, len(w.counts))
	for _, c := range w.counts {
		if c.n != 0 {
			all[c.group] += c.n
		}
	}
	return all
}

// steady returns records a second from a fifth of the n records to their end; false if that took a step or two only.
func (w *watcher) steady(n int64) (float64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slope(w.past, n)
}

func slope(past []point, n int64) (float64, bool) {
	var first, last point
	steps := 0
	for _, p := range past {
		switch {
		case p.sum < n/5 || p.sum == last.sum:
			continue
		case first.at.IsZero():
			first = p
		}
		last = p
		steps++
		if p.sum >= n {
			break
		}
	}
	if seconds := last.at.Sub(first.at).Seconds(); steps >= 4 && seconds > 0 {
		return float64(last.sum-first.sum) / seconds, true
	}
	return 0, false
}
