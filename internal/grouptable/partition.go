package grouptable

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka/storage"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// Partition is one partition of a group table: a row a group, and the progress of every source partition.
// It is safe for any number of readers beside one writer.
type Partition struct {
	table   *tables.Table
	values  bool           // it holds the values that count(DISTINCT ..) has counted
	changed func()         // called after progress has moved, without the lock
	version *atomic.Uint64 // of the Store: counts changes of rows, with the lock held

	mu       sync.RWMutex // guards all below
	rows     *tables.Groups
	altered  bool // rows have changed since version was counted
	progress map[codecs.Source]codecs.Progress
	mark     string            // what the results of its rows in the result topic are of; empty: of nothing yet
	clock    codecs.Clock      // how far the table's clock stands
	next     int64             // the changelog's next offset: what lies below is in rows
	whole    bool              // its last recovery came to its end, and it has been alone since
	left     []tables.Leftover // records of values that are to be deleted
	loose    *tables.Values    // the rows' values while the changelog is read; nil: they have them
	recent   *recent           // what changed lately; nil: nobody wants to know
}

func newPartition(c Config, changed func(), version *atomic.Uint64) *Partition {
	t := c.Table
	return &Partition{table: t, values: c.Values && t.HasValues(), changed: changed, version: version, rows: t.NewGroups(), progress: map[codecs.Source]codecs.Progress{}, clock: noClock}
}

// Update calls fn with the rows and the progress to change. fn must not keep them.
func (p *Partition) Update(fn func(rows *tables.Groups, progress map[codecs.Source]codecs.Progress) error) error {
	defer p.changed()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.altered = true
	defer p.count()
	return fn(p.rows, p.progress)
}

// count counts a change of rows, if there was one. The caller holds the lock, so that who reads the rows behind it sees the change.
func (p *Partition) count() {
	if p.altered {
		p.version.Add(1)
		p.altered = false
	}
}

// locked calls fn with the lock held.
func (p *Partition) locked(fn func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.count()
	return fn()
}

// stays says whether nobody else can have written since it was recovered, and reports whether it is as its changelog is.
func (p *Partition) stays(alone bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whole = p.whole && alone
	return p.whole
}

// Read calls fn with the rows, which fn must neither change nor keep.
func (p *Partition) Read(fn func(rows *tables.Groups)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	fn(p.rows)
}

// Progress returns how far the partition reflects each source partition.
func (p *Partition) Progress() map[codecs.Source]codecs.Progress {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return maps.Clone(p.progress)
}

// Published returns the mark of the definition whose results the result topic has of this partition; empty: it has none.
func (p *Partition) Published() string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mark
}

// SetPublished notes such a mark.
func (p *Partition) SetPublished(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark = mark
}

var noClock = codecs.Clock{Time: tables.NoClock}

// Clock returns how far the table's clock stands; at [tables.NoClock] it is not known, or the table has none.
func (p *Partition) Clock() codecs.Clock {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.clock
}

// SetClock notes where it stands.
func (p *Partition) SetClock(clock codecs.Clock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock = clock
}

// HasOther reports whether some groups have no row of their own: MAX GROUPS was reached.
func (p *Partition) HasOther() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, there := p.rows.Get([]byte(tables.OtherKey))
	return there
}

// Len returns the number of groups.
func (p *Partition) Len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.rows.Len()
}

// Bytes estimates the memory that the rows hold.
func (p *Partition) Bytes() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	n := p.rows.Bytes()
	for i := range p.left {
		n += p.left[i].Bytes()
	}
	return n
}

// apply takes in one changelog record; a nil value is a tombstone. The caller holds the lock.
func (p *Partition) apply(key, value []byte) error {
	if codecs.IsInternal(key) && !tables.IsOther(key) {
		if _, _, _, ok := codecs.ParseValueKey(key); ok {
			return nil // who only follows rows does without
		}
		switch string(key) {
		case codecs.PublishedKey:
			return p.publish(value)
		case codecs.ClockKey:
			return p.setClock(value)
		}
		source, ok := codecs.ParseProgressKey(string(key))
		switch {
		case !ok:
			return fmt.Errorf("key %q of the changelog is of an unknown kind: it was written by a newer program, update this one", key)
		case value == nil:
			delete(p.progress, source)
			return nil
		}
		progress, err := codecs.ReadProgressRow(value)
		if err == nil {
			p.progress[source] = progress
		}
		return err
	}
	p.altered = true
	if value == nil {
		p.rows.Delete(key)
		return nil
	}
	state, _ := p.rows.Upsert(key)
	return codecs.ReadRow(value, p.table, state)
}

// publish takes in the record of [codecs.PublishedKey]. The caller holds the lock.
func (p *Partition) publish(value []byte) (err error) {
	p.mark = ""
	if value != nil {
		p.mark, err = codecs.ReadPublishedRow(value)
	}
	return err
}

// setClock takes in the record of [codecs.ClockKey]. The caller holds the lock.
func (p *Partition) setClock(value []byte) (err error) {
	p.clock = noClock
	if value != nil {
		p.clock, err = codecs.ReadClockRow(value)
	}
	return err
}

// What follows is Goka's storage.Storage. Values are as the changelog holds them.

// Open does nothing: the builder has recovered the partition.
func (p *Partition) Open() error { return nil }

