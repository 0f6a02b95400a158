package processors

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// publisher brings the result topic's partitions to what the rows are, where it has something else: the results of another
// definition of the table. From then on it only says that it is so: each partition's changelog has a mark of the definition
// whose results its partition of the result topic has, written in the transaction that made it true.
//
// What the result topic has is read before the partition takes anything in; nobody else writes to it by then. The rows are
// compared with that a part at a time, and only what differs is written. A row that changes meanwhile is written as always.
type publisher struct {
	table  *placedTable
	mark   string
	shows  string // the key of its part of the book
	client sarama.Client
	log    *slog.Logger
	goal   func() map[codecs.Source]int64 // how far a partition must be before its results are of use
	most   int                            // rows that a transaction publishes, in all partitions
	book   *results

	row   []feeds.Value // what publish computes in; Goka calls back from a goroutine a partition, so these are under mu
	keys  []feeds.Value
	seed  maphash.Seed
	mu    sync.Mutex // guards all here
	open  map[int32]*publication
	fresh []int32 // partitions that are published by the transaction which is under way
	tell  bool    // something else was there in one of them
}

// publication is that of one partition.
type publication struct {
	there   map[string]uint64   // hash of each value that the result topic had and that has not been written or found right since, by key
	written map[string]struct{} // keys that were written meanwhile, because their rows changed
	begun   bool
	fresh   bool // there was nothing at all when it began: all rows are written as changes
	void    bool // the partition's mark was taken away
	at      int  // where the rows are to be gone on with
	scanned bool // all of them were
	tell    bool // there is something to replace
}

// sent notes that a change of a row was written.
func (o *publication) sent(key []byte) {
	delete(o.there, string(key))
	o.written[string(key)] = struct{}{}
}

// publishRows is how many rows a transaction publishes at most.
const publishRows = 50_000

func newPublisher(p *Processors, t *placedTable, w *rowWriter) *publisher {
	of := t.own + "\n" + t.SQL + "\n" + t.result
	if t.avro != nil {
		of += fmt.Sprintf("\n%d %d", t.avro.key, t.avro.value) // they are in the bytes of every key and row
	}
	return &publisher{table: t, mark: kafka.HashSQL(of), shows: shows(t.own, t.SQL, t.result), client: p.admin.Client(), log: w.stage.log, goal: func() map[codecs.Source]int64 { return p.results.goal(t.own) },
		most: p.publishRows, book: &p.results, seed: maphash.MakeSeed(), open: map[int32]*publication{}}
}

// recovered reads what the result topic has in those partitions that do not have this table's results.
func (p *publisher) recovered(ctx context.Context, store *grouptable.Store, partitions []int32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.open)
	p.fresh = nil
	if p.table.building {
		return nil
	}
	var done []int32
	for _, n := range partitions {
		rows, ok := store.Partition(n)
		if !ok {
			return fmt.Errorf("partition %d of %s is not recovered", n, p.table.own)
		}
		if rows.Published() == p.mark {
			done = append(done, n)
			continue
		}
		there, err := p.read(ctx, n)
		if err != nil {
			return fmt.Errorf("read %s/%d: %w", p.table.result, n, err)
		}
		p.open[n] = &publication{there: there, written: map[string]struct{}{}, tell: len(there) > 0 || rows.Published() != ""}
	}
	p.book.note(p.shows, done)
	return nil
}

// read returns what a partition of the result topic has.
func (p *publisher) read(ctx context.Context, partition int32) (map[string]uint64, error) {
	r, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: p.client, Topic: p.table.result, Partition: partition, From: sarama.OffsetOldest})
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // always nil
	there := map[string]uint64{}
	_, err = r.Recover(ctx, func(_ int64, key, value []byte, _ int64) error {
		if value == nil {
			delete(there, string(key))
		} else {
			there[string(key)] = maphash.Bytes(p.seed, value)
		}
		return nil
	})
	return there, err
}

