package feeds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Column is one field of a feed under its Zeek name.
type Column struct {
	Name    string   // as Zeek writes it, dotted: "id.orig_h"
	Type    Type     // what its values are
	Doc     string   // one line, without the name
	Aliases []string // names that other versions or shippers give the same field
}

// Feed is one kind of Zeek log: its name is Zeek's path, and its default topic.
type Feed struct {
	Name    string
	Doc     string   // one line of what a record is
	Columns []Column // in the log's order
}

// Column returns the position of the column with that name or alias; ok is false when the feed has none.
func (f *Feed) Column(name string) (i int, ok bool) {
	if i = slices.IndexFunc(f.Columns, func(c Column) bool { return c.Name == name }); i >= 0 {
		return i, true
	}
	i = slices.IndexFunc(f.Columns, func(c Column) bool { return slices.Contains(c.Aliases, name) })
	return i, i >= 0
}

var registry = map[string]*Feed{}

// register adds a built-in feed; a feed file calls it once.
func register(f *Feed) *Feed {
	if _, twice := registry[f.Name]; twice {
		panic(fmt.Sprintf("feeds: %s is registered twice", f.Name))
	}
	registry[f.Name] = f
	return f
}

// Lookup returns the built-in feed with that name.
func Lookup(name string) (f *Feed, ok bool) {
	f, ok = registry[name]
	return f, ok
}

// All returns the built-in feeds by name.
func All() []*Feed {
	all := make([]*Feed, 0, len(registry))
	for _, f := range registry {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *Feed) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Names returns the names of the built-in feeds, sorted.
func Names() []string {
	return slices.Sorted(maps.Keys(registry))
}

// Layout says which columns a decoder takes out of a feed's records, and in which slot each lands: the union of what
// the tables of one pass need, so that a record is scanned once for all of them.
type Layout struct {
	Feed    string // the feed's name; records tagged as another feed are not of this layout
	Mixed   bool   // the topic carries other feeds too: records that do not say what they are must be told, see [KeySet]
	Columns []Column
}

// Slot returns the slot of the named column, adding the column when the layout does not have it yet.
func (l *Layout) Slot(c Column) int {
	if i := slices.IndexFunc(l.Columns, func(have Column) bool { return have.Name == c.Name }); i >= 0 {
		return i
	}
	l.Columns = append(l.Columns, c)
	return len(l.Columns) - 1
}

// Record is one decoded message. It is reused: what is kept beyond the next decode must be cloned.
type Record struct {
	Values    []Value  // one a slot of the layout; NULL where the message has no such field
	BadFields int      // fields that were there but not of their column's type; their values are NULL
	At        Position // where it was read; set by who read the message
}

// Position is where a record lies in Kafka: it puts records of one event time in an order that does not depend on when
// they were read.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Reset makes the record empty with n slots.
func (r *Record) Reset(n int) {
	if cap(r.Values) < n {
		r.Values = make([]Value, n)
	}
	r.Values = r.Values[:n]
	clear(r.Values)
	r.BadFields = 0
	r.At = Position{}
}
