package tables

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// This file is what a group table does with count(DISTINCT x). Each value is a record of its own in its changelog, for a row
// that held a hundred thousand would be written whole with each new one. In memory rows hold them as partials do.
//
// A value belongs to a row and to one of the table's count(DISTINCT x), which are numbered from 0. Its record lies under the
// row's key; of a session, whose key changes with its bounds, under the group's key and its anchor.

// rowKernel is a kernel as a row of a group table has it.
type rowKernel interface {
	// appendRow and readRow are append and read of what the row's record says.
	appendRow(b []byte, s State) []byte
	readRow(b []byte, s State) (rest []byte, ok bool)
	// mergeRow is merge of a partial's cell.
	mergeRow(row, delta State, s site)
	// moveRow is merge of another row's cell, which is not used any more.
	moveRow(to, from State, s site)
}

// wholeRow is the rowKernel of an aggregate that has nothing beside its row.
type wholeRow struct{ kernel }

func (a wholeRow) appendRow(b []byte, s State) []byte               { return a.append(b, s) }
func (a wholeRow) readRow(b []byte, s State) (rest []byte, ok bool) { return a.read(b, s) }
func (a wholeRow) mergeRow(row, delta State, _ site)                { a.merge(row, delta) }
func (a wholeRow) moveRow(to, from State, _ site)                   { a.merge(to, from) }

// valueLog is told which records of values come and go. A value is valid during the call.
type valueLog struct {
	added func(key []byte, number int, value []byte)
	left  func(Leftover)
	key   []byte

	removed func(key []byte, number int, value []byte)
}

// HasValues reports whether rows of the table have values beside them: whether it counts DISTINCT ones.
func (t *Table) HasValues() bool { return len(t.plan.counting) > 0 }

// valueKey appends the key under which the values of a row are recorded.
func (p *plan) valueKey(b []byte, rowKey string, anchor int64) ([]byte, error) {
	if p.window == nil || p.window.Kind != Session || IsOther(rowKey) {
		return append(b, rowKey...), nil
	}
	group, _, _, err := p.cutWindow(rowKey)
	return appendAnchor(append(b, group...), anchor), err
}

func appendAnchor(group []byte, anchor int64) []byte {
	return feeds.TimestampValue(anchor).AppendKey(group)
}

// site is where a row's values are recorded.
type site struct {
	key  []byte // the row's key; of a session the group's
	last int64  // of a session, its last time: the anchor where there is none yet
	log  *valueLog

	session bool
}

// at returns the key under which values with that anchor are recorded, valid until the next one.
func (s *site) at(anchor int64) []byte {
	if !s.session {
		return s.key
	}
	s.log.key = appendAnchor(append(s.log.key[:0], s.key...), anchor)
	return s.log.key
}

func (s *site) added(number int, anchor int64, value []byte) {
	if s.log.added != nil {
		s.log.added(s.at(anchor), number, value)
	}
}

func (s *site) left(number int, anchor int64, set byteSet) {
	if s.log.left != nil && set.n > 0 {
		s.log.left(Leftover{string(s.at(anchor)), number, set})
	}
}

// mergeRow is merge for a row of a group table.
func (p *plan) mergeRow(row, delta State, s site) {
	for _, a := range p.rows {
		a.mergeRow(row, delta, s)
	}
}

func (a countDistinct) mergeRow(row, delta State, s site) {
	o := a.held(delta)
	if o == nil {
		return
	}
	a.change(row, func(k *distinctValues) {
		if k.set.n == 0 && k.many == nil {
			k.anchor = s.last // that of a session which has closed, or gone, is earlier: else this would be late
		}
		a.takeIn(k, o, s)
	})
}

// takeIn adds the values of o to those of a row, and records what is new.
func (a countDistinct) takeIn(k, o *distinctValues, s site) {
	if k.many != nil {
		k.takeMany(o)
		return
	}
	place, n := len(k.set.data), k.set.n
	if o.many == nil {
		for _, value := range o.set.from(0) {
			k.set.add(value)
		}
	}
	if o.many == nil && k.set.n <= a.bounds.values {
		for _, value := range k.set.from(place) {
			s.added(a.number, k.anchor, value)
		}
		k.counted = k.set.n
		return
	}
	k.approximate()
	k.takeMany(o)
	k.set.cut(place, n) // those that have a record
	s.left(a.number, k.anchor, k.set)
	k.set, k.counted = byteSet{}, 0
}

// moveRow adds what a row has to another one and takes it away there: a session that has become part of another.
func (p *plan) moveRow(to, from State, s site) {
	for _, a := range p.rows {
		a.moveRow(to, from, s)
	}
}

func (a countDistinct) moveRow(to, from State, s site) {
	o := a.remove(from)
	switch {
	case o == nil:
		return
	case a.held(to) == nil:
		a.put(to, o)
		return
	}
	a.change(to, func(k *distinctValues) {
		if o.many == nil && k.many == nil && o.set.n > k.set.n {
			*k, *o = *o, *k // fewer have to be recorded anew
		}
		a.takeIn(k, o, s)
		s.left(a.number, o.anchor, o.set)
	})
}

// dropRow takes a row's values away and returns how many records are to be deleted at once.
func (p *plan) dropRow(row State, s site) (n int) {
	for _, a := range p.counting {
		k := a.remove(row)
		if k == nil || s.log.removed == nil {
			continue
		}
		for _, value := range k.set.from(0) {
			s.log.removed(s.at(k.anchor), a.number, value)
			n++
		}
	}
	return n
}

