package pgwire

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/views/pgwire/pgcatalog"
)

// statement is one that can be run.
type statement struct {
	text    string // of the whole message
	from    int    // where it begins in it
	params  []uint32
	columns []column // nil: it gives no rows
	empty   bool
	ends    bool // it may end a transaction that is aborted
	run     func(ctx context.Context, c *session, params []param) (*answer, error)
}

// answer is what a statement gave.
type answer struct {
	columns []column // nil: no rows
	rows    int
	tag     string
	size    func() int // about how many bytes the rows take
	value   func(b []byte, row, column int, binary bool) (_ []byte, null bool, err error)
}

// completed is the tag of n rows.
func (a *answer) completed(n int) string {
	if a.tag == "SELECT" || a.tag == "FETCH" {
		return a.tag + " " + strconv.Itoa(n)
	}
	return a.tag
}

// allowed says whether a statement may run in the transaction's state.
func (c *session) allowed(s *statement) error {
	if c.transaction == aborted && !s.ends && !s.empty {
		return errAborted
	}
	return nil
}

// prepare finds out what a statement is. given are the parameters' types as far as the client says them; 0: it does not.
func (c *session) prepare(ctx context.Context, p piece, given []uint32) (*statement, error) {
	s := &statement{text: p.text, from: p.from}
	if c.transaction == aborted && !slices.Contains([]string{"commit", "end", "rollback", "abort"}, p.first()) {
		return nil, errAborted
	}
	asks := slices.Contains([]string{"select", "values", "with", ""}, p.first())
	if !p.long() {
		if p.first() == "declare" {
			return s, c.declaring(ctx, p, given, s)
		}
		if done, err := c.command(p, s); done || err != nil {
			return s, err
		}
		if asks && len(p.tokens) > 0 && pgcatalog.Asks(p.tokens) {
			return s, c.question(ctx, p, given, s)
		}
	} else if !asks && p.first() != "explain" {
		return nil, refused("54000", fmt.Sprintf("the statement is longer than %d KiB", maxPiece>>10), "only look-ups may be that long")
	}
	return s, c.lookup(p.text, given, s)
}

// lookup prepares a SELECT over a table.
func (c *session) lookup(text string, given []uint32, s *statement) error {
	l, err := c.server.config.Views.Compile(text)
	if err != nil {
		return err
	}
	columns := columnsOf(l)
	s.columns = wireColumns(columns)
	for n := range l.Select.Params() {
		oid := oidOf(l.Select.ParamType(n + 1))
		if n < len(given) && given[n] != 0 && given[n] != pgtype.UnknownOID {
			oid = given[n]
		}
		s.params = append(s.params, oid)
	}
	s.run = func(ctx context.Context, c *session, params []param) (*answer, error) {
		// Anew, since another definition may answer by now. What was compiled before is kept there.
		l, err := c.server.config.Views.Compile(text)
		if err != nil {
			return nil, err
		}
		if now := columnsOf(l); !slices.Equal(now, columns) {
			return nil, refused("0A000", "cached plan must not change result type", "the table's definition has changed: prepare the statement anew")
		}
		if l.Explain {
			return rowsAnswer(l.View.Explain(l.Select), columns, "EXPLAIN"), nil
		}
		values := make([]feeds.Value, len(params))
		for i, p := range params {
			v, err := p.decode(i+1, c.types())
			if err != nil {
				return nil, err
			}
			if values[i], err = value(v); err != nil {
				return nil, refused("22P03", fmt.Sprintf("parameter $%d: %v", i+1, err), "")
			}
		}
		a, err := l.View.Query(ctx, l.Select, values)
		if err != nil {
			return nil, because(ctx, err)
		}
		c.settings.asOf = a.AsOf
		return rowsAnswer(a, columns, "SELECT"), nil
	}
	return nil
}

// because is why ctx was ended, if that is what an error says.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil && (err == ctx.Err() || err == context.Cause(ctx)) { //nolint:errorlint // the very ones
		return context.Cause(ctx)
	}
	return err
}

func columnsOf(l views.Lookup) []tables.Column {
	if l.Explain {
		return []tables.Column{tables.PlanColumn}
	}
	return l.Select.Columns
}

func wireColumns(columns []tables.Column) []column {
	out := make([]column, len(columns))
	for i, c := range columns {
		out[i] = column{c.Name, oidOf(c.Type)}
	}
	return out
}

func rowsAnswer(a *views.Answer, columns []tables.Column, tag string) *answer {
	return &answer{columns: wireColumns(columns), rows: len(a.Rows), tag: tag, size: func() int { return sizeOfRows(a.Rows) }, value: func(b []byte, row, column int, binary bool) ([]byte, bool, error) {
		return appendValue(b, a.Rows[row][column], columns[column].Type, binary)
	}}
}

// valueBytes is what a value takes beside its text, about.
const valueBytes = 48

