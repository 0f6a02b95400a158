package processors

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/kafka"
)

// intake takes in the messages of one claim and turns them, at a commit, into work for Goka's callback. It is used by
// one goroutine at a time.
type intake interface {
	// add takes in one message. An error is ours, never the record's: it stops the stage. But a *codecs.SchemaError with
	// [codecs.ErrAskSchema] says that the message was not taken in, and is to come again when its schema was asked for.
	add(m *sarama.ConsumerMessage) error

	// bytes returns how much memory is held; past the cap the pump stops taking in until the next flush.
	bytes() int

	// flush returns what is to be done for what was taken in since the last flush, nil for nothing, and starts anew. at is where
	// the source is read.
	flush(at place) (any, error)
}

// place is where a source is read at a time.
type place struct {
	next  int64     // offset
	now   time.Time // by the stage's clock
	far   bool      // much is there that was not read yet, or something waits for its schema
	blind bool      // what is there was not heard for some time
}

// source gives the messages of one claim in order. It is used by one goroutine, but for lag.
type source interface {
	// next waits for what comes next. It is good until the next call. An error says that the claim has ended, or ctx.
	next(ctx context.Context) (kafka.Fetched, error)

	// lag returns how many offsets lie between one and the source's end as last seen.
	lag(offset int64) int64

	// known reports whether it was seen lately where the source ends.
	known() bool
}

// fetchedClaim reads a claim's partition with the session's fetcher.
type fetchedClaim struct {
	fetcher   *kafka.Fetcher
	partition int32
	unheard   time.Duration // after so long without an answer it is not known any more where the source ends
}

func (c fetchedClaim) next(ctx context.Context) (kafka.Fetched, error) {
	return c.fetcher.Next(ctx, c.partition)
}

func (c fetchedClaim) lag(offset int64) int64 { return c.fetcher.LastStable(c.partition) - offset }
func (c fetchedClaim) known() bool            { return time.Since(c.fetcher.Heard(c.partition)) <= c.unheard }

// maxBatch bounds how long a pump holds its lock: a thousand records are about a millisecond.
const maxBatch = 1024

// pump moves one claim's messages from its source into its intake, also while the last interval commits, and hands the
// intake's work to Goka when the session flushes it.
type pump struct {
	topic     string
	partition int32
	source    source
	out       chan *sarama.ConsumerMessage // to Goka: one message a commit
	cap       limits
	notify    func()                                                        // called when something was taken in, and when there is no more room; it must not block
	ask       func(ctx context.Context, of codecs.Source, schema int) error // see stage
	done      atomic.Int64                                                  // the next offset as last committed

	mu      sync.Mutex // guards all below
	room    *sync.Cond // signalled when the intake is no longer full
	intake  intake
	next    int64 // the source's next offset
	taken   int64 // messages taken in since the last flush
	waiting bool
	full    bool
	asking  bool // for a schema
	lag     int64
}

// limits is how much an intake may hold before the interval must end. Bytes are shared out over a stage's claims: all that
// they hold goes into one transaction, which must be written well before the broker's patience with it ends. One that is
// too large would be given up, built up again and given up again.
type limits struct {
	bytes   int
	records int64 // 0 is no limit
}

// share returns what each of n intakes may hold, for l to be what they hold together.
func (l limits) share(n int) limits {
	l.bytes /= max(n, 1)
	return l
}

func newPump(b begin, from source, in intake, cap limits, notify func()) *pump {
	p := &pump{topic: b.source.Topic, partition: b.source.Partition, source: from, intake: in, cap: cap,
		notify: notify, next: b.from, out: make(chan *sarama.ConsumerMessage, 1)}
	p.done.Store(p.next)
	p.room = sync.NewCond(&p.mu)
	return p
}

// run takes in messages until ctx is done, which is no error, or the claim ends.
func (p *pump) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, p.wake)()
	most := maxBatch
	if p.cap.records > 0 {
		most = 1 // so that no interval gets more
	}
	for {
		got, err := p.source.next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for batch := got.Messages; len(batch) > 0; {
			n := min(len(batch), most)
			if err := p.take(ctx, batch[:n]); err != nil || ctx.Err() != nil {
				return err // what was not taken in is not committed: the next owner reads it
			}
			batch = batch[n:]
			p.notify()
		}
		p.pass(got.Next)
	}
}

// pass goes on behind offsets that have no records. It is committed with the next records, or report.
func (p *pump) pass(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = max(p.next, next)
	p.lag = p.source.lag(p.next)
}

// lookEvery is after how many bytes of messages the intake is asked again how much it holds: a message may become much.
const lookEvery = 16 << 10

// take gives the batch to the intake, as far as there is room, and waits for more until ctx is done.
func (p *pump) take(ctx context.Context, batch []sarama.ConsumerMessage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(batch) > 0 {
		for p.full && ctx.Err() == nil {
			p.room.Wait()
		}
		if ctx.Err() != nil {
			return nil
		}
		var unknown *codecs.SchemaError
		for size := 0; len(batch) > 0 && size < lookEvery; batch = batch[1:] {
			m := &batch[0]
			if err := p.intake.add(m); err != nil {
				if !errors.Is(err, codecs.ErrAskSchema) || !errors.As(err, &unknown) {
					return err
				}
				break
			}
			p.next = m.Offset + 1
			p.taken++
			size += len(m.Value)
		}
		p.waiting = true
		p.lag = p.source.lag(p.next)
		if p.full = p.intake.bytes() >= p.cap.bytes || p.cap.records > 0 && p.taken >= p.cap.records; p.full {
			p.notify()
		}
		if unknown != nil && !p.learn(ctx, unknown.ID) {
			return nil // ctx is done
		}
	}
	return nil
}

// learn waits until a schema is known, or known not to exist; it says false when ctx is done before. The lock is let go
// meanwhile, for nobody knows how long that takes: what was taken in is committed, and the session's other pumps go on.
func (p *pump) learn(ctx context.Context, schema int) bool {
	p.lag = 0 // who waits is not behind: the others need not combine longer for it
	p.asking = true
	p.notify()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.asking = false
	}()
	return p.ask(ctx, codecs.Source{Topic: p.topic, Partition: p.partition}, schema) == nil
}

func (p *pump) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room.Broadcast()
}

// load returns what the pump holds.
func (p *pump) load() load {
	p.mu.Lock()
	defer p.mu.Unlock()
	return load{waiting: p.waiting, full: p.full, lag: p.lag}
}

// goOn makes it worth a commit that there is work which nothing has to come for.
func (p *pump) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = true
}

// flush empties the intake. work is nil when there is nothing to do; next is the offset to commit, negative as long as
// none is known.
func (p *pump) flush(now time.Time) (work any, next, taken int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	work, err = p.intake.flush(place{p.next, now, p.asking || p.source.lag(p.next) >= behind, !p.source.known()})
	taken, p.taken = p.taken, 0
	p.waiting, p.full = false, false
	p.room.Broadcast()
	return work, p.next, taken, err
}
