package tables

import (
	"hash/maphash"
	"iter"
	"unsafe"
)

// Groups is a hash table from group keys to states. It is made for millions of groups: keys and words lie in slabs that
// hold no pointers, so a group costs its key, its words and about 28 bytes, and the garbage collector walks over none
// of it. Slots have the hashes: of a group that is looked for, one slot, entry, key and state are touched, for in a large table
// each of them is a wait for memory; and growing touches slots alone. Any number of goroutines may read while none writes.
type Groups struct {
	words, extras int

	seed    maphash.Seed
	slots   []slot
	used    int      // slots that are not free, tombstones included
	live    int      // groups
	next    uint32   // entries below it have been given out
	free    []uint32 // deleted entries to be given out again
	entries [][]entry
	states  [][]uint64 // words of the entries, by the same chunks
	texts   [][]any    // extras of the entries; nil where no aggregate has any
	keys    [][]byte   // key slabs, filled one after the other, never overwritten before Reset
	slab    int        // the key slab being filled
	wasted  int        // bytes of deleted keys
	bytes   int        // of entries, states, keys and the places of extras
	held    holding    // what extras take beside their places
}

// slot is a key's hash, above the number of its entry plus 1. The zero slot is free.
type slot uint64

func newSlot(hash, i uint32) slot { return slot(hash)<<32 | slot(i+1) }

func (s slot) hash() uint32  { return uint32(s >> 32) }
func (s slot) entry() uint32 { return uint32(s) - 1 }

// entry is where a group's key lies; its words lie at the same place of states.
type entry struct {
	slab   uint32 // noSlab: the entry is free
	offset uint32
	length uint32
}

const (
	tombstone  = slot(1<<32 - 1) // what it was of is deleted
	noSlab     = ^uint32(0)
	chunkShift = 10
	chunkSize  = 1 << chunkShift // entries a chunk
	slabSize   = 64 << 10        // bytes a key slab
	entrySize  = int(unsafe.Sizeof(entry{}))
	slotSize   = int(unsafe.Sizeof(slot(0)))
	minSlots   = 16 // a power of two
	// keepBytes is how much memory Reset keeps for the next interval.
	keepBytes = 16 << 20
)

// NewGroups returns an empty hash table for the table's groups.
func (t *Table) NewGroups() *Groups { return t.plan.newGroups() }

func (p *plan) newGroups() *Groups {
	return &Groups{words: p.layout.words, extras: p.layout.extras, seed: maphash.MakeSeed(), slots: make([]slot, minSlots)}
}

// Len returns the number of groups.
func (g *Groups) Len() int { return g.live }

// Bytes estimates the memory that g holds, in bytes, texts and sketches included. It is cheap enough to be asked after
// every record.
func (g *Groups) Bytes() int {
	return g.bytes + g.held.bytes + slotSize*len(g.slots) + 4*cap(g.free)
}

// SketchBytes estimates the memory that sketches, sets of values and texts of the groups take, those in keys left aside, in
// bytes: what of [Groups.Bytes] grows without new groups, and is given back by Reset.
func (g *Groups) SketchBytes() int { return g.held.bytes }

// Values returns how many values count(DISTINCT x) holds one by one, over all groups.
func (g *Groups) Values() int { return g.held.values }

// KeyBytes estimates how long all keys are together, in bytes; like SketchBytes it begins at 0 after Reset.
func (g *Groups) KeyBytes() int {
	if g.slab == len(g.keys) {
		return g.slab * slabSize
	}
	return g.slab*slabSize + len(g.keys[g.slab])
}

// Get returns the group's state, valid until the next change of g.
func (g *Groups) Get(key []byte) (s State, ok bool) {
	i, _, ok := g.find(key, g.hash(key))
	if !ok {
		return State{}, false
	}
	return g.state(i), true
}

// Upsert returns the group's state, which it makes if there is none: fresh says so. The state is valid until the next
// Upsert; key is copied.
func (g *Groups) Upsert(key []byte) (s State, fresh bool) {
	_, s, fresh = g.upsert(key)
	return s, fresh
}

