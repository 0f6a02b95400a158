package codecs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Source names one partition of a feed's topic.
type Source struct {
	Topic     string
	Partition int32
}

// String returns "topic/partition".
func (s Source) String() string { return fmt.Sprintf("%s/%d", s.Topic, s.Partition) }

// Counts says what became of the records of one source partition in one table. Every record read is in exactly one of
// the first five, so Read = Counted + Filtered + OtherFeed + NoTime + DeadLettered always holds.
type Counts struct {
	Read         int64
	Counted      int64 // in the table
	Filtered     int64 // WHERE was not true, or unnest gave no row
	OtherFeed    int64 // tagged as a record of another feed
	NoTime       int64 // the table has windows and the record no time
	DeadLettered int64 // not decodable; in the dead-letter topic

	BadFields int64 // fields of the wrong type, read as NULL; a part of no sum
	Overflows int64 // expressions whose result did not fit, read as NULL; a part of no sum
	CutKeys   int64 // group columns over the limit, cut; a part of no sum
	Lost      int64 // offsets that retention had removed before they were read; not in Read
	Skewed    int64 // records whose time lies too far in the future to tell how far the source has come; a part of no sum
	Late      int64 // records that came when all their windows had closed or gone; a part of Counted
}

// fields lists the counters in their stored order; append only.
func (c *Counts) fields() [12]*int64 {
	return [12]*int64{&c.Read, &c.Counted, &c.Filtered, &c.OtherFeed, &c.NoTime, &c.DeadLettered, &c.BadFields, &c.Overflows, &c.CutKeys, &c.Lost, &c.Skewed, &c.Late}
}

// Add adds what d counted.
func (c *Counts) Add(d Counts) {
	to, from := c.fields(), d.fields()
	for i := range to {
		*to[i] += *from[i]
	}
}

// Subtract takes away what d counted.
func (c *Counts) Subtract(d Counts) {
	to, from := c.fields(), d.fields()
	for i := range to {
		*to[i] -= *from[i]
	}
}

// Progress is how far a table reflects one source partition.
type Progress struct {
	Upto       int64 // the source's next offset: every record below it is in the table
	NewestTime int64 // newest event time seen, Unix microseconds; NoTime when none was
	WallTime   int64 // when stage 1 last said so, Unix milliseconds
	Active     int64 // when there were last records with a time, or many unread ones; at first when stage 1 was first heard of
	Ended      bool  // nothing comes any more
	Counts     Counts
}

// NoProgress is that of a source which has not been heard of.
func NoProgress() Progress { return Progress{NewestTime: NoTime} }

// NoTime is the event time of a source that had none yet.
const NoTime = math.MinInt64

// Advance takes in what stage 1 reports of the records that follow: counts are added, times and the offset only grow.
func (p *Progress) Advance(d Progress) {
	p.Upto = max(p.Upto, d.Upto)
	p.NewestTime = max(p.NewestTime, d.NewestTime)
	p.WallTime = max(p.WallTime, d.WallTime)
	p.Active = max(p.Active, d.Active)
	p.Ended = p.Ended || d.Ended
	p.Counts.Add(d.Counts)
}

// Append appends the progress in binary.
func (p Progress) Append(b []byte) []byte {
	b = binary.AppendVarint(b, p.Upto)
	b = binary.AppendVarint(b, p.NewestTime)
	b = binary.AppendVarint(b, p.WallTime)
	b = binary.AppendVarint(b, p.Active)
	ended := int64(0)
	if p.Ended {
		ended = 1
	}
	b = binary.AppendVarint(b, ended)
	for _, f := range p.Counts.fields() {
		b = binary.AppendVarint(b, *f)
	}
	return b
}

// ReadProgress reads what [Progress.Append] wrote and returns what follows.
func ReadProgress(b []byte) (p Progress, rest []byte, err error) {
	read := func(to *int64) {
		v, n := binary.Varint(b)
		if n <= 0 {
			err = errShort
			return
		}
		*to, b = v, b[n:]
	}
	read(&p.Upto)
	read(&p.NewestTime)
	read(&p.WallTime)
	read(&p.Active)
	var ended int64
	read(&ended)
	p.Ended = ended != 0
	for _, f := range p.Counts.fields() {
		read(f)
	}
	return p, b, err
}

var errShort = errors.New("cut short")
