package verify

import (
	"fmt"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// comparison is that of all rows.
type comparison struct {
	run     *portion
	out     *Report
	certain []tables.Certainty
}

// compare compares what was recounted with the table's rows.
func (r *portion) compare(out *Report, f *fold) error {
	c := &comparison{run: r, out: out, certain: r.table.Certainties()}
	for _, p := range r.partitions {
		rows, _ := r.store.Partition(p)
		late := int64(0)
		for _, progress := range rows.Progress() {
			late += progress.Counts.Late
		}
		var err error
		rows.Read(func(have *tables.Groups) { err = c.partition(p, f.rows[p], have, rows.Clock().Time, late) })
		if err != nil {
			return err
		}
	}
	return nil
}

// ledger is what is known of records that are in no row of their own, where rows of a partition need not be there: those that came too
// late, and those of groups above MAX GROUPS. Which of them are which cannot be told, but how many there are can.
type ledger struct {
	missing int64 // of rows that are not there
	late    int64 // that rows say came too late for them
}

// partition compares the rows of one partition, whose clock stands there and which says that so many records were late.
func (c *comparison) partition(p int32, recounted, have *tables.Groups, clock, late int64) error {
	t := c.run.table
	if len(t.Keys()) == 0 && have.Len() > 0 {
		recounted.Upsert(nil) // without GROUP BY there is one row, also over no records
	}
	if t.Window != nil && t.Window.Kind == tables.Session && t.HasWindowsThatEnd() {
		return c.sessionsThatEnd(p, recounted, have, clock)
	}
	// Who has a row, where there is a limit, depends on who came first: what the others have in sum does not.
	others, limited := have.Get([]byte(tables.OtherKey))
	var rest tables.State
	if limited {
		rest = t.NewState()
	}
	var l ledger
	for key, want := range recounted.All() {
		state, there := have.Get([]byte(key))
		ended, err := t.Ended(key, clock)
		records := t.RecordsIn(want)
		switch {
		case err != nil:
			return err
		case ended.Gone: // it may be about to go
			c.out.Left++
		case there && t.LateIn(state) > 0:
			c.out.Left++
			l.late += t.LateIn(state)
			if has := t.RecordsIn(state); has+t.LateIn(state) != records {
				err = c.differ(p, key, "", fmt.Sprint(records, " records"), fmt.Sprint(has, " records, ", t.LateIn(state), " late"))
			}
		case there && limited && !t.Keeps() && t.RecordsIn(state) < records: // it has a row since there was room
			c.out.Left++
			l.missing += records - t.RecordsIn(state)
		case there:
			err = c.rows(p, key, want, state)
		case t.HasWindowsThatEnd() && (ended.Closed || limited):
			c.out.Left++
			l.missing += records
		case limited:
			t.Merge(rest, want)
		default:
			err = c.differ(p, key, "", "a row", "none")
		}
		if err != nil {
			return err
		}
	}
	if t.HasWindowsThatEnd() {
		c.balance(p, l, others, late)
	} else if limited {
		if err := c.rows(p, tables.OtherKey, rest, others); err != nil {
			return err
		}
	}
	for key := range have.All() {
		if _, there := recounted.Get([]byte(key)); !there && !tables.IsOther(key) {
			if err := c.differ(p, key, "", "none", "a row"); err != nil {
				return err
			}
		}
	}
	return nil
}

// balance checks that as many records are in no row of their own as the table says. Late for some of its hopping windows a record is not
// late: then it cannot be told.
func (c *comparison) balance(p int32, l ledger, others tables.State, late int64) {
	t := c.run.table
	if t.Window.Kind != tables.Tumbling {
		return
	}
	has := late
	if others.W != nil {
		has += t.RecordsIn(others)
	}
	without := l.missing + l.late
	wrong := without > has || without < has && t.Keeps() // of windows that are not kept any more both have had some
	if t.Unnests() && has > 0 {
		wrong = false // one that is unnested is late once, and missing in several rows
	}
	if wrong {
		c.out.Counts = append(c.out.Counts, CountDifference{codecs.Source{Topic: c.run.c.Kafka.ChangelogTopic(c.run.c.Entry.Own()), Partition: p},
			"late, or above MAX GROUPS", without, has})
	}
}

// sessionsThatEnd compares sessions that close, or go: what comes later within the gap of such a one is a session of its own, which the
// recount does not know. A group has as many records all the same.
func (c *comparison) sessionsThatEnd(p int32, recounted, have *tables.Groups, clock int64) error {
	t := c.run.table
	type group struct {
		split          bool // its sessions are not those of the recount
		gone           bool // parts of them may be
		recounted, has int64
		key            string // of one of them
	}
	groups := map[string]*group{}
	of := func(key string) (*group, tables.Ended, error) {
		ended, err := t.Ended(key, clock)
		if groups[ended.Group] == nil {
			groups[ended.Group] = &group{key: key}
		}
		return groups[ended.Group], ended, err
	}
	for key := range recounted.All() {
		g, ended, err := of(key)
		if err != nil {
			return err
		}
		_, there := have.Get([]byte(key))
		g.split = g.split || !there && !ended.Gone
		g.gone = g.gone || ended.Gone || ended.Part
	}
	for key := range have.All() {
		g, _, err := of(key)
		if err != nil {
			return err
		}
		_, there := recounted.Get([]byte(key))
		g.split = g.split || !there
	}
	for key, want := range recounted.All() {
		g, ended, err := of(key)
		switch state, there := have.Get([]byte(key)); {
		case err != nil:
		case g.split:
			g.recounted += t.RecordsIn(want)
		case ended.Gone:
			c.out.Left++
		case there:
			err = c.rows(p, key, want, state)
		}
		if err != nil {
			return err
		}
	}
	for key, state := range have.All() {
		g, _, err := of(key)
		if err != nil {
			return err
		}
		if g.split {
			g.has += t.RecordsIn(state)
		}
	}
	for _, g := range groups {
		switch {
		case !g.split:
		case g.recounted == g.has || g.gone && g.has < g.recounted:
			c.out.Left++
		default:
			if err := c.differ(p, g.key, "", fmt.Sprint(g.recounted, " records"), fmt.Sprint(g.has, " records")); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows compares one row.
func (c *comparison) rows(p int32, key string, recounted, have tables.State) error {
	want, err := c.run.table.Row(key, recounted, nil)
	if err != nil {
		return err
	}
	got, err := c.run.table.Row(key, have, nil)
	if err != nil {
		return err
	}
	c.out.Rows++
	for i := range want {
		if !c.certain[i].Agree(want[i], got[i]) {
			return c.differ(p, key, c.run.table.Columns[i].Name, text(want[i]), text(got[i]))
		}
	}
	return nil
}

func (c *comparison) differ(p int32, key, column, recounted, have string) error {
	c.out.Differ++
	if len(c.out.Rest) >= c.run.c.Most {
		return nil
	}
	if tables.IsOther(key) {
		c.out.Rest = append(c.out.Rest, Difference{p, []string{key}, column, recounted, have})
		return nil
	}
	values, err := c.run.table.KeyValues(key, nil)
	if err != nil {
		return err
	}
	d := Difference{Partition: p, Column: column, Recounted: recounted, Table: have}
	for _, v := range values {
		d.Key = append(d.Key, text(v))
	}
	c.out.Rest = append(c.out.Rest, d)
	return nil
}

func text(v feeds.Value) string {
	if v.IsNull() {
		return "NULL"
	}
	return v.String()
}
