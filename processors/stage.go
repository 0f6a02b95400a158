package processors

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
)

// stage is one Goka processor with what we hang around it through its builders: a transactional producer and a consumer
// group that hands out commit intervals. It lives from one failure to the next; [supervise] builds the next one.
type stage struct {
	kind       string // combine or group, as package fault has it
	group      goka.Group
	input      string // the topic it reads
	config     kafka.Config
	log        *slog.Logger
	policy     intervalPolicy
	clock      func() time.Time
	fetchBytes int32 // asked for at once; 0: as configured
	cap        limits
	admin      *kafka.Admin
	roster     *roster // of the process
	stands     *standing
	told       func(Commit)

	// What makes a stage one of the two.
	intake     func(begin begin) (intake, error)
	sameTopic  func() error                                                  // says that the input is not the topic any more that it was; the error is a *Refusal
	ask        func(ctx context.Context, of codecs.Source, schema int) error // returns when Avro's schema is known, or known not to exist; nil: nothing asks
	callback   goka.ProcessCallback                                          // takes what an intake's flush returned
	rows       *grouptable.Store                                             // of stage 2
	edges      []goka.Edge                                                   // beside the input
	options    []goka.ProcessorOption
	startAt    func(partition int32) int64                         // where a partition without a committed offset starts
	stillThere func(ctx context.Context) error                     // says that the catalog has no such stage any more; asked once this process is a member
	assigned   func(partitions []int32, alone bool)                // see [grouptable.Store.Keep]
	recovered  func(ctx context.Context, partitions []int32) error // what is to be done before anything is taken in
	more       func() bool                                         // there is work that nothing has to come for
	committed  func(offsets)

	records     *atomic.Int64 // messages taken in and committed, over the stage's successors
	handover    handover
	transaction transaction
	recovering  atomic.Pointer[sessionContext]
	cancel      context.CancelCauseFunc
	sarama      *sarama.Config
	context     context.Context // of run; Goka's builders are given none
	outer       context.Context // whose end is no failure
	ended       generation      // the last one that began and ended with all committed
}

// begin is where a claim begins.
type begin struct {
	source codecs.Source
	from   int64 // the first offset to be read
	lost   int64 // how many before it have gone unread
}

// sessionContext is the context of the session that Goka sets partitions up for; its storage builder has none.
type sessionContext struct{ context.Context }

// current returns the context that recovery runs under.
func (s *stage) current() context.Context { return s.recovering.Load() }

// run builds the Goka processor and runs it until ctx is done, which is no error, or something fails.
func (s *stage) run(outer context.Context) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	s.context, s.outer, s.cancel = ctx, outer, cancel
	s.stands.begin(s)

	config, err := s.config.Sarama()
	if err != nil {
		return err
	}
	s.sarama = config
	options := append([]goka.ProcessorOption{
		goka.WithLogger(gokaLogger{s.log}),
		goka.WithHasher(kafka.NewHasher),
		goka.WithTopicManagerBuilder(s.topicManager),
		goka.WithConsumerSaramaBuilder(goka.SaramaConsumerBuilderWithConfig(config)),
		goka.WithProducerBuilder(s.buildProducer),
		goka.WithConsumerGroupBuilder(s.buildConsumerGroup),
	}, s.options...)
	edges := append([]goka.Edge{goka.Input(goka.Stream(s.input), &s.handover, s.callback)}, s.edges...)
	processor, err := goka.NewProcessor(s.config.Brokers, goka.DefineGroup(s.group, edges...), options...)
	if err != nil {
		return fmt.Errorf("%s: %w", s.group, err)
	}
	err = processor.Run(ctx)
	if outer.Err() != nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", s.group, cause) // what we know, not what Goka made of it
	}
	return fmt.Errorf("%s: %w", s.group, errors.Join(err, errEnded))
}

var errEnded = errors.New("its processor ended")

// fail ends the stage; the first reason counts.
func (s *stage) fail(err error) { s.cancel(err) }

