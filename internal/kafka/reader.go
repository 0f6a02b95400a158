package kafka

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/internal/fault"
)

// Oldest is where a partition begins.
const Oldest = sarama.OffsetOldest

// RecordFunc takes one committed record. A nil value is a tombstone, an empty one is not.
//
// key and value are never overwritten, but they are pieces of the fetched batch: who keeps one keeps all of it in memory,
// so copy what stays. They must not be changed. tsMillis is the record's timestamp in milliseconds since the Unix epoch.
// An error ends the reading; the record counts as not read.
type RecordFunc func(offset int64, key, value []byte, tsMillis int64) error

// ReaderConfig says what a [Reader] reads.
type ReaderConfig struct {
	// Client knows the brokers, see [Dial]. It may be shared and is not closed by the reader, which opens a connection of its
	// own to the partition's leader: a broker answers one connection's requests one after the other, so a fetch that waits
	// for records would hold up everybody else.
	Client sarama.Client

	Topic     string
	Partition int32

	// From is the offset to begin at, or [Oldest] or sarama.OffsetNewest (the high
	// watermark at the time of NewReader).
	From int64

	// FetchBytes is how much one request asks for. More is faster over a backlog where the broker is far, and takes more memory:
	// about twice as much, uncompressed. Defaults to the client's Consumer.Fetch.Default.
	FetchBytes int32

	// Budget is shared with other readers. Defaults to none: what this one asks for is not bounded by what others do.
	Budget *Budget

	// MaxWait is how long the broker may hold a request while there is nothing to read; it is how long Poll blocks.
	// Defaults to 250 ms.
	MaxWait time.Duration

	// Around is called for each answer that a ReadTo or Recover has got; give gives its records to the RecordFunc, and target is
	// where the reading ends. It is for what an answer costs once: who keeps a lock while records come lets others have it between two
	// answers. Defaults to calling give.
	Around func(target int64, give func() error) error

	// Header is called with each of a record's headers before the RecordFunc is called with the record. Optional.
	Header func(key, value []byte)
}

// Reader reads what was committed to one partition, by fetch requests of its own: unlike Sarama's consumer it sees
// transaction markers and compacted batches, so its position passes what has no records, and it knows the partition's end
// also when the last offset is a marker. It is not safe for concurrent use.
type Reader struct {
	c    ReaderConfig
	conf *sarama.Config // for our connection, of which there is one at a time

	pos   int64 // next offset to read
	began int64 // pos when nothing had been read
	high  int64 // high watermark and last stable offset of the last fetch; -1 before the first
	last  int64
	size  int32 // bytes to ask for; grows while one batch does not fit

	mu     sync.Mutex // guards broker: a cancelled fetch closes it from another goroutine
	broker *sarama.Broker
	cancel context.CancelFunc // ends broker's connection
}

// OutOfRange is returned when a reader's position is no longer (or not yet) in the partition.
type OutOfRange struct {
	Topic          string
	Partition      int32
	Offset         int64 // where we wanted to read
	Oldest, Newest int64 // what is there: [Oldest, Newest)
}

func (e *OutOfRange) Error() string {
	return fmt.Sprintf("read %s/%d at offset %d: the partition has [%d, %d)", e.Topic, e.Partition, e.Offset, e.Oldest, e.Newest)
}

// Is says that trying again does not help.
func (e *OutOfRange) Is(target error) bool { return target == ErrFatal }

// NewReader finds out where to begin. Close the reader.
func NewReader(ctx context.Context, c ReaderConfig) (*Reader, error) {
	c.FetchBytes = or(c.FetchBytes, c.Client.Config().Consumer.Fetch.Default)
	c.MaxWait = or(c.MaxWait, 250*time.Millisecond)
	if c.Around == nil {
		c.Around = func(_ int64, give func() error) error { return give() }
	}
	r := &Reader{c: c, conf: c.Client.Config(), pos: c.From, high: -1, last: -1, size: c.FetchBytes}
	if c.From < 0 {
		at, err := r.offset(ctx, c.From)
		if err != nil {
			return nil, err
		}
		r.pos = at
	}
	r.began = r.pos
	return r, nil
}

