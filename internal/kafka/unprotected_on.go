//go:build faults

package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/internal/fault"
)

// unprotected returns a Tx that is none, when fault.Transactions is off: records are sent and acknowledged, then offsets
// are committed, and a crash between the two counts an interval twice. The crash tests must notice.
func unprotected(ctx context.Context, c Config, id string) (t Tx, ok bool, err error) {
	if !fault.Off(fault.Transactions) {
		return nil, false, nil
	}
	conf, err := c.Sarama()
	if err != nil {
		return nil, true, err
	}
	dialer{ctx: ctx}.into(conf)
	conf.Producer.Return.Successes = true
	client, err := sarama.NewClient(c.Brokers, conf)
	if err != nil {
		return nil, true, err
	}
	p, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return nil, true, errors.Join(err, client.Close())
	}
	return &naked{client: client, p: p, id: id}, true, nil
}

type naked struct {
	client sarama.Client
	p      sarama.SyncProducer
	id     string
	close  sync.Once

	mu   sync.Mutex // guards what follows
	held []*sarama.ProducerMessage
}

func (n *naked) Send(topic string, partition int32, key, value []byte, headers ...sarama.RecordHeader) {
	m := &sarama.ProducerMessage{Topic: topic, Partition: partition, Headers: headers}
	if key != nil {
		m.Key = sarama.ByteEncoder(key)
	}
	if value != nil {
		m.Value = sarama.ByteEncoder(value)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = append(n.held, m)
}

func (n *naked) Commit(_ context.Context, offsets map[string]map[int32]int64, meta *sarama.ConsumerGroupMetadata) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.p.SendMessages(n.held); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	n.held = nil
	fault.Point(stageOf(n.id), fault.Sent)
	fault.Point(stageOf(n.id), fault.OffsetsAdded)
	if len(offsets) == 0 {
		return nil
	}
	b, err := n.client.Coordinator(meta.GroupID)
	if err != nil {
		return err
	}
	q := &sarama.OffsetCommitRequest{Version: 7, ConsumerGroup: meta.GroupID, ConsumerGroupGeneration: meta.GenerationID, ConsumerID: meta.MemberID, GroupInstanceId: meta.GroupInstanceID}
	for topic, ps := range offsets {
		for p, o := range ps {
			q.AddBlockWithLeaderEpoch(topic, p, o, -1, 0, "")
		}
	}
	res, err := b.CommitOffset(q)
	if err != nil {
		return err
	}
	for _, ps := range res.Errors {
		for _, e := range ps {
			if e != sarama.ErrNoError {
				return Fail("commit "+n.id, e, onGroup("Read", meta.GroupID))
			}
		}
	}
	fault.Point(stageOf(n.id), fault.CommitSent)
	return nil
}

func (n *naked) Abort() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = nil
	return nil
}

func (n *naked) Close() error {
	var err error
	n.close.Do(func() { err = errors.Join(n.p.Close(), n.client.Close()) })
	return err
}
