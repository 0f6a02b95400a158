package views

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
)

// AsOf says how far an answer reflects the table's source topics. It is a floor: rows may hold later records too.
// It is shared and must not be changed.
type AsOf struct {
	// Offsets are the next offsets of the source partitions: every record below is in the table.
	Offsets map[codecs.Source]int64

	// EventTime is the newest time of a record, in microseconds since the Unix epoch; [codecs.NoTime] when there is none.
	EventTime int64

	// Counts is what became of the records, summed over the source partitions.
	Counts codecs.Counts

	// Full says that MAX GROUPS was reached: some partition has a row of the others.
	Full bool

	json      []byte // offsets as {topic:{partition:offset}}
	counts    []byte // as JSON
	eventTime []byte // as JSON
}

func newAsOf(progress map[codecs.Source]codecs.Progress) *AsOf {
	a := &AsOf{Offsets: make(map[codecs.Source]int64, len(progress)), EventTime: codecs.NoTime}
	for source, p := range progress {
		a.Offsets[source] = p.Upto
		a.EventTime = max(a.EventTime, p.NewestTime)
		a.Counts.Add(p.Counts)
	}
	a.json, a.counts, a.eventTime = a.appendJSON(nil), appendCounts(a.Counts), eventTime(a).AppendJSON(nil)
	return a
}

// same reports whether both say the same offsets.
func (a *AsOf) same(b *AsOf) bool { return string(a.json) == string(b.json) }

// Reached reports whether every record below the given offsets is in the table.
func (a *AsOf) Reached(offsets map[codecs.Source]int64) bool {
	for source, want := range offsets {
		if want > a.Offsets[source] {
			return false
		}
	}
	return true
}

// reachedAll is Reached for one offset of all known source partitions, of which there must be one.
func (a *AsOf) reachedAll(want int64) bool {
	for _, have := range a.Offsets {
		if want > have {
			return false
		}
	}
	return len(a.Offsets) > 0 || want <= 0
}

// Sources returns the source partitions by topic and number.
func (a *AsOf) Sources() []codecs.Source { return sortedSources(a.Offsets) }

func sortedSources[V any](m map[codecs.Source]V) []codecs.Source {
	return slices.SortedFunc(maps.Keys(m), func(a, b codecs.Source) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// String returns the offsets as "dns/0:41 dns/1:17", "the beginning" without any.
func (a *AsOf) String() string {
	if len(a.Offsets) == 0 {
		return "the beginning"
	}
	var b strings.Builder
	for i, source := range a.Sources() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(source.String() + ":" + strconv.FormatInt(a.Offsets[source], 10))
	}
	return b.String()
}

// AppendJSON appends the offsets as {"dns":{"0":41,"1":17}}.
func (a *AsOf) AppendJSON(b []byte) []byte { return append(b, a.json...) }

func (a *AsOf) appendJSON(b []byte) []byte {
	b = append(b, '{')
	topic := ""
	for i, source := range a.Sources() {
		switch {
		case i == 0 || source.Topic != topic:
			if i > 0 {
				b = append(b, "},"...)
			}
			topic = source.Topic
			b = feeds.AppendQuoted(b, topic)
			b = append(b, ":{"...)
		default:
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendInt(b, int64(source.Partition), 10)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, a.Offsets[source], 10)
	}
	if topic != "" {
		b = append(b, '}')
	}
	return append(b, '}')
}

// asOfAt is an AsOf and what it was worked out from: while neither changes, it holds.
type asOfAt struct {
	held    *held
	changed <-chan struct{}
	asOf    *AsOf
}

// AsOf returns how far the view reflects its source topics. Take it before the rows that it is to speak of.
func (v *View) AsOf() *AsOf {
	h := v.held.Load()
	if at := v.asOf.Load(); at != nil && at.held == h {
		select {
		case <-at.changed:
		default:
			return at.asOf
		}
	}
	at := &asOfAt{held: h}
	if h.store == nil {
		at.asOf = newAsOf(nil)
	} else {
		at.changed = h.store.Changed() // before looking, so that no change is missed
		at.asOf = newAsOf(h.store.Progress(h.partitions))
		at.asOf.Full = slices.ContainsFunc(h.store.Held(), (*grouptable.Partition).HasOther)
	}
	v.asOf.Store(at)
	return at.asOf
}