// Position returns the offset that is read next. It may stand behind the last record by any number of markers, aborted and
// compacted records: offsets of records have holes.
func (r *Reader) Position() int64 { return r.pos }

// HighWatermark returns the end of the partition as the last fetch saw it, open transactions included; -1 before the first.
func (r *Reader) HighWatermark() int64 { return r.high }

// LastStable returns how far transactions were decided as the last fetch saw it; -1 before the first.
func (r *Reader) LastStable() int64 { return r.last }

// Lag returns how many offsets could be read but were not, as the last fetch saw it; 0 before the first.
func (r *Reader) Lag() int64 { return max(0, r.last-r.pos) }

// Close closes the reader's connection.
func (r *Reader) Close() error {
	r.disconnect()
	return nil
}

// Reading says how a reading to some offset went.
type Reading struct {
	Next    int64         // offset to go on at
	Records int64         // records given to the function
	Behind  int64         // how many offsets the last stable offset stood before the target at the first fetch
	Waited  time.Duration // how long there was nothing to do but wait for open transactions to be decided
}

// Recover reads to the high watermark that the partition has now. See ReadTo.
//
// It is the high watermark and not the last stable offset, because an instance that died in a transaction keeps that one
// behind its first record until the transaction times out, while others may have committed after it: stopping there would
// forget what they committed.
func (r *Reader) Recover(ctx context.Context, fn RecordFunc) (Reading, error) {
	target, err := r.offset(ctx, sarama.OffsetNewest)
	if err != nil {
		return Reading{Next: r.pos}, err
	}
	if fault.Off(fault.RecoverToHighWM) {
		target = min(target, r.peek(ctx))
	}
	return r.ReadTo(ctx, target, fn)
}

// ReadTo reads all committed records before target, in order, and returns when the position has reached target (or passed
// it: a batch is not cut, so fn may also see committed records behind it). It waits for transactions that are open before
// target to be committed or aborted, which their timeout bounds.
//
// While fn works on a batch the next one is already fetched.
func (r *Reader) ReadTo(ctx context.Context, target int64, fn RecordFunc) (Reading, error) {
	var done Reading
	var stuck time.Time // since when the position has not moved
	ctx, cancel := context.WithCancel(ctx)
	var ahead chan fetched // the next fetch, on its way
	defer func() {
		cancel()
		if ahead != nil {
			unread := <-ahead // the goroutine below has ended
			unread.free()
		}
		done.Next = r.pos
	}()
	first := true
	for r.pos < target {
		var f fetched
		if ahead != nil {
			f, ahead = <-ahead, nil
		} else {
			f = r.fetchHere(ctx, 0)
		}
		if f.err != nil {
			done.Next = r.pos
			return done, f.err
		}
		r.note(f)
		if first {
			first = false
			done.Behind = max(0, target-f.last)
		}
		if f.next > r.pos && f.next < target {
			ahead = make(chan fetched, 1)
			go func(from int64, out chan<- fetched) { out <- r.fetch(ctx, from, 0) }(f.next, ahead) // awaited above, or by the defer
		}
		moved := f.next > r.pos
		err := r.c.Around(target, func() error {
			n, err := r.deliver(f, fn)
			done.Records += n
			return err
		})
		if err != nil {
			done.Next = r.pos
			return done, err
		}
		switch {
		case !moved && stuck.IsZero():
			stuck = f.sent
		case moved && !stuck.IsZero():
			done.Waited += time.Since(stuck)
			stuck = time.Time{}
		}
		if !moved {
			if err := sleep(ctx, undecidedPause); err != nil {
				return done, fmt.Errorf("read %s/%d: %w", r.c.Topic, r.c.Partition, err)
			}
		}
	}
	done.Next = r.pos
	return done, nil
}

// undecidedPause is how long a reading that waits for transactions to be decided asks nobody. The broker could hold the request
// instead, but so long that would count against the budget of those who have something to read.
const undecidedPause = 50 * time.Millisecond

