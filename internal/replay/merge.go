package replay

import (
	"errors"
	"io"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
)

// merge reads all sources as one: the files of one feed one after the other, in the order given, and the feeds side by
// side by their records' ts, so that conn does not wait until all of dns is through.
type merge struct {
	stdin io.Reader
	lanes []*lane
	fail  func(error) // told of each file that cannot be read to its end
}

// lane is the files of one feed.
type lane struct {
	sources []*source // the first is being read
	msg     []byte    // its next record
	feed    string
	ts      int64 // Unix microseconds of msg; of the record before when it has no ts
	clock   clock
}

// newMerge puts the sources into their lanes.
func newMerge(sources []*source, stdin io.Reader, fail func(error)) *merge {
	m := &merge{stdin: stdin, fail: fail}
	byName := map[string]*lane{}
	for _, s := range sources {
		l, ok := byName[s.lane()]
		if !ok {
			l = &lane{clock: newClock()}
			byName[s.lane()] = l
			m.lanes = append(m.lanes, l)
		}
		l.sources = append(l.sources, s)
	}
	for i := 0; i < len(m.lanes); {
		if m.advance(m.lanes[i]) {
			i++
		} else {
			m.lanes = append(m.lanes[:i], m.lanes[i+1:]...)
		}
	}
	return m
}

// next returns the lane whose record is due; nil behind the last. The record is valid until the lane is advanced.
func (m *merge) next() *lane {
	var first *lane
	for _, l := range m.lanes {
		if first == nil || l.ts < first.ts {
			first = l
		}
	}
	return first
}

// taken goes on to the next record of l.
func (m *merge) taken(l *lane) {
	if m.advance(l) {
		return
	}
	for i := range m.lanes {
		if m.lanes[i] == l {
			m.lanes = append(m.lanes[:i], m.lanes[i+1:]...)
			return
		}
	}
}

// advance reads l's next record, from its next file if need be; false behind the last.
func (m *merge) advance(l *lane) bool {
	for len(l.sources) > 0 {
		s := l.sources[0]
		err := error(nil)
		if s.reader == nil {
			err = s.open(m.stdin)
		}
		if err == nil {
			if l.msg, l.feed, err = s.next(); err == nil {
				if ts, ok := l.clock.read(l.msg); ok {
					l.ts = ts
				}
				return true
			}
		}
		if !errors.Is(err, io.EOF) {
			s.done.Err = err
			m.fail(err)
		}
		s.close()
		l.sources = l.sources[1:]
	}
	return false
}

// close closes what is open.
func (m *merge) close() {
	for _, l := range m.lanes {
		for _, s := range l.sources {
			s.close()
		}
	}
}

// clock reads the ts of records.
type clock struct {
	json *codecs.JSON
	rec  feeds.Record
}

func newClock() clock {
	layout := &feeds.Layout{Columns: []feeds.Column{{Name: "ts", Type: feeds.T(feeds.Timestamp)}}}
	return clock{json: codecs.NewJSON(layout)}
}

// read returns a record's ts in Unix microseconds.
func (c *clock) read(msg []byte) (int64, bool) {
	if err := c.json.Decode(msg, &c.rec); err != nil || c.rec.Values[0].IsNull() {
		return 0, false
	}
	return c.rec.Values[0].Micros(), true
}
