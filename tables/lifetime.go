package tables

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// The clock of a table is event time: how far its source has come, in microseconds since the Unix epoch. It never goes back.
const (
	NoClock   = math.MinInt64 // nothing is known of it yet
	EndOfTime = math.MaxInt64 // nothing comes any more
)

// lateColumn is the column of tables with EMIT FINAL that says how many records came too late for their window.
const lateColumn = "late"

// lifetime is when rows of a table close and when they go: EMIT FINAL, RETENTION and TTL. A nil one is that of tables whose rows
// stay, and change whenever something comes.
type lifetime struct {
	window    *window // nil: TTL
	final     bool    // a window is shown when it has closed, its GRACE after its end, and does not change any more
	grace     int64   // all in microseconds
	retention int64   // after a window's end; 0: it stays
	ttl       int64   // after a row's last change
	grain     int64   // times are rounded up to multiples of it, so that what is due about the same time is due at once

	counted *aggregate // how many records a row or a partial has; nil with TTL
	whole   *aggregate // the same, but that a record which is unnested is in the first of its rows alone
	closed  *closing   // nil without EMIT FINAL
	changed *stamp     // nil without TTL
}

// mostInterval bounds the lengths of time in a definition.
const mostInterval = 100 * 365 * 24 * time.Hour

// grains is how many different times at which rows can be due there are in the length of time after which they are.
const grains = 1024

// compileLifetime compiles EMIT FINAL, TTL, and what WINDOW says of the time after it. It comes between the groups and the items.
func (p *plan) compileLifetime(q *sql.Select) error {
	l := &lifetime{window: p.window, final: q.Emit != nil && q.Emit.Final, grain: 1}
	if q.TTL != nil {
		if err := p.compileTTL(q, l); err != nil {
			return err
		}
	}
	if w := p.window; w != nil {
		l.grace, l.retention = w.Grace.Microseconds(), w.Retention.Microseconds()
		if w.Kind == Session {
			l.grain = max(1, w.Gap.Microseconds()/grains)
		}
	} else if l.final {
		return p.src.Error(q.Emit.At, "EMIT FINAL needs a WINDOW: without one there is no end at which a row is final", "leave it out, or divide the groups by time: WINDOW TUMBLING (SIZE 1 HOUR)")
	}
	if !l.final && l.retention == 0 && l.ttl == 0 {
		return nil
	}
	if l.window != nil {
		// Records that are too late are counted, and a partial may be any number of them.
		call := &sql.Call{Name: "count", Star: true}
		if _, _, err := p.aggregateColumn(call); err != nil {
			return err
		}
		l.counted = p.aggregates[p.aggregateOf(sql.Format(call))]
		if l.whole = l.counted; len(p.unnests) > 0 {
			l.whole = &aggregate{text: "records", spec: &aggregateSpec{room: roomForCount, kernel: func(_ argument, c *cell) (kernel, feeds.Type, bool) {
				return wholeRecords{counter{*c}}, feeds.T(feeds.Bigint), true
			}}, typ: feeds.T(feeds.Bigint)}
			p.store(l.whole)
		}
	}
	switch {
	case l.final:
		p.store(&aggregate{text: lateColumn, spec: &aggregateSpec{ofRow: true, room: roomForCount, kernel: func(_ argument, c *cell) (kernel, feeds.Type, bool) {
			l.closed = &closing{*c}
			return *l.closed, feeds.T(feeds.Bigint), true
		}}, typ: feeds.T(feeds.Bigint)})
	case l.ttl > 0:
		p.store(&aggregate{text: "last change", spec: &aggregateSpec{ofRow: true, room: roomForCount, kernel: func(_ argument, c *cell) (kernel, feeds.Type, bool) {
			l.changed = &stamp{*c}
			return *l.changed, feeds.T(feeds.Timestamp), true
		}}, typ: feeds.T(feeds.Timestamp)})
	}
	p.lifetime = l
	return nil
}

func roomForCount(feeds.Type) (words, extras, flags int) { return 1, 0, 1 }

