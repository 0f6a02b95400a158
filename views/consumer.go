package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// consumer is what Goka reads a changelog with. It is told to begin anew in a partition when a connection was lost.
type consumer struct {
	sarama.Consumer
	watch *watch
}

func (c *consumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	if c.watch.again(partition) {
		if err := c.watch.check(); err != nil {
			return nil, err
		}
	}
	p, err := c.Consumer.ConsumePartition(topic, partition, offset)
	if errors.Is(err, sarama.ErrOffsetOutOfRange) {
		c.watch.gone(fmt.Errorf("%w: %s/%d has no offset %d", errGone, topic, partition, offset))
	}
	return p, err
}

// Close is called by nobody but us, who close the consumer inside.
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
