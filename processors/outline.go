package processors

import (
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// TableTopics returns the topics that t gets of its own in the app of names: its partials, its changelog and its result, as
// they are made when they are not there. partitions is that of the feed's topic; 0 is not known. The table's own option wins.
func TableTopics(names kafka.Config, t *tables.Table, partitions int32) (partials, changelog, result kafka.Topic) {
	if t.Options.Partitions > 0 {
		partitions = t.Options.Partitions
	}
	p := &Processors{config: Config{Kafka: names}}
	all := p.topicsFor(t.Name, resultOf(t), partitions)
	return all[0], all[1], all[2]
}

// SharedTopics returns the topics that all tables of the app of names share, as they are made.
func SharedTopics(names kafka.Config) (catalog, deadLetters kafka.Topic) {
	p := &Processors{config: Config{Kafka: names}}
	return names.Catalog(), p.deadLetterTopic()
}
