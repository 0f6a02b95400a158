package processors

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/brotally/brotally/internal/catalog"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Refusal says why a set of definitions cannot run beside what the catalog holds, and the way out.
type Refusal struct {
	Table  string // or the stream's name
	Why    string
	WayOut string
	Kind   tables.Kind // of what is refused; a table unless it says otherwise
}

// refusal refuses a definition.
func refusal(d *tables.Definition, why, wayOut string) *Refusal {
	return &Refusal{Table: d.Name, Kind: d.Kind, Why: why, WayOut: wayOut}
}

func (r *Refusal) Error() string {
	and := "; "
	if strings.Contains(r.Why, "\n") {
		and = "\n" // it shows a definition, whose last line is no place for the way out
	}
	return fmt.Sprintf("%s %s %s%s%s", kindOr(r.Kind), r.Table, r.Why, and, r.WayOut)
}

// kindOr is the kind, a table's where there is none.
func kindOr(k tables.Kind) tables.Kind {
	if k == "" {
		return tables.KindTable
	}
	return k
}

// verb is what a definition does with records.
func verb(k tables.Kind) string {
	if k == tables.KindStream {
		return "writes"
	}
	return "counts"
}

// notOurs refuses a definition whose topic is somebody else's.
func notOurs(d *tables.Definition) *Refusal {
	return refusal(d, fmt.Sprintf("would write to topic %s, which exists and is not ours", d.Topic()),
		"choose another topic with WITH (topic = '...'), or delete that one")
}

// leftovers returns a *Refusal when a table or stream that the catalog does not know would write to topics that are there already:
// a result topic of somebody else's, or rows and partials of a table that was not reset.
func (p *Processors) leftovers(t *tables.Definition, exist map[string]kafka.Topic) error {
	result := t.Topic()
	if _, there := exist[result]; there {
		return notOurs(t)
	}
	for _, topic := range p.topicsFor(t, t.Name, result, 0) {
		if _, there := exist[topic.Name]; there {
			return refusal(t, fmt.Sprintf("has a topic %s from before, of which the catalog knows nothing", topic.Name),
				fmt.Sprintf("`brotally reset %s` removes it", t.Name))
		}
	}
	return nil
}

// checkTopics checks the topics that are there of what is to be started. One that the catalog knows and that has begun must
// have all of its own: what is made anew for it would be empty.
func (p *Processors) checkTopics(entries map[string]kafka.Entry, exist map[string]kafka.Topic) error {
	if _, there := exist[p.config.Kafka.DeadLetterTopic()]; there {
		if err := p.admin.Ensure(p.deadLetterTopic()); err != nil {
			return err
		}
	}
	a, err := p.place(entries)
	if err != nil {
		return err
	}
	for _, t := range a.tables {
		missing, begun := "", false
		for _, topic := range p.topicsFor(&t.Definition, t.own, t.result, t.partitions) {
			if _, there := exist[topic.Name]; !there {
				if topic.Name != t.result || t.publishes() {
					missing = topic.Name
				}
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
				begun = begun || r.Newest > 0 && (topic.Name != t.result || t.publishes())
			}
		}
		if missing != "" && begun {
			return refusal(&t.Definition, "has lost its topic "+missing, fmt.Sprintf("`brotally reset %s` counts anew", t.Name))
		}
	}
	for _, s := range a.streams {
		if err := p.checkStreamTopic(s, exist); err != nil {
			return err
		}
	}
	return nil
}

// checkStreamTopic is checkTopics for a stream. It has begun when one of its passes has.
func (p *Processors) checkStreamTopic(s *placedStream, exist map[string]kafka.Topic) error {
	if _, there := exist[s.topic]; there {
		return p.admin.Ensure(streamTopic(s.topic, s.partitions))
	}
	for _, pass := range s.passes {
		committed, err := p.admin.CommittedOffsets(p.config.Kafka.CombineGroup(pass))
		if err != nil {
			return err
		}
		if len(committed) > 0 {
			return refusal(&s.stream.Definition, "has lost its topic "+s.topic, fmt.Sprintf("`brotally reset %s` writes it anew", s.stream.Name))
		}
	}
	return nil
}

