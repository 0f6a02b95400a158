package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Tx writes records and input offsets so that they become visible together or not at all.
//
// # Protocol
//
//  1. NewTx takes the transactional id over: whoever used it before is fenced, and what it left open is aborted. It returns
//     when that is decided, so whoever recovers afterwards sees it.
//  2. Send hands a record over. The first one opens a transaction. Sends may come from several goroutines.
//  3. Commit waits until every record is acknowledged, adds the input offsets with the group's member and generation, so
//     that the coordinator refuses those of a member that was thrown out, and ends the transaction. It must not run beside
//     Send. Records are visible to readers of committed records when the markers are written, a moment after Commit.
//  4. After an error of Commit the transaction is void or undecided, never to be sent again as it was. Abort rolls it back; when
//     Abort returns nil the Tx may be used for the next one, with local state dropped and the input read again from the
//     committed offsets. When it does not (the class is Fenced or Fatal), Close it and make another one, or end.
type Tx interface {
	// Send queues a record for a partition; a nil value is a tombstone. key and value are kept until Commit or Abort.
	// It blocks while the producer's queues are full, but not after a failure: the record is then dropped, because Commit
	// is going to fail.
	Send(topic string, partition int32, key, value []byte, headers ...sarama.RecordHeader)

	// Commit ends the transaction. offsets are the next offsets to read of the input, by topic and partition; meta may be
	// nil without offsets. Without offsets and records since the last Commit it does nothing.
	// Errors are *[Error] or *[NotAllowed]; a send's error comes first, for it is the cause. When ctx ends while the
	// commit is under way, or after 30 seconds, it may or may not have happened, and the Tx is of no more use.
	Commit(ctx context.Context, offsets map[string]map[int32]int64, meta *sarama.ConsumerGroupMetadata) error

	// Abort rolls the transaction back. nil means that the Tx can be used again. It is not tried, and the error of Commit
	// returned, when that was Fenced or Retry.
	Abort() error

	// Close aborts an open transaction, for two seconds at most, and returns when all goroutines have ended. Closing twice
	// is fine.
	Close() error
}

// commitPatience is how long a commit may take. By then the broker has long aborted the transaction, see TransactionTimeout.
const commitPatience = 30 * time.Second

// abortPatience is how long a rollback may take: a new producer's does not take longer.
const abortPatience = TransactionTimeout

// closePatience is how long Close waits for brokers.
const closePatience = 2 * time.Second

// producer is a Tx on Sarama's AsyncProducer: what [wire] is held against, by the same tests.
type producer struct {
	id     string
	client sarama.Client
	p      sarama.AsyncProducer
	kill   context.CancelFunc // breaks all connections: what is under way fails
	life   context.Context    // ends with kill

	drained chan struct{}      // closed when the errors channel has been read to its end
	settled chan chan struct{} // answered when all errors received so far are noted in first

	mu     sync.Mutex      // guards what follows
	begun  bool            // a transaction is open
	used   bool            // records were sent since the last commit
	first  error           // what made a send fail, the earliest
	unsent map[string]bool // topics of sends that failed
	failed chan struct{}   // closed when first is set
	void   error           // why the open transaction cannot be committed, until it is aborted
	dead   error           // no further use
	close  sync.Once
}

// NewTx makes the transactional producer with the given transactional id, which must be unique among live instances and the
// same over restarts. It waits (until ctx is done) for what a predecessor left open to be rolled back.
// Errors as [Dial], and *[NotAllowed] when we may not use the id.
func NewTx(ctx context.Context, c Config, transactionalID string) (Tx, error) {
	return newTx(ctx, c, transactionalID, newWire)
}

func newTx(ctx context.Context, c Config, transactionalID string, as func(context.Context, Config, *sarama.Config, string) (Tx, error)) (Tx, error) {
	c, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	if t, ok, err := unprotected(ctx, c, transactionalID); ok {
		return t, err
	}
	conf, err := c.Sarama()
	if err != nil {
		return nil, err
	}
	if err := ping(ctx, c.Brokers, conf); err != nil {
		return nil, err
	}
	return as(ctx, c, conf, transactionalID)
}

// newProducer takes a transactional id over.
func newProducer(ctx context.Context, c Config, conf *sarama.Config, transactionalID string) (Tx, error) {
	life, kill := context.WithCancel(context.Background())
	t := &producer{id: transactionalID, kill: kill, life: life, drained: make(chan struct{}), settled: make(chan chan struct{}), failed: make(chan struct{})}
	conf.Producer.Transaction.ID = transactionalID
	t.hurry(conf)
	dialer{ctx: life, stage: stageOf(transactionalID)}.into(conf)

	op := "take over transactional id " + transactionalID
	stop := context.AfterFunc(ctx, kill)
	defer stop()
	if err := t.open(ctx, c.Brokers, conf); err != nil {
		kill()
		if t.client != nil {
			t.client.Close() //nolint:errcheck // the first error counts
		}
		if e := ctx.Err(); e != nil {
			return nil, fmt.Errorf("%s: %w", op, e)
		}
		return nil, as(conf, Fail(op, err, onID("Write", transactionalID)))
	}
	go t.drain() // awaited by Close
	return t, nil
}

