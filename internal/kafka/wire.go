package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// wire is the Tx on Sarama's request types. Its one goroutine sends what has gathered as soon as the last request is answered, so
// batches grow while one is on its way, as in a [producer]; but nothing passes from channel to channel record by record, and a
// commit asks for what does not depend on each other at the same time.
//
// Every request may be repeated: the coordinator takes what it has taken for done, and a batch has sequence numbers, by which
// a broker knows one that it has. They are taken when a batch is sent for the first time, and given back only when a broker has
// said that it does not have it. Where that cannot be known this Tx is of no more use. After a broken connection the next
// transaction has another epoch, so that what was overtaken by its repetition is of none.
type wire struct {
	id       string
	conf     *sarama.Config
	client   sarama.Client      // our own, as are its connections
	kill     context.CancelFunc // breaks all connections: what is under way fails
	life     context.Context    // ends with kill
	producer int64
	epoch    int16
	late     atomic.Bool   // a request of the open transaction may arrive after its repetition was answered
	ended    chan struct{} // closed when the goroutine has ended
	ending   sync.Mutex    // held by who commits or aborts

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	batches map[place][]*batch // not sent yet
	bytes   int                // of records that are not acknowledged
	flying  bool               // a request is on its way
	added   map[place]bool     // partitions that are part of the transaction
	next    map[place]int32    // sequence numbers
	open    bool               // the coordinator knows of the transaction
	used    bool               // records were sent since the last commit
	first   error              // what made a send fail, the earliest
	unknown bool               // whether a broker has a batch
	void    error              // why the open transaction cannot be committed, until it is aborted
	dead    error              // no further use
	closed  bool
	close   sync.Once
}

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

// newWire takes a transactional id over.
func newWire(ctx context.Context, c Config, conf *sarama.Config, id string) (Tx, error) {
	life, kill := context.WithCancel(context.Background())
	w := &wire{id: id, conf: conf, life: life, kill: kill, ended: make(chan struct{}), batches: map[place][]*batch{}, added: map[place]bool{}, next: map[place]int32{}}
	w.changed = sync.NewCond(&w.mu)
	pause := conf.Metadata.Retry.Backoff
	conf.Metadata.Retry.BackoffFunc = func(int, int) time.Duration {
		if life.Err() != nil {
			return 0
		}
		return pause
	}
	dialer{ctx: life, stage: stageOf(id)}.into(conf)

	op := "take over transactional id " + id
	stop := context.AfterFunc(ctx, kill)
	defer stop()
	err := w.takeOver(ctx, c.Brokers)
	if err == nil {
		go w.run() // Close waits for it
		return w, nil
	}
	kill()
	if w.client != nil {
		w.client.Close() //nolint:errcheck // the first error counts
	}
	if e := ctx.Err(); e != nil {
		return nil, fmt.Errorf("%s: %w", op, e)
	}
	return nil, as(conf, Fail(op, err, onID("Write", id)))
}

// takeOver asks for a producer id with an epoch of our own. That fences who had it, and ends what he left open.
func (w *wire) takeOver(ctx context.Context, brokers []string) (err error) {
	if w.client, err = sarama.NewClient(brokers, w.conf); err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, takeOverPatience)
	defer cancel()
	return w.init(patience, -1, -1)
}

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

// renew is called between transactions, mu is held. A request whose connection broke was repeated, and the first may arrive yet: in
// the next transaction it would end that, or set offsets back. A new epoch makes brokers refuse it.
func (w *wire) renew(ctx context.Context) {
	if !w.late.Load() {
		return
	}
	w.mu.Unlock()
	err := w.init(ctx, w.producer, w.epoch)
	w.mu.Lock()
	if err != nil {
		w.dead = w.error("renew", err)
		return
	}
	w.late.Store(false)
	clear(w.next)
}

// takeOverPatience is how long a coordinator may be on the move, and what a predecessor left open take to be ended.
const takeOverPatience = 30 * time.Second

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

func (w *wire) Send(topic string, partition int32, key, value []byte, headers ...sarama.RecordHeader) {
	size := recordOverhead + len(key) + len(value)
	for _, h := range headers {
		size += recordOverhead + len(h.Key) + len(h.Value)
	}
	at := place{topic, partition}

	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = true
	for w.bytes > 0 && w.bytes+size > mostUnsent && w.first == nil && w.dead == nil {
		w.changed.Wait()
	}
	if w.first != nil || w.dead != nil {
		return // Commit will say why
	}
	if size > w.conf.Producer.MaxMessageBytes {
		w.fail(at, fmt.Errorf("a record of %d bytes, message.max.bytes is %d: %w", size, w.conf.Producer.MaxMessageBytes, sarama.ErrMessageSizeTooLarge))
		return
	}
	queue := w.batches[at]
	if n := len(queue); n == 0 || queue[n-1].bytes+size > min(batchBytes, w.conf.Producer.MaxMessageBytes) {
		queue = append(queue, &batch{place: at})
		w.batches[at] = queue
	}
	b := queue[len(queue)-1]
	b.add(key, value, headers)
	b.bytes += size
	w.bytes += size
	if len(b.records) == 1 {
		w.changed.Broadcast()
	}
}

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

