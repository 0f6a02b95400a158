package tables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Kind is what a definition defines.
type Kind string

// There are tables and streams.
const (
	KindTable  Kind = "table"
	KindStream Kind = "stream"
)

// Definition is what tables and streams have in common.
type Definition struct {
	Kind    Kind
	Name    string
	Feed    *feeds.Feed
	Inputs  []feeds.Column // the feed's columns that the expressions read, in order of first use
	Columns []Column       // of the result, as SELECT lists them
	SQL     string         // its canonical text
	Options Options
}

// Topic returns the topic that the definition writes to: a table's result topic, a stream's topic.
func (d *Definition) Topic() string {
	if d.Options.Topic != "" {
		return d.Options.Topic
	}
	return d.Name
}

// FeedTopics returns the topics of the definition's feed.
func (d *Definition) FeedTopics() []string {
	if len(d.Options.FeedTopics) > 0 {
		return d.Options.FeedTopics
	}
	return []string{d.Feed.Name}
}

// Resolve returns the feed that FROM names; ok is false when there is none.
type Resolve = func(name string) (f *feeds.Feed, ok bool)

// Definitions are the tables and streams of some texts. The zero value has none.
type Definitions struct {
	Tables  []*Table
	Streams []*Stream

	all []*Definition
}

// All returns the definitions in the order in which they were added.
func (d *Definitions) All() []*Definition { return d.all }

// Add compiles a CREATE TABLE or CREATE STREAM and adds it. Errors are *sql.Error: other statements and names that are taken
// are refused.
func (d *Definitions) Add(stmt sql.Statement, resolve Resolve) (*Definition, error) {
	var added *Definition
	var src *sql.Source
	var name sql.Name
	switch s := stmt.(type) {
	case *sql.CreateTable:
		t, err := Compile(s, resolve)
		if err != nil {
			return nil, err
		}
		added, src, name = &t.Definition, s.Source, s.Name
		d.Tables = append(d.Tables, t)
	case *sql.CreateStream:
		t, err := CompileStream(s, resolve)
		if err != nil {
			return nil, err
		}
		added, src, name = &t.Definition, s.Source, s.Name
		d.Streams = append(d.Streams, t)
	case *sql.Select:
		return nil, s.Source.Error(s.At, "a SELECT defines no table", "write CREATE TABLE name AS SELECT ..")
	case *sql.Explain:
		return nil, s.Query.Source.Error(s.At, "EXPLAIN defines no table", "ask it of a running server: `brotally query 'EXPLAIN SELECT ..'`")
	}
	for _, other := range d.all {
		switch {
		case other.Name == added.Name && other.Kind == added.Kind:
			return nil, src.Error(name.At, fmt.Sprintf("%s %s is defined twice", added.Kind, added.Name), "give one of them another name")
		case other.Name == added.Name:
			return nil, src.Error(name.At, fmt.Sprintf("%s %s is called like a %s", added.Kind, added.Name, other.Kind), "give one of them another name")
		}
	}
	d.all = append(d.all, added)
	return added, nil
}

