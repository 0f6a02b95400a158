package tables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/btree"
)

// span is one session of a group: the times of its first and last record, in microseconds since the Unix epoch.
type span struct {
	first, last int64
	id          uint64 // names the session while its bounds still move; only a Combiner uses it
}

// sessions are the sessions of every group, in order of time. No two of a group are within the gap of each other.
type sessions struct {
	gap   int64 // microseconds
	of    map[string]*btree.BTreeG[span]
	free  *btree.FreeListG[span]
	bytes int // memory that it takes, about
	ids   uint64

	closed func(span) bool // those take nothing in any more; nil: all do

	// What the last join looked for: those that end at from or later, and gone is what it found.
	from int64
	gone []span
	find btree.ItemIteratorG[span]
}

func newSessions(w *window) *sessions {
	s := &sessions{gap: w.Gap.Microseconds(), of: map[string]*btree.BTreeG[span]{}, free: btree.NewFreeListG[span](btree.DefaultFreeListSize)}
	s.find = func(x span) bool { // made once, not for each record
		if s.closed != nil && s.closed(x) {
			return true
		}
		if x.last < s.from {
			return false
		}
		s.gone = append(s.gone, x)
		return true
	}
	return s
}

// group adds a group that has no sessions yet.
func (s *sessions) group(name string) *btree.BTreeG[span] {
	spans := btree.NewWithFreeListG(sessionDegree, func(a, b span) bool { return a.first < b.first }, s.free)
	s.of[name] = spans
	s.bytes += len(name) + sessionGroupBytes
	return spans
}

// load adds the sessions that a table's rows are. It returns an error when two of them should have been one.
func (s *sessions) load(p *plan, rows *Groups) error {
	for key := range rows.All() {
		if IsOther(key) {
			continue
		}
		group, first, last, err := p.cutWindow(key)
		if err != nil {
			return err
		}
		if s.closed != nil && s.closed(span{first: first, last: last}) {
			continue
		}
		spans := s.of[group]
		if spans == nil {
			spans = s.group(strings.Clone(group)) // or the rows' memory would stay as long as the session
		}
		if _, gone := s.near(spans, first, last); len(gone) > 0 {
			return fmt.Errorf("sessions of group %q overlap: the changelog was not written by one owner at a time", group)
		}
		s.ids++
		spans.ReplaceOrInsert(span{first, last, s.ids})
		s.bytes += sessionBytes
	}
	return nil
}

// near returns the session that a stretch of time makes with those that are within the gap of it, and these, in order of time.
func (s *sessions) near(spans *btree.BTreeG[span], first, last int64) (joined span, gone []span) {
	s.from, s.gone = first-s.gap, s.gone[:0]
	// Sessions lie further apart than the gap, so what lies beyond one that is not near is not near either.
	spans.DescendLessOrEqual(span{first: last + s.gap}, s.find)
	slices.Reverse(s.gone)
	joined = span{first: first, last: last}
	if n := len(s.gone); n > 0 {
		joined = span{min(first, s.gone[0].first), max(last, s.gone[n-1].last), s.gone[0].id}
	}
	return joined, s.gone
}

// isNew reports whether a stretch of time would be a session of its own.
func (s *sessions) isNew(group []byte, first, last int64) bool {
	spans := s.of[string(group)]
	if spans == nil {
		return true
	}
	_, gone := s.near(spans, first, last)
	return len(gone) == 0
}

// join adds a stretch of time to the group's sessions. It returns the session that it is part of now, and those that went up
// in that one, in order of time: none when it is new, itself as it was when it has grown or not changed. gone is good until
// the next join. The new session has the id of the first that it took up.
func (s *sessions) join(group []byte, first, last int64) (joined span, gone []span) {
	spans := s.of[string(group)]
	if spans == nil {
		spans = s.group(string(group))
	}
	joined, gone = s.near(spans, first, last)
	if len(gone) == 0 {
		s.ids++
		joined.id = s.ids
	}
	for _, old := range gone {
		if old.first != joined.first {
			spans.Delete(old)
		}
	}
	spans.ReplaceOrInsert(joined)
	s.bytes += (1 - len(gone)) * sessionBytes
	return joined, gone
}

// remove forgets a session.
func (s *sessions) remove(group []byte, first, last int64) {
	spans := s.of[string(group)]
	if spans == nil {
		return
	}
	if have, ok := spans.Get(span{first: first}); !ok || have.last != last {
		return
	}
	spans.Delete(span{first: first})
	s.bytes -= sessionBytes
	if spans.Len() == 0 {
		delete(s.of, string(group))
		s.bytes -= len(group) + sessionGroupBytes
	}
}

// What a group and each of its sessions take beside the group's key, about.
const (
	sessionGroupBytes = 144
	sessionBytes      = 48
)

// sessionDegree makes nodes of 15 to 31 sessions.
const sessionDegree = 16

func (s *sessions) reset() {
	clear(s.of)
	s.bytes = 0
}
