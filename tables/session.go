package tables

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// span is one session of a group: the times of its first and last record, in microseconds since the Unix epoch.
type span struct {
	first, last int64
	id          uint64 // names the session while its bounds still move; only a Combiner uses it
}

// sessions are the sessions of every group, in order of time. No two of a group are within the gap of each other.
type sessions struct {
	gap   int64 // microseconds
	of    map[string][]span
	bytes int // memory that it takes, about
	ids   uint64
	gone  []span // what the last join returned
}

func newSessions(w *window) *sessions {
	return &sessions{gap: w.Gap.Microseconds(), of: map[string][]span{}}
}

// load adds the sessions that a table's rows are. It returns an error when two of them should have been one.
func (s *sessions) load(p *plan, rows *Groups) error {
	for key := range rows.All() {
		group, first, last, err := p.cutWindow(key)
		if err != nil {
			return err
		}
		if s.of[group] == nil {
			group = strings.Clone(group) // or the rows' memory would stay as long as the session
		}
		s.ids++
		s.of[group] = append(s.of[group], span{first, last, s.ids})
	}
	for group, spans := range s.of {
		slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
		for i := 1; i < len(spans); i++ {
			if spans[i].first-spans[i-1].last <= s.gap {
				return fmt.Errorf("sessions of group %q overlap: the changelog was not written by one owner at a time", group)
			}
		}
		s.bytes += len(group) + sessionGroupBytes + len(spans)*sessionBytes
	}
	return nil
}

// join adds a stretch of time to the group's sessions. It returns the session that it is part of now, and those that went up
// in that one, in order of time: none when it is new, itself as it was when it has grown or not changed. gone is good until
// the next join. The new session has the id of the first that it took up.
func (s *sessions) join(group []byte, first, last int64) (joined span, gone []span) {
	spans := s.of[string(group)]
	from, _ := slices.BinarySearchFunc(spans, first-s.gap, func(x span, t int64) int {
		if x.last < t {
			return -1
		}
		return 1
	})
	to := from
	joined = span{first: first, last: last}
	// Only neighbours can be joined with [first, last]: sessions lie further apart than the gap, so what lies beyond one that
	// is not joined is not joined either.
	for to < len(spans) && spans[to].first <= last+s.gap {
		joined.first, joined.last = min(joined.first, spans[to].first), max(joined.last, spans[to].last)
		to++
	}
	s.gone = append(s.gone[:0], spans[from:to]...)
	if to == from {
		s.ids++
		joined.id = s.ids
		if spans == nil {
			s.bytes += len(group) + sessionGroupBytes
		}
		s.of[string(group)] = slices.Insert(spans, from, joined)
		s.bytes += sessionBytes
		return joined, nil
	}
	joined.id = spans[from].id
	spans[from] = joined
	if to > from+1 {
		s.of[string(group)] = slices.Delete(spans, from+1, to)
		s.bytes -= (to - from - 1) * sessionBytes
	}
	return joined, s.gone
}

// What a group and each of its sessions take beside the group's key, about.
const (
	sessionGroupBytes = 64
	sessionBytes      = 24
)

func (s *sessions) reset() {
	clear(s.of)
	s.bytes = 0
}
