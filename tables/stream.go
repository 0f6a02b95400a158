package tables

import (
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Stream is a compiled CREATE STREAM: every record that passes WHERE, typed and projected. It has no groups and keeps no
// state. It is never changed and safe for concurrent use; what is computed with it lives in [Projector].
type Stream struct {
	Definition // the column that WITH (key = ..) names is its Key

	query *sql.Select // as it was written, with the feed's names
	plan  *plan
	key   int // position of that column, -1: none
}

// CompileStream compiles one CREATE STREAM. It writes the statement's names as the feed spells them. Errors are *sql.Error.
func CompileStream(stmt *sql.CreateStream, resolve Resolve) (*Stream, error) {
	q := stmt.Query
	if err := checkStreamClauses(q); err != nil {
		return nil, err
	}
	d, err := begin(KindStream, stmt.Source, stmt.Name, stmt.With, q.From, resolve)
	if err != nil {
		return nil, err
	}
	expanded, err := builtInStar(q, d.Feed)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(expanded, d.Feed, true, nil)
	if err != nil {
		return nil, err
	}
	if err := p.checkNames(d.Options.Format); err != nil {
		return nil, err
	}
	s := &Stream{Definition: *d, query: q, plan: p, key: -1}
	for _, it := range p.items {
		s.Columns = append(s.Columns, it.column)
	}
	if err := s.findKey(stmt); err != nil {
		return nil, err
	}
	s.Inputs, s.SQL = p.inputs, sql.Format(stmt)
	return s, nil
}

// builtInStar returns q with the feed's built-in columns in place of *. Columns that were found in records do not count: what
// is found differs from one start to the next, and the stream's records must not.
func builtInStar(q *sql.Select, feed *feeds.Feed) (*sql.Select, error) {
	out := *q
	out.Items = nil
	for _, it := range q.Items {
		if _, star := it.Expr.(*sql.Star); !star || it.As != nil {
			out.Items = append(out.Items, it)
			continue
		}
		builtIn, ok := feeds.Lookup(feed.Name)
		if !ok {
			return nil, q.Source.Error(it.Expr.Pos(), "* is not possible over "+feed.Name+", which is not built in", "name the columns: those that its records have today may be others tomorrow")
		}
		for _, c := range builtIn.Columns {
			out.Items = append(out.Items, sql.Item{Expr: &sql.Column{Name: sql.Name{At: it.Expr.Pos(), Text: c.Name}}})
		}
	}
	return &out, nil
}

// findKey finds the column that the option key names, and writes its name as the result has it.
func (s *Stream) findKey(stmt *sql.CreateStream) error {
	at := slices.IndexFunc(stmt.With, func(o sql.Option) bool { return strings.EqualFold(o.Name.Text, "key") })
	if at < 0 {
		return nil
	}
	quoted := true
	if c, ok := stmt.With[at].Value.(*sql.Column); ok {
		quoted = c.Quoted
	}
	want := s.Options.Key
	s.key = slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == want })
	if s.key < 0 && !quoted {
		s.key = slices.IndexFunc(s.Columns, func(c Column) bool { return strings.EqualFold(c.Name, want) })
	}
	if s.key < 0 {
		var names []string
		for _, c := range s.Columns {
			names = append(names, c.Name)
		}
		hint := sql.DidYouMean(want, names)
		if hint == "" {
			hint = "add it to SELECT"
		}
		return stmt.Source.Error(stmt.With[at].Value.Pos(), "the key "+want+" is not a column of the stream", hint)
	}
	c := &s.Columns[s.key]
	c.Key, s.Options.Key = true, c.Name
	stmt.With[at].Value = &sql.Column{Name: sql.Name{At: stmt.With[at].Value.Pos(), Text: c.Name}}
	return nil
}

// keyOption reads the option key: a column's name, or a 'string' of it.
func keyOption(kind Kind, src *sql.Source, opt sql.Option) (string, error) {
	if kind != KindStream {
		return "", src.Error(opt.Name.At, "the option key belongs to streams", "a table's key is its group columns")
	}
	switch v := opt.Value.(type) {
	case *sql.Column:
		return v.Text, nil
	case *sql.String:
		return v.Value, nil
	}
	return "", src.Error(opt.Value.Pos(), "key must be a column of the stream", "")
}

