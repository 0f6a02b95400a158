package processors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
)

// consumerGroup hangs between Sarama's consumer group and Goka. Goka sees a claim that carries one message a commit
// interval instead of one a record, and keeps what it is good at: assignment, callbacks, tables. Sarama's claims are not read:
// a session has a [kafka.Fetcher] of its own. All that the interval wrote, and the offsets it read up to, become visible in one transaction.
//
// One commit, numbered as in the code of [session.commit]:
//
//  1. flush every pump: the interval's work, and the offset behind it;
//  2. hand the work to Goka, one message a claim;
//  3. wait until Goka's callbacks have marked every message: all records are with the transaction then;
//  4. commit the transaction with the offsets and the group's generation, so that the broker refuses a member that has
//     been replaced.
//
// The pumps take in further records meanwhile. Whatever fails, the stage ends and is built anew from what Kafka holds.
type consumerGroup struct {
	sarama.ConsumerGroup
	stage    *stage
	reported chan struct{} // closed when report has ended
	silent   chan error
}

// unheard is for how long, beside two waits of a fetch, a leader may not answer before it is not known any more what it has.
const unheard = 5 * time.Second

// rejoinPause is how long to wait before joining again when a dead member's transaction still holds offsets.
const rejoinPause = 200 * time.Millisecond

// newConsumerGroup starts to pass on what Sarama reports beside a session; Close ends that.
func newConsumerGroup(inner sarama.ConsumerGroup, s *stage) *consumerGroup {
	g := &consumerGroup{ConsumerGroup: inner, stage: s, reported: make(chan struct{}), silent: make(chan error)}
	go g.report() // Close waits for it
	return g
}

// report logs what goes wrong in the background: claims that cannot be read, heartbeats. It is what an operator sees of
// a topic that stands still; nothing else depends on it.
func (g *consumerGroup) report() {
	defer close(g.reported)
	var last string
	var said time.Time
	for err := range g.ConsumerGroup.Errors() {
		if denied := g.stage.denied(err); denied != nil {
			g.stage.fail(denied) // Sarama would go on asking for ever
			continue
		}
		// Sarama repeats itself with each attempt.
		if text := err.Error(); text != last || time.Since(said) > time.Minute {
			g.stage.log.Warn("consumer group", "why", err)
			last, said = text, time.Now()
		}
	}
}

// Errors returns a channel on which nothing comes: Goka would only log it, see [consumerGroup.report].
func (g *consumerGroup) Errors() <-chan error { return g.silent }

// Close closes the group's connections.
func (g *consumerGroup) Close() error {
	err := g.ConsumerGroup.Close()
	<-g.reported
	return err
}

// Consume joins the group again after each rebalance. It returns only when ctx is done or something failed: Goka would
// sleep for five seconds between two sessions.
func (g *consumerGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	for {
		joined, leave := context.WithCancelCause(ctx)
		// Sarama asks for committed offsets before it calls Setup, and there are none while a dead member's transaction has some.
		var burying sync.WaitGroup
		burying.Go(func() { g.stage.bury(joined) })
		err := g.ConsumerGroup.Consume(joined, topics, &handler{stage: g.stage, goka: h, leave: leave})
		unread := errors.Is(context.Cause(joined), errUnread)
		leave(nil)
		burying.Wait()
		switch {
		case ctx.Err() != nil:
			if g.stage.outer.Err() != nil {
				g.stage.leave(context.Cause(g.stage.outer)) // now: what Goka has to do yet the others need not wait for
			}
			return nil
		case unread && (err == nil || errors.Is(err, context.Canceled)):
			if err := g.stage.admin.RemoveMember(string(g.stage.group), g.stage.name()); err != nil {
				return err
			}
		case err == nil:
		case errors.Is(err, sarama.ErrFencedInstancedId):
			return err // somebody else has our name: joining again would throw that one out, and so on for ever
		case kafka.Classify(err) == kafka.Rejoin:
			// UNSTABLE_OFFSET_COMMIT: it is decided when the dead member's transaction times out, at the latest.
			g.stage.log.Debug("joining again", "why", err)
			select {
			case <-time.After(rejoinPause):
			case <-ctx.Done():
				return nil
			}
		default:
			if denied := g.stage.denied(err); denied != nil {
				g.stage.fail(denied) // Goka passes on the text alone
			}
			return err
		}
	}
}

// handler is what Sarama calls: one a join.
type handler struct {
	stage   *stage
	goka    sarama.ConsumerGroupHandler
	leave   context.CancelCauseFunc // ends the session
	session *session
}

