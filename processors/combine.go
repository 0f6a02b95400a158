package processors

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/tables"
)

// combined is what stage 1 made of one commit interval of one source partition.
type combined struct {
	packs   []outgoing
	letters []letter
	streams []streamWork
	unasked int // letters that are Avro, and no registry is set
	report  report
}

// outgoing is one pack on its way to a partition of a partials topic.
type outgoing struct {
	topic     goka.Stream
	partition int32
	pack      []byte
}

// packBytes is when a pack is sent and the next one begun. No record of ours may exceed 512 KiB. Where a partial changes many
// rows it is a part of that, for stage 2 takes packs whole.
const packBytes = 256 << 10

// idleProgress is how often a stage 1 without records says that it is there, and what time it is: without it no window
// would ever close.
const idleProgress = time.Second

// combiner is stage 1's intake of one source partition: it decodes each record once, combines it into every table of the
// pass, and writes it into every stream.
type combiner struct {
	source  codecs.Source
	decoder *codecs.JSON
	avro    *codecs.Avro // decodes the records that are Avro
	record  feeds.Record
	time    int // the slot of ts, -1 when the feed has none
	clocks
	wall    time.Time // what its clock said last
	tables  []*tableCombiner
	streams []*streamer
	all     []*entrance // of the tables and streams
	early   []*entrance // of those that do not take part yet
	suffix  string      // of the keys of letters
	again   bool        // the records are dead letters that come again

	// Of this interval.
	from        int64         // its first offset
	lost        int64         // offsets before it that retention had removed
	shared      codecs.Counts // what is the same for all tables and streams
	newest      int64
	timed       bool // there was a record with a time that moves a clock
	letters     []letter
	letterBytes int              // memory that letters takes
	codes       map[string]int64 // letters by reason, those that are not copied among them
	uncopied    int64            // letters that are not copied
	unasked     int              // of the letters, see combined
	reported    time.Time        // when progress was last sent

	letterRoom int // bytes of letters that may be copied
}

// clocks is what there is to tell the time by.
type clocks struct {
	now   func() time.Time
	skew  time.Duration // how far a record's time may be ahead of when it came
	ended *atomic.Bool  // nothing comes any more
}

// entrance is where a table or a stream begins to take part: where passes were made one, some of them had come further than
// others, and what a table has counted before it must not count again.
type entrance struct {
	build  string        // of the table or stream
	at     int64         // the first offset that is its own
	open   bool          // it takes part
	idle   bool          // the record at hand is not for it
	missed codecs.Counts // what of the interval's shared counts came before, or was not for it
	lost   int64         // offsets that retention removed, of those that were to be its own
}

// takes reports whether the record at hand is for it.
func (e *entrance) takes() bool { return e.open && !e.idle }

// newEntrance is that of a table or stream which starts at an offset, in a claim.
func newEntrance(b begin, build string, start int64) entrance {
	at := max(b.from-b.lost, start)
	if at >= b.from {
		return entrance{build: build, at: at, open: at == b.from}
	}
	return entrance{build: build, at: b.from, open: true, lost: b.from - at}
}

// counts returns what shared counts are of its own records, and begins the next interval.
func (e *entrance) counts(shared codecs.Counts) codecs.Counts {
	shared.Subtract(e.missed)
	shared.Lost = e.lost
	e.missed, e.lost = codecs.Counts{}, 0
	return shared
}

// tableCombiner is one table's part of a combiner.
type tableCombiner struct {
	*tables.Combiner
	entrance
	sink tableSink
	own  codecs.Counts // Counted, Filtered and NoTime

	ownTime bool  // the table's clock goes by another time than ts
	newest  int64 // the newest one of that
	split   *splitter
}

// tableSink is where a table's partials go.
type tableSink struct {
	table      *tables.Table
	own        string // what the table's topics are named after
	build      string // which of all that have had its name, see [kafka.Entry.Build]
	topic      goka.Stream
	partitions int32
	starts     map[int32]int64 // first offset that the table counts, by source partition; 0 where there is none
}

