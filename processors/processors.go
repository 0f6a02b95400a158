package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/registry"
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

	// IdleTimeout is for how long a source partition may have no records before it does not hold up the clock of tables any more.
	// Defaults to 30 seconds.
	IdleTimeout time.Duration

	// MaxSkew is how far a record's time may be ahead of the time at which Kafka has it: what is further ahead is counted like any
	// other, but does not move the clock of tables. Defaults to a day.
	MaxSkew time.Duration

	// Now is the time of day. Defaults to [time.Now].
	Now func() time.Time

	// Approve says that what the catalog has and the definitions have not may be lost: see [Unapproved].
	Approve bool

	// Registry has the schemas of records in Avro. Without one such records are dead letters, and no definition can write any.
	Registry *registry.Client

	// Arranged is called with the names of tables and streams when their stages are started: those whose input topics exist at
	// once, others when theirs appear; again when they are started anew under another definition. Optional.
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
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 30 * time.Second
	}
	if c.MaxSkew == 0 {
		c.MaxSkew = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
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
	return c.checkAvro()
}

// behind is how many records of lag count as being behind: then combining longer saves more than it delays.
const behind = 5000

// Processors runs the stages of a set of tables and streams.
type Processors struct {
	config   Config
	admin    *kafka.Admin
	registry *kafka.Catalog

	roster    roster
	running   map[string]*unit                       // by key; only arrange uses it
	entries   atomic.Pointer[map[string]kafka.Entry] // as they were arranged last
	results   results
	stopped   stopped // only settle uses it
	book      *book
	board     board
	built     func(*stage)      // called with each stage before it runs; tests set it
	arranging func(what string) // called before topics are made, and before stages are started; tests set it

	publishRows int // that a transaction publishes; tests set it

	records atomic.Int64 // source records committed by stage 1
	ended   atomic.Bool  // see End
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
	return &Processors{config: c, running: map[string]*unit{}, book: newBook(c.Log), built: func(*stage) {}, arranging: func(string) {}, publishRows: publishRows}, nil
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

// table returns the table of that name, nil if there is none.
func (p *Processors) table(name string) *tables.Table {
	for _, t := range p.config.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Records returns how many source records stage 1 has committed since the start.
func (p *Processors) Records() int64 { return p.records.Load() }

// Run makes the catalog say what the definitions say, and runs all that the catalog has, also what other instances enter
// later, until ctx is done, which is no error. Tables whose input topics do not exist wait for them while the others run.
// Errors before anything runs are those of the catalog and of topics that are not as they must be: [*kafka.TopicMismatch],
// [*Refusal], [*Unapproved].
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
	if p.registry, err = kafka.OpenCatalog(admin, p.config.Kafka); err != nil {
		return err
	}

	running, inner := errgroup.WithContext(ctx)
	defer context.AfterFunc(inner, func() { time.AfterFunc(stopPatience, kill) })()
	running.Go(func() error {
		waiting, err := p.apply(inner, true)
		if err != nil {
			return fmt.Errorf("arrange tables: %w", err)
		}
		running.Go(func() error { return p.awaitTopics(inner, waiting) })
		running.Go(func() error { return p.settle(inner) })
		warned := false
		return p.registry.Watch(inner, func(entries map[string]kafka.Entry) error {
			if !warned {
				p.warnMixed(entries)
				warned = true
			}
			return p.arrange(inner, running, entries)
		})
	})
	if err := running.Wait(); err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		return err
	}
	return nil
}

// stopPatience is how long stages that are told to end may ask brokers for something. Their transactions are given up by then.
const stopPatience = kafka.TransactionTimeout