// hurry takes the pauses out of Sarama's retries when they can lead to nothing any more. It repeats whatever fails, fencing
// and missing rights too: 100 times for a send, 700 times for a request of the transaction, and in each ten times for metadata.
func (t *producer) hurry(conf *sarama.Config) {
	unlessKilled := func(pause func(retries, most int) time.Duration) func(int, int) time.Duration {
		return func(retries, most int) time.Duration {
			if t.life.Err() != nil {
				return 0
			}
			return pause(retries, most)
		}
	}
	conf.Producer.Transaction.Retry.BackoffFunc = unlessKilled(conf.Producer.Transaction.Retry.BackoffFunc)
	metadata, send := conf.Metadata.Retry.Backoff, conf.Producer.Retry.Backoff
	conf.Metadata.Retry.BackoffFunc = unlessKilled(func(int, int) time.Duration { return metadata })
	conf.Producer.Retry.BackoffFunc = unlessKilled(func(int, int) time.Duration {
		if t.p.TxnStatus()&sarama.ProducerTxnFlagInError != 0 { // called only for what was sent, so p is there
			return 0
		}
		return send
	})
}

// open makes client and producer.
func (t *producer) open(ctx context.Context, brokers []string, conf *sarama.Config) (err error) {
	if t.client, err = sarama.NewClient(brokers, conf); err != nil {
		return err
	}
	// Sarama asks for the coordinator, too, but takes every error for a passing one.
	for attempt := 0; ; attempt++ {
		err := t.client.RefreshTransactionCoordinator(t.id)
		if err == nil {
			break
		}
		if Classify(err) != Retry || attempt >= coordinatorAttempts {
			return err
		}
		if e := sleep(ctx, backoff(attempt)); e != nil {
			return e
		}
	}
	t.p, err = sarama.NewAsyncProducerFromClient(t.client)
	return err
}

// coordinatorAttempts is how often, over some ten seconds, the coordinator may be on the move. A cluster's first
// transaction makes a topic.
const coordinatorAttempts = 40

// drain takes failed sends, or the producer would stand still, and notes the first as the cause.
func (t *producer) drain() {
	defer close(t.drained)
	for {
		select {
		case e, ok := <-t.p.Errors():
			if !ok {
				return
			}
			t.mu.Lock()
			if t.unsent == nil {
				t.unsent = map[string]bool{}
			}
			t.unsent[e.Msg.Topic] = true
			if t.first == nil {
				t.first = as(t.client.Config(), Fail(fmt.Sprintf("send to %s/%d", e.Msg.Topic, e.Msg.Partition), e.Err, onTopic("Write", e.Msg.Topic)))
				close(t.failed)
			}
			t.mu.Unlock()
		case done := <-t.settled:
			close(done)
		}
	}
}

// settle returns when every failed send that Sarama has reported is noted. mu is not held.
func (t *producer) settle() {
	done := make(chan struct{})
	select {
	case t.settled <- done:
		<-done
	case <-t.drained:
	}
}

func (t *producer) Send(topic string, partition int32, key, value []byte, headers ...sarama.RecordHeader) {
	t.mu.Lock()
	failed := t.failed
	t.used = true
	ready := t.begin() == nil && t.first == nil
	t.mu.Unlock()
	// Sarama must not see another record once one has failed: it would note an error for each, and it reads that note
	// without the lock it writes it under.
	if !ready || t.p.TxnStatus()&sarama.ProducerTxnFlagInTransaction == 0 {
		return
	}
	m := &sarama.ProducerMessage{Topic: topic, Partition: partition, Headers: headers}
	if key != nil {
		m.Key = sarama.ByteEncoder(key)
	}
	if value != nil {
		m.Value = sarama.ByteEncoder(value)
	}
	select {
	case t.p.Input() <- m:
	case <-failed: // Commit will say why
	}
}

// begin opens a transaction unless one is open. mu is held.
func (t *producer) begin() error {
	if t.dead != nil {
		return t.dead
	}
	if t.begun {
		return nil
	}
	if err := t.p.BeginTxn(); err != nil {
		t.dead = t.error("begin", err)
		return t.dead
	}
	t.begun = true
	return nil
}

func (t *producer) Commit(ctx context.Context, offsets map[string]map[int32]int64, meta *sarama.ConsumerGroupMetadata) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead != nil {
		return t.dead
	}
	if t.void == nil {
		t.void = t.first
	}
	if t.void != nil {
		t.void = t.forbidden(t.void)
		return t.void
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit %s: %w", t.id, err) // nothing was asked for yet
	}
	add := request(offsets)
	if !t.used && len(add) == 0 {
		return nil
	}
	if err := t.begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	stop := context.AfterFunc(ctx, t.kill)
	defer stop()
	t.void = t.forbidden(t.end(add, meta))
	if e := ctx.Err(); e != nil && t.void != nil {
		t.dead = &Error{Op: "commit " + t.id, Class: Fatal, Err: e} // our connections are gone with ctx
		return t.dead
	}
	return t.void
}