func newCombiner(b begin, pass *pass, schemas codecs.Schemas, clocks clocks) (*combiner, error) {
	var all []*tables.Definition
	for _, sink := range pass.sinks {
		all = append(all, &sink.table.Definition)
	}
	for _, sink := range pass.streams {
		all = append(all, &sink.stream.Definition)
	}
	layout, err := tables.SharedLayout(all...)
	if err != nil {
		return nil, err
	}
	layout.Mixed = pass.mixed
	c := &combiner{source: b.source, again: pass.letters, time: -1, clocks: clocks, codes: map[string]int64{}, letterRoom: letterBurst, from: b.from, lost: b.lost, newest: codecs.NoTime}
	if i, ok := pass.feed.Column("ts"); ok {
		c.time = layout.Slot(pass.feed.Columns[i])
	}
	if pass.name != pass.topic {
		c.suffix = "/" + pass.name
	}
	c.decoder, c.avro = codecs.NewJSON(layout), codecs.NewAvro(layout, schemas)
	for _, sink := range pass.sinks {
		inner, err := sink.table.NewCombiner(layout)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", sink.table.Name, err)
		}
		if len(c.tables) > 0 {
			inner.Share(c.tables[0].Combiner)
		}
		t := &tableCombiner{Combiner: inner, entrance: newEntrance(b, sink.build, sink.starts[b.source.Partition]), sink: sink, split: newSplitter(sink.table, sink.partitions),
			ownTime: sink.table.HasOwnTime(), newest: codecs.NoTime}
		c.tables = append(c.tables, t)
		c.enlist(&t.entrance)
	}
	for _, sink := range pass.streams {
		s, err := newStreamer(b.source, sink, layout)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", sink.stream.Name, err)
		}
		s.entrance = newEntrance(b, sink.build, sink.starts[b.source.Partition])
		c.streams = append(c.streams, s)
		c.enlist(&s.entrance)
	}
	return c, nil
}

// enlist notes an entrance.
func (c *combiner) enlist(e *entrance) {
	c.all = append(c.all, e)
	if !e.open {
		c.early = append(c.early, e)
	}
}

// enter opens the entrances at offsets up to that one.
func (c *combiner) enter(offset int64) {
	c.early = slices.DeleteFunc(c.early, func(e *entrance) bool {
		if e.open = offset >= e.at; e.open {
			e.missed = c.shared
		}
		return e.open
	})
}

// add takes in one record. No record is an error: what cannot be decoded becomes a dead letter. But one whose schema is still
// to be asked for is a *codecs.SchemaError with [codecs.ErrAskSchema]; it was not taken in.
func (c *combiner) add(m *sarama.ConsumerMessage) error {
	if len(c.early) > 0 {
		c.enter(m.Offset)
	}
	if c.again {
		return c.addAgain(m)
	}
	return c.take(m)
}

// addAgain is add for a dead letter that comes again: it is for those that have missed it. The others may have decoded the original,
// or may never have been to read it; to them it is of another feed.
func (c *combiner) addAgain(m *sarama.ConsumerMessage) error {
	var missing []string
	for _, h := range m.Headers {
		if string(h.Key) == letters.Missing {
			missing = letters.Builds(h.Value)
		}
	}
	for _, e := range c.all {
		e.idle = !slices.Contains(missing, e.build)
	}
	before := c.shared
	if err := c.take(m); err != nil {
		return err
	}
	others := c.shared
	others.Subtract(before)
	others.Read, others.OtherFeed = others.Read-1, others.OtherFeed-1
	for _, e := range c.all {
		if e.open && e.idle {
			e.missed.Add(others)
		}
	}
	return nil
}

