package processors

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/tables"
)

// Replay lets dead letters come again, through a topic of ours that becomes one more source of the tables and streams that have
// missed them. Input topics are not written. One transaction has the record that comes again and the tombstone of its letter, and
// whoever replays does so under one transactional id, which throws others out: so each letter comes again once, whatever dies.
type Replay struct {
	Admin  *kafka.Admin // not closed
	Kafka  kafka.Config
	Wanted func(*letters.Letter) bool
	DryRun bool         // find out alone what would be done
	Chosen func() error // called when all letters were asked for, before anything is done; an error ends the replay. May be nil
}

// Replayed is what came of a replay.
type Replayed struct {
	Records map[string]int64    // that came again, by the topic that their tables read
	For     map[string][]string // the tables and streams that had missed them, sorted
	Nobodys int64               // letters that nobody misses any more: who did was dropped, reset or counted anew
	Refused []error             // letters that cannot come again
}

// replayed is a letter that is to come again.
type replayed struct {
	feed   string   // the topic of a feed whose letters it is one of
	builds []string // who gets it
}

const (
	// A transaction of a replay has that many letters at most, or bytes, or takes that long: the brokers' patience with it ends.
	replayLetters = 500
	replayBytes   = 8 << 20
	replayTime    = kafka.TransactionTimeout / 4
)

// Run replays. Errors are those of package kafka, *[letters.NoTopic], and *[kafka.Error] with [kafka.ErrFenced] when somebody else has
// begun to: what was replayed by then was.
func (r *Replay) Run(ctx context.Context) (*Replayed, error) {
	registry, err := kafka.OpenCatalog(r.Admin, r.Kafka)
	if err != nil {
		return nil, err
	}
	var tx kafka.Tx
	if !r.DryRun {
		// Who was replaying is thrown out, and what it has left undecided is decided.
		if tx, err = kafka.NewTx(ctx, r.Kafka, r.Kafka.ReplayID()); err != nil {
			return nil, err
		}
		defer tx.Close() //nolint:errcheck // what was not committed is not wanted
	}
	entries, err := registry.Load(ctx)
	if err != nil {
		return nil, err
	}
	out := &Replayed{Records: map[string]int64{}, For: map[string][]string{}}
	chosen, err := r.choose(ctx, entries, out)
	if err == nil && r.Chosen != nil {
		err = r.Chosen()
	}
	if err != nil || r.DryRun || len(chosen) == 0 {
		return out, err
	}
	if err := r.enter(ctx, registry, chosen); err != nil {
		return nil, err
	}
	return out, r.send(ctx, tx, chosen, out)
}

// choose says which letters are to come again, by key.
func (r *Replay) choose(ctx context.Context, entries map[string]kafka.Entry, out *Replayed) (map[string]replayed, error) {
	builds := map[string]*kafka.Entry{}
	feeds := map[string]string{} // topics of feeds, by that of their letters
	for _, e := range entries {
		for of := range present(&e) {
			builds[of.Build()] = of
			for topic, source := range of.Sources {
				if source.Letters != "" {
					feeds[topic] = source.Letters
				}
			}
		}
	}
	conf, err := r.Kafka.Sarama()
	if err != nil {
		return nil, err
	}
	chosen, names := map[string]replayed{}, map[string]map[string]bool{}
	err = letters.Each(ctx, r.Admin, r.Kafka, func(l *letters.Letter) error {
		if !r.Wanted(l) {
			return nil
		}
		feed := l.Topic
		if of := feeds[feed]; of != "" {
			feed = of
		}
		whose := slices.DeleteFunc(slices.Clone(l.Missing), func(build string) bool {
			if of := builds[build]; of != nil {
				_, reads := of.Sources[feed] // a stream may read another topic now
				return !reads
			}
			return true
		})
		switch {
		case len(whose) == 0:
			out.Nobodys++
			return nil
		case l.Size+replayOverhead > int64(conf.Producer.MaxMessageBytes):
			out.Refused = append(out.Refused, fmt.Errorf("%s: it has %d bytes, and a record of ours may have %d: max.request.size sets that", l.Place(), l.Size, conf.Producer.MaxMessageBytes))
			return nil
		}
		if l.Cut() { // whether the original is still there
			if _, err := letters.Record(ctx, r.Admin, l); err != nil {
				return r.refused(err, out)
			}
		}
		chosen[l.Key] = replayed{feed, whose}
		if names[feed] == nil {
			names[feed] = map[string]bool{}
		}
		for _, build := range whose {
			names[feed][builds[build].Table] = true
		}
		out.Records[feed]++
		return nil
	})
	for feed, of := range names {
		out.For[feed] = slices.Sorted(maps.Keys(of))
	}
	return chosen, err
}