// end adds the offsets and commits. mu is held, but for the wait for acknowledgements: failed ones are noted under it.
func (t *producer) end(offsets map[string][]*sarama.PartitionOffsetMetadata, meta *sarama.ConsumerGroupMetadata) error {
	if len(offsets) > 0 {
		if meta == nil {
			return &Error{Op: "commit " + t.id, Class: Fatal, Err: errors.New("offsets without a group")}
		}
		if err := t.p.AddOffsetsToTxnWithGroupMetadata(offsets, meta); err != nil {
			return t.cause("add offsets", err, onGroup("Read", meta.GroupID))
		}
	}
	t.mu.Unlock()
	err := t.p.CommitTxn()
	t.settle()
	t.mu.Lock()
	if err == nil && t.first != nil {
		err = t.first // Sarama would have refused; to be sure
	}
	if err != nil {
		return t.cause("commit", err)
	}
	t.begun, t.used = false, false
	return nil
}

// cause returns the first failed send if there is one, which made err follow, else err itself. mu is held.
func (t *producer) cause(op string, err error, rights ...Right) error {
	if t.first != nil {
		return t.first
	}
	return t.error(op, err, rights...)
}

// forbidden finds the topic that we may not write to when sends failed because of it. Topics are added to a transaction
// together: all others are then "not attempted", and Sarama says either of all of them. mu is held.
func (t *producer) forbidden(err error) error {
	if !errors.Is(err, sarama.ErrOperationNotAttempted) && !errors.Is(err, sarama.ErrTopicAuthorizationFailed) || len(t.unsent) == 0 {
		return err
	}
	if topic := unwritable(t.client, slices.Sorted(maps.Keys(t.unsent))); topic != "" {
		return as(t.client.Config(), denied("send to "+topic, onTopic("Write", topic), sarama.ErrTopicAuthorizationFailed))
	}
	return err
}

// unwritable returns the first of the topics that we may not write to, empty if we may write to all or it cannot be told.
func unwritable(client sarama.Client, topics []string) string {
	ask := sarama.NewMetadataRequest(sarama.V2_8_0_0, topics)
	ask.IncludeTopicAuthorizedOperations = true
	b := client.LeastLoadedBroker()
	if b == nil {
		return ""
	}
	_ = b.Open(client.Config()) // it may be open
	res, err := b.GetMetadata(ask)
	if err != nil {
		return ""
	}
	for _, topic := range res.Topics {
		seen := topic.Err == sarama.ErrNoError
		if topic.Err == sarama.ErrTopicAuthorizationFailed || seen && bit(topic.TopicAuthorizedOperations, "Write") == hasNot {
			return topic.Name
		}
	}
	return ""
}

func (t *producer) error(op string, err error, rights ...Right) error {
	return as(t.client.Config(), Fail(op+" "+t.id, err, append(rights, onID("Write", t.id))...))
}

func (t *producer) Abort() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.abort()
}

// abort rolls back. mu is held.
func (t *producer) abort() error {
	if t.dead != nil {
		return t.dead
	}
	if t.void == nil {
		t.void = t.first
	}
	// A fenced producer must not even try: Sarama would ask for a new epoch, which is what a zombie does. And where brokers
	// do not answer, a new producer is quicker: its first request rolls back, as soon as there is somebody to take it.
	if errors.Is(t.void, ErrFenced) || errors.Is(t.void, ErrRetry) {
		t.dead = t.void
		return t.dead
	}
	if t.begun {
		timer := time.AfterFunc(abortPatience, t.kill)
		defer timer.Stop()
		t.mu.Unlock()
		err := t.p.AbortTxn()
		t.settle()
		t.mu.Lock()
		if err != nil {
			t.dead = or(t.void, t.error("abort", err))
			return t.dead
		}
	}
	t.begun, t.used, t.void = false, false, nil
	if t.first != nil {
		t.first, t.unsent, t.failed = nil, nil, make(chan struct{})
	}
	return nil
}

func (t *producer) Close() error {
	t.close.Do(func() {
		timer := time.AfterFunc(closePatience, t.kill)
		defer timer.Stop()
		t.mu.Lock()
		_ = t.abort() // else readers wait until it times out; if it does not work, they do
		t.dead = &Error{Op: "use " + t.id, Class: Fatal, Err: errors.New("it is closed")}
		t.mu.Unlock()
		t.p.AsyncClose()
		<-t.drained
		t.client.Close() //nolint:errcheck // it can only be closed already
		t.kill()
	})
	return nil
}

// request puts offsets as Sarama wants them. LeaderEpoch -1 is none.
func request(offsets map[string]map[int32]int64) map[string][]*sarama.PartitionOffsetMetadata {
	out := make(map[string][]*sarama.PartitionOffsetMetadata, len(offsets))
	for topic, ps := range offsets {
		for p, o := range ps {
			out[topic] = append(out[topic], &sarama.PartitionOffsetMetadata{Partition: p, Offset: o, LeaderEpoch: -1})
		}
	}
	return out
}