func (p *plan) compileTTL(q *sql.Select, l *lifetime) error {
	fail := func(msg, hint string) error { return p.src.Error(q.TTLAt, msg, hint) }
	seconds, why := parseInterval(q.TTL.Value)
	switch {
	case p.window != nil:
		return fail("TTL does not go with WINDOW: how long its rows stay is the window's RETENTION", fmt.Sprintf("write WINDOW %s (.., RETENTION %s)", p.window.Kind, quoted(q.TTL.Value)))
	case len(q.GroupBy) == 0:
		return fail("TTL needs GROUP BY: without one the table has a single row, which stays", "leave it out")
	case why != "":
	case seconds <= 0:
		why = "it must be more than nothing"
	case seconds > mostInterval.Seconds():
		why = "100 years are the most"
	}
	if why != "" {
		return p.src.Error(q.TTL.At, fmt.Sprintf("TTL %s: %s", quoted(q.TTL.Value), why), "lengths of time are written '30 days' or '90 seconds'")
	}
	if ts, ok := p.resolve(sql.Name{Text: "ts"}); !ok || ts.Type.Kind != feeds.Timestamp {
		return fail("feed "+p.feed.Name+" has no ts to tell by how old a row is", "leave it out")
	}
	l.ttl = time.Duration(seconds * 1e9).Round(time.Microsecond).Microseconds()
	l.grain = max(1, l.ttl/grains)
	return nil
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// isLateColumn reports whether an expression is the column of that name, and not one of the feed's.
func (p *plan) isLateColumn(e sql.Expr) bool {
	c, ok := e.(*sql.Column)
	if !ok || p.window == nil || c.Text != lateColumn {
		return false
	}
	_, ofFeed := p.resolve(c.Name)
	return !ofFeed
}

// late is that column.
func (p *plan) late(s *scope, e sql.Expr) (x *expr, ok bool, err error) {
	switch {
	case !p.isLateColumn(e):
		return nil, false, nil
	case p.lifetime == nil || !p.lifetime.final:
		return nil, false, s.errorf(e, "without it what comes late corrects its window", "late is a column of windows with EMIT FINAL")
	}
	return columnExpr(len(p.groups)+p.aggregateOf(lateColumn), feeds.T(feeds.Bigint), lateColumn), true, nil
}

// noLate refuses late in HAVING: a window that was shown stays, and more may come late.
func (p *plan) noLate(s *scope, having sql.Expr) (err error) {
	sql.Walk(having, func(e sql.Expr) bool {
		if err == nil && p.isLateColumn(e) {
			err = s.errorf(e, "leave it to look-ups: SELECT .. WHERE late = 0", "late cannot decide in HAVING which windows are shown: it goes on when they are")
		}
		return err == nil
	})
	return err
}

// HasClock reports whether what becomes of the table's rows depends on how far its source has come: EMIT FINAL, RETENTION, TTL.
func (t *Table) HasClock() bool { return t.plan.lifetime != nil }

// HasOwnTime reports whether that is told by another time than the feed's ts, see [Combiner.EventTime].
func (t *Table) HasOwnTime() bool {
	w := t.plan.window
	if t.plan.lifetime == nil || w == nil || w.time.column < 0 {
		return t.plan.lifetime != nil && w != nil
	}
	return t.plan.inputs[w.time.column].Name != "ts"
}

// IsFinal reports whether rows are shown only when their window has closed: EMIT FINAL.
func (t *Table) IsFinal() bool { return t.plan.lifetime != nil && t.plan.lifetime.final }

// Late reports whether a partial comes too late for all its windows when the clock stands there: these have closed, or are not kept any
// more; and how many records it is of, which may be none: see [Table.Parts]. A session is judged by the partial's own bounds: it may yet be
// within the gap of one that is open, which [Updater.Add] finds out. It returns an error when key is not one of a partial of
// the table.
func (t *Table) Late(key string, partial State, clock int64) (records int64, late bool, err error) {
	l := t.plan.lifetime
	if l == nil || l.window == nil {
		return 0, false, nil
	}
	_, start, end, err := t.plan.cutWindow(key)
	if err != nil || !l.isLate(start, end, clock) {
		return 0, false, err
	}
	return l.records(partial), true, nil
}

// records returns how many records a state is of; of those that are unnested, those whose first row is in it, so that states of all rows
// add up to the records.
func (l *lifetime) records(s State) int64 { return int64(s.W[l.whole.cell.w]) }

// rows returns how many rows of records a state is of: the records, where nothing is unnested.
func (l *lifetime) rows(s State) int64 { return int64(s.W[l.counted.cell.w]) }

// after returns the time a length after another one, as rows are due.
func (l *lifetime) after(micros, length int64) int64 {
	if micros >= EndOfTime-length-l.grain {
		return EndOfTime - 1
	}
	micros += length
	if rest := micros % l.grain; rest > 0 {
		micros += l.grain - rest
	}
	return micros
}

// end returns when a window is over: from then on no record is in it. A session is over when none could make it longer.
func (l *lifetime) end(start, last int64) int64 {
	if l.window.Kind == Session {
		return last + l.window.Gap.Microseconds()
	}
	return start + l.window.Size.Microseconds()
}

// closes returns when a window of a table with EMIT FINAL closes.
func (l *lifetime) closes(start, last int64) int64 { return l.after(l.end(start, last), l.grace) }

// goes returns when a window is not kept any more; never: it stays.
func (l *lifetime) goes(start, last int64) (at int64, ever bool) {
	return l.after(l.end(start, last), l.retention), l.retention > 0
}

// describe says what becomes of rows as time goes on.
func (l *lifetime) describe() (d []Detail) {
	if l == nil {
		return nil
	}
	say := func(name, format string, args ...any) {
		d = append(d, Detail{Part: PartLifetime, Name: name, Text: fmt.Sprintf(format, args...)})
	}
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	if l.final {
		say("final", "a window is shown %v after its end, once; what comes later is counted as late", micros(l.grace))
	}
	if l.retention > 0 {
		say("retention", "a window goes %v after its end", micros(l.retention))
	}
	if l.ttl > 0 {
		say("ttl", "a row goes %v after its last change", micros(l.ttl))
	}
	return d
}

// isLate reports whether what comes for a window now comes too late.
func (l *lifetime) isLate(start, last, clock int64) bool {
	if l.final {
		return l.closes(start, last) <= clock
	}
	at, ever := l.goes(start, last)
	return ever && at <= clock
}

// closing is what a row of a table with EMIT FINAL has beside its aggregates: whether its window has closed, and how many records
// came later. Partials have none of it.
type closing struct{ cell }

func (c closing) isClosed(s State) bool           { return c.seen(s) }
func (c closing) close(s State)                   { c.mark(s.W) }
func (c closing) addLate(s State, records int64)  { s.W[c.w] += uint64(records) }
func (c closing) value(s State) feeds.Value       { return feeds.BigintValue(int64(s.W[c.w])) }
func (c closing) append(b []byte, _ State) []byte { return b }

func (c closing) merge(dst, src State) {
	dst.W[c.w] += src.W[c.w]
	dst.W[c.word] |= src.W[c.word] & c.bit
}

func (c closing) read(b []byte, s State) ([]byte, bool)    { return b, !c.seen(s) }
func (c closing) appendRow(b []byte, s State) []byte       { return binary.AppendUvarint(b, s.W[c.w]) }
func (c closing) readRow(b []byte, s State) ([]byte, bool) { return readWord(b, s, c.cell) }
func (c closing) mergeRow(row, delta State, _ site)        { c.merge(row, delta) }
func (c closing) moveRow(to, from State, _ site)           { c.merge(to, from) }

// stamp is what a row of a table with TTL has beside its aggregates: the newest time of all when it was changed last.
type stamp struct{ cell }

func (c stamp) set(s State, micros int64) {
	s.W[c.w] = uint64(micros)
	c.mark(s.W)
}

func (c stamp) get(s State) (micros int64, ok bool) { return int64(s.W[c.w]), c.seen(s) }

func (c stamp) value(s State) feeds.Value {
	if !c.seen(s) {
		return feeds.NullValue
	}
	return feeds.TimestampValue(int64(s.W[c.w]))
}

func (c stamp) append(b []byte, _ State) []byte { return b }

// merge takes nothing over: a row is stamped by whoever changes it.
func (c stamp) merge(_, _ State) {}

func (c stamp) read(b []byte, s State) ([]byte, bool) { return b, !c.seen(s) }
func (c stamp) appendRow(b []byte, s State) []byte    { return binary.AppendVarint(b, int64(s.W[c.w])) }
func (c stamp) mergeRow(_, _ State, _ site)           {}
func (c stamp) moveRow(_, _ State, _ site)            {}
func (c stamp) readRow(b []byte, s State) ([]byte, bool) {
	v, n := binary.Varint(b)
	if n <= 0 {
		return b, false
	}
	s.W[c.w] = uint64(v)
	return b[n:], true
}

func readWord(b []byte, s State, c cell) ([]byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return b, false
	}
	s.W[c.w] = v
	return b[n:], true
}