// Setup prepares a session: where each claim starts, Goka's partitions (recovery included), then the committer.
func (h *handler) Setup(cs sarama.ConsumerGroupSession) error {
	s := &session{ConsumerGroupSession: cs, stage: h.stage, kick: make(chan struct{}, 1), ended: make(chan struct{})}
	s.marked = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	h.session = s
	h.stage.roster.joined(string(h.stage.group), cs.MemberID())
	s.running.Go(func() { h.stage.bury(cs.Context()) }) // again, now that who is in this generation is settled
	h.stage.recovering.Store(&sessionContext{cs.Context()})
	h.stage.stands.joined(s)

	err := s.start()
	if err == nil {
		err = h.goka.Setup(s)
	}
	if err == nil {
		err = h.stage.recovered(cs.Context(), cs.Claims()[h.stage.input])
	}
	if err != nil {
		close(s.ended) // Sarama calls Cleanup all the same
		if cs.Context().Err() != nil {
			return nil // the group rebalanced while we were still recovering; that is no failure
		}
		return err
	}
	if len(s.from) > 0 {
		s.fetcher = kafka.NewFetcher(cs.Context(), kafka.FetcherConfig{Client: h.stage.admin.Client(), Topic: h.stage.input, From: s.from, MaxBytes: h.stage.fetchBytes})
	}
	s.begun = true
	h.stage.stands.enter(Running)
	h.stage.log.Debug("session begins", "generation", cs.GenerationID(), "claims", cs.Claims())
	go s.commitForever(cs.Context()) // Cleanup waits for it
	s.running.Go(func() { s.watchTopic(cs.Context(), h.leave) })
	return nil
}

// Cleanup waits for the last commit and lets Goka close its partitions.
func (h *handler) Cleanup(cs sarama.ConsumerGroupSession) error {
	s := h.session
	h.stage.stands.enter(Joining)
	<-s.ended
	s.cancel()
	s.running.Wait()
	if s.fetcher != nil {
		s.fetcher.Close()
	}
	err := h.goka.Cleanup(s)
	h.stage.handover.clear() // nobody is left to redeem a ticket
	h.stage.log.Debug("session ended", "generation", cs.GenerationID())
	if failed := s.failure(); failed != nil {
		h.stage.fail(failed)
		return failed
	}
	if s.begun {
		h.stage.ended = generation{cs.MemberID(), cs.GenerationID()}
	}
	return err
}

// generation is a session of the group that a member had. The zero value is none.
type generation struct {
	member string // given out anew whenever the group has done without it
	number int32
}

// precedes reports whether there was no generation between this one and a session. Then nobody else had in the meantime what a member has
// in both.
func (g generation) precedes(s sarama.ConsumerGroupSession) bool {
	return g.member != "" && g.member == s.MemberID() && s.GenerationID()-g.number <= 1
}

// ConsumeClaim runs one claim's pump beside Goka's loop.
func (h *handler) ConsumeClaim(cs sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	s := h.session
	b := begin{codecs.Source{Topic: c.Topic(), Partition: c.Partition()}, s.from[c.Partition()], s.lost[c.Partition()]}
	in, err := h.stage.intake(b)
	if err != nil {
		s.fail(err)
		return err
	}
	p := newPump(b, fetchedClaim{s.fetcher, c.Partition(), unheard + 2*h.stage.sarama.Consumer.MaxWaitTime}, in, h.stage.cap.share(len(s.Claims()[c.Topic()])), s.kickCommitter)
	p.ask = h.stage.ask
	s.mu.Lock()
	s.pumps = append(s.pumps, p)
	s.mu.Unlock()
	s.running.Go(func() {
		if err := p.run(cs.Context()); err != nil {
			s.fail(err)
		}
	})
	err = h.goka.ConsumeClaim(s, claim{c, p.out})
	if s.ctx.Err() == nil {
		s.fail(fmt.Errorf("%s/%d: Goka left the claim: %w", c.Topic(), c.Partition(), errors.Join(err, errLeft)))
	}
	return err
}

var errLeft = errors.New("its callback failed")

// claim is what Goka sees of a claim.
type claim struct {
	sarama.ConsumerGroupClaim
	out chan *sarama.ConsumerMessage
}

func (c claim) Messages() <-chan *sarama.ConsumerMessage { return c.out }

