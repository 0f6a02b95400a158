package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lovoo/goka"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Refusal says why a set of definitions cannot run beside what the catalog holds, and the way out.
type Refusal struct {
	Table  string
	Why    string
	WayOut string
}

func (r *Refusal) Error() string {
	and := "; "
	if strings.Contains(r.Why, "\n") {
		and = "\n" // it shows a definition, whose last line is no place for the way out
	}
	return fmt.Sprintf("table %s %s%s%s", r.Table, r.Why, and, r.WayOut)
}

// topicsOf returns the topics of t's feed.
func topicsOf(t *tables.Table) []string {
	if len(t.Options.FeedTopics) > 0 {
		return t.Options.FeedTopics
	}
	return []string{t.Feed.Name}
}

// resultOf returns t's result topic.
func resultOf(t *tables.Table) string {
	if t.Options.Topic != "" {
		return t.Options.Topic
	}
	return t.Name
}

// arrange registers the tables whose topics exist, and starts them and those that the catalog knows already, as far as
// they are not running yet. It returns the tables that wait for topics.
func (p *Processors) arrange(ctx context.Context, running *errgroup.Group) (waiting []*tables.Table, err error) {
	catalog, err := kafka.OpenCatalog(p.admin, p.config.Kafka)
	if err != nil {
		return nil, err
	}
	var a *arrangement
	err = catalog.Update(ctx, func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		changes, err := p.register(entries)
		if err != nil {
			return nil, err
		}
		a, waiting = p.place(entries, changes)
		return changes, nil
	})
	if err != nil {
		return nil, err
	}
	if err := p.ensureTopics(a); err != nil {
		return nil, err
	}
	p.start(ctx, running, a)
	if names := a.tableNames(); len(names) > 0 {
		p.config.Arranged(names)
	}
	return waiting, nil
}

// register returns the catalog's changes: an entry for each table that it does not have and whose topics exist. Tables
// registered together share passes where they can; who comes later gets one of its own, so as not to rewind the others.
// All that could refuse the tables is looked at here, before anything is written or made.
func (p *Processors) register(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
	defined := p.config.Tables
	if err := refuse(entries, defined); err != nil {
		return nil, err
	}
	if err := clashes(p.config.Kafka, entries, defined); err != nil {
		return nil, err
	}
	names := []string{p.config.Kafka.DeadLetterTopic()}
	for _, t := range defined {
		names = append(names, topicsOf(t)...)
		for _, topic := range p.topicsFor(t.Name, resultOf(t), 0) {
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
		if _, known := entries[t.Name]; known || !allExist(exist, topicsOf(t)) {
			continue
		}
		if err := p.leftovers(t, exist); err != nil {
			return nil, err
		}
		columns, err := discovered(t)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.Name, err)
		}
		e := kafka.Entry{Table: t.Name, SQL: t.SQL, Feed: t.Feed.Name, Columns: columns, Result: resultOf(t), Sources: map[string]kafka.Source{}}
		for _, topic := range topicsOf(t) {
			pass, err := book.passFor(t, topic)
			if err != nil {
				return nil, fmt.Errorf("table %s: %w", t.Name, err)
			}
			e.Sources[topic] = kafka.Source{ID: exist[topic].ID, Partitions: exist[topic].Partitions, Start: pass.starts, Pass: pass.name}
			e.Partitions = max(e.Partitions, exist[topic].Partitions)
		}
		if t.Options.Partitions > 0 {
			e.Partitions = t.Options.Partitions
		}
		changes[t.Name] = &e
	}
	return changes, p.checkTopics(entries, changes, exist)
}

// leftovers returns a *Refusal when a table that the catalog does not know would write to topics that are there already:
// a result topic of somebody else's, or rows and partials of a table that was not reset.
func (p *Processors) leftovers(t *tables.Table, exist map[string]kafka.Topic) error {
	result := resultOf(t)
	if _, there := exist[result]; there {
		return &Refusal{t.Name, fmt.Sprintf("would write to topic %s, which exists and is not ours", result),
			"choose another topic with WITH (topic = '...'), or delete that one"}
	}
	for _, topic := range p.topicsFor(t.Name, result, 0) {
		if _, there := exist[topic.Name]; there {
			return &Refusal{t.Name, fmt.Sprintf("has a topic %s from before, of which the catalog knows nothing", topic.Name),
				fmt.Sprintf("`brotally reset %s` removes it", t.Name)}
		}
	}
	return nil
}

