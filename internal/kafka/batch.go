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

// place is a partition.
type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// batch is records for one partition, in one request.
type batch struct {
	place
	records []*sarama.Record
	slab    []sarama.Record // of which records are made; many at a time
	bytes   int
	built   *sarama.RecordBatch // nil until it is sent; then it stays as it is
	done    bool                // it is acknowledged
	doubt   bool                // it was sent, and nobody knows whether the broker has it
}

const (
	// batchBytes is when a batch is full, unless larger ones are not allowed at all: brokers take a megabyte.
	batchBytes = 800 << 10

	// mostUnsent is how many bytes Send takes before it waits.
	mostUnsent = 32 << 20

	// recordOverhead is more than a record takes beside its key and value.
	recordOverhead = 32
)

// add adds a record.
func (b *batch) add(key, value []byte, headers []sarama.RecordHeader) {
	if len(b.slab) == cap(b.slab) {
		b.slab = make([]sarama.Record, 0, min(max(2*cap(b.slab), 1), 256)) // pointers into the old one stay good
	}
	b.slab = append(b.slab, sarama.Record{Key: key, Value: value})
	r := &b.slab[len(b.slab)-1]
	for i := range headers {
		r.Headers = append(r.Headers, &headers[i])
	}
	b.records = append(b.records, r)
}

// run sends until the Tx is closed.
func (w *wire) run() {
	defer close(w.ended)
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.batches) == 0 && !w.closed {
			w.changed.Wait()
		}
		if w.closed {
			return
		}
		var round []*batch // one of each partition
		size := 0
		for at, queue := range w.batches {
			round = append(round, queue[0])
			size += queue[0].bytes
			if queue = queue[1:]; len(queue) == 0 {
				delete(w.batches, at)
			} else {
				w.batches[at] = queue
			}
		}
		w.flying = true
		w.mu.Unlock()
		at, err := w.send(round)
		w.mu.Lock()
		w.flying = false
		w.bytes -= size
		if err != nil {
			w.fail(at, err)
		}
		w.changed.Broadcast()
	}
}

// send sends a round of batches and returns when all are acknowledged. A broker may be away for as long as the transaction
// lives. Of an error it says what it concerns.
func (w *wire) send(round []*batch) (at place, err error) {
	ctx, cancel := context.WithTimeout(w.life, w.conf.Producer.Transaction.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, w.kill) // a broker that is silent
	defer stop()
	defer func() {
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = &Error{Class: Retry, Err: err} // whatever the break looks like
		}
	}()
	for _, b := range round {
		if err := w.exists(ctx, b.place); err != nil {
			return b.place, err
		}
	}
	if at, err := w.add(ctx, round); err != nil {
		return at, err
	}
	for attempt := 0; ; attempt++ {
		at, err := w.produce(round)
		if err == nil {
			return place{}, nil
		}
		round = slices.DeleteFunc(round, func(b *batch) bool { return b.done })
		again := w.life.Err() == nil && Classify(err) == Retry
		if again {
			if sleep(ctx, quick(attempt)) == nil {
				_ = w.client.RefreshMetadata(topics(round)...) // else the next attempt says why
				continue
			}
		}
		w.mu.Lock()
		w.unknown = w.unknown || slices.ContainsFunc(round, func(b *batch) bool { return b.doubt })
		w.mu.Unlock()
		return at, err
	}
}

func topics(round []*batch) []string {
	names := map[string]bool{}
	for _, b := range round {
		names[b.topic] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// exists waits until a partition is known. Sarama's client has looked itself before it says that there is none.
func (w *wire) exists(ctx context.Context, at place) error {
	for attempt := 0; ; attempt++ {
		_, err := w.client.Leader(at.topic, at.partition)
		if err == nil {
			return nil
		}
		if all, e := w.client.Partitions(at.topic); e == nil && !slices.Contains(all, at.partition) {
			return sarama.ErrInvalidPartition
		}
		if w.life.Err() != nil || Classify(err) != Retry {
			return err
		}
		if e := sleep(ctx, backoff(attempt)); e != nil {
			return err
		}
	}
}

// produce sends the batches to their leaders, each leader's in one request, and marks those that are acknowledged.
func (w *wire) produce(round []*batch) (place, error) {
	byLeader := map[*sarama.Broker][]*batch{}
	for _, b := range round {
		leader, err := w.client.Leader(b.topic, b.partition)
		if err != nil {
			return b.place, err
		}
		w.build(b)
		byLeader[leader] = append(byLeader[leader], b)
	}
	type failure struct {
		place
		err error
	}
	failed := make(chan failure, len(round))
	var sending sync.WaitGroup
	for leader, batches := range byLeader {
		sending.Go(func() {
			req := &sarama.ProduceRequest{TransactionalID: &w.id, RequiredAcks: sarama.WaitForAll, Timeout: int32(w.conf.Producer.Timeout / time.Millisecond), Version: 7}
			for _, b := range batches {
				req.AddBatch(b.topic, b.partition, b.built)
			}
			res, err := leader.Produce(req)
			if err != nil {
				w.late.Store(true)
				_ = leader.Close() // it may be closed already; it is opened again when it is looked for
				for _, b := range batches {
					b.doubt = true
				}
				failed <- failure{batches[0].place, err}
				return
			}
			for _, b := range batches {
				if err := b.answered(res.GetBlock(b.topic, b.partition)); err != nil {
					failed <- failure{b.place, err}
					continue
				}
			}
		})
	}
	sending.Wait()
	close(failed)
	// What cannot be mended counts, and of what can be any.
	var worst failure
	for f := range failed {
		if worst.err == nil || Classify(worst.err) == Retry {
			worst = f
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range round {
		if b.done {
			w.next[b.place] = after(w.next[b.place], len(b.records))
		}
	}
	return worst.place, worst.err
}

// answered takes in what a leader says of the batch, and returns why it is not in its partition.
func (b *batch) answered(block *sarama.ProduceResponseBlock) error {
	if block == nil {
		b.doubt = true
		return sarama.ErrIncompleteResponse
	}
	switch e := block.Err; {
	case e == sarama.ErrNoError, e == sarama.ErrDuplicateSequenceNumber && b.doubt: // the answer to an earlier attempt was lost
		b.done, b.doubt = true, false
		return nil
	default:
		// It may have been taken, but not by all replicas, or by another leader. And where the numbers do not fit, who knows.
		b.doubt = b.doubt || Classify(e) == Retry || e == sarama.ErrDuplicateSequenceNumber ||
			e == sarama.ErrOutOfOrderSequenceNumber || e == sarama.ErrUnknownProducerID
		return e
	}
}

// after is the sequence number that follows n records. They go round.
func after(sequence int32, n int) int32 { return int32((int64(sequence) + int64(n)) & (1<<31 - 1)) }

// build makes of a batch what is sent, once.
func (w *wire) build(b *batch) {
	if b.built != nil {
		return
	}
	w.mu.Lock()
	sequence := w.next[b.place]
	w.mu.Unlock()
	now := time.Now().Truncate(time.Millisecond)
	for i, r := range b.records {
		r.OffsetDelta = int64(i)
	}
	b.built = &sarama.RecordBatch{
		Version: 2, Codec: w.conf.Producer.Compression, CompressionLevel: w.conf.Producer.CompressionLevel, IsTransactional: true,
		FirstTimestamp: now, MaxTimestamp: now, LastOffsetDelta: int32(len(b.records) - 1), PartitionLeaderEpoch: -1,
		ProducerID: w.producer, ProducerEpoch: w.epoch, FirstSequence: sequence, Records: b.records,
	}
}
