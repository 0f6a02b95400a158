// Package catalog compiles what the catalog holds: who runs a table, or answers for it, takes it from there, whatever
// files it was given.
package catalog

import (
	"fmt"
	"slices"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Compile returns the table or stream of an entry, with the topics that the catalog has for its feed.
func Compile(e kafka.Entry) (*tables.Definitions, error) {
	d, err := compile(e)
	if err != nil {
		return nil, fmt.Errorf("%s in the catalog: %w", e.Table, err)
	}
	o := &d.All()[0].Options
	o.FeedTopics, o.MixedTopics = e.FeedTopics(), nil
	for _, topic := range o.FeedTopics {
		if e.Sources[topic].Mixed {
			o.MixedTopics = append(o.MixedTopics, topic)
		}
	}
	return d, nil
}

func compile(e kafka.Entry) (*tables.Definitions, error) {
	columns, err := Columns(e)
	if err != nil {
		return nil, err
	}
	d, err := tables.CompileDefinitions("catalog", e.SQL, func(name string) (*feeds.Feed, bool) {
		feed, known := feeds.Lookup(name)
		if len(columns) > 0 {
			feed, known = WithColumns(name, feed, columns), true
		}
		return feed, known
	})
	if err != nil {
		return nil, err
	}
	if len(d.All()) != 1 {
		return nil, fmt.Errorf("it has %d definitions, want one", len(d.All()))
	}
	if n := fault.Distinct(); n > 0 && len(d.Tables) == 1 {
		d.Tables[0].LimitDistinct(n, 64)
	}
	return d, nil
}

// WithColumns returns the feed (nil: a new one) with the columns in place of its own of the same name.
func WithColumns(name string, feed *feeds.Feed, columns []feeds.Column) *feeds.Feed {
	merged := &feeds.Feed{Name: name}
	if feed != nil {
		merged.Doc, merged.Columns = feed.Doc, slices.Clone(feed.Columns)
	}
	for _, c := range columns {
		if i := slices.IndexFunc(merged.Columns, func(have feeds.Column) bool { return have.Name == c.Name }); i >= 0 {
			merged.Columns[i].Type = c.Type
		} else {
			merged.Columns = append(merged.Columns, c)
		}
	}
	return merged
}
