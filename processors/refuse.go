package processors

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Refusal says why a set of definitions cannot run beside what the catalog holds, and the way out.
type Refusal struct {
	Table  string
	Why    string
	WayOut string
}

func (r *Refusal) Error() string {
	and := "; "
	if strings.Contains(r.Why, "\n") {
		and = "\n" // it shows a definition, whose last line is no place for the way out
	}
	return fmt.Sprintf("table %s %s%s%s", r.Table, r.Why, and, r.WayOut)
}

// leftovers returns a *Refusal when a table that the catalog does not know would write to topics that are there already:
// a result topic of somebody else's, or rows and partials of a table that was not reset.
func (p *Processors) leftovers(t *tables.Table, exist map[string]kafka.Topic) error {
	result := resultOf(t)
	if _, there := exist[result]; there {
		return &Refusal{t.Name, fmt.Sprintf("would write to topic %s, which exists and is not ours", result),
			"choose another topic with WITH (topic = '...'), or delete that one"}
	}
	for _, topic := range p.topicsFor(t.Name, result, 0) {
		if _, there := exist[topic.Name]; there {
			return &Refusal{t.Name, fmt.Sprintf("has a topic %s from before, of which the catalog knows nothing", topic.Name),
				fmt.Sprintf("`brotally reset %s` removes it", t.Name)}
		}
	}
	return nil
}

// checkTopics checks the topics that are there of tables that are to be started. One that the catalog knows and that has
// begun must have all of its own: what is made anew for it would be empty.
func (p *Processors) checkTopics(entries map[string]kafka.Entry, changes map[string]*kafka.Entry, exist map[string]kafka.Topic) error {
	if _, there := exist[p.config.Kafka.DeadLetterTopic()]; there {
		if err := p.admin.Ensure(p.deadLetterTopic()); err != nil {
			return err
		}
	}
	a, _ := p.place(entries, changes)
	for _, t := range a.tables {
		missing, begun := "", false
		for _, topic := range p.topicsFor(t.Name, t.result, t.partitions) {
			if _, there := exist[topic.Name]; !there {
				missing = topic.Name
				continue
			}
			if err := p.admin.Ensure(topic); err != nil {
				return err
			}
			held, err := p.admin.Offsets(topic.Name)
			if err != nil {
				return err
			}
			for _, r := range held[topic.Name] {
				begun = begun || r.Newest > 0
			}
		}
		if missing != "" && begun {
			return &Refusal{t.Name, "has lost its topic " + missing, fmt.Sprintf("`brotally reset %s` counts anew", t.Name)}
		}
	}
	return nil
}

// refuse returns a *Refusal when the definitions do not fit what the catalog holds.
func refuse(entries map[string]kafka.Entry, defined []*tables.Table) error {
	for _, t := range defined {
		if e, known := entries[t.Name]; known && e.Hash == kafka.HashSQL(t.SQL) {
			if err := retyped(e, t); err != nil {
				return err
			}
		} else if known {
			return &Refusal{t.Name, "was defined differently before:\n  " + strings.ReplaceAll(e.SQL, "\n", "\n  ") + "\nnow\n  " + strings.ReplaceAll(t.SQL, "\n", "\n  "),
				fmt.Sprintf("`brotally reset %s` forgets the old one and counts anew, or give the new one another name", t.Name)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if !slices.ContainsFunc(defined, func(t *tables.Table) bool { return t.Name == name }) {
			return &Refusal{name, "is in the catalog and not in the files",
				fmt.Sprintf("add its definition, or `brotally reset %s` drops it: who reads its pass without it would lose its records", name)}
		}
	}
	return nil
}

// clashes returns a *Refusal when two tables would write to one topic, or one to what is read or kept by another.
func clashes(names kafka.Config, entries map[string]kafka.Entry, defined []*tables.Table) error {
	const rename = "choose another topic with WITH (topic = '...')"
	taken := map[string]string{names.CatalogTopic(): "the catalog", names.DeadLetterTopic(): "the dead letters"}
	for _, t := range defined {
		if strings.HasPrefix(names.TableGroup(t.Name), names.CombineGroup("")) {
			return &Refusal{t.Name, "would have the consumer group of a pass, " + names.TableGroup(t.Name), "give it another name"}
		}
		for _, topic := range topicsOf(t) {
			taken[topic] = "the records of table " + t.Name
		}
		taken[names.PartialsTopic(t.Name)] = "the partials of table " + t.Name
		taken[names.ChangelogTopic(t.Name)] = "the rows of table " + t.Name
	}
	for name, e := range entries {
		for topic := range e.Sources {
			taken[topic] = "the records of table " + name
		}
	}
	for _, t := range defined {
		result := resultOf(t)
		if what := taken[result]; what != "" {
			return &Refusal{t.Name, fmt.Sprintf("would write to topic %s, which has %s", result, what), rename}
		}
		taken[result] = "the result of table " + t.Name
	}
	return nil
}

// sourcesReplaced returns a *Refusal when a topic that a table has read was deleted and made again: its offsets begin
// anew, so that going on would skip records or count them twice.
func sourcesReplaced(entries map[string]kafka.Entry, exist map[string]kafka.Topic) error {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		for topic, source := range entries[name].Sources {
			if now := exist[topic].ID; replaced(source.ID, now) {
				return sourceReplaced(name, topic, source.ID, now)
			}
		}
	}
	return nil
}

// replaced says whether a topic's id has changed; brokers before 2.8 have none.
func replaced(was, now string) bool { return was != "" && now != "" && was != now }

func sourceReplaced(table, topic, was, now string) *Refusal {
	return &Refusal{table, fmt.Sprintf("has counted topic %s with id %s, which is now another topic with id %s", topic, was, now),
		fmt.Sprintf("`brotally reset %s` counts the new one from its beginning", table)}
}

func allExist(exist map[string]kafka.Topic, topics []string) bool {
	return !slices.ContainsFunc(topics, func(t string) bool { _, ok := exist[t]; return !ok })
}
