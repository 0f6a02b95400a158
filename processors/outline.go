package processors

import (
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// OwnTopics returns the topics that a definition gets of its own in the app of names, as they are made when they are not there:
// a table's partials, changelog and result, a stream's topic. own is what those of a table's rows are named after: see
// [Step.Own]. partitions is that of the feed's topic; 0 is not known. The definition's own option wins.
func OwnTopics(names kafka.Config, d *tables.Definition, own string, partitions int32) []kafka.Topic {
	if d.Options.Partitions > 0 {
		partitions = d.Options.Partitions
	}
	p := &Processors{config: Config{Kafka: names}}
	return p.topicsFor(d, own, d.Topic(), partitions)
}

// SharedTopics returns the topics that all tables of the app of names share, as they are made.
func SharedTopics(names kafka.Config) (catalog, deadLetters kafka.Topic) {
	p := &Processors{config: Config{Kafka: names}}
	return names.Catalog(), p.deadLetterTopic()
}
