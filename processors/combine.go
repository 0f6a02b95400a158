package processors

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/tables"
)

// combined is what stage 1 made of one commit interval of one source partition.
type combined struct {
	packs   []outgoing
	letters []letter
	streams []streamWork
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
	record  feeds.Record
	time    int // the slot of ts, -1 when the feed has none
	tables  []*tableCombiner
	streams []*streamer

	// Of this interval.
	from        int64         // its first offset
	shared      codecs.Counts // what is the same for all tables and streams
	newest      int64
	letters     []letter
	letterBytes int       // memory that letters takes
	reported    time.Time // when progress was last sent
}

// tableCombiner is one table's part of a combiner.
type tableCombiner struct {
	*tables.Combiner
	sink   tableSink
	counts codecs.Counts // Counted, Filtered and NoTime
	split  *splitter
}

// tableSink is where a table's partials go.
type tableSink struct {
	table      *tables.Table
	topic      goka.Stream
	partitions int32
}

func newCombiner(b begin, feed *feeds.Feed, mixed bool, sinks []tableSink, streams ...streamSink) (*combiner, error) {
	var all []*tables.Definition
	for _, sink := range sinks {
		all = append(all, &sink.table.Definition)
	}
	for _, sink := range streams {
		all = append(all, &sink.stream.Definition)
	}
	layout, err := tables.SharedLayout(all...)
	if err != nil {
		return nil, err
	}
	layout.Mixed = mixed
	c := &combiner{source: b.source, time: -1, from: b.from, shared: codecs.Counts{Lost: b.lost}, newest: codecs.NoTime}
	if i, ok := feed.Column("ts"); ok {
		c.time = layout.Slot(feed.Columns[i])
	}
	c.decoder = codecs.NewJSON(layout)
	for _, sink := range sinks {
		inner, err := sink.table.NewCombiner(layout)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", sink.table.Name, err)
		}
		c.tables = append(c.tables, &tableCombiner{Combiner: inner, sink: sink, split: newSplitter(sink.table, sink.partitions)})
	}
	for _, sink := range streams {
		s, err := newStreamer(b.source, sink, layout)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", sink.stream.Name, err)
		}
		c.streams = append(c.streams, s)
	}
	return c, nil
}

// add takes in one record. No record is an error: what cannot be decoded becomes a dead letter.
func (c *combiner) add(m *sarama.ConsumerMessage) error {
	c.shared.Read++
	err := c.decoder.Decode(m.Value, &c.record)
	if errors.Is(err, codecs.ErrOtherFeed) {
		c.shared.OtherFeed++
		return nil
	}
	if err != nil {
		c.shared.DeadLettered++
		l := newLetter(m, err)
		c.letters = append(c.letters, l)
		c.letterBytes += letterOverhead + len(l.value)
		return nil
	}
	c.shared.BadFields += int64(c.record.BadFields)
	c.record.At = feeds.Position{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
	if c.time >= 0 {
		if ts := c.record.Values[c.time]; !ts.IsNull() {
			c.newest = max(c.newest, ts.Micros())
		}
	}
	for _, t := range c.tables {
		switch t.Add(&c.record) {
		case tables.Counted:
			t.counts.Counted++
		case tables.Filtered:
			t.counts.Filtered++
		case tables.NoTime:
			t.counts.NoTime++
		}
	}
	for _, s := range c.streams {
		s.add(&c.record, m.Offset)
	}
	return nil
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

func (c *combiner) flush(next int64, now time.Time) (any, error) {
	// Who has only streams has nobody to tell the time.
	idle := len(c.tables) == 0 || now.Sub(c.reported) < idleProgress
	if c.shared.Read == 0 && idle || next < 0 {
		return nil, nil
	}
	work := &combined{letters: c.letters, report: newReport(c.source, codecs.Progress{Upto: next, NewestTime: c.newest, WallTime: now.UnixMilli(), Counts: c.shared}, c.letters)}
	for _, t := range c.tables {
		counts := c.shared
		counts.Add(t.counts)
		counts.Overflows, counts.CutKeys = t.TakeOverflows(), t.TakeCutKeys()
		progress := work.report.with(counts)
		var err error
		report := codecs.Pack{Source: c.source, From: c.from, Progress: &progress}
		if work.packs, err = t.split.packs(work.packs, t, report); err != nil {
			return nil, err
		}
		work.report.add(t.sink.table.Name, progress)
		t.Reset()
		t.counts = codecs.Counts{}
	}
	for _, s := range c.streams {
		work.streams = append(work.streams, s.flush(work.report.progress))
		work.report.add(s.sink.stream.Name, work.streams[len(work.streams)-1].report)
	}
	c.from, c.shared, c.newest, c.reported = next, codecs.Counts{}, codecs.NoTime, now
	c.letters, c.letterBytes = nil, 0
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
	return func(ctx goka.Context, work any) {
		w := work.(*combined)
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

// letter is a record for the dead-letter topic.
type letter struct {
	key     string
	value   []byte
	headers []sarama.RecordHeader
	code    string // why, in one of a few words
}

// OtherLetter is the reason of dead letters that none of [codecs.DecodeCodes] fits.
const OtherLetter = "other"

// maxLetter is how many bytes of a bad record the dead-letter topic keeps.
const maxLetter = 64 << 10

// letterOverhead is about what a letter takes in memory beside its value: key, headers, and the record that is made of it.
const letterOverhead = 1 << 10

// newLetter returns m as a dead letter, with the reason in headers as Kafka Streams names them (KIP-1034).
func newLetter(m *sarama.ConsumerMessage, reason error) letter {
	header := func(name, value string) sarama.RecordHeader {
		return sarama.RecordHeader{Key: []byte("__streams.errors." + name), Value: []byte(value)}
	}
	partition, offset := strconv.Itoa(int(m.Partition)), strconv.FormatInt(m.Offset, 10)
	l := letter{
		key: m.Topic + "/" + partition + "/" + offset,
		headers: []sarama.RecordHeader{
			header("exception", fmt.Sprintf("%T", reason)), header("message", reason.Error()),
			header("topic", m.Topic), header("partition", partition), header("offset", offset),
		},
	}
	var undecodable *codecs.DecodeError
	if l.code = OtherLetter; errors.As(reason, &undecodable) && undecodable.Code != "" {
		l.code = undecodable.Code
	}
	if m.Value != nil {
		l.value = append([]byte{}, m.Value[:min(len(m.Value), maxLetter)]...)
	}
	if len(m.Value) > maxLetter {
		l.headers = append(l.headers, header("truncated", strconv.Itoa(len(m.Value))))
	}
	return l
}
