package processors

import (
	"slices"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Rights returns the least that somebody has to be allowed in order to run definitions in the app of names. All that belongs to
// the app itself is of resources whose names begin with it; results have names of their own, and what Zeek writes is only read.
func Rights(names kafka.Config, defined []*tables.Definition) []kafka.Right {
	var all []kafka.Right
	add := func(kind, name string, prefixed bool, operations ...string) {
		for _, o := range operations {
			if r := (kafka.Right{Operation: o, Kind: kind, Name: name, Prefixed: prefixed}); !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	for _, d := range defined {
		for _, topic := range d.FeedTopics() {
			add(kafka.KindTopic, topic, false, "Read")
		}
	}
	// Delete is for partials that were used.
	add(kafka.KindTopic, names.Prefix(), true, "Read", "Write", "Create", "Delete", "DescribeConfigs")
	for _, d := range defined {
		if d.Kind == tables.KindTable {
			add(kafka.KindTopic, d.Topic(), false, "Read") // to see what a changed definition has to replace
		}
		add(kafka.KindTopic, d.Topic(), false, "Write", "Create", "DescribeConfigs")
	}
	// Delete is for what a changed definition leaves behind.
	add(kafka.KindGroup, names.Prefix(), true, "Read", "Delete")
	add(kafka.KindID, names.Prefix(), true, "Write")
	return all
}

// ResetRights returns what it takes in addition to forget definitions, by reset or because no file has them any more.
func ResetRights(defined []*tables.Definition) []kafka.Right {
	var all []kafka.Right
	for _, d := range defined {
		all = append(all, kafka.Right{Operation: "Delete", Kind: kafka.KindTopic, Name: d.Topic()})
	}
	return all
}