// denied returns *[kafka.NotAllowed] when err is that a right is missing to the group or its input, else nil.
func (s *stage) denied(err error) error {
	var denied *kafka.NotAllowed
	err = s.admin.Fail("read "+s.input, err, kafka.Right{Operation: "Read", Kind: kafka.KindGroup, Name: string(s.group)},
		kafka.Right{Operation: "Read", Kind: kafka.KindTopic, Name: s.input})
	if errors.As(err, &denied) {
		return err
	}
	return nil
}

// leave takes the instance out of the stage's group when nothing succeeds the stage, so that the others go on at once:
// Sarama's static members say nothing when they go. That it may never have joined is no reason to stay: a process of its
// name that was killed did. why is what ended this stage or another one, nil if it was told to end.
func (s *stage) leave(why error) {
	var inUse *InstanceInUse
	if errors.As(why, &inUse) {
		return // somebody else has its place
	}
	if err := s.admin.RemoveMember(string(s.group), s.name()); err != nil {
		s.log.Warn("still in the group until the session times out", "why", err)
	}
}

// bury ends the transactions of members that are gone from the group. What one that died had open would keep who took over its
// partitions, and readers, waiting until it times out. One that comes back begins anew, as after any death. A session that ends
// meanwhile, as it does while a dead member's offsets are undecided, leaves the rest to the next.
func (s *stage) bury(ctx context.Context) {
	group := string(s.group)
	for {
		gone, missing := s.roster.gone(group, s.members(), time.Now())
		for _, name := range gone {
			tx, err := kafka.NewTx(ctx, s.config, name) // its transactional id, too
			if err == nil {
				err = tx.Close()
			}
			if ctx.Err() != nil {
				return
			}
			s.roster.buried(group, name)
			if err != nil {
				s.log.Debug("a member is gone, and its transaction stays until it times out", "name", name, "why", err)
				continue
			}
			s.log.Debug("a member is gone, and its transaction", "name", name)
		}
		if !missing {
			return
		}
		select {
		case <-time.After(absence):
		case <-ctx.Done():
			return
		}
	}
}

// absence is for how long who is gone from a group may only be about to join again: to share out new partitions, or restarted.
const absence = 300 * time.Millisecond

// members returns the names of all that are in the stage's group, this one among them; nil when that is not known.
func (s *stage) members() (names []string) {
	members, err := s.admin.GroupMembers(string(s.group))
	for _, m := range members {
		names = append(names, m.Instance)
	}
	if !slices.Contains(names, s.name()) {
		s.log.Debug("who is in the group is not known", "why", err)
		return nil
	}
	return names
}

// instance is the group instance id: who comes back under the same name gets its partitions back without a rebalance.
func (s *stage) instance() *string {
	id := s.name()
	return &id
}

// name tells the instances of the stage's group apart; it is the transactional id, too.
func (s *stage) name() string { return memberName(string(s.group), s.config.Instance) }

// buildProducer is Goka's ProducerBuilder. Goka calls it before it joins the group, so the transactional id is initialised,
// and a transaction that the same instance left open is decided, before anything is recovered.
func (s *stage) buildProducer([]string, string, func() hash.Hash32) (goka.Producer, error) {
	tx, err := kafka.NewTx(s.context, s.config, s.name())
	if err != nil {
		s.fail(err) // Goka passes on the text alone
		return nil, err
	}
	s.transaction.open(tx)
	return &s.transaction, nil
}

// buildConsumerGroup is Goka's ConsumerGroupBuilder.
func (s *stage) buildConsumerGroup(brokers []string, group, _ string) (sarama.ConsumerGroup, error) {
	config, err := s.config.Sarama()
	if err != nil {
		return nil, err
	}
	config.Consumer.Group.InstanceId = s.name()
	// Nobody reads Sarama's claims: each fetches as little as can be, once, and then waits for its session to end.
	config.ChannelBufferSize, config.Consumer.Fetch.Default = 1, 1
	inner, err := sarama.NewConsumerGroup(brokers, group, config)
	if err != nil {
		return nil, err
	}
	return newConsumerGroup(inner, s), nil
}

// InstanceInUse is returned when another process runs under the same instance name: the two would throw each other out
// for ever.
type InstanceInUse struct {
	Instance string
	Group    string // where it was noticed
	Err      error  // what the coordinator said
}

