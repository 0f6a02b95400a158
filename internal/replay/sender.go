package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/internal/kafka"
)

// grace is how long messages on their way have once the context is done. A broker that is there needs milliseconds.
const grace = 2 * time.Second

// MissingTopic is returned when a topic does not exist and is not to be created.
type MissingTopic struct{ Topic string }

func (e *MissingTopic) Error() string { return fmt.Sprintf("no topic %s", e.Topic) }

// TooLarge is returned by Send for a message above Kafka's limit; nothing was sent of it.
type TooLarge struct {
	Bytes int // of the value
	Limit int // of a record with all that belongs to it
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("%d bytes, more than a record of %d bytes can hold (message.max.bytes)", e.Bytes, e.Limit)
}

// SenderConfig says where messages go.
type SenderConfig struct {
	Kafka kafka.Config

	// CreateTopics makes topics that do not exist, with this many partitions and the broker's own settings for all else.
	// 0 makes none: Send to a topic that is not there is *[MissingTopic].
	CreateTopics int32
}

// Sent is what a partition took.
type Sent struct {
	Records int64 // acknowledged
	End     int64 // offset behind the last of them
}

// Sender sends messages with null keys, round robin over the partitions of their topic. Send and
// Prepare are for one goroutine, the other methods for any. Close it.
type Sender struct {
	create   int32
	admin    *kafka.Admin
	producer sarama.AsyncProducer
	limit    int
	topics   map[string]*topic  // used by Prepare and Send alone
	kill     context.CancelFunc // breaks all connections
	stop     func() bool        // keeps the context from doing so
	failed   chan struct{}      // closed when err is set
	drained  chan struct{}      // closed when all acknowledgements are in

	mu      sync.Mutex // guards what follows
	changed *sync.Cond // on mu: acked has grown, or err is set
	queued  int64      // messages given to the producer
	acked   int64      // messages it is through with
	sent    map[string]map[int32]Sent
	err     error
}

// topic is where the next message of a topic goes.
type topic struct {
	partitions int32
	next       int32
}

// NewSender connects. Errors are those of [kafka.Dial]: *kafka.ErrNoBroker within ten seconds when nobody answers.
// ctx stays with the Sender: two seconds after it is done, what is not delivered is given up and all waiting ends.
func NewSender(ctx context.Context, cfg SenderConfig) (*Sender, error) {
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, kill) // nothing to deliver yet
	admin, err := kafka.NewAdmin(life, cfg.Kafka)
	if err != nil {
		stop()
		kill()
		if ctx.Err() != nil {
			err = fmt.Errorf("connect: %w", ctx.Err())
		}
		return nil, err
	}
	stop()
	conf := admin.Client().Config()
	// The client is ours alone and idle, and the producer that reads these is not there yet.
	conf.Producer.Return.Successes = true
	conf.Producer.Retry.BackoffFunc = whileAlive(life, conf.Producer.Retry.Backoff)
	conf.Metadata.Retry.BackoffFunc = whileAlive(life, conf.Metadata.Retry.Backoff)
	producer, err := sarama.NewAsyncProducerFromClient(admin.Client())
	if err != nil {
		err = errors.Join(admin.Fail("open a producer", err), admin.Close())
		kill()
		return nil, err
	}
	s := &Sender{
		create: cfg.CreateTopics, admin: admin, producer: producer, limit: conf.Producer.MaxMessageBytes,
		topics: map[string]*topic{}, kill: kill,
		failed: make(chan struct{}), drained: make(chan struct{}), sent: map[string]map[int32]Sent{},
	}
	s.changed = sync.NewCond(&s.mu)
	s.stop = context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			kill()
		case <-s.drained:
		}
	})
	go s.drain() // awaited by Close
	return s, nil
}

// whileAlive is a pause between retries that is left out when they can lead to nothing any more.
func whileAlive(life context.Context, pause time.Duration) func(int, int) time.Duration {
	return func(int, int) time.Duration {
		if life.Err() != nil {
			return 0
		}
		return pause
	}
}

