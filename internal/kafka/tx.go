package kafka

import (
	"context"
	"errors"
	"fmt"
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
	// Errors are *[Error] or *[NotAllowed]; a send's error comes first, for it is the cause. When ctx is done the
	// transaction may or may not have been committed, and the Tx is of no more use.
	Commit(ctx context.Context, offsets map[string]map[int32]int64, meta *sarama.ConsumerGroupMetadata) error

	// Abort rolls the transaction back. nil means that the Tx can be used again.
	Abort() error

	// Close gives up an open transaction and returns when all goroutines have ended. Closing twice is fine.
	Close() error
}

// closePatience is how long Close lets a healthy producer end its open transaction.
const closePatience = 2 * time.Second

// producer is the Tx on Sarama's AsyncProducer.
type producer struct {
	id     string
	client sarama.Client
	p      sarama.AsyncProducer
	kill   context.CancelFunc // breaks all connections: what is under way fails
	killed context.Context

	drained chan struct{} // closed when the errors channel has been read to its end
	failed  chan struct{} // closed at the first failed send

	mu    sync.Mutex // guards what follows
	open  bool       // a transaction was begun
	used  bool       // records were sent since the last commit
	first error      // what made a send fail, the earliest
	dead  error      // no further use
	close sync.Once
}

// NewTx makes the transactional producer with the given transactional id, which must be unique among live instances and the
// same over restarts. It waits (until ctx is done) for what a predecessor left open to be rolled back.
// Errors as [Dial], and *[NotAllowed] when we may not use the id.
func NewTx(ctx context.Context, c Config, transactionalID string) (Tx, error) {
	c, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	conf, err := c.Sarama()
	if err != nil {
		return nil, err
	}
	if err := ping(ctx, c.Brokers, conf); err != nil {
		return nil, err
	}
	life, kill := context.WithCancel(context.Background())
	t := &producer{id: transactionalID, kill: kill, killed: life, drained: make(chan struct{}), failed: make(chan struct{})}
	conf.Producer.Transaction.ID = transactionalID
	// Sarama tries 700 times with pauses; once we are killed the pauses are over, and so is the trying within milliseconds.
	pause := conf.Producer.Transaction.Retry.BackoffFunc
	conf.Producer.Transaction.Retry.BackoffFunc = func(retries, most int) time.Duration {
		if life.Err() != nil {
			return 0
		}
		return pause(retries, most)
	}
	dialer{life}.into(conf)

	op := "take over transactional id " + transactionalID
	stop := context.AfterFunc(ctx, kill)
	defer stop()
	t.client, err = sarama.NewClient(c.Brokers, conf)
	if err == nil {
		t.p, err = sarama.NewAsyncProducerFromClient(t.client)
	}
	if err != nil {
		kill()
		if t.client != nil {
			t.client.Close() //nolint:errcheck // the first error counts
		}
		if e := ctx.Err(); e != nil {
			return nil, fmt.Errorf("%s: %w", op, e)
		}
		return nil, fail(op, "transactional id "+transactionalID, err)
	}
	go t.drain() // awaited by Close
	return t, nil
}

// drain takes failed sends, or the producer would stand still, and keeps the first as the cause.
func (t *producer) drain() {
	defer close(t.drained)
	for e := range t.p.Errors() {
		t.mu.Lock()
		if t.first == nil {
			t.first = fail(fmt.Sprintf("send to %s/%d", e.Msg.Topic, e.Msg.Partition), "topic "+e.Msg.Topic, e.Err)
			close(t.failed)
		}
		t.mu.Unlock()
	}
}

func (t *producer) Send(topic string, partition int32, key, value []byte, headers ...sarama.RecordHeader) {
	t.mu.Lock()
	failed := t.failed
	t.used = true
	ready := t.begin() == nil
	t.mu.Unlock()
	if !ready {
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
	if t.open {
		return nil
	}
	if err := t.p.BeginTxn(); err != nil {
		t.dead = t.error("begin", err)
		return t.dead
	}
	t.open = true
	return nil
}

func (t *producer) Commit(ctx context.Context, offsets map[string]map[int32]int64, meta *sarama.ConsumerGroupMetadata) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead != nil {
		return t.dead
	}
	if t.first != nil {
		return t.first
	}
	add := request(offsets)
	if !t.used && len(add) == 0 {
		return nil
	}
	if err := t.begin(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, t.kill)
	defer stop()
	err := t.end(add, meta)
	if e := ctx.Err(); e != nil && err != nil {
		t.dead = &Error{Op: "commit " + t.id, Class: Fatal, Err: e}
		return t.dead
	}
	return err
}

// end adds the offsets and commits. mu is held, but for the wait for acknowledgements: failed ones are noted under it.
func (t *producer) end(offsets map[string][]*sarama.PartitionOffsetMetadata, meta *sarama.ConsumerGroupMetadata) error {
	if len(offsets) > 0 {
		if meta == nil {
			return &Error{Op: "commit " + t.id, Class: Fatal, Err: errors.New("offsets without a group")}
		}
		if err := t.p.AddOffsetsToTxnWithGroupMetadata(offsets, meta); err != nil {
			return t.cause("add offsets", err)
		}
	}
	t.mu.Unlock()
	err := t.p.CommitTxn()
	t.mu.Lock()
	if err == nil && t.first != nil {
		err = t.first // Sarama would have refused; to be sure
	}
	if err != nil {
		return t.cause("commit", err)
	}
	t.open, t.used = false, false
	return nil
}

// cause returns the first failed send if there is one, which made err follow, else err itself. mu is held.
func (t *producer) cause(op string, err error) error {
	if t.first != nil {
		return t.first
	}
	return t.error(op, err)
}

func (t *producer) error(op string, err error) error {
	return fail(op+" "+t.id, "transactional id "+t.id, err)
}

func (t *producer) Abort() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead != nil {
		return t.dead
	}
	// A fenced producer must not even try: Sarama would ask for a new epoch, which is what a zombie does.
	if t.first != nil && errors.Is(t.first, ErrFenced) {
		t.dead = t.first
		return t.dead
	}
	if !t.open {
		t.used = false
		return nil
	}
	t.mu.Unlock()
	err := t.p.AbortTxn()
	t.mu.Lock()
	if err != nil {
		t.dead = t.cause("abort", err)
		return t.dead
	}
	t.open, t.used = false, false
	if t.first != nil {
		t.first, t.failed = nil, make(chan struct{})
	}
	return nil
}

func (t *producer) Close() error {
	t.close.Do(func() {
		t.mu.Lock()
		if t.dead == nil {
			t.dead = &Error{Op: "use " + t.id, Class: Fatal, Err: errors.New("it is closed")}
		}
		t.mu.Unlock()
		t.p.AsyncClose()
		timer := time.AfterFunc(closePatience, t.kill)
		<-t.drained
		timer.Stop()
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
