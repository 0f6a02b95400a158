package processors

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/brotally/brotally/internal/catalog"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// apply makes the catalog say what the definitions say, as far as their topics exist, and returns those that wait for some. Later
// than at the start of the process (first is false) it only adds what the catalog does not have: other instances may have changed
// the rest since.
// Errors are *[Refusal], *[Unapproved], *[kafka.TopicMismatch]: all that could refuse is looked at before anything is
// written or made.
func (p *Processors) apply(ctx context.Context, first bool) (waiting []*tables.Definition, err error) {
	var done []Step
	err = p.registry.Update(ctx, func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		waiting, done = nil, nil
		defined := p.definitions()
		if !first {
			defined = slices.DeleteFunc(defined, func(d *tables.Definition) bool { e, known := entries[d.Name]; return known && !e.Dropped })
		}
		steps, exist, err := p.steps(entries, defined, first)
		if err != nil {
			return nil, err
		}
		var loses []Step
		for _, s := range steps {
			if s.Loses != "" {
				loses = append(loses, s)
			}
			if s.Action == Wait {
				waiting = append(waiting, s.definition)
			}
		}
		if len(loses) > 0 && !p.config.Approve {
			return nil, &Unapproved{Steps: loses}
		}
		done = steps
		changes, err := p.register(entries, steps, exist)
		if err != nil || !first {
			return changes, err
		}
		after := maps.Clone(entries)
		for name, e := range changes {
			after[name] = *e
			e.Table = name
		}
		return changes, p.checkTopics(after, exist)
	})
	for _, s := range done {
		if err == nil && s.Action != Keep && s.Action != Build && s.Action != Wait {
			p.config.Log.Info(string(s.Action), string(s.Kind), s.Name, "why", s.Why)
		}
	}
	return waiting, err
}

// lookAround returns those of the topics that exist which the definitions and the entries are about.
func (p *Processors) lookAround(entries map[string]kafka.Entry) (map[string]kafka.Topic, error) {
	names := []string{p.config.Kafka.DeadLetterTopic()}
	for _, t := range p.definitions() {
		names = append(names, t.FeedTopics()...)
		for _, topic := range p.topicsFor(t, t.Name, t.Topic(), 0) {
			names = append(names, topic.Name)
		}
	}
	for _, e := range entries {
		own, _, _ := Belongings(p.config.Kafka, e)
		names = append(slices.AppendSeq(names, maps.Keys(e.Sources)), own...)
	}
	slices.Sort(names)
	return p.admin.Describe(slices.Compact(names)...)
}

// register returns the catalog's changes for the steps. Those registered together share passes where they can; who comes
// later gets one of its own, so as not to rewind the others.
func (p *Processors) register(entries map[string]kafka.Entry, steps []Step, exist map[string]kafka.Topic) (map[string]*kafka.Entry, error) {
	changes := map[string]*kafka.Entry{}
	book := &passBook{processors: p, entries: entries}
	for _, s := range steps {
		var e *kafka.Entry
		var err error
		switch s.Action {
		case Build:
			e, err = p.newEntry(s.definition, exist, book)
		case Alter:
			e, err = p.altered(s, exist, book)
		case Rebuild:
			e, err = p.rebuilt(s, exist, book)
		case Keep:
			if s.Loses != "" { // the definition that was to come is given up
				kept := s.entry
				giveUpNext(&kept, kept.Result)
				e = &kept
			}
		case Drop:
			e = &s.entry
			e.Dropped = true
		}
		if err != nil {
			return nil, err
		}
		if e != nil {
			changes[s.Name] = e
		}
	}
	return changes, nil
}

