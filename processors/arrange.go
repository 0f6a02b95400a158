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
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

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
			if !e.Sources[topic].Mixed && isMixed(t, topic, p.config.Tables, entries) {
				p.config.Log.Warn("the topic carries other feeds now and did not when the table was made: a record without tag and _path still counts, whatever it is",
					"table", t.Name, "topic", topic, "hint", "brotally reset "+t.Name+" counts anew")
			}
			pass := a.passOf(topic, e.Sources[topic], t.Feed)
			pass.sinks = append(pass.sinks, sink)
			for partition, from := range e.Sources[topic].Start {
				placed.starts[codecs.Source{Topic: topic, Partition: partition}] = from
			}
		}
	}
	return a, waiting
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

// sharedTopicHint says what to do when the topic is there that Bro's plugin writes all logs to unless told otherwise.
func (p *Processors) sharedTopicHint() string {
	exist, err := p.admin.Describe(feeds.PluginTopics...)
	if err != nil {
		return ""
	}
	for _, topic := range feeds.PluginTopics {
		if _, ok := exist[topic]; ok {
			return fmt.Sprintf("there is a topic %s: if it carries all logs, say --feed %s", topic, topic)
		}
	}
	return ""
}

// awaitTopics waits for the topics of tables that have none yet, says so once a minute, and starts the tables as soon as
// theirs are there.
func (p *Processors) awaitTopics(ctx context.Context, running *errgroup.Group, waiting []*tables.Table) error {
	const look, say = time.Second, time.Minute
	var said time.Time
	for len(waiting) > 0 {
		if time.Since(said) >= say {
			said = time.Now()
			hint := p.sharedTopicHint()
			for _, t := range waiting {
				log := p.config.Log
				if hint != "" {
					log = log.With("hint", hint)
				}
				log.Warn("waiting for an input topic", "table", t.Name, "topics", strings.Join(topicsOf(t), ","))
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