// begin says, before an interval's changes are made, whether they are to be written to the result topic, and returns the
// publication that is under way there; nil: none is.
func (p *publisher) begin(partition int32, rows *tables.Groups, progress map[codecs.Source]codecs.Progress) (live bool, open *publication, err error) {
	if p.table.building {
		return false, nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if open = p.open[partition]; open == nil {
		return true, nil, nil
	}
	if !open.begun && reached(progress, p.goal()) {
		open.begun, open.fresh = true, rows.Len() == 0 && len(open.there) == 0
		err = p.verify(partition, progress)
	}
	return open.begun, open, err
}

// publish writes the next part of a partition's results, and says whether that was the last one.
func (p *publisher) publish(s *stage, partition int32, open *publication, rows *tables.Groups) (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open == nil || !open.begun {
		return false, nil
	}
	// What all partitions publish goes into one transaction, so they share.
	left, more := max(p.most/len(p.open), 1), !open.fresh && !open.scanned
	if more {
		from := open.at
		open.at, more = rows.Scan(from, left, func(key string, state tables.State) bool {
			err = p.compare(s, partition, open, key, state)
			return err == nil
		})
		if err != nil {
			return false, err
		}
		open.scanned = !more
		left -= open.at - from
	}
	for key := range open.there {
		if more = more || left <= 0; more {
			break
		}
		s.transaction.Send(p.table.result, partition, []byte(key), nil)
		delete(open.there, key)
		left--
	}
	if more {
		if !open.void { // half of it is no definition's
			open.void = true
			s.transaction.Send(s.config.ChangelogTopic(p.table.own), partition, []byte(codecs.PublishedKey), nil)
		}
		return false, nil
	}
	s.transaction.Send(s.config.ChangelogTopic(p.table.own), partition, []byte(codecs.PublishedKey), codecs.AppendPublishedRow(nil, p.mark))
	delete(p.open, partition)
	p.fresh = append(p.fresh, partition)
	p.tell = p.tell || open.tell
	return true, nil
}

// voided reports whether a publication is under way that has taken the partition's mark away.
func (p *publisher) voided(partition int32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[partition] != nil && p.open[partition].void
}

// compare writes a row's result if the topic has another one.
func (p *publisher) compare(s *stage, partition int32, open *publication, key string, state tables.State) (err error) {
	shown, err := p.table.Shows(key, state)
	if err != nil || !shown {
		return err
	}
	if p.row, err = p.table.Row(key, state, p.row); err != nil {
		return err
	}
	to := p.table.writer()
	if tables.IsOther(key) && to.avro != nil {
		return nil
	}
	text := []byte{}
	if text, p.keys, err = to.appendKeyOf(text, key, partition, p.keys); err != nil {
		return err
	}
	if _, written := open.written[string(text)]; written {
		return nil
	}
	value, _, err := to.appendRow(nil, p.row)
	if err != nil {
		return err
	}
	have, there := open.there[string(text)]
	delete(open.there, string(text))
	if !there || have != maphash.Bytes(p.seed, value) {
		s.transaction.Send(p.table.result, partition, text, value)
	}
	return nil
}

// reached reports whether progress has come to a goal.
func reached(progress map[codecs.Source]codecs.Progress, goal map[codecs.Source]int64) bool {
	for source, next := range goal {
		if progress[source].Upto < next {
			return false
		}
	}
	return true
}

// verify holds the progress of rows that are about to be shown against itself: each record that was read was counted, or it is
// known why not.
func (p *publisher) verify(partition int32, progress map[codecs.Source]codecs.Progress) error {
	for source, have := range progress {
		c := have.Counts
		if told := c.Counted + c.Filtered + c.OtherFeed + c.NoTime + c.DeadLettered; told != c.Read {
			return refusal(&p.table.Definition, fmt.Sprintf("is not shown: of %d records that partition %d has of %s, %d are accounted for", c.Read, partition, source, told),
				fmt.Sprintf("`brotally reset %s` counts anew", p.table.Name))
		}
	}
	return nil
}

// committed notes what the last transaction has published.
func (p *publisher) committed() {
	p.mu.Lock()
	fresh, tell := p.fresh, p.tell
	p.fresh, p.tell = nil, false
	p.mu.Unlock()
	if tell {
		p.log.Info("results are published", "table", p.table.Name, "topic", p.table.result, "partitions", fresh)
	}
	if len(fresh) > 0 {
		p.book.note(p.shows, fresh)
	}
}

// results is what the stages of one process know of published results, for whoever settles the catalog.
type results struct {
	mu        sync.Mutex                         // guards all below
	published map[string]map[int32]bool          // partitions, by what is shown there, see shows
	goals     map[string]map[codecs.Source]int64 // how far a table must be to be published
}

// note notes published partitions.
func (r *results) note(what string, partitions []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.published == nil {
		r.published = map[string]map[int32]bool{}
	}
	if r.published[what] == nil {
		r.published[what] = map[int32]bool{}
	}
	for _, n := range partitions {
		r.published[what][n] = true
	}
}

// of returns the published partitions, sorted.
func (r *results) of(what string) []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.published[what]))
}