// session is one generation of the group, and what Goka takes for it. Its context outlives Sarama's until the last
// commit is through: what was combined before a rebalance may still be committed under the old generation.
type session struct {
	sarama.ConsumerGroupSession
	stage   *stage
	ctx     context.Context
	cancel  context.CancelFunc
	kick    chan struct{} // something was taken in
	ended   chan struct{} // closed when the committer has ended
	running sync.WaitGroup
	fetcher *kafka.Fetcher
	from    map[int32]int64 // where the claims begin, by partition; set by start
	lost    map[int32]int64 // offsets that retention removed before they were read, by partition; set by start
	last    time.Time       // when the last commit began; of the committer alone
	begun   bool            // all was set up: rows are recovered

	mu          sync.Mutex // guards all below
	marked      *sync.Cond // signalled when outstanding reaches zero or broken is set
	outstanding int        // messages handed to Goka and not marked yet
	broken      error
	pumps       []*pump
	commits     int
}

// offsets are next offsets to read, by topic and partition.
type offsets map[string]map[int32]int64

func (o offsets) set(topic string, partition int32, next int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][partition] = next
}

// start says where the session's claims begin: a partition without a committed offset at the table's start, one whose
// committed offset retention has overtaken at the oldest offset left. It runs before Sarama reads anything.
func (s *session) start() error {
	topic := s.stage.input
	partitions := s.Claims()[topic]
	s.stage.assigned(partitions, s.stage.ended.precedes(s.ConsumerGroupSession))
	if len(partitions) == 0 {
		return nil
	}
	committed, err := s.stage.admin.CommittedOffsets(string(s.stage.group))
	if err != nil {
		return err
	}
	if err := s.stage.sameTopic(); err != nil {
		return err
	}
	if err := s.stage.stillThere(s.ConsumerGroupSession.Context()); err != nil {
		return err
	}
	// Partitions may have been added since the client last asked.
	if err := s.stage.admin.Client().RefreshMetadata(topic); err != nil {
		return fmt.Errorf("partitions of %s: %w", topic, err)
	}
	held, err := s.stage.admin.Offsets(topic)
	if err != nil {
		return err
	}
	s.from, s.lost = map[int32]int64{}, map[int32]int64{}
	for _, p := range partitions {
		from, known := committed[topic][p]
		if !known {
			from = s.stage.startAt(p)
		}
		oldest := held[topic][p].Oldest
		if from > held[topic][p].Newest {
			return fmt.Errorf("%s/%d: offset %d was committed, the topic ends at %d: %w", topic, p, from, held[topic][p].Newest, errSourceShorter)
		}
		if gone := oldest - from; gone > 0 {
			s.lost[p] = gone
			s.stage.log.Error("records are gone: retention removed them before they were read", "topic", topic, "partition", p, "offsets", gone)
		}
		s.from[p] = max(from, oldest)
		s.ConsumerGroupSession.MarkOffset(topic, p, s.from[p], "") // where Sarama's own claim begins
	}
	return nil
}

var errSourceShorter = errors.New("has the topic lost records?")

// watchTopic ends the session when the topic has partitions that nobody in the group reads: leaving and joining again
// makes the group share them out. Sarama's leader looks for new partitions, too, but there may be none: a static member that
// comes back gets its old share without the group noticing, and if it was the leader nobody is.
//
// It ends the stage for good when the topic was deleted and made again: fetching goes by the topic's name and would go on.
func (s *session) watchTopic(generation context.Context, leave context.CancelCauseFunc) {
	every := time.NewTicker(s.stage.sarama.Metadata.RefreshFrequency)
	defer every.Stop()
	for {
		select {
		case <-generation.Done():
			return
		case <-every.C:
		}
		var refused *Refusal
		if err := s.stage.sameTopic(); errors.As(err, &refused) {
			s.fail(err)
			return
		}
		unread, err := s.stage.admin.Unread(string(s.stage.group), s.stage.input)
		switch {
		case err != nil:
			s.stage.log.Debug("looking for partitions that nobody reads", "topic", s.stage.input, "why", err)
		case unread > 0:
			s.stage.log.Info("joining again: partitions were added", "topic", s.stage.input, "partitions", unread)
			leave(errUnread)
			return
		}
	}
}

var errUnread = errors.New("partitions were added")

// Context is what Goka runs under.
func (s *session) Context() context.Context { return s.ctx }

// MarkOffset is how Goka says that a callback has ended. Its offset is meaningless: the message was ours.
func (s *session) MarkOffset(string, int32, int64, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outstanding--
	if s.outstanding == 0 {
		s.marked.Broadcast()
	}
}

func (s *session) kickCommitter() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// fail marks the session as broken, which ends it and the stage.
func (s *session) fail(err error) {
	s.mu.Lock()
	if s.broken == nil {
		s.broken = err
	}
	s.marked.Broadcast()
	s.mu.Unlock()
	s.stage.fail(err)
}