// upsert returns the number of the group's entry, too. It is the group's until that is deleted.
func (g *Groups) upsert(key []byte) (i uint32, s State, fresh bool) {
	hash := g.hash(key)
	i, at, ok := g.find(key, hash)
	if ok {
		return i, g.state(i), false
	}
	if (g.used+1)*4 > len(g.slots)*3 || g.wasted > slabSize && g.wasted > g.slab*slabSize/2 {
		g.rebuild()
		_, at, _ = g.find(key, hash)
	}
	if g.slots[at] == 0 {
		g.used++
	}
	i = g.newEntry()
	e := g.entry(i)
	e.slab, e.offset, e.length = g.keep(key)
	g.slots[at] = newSlot(hash, i)
	g.live++
	s = g.state(i)
	clear(s.W)
	clear(s.X)
	return i, s, true
}

// Delete removes the group, if there is one. It may be called while All is running.
func (g *Groups) Delete(key []byte) {
	i, at, ok := g.find(key, g.hash(key))
	if !ok {
		return
	}
	g.slots[at] = tombstone
	e := g.entry(i)
	g.wasted += int(e.length)
	e.slab = noSlab
	g.state(i).drop()
	g.free = append(g.free, i)
	g.live--
}

// All returns the groups, in the order in which they were made as long as none is deleted. Keys are valid until Reset,
// states until the next Upsert. Upsert and Reset must not be called while it runs.
func (g *Groups) All() iter.Seq2[string, State] {
	return func(yield func(string, State) bool) {
		for i := range g.next {
			e := g.entry(i)
			if e.slab == noSlab {
				continue
			}
			if !yield(g.key(e), g.state(i)) {
				return
			}
		}
	}
}

// Places is how many places there are for [Groups.Scan].
func (g *Groups) Places() int { return int(g.next) }

// Scan goes over the groups a part at a time, so that between two parts others may change them: it calls fn for at most n
// places from place at on and returns the place to go on at, and whether there may be more. Begin at 0. A group that is
// there all the time is met once; one that is deleted and made anew in between may be met twice or not at all. What fn gets
// is valid as in All.
func (g *Groups) Scan(at, n int, fn func(key string, s State) (more bool)) (next int, more bool) {
	end := min(at+n, int(g.next))
	for i := at; i < end; i++ {
		e := g.entry(uint32(i))
		if e.slab != noSlab && !fn(g.key(e), g.state(uint32(i))) {
			return i + 1, false
		}
	}
	return end, end < int(g.next)
}

// Reset removes all groups. It keeps memory for the next ones, up to a limit.
func (g *Groups) Reset() {
	if g.Bytes() > keepBytes || len(g.slots) > 64*(g.live+chunkSize) {
		*g = Groups{words: g.words, extras: g.extras, seed: g.seed, slots: make([]slot, minSlots)}
		return
	}
	clear(g.slots)
	for i := range g.keys {
		g.keys[i] = g.keys[i][:0]
	}
	for _, t := range g.texts {
		clear(t)
	}
	g.used, g.live, g.next, g.slab, g.wasted, g.held, g.free = 0, 0, 0, 0, 0, holding{}, g.free[:0]
}

func (g *Groups) hash(key []byte) uint32 { return uint32(maphash.Bytes(g.seed, key)) }

// find returns the key's entry and slot, or the slot where it would be put.
func (g *Groups) find(key []byte, hash uint32) (i, at uint32, ok bool) {
	mask := uint32(len(g.slots) - 1)
	at = hash & mask
	reuse, haveReuse := uint32(0), false
	for {
		switch s := g.slots[at]; {
		case s == 0:
			if haveReuse {
				at = reuse
			}
			return 0, at, false
		case s == tombstone:
			if !haveReuse {
				reuse, haveReuse = at, true
			}
		case s.hash() == hash:
			if i = s.entry(); g.key(g.entry(i)) == string(key) {
				return i, at, true
			}
		}
		at = (at + 1) & mask
	}
}

func (g *Groups) entry(i uint32) *entry { return &g.entries[i>>chunkShift][i&(chunkSize-1)] }

