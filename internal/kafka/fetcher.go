package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// FetcherConfig says what a [Fetcher] reads.
type FetcherConfig struct {
	// Client knows the brokers, see [Dial]. It may be shared and is not closed by the fetcher, which opens a connection of its
	// own to each leader. Its configuration bounds memory, whatever the number of partitions: Consumer.Fetch.MaxBytes is what is asked
	// for of all together, at most Consumer.Fetch.Default of each. So much lies unread, and so much again is being read; where
	// partitions are read very unevenly, it can be four times as much.
	Client sarama.Client

	Topic string
	From  map[int32]int64 // the offsets to begin at, by partition; [Fetcher.Add] adds others

	// Partitions is how many there may be, if From has not all of them: they share the memory.
	Partitions int

	// MaxBytes is how much to ask for of all together, if that is less than what the client's configuration allows.
	MaxBytes int32

	// Again, if it is set, is asked before a partition that was lost is looked for again. Its error ends the partition.
	Again func() error
}

// Fetcher reads what was committed to several partitions of a topic, each at its own pace: one request to a broker asks for all
// that it leads and that have room. Like a [Reader], and unlike Sarama's consumer, it passes what has no records.
//
// Sarama's consumer waits before each request until all its partitions have been read by everybody, and copies each record
// through two channels; that was half of the time of reading a backlog.
type Fetcher struct {
	c      FetcherConfig
	conf   *sarama.Config // for our connections
	limit  int32          // bytes to ask for of each partition
	most   int32          // bytes to ask for at once, of all
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing runs any more

	running sync.WaitGroup // all but run
	wake    chan struct{}  // told that a partition is lost
	mu      sync.Mutex     // guards what follows, and which partitions a leader has
	parts   map[int32]*fetching
	lost    map[*fetching]time.Time // those that no leader is asked for, and when to look for one
	leaders map[string]*leader      // whom we fetch from, by address
}

// leader is a broker that leads partitions.
type leader struct {
	addr  string
	parts []*fetching   // none: it is given up
	room  chan struct{} // told that there is more to ask for
}

// fetching is how far one partition has come.
type fetching struct {
	id    int32
	ready chan struct{} // got or err is set
	last  atomic.Int64  // last stable offset of the last answer
	heard atomic.Int64  // when that came, Unix nanoseconds; 0: there was none

	mu    sync.Mutex    // guards all below
	pos   int64         // next offset to ask for
	size  int32         // bytes to ask for; grows while one batch does not fit
	got   *fetched      // the last answer, until it is taken
	err   error         // why no more comes after it
	room  chan struct{} // told that the answer was taken: whoever fetches from the leader
	tries tries         // since the last good answer

	// Of whom Next is called by.
	messages []sarama.ConsumerMessage
	given    int64 // offset behind what was given
}

// OwnFetchBytes is how much to ask for at once of a topic of ours. Those are compressed, and there are two of each table.
const OwnFetchBytes = 2 << 20

// Fetched is some of what a partition holds.
type Fetched struct {
	// Messages are records in order, without headers; their keys and values are never overwritten. There may be none.
	Messages []sarama.ConsumerMessage

	// Next is the offset behind them, and behind what has no records: markers, what was aborted or compacted away.
	Next int64
}

// NewFetcher begins to fetch until ctx is done. Close the fetcher.
func NewFetcher(ctx context.Context, c FetcherConfig) *Fetcher {
	conf := *c.Client.Config()
	n := int32(max(len(c.From), c.Partitions, 1))
	f := &Fetcher{
		c: c, conf: &conf, ended: make(chan struct{}), parts: map[int32]*fetching{},
		wake: make(chan struct{}, 1), lost: map[*fetching]time.Time{}, leaders: map[string]*leader{},
	}
	// Records that are not compressed are pieces of the answer that they came in, so that a partition of which some are unread may hold
	// a whole one: it must not be larger the more partitions there are.
	most := min(conf.Consumer.Fetch.MaxBytes, or(c.MaxBytes, maxFetchBytes), maxFetchBytes)
	share := max(most/n, 1)
	f.limit = min(conf.Consumer.Fetch.Default, share)
	f.most = min(most, partsAnAnswer*share)
	for id, from := range c.From {
		f.Add(id, from)
	}
	ctx, f.cancel = context.WithCancel(ctx)
	go f.run(ctx) // Close waits for it
	return f
}

// partsAnAnswer is how many partitions' shares an answer may have.
const partsAnAnswer = 4

// Close ends the fetcher. What was fetched can still be had.
func (f *Fetcher) Close() {
	f.cancel()
	<-f.ended
}

// Add begins to fetch a partition, from an offset on; anew, if it was fetched before.
func (f *Fetcher) Add(partition int32, from int64) {
	f.Remove(partition)
	p := &fetching{id: partition, ready: make(chan struct{}, 1), pos: from, given: from, size: f.limit}
	p.last.Store(from)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts[partition] = p
	f.lost[p] = time.Time{}
	tell(f.wake)
}