// take is what add does once it is known whom the record is for.
func (c *combiner) take(m *sarama.ConsumerMessage) error {
	var err error
	if codecs.IsAvro(m.Value) {
		if err = c.avro.Decode(m.Value, &c.record); errors.Is(err, codecs.ErrAskSchema) {
			return err
		}
	} else {
		err = c.decoder.Decode(m.Value, &c.record)
	}
	c.shared.Read++
	if errors.Is(err, codecs.ErrOtherFeed) {
		c.shared.OtherFeed++
		return nil
	}
	if err != nil {
		c.shared.DeadLettered++
		c.codes[letterCode(err)]++
		missing := c.missing()
		switch size := letterOverhead + min(len(m.Value), letters.MaxValue); {
		case len(missing) == 0: // it comes again, and those are gone whom it was for
		case size <= c.letterRoom:
			c.letters = append(c.letters, newLetter(m, err, c.suffix, missing))
			c.letterBytes += size
			c.letterRoom -= size
		default:
			c.uncopied++
		}
		if errors.Is(err, codecs.ErrNoRegistry) {
			c.unasked++
		}
		return nil
	}
	c.shared.BadFields += int64(c.record.BadFields)
	c.record.At = feeds.Position{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
	latest := c.latest(m)
	if c.time >= 0 {
		if ts := c.record.Values[c.time]; !ts.IsNull() {
			if at := ts.Micros(); at <= latest {
				c.newest, c.timed = max(c.newest, at), true
			} else {
				c.shared.Skewed++
			}
		}
	}
	for _, t := range c.tables {
		if !t.takes() {
			continue
		}
		if t.ownTime {
			c.timed = t.tell(&c.record, latest) || c.timed
		}
		switch t.Add(&c.record) {
		case tables.Counted:
			t.own.Counted++
		case tables.Filtered:
			t.own.Filtered++
		case tables.NoTime:
			t.own.NoTime++
		}
	}
	for _, s := range c.streams {
		if !s.takes() {
			continue
		}
		if err := s.add(&c.record, m.Offset); err != nil {
			return err
		}
	}
	return nil
}

// missing returns who has missed the record at hand.
func (c *combiner) missing() []string {
	var builds []string
	for _, e := range c.all {
		if e.takes() {
			builds = append(builds, e.build)
		}
	}
	return builds
}

// latest returns the latest time that a record can have: one from the future, of a sensor whose clock is wrong, must not close
// the windows of all others. Its Kafka timestamp may be from that clock, too, and no record comes before it is written.
func (c *combiner) latest(m *sarama.ConsumerMessage) int64 {
	came := m.Timestamp
	stamped := came.UnixMilli() > 0 // else its producer gave it no time
	if !stamped || came.After(c.wall) {
		c.wall = c.now() // it went on since we last looked
	}
	if !stamped || came.After(c.wall) {
		came = c.wall
	}
	return came.Add(c.skew).UnixMicro()
}

// tell notes the time that a record has for the table's clock, and reports whether it moves that.
func (t *tableCombiner) tell(rec *feeds.Record, latest int64) bool {
	at, ok := t.EventTime(rec)
	switch {
	case !ok:
		return false
	case at > latest:
		t.own.Skewed++
		return false
	}
	t.newest = max(t.newest, at)
	return true
}

// bytesAGroup is about what a partial takes beside its key: its state, its place in the hash table, its record.
const bytesAGroup = 96

// groupBytes is about what groups take. Memory that a Groups keeps for the next interval does not count, or a pass of many
// tables would always be full.
func groupBytes(g *tables.Groups) int {
	return g.Len()*bytesAGroup + g.KeyBytes() + g.SketchBytes()
}

func (c *combiner) bytes() int {
	n := c.letterBytes
	for _, t := range c.tables {
		n += groupBytes(t.Groups()) + t.SessionBytes()
	}
	for _, s := range c.streams {
		n += s.held
	}
	return n
}

func (c *combiner) flush(at place) (any, error) {
	next, now := at.next, at.now
	// Who has only streams has nobody to tell the time.
	idle := len(c.tables) == 0 || now.Sub(c.reported) < idleProgress
	if c.shared.Read == 0 && (idle || at.blind) || next < 0 {
		return nil, nil // who does not know what is there must not look as if nothing were
	}
	if !c.reported.IsZero() {
		more := min(now.Sub(c.reported).Seconds(), letterBurst/letterRate) * letterRate
		c.letterRoom = min(c.letterRoom+int(more), letterBurst)
	}
	active := int64(0)
	if c.timed || at.far {
		active = now.UnixMilli()
	}
	shared := c.shared
	shared.Lost, c.lost = c.lost, 0
	work := &combined{letters: c.letters, unasked: c.unasked,
		report: report{source: c.source, letters: c.codes, uncopied: c.uncopied, progress: codecs.Progress{Upto: next, NewestTime: c.newest, WallTime: now.UnixMilli(), Active: active, Ended: c.ended.Load(), Counts: shared}}}
	c.enter(next)
	for _, t := range c.tables {
		if !t.open {
			continue // it has been told of all these before
		}
		from := max(c.from, t.at)
		counts := t.counts(c.shared)
		counts.Add(t.own)
		counts.Overflows, counts.CutKeys = t.TakeOverflows(), t.TakeCutKeys()
		progress := work.report.with(counts)
		if t.ownTime {
			progress.NewestTime, t.newest = t.newest, codecs.NoTime
			progress.Counts.Skewed = t.own.Skewed
		}
		var err error
		report := codecs.Pack{Source: c.source, From: from, Progress: &progress}
		if work.packs, err = t.split.packs(work.packs, t, report); err != nil {
			return nil, err
		}
		work.report.add(t.sink.own, progress)
		t.Reset()
		t.own = codecs.Counts{}
	}
	for _, s := range c.streams {
		if s.open {
			work.streams = append(work.streams, s.flush(work.report.with(s.counts(c.shared))))
			work.report.add(s.sink.stream.Name, work.streams[len(work.streams)-1].report)
		}
	}
	c.from, c.shared, c.newest, c.timed, c.reported = next, codecs.Counts{}, codecs.NoTime, false, now
	c.letters, c.letterBytes, c.unasked, c.codes, c.uncopied = nil, 0, 0, map[string]int64{}, 0
	return work, nil
}

// splitter deals a table's partials out to the partitions of its partials topic.
type splitter struct {
	table    *tables.Table
	keys     *grouptable.Partitioner
	partials [][]byte // by partition
}

func newSplitter(t *tables.Table, partitions int32) *splitter {
	return &splitter{table: t, keys: grouptable.NewPartitioner(t), partials: make([][]byte, partitions)}
}

// packs appends the packs of one interval: partials where there are any, and the report to every partition, in the last
// pack that goes there.
func (s *splitter) packs(out []outgoing, t *tableCombiner, report codecs.Pack) ([]outgoing, error) {
	send := func(partition int, pack codecs.Pack) {
		pack.Partials = s.partials[partition]
		out = append(out, outgoing{t.sink.topic, int32(partition), pack.Append(nil)})
		s.partials[partition] = s.partials[partition][:0]
	}
	for key, state := range t.Partials() {
		p, err := s.keys.Of(key, int32(len(s.partials)))
		if err != nil {
			return nil, fmt.Errorf("partial of %s: %w", s.table.Name, err)
		}
		for part := range s.table.Parts(state) {
			s.partials[p] = codecs.AppendPartial(s.partials[p], s.table, key, part)
			if len(s.partials[p]) >= packBytes/s.table.RowsAPartial() {
				send(int(p), codecs.Pack{Source: report.Source})
			}
		}
	}
	for p := range s.partials {
		send(p, report)
	}
	return out, nil
}

// emitCombined is stage 1's Goka callback.
func emitCombined(s *stage, deadLetters string, reports *reports) goka.ProcessCallback {
	var missing noRegistry
	var many tooMany
	return func(ctx goka.Context, work any) {
		w := work.(*combined)
		many.say(s.log, s.input, w.report.uncopied)
		missing.say(s.log, s.input, w.unasked)
		for _, o := range w.packs {
			ctx.Emit(o.topic, partitionKey(o.partition), o.pack)
		}
		for _, l := range w.letters {
			s.transaction.Send(deadLetters, 0, []byte(l.key), l.value, l.headers...)
		}
		for i := range w.streams {
			w.streams[i].send(s)
		}
		reports.add(w.report)
	}
}

// tooMany tells the log of dead letters that are not copied. It is safe for concurrent use.
type tooMany struct {
	mu   sync.Mutex // guards all below
	n    int64      // of them since it was told
	said time.Time
}

func (t *tooMany) say(log *slog.Logger, topic string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n += n; t.n == 0 || time.Since(t.said) < time.Minute {
		return
	}
	log.Warn("dead letters are counted and not copied: there are too many", "topic", topic, "records", t.n)
	t.n, t.said = 0, time.Now()
}

// letter is a record for the dead-letter topic.
type letter struct {
	key     string
	value   []byte
	headers []sarama.RecordHeader
}

// OtherLetter is the reason of dead letters that none of [codecs.DecodeCodes] fits.
const OtherLetter = "other"

// letterOverhead is about what a letter takes in memory beside its value: key, headers, and the record that is made of it.
const letterOverhead = 1 << 10

// What a source partition may copy at once, and of that in a second: a flood of bad records must not fill the brokers. All are
// counted; the topic keeps a gigabyte.
const (
	letterBurst = 32 << 20
	letterRate  = 128 << 10
)

// letterCode is why a record is a dead letter, in one of a few words.
func letterCode(reason error) string {
	var undecodable *codecs.DecodeError
	if errors.As(reason, &undecodable) && undecodable.Code != "" {
		return undecodable.Code
	}
	return OtherLetter
}

// newLetter returns m as a dead letter, with the reason in headers.
func newLetter(m *sarama.ConsumerMessage, reason error, suffix string, missing []string) letter {
	header := func(name, value string) sarama.RecordHeader {
		return sarama.RecordHeader{Key: []byte(name), Value: []byte(value)}
	}
	l := letter{
		key: letters.Place(m.Topic, m.Partition, m.Offset) + suffix,
		headers: []sarama.RecordHeader{
			header(letters.Exception, fmt.Sprintf("%T", reason)), header(letters.Message, reason.Error()),
			header(letters.Topic, m.Topic), header(letters.Partition, strconv.Itoa(int(m.Partition))), header(letters.Offset, strconv.FormatInt(m.Offset, 10)),
			header(letters.Missing, strings.Join(missing, ",")),
		},
	}
	if m.Value != nil {
		l.value = append([]byte{}, m.Value[:min(len(m.Value), letters.MaxValue)]...)
	}
	if len(m.Value) > letters.MaxValue {
		l.headers = append(l.headers, header(letters.Truncated, strconv.Itoa(len(m.Value))))
	}
	return l
}
