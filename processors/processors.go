package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Config says what is to be run and how.
type Config struct {
	Kafka   kafka.Config
	Tables  []*tables.Table
	Streams []*tables.Stream

	// CommitMin is the least time between two commits of a stage, the floor of latency: a record takes up to one interval in
	// either stage. Less costs the broker more: at 20 ms about half a core. Defaults to 20 ms.
	CommitMin time.Duration

	// CommitMax is the most time between two commits while a stage is behind. More combines better and holds more in
	// memory. It must be well below [kafka.TransactionTimeout]. Defaults to 1 second.
	CommitMax time.Duration

	// CombineBytes is how much memory the partials of one stage may hold, over all its partitions, before they are committed
	// early. More combines better; it also makes transactions larger, which must end well within [kafka.TransactionTimeout].
	// Defaults to 32 MiB, some 250,000 groups.
	CombineBytes int

	// CommitRecords ends a commit interval after that many records of one source partition; tests set it. Defaults to no limit.
	CommitRecords int

	// Arranged is called with the names of tables and streams when their stages are started: those whose input topics exist at
	// once, others when theirs appear. It must not block. Optional.
	Arranged func(names []string)

	// Committed is called after each commit of a stage, also one that failed. It must not block. Optional.
	Committed func(Commit)

	// Log gets what an operator should know; defaults to discarding.
	Log *slog.Logger
}

func (c *Config) defaults() error {
	if c.CommitMin == 0 {
		c.CommitMin = 20 * time.Millisecond
	}
	if c.CommitMax == 0 {
		c.CommitMax = max(time.Second, c.CommitMin)
	}
	if c.CombineBytes == 0 {
		c.CombineBytes = 32 << 20
	}
	if c.Arranged == nil {
		c.Arranged = func([]string) {}
	}
	if c.Committed == nil {
		c.Committed = func(Commit) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.CommitMin < 0 || c.CommitMin > c.CommitMax || c.CommitMax > kafka.TransactionTimeout/2 {
		return fmt.Errorf("commit interval %v to %v: want 0 < least <= most <= %v", c.CommitMin, c.CommitMax, kafka.TransactionTimeout/2)
	}
	return nil
}

// behind is how many records of lag count as being behind: then combining longer saves more than it delays.
const behind = 5000

// Processors runs the stages of a set of tables and streams.
type Processors struct {
	config Config
	admin  *kafka.Admin

	roster  roster
	started map[string]bool // tables and streams whose stages run; only arrange uses it
	book    *book
	board   board
	built   func(*stage) // called with each stage before it runs; tests set it

	records atomic.Int64 // source records committed by stage 1
	running atomic.Int64 // tables and streams that are started
}

// New checks the configuration. It opens no connection.
func New(c Config) (*Processors, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	var err error
	if c.Kafka, err = c.Kafka.Resolve(); err != nil {
		return nil, err
	}
	// Names of groups and of instances end up in a static member's id; better to hear of a bad one now than from each stage.
	client, err := c.Kafka.Sarama()
	if err != nil {
		return nil, err
	}
	client.Consumer.Group.InstanceId = c.Kafka.CombineGroup(c.Kafka.Instance)
	if err := client.Validate(); err != nil {
		return nil, fmt.Errorf("app %q, instance %q: %w", c.Kafka.App, c.Kafka.Instance, err)
	}
	return &Processors{config: c, started: map[string]bool{}, book: newBook(c.Log), built: func(*stage) {}}, nil
}

// definitions returns what is to run.
func (p *Processors) definitions() []*tables.Definition {
	var all []*tables.Definition
	for _, t := range p.config.Tables {
		all = append(all, &t.Definition)
	}
	for _, s := range p.config.Streams {
		all = append(all, &s.Definition)
	}
	return all
}

// Records returns how many source records stage 1 has committed since the start.
func (p *Processors) Records() int64 { return p.records.Load() }

// Run registers the tables in the catalog, creates their topics and runs their stages until ctx is done, which is no
// error. Tables whose input topics do not exist wait for them while the others run. Errors before anything runs are
// those of the catalog and of topics that are not as they must be: [*kafka.TopicMismatch], [*Refusal].
func (p *Processors) Run(ctx context.Context) error {
	// These connections outlive ctx, for a stage that stops still commits and leaves its group; but not by much.
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	connected := context.AfterFunc(ctx, kill)
	admin, err := kafka.NewAdmin(life, p.config.Kafka)
	if err == nil {
		defer func() { _ = admin.Close() }() // nothing is lost with a connection that will not close
	}
	if !connected() {
		return nil // ctx was done first
	}
	if err != nil {
		return err
	}
	p.admin = admin

	running, inner := errgroup.WithContext(ctx)
	defer context.AfterFunc(inner, func() { time.AfterFunc(stopPatience, kill) })()
	running.Go(func() error {
		waiting, err := p.arrange(inner, running)
		if err != nil {
			return fmt.Errorf("arrange tables: %w", err)
		}
		return p.awaitTopics(inner, running, waiting)
	})
	if err := running.Wait(); err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		return err
	}
	return nil
}

