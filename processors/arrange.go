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
	"github.com/brotally/brotally/internal/catalog"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// arrange starts what the catalog says is to run and is not running, and stops what is not to run any more. It is called
// with each state of the catalog, by one goroutine.
func (p *Processors) arrange(ctx context.Context, running *errgroup.Group, entries map[string]kafka.Entry) error {
	a, err := p.place(entries)
	if err != nil {
		return err
	}
	first := p.entries.Load() == nil
	wanted := p.units(a)
	p.stop(func(key string) bool { return wanted[key] == nil })
	p.arranging("topics")
	// Whoever was held up since it looked must not make topics again that are deleted by now.
	switch now, err := p.registry.Load(ctx); {
	case err != nil:
		return err
	case !sameEntries(entries, now):
		return fmt.Errorf("%w: %w", errOutdated, kafka.ErrRetry)
	}
	held := map[string]error{} // what has topics that cannot be made; it does not keep the others from running
	for name, err := range p.ensureTopics(a) {
		if first || errors.Is(err, kafka.ErrRetry) {
			return err
		}
		held[name] = err
	}
	if len(held) > 0 {
		for name, err := range held {
			p.config.Log.Warn("it cannot run yet", "definition", name, "why", err)
		}
		if a, err = p.place(without(entries, held)); err != nil {
			return err
		}
		wanted = p.units(a)
		p.stop(func(key string) bool { return wanted[key] == nil })
	}
	p.arranging("stages")
	names := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if p.running[key] == nil {
			p.start(ctx, running, key, wanted[key])
			for _, name := range wanted[key].names {
				names[name] = true
			}
		}
	}
	p.entries.Store(&entries)
	if len(names) > 0 {
		p.config.Arranged(slices.Sorted(maps.Keys(names)))
	}
	if len(held) > 0 {
		select {
		case <-time.After(heldPause):
		case <-ctx.Done():
		}
		return fmt.Errorf("%d definitions have topics that cannot be made: %w", len(held), kafka.ErrRetry)
	}
	return nil
}

// heldPause is how long what has topics that cannot be made waits before that is tried again.
const heldPause = 5 * time.Second

// without returns the entries without those definitions that are held back; of one that is being built beside another, only that.
func without(entries map[string]kafka.Entry, held map[string]error) map[string]kafka.Entry {
	left := maps.Clone(entries)
	for name, e := range entries {
		if held[e.Own()] != nil {
			delete(left, name)
		} else if e.Next != nil && held[e.Next.Own()] != nil {
			e.Next = nil
			left[name] = e
		}
	}
	return left
}

// unit is a stage that is to run: stage 2 of one table, or stage 1 of one pass.
type unit struct {
	group string
	names []string // of the tables and streams that it starts something new for
	run   func(ctx context.Context) error

	cancel context.CancelFunc
	ended  chan struct{}
}

// units returns the stages of an arrangement. Their keys say all that a stage is made of: one with another key is another
// stage.
func (p *Processors) units(a *arrangement) map[string]*unit {
	all := map[string]*unit{}
	for _, t := range a.tables {
		key := fmt.Sprintf("group %s %s of %s to %s, building %v", t.own, kafka.HashSQL(t.SQL), strings.Join(t.topics, ","), t.result, t.building)
		all[key] = &unit{group: p.config.Kafka.TableGroup(t.own), names: []string{t.Name}, run: func(ctx context.Context) error { return p.runTable(ctx, key, t) }}
	}
	for _, pass := range a.passes {
		key := "pass " + pass.name + ":"
		u := &unit{group: p.config.Kafka.CombineGroup(pass.name)}
		for _, sink := range pass.sinks {
			key += " " + sink.build
			u.names = append(u.names, sink.table.Name)
		}
		for _, sink := range pass.streams {
			key += " " + sink.build + "=" + kafka.HashSQL(sink.stream.SQL)
			u.names = append(u.names, sink.stream.Name)
		}
		u.run = func(ctx context.Context) error {
			ready := func(ctx context.Context) error {
				if err := p.readyStreams(ctx, pass); err != nil || ctx.Err() != nil {
					return err
				}
				return p.awaitSource(ctx, pass)
			}
			stands := p.board.add(StageStatus{Stage: fault.StageCombine, Group: u.group, Pass: pass.name, Feed: pass.feed.Name})
			defer p.board.remove(stands)
			return supervise(ctx, ready, func() *stage {
				s := p.combineStage(pass, stands)
				s.stillThere = p.stillThere(key)
				return s
			}, p.built)
		}
		all[key] = u
	}
	return all
}