// key returns the entry's key without copying it: slabs are not overwritten while the key is valid.
func (g *Groups) key(e *entry) string {
	if e.length == 0 {
		return ""
	}
	return unsafe.String(&g.keys[e.slab][e.offset], int(e.length))
}

func (g *Groups) state(i uint32) State {
	chunk, at := i>>chunkShift, int(i&(chunkSize-1))
	s := State{W: g.states[chunk][at*g.words : (at+1)*g.words : (at+1)*g.words]}
	if g.extras > 0 {
		s.X = g.texts[chunk][at*g.extras : (at+1)*g.extras : (at+1)*g.extras]
		s.held = &g.held
	}
	return s
}

// newEntry gives out an entry. The first chunk grows by doubling, for most tables of an interval are small.
func (g *Groups) newEntry() uint32 {
	if n := len(g.free); n > 0 {
		i := g.free[n-1]
		g.free = g.free[:n-1]
		return i
	}
	i := g.next
	g.next++
	chunk, at := int(i>>chunkShift), int(i&(chunkSize-1))
	switch {
	case chunk == len(g.entries):
		size := chunkSize
		if chunk == 0 {
			size = 16
		}
		g.entries = append(g.entries, make([]entry, size))
		g.states = append(g.states, make([]uint64, size*g.words))
		if g.extras > 0 {
			g.texts = append(g.texts, make([]any, size*g.extras))
		}
		g.bytes += size * (entrySize + 8*g.words + 16*g.extras)
	case at == len(g.entries[chunk]):
		g.entries[chunk] = append(make([]entry, 0, 2*at), g.entries[chunk]...)[:2*at]
		g.states[chunk] = append(make([]uint64, 0, 2*at*g.words), g.states[chunk]...)[:2*at*g.words]
		if g.extras > 0 {
			g.texts[chunk] = append(make([]any, 0, 2*at*g.extras), g.texts[chunk]...)[:2*at*g.extras]
		}
		g.bytes += at * (entrySize + 8*g.words + 16*g.extras)
	}
	return i
}

// keep copies a key into a slab.
func (g *Groups) keep(key []byte) (slab, offset, length uint32) {
	for {
		if g.slab == len(g.keys) {
			size := slabSize
			if g.slab == 0 {
				size = 1 << 10 // grows below
			}
			g.keys = append(g.keys, make([]byte, 0, max(size, len(key))))
			g.bytes += max(size, len(key))
		}
		k := &g.keys[g.slab]
		if g.slab == 0 && cap(*k) < slabSize && cap(*k)-len(*k) < len(key) {
			// Keys given out stay in the old memory, which lives as long as they do.
			size := max(min(2*cap(*k), slabSize), len(*k)+len(key))
			g.bytes += size - cap(*k)
			*k = append(make([]byte, 0, size), *k...)
		}
		if cap(*k)-len(*k) >= len(key) {
			offset = uint32(len(*k))
			*k = append(*k, key...)
			return uint32(g.slab), offset, uint32(len(key))
		}
		g.slab++
	}
}

// rebuild makes room: more slots where they are short, and new key slabs where many keys are deleted.
func (g *Groups) rebuild() {
	size := len(g.slots)
	for (g.live+1)*8 > size*5 {
		size *= 2
	}
	if g.wasted > slabSize && g.wasted > g.slab*slabSize/2 {
		old := g.keys
		for _, k := range old {
			g.bytes -= cap(k)
		}
		g.keys, g.slab, g.wasted = nil, 0, 0
		for i := range g.next {
			if e := g.entry(i); e.slab != noSlab {
				e.slab, e.offset, e.length = g.keep(old[e.slab][e.offset : e.offset+e.length])
			}
		}
	}
	old := g.slots
	g.slots = make([]slot, size)
	g.used = g.live
	mask := uint32(size - 1)
	for _, s := range old {
		if s == 0 || s == tombstone {
			continue
		}
		at := s.hash() & mask
		for g.slots[at] != 0 {
			at = (at + 1) & mask
		}
		g.slots[at] = s
	}
}