// newEntry returns the entry of a definition that counts from its start.
func (p *Processors) newEntry(t *tables.Definition, exist map[string]kafka.Topic, book *passBook) (*kafka.Entry, error) {
	columns, err := catalog.Discovered(t)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", t.Kind, t.Name, err)
	}
	e := &kafka.Entry{Table: t.Name, Kind: entryKind(t.Kind), SQL: t.SQL, Hash: kafka.HashSQL(t.SQL), Feed: t.Feed.Name, Columns: columns, Result: t.Topic(), Sources: map[string]kafka.Source{}}
	for _, topic := range t.FeedTopics() {
		if err := p.addSource(e, t, topic, exist, book); err != nil {
			return nil, err
		}
		e.Partitions = max(e.Partitions, exist[topic].Partitions)
	}
	if t.Options.Partitions > 0 {
		e.Partitions = t.Options.Partitions
	}
	return e, nil
}

// addSource makes an entry read one topic more.
func (p *Processors) addSource(e *kafka.Entry, t *tables.Definition, topic string, exist map[string]kafka.Topic, book *passBook) error {
	pass, err := book.passFor(t, topic, t.Options.Start, isMixed(t, topic, p.definitions(), book.entries))
	if err != nil {
		return fmt.Errorf("%s %s: %w", t.Kind, t.Name, err)
	}
	e.Sources[topic] = pass.source(exist[topic])
	return nil
}

// altered returns the entry of something that goes on under another definition.
func (p *Processors) altered(s Step, exist map[string]kafka.Topic, book *passBook) (*kafka.Entry, error) {
	e, t := s.entry, s.definition
	giveUpNext(&e, t.Topic())
	columns, err := catalog.Discovered(t)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", t.Kind, t.Name, err)
	}
	if hash := kafka.HashSQL(t.SQL); hash != e.Hash {
		e.Before = outdated(e.Before, e.Hash, hash)
	}
	if result := t.Topic(); result != e.Result {
		e.Retired = append(slices.Clone(e.Retired), kafka.Retired{Result: e.Result, Serving: t.Kind == tables.KindTable})
		e.Result, e.Published = result, nil
	}
	e.SQL, e.Hash, e.Columns = t.SQL, kafka.HashSQL(t.SQL), columns
	e.Sources = maps.Clone(e.Sources)
	for topic, source := range e.Sources {
		if !slices.Contains(t.FeedTopics(), cmp.Or(source.Letters, topic)) { // a stream's; of a table the rows would be other ones
			e.Retired = append(slices.Clone(e.Retired), kafka.Retired{Sources: map[string]kafka.Source{topic: source}})
			delete(e.Sources, topic)
		} else if err := p.fitsPass(t, source.Pass, book.entries); err != nil {
			return nil, err
		}
	}
	for _, topic := range t.FeedTopics() {
		if _, known := e.Sources[topic]; known {
			continue
		}
		if _, there := exist[topic]; !there {
			return nil, refusal(t, "is to read topic "+topic+", too, which does not exist", "make it, or leave it out for now")
		}
		if err := p.addSource(&e, t, topic, exist, book); err != nil {
			return nil, err
		}
	}
	return &e, nil
}

// fitsPass returns a *Refusal when something that goes on under another definition cannot be read together with the others of its
// pass any more.
func (p *Processors) fitsPass(t *tables.Definition, pass string, entries map[string]kafka.Entry) error {
	all := []*tables.Definition{t}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		if _, _, passes := Belongings(p.config.Kafka, e); name == t.Name || e.Dropped || !slices.Contains(passes, pass) {
			continue
		}
		d, err := p.definition(e)
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	if _, err := tables.SharedLayout(all...); err != nil {
		return refusal(t, "cannot be read together with the others of its pass: "+err.Error(), fmt.Sprintf("give it another name, or `brotally reset %s` gives it a pass of its own", t.Name))
	}
	return nil
}

