package tables_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// committing is stage 2 as a test drives it: commits of visits, each with where the clock stands then.
type committing struct {
	t       *rapid.T
	table   *tables.Table
	layout  *feeds.Layout
	combine *tables.Combiner
	rows    *tables.Groups
	updater *tables.Updater
	clock   int64

	written map[string][]string // the result topic: all values of each key; "" is a tombstone
}

func newCommitting(t *rapid.T, table *tables.Table) *committing {
	layout, err := tables.LayoutOf(table)
	if err != nil {
		t.Fatal(err)
	}
	c := &committing{t: t, table: table, layout: layout, rows: table.NewGroups(), clock: tables.NoClock, written: map[string][]string{}}
	if c.combine, err = table.NewCombiner(layout); err != nil {
		t.Fatal(err)
	}
	c.restart()
	return c
}

// restart makes the updater anew from the rows.
func (c *committing) restart() {
	var err error
	if c.updater, err = c.table.NewUpdater(c.rows, c.clock); err != nil {
		c.t.Fatal(err)
	}
}

func (c *committing) changed(change tables.Change) error {
	key := strings.TrimSpace(show1(c.t, c.table, change.Key))
	last := ""
	if all := c.written[key]; len(all) > 0 {
		last = all[len(all)-1]
	}
	if (last != "") != change.WasShown {
		c.t.Fatalf("row %s: the result has %q, the change says %v", key, last, change.WasShown)
	}
	switch {
	case change.Settled || !change.Shown && !change.WasShown:
	case !change.Shown:
		c.written[key] = append(c.written[key], "")
	default:
		row, err := c.table.Row(change.Key, change.State, nil)
		if err != nil {
			return err
		}
		c.written[key] = append(c.written[key], strings.TrimSpace(show([][]feeds.Value{row})))
	}
	return nil
}

// commit adds visits, all of which are of one commit, and returns how many came too late, and whether rows are left whose time has come.
func (c *committing) commit(all []visit, clock int64, most int) (late int64, left bool) {
	rec := feeds.Record{Values: make([]feeds.Value, len(c.layout.Columns))}
	for _, v := range all {
		for i, column := range c.layout.Columns {
			rec.Values[i] = map[string]feeds.Value{
				"ts": feeds.TimestampValue(v.micros), "host": feeds.StringValue(v.host), "bytes": feeds.BigintValue(v.bytes),
			}[column.Name]
		}
		c.combine.Add(&rec)
	}
	partial := c.table.NewState()
	judged := c.clock
	c.clock = max(c.clock, clock)
	c.updater.Begin(c.clock, c.clock)
	for key, state := range c.combine.Partials() {
		for part := range c.table.Parts(state) {
			if _, err := c.table.ReadState(c.table.AppendState(nil, part), partial); err != nil {
				c.t.Fatal(err)
			}
			n, _, err := c.table.Late(key, partial, judged)
			if err != nil {
				c.t.Fatal(err)
			}
			tooLate, err := c.updater.Add(key, partial, c.changed)
			if err != nil {
				c.t.Fatal(err)
			}
			if tooLate {
				late += n
			}
		}
	}
	c.combine.Reset()
	if err := c.updater.Flush(c.changed); err != nil {
		c.t.Fatal(err)
	}
	left, err := c.updater.Expire(most, c.changed)
	if err != nil {
		c.t.Fatal(err)
	}
	return late, left
}

func (c *committing) shown() (rows []string) {
	for key, state := range c.rows.All() {
		ok, err := c.table.Shows(key, state)
		if err != nil {
			c.t.Fatal(err)
		}
		if ok {
			row, err := c.table.Row(key, state, nil)
			if err != nil {
				c.t.Fatal(err)
			}
			rows = append(rows, strings.TrimSpace(show([][]feeds.Value{row})))
		}
	}
	slices.Sort(rows)
	return rows
}