// stopPatience is how long stages that are told to end may ask brokers for something. Their transactions are given up by then.
const stopPatience = kafka.TransactionTimeout

// start runs the stages of newly arranged tables and passes.
func (p *Processors) start(ctx context.Context, running *errgroup.Group, a *arrangement) {
	defer p.running.Add(int64(len(a.tables) + len(a.streams)))
	for _, t := range a.tables {
		p.started[t.Name] = true
		p.roster.enter(p.config.Kafka.TableGroup(t.Name))
		used := &purger{topic: p.config.Kafka.PartialsTopic(t.Name), admin: p.admin, log: p.config.Log}
		stands := p.board.add(StageStatus{Stage: fault.StageGroup, Group: p.config.Kafka.TableGroup(t.Name), Table: t.Name})
		ready := func(context.Context) error { return nil }
		running.Go(func() error {
			return supervise(ctx, ready, func() *stage { return p.groupStage(t, used, stands) }, p.built)
		})
		running.Go(func() error { return used.run(ctx) })
	}
	for _, s := range a.streams {
		p.started[s.stream.Name] = true
	}
	for _, pass := range a.passes {
		if len(p.config.Tables) == 0 {
			p.roster.enter(p.config.Kafka.CombineGroup(pass.name))
		}
		stands := p.board.add(StageStatus{Stage: fault.StageCombine, Group: p.config.Kafka.CombineGroup(pass.name), Pass: pass.name, Feed: pass.feed.Name})
		running.Go(func() error {
			return supervise(ctx, func(ctx context.Context) error { return p.awaitSource(ctx, pass) }, func() *stage { return p.combineStage(pass, stands) }, p.built)
		})
	}
}

func (p *Processors) newStage(stands *standing, input string) *stage {
	return &stage{
		kind: stands.Stage, group: goka.Group(stands.Group), input: input, config: p.config.Kafka, admin: p.admin, roster: &p.roster,
		log:       p.config.Log.With("group", stands.Group),
		stands:    stands,
		told:      p.config.Committed,
		policy:    intervalPolicy{min: p.config.CommitMin, max: p.config.CommitMax, behind: behind},
		cap:       limits{bytes: p.config.CombineBytes},
		records:   new(atomic.Int64),
		startAt:   func(int32) int64 { return 0 },
		sameTopic: func() error { return nil },
		assigned:  func([]int32) {},
		committed: func(offsets) {},
	}
}

// combineStage is stage 1 of one pass: it keeps no state.
func (p *Processors) combineStage(pass *pass, stands *standing) *stage {
	s := p.newStage(stands, pass.topic)
	s.records = &p.records
	s.cap.records = int64(p.config.CommitRecords)
	s.startAt = func(partition int32) int64 { return pass.starts[partition] }
	s.sameTopic = func() error {
		_, err := p.sameTopic(pass)
		return err
	}
	s.intake = func(b begin) (intake, error) {
		return newCombiner(b, pass.feed, pass.mixed, pass.sinks, pass.streams...)
	}
	letters := p.config.Kafka.DeadLetterTopic()
	reports := &reports{} // of this stage: what it has not committed its successor reads again
	s.callback = emitCombined(s, letters, reports)
	s.committed = func(offsets) { p.book.commit(pass, reports.take(), time.Now()) }
	s.edges = []goka.Edge{goka.Output(goka.Stream(letters), bytesCodec{})}
	for _, sink := range pass.sinks {
		s.edges = append(s.edges, goka.Output(sink.topic, bytesCodec{}))
	}
	for _, sink := range pass.streams {
		s.edges = append(s.edges, goka.Output(goka.Stream(sink.topic), bytesCodec{}))
	}
	return s
}

