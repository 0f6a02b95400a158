package grouptable

import (
	"sort"
	"sync/atomic"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// Keep says which changes a Store remembers for those who follow them.
type Keep struct {
	Changes int           // how many of the table at most, wherever they are: the oldest of the partition that has most go first
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

// recent is the newest changes of a partition: all from an offset on, but for those of rows that are shown neither before nor after.
type recent struct {
	Keep
	from  int64 // every change of a row at or behind this offset is there
	ring  []Change
	gone  int // how many at the beginning of ring are no longer kept
	bytes int
	kept  *kept
}

// kept is how much all partitions of a Store remember.
type kept struct {
	store          *Store
	limit          Keep
	changes, bytes atomic.Int64
}

// excess returns how much of that is too much.
func (k *kept) excess() (changes, bytes int) {
	return max(0, int(k.changes.Load())-k.limit.Changes), max(0, int(k.bytes.Load())-k.limit.Bytes)
}

// Remember has the changes of all partitions kept from now on, until as many calls of forget have come as of this, and Keep.Linger
// more. What is kept already stays as it is. Who never calls it pays nothing.
func (s *Store) Remember(k Keep) (forget func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers++
	if s.kept == nil {
		s.kept = &kept{store: s, limit: k}
	}
	for _, p := range s.partitions {
		p.remember(k, s.kept)
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
	s.kept = nil
}

// trim is [Store.trim] if there is anything to drop.
func (k *kept) trim() {
	if changes, bytes := k.excess(); changes > 0 || bytes > 0 {
		k.store.trim()
	}
}

// trim drops changes as long as there are more than may be: those of the partition that has most, so that each may have an equal share
// at least, and a burst in one has what others leave. No partition may be locked by the caller.
func (s *Store) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		return
	}
	for {
		changes, bytes := s.kept.excess()
		if changes == 0 && bytes == 0 {
			return
		}
		var most *Partition
		for _, p := range s.partitions {
			if most == nil || p.remembered(changes > 0) > most.remembered(changes > 0) {
				most = p
			}
		}
		if most == nil || !most.drop(changes, bytes) {
			return
		}
	}
}

// remembered returns how many changes are kept, or their bytes.
func (p *Partition) remembered(number bool) int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch r := p.recent; {
	case r == nil:
		return 0
	case number:
		return len(r.ring) - r.gone
	default:
		return r.bytes
	}
}

// drop drops the oldest changes, a few at a time, up to so many and so many bytes; ok is false when there are none.
func (p *Partition) drop(changes, bytes int) (ok bool) {
	const most = 128 // then another partition may have more
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.recent
	if r == nil {
		return false
	}
	for dropped := 0; dropped < most && (changes > 0 || bytes > 0) && r.gone < len(r.ring); dropped++ {
		changes, bytes, ok = changes-1, bytes-r.ring[r.gone].size(), true
		r.drop()
	}
	r.compact()
	return ok
}

func (p *Partition) remember(k Keep, in *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recent == nil {
		p.recent = &recent{Keep: k, from: p.next, kept: in}
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

// add keeps a change, whose key and value it copies. There may be too many then: [kept.trim] is to follow.
func (r *recent) add(offset int64, key, value []byte, was bool) {
	c := Change{Offset: offset, Key: string(key), Was: was}
	if value != nil {
		c.Value = append([]byte{}, value...)
	}
	r.ring = append(r.ring, c)
	r.count(1, c.size())
}

// drop drops the oldest change.
func (r *recent) drop() {
	old := &r.ring[r.gone]
	r.count(-1, -old.size())
	r.from = old.Offset + 1
	*old = Change{}
	r.gone++
}

func (r *recent) count(changes, bytes int) {
	r.bytes += bytes
	r.kept.changes.Add(int64(changes))
	r.kept.bytes.Add(int64(bytes))
}

// compact gives back the room of what was dropped.
func (r *recent) compact() {
	if r.gone > len(r.ring)/2 && r.gone > 64 {
		n := copy(r.ring, r.ring[r.gone:])
		clear(r.ring[n:])
		r.ring, r.gone = r.ring[:n], 0
	}
}

func (c *Change) size() int { return changeSize + len(c.Key) + len(c.Value) }

// restart forgets what is kept: from here on the changes are whole again.
func (r *recent) restart(at int64) {
	r.count(r.gone-len(r.ring), -r.bytes)
	*r = recent{Keep: r.Keep, from: at, kept: r.kept}
}
