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
	if t.Window != nil && t.Window.Kind == tables.Session && t.IsFinal() {
		return c.finalSessions(p, recounted, have, clock)
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
// late, and one that is unnested is late once: then it cannot be told.
func (c *comparison) balance(p int32, l ledger, others tables.State, late int64) {
	t := c.run.table
	if t.Window.Kind != tables.Tumbling || t.Unnests() {
		return
	}
	has := late
	if others.W != nil {
		has += t.RecordsIn(others)
	}
	// Of windows that are not kept any more both have had some.
	if without := l.missing + l.late; without > has || without < has && t.Keeps() {
		c.out.Counts = append(c.out.Counts, CountDifference{codecs.Source{Topic: c.run.c.Kafka.ChangelogTopic(c.run.c.Entry.Own()), Partition: p},
			"late, or above MAX GROUPS", without, has})
	}
}

// finalSessions compares sessions that close: what comes later within the gap of one that has closed is a session of its own, which the
// recount does not know. A group has as many records all the same.
func (c *comparison) finalSessions(p int32, recounted, have *tables.Groups, clock int64) error {
	t := c.run.table
	type split struct{ recounted, has int64 }
	groups, keys := map[string]*split{}, map[string]string{} // and one key of each
	note := func(key string, ended tables.Ended) *split {
		if groups[ended.Group] == nil {
			groups[ended.Group], keys[ended.Group] = &split{}, key
		}
		return groups[ended.Group]
	}
	gone := map[string]bool{} // groups of which parts may be gone
	for key, want := range recounted.All() {
		ended, err := t.Ended(key, clock)
		if err != nil {
			return err
		}
		state, there := have.Get([]byte(key))
		switch {
		case ended.Gone:
			gone[ended.Group] = true
			c.out.Left++
		case there:
			err = c.rows(p, key, want, state)
		default:
			note(key, ended).recounted += t.RecordsIn(want)
			gone[ended.Group] = gone[ended.Group] || ended.Part
		}
		if err != nil {
			return err
		}
	}
	for key, state := range have.All() {
		if _, there := recounted.Get([]byte(key)); there || tables.IsOther(key) {
			continue
		}
		ended, err := t.Ended(key, clock)
		if err != nil {
			return err
		}
		note(key, ended).has += t.RecordsIn(state)
	}
	for group, of := range groups {
		if of.recounted == of.has || gone[group] {
			c.out.Left++
			continue
		}
		if err := c.differ(p, keys[group], "", fmt.Sprint(of.recounted, " records"), fmt.Sprint(of.has, " records")); err != nil {
			return err
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
