package main

import (
	"context"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// present is what a cluster has already of some definitions. A nil one knows nothing.
type present struct {
	entries map[string]kafka.Entry
	topics  map[string]kafka.Topic
}

// lookAround asks the brokers. It changes nothing.
func lookAround(ctx context.Context, cfg kafka.Config, defined []*tables.Definition) (*present, error) {
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	catalog, err := kafka.OpenCatalog(admin, cfg)
	if err != nil {
		return nil, err
	}
	p := &present{}
	if p.entries, err = catalog.Load(ctx); err != nil {
		return nil, err
	}
	registry, letters := processors.SharedTopics(cfg)
	names := []string{registry.Name, letters.Name}
	for _, d := range defined {
		names = append(names, d.FeedTopics()...)
		for _, own := range processors.OwnTopics(cfg, d, 0) {
			names = append(names, own.Name)
		}
	}
	p.topics, err = admin.Describe(names...)
	return p, err
}

// partitions returns how many the topics of a feed have, the most of any; 0 when none of them is there.
func (p *present) partitions(topics []string) (n int32) {
	if p == nil {
		return 0
	}
	for _, name := range topics {
		n = max(n, p.topics[name].Partitions)
	}
	return n
}

// topic says whether a topic is there.
func (p *present) topic(name string) string {
	if t, there := p.topics[name]; there {
		return "it is there, with " + count(int64(t.Partitions), "partition")
	}
	return "it would be made"
}

// definition says what run would do about a definition.
func (p *present) definition(d *tables.Definition) string {
	e, known := p.entries[d.Name]
	switch {
	case known && e.Hash == kafka.HashSQL(d.SQL):
		return "it is there, defined like this: run goes on"
	case known:
		return "it is there, defined differently: run refuses until `brotally reset " + d.Name + "`"
	case p.partitions(d.FeedTopics()) == 0:
		return "new; run waits for a topic of the feed"
	}
	return "new; run makes it"
}