// Remove ends a partition. Nobody may wait for it.
func (f *Fetcher) Remove(partition int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.parts[partition]
	if p == nil {
		return
	}
	delete(f.parts, partition)
	delete(f.lost, p)
	for _, l := range f.leaders {
		l.without(p)
		tell(l.room) // it may be the last
	}
}

// without takes a partition from the leader, if it has it.
func (l *leader) without(p *fetching) {
	l.parts = slices.DeleteFunc(slices.Clone(l.parts), func(o *fetching) bool { return o == p }) // others may look at the old ones
}

func (f *Fetcher) part(partition int32) *fetching {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parts[partition]
}

// LastStable returns how far transactions were decided in a partition, as the last answer said: it can be read up to there.
func (f *Fetcher) LastStable(partition int32) int64 { return f.part(partition).last.Load() }

// Heard returns when that answer came; the zero time before the first.
func (f *Fetcher) Heard(partition int32) time.Time {
	if at := f.part(partition).heard.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Next waits for what comes next in a partition. It is good until the next call for the partition, which is for one goroutine.
// Errors are *[OutOfRange], *[NotAllowed], *[Error], or ctx's when that is done. What passes is retried.
func (f *Fetcher) Next(ctx context.Context, partition int32) (Fetched, error) {
	p := f.part(partition)
	if p == nil {
		return Fetched{}, fmt.Errorf("read %s/%d, which is not fetched: %w", f.c.Topic, partition, context.Canceled)
	}
	for {
		ended := false
		select {
		case <-f.ended:
			ended = true
		default:
		}
		if got, err := p.pop(); err != nil {
			return Fetched{}, err
		} else if got != nil {
			return p.open(f.c.Topic, got), nil
		}
		if ended {
			return Fetched{}, fmt.Errorf("read %s/%d: %w", f.c.Topic, partition, context.Canceled)
		}
		select {
		case <-p.ready:
		case <-f.ended:
		case <-ctx.Done():
			return Fetched{}, ctx.Err()
		}
	}
}

// pop takes what was fetched last, if anything was. It comes before an error.
func (p *fetching) pop() (*fetched, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	if got == nil {
		return nil, p.err
	}
	p.got = nil
	tell(p.room)
	return got, nil
}

// tell wakes who listens, unless it has been told already.
func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// open makes messages of a partition's part of an answer.
func (p *fetching) open(topic string, got *fetched) Fetched {
	clear(p.messages) // or they would hold the memory of the answer before
	p.messages = p.messages[:0]
	_ = committed(got.block, p.given, func(offset int64, key, value []byte, ts time.Time, headers []*sarama.RecordHeader) error {
		p.messages = append(p.messages, sarama.ConsumerMessage{Topic: topic, Partition: p.id, Offset: offset, Key: key, Value: value, Timestamp: ts, Headers: headers})
		return nil // and so is what committed returns
	})
	p.given = got.next
	return Fetched{Messages: p.messages, Next: got.next}
}

// push takes in an answer and wakes who waits for it.
func (p *fetching) push(got fetched) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got, p.pos = &got, got.next
	tell(p.ready)
}

// fail ends one partition.
func (p *fetching) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	tell(p.ready)
}

// wants returns what is to be asked for, if the last answer was taken.
func (p *fetching) wants() (from int64, size int32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pos, p.size, p.err == nil && p.got == nil
}

// follow says who is to be told when there is room.
func (p *fetching) follow(room chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room = room
}

