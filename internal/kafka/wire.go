package kafka

import (
	"context"
	"errors"
	"fmt"
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