func (e *InstanceInUse) Error() string {
	return fmt.Sprintf("another process has joined group %s as instance %s; give each one a name of its own: --instance NAME", e.Group, e.Instance)
}

// Unwrap returns what the coordinator said.
func (e *InstanceInUse) Unwrap() error { return e.Err }

// supervise runs a stage and its successors until ctx is done. ready is called before each is built and may wait, built
// with each before it runs. Errors that no new attempt can mend are returned: *[kafka.NotAllowed], *[Refusal],
// *[InstanceInUse].
func supervise(ctx context.Context, ready func(context.Context) error, build func() *stage, built func(*stage)) (err error) {
	defer func() { build().leave(errors.Join(err, context.Cause(ctx))) }()
	const slowest = 10 * time.Second
	pause := 100 * time.Millisecond
	for {
		if err := ready(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		s := build()
		built(s)
		began := time.Now()
		err := s.run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var denied *kafka.NotAllowed
		var refused *Refusal
		switch {
		case errors.As(err, &denied):
			return err
		case errors.As(err, &refused):
			return refused
		}
		// Who takes our name takes our transactional id first, so that a commit hears of it before a heartbeat does, and before
		// the group does. So this is asked once more before we take both back: two that only asked at once could go on
		// taking them from each other.
		fenced := errors.Is(err, sarama.ErrFencedInstancedId) || kafka.Classify(err) == kafka.Fenced
		inUse := func() bool { return fenced && s.roster.replaced(s.admin, s.config.Instance) }
		if inUse() {
			return &InstanceInUse{Instance: s.config.Instance, Group: string(s.group), Err: err}
		}
		s.stands.failed(kafka.Classify(err))
		if time.Since(began) > time.Minute {
			pause = 100 * time.Millisecond
		}
		s.log.Warn("building the processor anew", "group", s.group, "why", err, "class", kafka.Classify(err), "in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		if inUse() {
			return &InstanceInUse{Instance: s.config.Instance, Group: string(s.group), Err: err}
		}
		pause = min(2*pause, slowest)
	}
}

// transaction is the goka.Producer that writes into the stage's Kafka transaction. Its promises are born kept: the commit is
// the acknowledgement.
type transaction struct {
	kafka.Tx
	kept *goka.Promise
}

func (t *transaction) open(tx kafka.Tx) {
	kept, finish := goka.NewPromiseWithFinisher()
	finish(nil, nil)
	*t = transaction{Tx: tx, kept: kept}
}

// partitionKey is the key under which a callback emits to a partition by number.
func partitionKey(partition int32) string {
	return string([]byte{byte(partition >> 24), byte(partition >> 16), byte(partition >> 8), byte(partition)})
}

// Emit sends a message to the partition that key names, without a key.
func (t *transaction) Emit(topic, key string, value []byte) *goka.Promise {
	return t.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders is [transaction.Emit] with headers.
func (t *transaction) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	partition := int32(key[0])<<24 | int32(key[1])<<16 | int32(key[2])<<8 | int32(key[3])
	t.Send(topic, partition, nil, value, headers.ToSarama()...)
	return t.kept
}

// bytesCodec hands bytes through.
type bytesCodec struct{}

func (bytesCodec) Encode(v any) ([]byte, error)    { return v.([]byte), nil }
func (bytesCodec) Decode(data []byte) (any, error) { return data, nil }

// topicManager is Goka's TopicManagerBuilder. It creates nothing: [kafka.Admin.Ensure] has made every topic before.
func (s *stage) topicManager(brokers []string) (goka.TopicManager, error) {
	c := goka.NewTopicManagerConfig()
	c.NoCreate = true
	return goka.NewTopicManager(brokers, s.sarama, c)
}

// gokaLogger passes what Goka says on to ours, at debug level: what matters reaches us as errors.
type gokaLogger struct{ *slog.Logger }

func (l gokaLogger) Print(v ...any)            { l.Debug(fmt.Sprint(v...)) }
func (l gokaLogger) Println(v ...any)          { l.Debug(fmt.Sprint(v...)) }
func (l gokaLogger) Printf(f string, v ...any) { l.Debug(fmt.Sprintf(f, v...)) }
