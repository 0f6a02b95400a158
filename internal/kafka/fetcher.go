package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	metrics "github.com/rcrowley/go-metrics"
)

// FetcherConfig says what a [Fetcher] reads.
type FetcherConfig struct {
	// Client knows the brokers, see [Dial]. It may be shared and is not closed by the fetcher, which opens a connection of its
	// own to each leader. Its configuration bounds memory, whatever the number of partitions: Consumer.Fetch.Default bytes are
	// asked for of a partition and Consumer.Fetch.MaxBytes of all together, while so much again is being read.
	Client sarama.Client

	Topic string
	From  map[int32]int64 // the offsets to begin at, by partition
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
	most   int32          // bytes to ask for at once
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing runs any more
	parts  map[int32]*fetching
}

// fetching is how far one partition has come.
type fetching struct {
	id    int32
	ready chan struct{} // got or err is set
	last  atomic.Int64  // last stable offset of the last answer

	mu   sync.Mutex    // guards all below
	pos  int64         // next offset to ask for
	size int32         // bytes to ask for; grows while one batch does not fit
	got  *fetched      // the last answer, until it is taken
	err  error         // why no more comes after it
	room chan struct{} // told that the answer was taken: whoever fetches from the leader

	// Of whom Next is called by.
	messages []sarama.ConsumerMessage
	given    int64 // offset behind what was given
}

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
	conf.MetricRegistry = metrics.NewRegistry()
	n := int32(max(len(c.From), 1))
	f := &Fetcher{c: c, conf: &conf, ended: make(chan struct{}), parts: map[int32]*fetching{}}
	f.most = min(conf.Consumer.Fetch.MaxBytes, maxFetchBytes)
	f.limit = max(min(conf.Consumer.Fetch.Default, f.most/n), 1)
	for id, from := range c.From {
		f.parts[id] = &fetching{id: id, ready: make(chan struct{}, 1), pos: from, given: from, size: f.limit}
		f.parts[id].last.Store(from)
	}
	ctx, f.cancel = context.WithCancel(ctx)
	go f.run(ctx) // Close waits for it
	return f
}

// Close ends the fetcher. What was fetched can still be had.
func (f *Fetcher) Close() {
	f.cancel()
	<-f.ended
}

// LastStable returns how far transactions were decided in a partition, as the last answer said: it can be read up to there.
func (f *Fetcher) LastStable(partition int32) int64 { return f.parts[partition].last.Load() }