// clashes returns a *Refusal when two definitions would write to one topic, or one to what is read or kept by another.
func clashes(names kafka.Config, entries map[string]kafka.Entry, defined []*tables.Definition) error {
	const rename = "choose another topic with WITH (topic = '...')"
	taken := map[string]string{names.CatalogTopic(): "the catalog", names.DeadLetterTopic(): "the dead letters"}
	for _, d := range defined {
		for _, topic := range d.FeedTopics() {
			taken[topic] = fmt.Sprintf("the records of %s %s", d.Kind, d.Name)
		}
		if d.Kind == tables.KindStream {
			continue // it has nothing of its own but its topic
		}
		if strings.HasPrefix(names.TableGroup(d.Name), names.CombineGroup("")) {
			return refusal(d, "would have the consumer group of a pass, "+names.TableGroup(d.Name), "give it another name")
		}
		taken[names.PartialsTopic(d.Name)] = "the partials of table " + d.Name
		taken[names.ChangelogTopic(d.Name)] = "the rows of table " + d.Name
	}
	for name, e := range entries {
		kind := kindOr(tables.Kind(e.Kind))
		for topic := range e.Sources {
			taken[topic] = fmt.Sprintf("the records of %s %s", kind, name)
		}
		// One that is about to be deleted would be deleted with what is written to it by then.
		for _, r := range e.Retired {
			if r.Result != "" {
				taken[r.Result] = fmt.Sprintf("former results of %s %s and is being deleted", kind, name)
			}
		}
	}
	for _, d := range defined {
		for name, e := range entries {
			if name != d.Name && (e.Result == d.Topic() || e.Next != nil && e.Next.Result == d.Topic()) {
				return refusal(d, fmt.Sprintf("would write to topic %s, which has the results of %s %s", d.Topic(), kindOr(tables.Kind(e.Kind)), name),
					"let that one leave it first, with a run of its own, or choose another topic with WITH (topic = '...')")
			}
		}
	}
	for _, d := range defined {
		if what := taken[d.Topic()]; what != "" {
			return refusal(d, fmt.Sprintf("would write to topic %s, which has %s", d.Topic(), what), rename)
		}
		taken[d.Topic()] = fmt.Sprintf("the result of %s %s", d.Kind, d.Name)
		if d.Kind == tables.KindStream {
			taken[d.Topic()] = "the records of stream " + d.Name
		}
	}
	return nil
}

// sourcesReplaced returns a *Refusal when a topic that a table has read was deleted and made again: its offsets begin
// anew, so that going on would skip records or count them twice.
func sourcesReplaced(entries map[string]kafka.Entry, exist map[string]kafka.Topic) error {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		for topic, source := range entries[name].Sources {
			if now := exist[topic].ID; replaced(source.ID, now) {
				return sourceReplaced(tables.Kind(entries[name].Kind), name, topic, source.ID, now)
			}
		}
	}
	return nil
}

// replaced says whether a topic's id has changed; brokers before 2.8 have none.
func replaced(was, now string) bool { return was != "" && now != "" && was != now }

func sourceReplaced(kind tables.Kind, name, topic, was, now string) *Refusal {
	done, does := "counted", "counts"
	if kind == tables.KindStream {
		done, does = "read", "reads"
	}
	return &Refusal{Table: name, Kind: kind, Why: fmt.Sprintf("has %s topic %s with id %s, which is now another topic with id %s", done, topic, was, now),
		WayOut: fmt.Sprintf("`brotally reset %s` %s the new one from its beginning", name, does)}
}

func allExist(exist map[string]kafka.Topic, topics []string) bool {
	return !slices.ContainsFunc(topics, func(t string) bool { _, ok := exist[t]; return !ok })
}

// retyped returns a *Refusal when a column that was discovered has another type now.
func retyped(e kafka.Entry, t *tables.Definition) error {
	then, err := catalog.Columns(e)
	if err != nil {
		return err
	}
	for _, was := range then {
		for _, is := range t.Inputs {
			if is.Name == was.Name && is.Type != was.Type {
				return refusal(t, fmt.Sprintf("was made when %s looked like %s, and now it looks like %s", was.Name, was.Type, is.Type),
					fmt.Sprintf("`brotally reset %s` %s anew; CAST(%s AS %s) in the definition keeps a type for good", t.Name, verb(t.Kind), was.Name, was.Type))
			}
		}
	}
	return nil
}
