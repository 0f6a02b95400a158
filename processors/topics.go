package processors

import (
	"slices"
	"strconv"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// isMixed reports whether topic carries other feeds than t's: by its name, as the deployment says, or because another
// table or stream reads it as another feed. It keeps what was true when it was made, or the same record would count today and
// not tomorrow.
func isMixed(t *tables.Definition, topic string, defined []*tables.Definition, entries map[string]kafka.Entry) bool {
	if slices.Contains(feeds.PluginTopics, topic) || slices.Contains(t.Options.MixedTopics, topic) {
		return true
	}
	for _, other := range defined {
		if other.Feed.Name != t.Feed.Name && slices.Contains(other.FeedTopics(), topic) {
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

// deadLetterTopic returns the dead-letter topic as it must be.
func (p *Processors) deadLetterTopic() kafka.Topic {
	return kafka.Topic{Name: p.config.Kafka.DeadLetterTopic(), Partitions: 1, Config: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "-1", "retention.bytes": "1073741824"}}
}

// replayTopic is where the dead letters of a topic come again. It keeps all: the letters are gone when they are there, nobody may have
// counted them yet, and the tables are to be verified.
func replayTopic(names kafka.Config, of string) (kafka.Topic, error) {
	conf, err := names.Sarama()
	if err != nil {
		return kafka.Topic{}, err
	}
	t := kafka.Topic{Name: names.ReplayTopic(of), Partitions: 1, Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}}
	if n := conf.Producer.MaxMessageBytes; n > kafka.MaxMessageBytes { // brokers take that much anyway
		t.Config["max.message.bytes"] = strconv.Itoa(n + 1<<10)
	}
	return t, nil
}

// topicsFor returns a definition's own topics as they must be; own is what those of its rows are named after, result the one
// that others read.
func (p *Processors) topicsFor(d *tables.Definition, own, result string, partitions int32) []kafka.Topic {
	if d.Kind == tables.KindStream {
		return []kafka.Topic{streamTopic(result, partitions)}
	}
	names := p.config.Kafka
	return []kafka.Topic{
		{Name: names.PartialsTopic(own), Partitions: partitions, Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}},
		{Name: names.ChangelogTopic(own), Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact", "segment.bytes": "67108864"}},
		{Name: result, Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact"}},
	}
}

// streamTopic is a stream's topic as it must be. How long it keeps records is the cluster's default, and anybody's to change.
func streamTopic(name string, partitions int32) kafka.Topic {
	return kafka.Topic{Name: name, Partitions: partitions, Config: map[string]string{"cleanup.policy": "delete"}}
}