// checkStreamClauses refuses what a stream's query cannot have.
func checkStreamClauses(q *sql.Select) error {
	const stateless = "a stream looks at each record by itself"
	refuse := func(at sql.Pos, what, hint string) error {
		return q.Source.Error(at, what+" does not belong in a stream", hint)
	}
	for _, it := range q.Items {
		if star, ok := it.Expr.(*sql.Star); ok && star.Of != nil {
			return q.Source.Error(star.At, "a feed's name does not stand before *", "write * alone")
		}
	}
	switch {
	case q.FromAs != nil:
		return noAlias(q)
	case q.Distinct != nil:
		return refuse(q.Distinct.At, "SELECT DISTINCT", stateless+"; CREATE TABLE with GROUP BY has each combination once")
	case q.Window != nil:
		return refuse(q.Window.At, "WINDOW", stateless+"; CREATE TABLE has windows")
	case len(q.GroupBy) > 0:
		return refuse(q.GroupByAt, "GROUP BY", stateless+"; CREATE TABLE groups them")
	case q.Having != nil:
		return refuse(q.HavingAt, "HAVING", "write the condition in WHERE")
	case q.Emit != nil && q.Emit.Final:
		return refuse(q.Emit.At, "EMIT FINAL", "its records never change; leave it out")
	case q.TTL != nil:
		return refuse(q.TTLAt, "TTL", "how long its records stay is the topic's retention")
	case q.MaxGroups != nil:
		return refuse(q.MaxGroups.At, "MAX GROUPS", "it has no groups")
	case len(q.OrderBy) > 0:
		return refuse(q.OrderByAt, "ORDER BY", "records are written as they come")
	case q.Limit != nil:
		return refuse(q.Limit.Pos(), "LIMIT", "it has no end")
	case q.Offset != nil:
		return refuse(q.Offset.Pos(), "OFFSET", "it has no end")
	}
	for _, it := range q.Items {
		var found *sql.Call
		sql.Walk(it.Expr, func(e sql.Expr) bool {
			if call, ok := e.(*sql.Call); ok && aggregates[call.Name] != nil && found == nil {
				found = call
			}
			return found == nil
		})
		if found != nil {
			return refuse(found.At, "the aggregate "+sql.Format(found), stateless+"; CREATE TABLE adds them up")
		}
	}
	return nil
}

// Projector makes a stream's records of a feed's. It belongs to one goroutine.
type Projector struct {
	where cond // nil: every record
	rows  *unnester
	items []eval
	key   int
	env   env
	row   []feeds.Value
	cut   int64
	bytes []byte // room for measuring a key
}

// NewProjector returns a Projector for records of the layout. It returns an error when the layout lacks one of the stream's
// inputs or has it with another type.
func (s *Stream) NewProjector(layout *feeds.Layout) (*Projector, error) {
	slots, err := s.slots(layout)
	if err != nil {
		return nil, err
	}
	p := &Projector{rows: s.plan.newUnnester(slots), key: s.key}
	if s.plan.where != nil {
		p.where = s.plan.where.bindCond(slots)
	}
	for _, it := range s.plan.items {
		x := it.expr
		if p.rows != nil && findUnnest(it.at) == nil {
			x = x.once()
		}
		p.items = append(p.items, x.eval(slots))
	}
	return p, nil
}

// Emit takes one record of a stream. key is the key column's value, cut if it is over 1 KiB; NULL where the stream has no
// key column. Both are valid until it returns. more says that it takes further rows of the same record.
type Emit func(key feeds.Value, row []feeds.Value) (more bool)

// Project gives emit what the stream has of rec: nothing, one row, or a row an element where it unnests. Rows that emit does
// not take are counted as an overflow. It allocates nothing but what expressions make. BenchmarkProject measures it.
func (p *Projector) Project(rec *feeds.Record, emit Emit) Outcome {
	p.env.vals = rec.Values
	if p.where != nil && p.where(&p.env) != yes {
		return Filtered
	}
	n := p.rows.open(&p.env)
	if n == 0 {
		return Filtered
	}
	for i := range n {
		p.rows.row(&p.env, i)
		if !p.project(emit) && i < n-1 {
			p.env.overflows++
			break
		}
	}
	return Counted
}

func (p *Projector) project(emit Emit) (more bool) {
	p.row = p.row[:0]
	for _, value := range p.items {
		p.row = append(p.row, value(&p.env))
	}
	key := feeds.NullValue
	if p.key >= 0 {
		key = p.fit(p.row[p.key])
	}
	return emit(key, p.row)
}

// fit cuts a key's value as those of groups are cut.
func (p *Projector) fit(v feeds.Value) feeds.Value {
	switch v.Kind() {
	case feeds.String:
		if len(v.Str()) <= maxKeyPart {
			return v
		}
		p.cut++
		return cutString(v.Str())
	case feeds.Array:
		if p.bytes = v.AppendKey(p.bytes[:0]); len(p.bytes) <= maxKeyPart {
			return v
		}
		p.cut++
		return cutArray(v)
	}
	return v
}

// TakeOverflows returns how many expressions had no value since the last call, as [Combiner.Overflows].
func (p *Projector) TakeOverflows() (n int64) {
	n, p.env.overflows = p.env.overflows, 0
	return n
}

// TakeCutKeys returns how many keys were over 1 KiB and were cut since the last call.
func (p *Projector) TakeCutKeys() (n int64) {
	n, p.cut = p.cut, 0
	return n
}

// HasKey reports whether the stream's records have a column as their key, not the source record's place.
func (s *Stream) HasKey() bool { return s.key >= 0 }