// Poll fetches once and gives fn what came: for following a partition's end. It returns how many records that was, 0 when
// there was nothing to read within MaxWait. What passes (a new leader, a broker that restarts) is retried until ctx is done.
func (r *Reader) Poll(ctx context.Context, fn RecordFunc) (int64, error) {
	f := r.fetchHere(ctx, r.c.MaxWait)
	if f.err != nil {
		return 0, f.err
	}
	r.note(f)
	return r.deliver(f, fn)
}

// fetched is one answer of the broker.
type fetched struct {
	block *sarama.FetchResponseBlock
	next  int64 // position behind it
	high  int64
	last  int64
	sent  time.Time
	taken func() // gives back what it has of the budget; nil: it has none
	err   error
}

// free gives back what the answer has of the budget, once it is not needed any more.
func (f *fetched) free() {
	if f.taken != nil {
		f.taken()
	}
}

func (r *Reader) note(f fetched) { r.high, r.last = f.high, f.last }

// deliver gives fn the committed records of f from the position on and moves the position behind f.
func (r *Reader) deliver(f fetched, fn RecordFunc) (n int64, err error) {
	defer f.free()
	from := r.pos
	give := func(off int64, key, value []byte, ts time.Time, headers []*sarama.RecordHeader) error {
		for i := 0; r.c.Header != nil && i < len(headers); i++ {
			r.c.Header(headers[i].Key, headers[i].Value)
		}
		if err := fn(off, key, value, ts.UnixMilli()); err != nil {
			r.pos = off
			return fmt.Errorf("%s/%d@%d: %w", r.c.Topic, r.c.Partition, off, err)
		}
		n++
		return nil
	}

	if err := committed(f.block, from, give); err != nil {
		return n, err
	}
	r.pos = max(r.pos, f.next)
	return n, nil
}

