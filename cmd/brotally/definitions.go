package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// definitions are SQL texts, parsed: what the user wants counted.
type definitions struct{ statements []sql.Statement }

// readSQL parses one file of statements.
func (d *definitions) readSQL(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &usageError{fmt.Errorf("read tables: %w", err)}
	}
	return d.parse(file, string(text))
}

func (d *definitions) parse(name, text string) error {
	statements, err := sql.Parse(name, text)
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		return &usageError{fmt.Errorf("%s defines nothing", name)}
	}
	d.statements = append(d.statements, statements...)
	return nil
}

// queries returns the SELECT of each statement.
func (d *definitions) queries() []*sql.Select {
	var all []*sql.Select
	for _, s := range d.statements {
		switch s := s.(type) {
		case *sql.CreateTable:
			all = append(all, s.Query)
		case *sql.CreateStream:
			all = append(all, s.Query)
		case *sql.Select:
			all = append(all, s)
		}
	}
	return all
}

// names returns the names of what is created.
func (d *definitions) names() []string {
	var names []string
	for _, s := range d.statements {
		switch s := s.(type) {
		case *sql.CreateTable:
			names = append(names, s.Name.Text)
		case *sql.CreateStream:
			names = append(names, s.Name.Text)
		}
	}
	return names
}

// feeds returns the names behind FROM, each once.
func (d *definitions) feeds() []string {
	var names []string
	for _, q := range d.queries() {
		if !slices.Contains(names, q.From.Text) {
			names = append(names, q.From.Text)
		}
	}
	return names
}

// keepForever takes RETENTION and TTL out of the tables' definitions, and says whether there were any.
func (d *definitions) keepForever() (was bool) {
	for _, s := range d.statements {
		q, ok := s.(*sql.Select)
		if create, is := s.(*sql.CreateTable); is {
			q, ok = create.Query, true
		}
		if !ok {
			continue
		}
		was = was || q.TTL != nil
		q.TTL = nil
		if q.Window == nil {
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(q.Window.Params), func(p sql.WindowParam) bool { return p.Name == "RETENTION" })
		was = was || len(kept) < len(q.Window.Params)
		q.Window.Params = kept
	}
	return was
}

// knownFeeds refuses a feed that is neither built in nor among those found in the logs.
func (d *definitions) knownFeeds(resolve tables.Resolve, found []string) error {
	for _, q := range d.queries() {
		if _, ok := resolve(q.From.Text); ok {
			continue
		}
		hint := sql.DidYouMean(q.From.Text, append(slices.Clone(found), feeds.Names()...))
		if hint == "" && len(found) > 0 {
			hint = "the logs hold " + strings.Join(found, ", ")
		}
		return q.Source.Error(q.From.At, "no feed "+q.From.Text, hint)
	}
	return nil
}

// compile compiles the statements, which must all be CREATE TABLE or CREATE STREAM, and gives each its feed's topics.
func (d *definitions) compile(resolve tables.Resolve, topics map[string][]string) (*tables.Definitions, error) {
	all := &tables.Definitions{}
	for _, s := range d.statements {
		added, err := add(all, s, resolve)
		if err != nil {
			return nil, err
		}
		setTopics(added, topics)
	}
	return all, d.checkResults(all, topics)
}

// add compiles a statement and adds it. It refuses one that writes to another's topic.
func add(all *tables.Definitions, s sql.Statement, resolve tables.Resolve) (*tables.Definition, error) {
	added, err := all.Add(s, resolve)
	if err != nil {
		return nil, err
	}
	if n := fault.Distinct(); n > 0 && added.Kind == tables.KindTable {
		all.Tables[len(all.Tables)-1].LimitDistinct(n, 64)
	}
	for _, other := range all.All() {
		if other != added && other.Topic() == added.Topic() {
			who := fmt.Sprintf("%s %s and %s %s", other.Kind, other.Name, added.Kind, added.Name)
			if other.Kind == added.Kind {
				who = fmt.Sprintf("%ss %s and %s", added.Kind, other.Name, added.Name)
			}
			src, at := created(s)
			return nil, src.Error(at, fmt.Sprintf("%s both write to topic %s", who, added.Topic()), "give one of them another topic")
		}
	}
	return added, nil
}

