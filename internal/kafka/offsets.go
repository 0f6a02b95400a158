package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Range is the offsets that a partition holds: [Oldest, Newest). Newest is the high watermark: open transactions count.
type Range struct{ Oldest, Newest int64 }

// Offsets returns what all partitions of the topics hold, in two requests a broker.
func (a *Admin) Offsets(topics ...string) (map[string]map[int32]Range, error) {
	oldest, err := a.listOffsets(sarama.OffsetOldest, topics...)
	if err != nil {
		return nil, err
	}
	newest, err := a.listOffsets(sarama.OffsetNewest, topics...)
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[int32]Range, len(topics))
	for t, ps := range oldest {
		all[t] = make(map[int32]Range, len(ps))
		for p, o := range ps {
			all[t][p] = Range{Oldest: o, Newest: newest[t][p]}
		}
	}
	return all, nil
}

// OffsetsForTime returns for each partition the offset of the first record whose timestamp is at or after at; where there is
// none, the high watermark. Timestamps are the broker's or the producer's, as the topic has it.
func (a *Admin) OffsetsForTime(topic string, at time.Time) (map[int32]int64, error) {
	first, err := a.listOffsets(at.UnixMilli(), topic)
	if err != nil {
		return nil, err
	}
	newest, err := a.listOffsets(sarama.OffsetNewest, topic)
	if err != nil {
		return nil, err
	}
	for p, o := range first[topic] {
		if o < 0 {
			first[topic][p] = newest[topic][p]
		}
	}
	return first[topic], nil
}

// listOffsets asks each leader once for all its partitions.
func (a *Admin) listOffsets(which int64, topics ...string) (map[string]map[int32]int64, error) {
	out := make(map[string]map[int32]int64, len(topics))
	for _, topic := range topics {
		out[topic] = map[int32]int64{}
	}
	if len(topics) == 0 {
		return out, nil
	}
	err := a.try("offsets of "+topics[0], func() error {
		// Sarama's client would ask ten times for a topic that is not there.
		found, err := a.metadata("offsets", topics)
		if err != nil {
			return err
		}
		ask := make(map[string]map[int32]int64, len(topics))
		for _, topic := range topics {
			t, ok := found[topic]
			if !ok {
				return &Error{Op: "topic " + topic, Class: Fatal, Err: sarama.ErrUnknownTopicOrPartition}
			}
			ask[topic] = make(map[int32]int64, t.Partitions)
			for p := range t.Partitions {
				ask[topic][p] = which
			}
		}
		res, err := a.admin.ListOffsets(ask, nil)
		if err != nil {
			return err
		}
		for topic, ps := range ask {
			for p := range ps {
				r := res[topic][p]
				if r == nil {
					return fmt.Errorf("%s/%d: %w", topic, p, sarama.ErrIncompleteResponse)
				}
				// A result's Err is never nil: without an error it is the code for that.
				if r.Err != nil && !errors.Is(r.Err, sarama.ErrNoError) {
					_ = a.client.RefreshMetadata(topic) // its error is the next attempt's
					return fmt.Errorf("%s/%d: %w", topic, p, r.Err)
				}
				out[topic][p] = r.Offset
			}
		}
		return nil
	}, onTopic("Describe", topics[0]))
	return out, err
}

// CommittedOffsets returns the next offsets that a group has committed, by topic and partition. It waits for transactions
// that are about to commit some to be decided. A group that does not exist has none.
func (a *Admin) CommittedOffsets(group string) (map[string]map[int32]int64, error) {
	op := "offsets of group " + group
	out := map[string]map[int32]int64{}
	end := time.Now().Add(TransactionTimeout + patience)
	for attempt := 0; ; attempt++ {
		err := a.try(op, func() error {
			b, err := a.client.Coordinator(group)
			if err != nil {
				return err
			}
			clear(out)
			req := sarama.NewOffsetFetchRequest(sarama.V2_8_0_0, group, nil)
			req.RequireStable = true // else an offset whose transaction is under way is passed over in silence
			res, err := b.FetchOffset(req)
			if err != nil {
				_ = a.client.RefreshCoordinator(group)
				return err
			}
			if k := res.GroupError(); k != sarama.ErrNoError && k != sarama.ErrGroupIDNotFound {
				_ = a.client.RefreshCoordinator(group)
				return k
			}
			for topic, ps := range res.Blocks {
				for p, block := range ps {
					if block.Err != sarama.ErrNoError {
						return fmt.Errorf("%s/%d: %w", topic, p, block.Err)
					}
					if block.Offset < 0 {
						continue
					}
					if out[topic] == nil {
						out[topic] = map[int32]int64{}
					}
					out[topic][p] = block.Offset
				}
			}
			return nil
		}, onGroup("Describe", group))
		switch {
		case err == nil:
			return out, nil
		case !errors.Is(err, sarama.ErrUnstableOffsetCommit) || time.Now().After(end):
			return nil, err
		}
		if e := sleep(a.ctx, backoff(attempt)); e != nil {
			return nil, fmt.Errorf("%s: %w", op, e)
		}
	}
}

// CommitOffsets sets the next offsets of a group that nobody is in; *[GroupInUse] if somebody is.
func (a *Admin) CommitOffsets(group string, offsets map[string]map[int32]int64) error {
	set := make(map[string]map[int32]sarama.OffsetAndMetadata, len(offsets))
	for t, ps := range offsets {
		for p, o := range ps {
			if set[t] == nil {
				set[t] = map[int32]sarama.OffsetAndMetadata{}
			}
			set[t][p] = sarama.OffsetAndMetadata{Offset: o, LeaderEpoch: -1}
		}
	}
	if len(set) == 0 {
		return nil
	}
	op := "set offsets of group " + group
	err := a.try(op, func() error {
		res, err := a.admin.AlterConsumerGroupOffsets(group, set, nil)
		if err != nil {
			return err
		}
		for topic, ps := range res.Errors {
			for p, k := range ps {
				if k != sarama.ErrNoError {
					return fmt.Errorf("%s/%d: %w", topic, p, k)
				}
			}
		}
		return nil
	}, onGroup("Read", group))
	if errors.Is(err, sarama.ErrUnknownMemberId) || errors.Is(err, sarama.ErrIllegalGeneration) || errors.Is(err, sarama.ErrRebalanceInProgress) {
		return a.inUse(op, group, err)
	}
	return err
}