// fail notes the first failed send as the cause of what follows. mu is held.
func (w *wire) fail(at place, err error) {
	if w.first == nil {
		w.first = as(w.conf, Fail("send to "+at.String(), err, onTopic("Write", at.topic)))
	}
	w.drop()
	w.changed.Broadcast()
}

// drop forgets what was not sent. mu is held.
func (w *wire) drop() {
	for _, queue := range w.batches {
		for _, b := range queue {
			w.bytes -= b.bytes
		}
	}
	clear(w.batches)
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

func (w *wire) Commit(ctx context.Context, offsets map[string]map[int32]int64, meta *sarama.ConsumerGroupMetadata) error {
	w.ending.Lock()
	defer w.ending.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead != nil {
		return w.dead
	}
	if w.void == nil {
		w.void = w.first
	}
	if w.void != nil {
		return w.void
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit %s: %w", w.id, err) // nothing was asked for yet
	}
	add := request(offsets)
	if !w.used && len(add) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	stop := context.AfterFunc(ctx, w.kill)
	defer stop()
	w.void = w.end(ctx, add, meta)
	if e := ctx.Err(); e != nil && w.void != nil {
		w.dead = &Error{Op: "commit " + w.id, Class: Fatal, Err: e} // our connections are gone with ctx
		return w.dead
	}
	return w.void
}

// end adds the offsets and commits. mu is held, but while it waits.
func (w *wire) end(ctx context.Context, offsets map[string][]*sarama.PartitionOffsetMetadata, meta *sarama.ConsumerGroupMetadata) error {
	if len(offsets) > 0 && meta == nil {
		return &Error{Op: "commit " + w.id, Class: Fatal, Err: errors.New("offsets without a group")}
	}
	w.open = w.open || len(offsets) > 0
	w.mu.Unlock()
	var group error
	asked := make(chan struct{})
	go func() { // awaited below
		defer close(asked)
		if len(offsets) > 0 {
			group = w.addGroup(ctx, meta)
		}
	}()
	w.mu.Lock()
	for (w.flying || len(w.batches) > 0) && w.first == nil {
		w.changed.Wait()
	}
	w.mu.Unlock()
	<-asked
	w.mu.Lock()
	if w.first != nil {
		return w.first
	}
	if group != nil {
		return w.error("add offsets", group, onGroup("Read", meta.GroupID))
	}
	w.mu.Unlock()
	var err error
	if len(offsets) > 0 {
		err = w.addOffsets(ctx, offsets, meta)
	}
	if err == nil {
		err = w.finish(ctx, true)
	}
	w.mu.Lock()
	if err != nil {
		return err
	}
	w.begin()
	w.renew(ctx)
	return nil
}

// begin forgets a transaction that has ended. mu is held.
func (w *wire) begin() {
	clear(w.added)
	w.open, w.used, w.first, w.void = false, false, nil, nil
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

func (w *wire) error(op string, err error, rights ...Right) error {
	return as(w.conf, Fail(op+" "+w.id, err, append(rights, onID("Write", w.id))...))
}

func (w *wire) Abort() error {
	w.ending.Lock()
	defer w.ending.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.abort(abortPatience)
}

// abort rolls back. mu is held, but while it waits.
func (w *wire) abort(patience time.Duration) error {
	if w.dead != nil {
		return w.dead
	}
	ctx, cancel := context.WithTimeout(w.life, patience)
	defer cancel()
	stop := context.AfterFunc(ctx, w.kill)
	defer stop()
	w.drop()
	for w.flying {
		w.changed.Wait()
	}
	if w.void == nil {
		w.void = w.first
	}
	// A fenced producer must not even try. And where brokers do not answer, or nobody knows what they have, a new producer is
	// quicker: its first request rolls back, as soon as there is somebody to take it.
	if w.unknown || errors.Is(w.void, ErrFenced) || errors.Is(w.void, ErrRetry) {
		w.dead = or(w.void, error(&Error{Op: "abort " + w.id, Class: Retry, Err: sarama.ErrNetworkException}))
		return w.dead
	}
	if w.open {
		w.mu.Unlock()
		err := w.finish(ctx, false)
		w.mu.Lock()
		if err != nil && len(w.added) == 0 && errors.Is(err, sarama.ErrInvalidTxnState) {
			err = nil // what would have begun it was refused
		}
		if err != nil {
			w.dead = or(w.void, err)
			return w.dead
		}
	}
	w.begin()
	w.renew(ctx)
	return w.dead
}

func (w *wire) Close() error {
	w.close.Do(func() {
		timer := time.AfterFunc(closePatience, w.kill)
		defer timer.Stop()
		w.ending.Lock()
		defer w.ending.Unlock()
		w.mu.Lock()
		_ = w.abort(closePatience) // else readers wait until it times out; if it does not work, they do
		w.dead = &Error{Op: "use " + w.id, Class: Fatal, Err: errors.New("it is closed")}
		w.closed = true
		w.drop()
		w.changed.Broadcast()
		w.mu.Unlock()
		<-w.ended
		w.client.Close() //nolint:errcheck // it can only be closed already
		w.kill()
	})
	return nil
}