// created returns where a CREATE statement names what it defines.
func created(s sql.Statement) (*sql.Source, sql.Pos) {
	switch s := s.(type) {
	case *sql.CreateTable:
		return s.Source, s.Name.At
	case *sql.CreateStream:
		return s.Source, s.Name.At
	}
	panic(fmt.Sprintf("%T creates nothing", s))
}

// checkResults refuses a result that would be written into a topic that carries a feed, whether it is read or not: Zeek may
// begin to write that log any day.
func (d *definitions) checkResults(all *tables.Definitions, topics map[string][]string) error {
	carries := map[string]string{} // topic to what it carries
	if len(topics[allFeeds]) == 0 {
		for _, f := range feeds.All() {
			carries[f.Name] = "the feed " + f.Name
		}
	}
	for feed, names := range topics {
		if carries[feed] == "the feed "+feed {
			delete(carries, feed)
		}
		for _, topic := range names {
			carries[topic] = "the feed " + feed
		}
	}
	for _, t := range all.All() {
		for _, topic := range t.FeedTopics() {
			carries[topic] = "the feed " + t.Feed.Name
		}
	}
	for _, topic := range topics[allFeeds] {
		carries[topic] = "all feeds"
	}
	for i, t := range all.All() {
		if what, taken := carries[t.Topic()]; taken {
			src, at := created(d.statements[i])
			return src.Error(at, fmt.Sprintf("%s %s would write to topic %s, which carries %s", t.Kind, t.Name, t.Topic(), what), "give it another name, or WITH (topic = '..')")
		}
	}
	return nil
}

// setTopics gives a definition the topics that --feed says for its feed, else those of all feeds, unless it says others
// itself.
func setTopics(d *tables.Definition, topics map[string][]string) {
	if len(d.Options.FeedTopics) == 0 {
		d.Options.FeedTopics = flagTopics(d.Feed.Name, topics)
	}
	for _, topic := range d.FeedTopics() {
		if carriesOther(topic, d.Feed.Name, topics) {
			d.Options.MixedTopics = append(d.Options.MixedTopics, topic)
		}
	}
}

// allFeeds is what stands for a feed's name where a topic carries all that have none of their own.
const allFeeds = "*"

// flagTopics returns the topics that --feed says for a feed.
func flagTopics(feed string, topics map[string][]string) []string {
	if own := topics[feed]; len(own) > 0 {
		return own
	}
	return topics[allFeeds]
}

// carriesOther reports whether --feed says that a topic carries another feed than that one, too. That other tables may read
// it as another is for the processors to see.
func carriesOther(topic, feed string, topics map[string][]string) bool {
	for other, names := range topics {
		if other != feed && slices.Contains(names, topic) {
			return true
		}
	}
	return false
}

// feedFlag is --feed: which topics carry a feed.
type feedFlag struct{ topics *pairs }

func (f *feedFlag) register(cmd *cobra.Command) {
	f.topics = newPairs("feed=topic,..")
	f.topics.bare = allFeeds
	cmd.Flags().Var(f.topics, "feed", "topics of a feed, when they are not called like it: dns=sensor1-dns,sensor2-dns; a topic without a feed carries all others: zeek")
}

// byFeed returns the topics of each feed that has others than its name, and under [allFeeds] those of all others.
func (f *feedFlag) byFeed() (map[string][]string, error) {
	all := map[string][]string{}
	for feed, list := range f.topics.values {
		if all[feed] = splitList(list); len(all[feed]) == 0 {
			return nil, &usageError{fmt.Errorf("--feed %s=%s: want topics separated by commas", feed, list)}
		}
	}
	for _, topic := range all[allFeeds] {
		if _, isFeed := feeds.Lookup(topic); isFeed {
			return nil, &usageError{fmt.Errorf("--feed %s: which topics? write %s=topic1,topic2; a topic that carries all feeds cannot be called like one", topic, topic)}
		}
	}
	return all, nil
}

// splitList splits a list at its commas; names appear once, blanks around them and empty ones not at all.
func splitList(list string) []string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
