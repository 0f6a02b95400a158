package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// asked is one table and how it is to be shown, or a stream.
type asked struct {
	table  *tables.Table
	show   *tables.Select
	stream *tables.Stream // nil: a table
}

func (a *asked) definition() *tables.Definition {
	if a.stream != nil {
		return &a.stream.Definition
	}
	return &a.table.Definition
}

// scanned is a SELECT without aggregates over the records themselves.
type scanned struct {
	stmt *sql.Select
	feed *feeds.Feed
	show *tables.Select
}

// compile makes the statements runnable: a scan, or tables. What built-in columns are not enough for is compiled with what
// the logs show.
func (t *try) compile(defs *definitions) (*scanned, []asked, error) {
	scan, all, err := compileTry(defs, feeds.Lookup)
	if err == nil && scan == nil {
		return nil, all, nil
	}
	resolve, found, unread := t.logs.discover()
	if unread != nil {
		return nil, nil, unread
	}
	if err := defs.knownFeeds(resolve, found); err != nil {
		return nil, nil, err
	}
	return compileTry(defs, resolve)
}

func compileTry(defs *definitions, resolve tables.Resolve) (*scanned, []asked, error) {
	var all []asked
	compiled, taken := &tables.Definitions{}, defs.names()
	for _, s := range defs.statements {
		var a asked
		if q, ok := s.(*sql.Select); ok {
			if scan, isScan := compileScan(q, resolve); isScan {
				if len(defs.statements) > 1 {
					return nil, nil, q.Source.Error(q.At, "a SELECT without aggregates has to be alone", "add count(*), or try it by itself")
				}
				return scan, nil, nil
			}
			var err error
			if a, err = compileLookup(q, tableName(q.From.Text, taken), resolve); err != nil {
				return nil, nil, err
			}
			taken = append(taken, a.table.Name)
		} else {
			added, err := add(compiled, s, resolve)
			if err != nil {
				return nil, nil, err
			}
			if added.Kind == tables.KindStream {
				a.stream = compiled.Streams[len(compiled.Streams)-1]
				added.Options.Partitions = 1 // so that its records come in the order of the log
			} else {
				a.table = compiled.Tables[len(compiled.Tables)-1]
				if a.show, err = showAll(a.table); err != nil {
					return nil, nil, err
				}
			}
		}
		// Here a feed's topic is called like it, and everything in the logs counts.
		d := a.definition()
		d.Options.FeedTopics, d.Options.MixedTopics, d.Options.Start = nil, nil, tables.Start{}
		d.Options.Format = tables.FormatJSON // nobody but us sees the topic, and there is no schema registry
		all = append(all, a)
	}
	return nil, all, nil
}

// compileScan compiles a SELECT that has neither aggregates nor groups; ok is false when it has, or when it is not valid
// as a scan: then the table's compiler says better what is wrong.
func compileScan(q *sql.Select, resolve tables.Resolve) (*scanned, bool) {
	feed, known := resolve(q.From.Text)
	if !known || len(q.GroupBy) > 0 || q.Having != nil {
		return nil, false
	}
	show, err := tables.CompileScan(q, feed)
	if err != nil || slices.ContainsFunc(show.Columns, func(c tables.Column) bool { return c.Aggregate }) {
		return nil, false
	}
	return &scanned{stmt: q, feed: feed, show: show}, true
}

// tableName is what the table of a bare SELECT is called: after its feed.
func tableName(feed string, taken []string) string {
	name := feed + "_try"
	for n := 2; slices.Contains(taken, name); n++ {
		name = fmt.Sprintf("%s_try_%d", feed, n)
	}
	return name
}

// compileLookup makes a table and a look-up of a SELECT with aggregates. Without ORDER BY it is ordered by its key columns,
// so that LIMIT means something.
func compileLookup(q *sql.Select, name string, resolve tables.Resolve) (asked, error) {
	table, show, err := tables.CompileQuery(name, q, resolve)
	if err != nil || len(q.OrderBy) > 0 {
		return asked{table: table, show: show}, err
	}
	ordered := *q
	ordered.OrderBy = byKeys(table, q.At)
	table, show, err = tables.CompileQuery(name, &ordered, resolve)
	return asked{table: table, show: show}, err
}

// showAll is the look-up of all rows of a table, by its key columns.
func showAll(t *tables.Table) (*tables.Select, error) {
	src := &sql.Source{Text: `SELECT * FROM ` + t.Name}
	q := &sql.Select{Source: src, From: sql.Name{Text: t.Name, Quoted: true}, Items: []sql.Item{{Expr: &sql.Star{}}}, OrderBy: byKeys(t, 0)}
	return tables.CompileSelect(q, t)
}

func byKeys(t *tables.Table, at sql.Pos) []sql.Order {
	var by []sql.Order
	for i, c := range t.Columns {
		if c.Key {
			by = append(by, sql.Order{Expr: &sql.Number{At: at, Text: strconv.Itoa(i + 1)}})
		}
	}
	return by
}
