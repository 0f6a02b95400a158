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

// arrange registers the tables and streams whose topics exist, and starts them and those that the catalog knows already, as
// far as they are not running yet. It returns those that wait for topics.
func (p *Processors) arrange(ctx context.Context, running *errgroup.Group) (waiting []*tables.Definition, err error) {
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
	if names := a.names(); len(names) > 0 {
		p.config.Arranged(names)
	}
	return waiting, nil
}

// place returns what is to be started of what is not running, and what waits for topics.
func (p *Processors) place(entries map[string]kafka.Entry, changes map[string]*kafka.Entry) (a *arrangement, waiting []*tables.Definition) {
	a = &arrangement{}
	// entry returns what the catalog has, or is to get, of a definition that is not running.
	entry := func(d *tables.Definition) (e kafka.Entry, ok bool) {
		if p.started[d.Name] {
			return e, false
		}
		if fresh := changes[d.Name]; fresh != nil {
			return *fresh, true
		}
		if e, ok = entries[d.Name]; !ok {
			waiting = append(waiting, d)
		}
		return e, ok
	}
	for _, t := range p.config.Tables {
		e, ok := entry(&t.Definition)
		if !ok {
			continue
		}
		placed := &placedTable{Table: t, partitions: e.Partitions, result: e.Result, starts: map[codecs.Source]int64{}}
		placed.avro, _ = tableAvro(t, e.Result) // New has found its errors
		a.tables = append(a.tables, placed)
		sink := tableSink{table: t, topic: goka.Stream(p.config.Kafka.PartialsTopic(t.Name)), partitions: e.Partitions}
		for _, topic := range slices.Sorted(maps.Keys(e.Sources)) {
			p.warnMixed(&t.Definition, topic, e, entries)
			pass := a.passOf(topic, e.Sources[topic], t.Feed)
			pass.sinks = append(pass.sinks, sink)
			for partition, from := range e.Sources[topic].Start {
				placed.starts[codecs.Source{Topic: topic, Partition: partition}] = from
			}
		}
	}
	for _, s := range p.config.Streams {
		e, ok := entry(&s.Definition)
		if !ok {
			continue
		}
		placed := &placedStream{streamSink: streamSink{stream: s, topic: e.Result, partitions: e.Partitions}}
		a.streams = append(a.streams, placed)
		for _, topic := range slices.Sorted(maps.Keys(e.Sources)) {
			p.warnMixed(&s.Definition, topic, e, entries)
			pass := a.passOf(topic, e.Sources[topic], s.Feed)
			sink := placed.streamSink
			sink.avro, _ = streamAvro(s, e.Result) // each pass has its own, for passes are built side by side; New has found its errors
			pass.streams = append(pass.streams, sink)
			placed.passes = append(placed.passes, pass.name)
		}
	}
	return a, waiting
}

// warnMixed says that a topic carries other feeds now, and what comes of it.
func (p *Processors) warnMixed(d *tables.Definition, topic string, e kafka.Entry, entries map[string]kafka.Entry) {
	if !e.Sources[topic].Mixed && isMixed(d, topic, p.definitions(), entries) {
		p.config.Log.Warn("the topic carries other feeds now and did not when the "+string(d.Kind)+" was made: a record without tag and _path still counts, whatever it is",
			string(d.Kind), d.Name, "topic", topic, "hint", fmt.Sprintf("brotally reset %s %s anew", d.Name, verb(d.Kind)))
	}
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
			p.config.Log.Warn("waiting for an input topic", "tables", pass.names(), "topics", pass.topic)
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
		return true, sourceReplaced(pass.kind(), pass.names(), pass.topic, pass.id, now.ID)
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

// awaitTopics waits for the topics of tables and streams that have none yet, says so once a minute, and starts them as soon
// as theirs are there.
func (p *Processors) awaitTopics(ctx context.Context, running *errgroup.Group, waiting []*tables.Definition) error {
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
				log.Warn("waiting for an input topic", string(t.Kind), t.Name, "topics", strings.Join(t.FeedTopics(), ","))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(look):
		}
		var names []string
		for _, t := range waiting {
			names = append(names, t.FeedTopics()...)
		}
		exist, err := p.admin.Describe(names...)
		if err != nil {
			p.config.Log.Warn("looking for input topics", "why", err)
			continue
		}
		if !slices.ContainsFunc(waiting, func(t *tables.Definition) bool { return allExist(exist, t.FeedTopics()) }) {
			continue
		}
		if waiting, err = p.arrange(ctx, running); err != nil {
			return err
		}
	}
	return nil
}