// checkTopics checks the topics that are there of tables that are to be started. One that the catalog knows and that has
// begun must have all of its own: what is made anew for it would be empty.
func (p *Processors) checkTopics(entries map[string]kafka.Entry, changes map[string]*kafka.Entry, exist map[string]kafka.Topic) error {
	if _, there := exist[p.config.Kafka.DeadLetterTopic()]; there {
		if err := p.admin.Ensure(p.deadLetterTopic()); err != nil {
			return err
		}
	}
	a, _ := p.place(entries, changes)
	for _, t := range a.tables {
		missing, begun := "", false
		for _, topic := range p.topicsFor(t.Name, t.result, t.partitions) {
			if _, there := exist[topic.Name]; !there {
				missing = topic.Name
				continue
			}
			if err := p.admin.Ensure(topic); err != nil {
				return err
			}
			held, err := p.admin.Offsets(topic.Name)
			if err != nil {
				return err
			}
			for _, r := range held[topic.Name] {
				begun = begun || r.Newest > 0
			}
		}
		if missing != "" && begun {
			return &Refusal{t.Name, "has lost its topic " + missing, fmt.Sprintf("`brotally reset %s` counts anew", t.Name)}
		}
	}
	return nil
}

// refuse returns a *Refusal when the definitions do not fit what the catalog holds.
func refuse(entries map[string]kafka.Entry, defined []*tables.Table) error {
	for _, t := range defined {
		if e, known := entries[t.Name]; known && e.Hash == kafka.HashSQL(t.SQL) {
			if err := retyped(e, t); err != nil {
				return err
			}
		} else if known {
			return &Refusal{t.Name, "was defined differently before:\n  " + strings.ReplaceAll(e.SQL, "\n", "\n  ") + "\nnow\n  " + strings.ReplaceAll(t.SQL, "\n", "\n  "),
				fmt.Sprintf("`brotally reset %s` forgets the old one and counts anew, or give the new one another name", t.Name)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if !slices.ContainsFunc(defined, func(t *tables.Table) bool { return t.Name == name }) {
			return &Refusal{name, "is in the catalog and not in the files",
				fmt.Sprintf("add its definition, or `brotally reset %s` drops it: who reads its pass without it would lose its records", name)}
		}
	}
	return nil
}

// clashes returns a *Refusal when two tables would write to one topic, or one to what is read or kept by another.
func clashes(names kafka.Config, entries map[string]kafka.Entry, defined []*tables.Table) error {
	const rename = "choose another topic with WITH (topic = '...')"
	taken := map[string]string{names.CatalogTopic(): "the catalog", names.DeadLetterTopic(): "the dead letters"}
	for _, t := range defined {
		if strings.HasPrefix(names.TableGroup(t.Name), names.CombineGroup("")) {
			return &Refusal{t.Name, "would have the consumer group of a pass, " + names.TableGroup(t.Name), "give it another name"}
		}
		for _, topic := range topicsOf(t) {
			taken[topic] = "the records of table " + t.Name
		}
		taken[names.PartialsTopic(t.Name)] = "the partials of table " + t.Name
		taken[names.ChangelogTopic(t.Name)] = "the rows of table " + t.Name
	}
	for name, e := range entries {
		for topic := range e.Sources {
			taken[topic] = "the records of table " + name
		}
	}
	for _, t := range defined {
		result := resultOf(t)
		if what := taken[result]; what != "" {
			return &Refusal{t.Name, fmt.Sprintf("would write to topic %s, which has %s", result, what), rename}
		}
		taken[result] = "the result of table " + t.Name
	}
	return nil
}

// sourcesReplaced returns a *Refusal when a topic that a table has read was deleted and made again: its offsets begin
// anew, so that going on would skip records or count them twice.
func sourcesReplaced(entries map[string]kafka.Entry, exist map[string]kafka.Topic) error {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		for topic, source := range entries[name].Sources {
			if now := exist[topic].ID; replaced(source.ID, now) {
				return sourceReplaced(name, topic, source.ID, now)
			}
		}
	}
	return nil
}

// replaced says whether a topic's id has changed; brokers before 2.8 have none.
func replaced(was, now string) bool { return was != "" && now != "" && was != now }

func sourceReplaced(table, topic, was, now string) *Refusal {
	return &Refusal{table, fmt.Sprintf("has counted topic %s with id %s, which is now another topic with id %s", topic, was, now),
		fmt.Sprintf("`brotally reset %s` counts the new one from its beginning", table)}
}

func allExist(exist map[string]kafka.Topic, topics []string) bool {
	return !slices.ContainsFunc(topics, func(t string) bool { _, ok := exist[t]; return !ok })
}

// passBook gives newly registered tables their passes.
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
	starts map[int32]int64
	tables []*tables.Table
}

// startsAt is what start offsets depend on. They are asked for once: a topic goes on growing meanwhile.
type startsAt struct {
	topic string
	start tables.Start
}