// Next waits for what comes next in a partition. It is good until the next call for the partition, which is for one goroutine.
// Errors are *[OutOfRange], *[NotAllowed], *[Error], or ctx's when that is done. What passes is retried.
func (f *Fetcher) Next(ctx context.Context, partition int32) (Fetched, error) {
	p := f.parts[partition]
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
	_ = committed(got.block, p.given, func(offset int64, key, value []byte, ts time.Time) error {
		p.messages = append(p.messages, sarama.ConsumerMessage{Topic: topic, Partition: p.id, Offset: offset, Key: key, Value: value, Timestamp: ts})
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

// run follows the leaders, and looks for them again whenever one does not answer as a leader does.
func (f *Fetcher) run(ctx context.Context) {
	defer close(f.ended)
	for attempt := 0; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := f.follow(ctx, attempt)
		if time.Since(began) > leaderSettled {
			attempt = 0
		}
		if e := f.again(ctx, attempt, err); e != nil {
			for _, p := range f.parts {
				p.fail(e)
			}
			return
		}
	}
}

// leaderSettled is after how long a leader that goes is the beginning of a new search, not a part of the last one.
const leaderSettled = 5 * time.Second

// follow fetches from the leaders as they are now until one of them fails or ctx is done. Partitions that have none are looked
// for after a pause, while the others are read.
func (f *Fetcher) follow(ctx context.Context, attempt int) error {
	leaders, missing, err := f.leaders()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var following sync.WaitGroup
	for addr, parts := range leaders {
		following.Go(func() { cancel(f.fetchFrom(ctx, addr, parts)) })
	}
	if missing != nil {
		following.Go(func() {
			_ = sleep(ctx, backoff(attempt)) // who wakes us has a reason of its own
			cancel(missing)
		})
	}
	following.Wait()
	return context.Cause(ctx)
}

// leaders asks who leads which of the partitions. missing is why some have nobody.
func (f *Fetcher) leaders() (by map[string][]*fetching, missing, err error) {
	all, err := leaders(f.c.Client, f.c.Topic)
	if err != nil {
		return nil, nil, err
	}
	by = map[string][]*fetching{}
	for id, p := range f.parts {
		switch addr, ok := all[id]; {
		case !ok:
			missing = sarama.ErrUnknownTopicOrPartition
		case addr == "":
			missing = sarama.ErrLeaderNotAvailable
		default:
			by[addr] = append(by[addr], p)
		}
	}
	if len(by) == 0 {
		return nil, nil, missing
	}
	return by, missing, nil
}

// fetchFrom fetches from one leader until it fails, is none any more, or ctx is done.
func (f *Fetcher) fetchFrom(ctx context.Context, addr string, parts []*fetching) error {
	conf := *f.conf
	dialer{ctx: ctx}.into(&conf)
	b := sarama.NewBroker(addr)
	if err := b.Open(&conf); err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // it may be closed already: by the broker, or by a request that failed
	room := make(chan struct{}, 1)
	for _, p := range parts {
		p.follow(room)
	}
	for {
		req, asked := f.request(parts)
		if asked == 0 {
			select {
			case <-room:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if asked < len(parts) {
			req.MaxWaitTime = busyWait
		}
		res, err := b.Fetch(req)
		if err != nil {
			return err
		}
		if res.ErrorCode != 0 {
			return sarama.KError(res.ErrorCode)
		}
		for _, p := range parts {
			if block := res.GetBlock(f.c.Topic, p.id); block != nil {
				// What the others have is not held up. What cannot be mended counts.
				if e := f.take(ctx, p, block); e != nil && (err == nil || Classify(err) == Retry) {
					err = e
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

// busyWait is how many milliseconds a broker may hold a request while a partition that has no room is not in it: that one is
// to be asked for soon.
const busyWait = 5

// request asks for all partitions that have room.
func (f *Fetcher) request(parts []*fetching) (req *sarama.FetchRequest, asked int) {
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
			asked++
		}
	}
	return req, asked
}

// take takes in a partition's part of an answer. An error says that the leaders are to be looked for; what concerns the partition
// alone ends that alone.
func (f *Fetcher) take(ctx context.Context, p *fetching, block *sarama.FetchResponseBlock) error {
	from, size, _ := p.wants()
	switch {
	case errors.Is(block.Err, sarama.ErrOffsetOutOfRange):
		p.fail(f.outOfRange(ctx, p.id, from))
		return nil
	case block.Err != sarama.ErrNoError:
		return block.Err
	}
	p.last.Store(block.LastStableOffset)
	next := max(from, end(block))
	if next > from {
		p.grow(f.limit)
		p.push(fetched{block: block, next: next})
		return nil
	}
	if truncated(block) {
		// Other partitions may have filled the answer. Brokers send the first batch whole, whatever its size, but not all first.
		if size >= maxFetchBytes {
			p.fail(fmt.Errorf("%s/%d: the batch at offset %d is larger than %d bytes", f.c.Topic, p.id, from, maxFetchBytes))
			return nil
		}
		p.grow(min(2*size, maxFetchBytes))
	}
	return nil
}

func (p *fetching) grow(size int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = size
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

// again waits before the next attempt after err. It returns an error when there is nothing more to try.
func (f *Fetcher) again(ctx context.Context, attempt int, err error) error {
	return again(ctx, f.conf, "read "+f.c.Topic, f.c.Topic, attempt, err)
}
