package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// init asks for a producer id and epoch: new ones, or an epoch above that of a producer, if nobody else has one yet.
func (w *wire) init(ctx context.Context, producer int64, epoch int16) error {
	return w.ask(ctx, w.coordinator, func(b *sarama.Broker) error {
		res, err := b.InitProducerID(&sarama.InitProducerIDRequest{
			Version: 4, TransactionalID: &w.id, TransactionTimeout: w.conf.Producer.Transaction.Timeout, ProducerID: producer, ProducerEpoch: epoch,
		})
		if err != nil {
			return err
		}
		if err := code(res.Err); err != nil {
			return err
		}
		w.producer, w.epoch = res.ProducerID, res.ProducerEpoch
		return nil
	})
}

// code returns nil for none.
func code(e sarama.KError) error {
	if e == sarama.ErrNoError {
		return nil
	}
	return e
}

// finder finds a broker; with anew, where it was found last is not to be trusted.
type finder func(anew bool) (*sarama.Broker, error)

// coordinator is the finder of the transaction's coordinator.
func (w *wire) coordinator(anew bool) (*sarama.Broker, error) {
	if anew {
		if err := w.client.RefreshTransactionCoordinator(w.id); err != nil {
			return nil, err
		}
	}
	return w.client.TransactionCoordinator(w.id)
}

// groupCoordinator is the finder of a group's coordinator.
func (w *wire) groupCoordinator(group string) finder {
	return func(anew bool) (*sarama.Broker, error) {
		if anew {
			if err := w.client.RefreshCoordinator(group); err != nil {
				return nil, err
			}
		}
		return w.client.Coordinator(group)
	}
}

// ask asks a broker until it answers with anything but that it should be tried again, or ctx is done; then the last error is
// returned. After a commit a coordinator is busy for a millisecond or two, so the first pauses are short.
func (w *wire) ask(ctx context.Context, find finder, request func(b *sarama.Broker) error) error {
	anew := false
	for attempt := 0; ; attempt++ {
		b, err := find(anew)
		if err == nil {
			err = request(b)
		}
		switch {
		case err == nil:
			return nil
		case w.life.Err() != nil:
			return fmt.Errorf("%w (%w)", w.life.Err(), err)
		case Classify(err) != Retry:
			return err
		}
		if network(err) && b != nil {
			w.late.Store(true)
			_ = b.Close() // it may be closed already
		}
		anew = !errors.Is(err, sarama.ErrConcurrentTransactions) && !errors.Is(err, sarama.ErrOffsetsLoadInProgress)
		if e := sleep(ctx, quick(attempt)); e != nil {
			return fmt.Errorf("%w (%w)", e, err)
		}
	}
}

// quick is how long to wait before the next attempt: a millisecond at first, a tenth of a second at last.
func quick(attempt int) time.Duration {
	return min(time.Millisecond<<min(attempt/2, 10), 100*time.Millisecond)
}

// add makes the round's partitions part of the transaction.
func (w *wire) add(ctx context.Context, round []*batch) (place, error) {
	w.mu.Lock()
	byTopic := map[string][]int32{}
	for _, b := range round {
		if !w.added[b.place] {
			byTopic[b.topic] = append(byTopic[b.topic], b.partition)
		}
	}
	w.open = w.open || len(byTopic) > 0
	w.mu.Unlock()
	if len(byTopic) == 0 {
		return place{}, nil
	}
	at := round[0].place
	err := w.ask(ctx, w.coordinator, func(b *sarama.Broker) error {
		res, err := b.AddPartitionsToTxn(&sarama.AddPartitionsToTxnRequest{
			Version: 3, TransactionalID: w.id, ProducerID: w.producer, ProducerEpoch: w.epoch, TopicPartitions: byTopic,
		})
		if err != nil {
			return err
		}
		err = nil
		for topic, partitions := range res.Errors {
			for _, p := range partitions {
				// Partitions are added together: what keeps one out keeps out all, and the others are told just that.
				if p.Err != sarama.ErrNoError && (err == nil || errors.Is(err, sarama.ErrOperationNotAttempted)) {
					at, err = place{topic, p.Partition}, p.Err
				}
			}
		}
		return err
	})
	if errors.Is(err, sarama.ErrTopicAuthorizationFailed) && len(byTopic) > 1 {
		// Some brokers say it of all.
		if topic := unwritable(w.client, slices.Sorted(maps.Keys(byTopic))); topic != "" {
			at = place{topic, byTopic[topic][0]}
		}
	}
	if err != nil {
		return at, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range round {
		w.added[b.place] = true
	}
	return place{}, nil
}

// addGroup makes the group's offsets part of the transaction.
func (w *wire) addGroup(ctx context.Context, meta *sarama.ConsumerGroupMetadata) error {
	return w.ask(ctx, w.coordinator, func(b *sarama.Broker) error {
		res, err := b.AddOffsetsToTxn(&sarama.AddOffsetsToTxnRequest{Version: 3, TransactionalID: w.id, ProducerID: w.producer, ProducerEpoch: w.epoch, GroupID: meta.GroupID})
		if err != nil {
			return err
		}
		return code(res.Err)
	})
}

// addOffsets writes the group's offsets, which the commit makes good.
func (w *wire) addOffsets(ctx context.Context, offsets map[string][]*sarama.PartitionOffsetMetadata, meta *sarama.ConsumerGroupMetadata) error {
	right := onGroup("Read", meta.GroupID)
	err := w.ask(ctx, w.groupCoordinator(meta.GroupID), func(b *sarama.Broker) error {
		res, err := b.TxnOffsetCommit(&sarama.TxnOffsetCommitRequest{
			Version: 3, TransactionalID: w.id, ProducerID: w.producer, ProducerEpoch: w.epoch,
			GroupID: meta.GroupID, GenerationID: meta.GenerationID, MemberID: meta.MemberID, GroupInstanceID: meta.GroupInstanceID, Topics: offsets,
		})
		if err != nil {
			return err
		}
		for topic, partitions := range res.Topics {
			for _, p := range partitions {
				if p.Err == sarama.ErrTopicAuthorizationFailed {
					right = onTopic("Read", topic)
				}
				if p.Err != sarama.ErrNoError {
					return p.Err
				}
			}
		}
		return nil
	})
	if err != nil {
		return w.error("add offsets", err, right)
	}
	return nil
}

// finish ends the transaction.
func (w *wire) finish(ctx context.Context, commit bool) error {
	err := w.ask(ctx, w.coordinator, func(b *sarama.Broker) error {
		res, err := b.EndTxn(&sarama.EndTxnRequest{Version: 3, TransactionalID: w.id, ProducerID: w.producer, ProducerEpoch: w.epoch, TransactionResult: commit})
		if err != nil {
			return err
		}
		return code(res.Err)
	})
	switch {
	case err == nil:
		return nil
	case commit:
		return w.error("commit", err)
	}
	return w.error("abort", err)
}