// groupStage is stage 2 of one table.
func (p *Processors) groupStage(t *placedTable, used *purger, stands *standing) *stage {
	partials, changelog := p.config.Kafka.PartialsTopic(t.Name), p.config.Kafka.ChangelogTopic(t.Name)
	s := p.newStage(stands, partials)
	store := grouptable.New(grouptable.Config{Client: p.admin.Client(), Table: t.Table, Topic: changelog, Values: true, Log: p.config.Log})
	s.rows = store
	s.intake = func(b begin) (intake, error) {
		rows, ok := store.Partition(b.source.Partition)
		if !ok {
			return nil, fmt.Errorf("partition %d of %s is not recovered", b.source.Partition, changelog)
		}
		return newMerger(t, rows.Progress()), nil
	}
	s.options = []goka.ProcessorOption{
		goka.WithStorageBuilder(store.Builder(s.current)),
		goka.WithTopicManagerBuilder(store.TopicManager(s.topicManager)),
	}
	w := &rowWriter{stage: s, table: t.Table, store: store, changelog: changelog, result: t.result, only: -1, updaters: map[int32]*tables.Updater{}}
	s.assigned = w.assigned
	if !slices.ContainsFunc(t.Columns, func(c tables.Column) bool { return c.Key }) {
		w.only, _ = grouptable.NewPartitioner(t.Table).Of("", t.partitions) // the empty key is valid where there are no columns
	}
	s.callback = w.write
	s.edges = []goka.Edge{goka.Output(goka.Stream(t.result), bytesCodec{}), goka.Persist(bytesCodec{})}
	s.committed = used.note
	return s
}

// pass is one consumer group's reading of one source topic, shared by one or more tables and streams.
type pass struct {
	name    string
	topic   string
	id      string // of the topic, when the tables were made
	feed    *feeds.Feed
	mixed   bool            // the topic carries other feeds too
	starts  map[int32]int64 // where partitions begin that have no committed offset; others at their beginning
	sinks   []tableSink
	streams []streamSink
}

// names returns the names of the pass's tables and streams, for people.
func (p *pass) names() string {
	var names []string
	for _, sink := range p.sinks {
		names = append(names, sink.table.Name)
	}
	for _, sink := range p.streams {
		names = append(names, sink.stream.Name)
	}
	return strings.Join(names, " ")
}

// kind is a stream's when the pass has nothing else.
func (p *pass) kind() tables.Kind {
	if len(p.sinks) == 0 {
		return tables.KindStream
	}
	return tables.KindTable
}

// placedTable is a table with its topics.
type placedTable struct {
	*tables.Table
	partitions int32
	result     string
	starts     map[codecs.Source]int64 // where it begins to count; at 0 what is not in it
}

// placedStream is a stream with its topic, and the passes that write it.
type placedStream struct {
	streamSink
	passes []string
}

// arrangement is what is to be started.
type arrangement struct {
	tables  []*placedTable
	streams []*placedStream
	passes  []*pass
}

func (a *arrangement) names() (names []string) {
	for _, t := range a.tables {
		names = append(names, t.Name)
	}
	for _, s := range a.streams {
		names = append(names, s.stream.Name)
	}
	return names
}

func (a *arrangement) passOf(topic string, source kafka.Source, feed *feeds.Feed) *pass {
	if i := slices.IndexFunc(a.passes, func(p *pass) bool { return p.name == source.Pass }); i >= 0 {
		return a.passes[i]
	}
	a.passes = append(a.passes, &pass{name: source.Pass, topic: topic, id: source.ID, feed: feed, mixed: source.Mixed, starts: source.Start})
	return a.passes[len(a.passes)-1]
}