func (p *Processors) newStage(stands *standing, input string) *stage {
	return &stage{
		kind: stands.Stage, group: goka.Group(stands.Group), input: input, config: p.config.Kafka, admin: p.admin, roster: &p.roster,
		log:        p.config.Log.With("group", stands.Group),
		stands:     stands,
		told:       p.config.Committed,
		policy:     intervalPolicy{min: p.config.CommitMin, max: p.config.CommitMax, behind: behind},
		clock:      p.config.Now,
		cap:        limits{bytes: p.config.CombineBytes},
		records:    new(atomic.Int64),
		startAt:    func(int32) int64 { return 0 },
		sameTopic:  func() error { return nil },
		stillThere: func(context.Context) error { return nil },
		assigned:   func([]int32, bool) {},
		recovered:  func(context.Context, []int32) error { return nil },
		more:       func() bool { return false },
		committed:  func(offsets) {},
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
		return newCombiner(b, pass, p.config.schemas(), clocks{p.config.Now, p.config.MaxSkew, &p.ended})
	}
	if p.config.Registry != nil {
		s.ask = func(ctx context.Context, of codecs.Source, schema int) error {
			return p.config.Registry.Ask(ctx, schema, of.String())
		}
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
	partials, changelog := p.config.Kafka.PartialsTopic(t.own), p.config.Kafka.ChangelogTopic(t.own)
	s := p.newStage(stands, partials)
	// Partials come once in a stage 1 interval and a commit takes a part of that. With stage 1's own pause, which is as long but for
	// what another commit took, they would wait for its rest again and again.
	s.policy.min /= 2
	s.fetchBytes = kafka.OwnFetchBytes
	store := grouptable.New(grouptable.Config{Client: p.admin.Client(), Table: t.Table, Topic: changelog, Values: true, Budget: p.config.Kafka.Budget(), Log: p.config.Log})
	s.rows = store
	s.intake = func(b begin) (intake, error) {
		rows, ok := store.Partition(b.source.Partition)
		if !ok {
			return nil, fmt.Errorf("partition %d of %s is not recovered", b.source.Partition, changelog)
		}
		m := newMerger(t, rows.Progress(), rows.Clock().Time, p.config.IdleTimeout)
		m.due = func() bool { return rows.Clock().Left }
		return m, nil
	}
	s.more = func() bool {
		return slices.ContainsFunc(store.Held(), func(rows *grouptable.Partition) bool { return rows.Clock().Left })
	}
	s.options = []goka.ProcessorOption{
		goka.WithStorageBuilder(store.Builder(s.current)),
		goka.WithTopicManagerBuilder(store.TopicManager(s.topicManager)),
	}
	w := &rowWriter{stage: s, table: t.Table, store: store, changelog: changelog, result: t.result, only: -1, updaters: map[int32]*tables.Updater{}}
	w.publisher = newPublisher(p, t, w)
	s.assigned = w.assigned
	s.recovered = func(ctx context.Context, partitions []int32) error {
		return w.publisher.recovered(ctx, store, partitions)
	}
	if !slices.ContainsFunc(t.Columns, func(c tables.Column) bool { return c.Key }) {
		w.only, _ = grouptable.NewPartitioner(t.Table).Of("", t.partitions) // the empty key is valid where there are no columns
	}
	s.callback = w.write
	s.edges = []goka.Edge{goka.Persist(bytesCodec{})}
	if !t.building {
		s.edges = append(s.edges, goka.Output(goka.Stream(t.result), bytesCodec{}))
	}
	s.committed = func(o offsets) {
		used.note(o)
		w.publisher.committed()
	}
	return s
}

// pass is one consumer group's reading of one source topic, shared by one or more tables and streams.
type pass struct {
	name    string
	topic   string
	id      string // of the topic, when the tables were made
	feed    *feeds.Feed
	mixed   bool            // the topic carries other feeds too
	letters bool            // the topic has another one's dead letters, replayed
	starts  map[int32]int64 // where partitions begin that have no committed offset, the least of its tables' and streams'; others at 0
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
	own        string   // what its topics and group are named after
	topics     []string // of its feed, sorted
	partitions int32
	result     string
	building   bool                    // another definition of its name answers, and its results are in the result topic
	before     []kafka.Retired         // whose results may be there still, in those partitions that are not published yet
	avro       *avroTopic              // nil: the result is JSON
	starts     map[codecs.Source]int64 // where it begins to count; at 0 what is not in it
	sources    []codecs.Source         // that there were when it was made: those that are to be heard of before its clock goes
}

// label is what the table is called where it is measured: one that is being built beside another of its name goes by its number.
func (t *placedTable) label() string {
	if t.building {
		return t.own
	}
	return t.Name
}

// publishes reports whether the result topic has this one's results, in all partitions.
func (t *placedTable) publishes() bool { return !t.building && len(t.before) == 0 }

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

func (a *arrangement) passOf(topic string, source kafka.Source, feed *feeds.Feed) *pass {
	if i := slices.IndexFunc(a.passes, func(p *pass) bool { return p.name == source.Pass }); i >= 0 {
		p := a.passes[i]
		for partition := range p.starts {
			p.starts[partition] = min(p.starts[partition], source.Begin()[partition])
		}
		return p
	}
	a.passes = append(a.passes, &pass{name: source.Pass, topic: topic, id: source.ID, feed: feed, mixed: source.Mixed, letters: source.Letters != "", starts: maps.Clone(source.Begin())})
	return a.passes[len(a.passes)-1]
}
