package grouptable

import (
	"sort"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// Keep says which changes a Store remembers for those who follow them.
type Keep struct {
	Changes int           // how many of the table at most; each partition has an equal share
	Bytes   int           // how much memory they take at most, in the same way
	Linger  time.Duration // how long they are kept after the last who followed them has gone, so that it can come back

	// Shows reports whether a row is shown to readers: HAVING may leave it out. It is called with the partition's lock held.
	Shows func(key string, s tables.State) bool

	// Absent says that a row which is not there is shown nevertheless: that of a table without GROUP BY.
	Absent bool
}

// Change is one change of a row. It is shared and must not be changed.
type Change struct {
	Offset int64  // in the changelog
	Key    string // the group's
	Value  []byte // the row as the changelog has it; nil: it was deleted
	Was    bool   // whether the row was shown before
}

// changeSize estimates what a change takes beside its key and value.
const changeSize = 64

// recent is the newest changes of a partition: all from an offset on.
type recent struct {
	Keep
	from  int64 // every change of a row at or behind this offset is there
	ring  []Change
	gone  int // how many at the beginning of ring are no longer kept
	bytes int
}

// Remember has the changes of all partitions kept from now on, until as many calls of forget have come as of this, and Keep.Linger
// more. What is kept already stays as it is. Who never calls it pays nothing.
func (s *Store) Remember(k Keep) (forget func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers++
	share := k
	share.Changes, share.Bytes = k.Changes/max(1, len(s.partitions)), k.Bytes/max(1, len(s.partitions))
	for _, p := range s.partitions {
		p.remember(share)
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.followers--; s.followers > 0 {
			return
		}
		if s.forgets != nil {
			s.forgets.Stop()
		}
		s.forgets = time.AfterFunc(k.Linger, s.forget)
	}
}

// Remembers reports whether changes are being kept.
func (s *Store) Remembers() bool {
	for _, p := range s.Held() {
		if p.remembers() {
			return true
		}
	}
	return false
}

// forget drops all changes unless somebody follows them again.
func (s *Store) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followers > 0 {
		return
	}
	for _, p := range s.partitions {
		p.forget()
	}
}

func (p *Partition) remember(k Keep) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recent == nil {
		p.recent = &recent{Keep: k, from: p.next}
	}
}

func (p *Partition) remembers() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.recent != nil
}

func (p *Partition) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = nil
}

// Next returns the changelog's next offset: every record below it is in the rows.
func (p *Partition) Next() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.next
}

// Changes appends to to the changes at or behind an offset, in their order, at most so many. next is where to go on: the rows at
// that offset are those at from with the changes made to them. kept is false when some that belong there are no longer kept, or
// never were. A from that lies ahead of the partition is where to go on, too.
func (p *Partition) Changes(from int64, most int, to []Change) (changes []Change, next int64, kept bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r := p.recent
	if r == nil || from < r.from {
		return to, from, false
	}
	held := r.ring[r.gone:]
	held = held[sort.Search(len(held), func(i int) bool { return held[i].Offset >= from }):]
	if len(held) > most {
		return append(to, held[:most]...), held[most].Offset, true // between the two is nothing of rows
	}
	return append(to, held...), max(from, p.next), true
}

// isRow reports whether a changelog record is of a row.
func isRow(key []byte) bool { return !codecs.IsInternal(key) || tables.IsOther(key) }

// shown reports whether the row of a key is shown now. The caller holds the lock.
func (p *Partition) shown(key []byte) bool {
	state, there := p.rows.Get(key)
	if !there {
		return p.recent.Absent
	}
	return p.recent.Shows(string(key), state)
}

// add keeps a change, whose key and value it copies.
func (r *recent) add(offset int64, key, value []byte, was bool) {
	c := Change{Offset: offset, Key: string(key), Was: was}
	if value != nil {
		c.Value = append([]byte{}, value...)
	}
	r.ring = append(r.ring, c)
	r.bytes += c.size()
	for len(r.ring)-r.gone > r.Keep.Changes || r.bytes > r.Keep.Bytes && r.gone < len(r.ring) {
		old := &r.ring[r.gone]
		r.bytes -= old.size()
		r.from = old.Offset + 1
		*old = Change{}
		r.gone++
	}
	if r.gone > len(r.ring)/2 && r.gone > 64 {
		n := copy(r.ring, r.ring[r.gone:])
		clear(r.ring[n:])
		r.ring, r.gone = r.ring[:n], 0
	}
}

func (c *Change) size() int { return changeSize + len(c.Key) + len(c.Value) }

// restart forgets what is kept: from here on the changes are whole again.
func (r *recent) restart(at int64) { *r = recent{Keep: r.Keep, from: at} }
