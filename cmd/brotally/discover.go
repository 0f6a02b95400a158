package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/catalog"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/registry"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

const (
	sampleTime    = 5 * time.Second // for all topics together, the connection included
	samplePartial = 200             // records of each partition
)

// sampleTopics returns the topics of each feed that the statements read.
func (d *definitions) sampleTopics(flags map[string][]string) map[string][]string {
	all := map[string][]string{}
	for _, feed := range d.feeds() {
		all[feed] = []string{feed}
		if said := flagTopics(feed, flags); len(said) > 0 {
			all[feed] = slices.Clone(said)
		}
	}
	for _, s := range d.statements {
		var with []sql.Option
		var query *sql.Select
		switch s := s.(type) {
		case *sql.CreateTable:
			with, query = s.With, s.Query
		case *sql.CreateStream:
			with, query = s.With, s.Query
		}
		for _, o := range with {
			if text, ok := o.Value.(*sql.String); ok && o.Name.Text == "feed_topic" {
				all[query.From.Text] = append(all[query.From.Text], splitList(text.Value)...)
			}
		}
	}
	return all
}

// discoverTopics looks at the oldest records of the feeds' topics, and returns how to find a feed with the columns found
// there; flags are what --feed says. Topics that do not exist show nothing. schemas may be nil: then records in Avro are
// [codecs.ErrNoRegistry].
func discoverTopics(ctx context.Context, cfg kafka.Config, topics, flags map[string][]string, schemas *registry.Client) (tables.Resolve, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	found := map[string]*feeds.Discovery{}
	for _, feed := range slices.Sorted(maps.Keys(topics)) {
		d := feeds.NewDiscovery(feed)
		seen := 0
		for _, topic := range topics[feed] {
			mixed := slices.Contains(feeds.PluginTopics, topic) || carriesOther(topic, feed, flags) || carriesOther(topic, feed, topics)
			n, err := sampleTopic(ctx, admin, topic, &sampled{feed: feed, mixed: mixed, columns: d, schemas: schemas})
			if err != nil {
				return nil, fmt.Errorf("look at topic %s: %w", topic, err)
			}
			seen += n
		}
		if seen > 0 {
			found[feed] = d
		}
	}
	known, err := catalogColumns(ctx, admin, cfg)
	if err != nil {
		return nil, err
	}
	return func(name string) (*feeds.Feed, bool) {
		feed, ok := feeds.Lookup(name)
		if d, seen := found[name]; seen {
			feed, ok = d.Feed(), true
		}
		if len(known[name]) > 0 {
			feed, ok = catalog.WithColumns(name, feed, known[name]), true
		}
		return feed, ok
	}, nil
}

// catalogColumns returns, by feed, the columns that running tables read as they were discovered once: what the records
// look like today must not change a table's types.
func catalogColumns(ctx context.Context, admin *kafka.Admin, cfg kafka.Config) (map[string][]feeds.Column, error) {
	registry, err := kafka.OpenCatalog(admin, cfg)
	if err != nil {
		return nil, err
	}
	entries, err := registry.Load(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string][]feeds.Column{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		columns, err := catalog.Columns(entries[name])
		if err != nil {
			return nil, err
		}
		all[entries[name].Feed] = append(all[entries[name].Feed], columns...)
	}
	for feed, columns := range all {
		// Two tables may have declared one column as two types, each with a CAST: then each has its own.
		all[feed] = slices.DeleteFunc(slices.Clone(columns), func(c feeds.Column) bool {
			return slices.ContainsFunc(columns, func(other feeds.Column) bool { return other.Name == c.Name && other.Type != c.Type })
		})
	}
	return all, nil
}

// sampled is a topic whose records show columns. A mixed one carries other feeds too.
type sampled struct {
	feed    string
	mixed   bool
	columns *feeds.Discovery
	schemas *registry.Client // may be nil
	avro    *codecs.Avro     // made with the first record that is Avro
	seen    map[int]bool     // schemas
}

// add takes one record, and reports whether it is of the feed. The error is that its schema cannot be had.
func (s *sampled) add(ctx context.Context, value []byte) (ours bool, err error) {
	if codecs.IsAvro(value) {
		return s.addAvro(ctx, value)
	}
	name, record, err := codecs.Unwrap(value)
	if err == nil && name == "" && s.mixed {
		if name = codecs.FeedByNames(record); name == "" {
			err = codecs.ErrOtherFeed
		}
	}
	return err == nil && (name == "" || name == s.feed) && s.columns.AddRecord(record) == nil, nil
}

// addAvro takes a record in Avro. What its columns are says its schema.
func (s *sampled) addAvro(ctx context.Context, value []byte) (ours bool, err error) {
	if s.schemas == nil {
		return false, codecs.ErrNoRegistry
	}
	if s.avro == nil {
		s.avro, s.seen = codecs.NewAvro(&feeds.Layout{Feed: s.feed, Mixed: s.mixed}, s.schemas), map[int]bool{}
	}
	var rec feeds.Record
	var unknown *codecs.SchemaError
	err = s.avro.Decode(value, &rec)
	if errors.Is(err, codecs.ErrAskSchema) && errors.As(err, &unknown) {
		if err := s.schemas.Fetch(ctx, unknown.ID); err != nil {
			return false, err
		}
		err = s.avro.Decode(value, &rec)
	}
	if err != nil {
		return false, nil // of another feed, or no record
	}
	id, _ := codecs.AvroID(value)
	if !s.seen[id] {
		s.seen[id] = true
		texts, err := s.schemas.Schema(id)
		if err != nil {
			return false, err
		}
		names, types, err := codecs.AvroColumns(texts)
		if err != nil {
			return false, err
		}
		s.columns.AddHeader(names, types)
	}
	return true, nil
}

// sampleTopic adds the first records of each partition and returns how many those were.
func sampleTopic(ctx context.Context, admin *kafka.Admin, topic string, s *sampled) (seen int, err error) {
	there, err := admin.Describe(topic)
	if err != nil || len(there) == 0 {
		return 0, err
	}
	if err := admin.Client().RefreshMetadata(topic); err != nil {
		return 0, err
	}
	held, err := admin.Offsets(topic)
	if err != nil {
		return 0, err
	}
	enough := errors.New("enough")
	for partition, r := range held[topic] {
		if r.Newest <= r.Oldest {
			continue
		}
		reader, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: admin.Client(), Topic: topic, Partition: partition, From: r.Oldest, FetchBytes: 256 << 10})
		if err != nil {
			return seen, err
		}
		left := samplePartial
		_, err = reader.ReadTo(ctx, min(r.Newest, r.Oldest+samplePartial), func(_ int64, _, value []byte, _ int64) error {
			ours, err := s.add(ctx, value)
			if err != nil {
				return err
			}
			if ours {
				seen++
			}
			if left--; left <= 0 {
				return enough
			}
			return nil
		})
		if closed := reader.Close(); err == nil {
			err = closed
		}
		if err != nil && !errors.Is(err, enough) {
			return seen, err
		}
	}
	return seen, nil
}
