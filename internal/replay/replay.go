package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/kafka"
)

// progressEvery is how often Config.Progress is called at most.
const progressEvery = 100 * time.Millisecond

// Config says what is sent where, and how fast.
type Config struct {
	Kafka kafka.Config

	// Files are log files, TSV or JSON lines, packed with gzip or not; "-" is standard input. "dns=FILE" says which feed a
	// file is; else its #path, tag or _path says it, else its name. Files of one feed are read one after the other, in
	// this order; feeds side by side, by ts.
	Files []string

	// Stdin is what "-" reads.
	Stdin io.Reader

	// Topics are the topics of feeds; a feed that is not in it goes to the topic of its name.
	Topics map[string]string

	// Topic takes the records of all feeds that Topics does not name, as the plugin's topic does unless told otherwise; with
	// Tagged they say what they are. Optional.
	Topic string

	// CreateTopics makes topics that do not exist, with this many partitions; 0 makes none.
	CreateTopics int32

	// Tagged writes {"dns": {...}} instead of {...}, as the plugin does with Kafka::tag_json.
	Tagged bool

	// Avro writes records in Avro and registers their schemas here, under <topic>-value, or <topic>-zeek.<feed> in the topic that
	// takes several feeds. Tagged has no meaning then: the schema's name says the feed. Optional.
	Avro Registrar

	// Rate is how many records a second are sent at most. 0 is as fast as Kafka takes them.
	Rate float64

	// Speed paces records by their ts: 1 sends them as far apart as they were logged, 10 ten times as fast. Records without a
	// ts go with the one before. 0 takes no notice of ts.
	Speed float64

	// Progress is told now and then, at most ten times a second, and once at the end, how far it is. Optional.
	Progress func(Progress)
}

// Registrar is a schema registry: it returns the id of a schema, which it registers under the subject if it is new there.
type Registrar interface {
	Register(ctx context.Context, subject, schema string) (id int, err error)
}

// Progress is how far a replay is.
type Progress struct {
	Bytes int64 // read from files, as they lie on disk
	Total int64 // size of all files; 0 if one is not a plain file, such as standard input
	Sent  int64 // records given to Kafka
	Bad   int64 // lines that were not
}

// Summary is what came of a replay.
type Summary struct {
	Records int64 // acknowledged
	Bad     int64 // lines that are no record, or too large a one
	Misfits int64 // fields that did not fit their column, and are left out of records in Avro
	Bytes   int64 // read from files, as they lie on disk
	Elapsed time.Duration
	Files   []FileSummary             // as in Config.Files
	Sent    map[string]map[int32]Sent // by topic and partition
}

// FileSummary is what came of one file.
type FileSummary struct {
	File    string           // its name; "standard input" for "-"
	Records int64            // given to Kafka
	Feeds   map[string]int64 // the same by feed
	Bad     int64            // lines that are no record, or too large a one
	Reasons []string         // what was wrong with the first few of them
	Err     error            // why the file was not read to its end, if it was not
}

// Run sends the files' records and returns when all are acknowledged. Bad lines do not stop it; they are in the Summary,
// which is right also beside an error.
//
// Before anything is sent it returns an error when a file is missing, when the first record of a file is of a feed that
// nothing tells (*[NoFeed]), when no broker answers (*kafka.ErrNoBroker), or when a topic does not exist and is not to be
// created (*[MissingTopic]). A file that cannot be read to its end does not keep the others from being sent; its error
// comes at the end. When ctx is done, what is on its way is delivered and the context's error returned.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	began := time.Now()
	r := run{cfg: cfg, pace: pace{rate: cfg.Rate, speed: cfg.Speed}}
	defer r.close()
	if err := r.open(); err != nil {
		return r.summary(nil, began), err
	}
	sender, err := NewSender(ctx, SenderConfig{Kafka: cfg.Kafka, CreateTopics: cfg.CreateTopics})
	if err != nil {
		return r.summary(nil, began), err
	}
	err = r.send(ctx, sender)
	if err == nil {
		err = sender.Flush(ctx)
	}
	if closed := sender.Close(); closed != nil && !errors.Is(err, closed) {
		err = errors.Join(err, closed)
	}
	r.report(time.Time{})
	return r.summary(sender, began), errors.Join(append([]error{err}, r.errs...)...)
}