func sizeOfRows(rows [][]feeds.Value) int {
	n := 0
	for _, row := range rows {
		for _, v := range row {
			if n += valueBytes; v.Kind() == feeds.String {
				n += len(v.Str())
			} else if v.Kind() == feeds.Array {
				n += sizeOfRows([][]feeds.Value{v.List()})
			}
		}
	}
	return n
}

// textAnswer is one row of texts.
func textAnswer(columns []column, tag string, row ...string) *answer {
	return &answer{columns: columns, rows: 1, tag: tag, size: func() int { return len(row[0]) }, value: func(b []byte, _, column int, _ bool) ([]byte, bool, error) {
		return append(b, harmless(row[column])...), false, nil
	}}
}

// question prepares a SELECT about the catalog.
func (c *session) question(ctx context.Context, p piece, given []uint32, s *statement) error {
	q, err := pgcatalog.ParseTokens(p.tokens)
	if err != nil {
		return err
	}
	// Without values, to learn the columns: nothing is changed by that.
	shape, err := c.asked(ctx, q, false, make([]any, q.Params()))
	if err != nil {
		return err
	}
	s.columns = []column{}
	for _, column_ := range shape.Columns {
		s.columns = append(s.columns, column{column_.Name, column_.OID})
	}
	for n := range q.Params() {
		oid := shape.Params[n]
		if n < len(given) && given[n] != 0 && given[n] != pgtype.UnknownOID {
			oid = given[n]
		}
		s.params = append(s.params, oid)
	}
	s.run = func(ctx context.Context, c *session, params []param) (*answer, error) {
		values := make([]any, len(params))
		for i, p := range params {
			v, err := p.decode(i+1, c.types())
			if err != nil {
				return nil, err
			}
			values[i] = catalogValue(v)
		}
		result, err := c.asked(ctx, q, true, values)
		if err != nil {
			return nil, err
		}
		return &answer{columns: s.columns, rows: len(result.Rows), tag: "SELECT", size: func() int { return result.Bytes }, value: func(b []byte, row, column int, binary bool) ([]byte, bool, error) {
			return c.appendCatalog(b, result.Rows[row][column], s.columns[column].oid, binary)
		}}, nil
	}
	return nil
}

// asked answers a question when it is its turn. changes says that set_config does.
func (c *session) asked(ctx context.Context, q *pgcatalog.Query, changes bool, params []any) (*pgcatalog.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, questionTime, errQuestionTime)
	defer cancel()
	select {
	case c.server.questions <- struct{}{}:
		defer func() { <-c.server.questions }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	result, err := q.Run(ctx, c.catalog(changes), params)
	return result, because(ctx, err)
}

// catalogValue is a decoded parameter as questions about the catalog take it.
func catalogValue(v any) any {
	switch v := v.(type) {
	case nil, bool, int64, float64, string:
		return v
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = catalogValue(e)
		}
		return list
	case time.Time:
		return string(appendTimestamp(nil, v.UnixMicro()))
	}
	return fmt.Sprint(v)
}

// appendCatalog appends a value of an answer about the catalog.
func (c *session) appendCatalog(b []byte, v any, oid uint32, binary bool) ([]byte, bool, error) {
	if v == nil {
		return b, true, nil
	}
	if !binary {
		return append(b, harmless(pgcatalog.Text(v, oid))...), false, nil
	}
	return pgcatalog.AppendBinary(b, v, oid)
}

// types are PostgreSQL's types, of one session: they keep plans.
func (c *session) types() *pgtype.Map {
	if c.typeMap == nil {
		c.typeMap = pgtype.NewMap()
	}
	return c.typeMap
}

// catalog is what questions are asked of now. changes says that set_config does.
func (c *session) catalog(changes bool) *pgcatalog.Database {
	db := &pgcatalog.Database{
		Name: c.database, User: c.user, PID: c.pid, Now: time.Now(),
		Version:  "PostgreSQL " + strings.TrimSpace(serverVersion+" "+c.server.config.Version) + ", read-only tables over Kafka topics",
		Setting:  c.settings.get,
		Settings: c.settings.all,
	}
	if changes {
		db.Set = func(name, value string, local bool) error {
			set := c.settings.set
			if local {
				if c.transaction == outside {
					return nil // the statement is a transaction of its own, which ends
				}
				set = c.settings.setLocal
			}
			if err := set(name, value); err != nil {
				return err
			}
			return nil
		}
	}
	for name, p := range c.portals {
		if name != "" {
			db.Cursors = append(db.Cursors, pgcatalog.Cursor{Name: name, Statement: p.statement.text})
		}
	}
	for _, v := range c.server.config.Views.All() {
		t := pgcatalog.Table{Name: v.Table().Name, Rows: int64(v.Len()), Bytes: int64(v.Bytes())}
		for _, column := range v.Table().Columns {
			t.Columns = append(t.Columns, pgcatalog.Column{Name: column.Name, OID: oidOf(column.Type), Key: column.Key})
		}
		db.Tables = append(db.Tables, t)
	}
	return db
}
