package processors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/brotally/brotally/internal/catalog"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Action is what becomes of a table or a stream.
type Action string

// What can become of one.
const (
	Keep    Action = "keep"    // it goes on
	Build   Action = "build"   // it is new
	Wait    Action = "wait"    // it is new and has no topic to read yet
	Alter   Action = "alter"   // it goes on with another definition, its rows stay
	Rebuild Action = "rebuild" // it is counted anew beside the old one, which answers until then
	Drop    Action = "drop"    // it is deleted
)

// Step is what is to be done about one table or stream, so that what runs is what the files say.
type Step struct {
	Name   string
	Kind   tables.Kind
	Action Action
	Why    string
	Loses  string // what is gone for good then; empty: nothing

	Read    int64    // records to be read; 0 where it goes on
	Bytes   int64    // about what these take on the brokers' disks; -1: not known
	Makes   []string // topics
	Deletes []string // topics
	Own     string   // what the topics of its rows are named after when it is done, see [kafka.Entry.Own]

	definition *tables.Definition // nil: there is none any more
	entry      kafka.Entry        // what the catalog has; empty where it has none
}

// Unapproved is returned when a step would lose something and nobody has said that it may.
type Unapproved struct{ Steps []Step }

func (e *Unapproved) Error() string {
	var b strings.Builder
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "%s %s: %s, which loses %s\n", s.Kind, s.Name, s.Action, s.Loses)
	}
	b.WriteString("nothing was changed; `brotally plan` shows all of it, --auto-approve does it")
	return b.String()
}

// Plan returns what a run of the definitions would do, in their order, and behind them what they have not. It changes nothing. Errors are those of [Processors.Run]
// before anything runs.
func Plan(ctx context.Context, admin *kafka.Admin, names kafka.Config, defined *tables.Definitions) ([]Step, error) {
	p := &Processors{config: Config{Kafka: names, Tables: defined.Tables, Streams: defined.Streams, Now: fault.Now}, admin: admin}
	registry, err := kafka.OpenCatalog(admin, names)
	if err != nil {
		return nil, err
	}
	entries, err := registry.Load(ctx)
	if err != nil {
		return nil, err
	}
	steps, _, err := p.steps(entries, p.definitions(), true)
	if err != nil {
		return nil, err
	}
	return steps, p.measure(steps)
}

// steps compares definitions with the catalog, and returns in addition which topics there are. Where they are all that is to be
// (whole), what they do not have is dropped. The error is a *[Refusal] when they cannot be beside each other and what is there.
func (p *Processors) steps(entries map[string]kafka.Entry, defined []*tables.Definition, whole bool) ([]Step, map[string]kafka.Topic, error) {
	if err := clashes(p.config.Kafka, entries, defined); err != nil {
		return nil, nil, err
	}
	exist, err := p.lookAround(entries)
	if err != nil {
		return nil, nil, err
	}
	if err := sourcesReplaced(entries, exist); err != nil {
		return nil, nil, err
	}
	all, err := p.compareAll(entries, defined, exist)
	if err != nil || !whole {
		return all, exist, err
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		if e.Dropped || slices.ContainsFunc(defined, func(d *tables.Definition) bool { return d.Name == name }) {
			continue
		}
		s := Step{Name: name, Kind: kindOr(tables.Kind(e.Kind)), Action: Drop, Why: "no file defines it", entry: e}
		s.Deletes, _, _ = Belongings(p.config.Kafka, e)
		if _, there := exist[e.Result]; there {
			s.Loses = "all that it has, topic " + e.Result + " with it"
		}
		all = append(all, s)
	}
	return all, exist, nil
}

