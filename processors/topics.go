package processors

import (
	"slices"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// topicsOf returns the topics of t's feed.
func topicsOf(t *tables.Table) []string {
	if len(t.Options.FeedTopics) > 0 {
		return t.Options.FeedTopics
	}
	return []string{t.Feed.Name}
}

// isMixed reports whether topic carries other feeds than t's: by its name, as the deployment says, or because another
// table reads it as another feed. A table keeps what was true when it was made, or the same record would count today and
// not tomorrow.
func isMixed(t *tables.Table, topic string, defined []*tables.Table, entries map[string]kafka.Entry) bool {
	if slices.Contains(feeds.PluginTopics, topic) || slices.Contains(t.Options.MixedTopics, topic) {
		return true
	}
	for _, other := range defined {
		if other.Feed.Name != t.Feed.Name && slices.Contains(topicsOf(other), topic) {
			return true
		}
	}
	for _, e := range entries {
		if _, reads := e.Sources[topic]; reads && e.Feed != t.Feed.Name {
			return true
		}
	}
	return false
}

// resultOf returns t's result topic.
func resultOf(t *tables.Table) string {
	if t.Options.Topic != "" {
		return t.Options.Topic
	}
	return t.Name
}

// deadLetterTopic returns the dead-letter topic as it must be.
func (p *Processors) deadLetterTopic() kafka.Topic {
	return kafka.Topic{Name: p.config.Kafka.DeadLetterTopic(), Partitions: 1, Config: map[string]string{"cleanup.policy": "compact,delete"}}
}

// topicsFor returns a table's own topics as they must be.
func (p *Processors) topicsFor(table, result string, partitions int32) []kafka.Topic {
	names := p.config.Kafka
	return []kafka.Topic{
		{Name: names.PartialsTopic(table), Partitions: partitions, Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}},
		{Name: names.ChangelogTopic(table), Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact", "segment.bytes": "67108864"}},
		{Name: result, Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact"}},
	}
}

// ensureTopics creates the internal topics and the result topics, as far as they are not there.
func (p *Processors) ensureTopics(a *arrangement) error {
	if err := p.admin.Ensure(p.deadLetterTopic()); err != nil {
		return err
	}
	for _, t := range a.tables {
		for _, topic := range p.topicsFor(t.Name, t.result, t.partitions) {
			if err := p.admin.Ensure(topic); err != nil {
				return err
			}
		}
	}
	return nil
}