// runTable is stage 2 of one table, with what it needs beside it.
func (p *Processors) runTable(ctx context.Context, key string, t *placedTable) error {
	used := &purger{topic: p.config.Kafka.PartialsTopic(t.own), admin: p.admin, log: p.config.Log}
	stands := p.board.add(StageStatus{Stage: fault.StageGroup, Group: p.config.Kafka.TableGroup(t.own), Table: t.label()})
	defer p.board.remove(stands)
	both, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	both.Go(func() error {
		defer cancel()
		ready := func(ctx context.Context) error {
			if err := p.readyGroup(ctx, t); err != nil || ctx.Err() != nil {
				return err
			}
			return p.awaitPredecessors(ctx, t)
		}
		return supervise(ctx, ready, func() *stage {
			s := p.groupStage(t, used, stands)
			s.stillThere = p.stillThere(key)
			return s
		}, p.built)
	})
	both.Go(func() error { return used.run(ctx) })
	return both.Wait()
}

// stillThere returns what says that a stage is not one any more that the catalog has. It is asked as a member of the stage's group:
// whoever changes the catalog and then waits for that group to be empty either finds us in it, or we find the change.
func (p *Processors) stillThere(key string) func(context.Context) error {
	return func(ctx context.Context) error {
		entries, err := p.registry.Load(ctx)
		if err != nil {
			return err
		}
		a, err := p.place(entries)
		if err == nil && p.units(a)[key] == nil {
			err = errOutdated
		}
		return err
	}
}

var errOutdated = errors.New("the catalog has changed")

// start runs a stage until it is stopped or ctx is done.
func (p *Processors) start(ctx context.Context, running *errgroup.Group, key string, u *unit) {
	ctx, u.cancel = context.WithCancel(ctx)
	u.ended = make(chan struct{})
	p.running[key] = u
	if strings.HasPrefix(key, "group ") || len(p.config.Tables) == 0 {
		p.roster.enter(u.group)
	}
	running.Go(func() error {
		defer close(u.ended)
		defer u.cancel()
		return u.run(ctx)
	})
}

// stop ends the stages whose keys are to go, and returns when they have committed what they hold and left their groups.
func (p *Processors) stop(gone func(key string) bool) {
	for key, u := range p.running {
		if gone(key) {
			u.cancel()
		}
	}
	for key, u := range p.running {
		if gone(key) {
			<-u.ended
			p.roster.leave(u.group)
			delete(p.running, key)
		}
	}
}

// ensureTopics creates the internal topics, the result topics and those of streams, as far as they are not there. It returns what
// could not be made, by what the topics of a table's rows are named after, or by stream.
func (p *Processors) ensureTopics(a *arrangement) map[string]error {
	failed := map[string]error{}
	ensure := func(of string, topic kafka.Topic) {
		if failed[of] == nil {
			if err := p.admin.Ensure(topic); err != nil {
				failed[of] = err
			}
		}
	}
	if len(a.tables)+len(a.streams) > 0 {
		ensure("", p.deadLetterTopic())
	}
	for _, t := range a.tables {
		for _, topic := range p.topicsFor(&t.Definition, t.own, t.result, t.partitions) {
			if !t.building || topic.Name != t.result { // else it is not this one's yet
				ensure(t.own, topic)
			}
		}
	}
	for _, s := range a.streams {
		ensure(s.stream.Name, streamTopic(s.topic, s.partitions))
	}
	return failed
}