// Send gives one message to the producer and waits while too much is on its way. value must not change until it is
// acknowledged, which nobody is told of: it is the Sender's. Errors are *[MissingTopic] and *[TooLarge], after which other
// messages can still be sent; the first failure of the producer, after which nothing can; and the context's.
func (s *Sender) Send(ctx context.Context, name string, value []byte) error {
	if err := s.Prepare(name); err != nil {
		return err
	}
	t := s.topics[name]
	m := &sarama.ProducerMessage{Topic: name, Partition: t.next, Value: sarama.ByteEncoder(value)}
	if m.ByteSize(2) > s.limit {
		return &TooLarge{Bytes: len(value), Limit: s.limit}
	}
	s.mu.Lock()
	s.queued++
	s.mu.Unlock()
	select {
	case s.producer.Input() <- m:
		if t.next++; t.next == t.partitions {
			t.next = 0
		}
		return nil
	case <-s.failed:
		s.forget()
		return s.Err()
	case <-ctx.Done():
		s.forget()
		return ctx.Err()
	}
}

// forget takes back a message that the producer did not get.
func (s *Sender) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued--
	s.changed.Broadcast()
}

// Prepare finds out how many partitions a topic has, and makes it if that is wanted; Send does the same when it has to.
// The error is *[MissingTopic] when the topic is not there. Like Send it is for one goroutine.
func (s *Sender) Prepare(name string) error {
	if _, ok := s.topics[name]; ok {
		return nil
	}
	found, err := s.admin.Describe(name)
	if err != nil {
		return err
	}
	t, ok := found[name]
	switch {
	case !ok && s.create <= 0:
		return &MissingTopic{Topic: name}
	case !ok:
		t = kafka.Topic{Name: name, Partitions: s.create}
		if err := s.admin.Ensure(t); err != nil {
			return err
		}
	}
	s.topics[name] = &topic{partitions: t.Partitions}
	return nil
}

// drain takes what the producer says of each message, until it is closed.
func (s *Sender) drain() {
	defer close(s.drained)
	successes, errs := s.producer.Successes(), s.producer.Errors()
	for successes != nil || errs != nil {
		select {
		case m, ok := <-successes:
			if !ok {
				successes = nil
				continue
			}
			s.acknowledge(m)
		case e, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			s.fail(e)
		}
	}
}

func (s *Sender) acknowledge(m *sarama.ProducerMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	partitions, ok := s.sent[m.Topic]
	if !ok {
		partitions = map[int32]Sent{}
		s.sent[m.Topic] = partitions
	}
	p := partitions[m.Partition]
	p.Records++
	p.End = max(p.End, m.Offset+1)
	partitions[m.Partition] = p
	s.acked++
	s.changed.Broadcast()
}

func (s *Sender) fail(e *sarama.ProducerError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = s.admin.Fail(fmt.Sprintf("send to %s/%d", e.Msg.Topic, e.Msg.Partition), e.Err, kafka.Right{Operation: "Write", Kind: kafka.KindTopic, Name: e.Msg.Topic})
		close(s.failed)
	}
	s.acked++
	s.changed.Broadcast()
}

// Flush returns when everything that was sent is acknowledged, with the first failure if there was one.
func (s *Sender) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.acked < s.queued && s.err == nil && ctx.Err() == nil {
		s.changed.Wait()
	}
	if s.err != nil {
		return s.err
	}
	if s.acked < s.queued {
		return ctx.Err()
	}
	return nil
}

// Sent returns what each partition of each topic took so far.
func (s *Sender) Sent() map[string]map[int32]Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]map[int32]Sent, len(s.sent))
	for name, partitions := range s.sent {
		all[name] = maps.Clone(partitions)
	}
	return all
}

// Err returns the first failure of the producer, nil if there was none.
func (s *Sender) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close delivers what is on its way, as far as the context of NewSender lets it, and ends the connections. It returns the
// first failure.
func (s *Sender) Close() error {
	s.producer.AsyncClose()
	<-s.drained
	s.stop()
	err := s.admin.Close()
	s.kill()
	return errors.Join(s.Err(), err)
}

// Topics returns the names of the topics that were sent to, sorted.
func Topics(sent map[string]map[int32]Sent) []string {
	return slices.Sorted(maps.Keys(sent))
}