// compareAll compares definitions with what the catalog has of their names.
func (p *Processors) compareAll(entries map[string]kafka.Entry, defined []*tables.Definition, exist map[string]kafka.Topic) ([]Step, error) {
	var all []Step
	for _, d := range defined {
		e, known := entries[d.Name]
		s := Step{Name: d.Name, Kind: d.Kind, Own: d.Name, definition: d, entry: e}
		var err error
		switch {
		case !known && allExist(exist, d.FeedTopics()):
			s.Action, s.Why = Build, "it is new"
			err = p.leftovers(d, exist)
			for _, t := range p.topicsFor(d, d.Name, d.Topic(), 0) {
				s.Makes = append(s.Makes, t.Name)
			}
		case !known:
			s.Action, s.Why = Wait, "it waits for a topic of its feed: "+strings.Join(d.FeedTopics(), ", ")
		case e.Dropped:
			s.Action, s.Why = Wait, "one of its name is being dropped"
		default:
			err = p.change(&s, exist)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Belongings returns what an entry has of its own, its next definition and what it has retired included: topics, groups of
// tables, and passes, which others may have too. Streams have a topic and passes alone.
func Belongings(names kafka.Config, e kafka.Entry) (topics, groups, passes []string) {
	add := func(to *[]string, s string) {
		if s != "" && !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	rows := func(own string) {
		add(&topics, names.PartialsTopic(own))
		add(&topics, names.ChangelogTopic(own))
		add(&groups, names.TableGroup(own))
	}
	add(&topics, e.Result)
	if kindOr(tables.Kind(e.Kind)) == tables.KindTable {
		rows(e.Own())
	}
	if e.Next != nil {
		rows(e.Next.Own())
		add(&topics, e.Next.Result)
	}
	for _, r := range e.Retired {
		if r.Own != "" {
			rows(r.Own)
		}
		add(&topics, r.Result)
	}
	for source := range allSources(e) {
		add(&passes, source.Pass)
		add(&passes, source.Merge)
	}
	slices.Sort(passes)
	return topics, groups, passes
}

// change fills in what becomes of something that the catalog has and that is still defined.
func (p *Processors) change(s *Step, exist map[string]kafka.Topic) error {
	e, d := s.entry, s.definition
	s.Own = e.Own()
	if kind := kindOr(tables.Kind(e.Kind)); kind != d.Kind {
		return refusal(d, fmt.Sprintf("is a %s in the catalog", kind), fmt.Sprintf("give it another name; then run drops that %s", kind))
	}
	hash := kafka.HashSQL(d.SQL)
	switch {
	case e.Next != nil && e.Next.Hash == hash:
		if err := retyped(*e.Next, d); err != nil {
			return err
		}
		s.Action, s.Why, s.Own = Keep, "it is being counted anew as it is defined here", e.Next.Own()
		return nil
	case e.Hash == hash && sameTopics(e, d):
		s.Action, s.Why = Keep, "it is defined like this"
		if e.Next != nil {
			s.Why = "it is defined like this, and is being counted anew as it was defined later"
			s.Loses = "the rows of that later definition, which are being counted"
			s.Deletes = nextTopics(p.config.Kafka, e)
		}
		return retyped(e, d)
	}
	if e.Next != nil {
		s.Deletes = append(s.Deletes, nextTopics(p.config.Kafka, e)...)
	}
	if slices.Contains(e.Before, hash) {
		s.Loses = "what a later definition has counted: this one was replaced before"
	}
	if e.Result != d.Topic() {
		if _, there := exist[d.Topic()]; there && (e.Next == nil || e.Next.Result != d.Topic()) {
			return notOurs(d)
		}
		s.Makes, s.Deletes = append(s.Makes, d.Topic()), append(s.Deletes, e.Result)
		s.lose("topic " + e.Result + ", for the results go to " + d.Topic())
	}
	if d.Kind == tables.KindStream {
		s.Action, s.Why = Alter, "its records are from now on as it is defined here; those before stay as they are"
		return p.newSources(s)
	}
	was, err := catalog.Compile(e)
	if err != nil {
		return err
	}
	now := p.table(d.Name)
	if why := whyRebuild(e, was.Tables[0], now); why != "" {
		s.Why = why
		return p.rebuild(s)
	}
	s.Action, s.Why = Alter, "its rows stay, what is shown of them changes"
	if err := p.newSources(s); err != nil {
		return err
	}
	if len(e.FeedTopics()) < len(d.FeedTopics()) && (now.IsFinal() || now.Window != nil && now.Window.Retention > 0) {
		s.lose("what the topics that it reads in addition have for windows that have closed, or went: that is late")
	}
	return nil
}

// lose adds to what is lost.
func (s *Step) lose(what string) {
	if s.Loses != "" {
		s.Loses += "; "
	}
	s.Loses += what
}

// nextTopics returns the topics that only the definition has which is being built.
func nextTopics(names kafka.Config, e kafka.Entry) []string {
	topics := []string{names.PartialsTopic(e.Next.Own()), names.ChangelogTopic(e.Next.Own())}
	if e.Next.Result != e.Result {
		topics = append(topics, e.Next.Result)
	}
	return topics
}

// sameTopics reports whether the definition reads no topics but those that the catalog has. That it does not read one any
// more is another matter: see whyRebuild.
func sameTopics(e kafka.Entry, d *tables.Definition) bool {
	topics := slices.Sorted(slices.Values(d.FeedTopics()))
	return slices.Equal(e.FeedTopics(), slices.Compact(topics))
}

// whyRebuild says why a table's rows are of no use for another definition of it; empty: they are.
func whyRebuild(e kafka.Entry, was, now *tables.Table) string {
	for _, topic := range e.FeedTopics() {
		if !slices.Contains(now.FeedTopics(), topic) {
			return "it does not read topic " + topic + " any more"
		}
	}
	if now.Options.Partitions > 0 && now.Options.Partitions != e.Partitions {
		return fmt.Sprintf("it gets %d partitions and has %d", now.Options.Partitions, e.Partitions)
	}
	if was.StateText() != now.StateText() {
		return "its rows are other ones: what they are counted from, their keys or aggregates changed"
	}
	if most := now.MaxGroups(); was.MaxGroups() > 0 && (most == 0 || most > was.MaxGroups()) {
		return "it may have more groups: those that came above MAX GROUPS so far would only have what comes from now on"
	}
	if w := was.Window; w != nil && w.Retention > 0 && (now.Window.Retention == 0 || now.Window.Retention > w.Retention) {
		return "its windows are kept for longer: those that are gone are counted anew"
	}
	return ""
}

// rebuild fills in what counting anew takes and what it would not have any more.
func (p *Processors) rebuild(s *Step) error {
	e, d := s.entry, s.definition
	s.Action = Rebuild
	if n := d.Options.Partitions; n > 0 && n != e.Partitions && d.Topic() == e.Result {
		return refusal(d, fmt.Sprintf("cannot have %d partitions: its result topic %s has %d", n, e.Result, e.Partitions),
			fmt.Sprintf("choose another topic for it with WITH (topic = '...'), or `brotally reset %s`", d.Name))
	}
	next := kafka.Entry{Table: e.Table, Generation: e.Latest + 1}
	s.Own = next.Own()
	s.Makes = append(s.Makes, p.config.Kafka.PartialsTopic(next.Own()), p.config.Kafka.ChangelogTopic(next.Own()))
	s.Deletes = append(s.Deletes, p.config.Kafka.PartialsTopic(e.Own()), p.config.Kafka.ChangelogTopic(e.Own()))
	for _, topic := range e.FeedTopics() {
		if !slices.Contains(d.FeedTopics(), topic) {
			s.lose("what was counted of topic " + topic)
			continue
		}
		starts, err := p.startOffsets(topic, d.Options.Start)
		if err != nil {
			return err
		}
		gone := int64(0)
		for partition, from := range starts {
			gone += max(0, from-e.Sources[topic].Start[partition])
		}
		if gone > 0 {
			s.lose(fmt.Sprintf("what was counted of %d records of %s, which it would begin behind", gone, topic))
		}
	}
	return nil
}

// newSources checks topics that something which goes on is to read in addition.
func (p *Processors) newSources(s *Step) error {
	var added []string
	for _, topic := range s.definition.FeedTopics() {
		if _, known := s.entry.Sources[topic]; !known {
			added = append(added, topic)
		}
	}
	if len(added) > 0 {
		s.Why += "; it reads " + strings.Join(added, ", ") + ", too"
	}
	return nil
}

// measure fills in how much there is to read.
func (p *Processors) measure(steps []Step) error {
	for i := range steps {
		s := &steps[i]
		if s.Action != Build && s.Action != Rebuild {
			continue
		}
		for _, topic := range s.definition.FeedTopics() {
			starts, err := p.startOffsets(topic, s.definition.Options.Start)
			if err != nil {
				return err
			}
			held, err := p.admin.Offsets(topic)
			if err != nil {
				return err
			}
			there, read := int64(0), int64(0)
			for partition, r := range held[topic] {
				there += r.Newest - r.Oldest
				read += r.Newest - starts[partition]
			}
			s.Read += read
			bytes, err := p.admin.TopicBytes(topic)
			switch {
			case err != nil || s.Bytes < 0:
				s.Bytes = -1 // who may not ask for it may run all the same
			case there > 0:
				s.Bytes += int64(float64(bytes) * float64(read) / float64(there))
			}
		}
	}
	return nil
}
