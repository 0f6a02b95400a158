package processors

import (
	"context"
	"fmt"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// streamSink is where a stream's records go.
type streamSink struct {
	stream     *tables.Stream
	build      string // which of all that have had its name, see [kafka.Entry.Build]
	topic      string
	avro       *avroTopic // nil: its records are JSON
	partitions int32
	starts     map[int32]int64 // first offset that the stream has, by source partition; 0 where there is none
}

// streamer is one stream's part of a combiner: it makes the stream's records of the pass's.
type streamer struct {
	*tables.Projector
	entrance
	sink   streamSink
	source codecs.Source
	avro   *codecs.AvroWriter // nil: its records are JSON
	emit   tables.Emit        // s.write, bound once

	// Of the record at hand.
	offset int64
	size   int // bytes that its rows have taken, or would have uncut
	text   []byte
	err    error // a mistake of ours

	// Of this interval.
	own     codecs.Counts // Counted and Filtered
	records []streamed
	chunk   []byte // keys and values are sliced from it; nothing in it is written twice
	held    int    // bytes of memory
	cut     int    // rows that were too large for one record
}

// streamed is a stream's record on its way.
type streamed struct {
	key, value []byte
	partition  int32
}

const (
	// streamChunk is how much room for records is made at a time.
	streamChunk = 256 << 10

	// streamedOverhead is about what a record takes in memory beside its key and value.
	streamedOverhead = 256

	// maxStreamed is how many bytes the rows of one record may take: all of them go into one transaction, and a record that
	// repeats a long text beside each element of a long array would make gigabytes. A row that is cut counts with what it would
	// have had, for so much had to be written to find out. What does not fit is left out and counted as an overflow.
	maxStreamed = 8 << 20
)

func newStreamer(source codecs.Source, sink streamSink, layout *feeds.Layout) (*streamer, error) {
	p, err := sink.stream.NewProjector(layout)
	if err != nil {
		return nil, err
	}
	s := &streamer{Projector: p, sink: sink, source: source, avro: sink.avro.writer()}
	if s.emit = s.write; s.avro != nil {
		s.emit = s.writeAvro
	}
	return s, nil
}

// add takes in one record of the source.
func (s *streamer) add(rec *feeds.Record, offset int64) error {
	s.offset, s.size = offset, 0
	switch s.Project(rec, s.emit) {
	case tables.Counted:
		s.own.Counted++
	case tables.Filtered:
		s.own.Filtered++
	}
	return s.err
}

// write is the stream's [tables.Emit].
func (s *streamer) write(key feeds.Value, row []feeds.Value) (more bool) {
	s.makeRoom()
	from := len(s.chunk)
	s.chunk = s.appendKey(s.chunk, key)
	middle := len(s.chunk)
	var whole int
	if s.chunk, whole = codecs.AppendStreamRow(s.chunk, s.sink.stream, row); whole > codecs.MaxRecord {
		s.cut++
	}
	return s.written(from, middle, whole, kafka.Partition(s.chunk[from:middle], s.sink.partitions))
}

// writeAvro is write for a stream whose records are Avro. They lie where they would as JSON: the partition is that of the key
// that they would have.
func (s *streamer) writeAvro(key feeds.Value, row []feeds.Value) (more bool) {
	s.makeRoom()
	s.text = s.appendKey(s.text[:0], key)
	from := len(s.chunk)
	var err error
	if s.sink.stream.HasKey() {
		s.chunk, err = s.avro.AppendKey(s.chunk, []feeds.Value{key})
	} else {
		s.chunk, err = s.avro.AppendPlace(s.chunk, s.source, s.offset)
	}
	middle, whole := len(s.chunk), 0
	if err == nil {
		s.chunk, whole, err = s.avro.AppendFitting(s.chunk, row)
	}
	if err != nil {
		s.err = fmt.Errorf("record of stream %s: %w", s.sink.stream.Name, err)
		return false
	}
	if whole > codecs.MaxRecord {
		s.cut++
	}
	return s.written(from, middle, whole, kafka.Partition(s.text, s.sink.partitions))
}

func (s *streamer) makeRoom() {
	if cap(s.chunk)-len(s.chunk) < streamChunk/8 {
		s.chunk = make([]byte, 0, streamChunk)
	}
}

// appendKey appends a record's key as text.
func (s *streamer) appendKey(b []byte, key feeds.Value) []byte {
	if s.sink.stream.HasKey() {
		return codecs.AppendStreamKey(b, key)
	}
	return codecs.AppendPlace(b, s.source, s.offset)
}

// written takes in a record whose key and value lie in the chunk, up to its end.
func (s *streamer) written(from, middle, whole int, partition int32) (more bool) {
	to := len(s.chunk)
	s.records = append(s.records, streamed{key: s.chunk[from:middle:middle], value: s.chunk[middle:to:to], partition: partition})
	s.held += to - from + streamedOverhead
	s.size += middle - from + whole
	return s.size < maxStreamed
}

// flush returns the interval's records with the report of them, and starts anew. The report has the counts that are the
// same for all of the pass.
func (s *streamer) flush(report codecs.Progress) streamWork {
	report.Counts.Add(s.own)
	report.Counts.Overflows, report.Counts.CutKeys = s.TakeOverflows(), s.TakeCutKeys()
	w := streamWork{sink: s.sink, source: s.source, records: s.records, cut: s.cut, report: report}
	s.own, s.records, s.held, s.cut = codecs.Counts{}, make([]streamed, 0, len(s.records)), 0, 0
	return w
}

// streamWork is what one commit interval of one source partition gives a stream.
type streamWork struct {
	sink    streamSink
	source  codecs.Source
	records []streamed
	cut     int
	report  codecs.Progress
}

// send hands the records to the stage's transaction.
func (w *streamWork) send(s *stage) {
	for _, r := range w.records {
		s.transaction.Send(w.sink.topic, r.partition, r.key, r.value)
	}
	if w.cut > 0 {
		s.log.Warn("rows are too large for one record, their texts were cut in the stream's topic", "stream", w.sink.stream.Name, "rows", w.cut, "bytes", codecs.MaxRecord)
	}
}

// StreamCounts returns what became of the records that this process has read for a stream: those that are counted are on its
// topic.
func (p *Processors) StreamCounts(stream string) codecs.Counts {
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	return p.book.account(stream).counts()
}

// AwaitStream waits until this process has written what the stream has of all records below the given offsets of source
// partitions, or ctx is done.
func (p *Processors) AwaitStream(ctx context.Context, stream string, offsets map[codecs.Source]int64) error {
	b := p.book
	for {
		b.mu.Lock()
		changed, reached := b.changed, true
		for source, next := range offsets {
			reached = reached && (next == 0 || b.account(stream).sources[source].Upto >= next)
		}
		b.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for stream %s: %w", stream, context.Cause(ctx))
		}
	}
}