// passFor returns the pass that reads topic for t: that of other new tables of the same feed that start at the same
// offsets and read its columns as the same types, else a new one.
func (b *passBook) passFor(t *tables.Table, topic string) (*freshPass, error) {
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
	for _, f := range b.fresh {
		if f.topic != topic || f.tables[0].Feed.Name != t.Feed.Name || !maps.Equal(f.starts, starts) {
			continue
		}
		if _, err := tables.LayoutOf(append(slices.Clone(f.tables), t)...); err == nil {
			f.tables = append(f.tables, t)
			return f, nil
		}
	}
	name, err := b.name(topic)
	if err != nil {
		return nil, err
	}
	b.fresh = append(b.fresh, &freshPass{name: name, topic: topic, starts: starts, tables: []*tables.Table{t}})
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

// place returns what is to be started of the tables that are not running, and the tables that wait for topics.
func (p *Processors) place(entries map[string]kafka.Entry, changes map[string]*kafka.Entry) (a *arrangement, waiting []*tables.Table) {
	a = &arrangement{}
	for _, t := range p.config.Tables {
		if p.started[t.Name] {
			continue
		}
		e, known := entries[t.Name]
		if fresh := changes[t.Name]; fresh != nil {
			e, known = *fresh, true
		}
		if !known {
			waiting = append(waiting, t)
			continue
		}
		placed := &placedTable{Table: t, partitions: e.Partitions, result: e.Result, starts: map[codecs.Source]int64{}}
		a.tables = append(a.tables, placed)
		sink := tableSink{table: t, topic: goka.Stream(p.config.Kafka.PartialsTopic(t.Name)), partitions: e.Partitions}
		for _, topic := range slices.Sorted(maps.Keys(e.Sources)) {
			pass := a.passOf(topic, e.Sources[topic], t.Feed)
			pass.sinks = append(pass.sinks, sink)
			for partition, from := range e.Sources[topic].Start {
				placed.starts[codecs.Source{Topic: topic, Partition: partition}] = from
			}
		}
	}
	return a, waiting
}

// deadLetterTopic returns the dead-letter topic as it must be.
func (p *Processors) deadLetterTopic() kafka.Topic {
	return kafka.Topic{Name: p.config.Kafka.DeadLetterTopic(), Partitions: 1, Config: map[string]string{"cleanup.policy": "compact,delete"}}
}

// topicsFor returns a table's own topics as they must be.
func (p *Processors) topicsFor(table, result string, partitions int32) []kafka.Topic {
	names := p.config.Kafka
	return []kafka.Topic{
		{Name: names.PartialsTopic(table), Partitions: partitions, Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}},
		{Name: names.ChangelogTopic(table), Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact", "segment.bytes": "67108864"}},
		{Name: result, Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact"}},
	}
}

// ensureTopics creates the internal topics and the result topics, as far as they are not there.
func (p *Processors) ensureTopics(a *arrangement) error {
	if err := p.admin.Ensure(p.deadLetterTopic()); err != nil {
		return err
	}
	for _, t := range a.tables {
		for _, topic := range p.topicsFor(t.Name, t.result, t.partitions) {
			if err := p.admin.Ensure(topic); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitSource waits until the topic of a pass is there, as it is not when a table that the catalog knows has lost it, and
// says so once a minute. The error is a *Refusal when it is another topic of the same name. What else goes wrong shows
// when the stage is built.
func (p *Processors) awaitSource(ctx context.Context, pass *pass) error {
	const look, say = time.Second, time.Minute
	var said time.Time
	for {
		there, err := p.sameTopic(pass)
		var refused *Refusal
		if errors.As(err, &refused) {
			return err
		}
		if there || err != nil {
			return nil
		}
		if time.Since(said) >= say {
			said = time.Now()
			p.config.Log.Warn("waiting for an input topic", "tables", pass.tableNames(), "topics", pass.topic)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(look):
		}
	}
}

// sameTopic says whether the pass's topic is there; the error is a *Refusal when it is not the one that its tables have
// counted.
func (p *Processors) sameTopic(pass *pass) (there bool, err error) {
	exist, err := p.admin.Describe(pass.topic)
	if err != nil {
		return false, err
	}
	now, there := exist[pass.topic]
	if there && replaced(pass.id, now.ID) {
		return true, sourceReplaced(pass.tableNames(), pass.topic, pass.id, now.ID)
	}
	return there, nil
}

// awaitTopics waits for the topics of tables that have none yet, says so once a minute, and starts the tables as soon as
// theirs are there.
func (p *Processors) awaitTopics(ctx context.Context, running *errgroup.Group, waiting []*tables.Table) error {
	const look, say = time.Second, time.Minute
	var said time.Time
	for len(waiting) > 0 {
		if time.Since(said) >= say {
			said = time.Now()
			for _, t := range waiting {
				p.config.Log.Warn("waiting for an input topic", "table", t.Name, "topics", strings.Join(topicsOf(t), ","))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(look):
		}
		var names []string
		for _, t := range waiting {
			names = append(names, topicsOf(t)...)
		}
		exist, err := p.admin.Describe(names...)
		if err != nil {
			p.config.Log.Warn("looking for input topics", "why", err)
			continue
		}
		if !slices.ContainsFunc(waiting, func(t *tables.Table) bool { return allExist(exist, topicsOf(t)) }) {
			continue
		}
		if waiting, err = p.arrange(ctx, running); err != nil {
			return err
		}
	}
	return nil
}