// rebuilt returns the entry of a table that is to be counted anew beside what there is.
func (p *Processors) rebuilt(s Step, exist map[string]kafka.Topic, book *passBook) (*kafka.Entry, error) {
	e, t := s.entry, s.definition
	if !allExist(exist, t.FeedTopics()) {
		return nil, refusal(t, "is to read "+strings.Join(t.FeedTopics(), ", ")+", which do not all exist", "make them, or leave them out for now")
	}
	next, err := p.newEntry(t, exist, book)
	if err != nil {
		return nil, err
	}
	if next.Result == e.Result {
		next.Partitions = e.Partitions // the topic's
	}
	giveUpNext(&e, next.Result)
	e.Latest++
	next.Generation = e.Latest
	e.Next = next
	return &e, nil
}

// giveUpNext retires the definition that is being built, if there is one, but not the result topic that is the entry's from now on.
func giveUpNext(e *kafka.Entry, result string) {
	if e.Next == nil {
		return
	}
	r := kafka.Retired{Own: e.Next.Own(), Sources: e.Next.Sources}
	if e.Next.Result != e.Result && e.Next.Result != result {
		r.Result = e.Next.Result
	}
	e.Retired, e.Next = append(slices.Clone(e.Retired), r), nil
}

// mostBefore is how many former definitions an entry remembers.
const mostBefore = 20

// outdated adds the hash of a definition that was replaced; the one that took its place is not of the past any more.
func outdated(before []string, was, now string) []string {
	before = slices.DeleteFunc(append(slices.Clone(before), was), func(h string) bool { return h == now })
	return before[max(0, len(before)-mostBefore):]
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

// source is how one reads a topic through the pass.
func (f *freshPass) source(of kafka.Topic) kafka.Source {
	return kafka.Source{ID: of.ID, Partitions: of.Partitions, Start: f.starts, Pass: f.name, Mixed: f.mixed}
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
func (b *passBook) passFor(t *tables.Definition, topic string, start tables.Start, mixed bool) (*freshPass, error) {
	at := startsAt{topic, start}
	starts, ok := b.starts[at]
	if !ok {
		var err error
		if starts, err = b.processors.startOffsets(topic, start); err != nil {
			return nil, err
		}
		if b.starts == nil {
			b.starts = map[startsAt]map[int32]int64{}
		}
		b.starts[at] = starts
	}
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

// name returns a pass's name: the topic's, or the topic's with a number that is higher than that of any other of its passes. A name
// that was given up is not given again: somebody may not have heard. Nor has its group committed anything, as one of tables whose
// topics were deleted by hand would have: the new tables would begin behind it.
func (b *passBook) name(topic string) (string, error) {
	highest := 0
	taken := map[string]bool{}
	take := func(pass string) {
		taken[pass] = true
		if number, ok := strings.CutPrefix(pass, topic+"."); ok {
			if n, err := strconv.Atoi(number); err == nil {
				highest = max(highest, n)
			}
		} else if pass == topic {
			highest = max(highest, 1)
		}
	}
	for _, e := range b.entries {
		for source := range allSources(e) {
			take(source.Pass)
			take(source.Merge)
		}
	}
	for _, f := range b.fresh {
		take(f.name)
	}
	for n := highest + 1; ; n++ {
		name := topic
		if n > 1 {
			name = fmt.Sprintf("%s.%d", topic, n)
		}
		if taken[name] { // a topic may be called like another one's pass
			continue
		}
		committed, err := b.processors.admin.CommittedOffsets(b.processors.config.Kafka.CombineGroup(name))
		if err != nil || len(committed) == 0 {
			return name, err
		}
	}
}

// allSources yields what an entry reads, its next definition and what it has retired included.
func allSources(e kafka.Entry) iter.Seq[kafka.Source] {
	return func(yield func(kafka.Source) bool) {
		all := []map[string]kafka.Source{e.Sources}
		if e.Next != nil {
			all = append(all, e.Next.Sources)
		}
		for _, r := range e.Retired {
			all = append(all, r.Sources)
		}
		for _, sources := range all {
			for _, source := range sources {
				if !yield(source) {
					return
				}
			}
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
	if from, ok := start.Time(p.config.Now()); ok {
		if at, err = p.admin.OffsetsForTime(topic, from); err != nil {
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