// run is one replay.
type run struct {
	cfg     Config
	pace    pace
	sources []*source
	merge   *merge
	read    atomic.Int64
	total   int64
	sent    int64
	logs    map[string]*codecs.AvroLog // by feed
	misfits int64
	told    time.Time // when Progress was told last
	errs    []error   // of files that could not be read to their end
}

// open opens the files and reads the first record of each feed.
func (r *run) open() error {
	stdin := false
	sized := true
	for _, arg := range r.cfg.Files {
		s, err := newSource(arg, &r.read)
		if err != nil {
			return err
		}
		if s.path == Stdin {
			if stdin {
				return errors.New("standard input can be read only once")
			}
			if r.cfg.Stdin == nil {
				return errors.New("no standard input")
			}
			stdin = true
		}
		sized = sized && s.size > 0
		r.total += s.size
		r.sources = append(r.sources, s)
	}
	if !sized {
		r.total = 0
	}
	r.merge = newMerge(r.sources, r.cfg.Stdin, func(err error) { r.errs = append(r.errs, err) })
	for _, err := range r.errs {
		var unknown *NoFeed
		if errors.As(err, &unknown) {
			return err
		}
	}
	return nil
}

func (r *run) close() {
	if r.merge != nil {
		r.merge.close()
	}
}

// send gives all records to sender.
func (r *run) send(ctx context.Context, sender *Sender) error {
	m := r.merge
	for _, l := range m.lanes {
		if err := sender.Prepare(r.topic(l.feed)); err != nil {
			return err
		}
	}
	for l := m.next(); l != nil; l = m.next() {
		if err := r.pace.wait(ctx, l.ts); err != nil {
			return err
		}
		value, err := r.value(ctx, l)
		if err != nil {
			return err
		}
		err = sender.Send(ctx, r.topic(l.feed), value)
		s := l.sources[0]
		var large *TooLarge
		switch {
		case errors.As(err, &large):
			s.bad(fmt.Sprintf("line %d: %v", s.reader.Line(), large))
		case err != nil:
			return err
		default:
			s.done.Records++
			s.done.Feeds[l.feed]++
			r.sent++
		}
		m.taken(l)
		if now := time.Now(); now.Sub(r.told) >= progressEvery {
			r.report(now)
		}
	}
	return nil
}

// value returns what is sent of a lane's record.
func (r *run) value(ctx context.Context, l *lane) ([]byte, error) {
	switch {
	case r.cfg.Avro != nil:
		return r.avro(ctx, l)
	case r.cfg.Tagged:
		return appendTagged(nil, l.feed, l.msg), nil
	}
	return bytes.Clone(l.msg), nil
}

// avro returns the record in Avro.
func (r *run) avro(ctx context.Context, l *lane) ([]byte, error) {
	log := r.logs[l.feed]
	if log == nil {
		var err error
		if log, err = codecs.NewAvroLog(l.feed); err != nil {
			return nil, err
		}
		if r.logs == nil {
			r.logs = map[string]*codecs.AvroLog{}
		}
		r.logs[l.feed] = log
	}
	value, bad, err := log.Append(nil, l.msg, func(schema string) (int, error) {
		topic := r.topic(l.feed)
		subject := topic + "-value"
		if topic == r.cfg.Topic {
			subject = topic + "-" + log.Name()
		}
		return r.cfg.Avro.Register(ctx, subject, schema)
	})
	r.misfits += int64(bad)
	return value, err
}

// topic returns the topic of feed.
func (r *run) topic(feed string) string {
	if t, ok := r.cfg.Topics[feed]; ok {
		return t
	}
	if r.cfg.Topic != "" {
		return r.cfg.Topic
	}
	return feed
}

// report tells how far it is.
func (r *run) report(now time.Time) {
	r.told = now
	if r.cfg.Progress == nil {
		return
	}
	p := Progress{Bytes: r.read.Load(), Total: r.total, Sent: r.sent}
	for _, s := range r.sources {
		p.Bad += s.done.Bad
	}
	r.cfg.Progress(p)
}

// summary says what came of it.
func (r *run) summary(sender *Sender, began time.Time) Summary {
	sum := Summary{Misfits: r.misfits, Bytes: r.read.Load(), Elapsed: time.Since(began)}
	for _, s := range r.sources {
		sum.Bad += s.done.Bad
		sum.Files = append(sum.Files, s.done)
	}
	if sender != nil {
		sum.Sent = sender.Sent()
		for _, partitions := range sum.Sent {
			for _, p := range partitions {
				sum.Records += p.Records
			}
		}
	}
	return sum
}