// TestWindowsCloseOnce holds EMIT FINAL and RETENTION against a model of a few lines, whatever comes when, however little is done in a
// commit, and however often stage 2 starts anew.
func TestWindowsCloseOnce(t *testing.T) {
	table := compileVisits(t, `CREATE TABLE t AS SELECT window_start, host, count(*) AS n, sum(bytes) AS b, count(DISTINCT bytes) AS d, late FROM visits
		WINDOW TUMBLING (SIZE 10 SECONDS, GRACE 5 SECONDS, RETENTION 20 SECONDS) GROUP BY host EMIT FINAL`)
	table.LimitDistinct(100, 1) // its values come in partials of their own, which are of no record
	type window struct {
		start int64
		host  string
	}
	type held struct {
		n, b, late int64
		values     map[int64]bool
	}
	rapid.Check(t, func(t *rapid.T) {
		c := newCommitting(t, table)
		model, final, everWritten := map[window]*held{}, map[window]string{}, map[window]bool{}
		clock, late, want := int64(tables.NoClock), int64(0), int64(0)
		for range rapid.IntRange(1, 12).Draw(t, "commits") {
			all := drawVisits(t)
			next := max(clock, rapid.Int64Range(-60, 90).Draw(t, "clock")*1e6)
			n, left := c.commit(all, next, rapid.IntRange(1, 3).Draw(t, "most"))
			late += n
			for _, v := range all {
				start := (v.micros+1e9)/1e7*1e7 - 1e9
				w := window{start, v.host}
				h := model[w]
				if start+15e6 <= clock {
					want++
					if h != nil {
						h.late++
					}
					continue
				}
				if h == nil {
					h = &held{values: map[int64]bool{}}
					model[w] = h
				}
				h.n, h.b, h.values[v.bytes] = h.n+1, h.b+v.bytes, true
			}
			clock = next
			for left { // what is left is done whenever nothing comes
				if rapid.Bool().Draw(t, "restart") {
					c.restart()
				}
				_, left = c.commit(nil, clock, 2)
			}
			if rapid.Bool().Draw(t, "restart") {
				c.restart()
			}
			var rows []string
			for w, h := range model {
				text := fmt.Sprintf("%s  '%s'  %d  %d  %d", feeds.TimestampValue(w.start), w.host, h.n, h.b, len(h.values))
				if w.start+15e6 <= clock && !everWritten[w] {
					final[w], everWritten[w] = text+"  0", true
				}
				switch {
				case w.start+30e6 <= clock:
					delete(model, w)
				case w.start+15e6 <= clock:
					rows = append(rows, fmt.Sprintf("%s  %d", text, h.late))
				}
			}
			slices.Sort(rows)
			if diff := cmp.Diff(rows, c.shown()); diff != "" {
				t.Fatalf("rows at %s (-want +got):\n%s", feeds.TimestampValue(clock), diff)
			}
			if c.rows.Len() != len(model) {
				t.Fatalf("%d rows are kept, want %d", c.rows.Len(), len(model))
			}
		}
		if late != want {
			t.Errorf("%d records were late, want %d", late, want)
		}
		if len(c.written) != len(final) {
			t.Errorf("%d windows were written, want %d", len(c.written), len(final))
		}
		for key, all := range c.written {
			if len(all) > 2 || all[0] == "" || len(all) == 2 && all[1] != "" {
				t.Errorf("%s was written as %q", key, all)
			}
		}
		for w, text := range final {
			key := fmt.Sprintf("'%s'  %s", w.host, feeds.TimestampValue(w.start))
			if all := c.written[key]; len(all) == 0 || all[0] != text {
				t.Errorf("%s was written as %q, want %q", key, all, text)
			}
		}
	})
}

