package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// consumer is what Goka reads a changelog with: one fetcher of all partitions, and one message for all records of a partition that an
// answer has. Goka would else look at each record, and Sarama's own consumer pass each from channel to channel, which took more
// time than taking it in.
type consumer struct {
	sarama.Consumer // nil: Goka asks it for nothing else
	fetcher         *kafka.Fetcher
	store           *grouptable.Store
	watch           *watch

	mu       sync.Mutex // guards readings
	readings map[int32]*reading
}

func newConsumer(ctx context.Context, client sarama.Client, store *grouptable.Store, w *watch) *consumer {
	return &consumer{store: store, watch: w, readings: map[int32]*reading{}, fetcher: kafka.NewFetcher(ctx, kafka.FetcherConfig{
		Client: client, Topic: w.topic.Name, Partitions: int(w.topic.Partitions), MaxBytes: kafka.OwnFetchBytes, Again: w.check,
	})}
}

// ConsumePartition begins to follow a partition, anew if it was followed before: then it had failed, and may be another topic's.
func (c *consumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	if c.watch.again(partition) {
		if err := c.watch.check(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reading{
		topic: topic, partition: partition, cancel: cancel,
		messages: make(chan *sarama.ConsumerMessage), errors: make(chan *sarama.ConsumerError), taken: make(chan struct{}, 1),
	}
	c.mu.Lock()
	c.readings[partition] = r // Goka has let go of the one before
	c.mu.Unlock()
	c.fetcher.Add(partition, offset)
	go c.follow(ctx, r) // Goka waits for the channels to be closed
	return r, nil
}

// reading is a partition that is followed.
type reading struct {
	sarama.PartitionConsumer // nil: Goka asks it for nothing else
	topic                    string
	partition                int32
	cancel                   context.CancelFunc
	messages                 chan *sarama.ConsumerMessage
	errors                   chan *sarama.ConsumerError

	records []sarama.ConsumerMessage // what the message that is on its way stands for
	taken   chan struct{}            // told when they are taken in
}

func (r *reading) Messages() <-chan *sarama.ConsumerMessage { return r.messages }
func (r *reading) Errors() <-chan *sarama.ConsumerError     { return r.errors }
func (r *reading) AsyncClose()                              { r.cancel() }

// follow hands Goka what comes until it has enough.
func (c *consumer) follow(ctx context.Context, r *reading) {
	defer close(r.messages)
	defer close(r.errors)
	defer c.fetcher.Remove(r.partition)
	for {
		got, err := c.fetcher.Next(ctx, r.partition)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			var out *kafka.OutOfRange
			if errors.As(err, &out) {
				c.watch.gone(fmt.Errorf("%w: %w", errGone, err))
			}
			select {
			case r.errors <- &sarama.ConsumerError{Topic: r.topic, Partition: r.partition, Err: err}:
				<-ctx.Done() // Goka lets go of what has failed
			case <-ctx.Done():
			}
			return
		}
		r.records = got.Messages
		select {
		case r.messages <- &sarama.ConsumerMessage{Topic: r.topic, Partition: r.partition, Offset: got.Next - 1}:
		case <-ctx.Done():
			return
		}
		select {
		case <-r.taken:
		case <-ctx.Done():
			return
		}
	}
}

// take is Goka's callback: it takes in what a message stands for.
func (c *consumer) take(ctx goka.UpdateContext, _ storage.Storage, _ string, _ []byte) error {
	c.mu.Lock()
	r := c.readings[ctx.Partition()]
	c.mu.Unlock()
	p, ok := c.store.Partition(ctx.Partition())
	if !ok {
		return fmt.Errorf("partition %d is not recovered", ctx.Partition())
	}
	if err := p.Take(r.records); err != nil {
		return err
	}
	r.taken <- struct{}{}
	return nil
}

// HighWaterMarks is for Goka's statistics, which nobody reads.
func (c *consumer) HighWaterMarks() map[string]map[int32]int64 { return nil }

// Close is called by nobody but us, who close the fetcher.
func (c *consumer) Close() error { return nil }

// topicManager is the part of Goka's topic manager that a view needs. It makes no topics.
type topicManager struct {
	client sarama.Client
	watch  *watch
}

var errNoTopics = errors.New("a view makes no topics")

func (topicManager) EnsureTableExists(string, int) error                         { return errNoTopics }
func (topicManager) EnsureStreamExists(string, int) error                        { return errNoTopics }
func (topicManager) EnsureTopicExists(string, int, int, map[string]string) error { return errNoTopics }

func (m topicManager) Partitions(topic string) ([]int32, error) {
	if err := m.client.RefreshMetadata(topic); err != nil {
		return nil, err
	}
	return m.client.Partitions(topic)
}

func (m topicManager) GetOffset(topic string, partition int32, when int64) (int64, error) {
	offset, err := m.client.GetOffset(topic, partition, when)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		if gone := m.watch.check(); gone != nil {
			return 0, gone
		}
	}
	return offset, err
}

// Close does nothing: the client is another's.
func (topicManager) Close() error { return nil }

// rowCodec tells Goka what rows are. Only Goka's own Get uses it: the store keeps rows decoded.
type rowCodec struct{ table *tables.Table }

func (rowCodec) Encode(any) ([]byte, error) { return nil, errors.New("a view writes no rows") }

func (c rowCodec) Decode(b []byte) (any, error) {
	state, _ := c.table.NewGroups().Upsert(nil)
	err := codecs.ReadRow(b, c.table, state)
	return state, err
}

// gokaLog takes what Goka says. Its errors come back to us, so this is for who looks closely; after the end it is silent,
// because connections that we break are no news.
type gokaLog struct {
	ctx context.Context
	log *slog.Logger
}

func (g *gokaLog) Print(args ...any)                 { g.say(fmt.Sprint(args...)) }
func (g *gokaLog) Println(args ...any)               { g.say(fmt.Sprintln(args...)) }
func (g *gokaLog) Printf(format string, args ...any) { g.say(fmt.Sprintf(format, args...)) }

func (g *gokaLog) say(text string) {
	if g.ctx.Err() != nil {
		return
	}
	text = strings.TrimSpace(text)
	if strings.Contains(text, "Error") {
		g.log.Warn("goka: " + text)
		return
	}
	g.log.Debug("goka: " + text)
}