// run looks for the leaders of partitions that have none, until ctx is done.
func (f *Fetcher) run(ctx context.Context) {
	defer close(f.ended)
	defer f.running.Wait()
	for {
		due, wait := f.due()
		if len(due) > 0 {
			f.find(ctx, due)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.wake:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// due takes the lost partitions whose pause is over. wait is for how long there are none.
func (f *Fetcher) due() (due []*fetching, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = time.Hour
	for p, at := range f.lost {
		if left := time.Until(at); left > 0 {
			wait = min(wait, left)
			continue
		}
		delete(f.lost, p)
		due = append(due, p)
	}
	return due, wait
}

// lose takes it that a partition has no leader: one is looked for after a pause, which is longer each time. Where that does not
// help, the partition ends. What the others have is not held up.
func (f *Fetcher) lose(ctx context.Context, p *fetching, why error) {
	if ctx.Err() != nil {
		return
	}
	if errors.Is(why, sarama.ErrOffsetOutOfRange) {
		from, _, _ := p.wants()
		f.running.Go(func() { p.fail(f.outOfRange(ctx, p.id, from)) })
		return
	}
	p.mu.Lock()
	pause, err := p.tries.again(f.conf, "read "+f.c.Topic, f.c.Topic, why)
	p.mu.Unlock()
	if err != nil {
		p.fail(err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parts[p.id] == p {
		f.lost[p] = time.Now().Add(pause)
		tell(f.wake)
	}
}

// find asks who leads the partitions, and has them fetched from there.
func (f *Fetcher) find(ctx context.Context, lost []*fetching) {
	if f.c.Again != nil && slices.ContainsFunc(lost, (*fetching).failed) {
		if err := f.c.Again(); err != nil {
			for _, p := range lost {
				p.fail(err)
			}
			return
		}
	}
	leaders, err := leaders(ctx, f.c.Client, f.c.Topic)
	for _, p := range lost {
		addr, known := leaders[p.id]
		switch {
		case err != nil:
			f.lose(ctx, p, err)
		case !known:
			f.lose(ctx, p, sarama.ErrUnknownTopicOrPartition)
		case addr == "":
			f.lose(ctx, p, sarama.ErrLeaderNotAvailable)
		default:
			f.give(ctx, p, addr)
		}
	}
}

// give has a partition fetched from a leader.
func (f *Fetcher) give(ctx context.Context, p *fetching, addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parts[p.id] != p {
		return // it was removed
	}
	l := f.leaders[addr]
	if l == nil {
		l = &leader{addr: addr, room: make(chan struct{}, 1)}
		f.leaders[addr] = l
		f.running.Go(func() { f.follow(ctx, l) })
	}
	l.parts = append(l.parts, p)
	p.follow(l.room)
	tell(l.room)
}

// take takes a partition from its leader.
func (f *Fetcher) take(l *leader, p *fetching) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.without(p)
}

// of returns a leader's partitions.
func (f *Fetcher) of(l *leader) []*fetching {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clip(l.parts)
}

// follow fetches from a leader until that fails, or has no partitions any more, or ctx is done.
func (f *Fetcher) follow(ctx context.Context, l *leader) {
	err := f.fetchFrom(ctx, l)
	f.mu.Lock()
	delete(f.leaders, l.addr)
	left := l.parts
	f.mu.Unlock()
	for _, p := range left {
		f.lose(ctx, p, err)
	}
}

// fetchFrom is follow up to the error.
func (f *Fetcher) fetchFrom(ctx context.Context, l *leader) error {
	conf := *f.conf
	dialer{ctx: ctx}.into(&conf)
	b := sarama.NewBroker(l.addr)
	if err := b.Open(&conf); err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // it may be closed already: by the broker, or by a request that failed
	for {
		parts := f.of(l)
		if len(parts) == 0 {
			return nil
		}
		req, asked := f.request(parts)
		if len(asked) == 0 {
			select {
			case <-l.room:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if len(asked) < len(parts) {
			req.MaxWaitTime = busyWait
		}
		res, err := b.Fetch(req)
		if err != nil {
			return err
		}
		if res.ErrorCode != 0 {
			return sarama.KError(res.ErrorCode)
		}
		for _, p := range asked {
			if err := f.answered(p, res.GetBlock(f.c.Topic, p.id)); err != nil {
				f.take(l, p)
				f.lose(ctx, p, err)
			}
		}
	}
}

// busyWait is how many milliseconds a broker may hold a request while a partition that has no room is not in it: that one is
// to be asked for soon.
const busyWait = 5

// request asks for all partitions that have room.
func (f *Fetcher) request(parts []*fetching) (req *sarama.FetchRequest, asked []*fetching) {
	req = &sarama.FetchRequest{
		Version:      11, // no session: what is asked for changes with who has room
		SessionEpoch: -1,
		MaxWaitTime:  int32(f.conf.Consumer.MaxWaitTime / time.Millisecond),
		MinBytes:     1,
		MaxBytes:     f.most,
		Isolation:    sarama.ReadCommitted,
	}
	for _, p := range parts {
		if from, size, ok := p.wants(); ok {
			req.AddBlock(f.c.Topic, p.id, from, size, -1) // Sarama writes them in an order of chance, so all get their turn
			req.MaxBytes = max(req.MaxBytes, size)
			asked = append(asked, p)
		}
	}
	return req, asked
}

// answered takes in a partition's part of an answer. An error says why there is none.
func (f *Fetcher) answered(p *fetching, block *sarama.FetchResponseBlock) error {
	if block == nil {
		return sarama.ErrIncompleteResponse
	}
	if block.Err != sarama.ErrNoError {
		return block.Err
	}
	from, size, _ := p.wants()
	p.last.Store(block.LastStableOffset)
	p.heard.Store(time.Now().UnixNano())
	next := max(from, end(block))
	switch {
	case next > from:
		p.asks(f.limit)
		p.push(fetched{block: block, next: next})
	case !truncated(block):
		p.asks(size)
	// Other partitions may have filled the answer. Brokers send the first batch whole, whatever its size, but not all first.
	case size >= maxFetchBytes:
		return fmt.Errorf("%s/%d: the batch at offset %d is larger than %d bytes", f.c.Topic, p.id, from, maxFetchBytes)
	default:
		p.asks(min(2*size, maxFetchBytes))
	}
	return nil
}

// failed says whether the last that was heard of the partition was an error.
func (p *fetching) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries.failed > 0
}

// asks says how much to ask for next, after an answer that was good.
func (p *fetching) asks(size int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size, p.tries = size, tries{}
}

// outOfRange says what is there instead.
func (f *Fetcher) outOfRange(ctx context.Context, partition int32, from int64) error {
	r, err := NewReader(ctx, ReaderConfig{Client: f.c.Client, Topic: f.c.Topic, Partition: partition, From: from})
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // never fails
	return r.outOfRange(ctx, from, sarama.ErrOffsetOutOfRange)
}