// TestRowsGoAfterTheirTTL holds TTL against a model.
func TestRowsGoAfterTheirTTL(t *testing.T) {
	table := compileVisits(t, "CREATE TABLE t AS SELECT host, count(*) AS n FROM visits GROUP BY host HAVING count(*) <> 2 TTL '1024 seconds'")
	rapid.Check(t, func(t *rapid.T) {
		c := newCommitting(t, table)
		type held struct{ n, changed int64 }
		model, clock := map[string]*held{}, int64(tables.NoClock)
		for range rapid.IntRange(1, 15).Draw(t, "commits") {
			all := drawVisits(t)
			clock = max(clock, rapid.Int64Range(-10, 9).Draw(t, "clock")*400e6)
			_, left := c.commit(all, clock, rapid.IntRange(1, 3).Draw(t, "most"))
			for left {
				_, left = c.commit(nil, clock, 1)
			}
			for _, v := range all {
				if model[v.host] == nil {
					model[v.host] = &held{}
				}
				model[v.host].n++
				model[v.host].changed = clock
			}
			if rapid.Bool().Draw(t, "restart") {
				c.restart()
			}
			var rows []string
			for host, h := range model {
				if clock >= h.changed+1024e6 {
					delete(model, host)
				} else if h.n != 2 {
					rows = append(rows, fmt.Sprintf("'%s'  %d", host, h.n))
				}
			}
			slices.Sort(rows)
			if diff := cmp.Diff(rows, c.shown()); diff != "" {
				t.Fatalf("rows at %s (-want +got):\n%s", feeds.TimestampValue(clock), diff)
			}
			if c.rows.Len() != len(model) {
				t.Fatalf("%d rows are kept, want %d", c.rows.Len(), len(model))
			}
			live := 0
			for _, all := range c.written {
				if all[len(all)-1] != "" {
					live++
				}
			}
			if live != len(rows) {
				t.Fatalf("the result has %d rows, want %d", live, len(rows))
			}
		}
	})
}

// valueRecords are the records of values that a changelog has.
type valueRecords map[string]struct {
	key    string
	number int
	value  string
}

func (l valueRecords) attach(u *tables.Updater) {
	name := func(key []byte, number int, value []byte) string { return fmt.Sprintf("%q %d %q", key, number, value) }
	u.RecordValues(func(key []byte, number int, value []byte) {
		l[name(key, number, value)] = struct {
			key    string
			number int
			value  string
		}{string(key), number, string(value)}
	}, func(tables.Leftover) {})
	u.RecordRemoved(func(key []byte, number int, value []byte) { delete(l, name(key, number, value)) })
}

// recover reads rows and values as stage 2 does after a restart.
func (l valueRecords) recover(table *tables.Table, rows *tables.Groups) error {
	again := table.NewGroups()
	for key, s := range rows.All() {
		to, _ := again.Upsert([]byte(key))
		if _, err := table.ReadRow(table.AppendRow(nil, s), to); err != nil {
			return err
		}
	}
	v, err := table.NewValues(again, nil)
	if err != nil {
		return err
	}
	for _, r := range l {
		if err := v.Set([]byte(r.key), r.number, []byte(r.value), true); err != nil {
			return err
		}
	}
	_, err = v.Return(again)
	return err
}

// TestSessionsHaveValuesOfTheirOwn: one that begins where another one began that has closed does not share its values' records.
func TestSessionsHaveValuesOfTheirOwn(t *testing.T) {
	table := compileVisits(t, `CREATE TABLE t AS SELECT window_start, window_end, host, count(*) AS n, count(DISTINCT bytes) AS d FROM visits
		WINDOW SESSION (GAP 5 SECONDS, RETENTION 20 SECONDS) GROUP BY host EMIT FINAL`)
	rapid.Check(t, func(rt *rapid.T) {
		c := newCommitting(rt, table)
		values := valueRecords{}
		values.attach(c.updater)
		c.commit([]visit{{0, "a", 1}, {3e6, "a", 2}}, 0, 100)
		c.commit(nil, 9e6, 100) // it has closed at 8 s
		// The sensor sends its log again, which goes on.
		late, _ := c.commit([]visit{{0, "a", 1}, {3e6, "a", 2}, {7e6, "a", 3}, {11e6, "a", 4}}, 9e6, 100)
		if late != 0 || len(values) != 6 {
			rt.Errorf("%d late, records of %d values, want 2 and 4", late, len(values))
		}
		if err := values.recover(table, c.rows); err != nil {
			rt.Errorf("a restart fails: %v", err)
		}
		c.commit(nil, 30e6, 100) // the first one goes
		if err := values.recover(table, c.rows); err != nil || len(values) != 4 {
			rt.Errorf("a restart fails: %v; records of %d values", err, len(values))
		}
	})
}