// place returns what is to run.
func (p *Processors) place(entries map[string]kafka.Entry) (*arrangement, error) {
	a := &arrangement{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		if e.Dropped {
			continue
		}
		if err := p.placeEntry(a, e, false); err != nil {
			return nil, err
		}
		if e.Next == nil {
			continue
		}
		if err := p.placeEntry(a, *e.Next, true); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// placeEntry adds what is to run of one definition. building says that it is not the one that answers.
func (p *Processors) placeEntry(a *arrangement, e kafka.Entry, building bool) error {
	table, stream, err := p.compiled(e)
	if err != nil {
		return err
	}
	passOf := func(topic string, d *tables.Definition) *pass {
		if e.Sources[topic].Merge != "" {
			return nil // it is read again when its pass is one with another
		}
		return a.passOf(topic, e.Sources[topic], d.Feed)
	}
	topics := slices.Sorted(maps.Keys(e.Sources))
	if table != nil {
		placed := &placedTable{Table: table, own: e.Own(), topics: topics, partitions: e.Partitions, result: e.Result, building: building, starts: map[codecs.Source]int64{}}
		if placed.avro, err = tableAvro(table, e.Result); err != nil {
			return fmt.Errorf("table %s: %w", e.Table, err)
		}
		placed.before = slices.DeleteFunc(slices.Clone(e.Retired), func(r kafka.Retired) bool { return !r.Serving })
		a.tables = append(a.tables, placed)
		for _, topic := range topics {
			for partition := range e.Sources[topic].Partitions {
				placed.sources = append(placed.sources, codecs.Source{Topic: topic, Partition: partition})
			}
			for partition, from := range e.Sources[topic].Start {
				placed.starts[codecs.Source{Topic: topic, Partition: partition}] = from
			}
			sink := tableSink{table: table, own: placed.own, build: e.Build(), topic: goka.Stream(p.config.Kafka.PartialsTopic(placed.own)), partitions: e.Partitions, starts: e.Sources[topic].Begin()}
			if pass := passOf(topic, &table.Definition); pass != nil {
				pass.sinks = append(pass.sinks, sink)
			}
		}
		return nil
	}
	placed := &placedStream{streamSink: streamSink{stream: stream, build: e.Build(), topic: e.Result, partitions: e.Partitions}}
	a.streams = append(a.streams, placed)
	for _, topic := range topics {
		sink := placed.streamSink
		sink.starts = e.Sources[topic].Begin()
		if sink.avro, err = streamAvro(stream, e.Result); err != nil { // each pass has its own, for passes are built side by side
			return fmt.Errorf("stream %s: %w", e.Table, err)
		}
		if pass := passOf(topic, &stream.Definition); pass != nil {
			pass.streams = append(pass.streams, sink)
			placed.passes = append(placed.passes, pass.name)
		}
	}
	return nil
}

// compiled returns the table or the stream of an entry: that of the files if it is the same one.
func (p *Processors) compiled(e kafka.Entry) (*tables.Table, *tables.Stream, error) {
	hash := kafka.HashSQL(e.SQL)
	for _, t := range p.config.Tables {
		if t.Name == e.Table && kafka.HashSQL(t.SQL) == hash && e.Kind == "" {
			return t, nil, nil
		}
	}
	for _, s := range p.config.Streams {
		if s.Name == e.Table && kafka.HashSQL(s.SQL) == hash && e.Kind != "" {
			return nil, s, nil
		}
	}
	d, err := catalog.Compile(e)
	if err != nil {
		return nil, nil, err
	}
	if len(d.Tables) > 0 {
		return d.Tables[0], nil, nil
	}
	return nil, d.Streams[0], nil
}

// definition returns what an entry defines, be it a table or a stream.
func (p *Processors) definition(e kafka.Entry) (*tables.Definition, error) {
	table, stream, err := p.compiled(e)
	if err != nil {
		return nil, err
	}
	if table != nil {
		return &table.Definition, nil
	}
	return &stream.Definition, nil
}

// warnMixed says which topics carry other feeds now that did not when their tables were made, and what comes of it.
func (p *Processors) warnMixed(entries map[string]kafka.Entry) {
	for _, d := range p.definitions() {
		for topic, source := range entries[d.Name].Sources {
			if source.Letters == "" && !source.Mixed && isMixed(d, topic, p.definitions(), entries) {
				p.config.Log.Warn("the topic carries other feeds now and did not when the "+string(d.Kind)+" was made: a record without tag and _path still counts, whatever it is",
					string(d.Kind), d.Name, "topic", topic, "hint", fmt.Sprintf("brotally reset %s %s anew", d.Name, verb(d.Kind)))
			}
		}
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

// awaitTopics waits for the topics of tables and streams that have none yet, says so once a minute, and enters them into the
// catalog as soon as theirs are there.
func (p *Processors) awaitTopics(ctx context.Context, waiting []*tables.Definition) error {
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
		if waiting, err = p.apply(ctx, false); err != nil {
			return err
		}
	}
	return nil
}