// Close does nothing: the partition outlives Goka's session and is recovered onwards from where it is.
func (p *Partition) Close() error { return nil }

// Has reports whether there is a row with that key.
func (p *Partition) Has(key string) (bool, error) {
	value, err := p.Get(key)
	return value != nil, err
}

// Get returns the row's or the progress row's value, nil if there is none.
func (p *Partition) Get(key string) ([]byte, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch key {
	case codecs.PublishedKey:
		if p.mark == "" {
			return nil, nil
		}
		return codecs.AppendPublishedRow(nil, p.mark), nil
	case codecs.ClockKey:
		if p.clock == noClock {
			return nil, nil
		}
		return codecs.AppendClockRow(nil, p.clock), nil
	}
	if source, ok := codecs.ParseProgressKey(key); ok {
		progress, ok := p.progress[source]
		if !ok {
			return nil, nil
		}
		return codecs.AppendProgressRow(nil, progress), nil
	}
	state, ok := p.rows.Get([]byte(key))
	if !ok {
		return nil, nil
	}
	return codecs.AppendRow(nil, p.table, state), nil
}

// Set takes in a changelog record, as a view does that follows the changelog.
func (p *Partition) Set(key string, value []byte) error {
	p.mu.Lock()
	err := p.apply([]byte(key), value)
	p.count()
	p.mu.Unlock()
	if tells([]byte(key)) {
		p.changed()
	}
	return err
}

// tells reports whether the record of a key says how far the table has come.
func tells(key []byte) bool {
	if !codecs.IsInternal(key) {
		return false
	}
	_, ok := codecs.ParseProgressKey(string(key))
	return ok || string(key) == codecs.ClockKey
}

// Take takes in records of the changelog, as a view does that follows it. Readers get their turn between them.
func (p *Partition) Take(records []sarama.ConsumerMessage) error {
	const atOnce = 128
	heard := false
	for batch := range slices.Chunk(records, atOnce) {
		noted, err := p.takeSome(batch, &heard)
		if noted != nil {
			noted.trim()
			// At once, so that who follows does not begin to read when the changes of a burst are no longer kept.
			p.changed()
		}
		if err != nil {
			return err
		}
	}
	if heard {
		p.changed()
	}
	return nil
}

// takeSome notes whether progress was among the records, and returns where a change was noted that somebody waits for; nil: nowhere.
func (p *Partition) takeSome(records []sarama.ConsumerMessage, heard *bool) (noted *kept, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.count()
	for i := range records {
		r := &records[i]
		// One that came before is in the rows and, if anybody wanted to know, among the changes.
		wanted := p.recent != nil && r.Offset >= p.next && isRow(r.Key)
		was := wanted && p.shown(r.Key)
		if err := p.apply(r.Key, r.Value); err != nil {
			return noted, fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		// Nobody is told of a row that is shown neither before nor after.
		if wanted && (was || p.shown(r.Key)) {
			p.recent.add(r.Offset, r.Key, r.Value, was)
			noted = p.recent.kept
		}
		*heard = *heard || tells(r.Key)
	}
	// With the rows, under one lock: a reader takes the offset for what the rows are.
	p.next = max(p.next, records[len(records)-1].Offset+1)
	return noted, nil
}

// Delete removes a row, as a tombstone does.
func (p *Partition) Delete(key string) error { return p.Set(key, nil) }

// GetOffset returns the offset of the last changelog record that the partition holds.
func (p *Partition) GetOffset(int64) (int64, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.next - 1, nil
}

// SetOffset says which changelog record was taken in last.
func (p *Partition) SetOffset(offset int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = max(p.next, offset+1)
	return nil
}

// MarkRecovered does nothing: memory has no other mode.
func (p *Partition) MarkRecovered() error { return nil }

// Iterator walks over a snapshot of all keys in order, internal ones included.
func (p *Partition) Iterator() (storage.Iterator, error) { return p.IteratorWithRange(nil, nil) }

// IteratorWithRange walks over a snapshot of the keys in [start, limit); nil is no bound.
func (p *Partition) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	inside := func(key string) bool {
		return (start == nil || key >= string(start)) && (limit == nil || key < string(limit))
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	it := &iterator{partition: p, at: -1}
	for key := range p.rows.All() {
		if inside(key) {
			it.keys = append(it.keys, key)
		}
	}
	for source := range p.progress {
		if key := codecs.ProgressKey(source); inside(key) {
			it.keys = append(it.keys, key)
		}
	}
	if p.mark != "" && inside(codecs.PublishedKey) {
		it.keys = append(it.keys, codecs.PublishedKey)
	}
	if p.clock != noClock && inside(codecs.ClockKey) {
		it.keys = append(it.keys, codecs.ClockKey)
	}
	slices.Sort(it.keys)
	return it, nil
}

type iterator struct {
	partition *Partition
	keys      []string
	at        int
}

func (i *iterator) Next() bool             { i.at++; return i.at < len(i.keys) }
func (i *iterator) Err() error             { return nil }
func (i *iterator) Key() []byte            { return []byte(i.keys[i.at]) }
func (i *iterator) Value() ([]byte, error) { return i.partition.Get(i.keys[i.at]) }
func (i *iterator) Release()               {}

func (i *iterator) Seek(key []byte) bool {
	i.at = sort.SearchStrings(i.keys, string(key)) - 1
	return i.at+1 < len(i.keys)
}