func (s *session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

func (s *session) pumpList() []*pump {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*pump(nil), s.pumps...)
}

func (s *session) load() (l load) {
	for _, p := range s.pumpList() {
		of := p.load()
		l = load{waiting: l.waiting || of.waiting, full: l.full || of.full, lag: max(l.lag, of.lag)}
	}
	return l
}

// commitForever commits by the stage's policy until Sarama's session ends, and then once more.
func (s *session) commitForever(generation context.Context) {
	defer close(s.ended)
	last := time.Now()
	timer := time.NewTimer(s.stage.policy.max)
	defer timer.Stop()
	for {
		tick := false
		select {
		case <-generation.Done():
			if cause := context.Cause(generation); errors.Is(cause, sarama.ErrFencedInstancedId) {
				s.fail(cause) // this instance has a twin: see InstanceInUse
				s.cancel()
				return
			}
			// The broker gives the transaction up after that time anyway, and whoever stops us does not wait for ever.
			ctx, cancel := context.WithTimeout(s.ctx, kafka.TransactionTimeout)
			if err := s.commit(ctx); err != nil {
				s.fail(fmt.Errorf("last commit of generation %d: %w", s.GenerationID(), err))
			}
			cancel()
			s.cancel()
			return
		case <-s.kick:
		case <-timer.C:
			tick = true
		}
		wait := s.stage.policy.due(s.load(), time.Since(last))
		if wait <= 0 || tick && time.Since(last) >= s.stage.policy.max {
			last = time.Now()
			if err := s.commit(s.ctx); err != nil {
				s.fail(err)
				<-generation.Done() // failing the stage cancels it
				s.cancel()
				return
			}
			wait = s.stage.policy.max
		}
		timer.Reset(wait)
	}
}

// commit is the barrier described at [consumerGroup].
func (s *session) commit(ctx context.Context) (err error) {
	if err := s.failure(); err != nil {
		return err
	}
	now := time.Now()
	offsets := offsets{}
	records := int64(0)
	var handed []func()
	pumps := s.pumpList()
	for _, p := range pumps {
		work, next, taken, err := p.flush(s.stage.clock()) // 1.
		if err != nil {
			return err
		}
		if next >= 0 && (work != nil || taken > 0) {
			offsets.set(p.topic, p.partition, next)
		}
		records += taken
		if work == nil {
			continue
		}
		m := &sarama.ConsumerMessage{Topic: p.topic, Partition: p.partition, Offset: max(next-1, 0), Timestamp: now, Value: s.stage.handover.deposit(work)}
		handed = append(handed, func() {
			select {
			case p.out <- m:
			case <-s.ctx.Done():
			}
		})
	}
	if len(offsets) == 0 {
		return nil
	}
	report := Commit{Stage: s.stage.kind, Group: string(s.stage.group), Records: records, Flush: time.Since(now)}
	defer func() { s.committed(report, now, err) }()
	meta := sarama.NewConsumerGroupMetadataFromSession(s.ConsumerGroupSession, string(s.stage.group), s.stage.instance())
	if fault.Off(fault.FlushFirst) {
		if err := s.stage.transaction.Commit(ctx, offsets, meta); err != nil {
			return err
		}
		fault.Point(s.stage.kind, fault.Committed)
	}
	s.mu.Lock()
	s.outstanding += len(handed)
	s.mu.Unlock()
	for _, hand := range handed { // 2.
		hand()
	}
	s.mu.Lock()
	for s.outstanding > 0 && s.broken == nil { // 3.
		s.marked.Wait()
	}
	broken, first := s.broken, s.commits == 0
	s.commits++
	s.mu.Unlock()
	if broken != nil {
		return broken
	}
	if first {
		fault.Point(s.stage.kind, fault.FirstCommit)
	}
	if err := s.stage.transaction.Commit(ctx, offsets, meta); err != nil { // 4.
		return fmt.Errorf("commit: %w", err)
	}
	fault.Point(s.stage.kind, fault.Committed)
	s.stage.records.Add(records)
	s.stage.committed(offsets)
	for _, p := range pumps {
		if next, ok := offsets[p.topic][p.partition]; ok {
			p.done.Store(next)
		}
	}
	if s.stage.more() {
		for _, p := range pumps {
			p.goOn()
		}
		s.kickCommitter()
	}
	return nil
}

// committed tells who measures of a commit that began at some time.
func (s *session) committed(c Commit, began time.Time, err error) {
	c.Took, c.Err = time.Since(began), err
	if !s.last.IsZero() {
		c.Interval = began.Sub(s.last)
	}
	s.last = began
	s.stage.told(c)
}
