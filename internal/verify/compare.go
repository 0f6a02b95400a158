package verify

import (
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// comparison is that of all rows.
type comparison struct {
	run     *Run
	out     *Report
	certain []tables.Certainty
	anyLate bool
}

// compare compares what was recounted with the table's rows.
func (r *Run) compare(out *Report, f *fold, anyLate bool) error {
	c := &comparison{run: r, out: out, certain: r.table.Certainties(), anyLate: anyLate}
	for i, certain := range c.certain {
		if certain == tables.Arrival {
			out.Skipped = append(out.Skipped, r.table.Columns[i].Name)
		}
	}
	for p := range r.c.Entry.Partitions {
		rows, _ := r.store.Partition(p)
		var err error
		rows.Read(func(have *tables.Groups) { err = c.partition(p, f.rows[p], have, rows.Clock().Time) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) partition(p int32, recounted, have *tables.Groups, clock int64) error {
	if len(c.run.table.Keys()) == 0 && have.Len() > 0 {
		recounted.Upsert(nil) // without GROUP BY there is one row, also over no records
	}
	// Who has a row, where there is a limit, depends on who came first: what the others have in sum does not.
	others, limited := have.Get([]byte(tables.OtherKey))
	var rest tables.State
	if limited {
		rest = c.run.table.NewState()
	}
	for key, want := range recounted.All() {
		state, there := have.Get([]byte(key))
		if !there {
			gone, err := c.run.table.MayBeGone(key, clock, c.anyLate)
			switch {
			case err != nil:
				return err
			case gone:
				c.out.Late++
				continue
			case limited:
				c.run.table.Merge(rest, want)
				continue
			}
			if err := c.differ(p, key, "", "a row", "none"); err != nil {
				return err
			}
			continue
		}
		if c.run.table.LateIn(state) > 0 {
			c.out.Late++
			continue
		}
		if err := c.rows(p, key, want, state); err != nil {
			return err
		}
	}
	if limited && !c.run.table.HasClock() { // where rows go, some of the others may have got one since
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
