package processors

import (
	"fmt"
	"maps"
	"slices"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// register returns the catalog's changes: an entry for each table and stream that it does not have and whose topics exist.
// Those registered together share passes where they can; who comes later gets one of its own, so as not to rewind the
// others. All that could refuse them is looked at here, before anything is written or made.
func (p *Processors) register(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
	defined := p.definitions()
	if err := refuse(entries, defined); err != nil {
		return nil, err
	}
	if err := clashes(p.config.Kafka, entries, defined); err != nil {
		return nil, err
	}
	names := []string{p.config.Kafka.DeadLetterTopic()}
	for _, t := range defined {
		names = append(names, t.FeedTopics()...)
		for _, topic := range p.topicsFor(t, t.Topic(), 0) {
			names = append(names, topic.Name)
		}
	}
	for _, e := range entries {
		names = slices.AppendSeq(names, maps.Keys(e.Sources))
	}
	slices.Sort(names)
	exist, err := p.admin.Describe(slices.Compact(names)...)
	if err != nil {
		return nil, err
	}
	if err := sourcesReplaced(entries, exist); err != nil {
		return nil, err
	}
	changes := map[string]*kafka.Entry{}
	book := &passBook{processors: p, entries: entries}
	for _, t := range defined {
		if _, known := entries[t.Name]; known || !allExist(exist, t.FeedTopics()) {
			continue
		}
		if err := p.leftovers(t, exist); err != nil {
			return nil, err
		}
		columns, err := discovered(t)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", t.Kind, t.Name, err)
		}
		e := kafka.Entry{Table: t.Name, Kind: entryKind(t.Kind), SQL: t.SQL, Feed: t.Feed.Name, Columns: columns, Result: t.Topic(), Sources: map[string]kafka.Source{}}
		for _, topic := range t.FeedTopics() {
			pass, err := book.passFor(t, topic)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", t.Kind, t.Name, err)
			}
			e.Sources[topic] = kafka.Source{ID: exist[topic].ID, Partitions: exist[topic].Partitions, Start: pass.starts, Pass: pass.name, Mixed: pass.mixed}
			e.Partitions = max(e.Partitions, exist[topic].Partitions)
		}
		if t.Options.Partitions > 0 {
			e.Partitions = t.Options.Partitions
		}
		changes[t.Name] = &e
	}
	return changes, p.checkTopics(entries, changes, exist)
}

// entryKind is the kind as the catalog has it: nothing for a table.
func entryKind(k tables.Kind) string {
	if k == tables.KindTable {
		return ""
	}
	return string(k)
}

// passBook gives newly registered tables and streams their passes.
type passBook struct {
	processors *Processors
	entries    map[string]kafka.Entry
	fresh      []*freshPass
	starts     map[startsAt]map[int32]int64
}

// freshPass is a pass that the catalog does not have yet.
type freshPass struct {
	name   string
	topic  string
	mixed  bool
	starts map[int32]int64
	of     []*tables.Definition
}

// startsAt is what start offsets depend on. They are asked for once: a topic goes on growing meanwhile.
type startsAt struct {
	topic string
	start tables.Start
}

// isAvroStream says whether a definition's pass has to wait for the schema registry before it can begin: who does not need
// one is not to wait with it.
func isAvroStream(d *tables.Definition) bool {
	return d.Kind == tables.KindStream && d.Options.Format == tables.FormatAvro
}

// passFor returns the pass that reads topic for t: that of other new ones of the same feed that start at the same
// offsets, read its columns as the same types and agree on whether the topic is mixed, else a new one.
func (b *passBook) passFor(t *tables.Definition, topic string) (*freshPass, error) {
	at := startsAt{topic, t.Options.Start}
	starts, ok := b.starts[at]
	if !ok {
		var err error
		if starts, err = b.processors.startOffsets(topic, t.Options.Start); err != nil {
			return nil, err
		}
		if b.starts == nil {
			b.starts = map[startsAt]map[int32]int64{}
		}
		b.starts[at] = starts
	}
	mixed := isMixed(t, topic, b.processors.definitions(), b.entries)
	for _, f := range b.fresh {
		if f.topic != topic || f.mixed != mixed || isAvroStream(f.of[0]) != isAvroStream(t) || f.of[0].Feed.Name != t.Feed.Name || !maps.Equal(f.starts, starts) {
			continue
		}
		if _, err := tables.SharedLayout(append(slices.Clone(f.of), t)...); err == nil {
			f.of = append(f.of, t)
			return f, nil
		}
	}
	name, err := b.name(topic)
	if err != nil {
		return nil, err
	}
	b.fresh = append(b.fresh, &freshPass{name: name, topic: topic, mixed: mixed, starts: starts, of: []*tables.Definition{t}})
	return b.fresh[len(b.fresh)-1], nil
}

// name returns a pass's name that no pass has: the topic's, or the topic's with a number. Nor has its group committed
// anything, as one of tables whose topics were deleted by hand would have: the new tables would begin behind it.
func (b *passBook) name(topic string) (string, error) {
	taken := map[string]bool{}
	for _, e := range b.entries {
		for _, source := range e.Sources {
			taken[source.Pass] = true
		}
	}
	for _, f := range b.fresh {
		taken[f.name] = true
	}
	for n := 1; ; n++ {
		name := topic
		if n > 1 {
			name = fmt.Sprintf("%s.%d", topic, n)
		}
		if taken[name] {
			continue
		}
		committed, err := b.processors.admin.CommittedOffsets(b.processors.config.Kafka.CombineGroup(name))
		if err != nil || len(committed) == 0 {
			return name, err
		}
	}
}

// startOffsets returns where a table begins to read a topic, by partition: a table that starts at the earliest record has
// no entry but where retention has already taken some.
func (p *Processors) startOffsets(topic string, start tables.Start) (map[int32]int64, error) {
	held, err := p.admin.Offsets(topic)
	if err != nil {
		return nil, err
	}
	starts := map[int32]int64{}
	var at map[int32]int64
	if !start.Latest && !start.At.IsZero() {
		if at, err = p.admin.OffsetsForTime(topic, start.At); err != nil {
			return nil, err
		}
	}
	for partition, r := range held[topic] {
		switch {
		case start.Latest:
			starts[partition] = r.Newest
		case at != nil:
			starts[partition] = at[partition]
		default:
			starts[partition] = r.Oldest
		}
	}
	return starts, nil
}