// replayOverhead is more than a record takes beside its value.
const replayOverhead = 16 << 10

// refused notes a letter that cannot come again, if that is what err says.
func (r *Replay) refused(err error, out *Replayed) error {
	var gone *letters.Gone
	if !errors.As(err, &gone) {
		return err
	}
	out.Refused = append(out.Refused, err)
	return nil
}

// present yields what an entry counts or writes, and what is being built to take its place.
func present(e *kafka.Entry) iter.Seq[*kafka.Entry] {
	return func(yield func(*kafka.Entry) bool) {
		if !e.Dropped && yield(e) && e.Next != nil {
			yield(e.Next)
		}
	}
}

// enter makes the topics that are needed, and makes those read them that have missed something.
func (r *Replay) enter(ctx context.Context, registry *kafka.Catalog, chosen map[string]replayed) error {
	readers := map[string]map[string]bool{} // builds, by topic of a feed
	for _, l := range chosen {
		if readers[l.feed] == nil {
			readers[l.feed] = map[string]bool{}
		}
		for _, build := range l.builds {
			readers[l.feed][build] = true
		}
	}
	var topics []string
	for feed := range readers {
		topic, err := replayTopic(r.Kafka, feed)
		if err == nil {
			err = r.Admin.Ensure(topic)
		}
		if err != nil {
			return err
		}
		topics = append(topics, topic.Name)
	}
	exist, err := r.Admin.Describe(topics...)
	if err != nil {
		return err
	}
	p := &Processors{config: Config{Kafka: r.Kafka, Now: fault.Now}, admin: r.Admin}
	return registry.Update(ctx, func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		book := &passBook{processors: p, entries: entries}
		changes := map[string]*kafka.Entry{}
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			e := entries[name]
			if e.Next != nil {
				next := *e.Next
				e.Next = &next
			}
			for of := range present(&e) {
				for _, feed := range slices.Sorted(maps.Keys(readers)) {
					_, known := of.Sources[r.Kafka.ReplayTopic(feed)]
					if known || !readers[feed][of.Build()] {
						continue
					}
					if err := p.addLetters(of, feed, exist, book); err != nil {
						return nil, err
					}
					changes[name] = &e
				}
			}
		}
		return changes, nil
	})
}

// addLetters makes an entry read the dead letters of a topic, those that come from now on.
func (p *Processors) addLetters(e *kafka.Entry, feed string, exist map[string]kafka.Topic, book *passBook) error {
	d, err := p.definition(*e)
	if err != nil {
		return err
	}
	topic := p.config.Kafka.ReplayTopic(feed)
	pass, err := book.passFor(d, topic, tables.Start{Latest: true}, e.Sources[feed].Mixed)
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Kind, d.Name, err)
	}
	source := pass.source(exist[topic])
	source.Letters = feed
	e.Sources = maps.Clone(e.Sources)
	e.Sources[topic] = source
	return nil
}

// send lets the letters come again.
func (r *Replay) send(ctx context.Context, tx kafka.Tx, chosen map[string]replayed, out *Replayed) error {
	deadLetters := r.Kafka.DeadLetterTopic()
	clear(out.Records)
	under, bytes, began := map[string]int64{}, 0, time.Now()
	n := 0
	commit := func() error {
		if err := tx.Commit(ctx, nil, nil); err != nil {
			return err
		}
		for feed, n := range under {
			out.Records[feed] += n
		}
		clear(under)
		n, bytes = 0, 0
		return nil
	}
	err := letters.Each(ctx, r.Admin, r.Kafka, func(l *letters.Letter) error {
		if n > 0 && time.Since(began) >= replayTime {
			if err := commit(); err != nil {
				return err
			}
		}
		to, ok := chosen[l.Key]
		if !ok {
			return nil
		}
		value, err := letters.Record(ctx, r.Admin, l)
		if err != nil {
			return r.refused(err, out)
		}
		if n == 0 {
			began = time.Now()
		}
		key := []byte(l.Key)
		tx.Send(r.Kafka.ReplayTopic(to.feed), 0, key, value,
			sarama.RecordHeader{Key: []byte(letters.Origin), Value: []byte(l.Place())},
			sarama.RecordHeader{Key: []byte(letters.Missing), Value: []byte(strings.Join(to.builds, ","))})
		tx.Send(deadLetters, 0, key, nil)
		under[to.feed]++
		bytes += len(value)
		if n++; n >= replayLetters || bytes >= replayBytes {
			return commit()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return commit()
}