// shows names what is shown where: of which rows, as which definition has them, in which topic.
func shows(own, text, result string) string { return own + "\n" + kafka.HashSQL(text) + "\n" + result }

func (r *results) setGoal(own string, goal map[codecs.Source]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.goals == nil {
		r.goals = map[string]map[codecs.Source]int64{}
	}
	r.goals[own] = goal
}

func (r *results) goal(own string) map[codecs.Source]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.goals[own]
}

// awaitPredecessors waits until nobody can write results of the definitions that a table takes the place of, and notes how far
// these have come: the new one's are to be no older. A table that takes nobody's place, or that is being built, has nothing to wait
// for.
//
// Nobody can when their groups have no members and no transaction of theirs is undecided: it is the same as for a partition that
// goes from one member to another.
func (p *Processors) awaitPredecessors(ctx context.Context, t *placedTable) error {
	if t.building || len(t.before) == 0 {
		return nil
	}
	const look = 100 * time.Millisecond
	for {
		goal, err := p.predecessorsEnd(t)
		var denied *kafka.NotAllowed
		switch {
		case err == nil && goal != nil:
			p.results.setGoal(t.own, goal)
			return nil
		case errors.As(err, &denied):
			return err
		case err != nil:
			p.config.Log.Debug("waiting for the definition before this one to end", "table", t.Name, "why", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(look):
		}
	}
}

// predecessorsEnd returns how far the predecessors have come; nil while somebody may still write results of theirs.
func (p *Processors) predecessorsEnd(t *placedTable) (map[codecs.Source]int64, error) {
	goal := map[codecs.Source]int64{}
	for _, before := range t.before {
		if before.Own == "" {
			continue // the same rows and the same group, another topic
		}
		group := p.config.Kafka.TableGroup(before.Own)
		members, err := p.admin.GroupMembers(group)
		if err != nil || len(members) > 0 {
			return nil, err
		}
		if _, err := p.admin.CommittedOffsets(group); err != nil { // it waits for what is undecided
			return nil, err
		}
		// Who joins it now, because it has not heard yet, finds no offsets, and partials that its rows have already.
		if err := p.admin.DeleteGroups(group); err != nil {
			return nil, err
		}
		for topic, source := range before.Sources {
			committed, err := p.admin.CommittedOffsets(p.config.Kafka.CombineGroup(source.Pass))
			if err != nil {
				return nil, err
			}
			for partition := range committed[topic] {
				at := codecs.Source{Topic: topic, Partition: partition}
				if _, reads := t.starts[at]; reads {
					goal[at] = max(goal[at], source.Reached(committed[topic], partition))
				}
			}
		}
	}
	return goal, nil
}
