package views

import (
	"fmt"
	"strings"
	"sync"

	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// Lookup is a compiled SELECT and the view that it reads.
type Lookup struct {
	View    *View
	Select  *tables.Select
	Explain bool // it was asked how, not for the rows
}

// UnknownTable says that there is no table of that name.
type UnknownTable struct {
	Name string
	Hint string     // what to do about it, such as "did you mean dns_counts?"; may be empty
	SQL  *sql.Error // where it was asked for, if that was in an SQL text
}

func (e *UnknownTable) Error() string {
	if e.SQL != nil {
		return e.SQL.Error()
	}
	if e.Hint != "" {
		return "no table " + e.Name + "; " + e.Hint
	}
	return "no table " + e.Name
}

// Compile compiles the text of a look-up. What was compiled is kept for the next time. Errors are *sql.Error and
// *[UnknownTable].
func (v *Views) Compile(text string) (Lookup, error) {
	shown := v.shown.Load()
	if l, ok := shown.lookups.get(text); ok {
		return l, nil
	}
	l, err := shown.compile(text)
	if err != nil {
		return l, err
	}
	return shown.lookups.put(text, l), nil
}

func (r *roll) compile(text string) (Lookup, error) {
	statement, err := sql.ParseStatement("", text)
	if err != nil {
		return Lookup{}, err
	}
	explain, asked := statement.(*sql.Explain)
	if asked {
		statement = explain.Query
	}
	query, ok := statement.(*sql.Select)
	if !ok {
		src := &sql.Source{Text: text}
		return Lookup{}, src.Error(statement.Pos(), "a look-up is a SELECT", "tables are defined in the files that run is given")
	}
	query.From = tables.InPublic(query.From)
	view, ok := r.byName[query.From.Text]
	if !query.From.Quoted {
		view, ok = r.named(query.From.Text)
	}
	if !ok {
		e := r.unknown(query.From.Text)
		e.SQL = query.Source.Error(query.From.At, "no table "+e.Name, e.Hint)
		return Lookup{}, e
	}
	sel, err := tables.CompileSelect(query, view.table)
	return Lookup{view, sel, asked}, err
}

// unknown says that there is no table of that name, and which one may be meant.
func (r *roll) unknown(name string) *UnknownTable {
	e := &UnknownTable{Name: name}
	for _, s := range r.streams {
		if strings.EqualFold(s.Name, name) {
			e.Hint = fmt.Sprintf("%s is a stream: its records are on topic %s", s.Name, s.Topic())
			return e
		}
	}
	var over []string // tables over a feed of that name
	for _, view := range r.sorted {
		if strings.EqualFold(view.table.Feed.Name, name) {
			over = append(over, view.table.Name)
		}
	}
	switch near := sql.DidYouMean(name, r.names()); {
	case len(over) > 0:
		e.Hint = fmt.Sprintf("%s is a feed, look-ups read tables: %s", name, strings.Join(over, ", "))
	case near != "":
		e.Hint = near
	case len(r.sorted) > 0 && len(r.sorted) <= 20:
		e.Hint = "the tables are " + strings.Join(r.names(), ", ")
	}
	return e
}

// cache keeps values by text, up to a number. It is safe for concurrent use; the zero value is ready.
type cache[V any] struct {
	mu sync.RWMutex // guards of
	of map[string]V
}

const (
	cacheEntries = 512
	cacheText    = 8 << 10 // bytes of the longest text that is kept
)

func (c *cache[V]) get(text string) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.of[text]
	return v, ok
}

// put keeps v unless there is one by now, and returns the one that is kept: all who come at once have the same.
func (c *cache[V]) put(text string, v V) V {
	if len(text) > cacheText {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.of[text]; ok {
		return first
	}
	if c.of == nil {
		c.of = map[string]V{}
	}
	for old := range c.of {
		if len(c.of) < cacheEntries {
			break
		}
		delete(c.of, old) // any: who asks always the same is soon back, who does not gains nothing
	}
	c.of[text] = v
	return v
}