// committed gives the committed records of a partition's part of an answer, from an offset on: a batch is sent whole, also when
// we begin in its middle.
func committed(block *sarama.FetchResponseBlock, from int64, give func(offset int64, key, value []byte, ts time.Time, headers []*sarama.RecordHeader) error) error {
	// The broker names the transactions that were aborted, by producer and first offset. A batch of that producer is void
	// from there to the producer's abort marker. (As org.apache.kafka.clients.consumer.internals.CompletedFetch.)
	var void map[int64]struct{}
	aborted := block.AbortedTransactions
	if len(aborted) > 0 {
		void = make(map[int64]struct{}, len(aborted))
		slices.SortFunc(aborted, func(a, b *sarama.AbortedTransaction) int { return int(min(max(a.FirstOffset-b.FirstOffset, -1), 1)) })
	}
	for _, set := range block.RecordsSet {
		if set.MsgSet != nil {
			if err := legacy(set.MsgSet, from, give); err != nil {
				return err
			}
			continue
		}
		b := set.RecordBatch
		if b == nil {
			continue
		}
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			void[aborted[0].ProducerID] = struct{}{}
			aborted = aborted[1:]
		}
		if b.Control {
			if isAbort(b) {
				delete(void, b.ProducerID)
			}
			continue
		}
		if b.IsTransactional {
			if _, is := void[b.ProducerID]; is {
				continue
			}
		}
		ts := b.MaxTimestamp
		for _, rec := range b.Records {
			if !b.LogAppendTime {
				ts = b.FirstTimestamp.Add(rec.TimestampDelta)
			}
			if off := b.FirstOffset + rec.OffsetDelta; off >= from {
				if err := give(off, rec.Key, rec.Value, ts, rec.Headers); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isAbort says whether control batch b is a transaction's abort marker: its key is a version and a type of two bytes each,
// abort is 0, commit 1 (org.apache.kafka.common.record.ControlRecordType).
func isAbort(b *sarama.RecordBatch) bool {
	return len(b.Records) > 0 && len(b.Records[0].Key) >= 4 && b.Records[0].Key[2] == 0 && b.Records[0].Key[3] == 0
}

// legacy gives the messages of a set in the format before Kafka 0.11, which old input topics may still hold.
func legacy(set *sarama.MessageSet, from int64, give func(int64, []byte, []byte, time.Time, []*sarama.RecordHeader) error) error {
	for _, outer := range set.Messages {
		inner := outer.Messages()
		for _, m := range inner {
			off := m.Offset
			if m.Msg.Version >= 1 { // offsets inside a compressed message are relative, and the outer one is the last's
				off += outer.Offset - inner[len(inner)-1].Offset
			}
			if off < from {
				continue
			}
			if err := give(off, m.Msg.Key, m.Msg.Value, m.Msg.Timestamp, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchHere fetches at the position. A reader that is to begin where the partition does, and has not yet, follows when that
// moves: what was deleted since it looked is not missing.
func (r *Reader) fetchHere(ctx context.Context, wait time.Duration) fetched {
	for {
		f := r.fetch(ctx, r.pos, wait)
		var out *OutOfRange
		if r.c.From != sarama.OffsetOldest || r.pos != r.began || !errors.As(f.err, &out) || out.Oldest <= r.pos {
			return f
		}
		r.pos, r.began = out.Oldest, out.Oldest
	}
}

// peek returns how far transactions are decided.
func (r *Reader) peek(ctx context.Context) int64 {
	f := r.fetch(ctx, r.pos, 0)
	f.free()
	return f.last
}

// fetch asks for what is at from until the broker answers, a retry makes no sense or ctx is done. The broker may hold the
// request for as long as wait.
func (r *Reader) fetch(ctx context.Context, from int64, wait time.Duration) fetched {
	sent := time.Now()
	for failed := (tries{}); ; {
		f, err := r.fetchOnce(ctx, from, wait)
		if err == nil {
			f.sent = sent
			return f
		}
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return fetched{err: r.outOfRange(ctx, from, err)}
		}
		r.disconnect()
		if e := r.again(ctx, "read", &failed, err); e != nil {
			return fetched{err: e}
		}
	}
}

func (r *Reader) fetchOnce(ctx context.Context, from int64, wait time.Duration) (fetched, error) {
	b, hangUp, err := r.connect(ctx)
	if err != nil {
		return fetched{}, err
	}
	stop := context.AfterFunc(ctx, hangUp)
	defer stop()
	for {
		free, err := r.c.Budget.take(ctx, b.Addr(), r.size)
		if err != nil {
			return fetched{}, err
		}
		f, err := r.ask(b, from, wait)
		if err != nil || f.next == from {
			free() // there is nothing in it
		} else {
			f.taken = free
		}
		if err != nil {
			return fetched{}, err
		}
		if cut := f.next == from && truncated(f.block); !cut {
			r.size = r.c.FetchBytes
			return f, nil
		}
		// Brokers send the first batch whole since 0.10.1, whatever its size; this is for those that do not.
		if r.size >= maxFetchBytes {
			return fetched{}, fmt.Errorf("the batch at offset %d is larger than %d bytes", from, maxFetchBytes)
		}
		r.size = min(2*r.size, maxFetchBytes)
	}
}

// ask sends one request.
func (r *Reader) ask(b *sarama.Broker, from int64, wait time.Duration) (fetched, error) {
	req := &sarama.FetchRequest{
		Version:      11, // no session: one partition is asked for anew each time
		SessionEpoch: -1,
		MaxWaitTime:  int32(wait / time.Millisecond),
		MinBytes:     1,
		MaxBytes:     r.size,
		Isolation:    sarama.ReadCommitted,
	}
	req.AddBlock(r.c.Topic, r.c.Partition, from, r.size, -1)
	res, err := b.Fetch(req)
	if err != nil {
		return fetched{}, err
	}
	if res.ErrorCode != 0 {
		return fetched{}, sarama.KError(res.ErrorCode)
	}
	block := res.GetBlock(r.c.Topic, r.c.Partition)
	if block == nil {
		return fetched{}, sarama.ErrIncompleteResponse
	}
	if block.Err != sarama.ErrNoError {
		return fetched{}, block.Err
	}
	return fetched{block: block, next: max(from, end(block)), high: block.HighWaterMarkOffset, last: block.LastStableOffset}, nil
}

// maxFetchBytes keeps an answer within what Sarama takes (sarama.MaxResponseSize).
const maxFetchBytes = 90 << 20

// end returns the offset behind the last batch of block, -1 if there is none.
func end(block *sarama.FetchResponseBlock) int64 {
	next := int64(-1)
	for _, set := range block.RecordsSet {
		if b := set.RecordBatch; b != nil && !b.PartialTrailingRecord {
			next = max(next, b.LastOffset()+1)
		}
		if s := set.MsgSet; s != nil {
			for _, m := range s.Messages {
				next = max(next, m.Offset+1)
			}
		}
	}
	// Compaction may leave batches without records, which keep a producer's place. Sarama leaves them out, and when nothing
	// else was in the answer a field of its own is the only trace of them: without it we would ask for one offset for ever.
	// Only then, because that field also counts a batch that was cut off at the answer's end.
	if len(block.RecordsSet) == 0 && !block.Partial {
		if v := reflect.ValueOf(block).Elem().FieldByName("recordsNextOffset"); v.Kind() == reflect.Pointer && !v.IsNil() {
			next = v.Elem().Int()
		}
	}
	return next
}

// truncated says whether the answer holds nothing but the beginning of a batch.
func truncated(block *sarama.FetchResponseBlock) bool {
	if block.Partial {
		return true
	}
	if len(block.RecordsSet) != 1 {
		return false
	}
	if b := block.RecordsSet[0].RecordBatch; b != nil {
		return b.PartialTrailingRecord
	}
	s := block.RecordsSet[0].MsgSet
	return s != nil && s.PartialTrailingMessage && len(s.Messages) == 0
}

// connect returns our connection to the partition's leader, and what breaks it off.
func (r *Reader) connect(ctx context.Context) (*sarama.Broker, func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broker == nil {
		leader, err := r.leader(ctx)
		if err != nil {
			return nil, nil, err
		}
		conf := *r.conf
		life, cancel := context.WithCancel(context.Background())
		dialer{ctx: life}.into(&conf)
		b := sarama.NewBroker(leader)
		if err := b.Open(&conf); err != nil {
			cancel()
			return nil, nil, err
		}
		r.broker, r.cancel = b, cancel
	}
	return r.broker, r.cancel, nil
}

// leader returns the address of the partition's leader.
func (r *Reader) leader(ctx context.Context) (string, error) {
	all, err := leaders(ctx, r.c.Client, r.c.Topic)
	if err != nil {
		return "", err
	}
	switch addr, ok := all[r.c.Partition]; {
	case !ok:
		return "", sarama.ErrUnknownTopicOrPartition
	case addr == "":
		return "", sarama.ErrLeaderNotAvailable
	default:
		return addr, nil
	}
}

// leaders asks any broker for the addresses of the leaders of a topic's partitions, empty where there is none. Sarama's client would
// answer from its cache, or ask ten times with pauses that nothing can cut short.
func leaders(ctx context.Context, client sarama.Client, topic string) (map[int32]string, error) {
	b := client.LeastLoadedBroker()
	if b == nil {
		return nil, sarama.ErrOutOfBrokers
	}
	_ = b.Open(client.Config()) // it may be open
	res, err := metadata(ctx, b, topic)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		_ = client.RefreshMetadata(topic) // lets the client find out which brokers are gone
		return nil, err
	}
	addr := map[int32]string{}
	for _, b := range res.Brokers {
		addr[b.ID()] = b.Addr()
	}
	out := map[int32]string{}
	for _, t := range res.Topics {
		if t.Err != sarama.ErrNoError {
			return nil, t.Err
		}
		for _, p := range t.Partitions {
			out[p.ID] = addr[p.Leader]
		}
	}
	return out, nil
}

// metadata asks on a connection that others use, too, so that ctx cannot break it.
func metadata(ctx context.Context, b *sarama.Broker, topic string) (*sarama.MetadataResponse, error) {
	type answer struct {
		res *sarama.MetadataResponse
		err error
	}
	answers := make(chan answer, 1)
	go func() { // when ctx is done first, it ends with the answer or the connection; it opens none
		res, err := b.GetMetadata(sarama.NewMetadataRequest(sarama.V2_8_0_0, []string{topic}))
		answers <- answer{res, err}
	}()
	select {
	case a := <-answers:
		return a.res, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// disconnect closes our connection, if there is one; the next fetch opens another.
func (r *Reader) disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broker == nil {
		return
	}
	r.cancel()
	_ = r.broker.Close() // it may be closed already: by the broker, or by a request that failed
	r.broker, r.cancel = nil, nil
}

// offset asks the leader for an offset: sarama.OffsetOldest or, for the high watermark, sarama.OffsetNewest.
func (r *Reader) offset(ctx context.Context, which int64) (int64, error) {
	for failed := (tries{}); ; {
		at, err := r.offsetOnce(ctx, which)
		if err == nil {
			return at, nil
		}
		r.disconnect()
		if e := r.again(ctx, "offsets of", &failed, err); e != nil {
			return 0, e
		}
	}
}

func (r *Reader) offsetOnce(ctx context.Context, which int64) (int64, error) {
	b, hangUp, err := r.connect(ctx)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, hangUp)
	defer stop()
	req := sarama.NewOffsetRequest(sarama.V2_8_0_0)
	req.AddBlock(r.c.Topic, r.c.Partition, which, 1)
	res, err := b.GetAvailableOffsets(req)
	if err != nil {
		return 0, err
	}
	block := res.GetBlock(r.c.Topic, r.c.Partition)
	if block == nil {
		return 0, sarama.ErrIncompleteResponse
	}
	if block.Err != sarama.ErrNoError {
		return 0, block.Err
	}
	return block.Offset, nil
}

// again waits before the next attempt of an operation that failed with err. It returns an error when there is nothing more to
// try.
func (r *Reader) again(ctx context.Context, op string, failed *tries, err error) error {
	op = fmt.Sprintf("%s %s/%d", op, r.c.Topic, r.c.Partition)
	if e := ctx.Err(); e != nil {
		return fmt.Errorf("%s: %w", op, e)
	}
	pause, e := failed.again(r.c.Client.Config(), op, r.c.Topic, err)
	if e != nil {
		return e
	}
	if e := sleep(ctx, pause); e != nil {
		return fmt.Errorf("%s: %w (%w)", op, e, err)
	}
	return nil
}

// tries counts how often in a row the reading of a topic failed.
type tries struct {
	failed  int
	unknown int // of those, the last ones that said that there is no such topic
}

// again takes in that it failed once more, with err, and says after which pause to try again, or why not to.
func (t *tries) again(conf *sarama.Config, op, topic string, err error) (pause time.Duration, _ error) {
	pause = backoff(t.failed)
	t.failed++
	t.unknown++
	if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		t.unknown = 0
	}
	// A topic that was just made may be unknown for a moment; one that was deleted stays so.
	if t.unknown > unknownAttempts || Classify(err) != Retry {
		return 0, as(conf, Fail(op, err, onTopic("Read", topic)))
	}
	return pause, nil
}

// unknownAttempts is how often, over four seconds, a topic may be unknown.
const unknownAttempts = 20

func (r *Reader) outOfRange(ctx context.Context, from int64, cause error) error {
	oldest, err := r.offset(ctx, sarama.OffsetOldest)
	if err != nil {
		return errors.Join(fmt.Errorf("read %s/%d at offset %d: %w", r.c.Topic, r.c.Partition, from, cause), err)
	}
	newest, err := r.offset(ctx, sarama.OffsetNewest)
	if err != nil {
		return errors.Join(fmt.Errorf("read %s/%d at offset %d: %w", r.c.Topic, r.c.Partition, from, cause), err)
	}
	return &OutOfRange{Topic: r.c.Topic, Partition: r.c.Partition, Offset: from, Oldest: oldest, Newest: newest}
}
