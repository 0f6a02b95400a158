package views

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// View is a copy of one table that follows it. It is safe for concurrent use.
type View struct {
	key    string // of its definition, among all that this table has had
	table  *tables.Table
	topics Topics
	gate   *gate

	retired atomic.Bool // another view is going to take its place: what it has is kept, whatever becomes of its changelog

	partitioners sync.Pool              // of *grouptable.Partitioner
	selects      cache[*tables.Select]  // of rows requests, by shape
	asOf         atomic.Pointer[asOfAt] // the last one that was worked out
	rounds       rounds                 // of questions for which all rows are read

	mu   sync.Mutex           // serializes replacing held
	held atomic.Pointer[held] // never nil
}

// Topics are the topics of one table.
type Topics struct {
	Feed      []string // what it counts
	Result    string   // what other consumers read
	Partials  string   // internal: from stage 1 to stage 2
	Changelog string   // internal: what the view follows
}

// held is what a view has of its table at a time. It is replaced as a whole, so that a look-up sees one state of it.
type held struct {
	store      *grouptable.Store // nil while there is no changelog
	partitions int32             // of the changelog
	total      int64             // offsets of the changelog to be read before it is ready
	ready      bool              // all of them are recovered
	life       string            // of the changelog and of what is read in it: with offsets it says which rows there are
	state      string            // in words: "waits for topic ..", "is being restored", "ready"
	replaced   chan struct{}     // closed when it no longer holds
}

// topicsOf names a table's topics.
func topicsOf(t *tables.Table, feedTopics map[string][]string, c kafka.Config) Topics {
	topics := Topics{
		Feed:      []string{t.Feed.Name},
		Result:    t.Name,
		Partials:  c.PartialsTopic(t.Name),
		Changelog: c.ChangelogTopic(t.Name),
	}
	if some := feedTopics[t.Feed.Name]; len(some) > 0 {
		topics.Feed = some
	}
	if len(t.Options.FeedTopics) > 0 {
		topics.Feed = t.Options.FeedTopics
	}
	if t.Options.Topic != "" {
		topics.Result = t.Options.Topic
	}
	return topics
}

func newView(t *tables.Table, key string, topics Topics, g *gate) *View {
	v := &View{key: key, table: t, gate: g, topics: topics}
	v.partitioners.New = func() any { return grouptable.NewPartitioner(t) }
	v.held.Store(&held{state: "is not connected yet", replaced: make(chan struct{})})
	return v
}

// hold replaces what the view has.
func (v *View) hold(h held) {
	h.replaced = make(chan struct{})
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.held.Swap(&h).replaced)
}

// Table returns the definition.
func (v *View) Table() *tables.Table { return v.table }

// Topics returns the names of the table's topics.
func (v *View) Topics() Topics { return v.topics }

// Ready reports whether the view has all of its table. It stays ready when its brokers are lost: answers get older then,
// and say so.
func (v *View) Ready() bool { return v.held.Load().ready }

// State says in words how the view is: "ready", "is being restored", "waits for topic brotally-dns_counts-table".
func (v *View) State() string { return v.held.Load().state }

// Recovery returns how many offsets of the changelog have been read and how many there are to read in all; both are 0
// while it is not known.
func (v *View) Recovery() (done, total int64) {
	return v.held.Load().recovery()
}

func (h *held) recovery() (done, total int64) {
	if h.store == nil {
		return 0, 0
	}
	return min(h.store.Offset(), h.total), h.total
}

// Len returns the number of groups. A table without GROUP BY has one.
func (v *View) Len() int {
	n := 0
	for _, p := range v.held.Load().all() {
		n += p.Len()
	}
	if n == 0 && v.single() {
		return 1
	}
	return n
}

// Bytes estimates the memory that the rows hold.
func (v *View) Bytes() int {
	n := 0
	for _, p := range v.held.Load().all() {
		n += p.Bytes()
	}
	return n
}

// single reports whether the table has one row whatever comes in: it has no GROUP BY.
func (v *View) single() bool {
	for _, c := range v.table.Columns {
		if c.Key {
			return false
		}
	}
	return true
}

// all returns the partitions that are there.
func (h *held) all() []*grouptable.Partition {
	if h.store == nil {
		return nil
	}
	ps := make([]*grouptable.Partition, 0, h.partitions)
	for n := range h.partitions {
		if p, ok := h.partition(n); ok {
			ps = append(ps, p)
		}
	}
	return ps
}

// partition returns one that is there.
func (h *held) partition(number int32) (p *grouptable.Partition, ok bool) {
	if h.store == nil {
		return nil, false
	}
	return h.store.Partition(number)
}

// Progress returns how far the table reflects each source partition, as all partitions of the table agree on.
func (v *View) Progress() map[codecs.Source]codecs.Progress {
	h := v.held.Load()
	if h.store == nil {
		return map[codecs.Source]codecs.Progress{}
	}
	return h.store.Progress(h.partitions)
}

// Heard returns when stage 1 last reported to the table, of the source partition that is silent for longest: also without
// records it does so each second. It is zero as long as nothing was heard.
func (v *View) Heard() time.Time {
	var first time.Time
	for _, p := range v.Progress() {
		if at := time.UnixMilli(p.WallTime); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// Counts returns what became of the records of all source partitions.
func (v *View) Counts() codecs.Counts { return v.AsOf().Counts }

// WaitReady waits until the view is ready or ctx is done.
func (v *View) WaitReady(ctx context.Context) error {
	for {
		h := v.held.Load()
		if h.ready {
			return nil
		}
		select {
		case <-h.replaced:
		case <-ctx.Done():
			return fmt.Errorf("wait for the view of %s: it %s: %w", v.table.Name, h.state, context.Cause(ctx))
		}
	}
}

// WaitFor waits until the view is ready and every record below the given offsets of source partitions is in it, or ctx is
// done. It wakes up when progress is made; it does not poll.
func (v *View) WaitFor(ctx context.Context, offsets map[codecs.Source]int64) error {
	return v.waitUntil(ctx, func(a *AsOf) bool { return a.Reached(offsets) })
}

// WaitForAll is WaitFor for one offset of every source partition that the table knows of, at least one.
func (v *View) WaitForAll(ctx context.Context, offset int64) error {
	return v.waitUntil(ctx, func(a *AsOf) bool { return a.reachedAll(offset) })
}

// WaitForEnd waits until nothing comes any more and all windows have closed, or ctx is done. The table has EMIT FINAL.
func (v *View) WaitForEnd(ctx context.Context) error {
	return v.waitUntil(ctx, func(*AsOf) bool {
		h := v.held.Load()
		held := h.store.Held()
		return len(held) == int(h.partitions) && !slices.ContainsFunc(held, func(p *grouptable.Partition) bool {
			return p.Clock() != codecs.Clock{Time: tables.EndOfTime}
		})
	})
}

func (v *View) waitUntil(ctx context.Context, reached func(*AsOf) bool) error {
	for {
		h := v.held.Load()
		var progress <-chan struct{} // nil, which is never ready, without a store
		if h.store != nil {
			progress = h.store.Changed() // before looking, so that no change is missed
		}
		a := v.AsOf()
		if h.ready && reached(a) {
			return nil
		}
		select {
		case <-progress:
		case <-h.replaced:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s, which is at %s: %w", v.table.Name, a, context.Cause(ctx))
		}
	}
}