// Leftover are values whose records in the changelog are to be deleted: their row only estimates how many there are, or has
// become part of another.
type Leftover struct {
	key    string // see valueKey
	number int
	set    byteSet
}

// Take takes up to most values out and calls gone with each. It returns how many there were; fewer than most says that none
// is left.
func (l *Leftover) Take(most int, gone func(key string, number int, value []byte)) (n int) {
	for at, value := range l.set.from(0) {
		if n == most {
			break
		}
		n++
		gone(l.key, l.number, value)
		l.set.drop(at)
	}
	return n
}

// Key is the key of the row that they were of; of a session it is another one.
func (l *Leftover) Key() string { return l.key }

// Len returns how many values are left.
func (l *Leftover) Len() int { return l.set.n }

// Bytes is the memory that they take.
func (l *Leftover) Bytes() int { return l.set.bytes() + len(l.key) }

// Values are the values of rows while a changelog is read: their records come in any order, before or behind their row's.
type Values struct {
	table *Table
	sets  *Groups // by the key under which values are recorded; an extra a count(DISTINCT x), a *byteSet
	key   []byte
}

// NewValues takes the values out of rows, and those that are left to be deleted.
func (t *Table) NewValues(rows *Groups, left []Leftover) (*Values, error) {
	v := &Values{table: t, sets: &Groups{extras: len(t.plan.counting), seed: rows.seed, slots: make([]slot, minSlots)}}
	for key, row := range rows.All() {
		for number, a := range t.plan.counting {
			k := a.held(row)
			if k == nil || k.set.n == 0 {
				continue
			}
			if err := v.at(key, k.anchor); err != nil {
				return nil, err
			}
			*v.set(v.key, number) = k.set
			a.change(row, func(k *distinctValues) { k.set = byteSet{} })
		}
	}
	for _, l := range left {
		*v.set([]byte(l.key), l.number) = l.set
	}
	return v, nil
}

func (v *Values) at(key string, anchor int64) (err error) {
	v.key, err = v.table.plan.valueKey(v.key[:0], key, anchor)
	return err
}

func (v *Values) set(key []byte, number int) *byteSet {
	s, _ := v.sets.Upsert(key)
	set, ok := s.X[number].(*byteSet)
	if !ok {
		set = &byteSet{}
		s.X[number] = set
	}
	return set
}

// Set notes that there is a record of a value, or that it was deleted. It returns an error when the table has no
// count(DISTINCT x) of that number.
func (v *Values) Set(key []byte, number int, value []byte, there bool) error {
	switch {
	case number >= len(v.table.plan.counting):
		return fmt.Errorf("table %s: there is no count(DISTINCT ..) number %d", v.table.Name, number)
	case there:
		v.set(key, number).add(value)
	default:
		v.set(key, number).remove(value)
	}
	return nil
}

// Return gives the rows their values. Those that no row has are left to be deleted. It returns an error when a row has
// others than its record says: its count would be wrong from then on.
func (v *Values) Return(rows *Groups) (left []Leftover, err error) {
	for key, row := range rows.All() {
		for number, a := range v.table.plan.counting {
			k := a.held(row)
			if k == nil || k.many != nil {
				continue
			}
			if err := v.at(key, k.anchor); err != nil {
				return nil, err
			}
			set := v.set(v.key, number)
			if set.n != k.counted {
				return nil, fmt.Errorf("table %s: count(DISTINCT ..) number %d of a row is %d, but %d values are there", v.table.Name, number, k.counted, set.n)
			}
			a.change(row, func(k *distinctValues) { k.set = *set })
			*set = byteSet{}
		}
	}
	for key, s := range v.sets.All() {
		for number, x := range s.X {
			if set, ok := x.(*byteSet); ok && set.n > 0 {
				left = append(left, Leftover{strings.Clone(key), number, *set})
			}
		}
	}
	return left, nil
}

// AppendRow appends s as the row of a group table, whose values are records of their own. [Table.ReadRow] reads it.
func (t *Table) AppendRow(b []byte, s State) []byte { return t.plan.appendState(b, s, true) }

// ReadRow overwrites s with what [Table.AppendRow] wrote at the start of b and returns what follows: a row that knows how many
// values it has, not which. s keeps nothing of b.
func (t *Table) ReadRow(b []byte, s State) (rest []byte, err error) { return t.readState(b, s, true) }

// Parts returns s as states that add up to it and of which each is a small partial: with many values it is more than one.
func (t *Table) Parts(s State) iter.Seq[State] {
	return func(yield func(State) bool) {
		size := 0
		for _, a := range t.plan.counting {
			if k := a.held(s); k != nil {
				size += len(k.set.data)
			}
		}
		if size == 0 || size <= t.plan.counting[0].bounds.inline {
			yield(s)
			return
		}
		rest := State{W: slices.Clone(s.W), X: slices.Clone(s.X)}
		var sets []*distinctValues // by number; nil: it stays in rest
		for _, a := range t.plan.counting {
			k := a.held(rest)
			if k != nil && k.many == nil {
				a.remove(rest)
			} else {
				k = nil
			}
			sets = append(sets, k)
		}
		if !yield(rest) {
			return
		}
		for number, k := range sets {
			if k == nil {
				continue
			}
			a := t.plan.counting[number]
			for set := range k.set.pieces(a.bounds.part) {
				part := t.NewState()
				a.put(part, &distinctValues{set: set})
				if !yield(part) {
					return
				}
			}
		}
	}
}
