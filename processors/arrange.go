package processors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lovoo/goka"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Refusal says why a set of definitions cannot run beside what the catalog holds, and the way out.
type Refusal struct {
	Table  string
	Why    string
	WayOut string
}

func (r *Refusal) Error() string { return fmt.Sprintf("table %s %s; %s", r.Table, r.Why, r.WayOut) }

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
	return waiting, nil
}

// register returns the catalog's changes: an entry for each table that it does not have and whose topics exist. Tables
// registered together share a pass for each topic; who comes later gets one of its own, so as not to rewind the others.
func (p *Processors) register(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
	defined := p.config.Tables
	if err := refuse(entries, defined); err != nil {
		return nil, err
	}
	changes := map[string]*kafka.Entry{}
	var names []string
	for _, t := range defined {
		names = append(names, append(topicsOf(t), resultOf(t))...)
	}
	for _, e := range entries {
		names = slices.AppendSeq(names, maps.Keys(e.Sources))
	}
	exist, err := p.admin.Describe(names...)
	if err != nil {
		return nil, err
	}
	if err := sourcesReplaced(entries, exist); err != nil {
		return nil, err
	}
	passes := map[string]string{} // topic to the pass that the newly registered tables share
	for _, t := range defined {
		if _, known := entries[t.Name]; known || !allExist(exist, topicsOf(t)) {
			continue
		}
		result := resultOf(t)
		if _, there := exist[result]; there {
			return nil, &Refusal{t.Name, fmt.Sprintf("would write to topic %s, which exists and is not ours", result),
				"choose another topic with WITH (topic = '...'), or delete that one"}
		}
		e := kafka.Entry{Table: t.Name, SQL: t.SQL, Feed: t.Feed.Name, Result: result, Sources: map[string]kafka.Source{}}
		for _, topic := range topicsOf(t) {
			starts, err := p.startOffsets(topic, t.Options.Start)
			if err != nil {
				return nil, fmt.Errorf("table %s: %w", t.Name, err)
			}
			if passes[topic] == "" {
				passes[topic] = freshPass(entries, topic)
			}
			e.Sources[topic] = kafka.Source{ID: exist[topic].ID, Partitions: exist[topic].Partitions, Start: starts, Pass: passes[topic]}
			e.Partitions = max(e.Partitions, exist[topic].Partitions)
		}
		if t.Options.Partitions > 0 {
			e.Partitions = int32(t.Options.Partitions)
		}
		changes[t.Name] = &e
	}
	splitByStart(changes, entries)
	return changes, nil
}

// refuse returns a *Refusal when the definitions do not fit what the catalog holds.
func refuse(entries map[string]kafka.Entry, defined []*tables.Table) error {
	for _, t := range defined {
		if e, known := entries[t.Name]; known && e.Hash != kafka.HashSQL(t.SQL) {
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

// sourcesReplaced returns a *Refusal when a topic that a table has read was deleted and made again: its offsets begin
// anew, so that going on would skip records or count them twice.
func sourcesReplaced(entries map[string]kafka.Entry, exist map[string]kafka.Topic) error {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		for topic, source := range entries[name].Sources {
			if now := exist[topic].ID; now != "" && source.ID != "" && now != source.ID {
				return &Refusal{name, fmt.Sprintf("has counted topic %s with id %s, which is now another topic with id %s", topic, source.ID, now),
					fmt.Sprintf("`brotally reset %s` counts the new one from its beginning", name)}
			}
		}
	}
	return nil
}

func allExist(exist map[string]kafka.Topic, topics []string) bool {
	return !slices.ContainsFunc(topics, func(t string) bool { _, ok := exist[t]; return !ok })
}

// freshPass returns a pass's name for the topic that no table has: the topic's, or the topic's with a number.
func freshPass(entries map[string]kafka.Entry, topic string) string {
	taken := map[string]bool{}
	for _, e := range entries {
		taken[e.Sources[topic].Pass] = true
	}
	name := topic
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s.%d", topic, n)
	}
	return name
}

// splitByStart gives newly registered tables that start at other offsets than the first of their pass a pass of their own.
func splitByStart(changes map[string]*kafka.Entry, entries map[string]kafka.Entry) {
	all := maps.Clone(entries)
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		e := changes[name]
		for topic, source := range e.Sources {
			for _, other := range all {
				if o := other.Sources[topic]; o.Pass == source.Pass && !maps.Equal(o.Start, source.Start) {
					source.Pass = freshPass(all, topic)
					e.Sources[topic] = source
					break
				}
			}
		}
		all[name] = *e
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
		a.tables = append(a.tables, &placedTable{Table: t, partitions: e.Partitions, result: e.Result})
		sink := tableSink{table: t, topic: goka.Stream(p.config.Kafka.PartialsTopic(t.Name)), partitions: e.Partitions}
		for _, topic := range slices.Sorted(maps.Keys(e.Sources)) {
			pass := a.passOf(e.Sources[topic].Pass, topic, t.Feed, e.Sources[topic].Start)
			pass.sinks = append(pass.sinks, sink)
		}
	}
	return a, waiting
}

// ensureTopics creates the internal topics and the result topics, or checks that they are as they must be.
func (p *Processors) ensureTopics(a *arrangement) error {
	names := p.config.Kafka
	if err := p.admin.Ensure(kafka.Topic{Name: names.DeadLetterTopic(), Partitions: 1, Config: map[string]string{"cleanup.policy": "compact,delete"}}); err != nil {
		return err
	}
	for _, t := range a.tables {
		for _, topic := range []kafka.Topic{
			{Name: names.PartialsTopic(t.Name), Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}},
			{Name: names.ChangelogTopic(t.Name), Config: map[string]string{"cleanup.policy": "compact", "segment.bytes": "67108864"}},
			{Name: t.result, Config: map[string]string{"cleanup.policy": "compact"}},
		} {
			topic.Partitions = t.partitions
			if err := p.admin.Ensure(topic); err != nil {
				return err
			}
		}
	}
	return nil
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