// CompileDefinitions compiles the statements of a text; file names it in errors. Errors are *sql.Error.
func CompileDefinitions(file, text string, resolve Resolve) (*Definitions, error) {
	statements, err := sql.Parse(file, text)
	if err != nil {
		return nil, err
	}
	d := &Definitions{}
	for _, s := range statements {
		if _, err := d.Add(s, resolve); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// CompileFile is [CompileDefinitions] for a text that defines tables alone.
func CompileFile(file, text string, resolve Resolve) ([]*Table, error) {
	d, err := CompileDefinitions(file, text, resolve)
	if err != nil {
		return nil, err
	}
	if len(d.Streams) > 0 {
		return nil, fmt.Errorf("%s defines the stream %s, wanted are tables", file, d.Streams[0].Name)
	}
	return d.Tables, nil
}

// begin compiles what stands before SELECT, and finds the feed.
func begin(kind Kind, src *sql.Source, name sql.Name, with []sql.Option, from sql.Name, resolve Resolve) (*Definition, error) {
	if why := checkName(name.Text); why != "" {
		return nil, src.Error(name.At, string(kind)+" name "+why, "")
	}
	d := &Definition{Kind: kind, Name: name.Text}
	var err error
	if d.Options, err = compileOptions(kind, src, with); err != nil {
		return nil, err
	}
	var ok bool
	if d.Feed, ok = resolve(from.Text); !ok {
		hint := sql.DidYouMean(from.Text, feeds.Names())
		if hint == "" { // schema.dns
			hint = sql.DidYouMean(from.Text[strings.LastIndexByte(from.Text, '.')+1:], feeds.Names())
		}
		if hint == "" {
			hint = "`brotally feeds` lists those that are built in"
		}
		return nil, src.Error(from.At, "no feed "+from.Text, hint)
	}
	return d, d.checkTopics(src, name)
}

// checkName says why a name cannot be a definition's: it is the name of topics. Empty: it can.
func checkName(name string) (why string) {
	for _, r := range name {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			continue
		}
		return fmt.Sprintf("%q may have letters, digits, _ and - only: it is a topic's name", name)
	}
	if len(name) > 200 {
		return fmt.Sprintf("has %d characters; the limit is 200", len(name))
	}
	return ""
}

// checkTopics refuses a definition that would write into its own feed.
func (d *Definition) checkTopics(src *sql.Source, name sql.Name) error {
	what, example := "result", d.Feed.Name+"_counts"
	if d.Kind == KindStream {
		what, example = "stream's", d.Feed.Name+"_failed"
	}
	switch {
	case d.Name == d.Feed.Name:
		return src.Error(name.At, fmt.Sprintf("%s %s is called like its feed", d.Kind, d.Name), "name it after what it "+map[Kind]string{KindTable: "counts", KindStream: "holds"}[d.Kind]+", such as "+example)
	case slices.Contains(d.FeedTopics(), d.Name):
		return src.Error(name.At, fmt.Sprintf("%s %s is called like a topic of its feed", d.Kind, d.Name), "give it another name")
	case slices.Contains(d.FeedTopics(), d.Topic()):
		return src.Error(name.At, fmt.Sprintf("the %s topic %s is a topic of the feed", what, d.Topic()), "give it another name with WITH (topic = '..')")
	}
	return nil
}

// SharedLayout returns the layout that a decoder of one pass fills: the union of the inputs of its definitions, which are
// all of one feed. It returns an error when two declare a column with different types.
func SharedLayout(all ...*Definition) (*feeds.Layout, error) {
	l := &feeds.Layout{}
	for _, d := range all {
		l.Feed = d.Feed.Name
		for _, c := range d.Inputs {
			if have := l.Columns[l.Slot(c)]; have.Type != c.Type {
				return nil, fmt.Errorf("%s %s reads %s as %s, another one of the feed as %s", d.Kind, d.Name, c.Name, c.Type, have.Type)
			}
		}
	}
	return l, nil
}

// slots returns where the definition's inputs are in a layout. It returns an error when the layout lacks one or has it with
// another type.
func (d *Definition) slots(layout *feeds.Layout) ([]int, error) {
	slots := make([]int, len(d.Inputs))
	for i, in := range d.Inputs {
		slots[i] = slices.IndexFunc(layout.Columns, func(c feeds.Column) bool { return c.Name == in.Name })
		switch {
		case slots[i] < 0:
			return nil, fmt.Errorf("%s %s: the layout has no column %s", d.Kind, d.Name, in.Name)
		case layout.Columns[slots[i]].Type != in.Type:
			return nil, fmt.Errorf("%s %s: the layout has %s as %s, not %s", d.Kind, d.Name, in.Name, layout.Columns[slots[i]].Type, in.Type)
		}
	}
	return slots, nil
}