// TestWhatIsWithinTheGapOfAnOpenSessionIsNotLate, however old it is by itself.
func TestWhatIsWithinTheGapOfAnOpenSessionIsNotLate(t *testing.T) {
	for _, definition := range []string{
		`CREATE TABLE t AS SELECT window_start, window_end, host, count(*) AS n FROM visits WINDOW SESSION (GAP 5 SECONDS) GROUP BY host EMIT FINAL`,
		`CREATE TABLE t AS SELECT window_start, window_end, host, count(*) AS n FROM visits WINDOW SESSION (GAP 5 SECONDS, RETENTION 1 SECOND) GROUP BY host`,
	} {
		table := compileVisits(t, definition)
		rapid.Check(t, func(rt *rapid.T) {
			c := newCommitting(rt, table)
			c.commit([]visit{{0, "a", 1}, {4e6, "a", 1}, {8e6, "a", 1}, {12e6, "a", 1}}, 12e6, 100)
			if late, _ := c.commit([]visit{{4e6, "a", 1}}, 12e6, 100); late != 0 {
				rt.Errorf("%s: %d late, of a session that is open until 17 s", definition, late)
			}
			if late, _ := c.commit([]visit{{-10e6, "a", 1}, {4e6, "b", 1}}, 12e6, 100); late != 2 {
				rt.Errorf("%s: %d late, want those of no session", definition, late)
			}
			if !table.IsFinal() {
				return
			}
			c.commit(nil, 18e6, 100)
			if late, _ := c.commit([]visit{{11e6, "a", 1}}, 18e6, 100); late != 1 {
				rt.Errorf("%d late, of a session that has closed", late)
			}
			if rows := c.shown(); len(rows) != 1 || !strings.HasSuffix(rows[0], " 5") {
				rt.Errorf("rows %v, want one of five records", rows)
			}
		})
	}
}

// TestALateRecordIsOne, however many rows it is unnested into.
func TestALateRecordIsOne(t *testing.T) {
	feed := &feeds.Feed{Name: "visits", Columns: []feeds.Column{{Name: "ts", Type: feeds.T(feeds.Timestamp)}, {Name: "names", Type: feeds.ArrayOf(feeds.String)}}}
	all, err := tables.CompileFile("t.sql", `CREATE TABLE t AS SELECT window_start, unnest(names) AS name, count(*) AS n, late FROM visits
		WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY name EMIT FINAL`, func(string) (*feeds.Feed, bool) { return feed, true })
	if err != nil {
		t.Fatal(err)
	}
	layout, err := tables.LayoutOf(all[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := all[0].NewCombiner(layout)
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{"x", "y", "z"}, {"y"}} {
		rec := feeds.Record{Values: make([]feeds.Value, len(layout.Columns))}
		for i, column := range layout.Columns {
			rec.Values[i] = feeds.TimestampValue(0)
			if column.Name == "names" {
				var list []feeds.Value
				for _, name := range names {
					list = append(list, feeds.StringValue(name))
				}
				rec.Values[i] = feeds.ArrayValue(list)
			}
		}
		if c.Add(&rec) != tables.Counted {
			t.Fatal("it is not counted")
		}
	}
	var late int64
	for key, state := range c.Partials() {
		n, tooLate, err := all[0].Late(key, state, 100e6)
		if err != nil || !tooLate {
			t.Fatal(tooLate, err)
		}
		late += n
	}
	if late != 2 {
		t.Errorf("%d records are late, want 2", late)
	}
}
