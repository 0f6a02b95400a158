package grouptable

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// peers counts up to five values exactly.
func peers(t *testing.T) *tables.Table {
	table := compile(t, `CREATE TABLE hosts AS SELECT qtype_name, count(DISTINCT query) AS queries FROM dns GROUP BY qtype_name`)
	table.LimitDistinct(5, 100)
	return table
}

// count takes queries of a type into a partition, and writes what changes to the changelog, as stage 2 does. It deletes most
// records of values that are left.
func (c *changelog) count(tx kafka.Tx, p *Partition, most int, qtype string, queries ...string) {
	c.t.Helper()
	var left []tables.Leftover
	counted, err := c.table.NewCombiner(&feeds.Layout{Columns: c.table.Inputs})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, q := range queries {
		counted.Add(&feeds.Record{Values: []feeds.Value{feeds.StringValue(qtype), feeds.StringValue(q)}})
	}
	err = p.Update(func(rows *tables.Groups, _ map[codecs.Source]codecs.Progress) error {
		u, err := c.table.NewUpdater(rows, tables.NoClock)
		if err != nil {
			return err
		}
		u.RecordValues(func(key []byte, number int, value []byte) {
			tx.Send(c.topic, 0, codecs.AppendValueKey(nil, number, key, value), codecs.AppendValueRow(nil))
		}, func(l tables.Leftover) { left = append(left, l) })
		changed := func(change tables.Change) error {
			if change.Gone {
				tx.Send(c.topic, 0, []byte(change.Key), nil)
			} else {
				tx.Send(c.topic, 0, []byte(change.Key), codecs.AppendRow(nil, c.table, change.State))
			}
			return nil
		}
		for key, delta := range counted.Partials() {
			if _, err := u.Add(key, delta, changed); err != nil {
				return err
			}
		}
		return u.Flush(changed)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	p.Leave(left...)
	p.Forget(most, func(key []byte) { tx.Send(c.topic, 0, key, nil) })
}

// held is what a partition has: rows as the changelog holds them, and how many values beside them.
func held(p *Partition) (rows map[string]string, values int) {
	rows = map[string]string{}
	p.Read(func(g *tables.Groups) {
		for key, s := range g.All() {
			rows[fmt.Sprintf("%q", key)] = fmt.Sprintf("%x", codecs.AppendRow(nil, p.table, s))
		}
		values = g.Values()
	})
	return rows, values
}

// recorded returns how many records of values the changelog has.
func (c *changelog) recorded() int {
	c.t.Helper()
	reader, err := kafka.NewReader(c.t.Context(), kafka.ReaderConfig{Client: c.admin.Client(), Topic: c.topic, From: sarama.OffsetOldest})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	there := map[string]bool{}
	if _, err := reader.Recover(c.t.Context(), func(_ int64, key, value []byte, _ int64) error {
		if _, _, _, ok := codecs.ParseValueKey(key); ok {
			there[string(key)] = value != nil
		}
		return nil
	}); err != nil {
		c.t.Fatal(err)
	}
	n := 0
	for _, is := range there {
		if is {
			n++
		}
	}
	return n
}

// TestValuesAreRecovered by who writes rows, from the beginning and onwards, whatever is left to be deleted; who only looks
// at rows does without them and sees the same counts.
func TestValuesAreRecovered(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 1)
	c.table = peers(t)
	tx := c.writer("w")
	config := Config{Client: c.admin.Client(), Table: c.table, Topic: c.topic, Values: true}
	own := New(config)
	for i, step := range []struct {
		most           int
		qtype          string
		queries        []string
		exact, records int // values that rows have, and that the changelog has
		rows           []string
	}{
		{10, "A", []string{"a", "b", "a"}, 2, 2, []string{"A 2"}},
		{10, "A", []string{"b", "c", "d", "e"}, 5, 5, []string{"A 5"}},
		{10, "MX", []string{"a", "", strings.Repeat("long", 1000)}, 8, 8, []string{"A 5", "MX 3"}},
		{0, "A", []string{"e", "f"}, 3, 8, []string{"A 6", "MX 3"}},
		{2, "A", []string{"a"}, 3, 6, []string{"A 6", "MX 3"}}, // two of five are deleted
		{2, "PTR", []string{"1", "2", "3", "4", "5", "6"}, 3, 4, []string{"A 6", "MX 3", "PTR 6"}},
		{2, "MX", []string{"a"}, 3, 3, []string{"A 6", "MX 3", "PTR 6"}},
		{2, "MX", []string{"b"}, 4, 4, []string{"A 6", "MX 4", "PTR 6"}},
	} {
		p := c.recover(own, 0)
		c.count(tx, p, step.most, step.qtype, step.queries...)
		c.commit(tx)
		want, _ := held(p)
		check := func(what string, p *Partition, values int) {
			t.Helper()
			rows, have := held(p)
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Errorf("step %d, %s (-want +got):\n%s", i, what, diff)
			}
			if have != values {
				t.Errorf("step %d, %s: %d values, want %d", i, what, have, values)
			}
			c.want(p, step.rows...)
		}
		check("written", p, step.exact)
		if got := c.recorded(); got != step.records {
			t.Errorf("step %d: %d values are recorded, want %d", i, got, step.records)
		}
		again := c.recover(New(config), 0)
		check("recovered", again, step.exact)
		left := 0
		for i := range again.left {
			left += again.left[i].Len()
		}
		if left != step.records-step.exact {
			t.Errorf("step %d: %d values are left to be deleted, want %d", i, left, step.records-step.exact)
		}
		if again.Bytes() < p.Bytes()/2 || again.Bytes() > 2*p.Bytes() {
			t.Errorf("step %d: recovered, it takes %d bytes, before %d", i, again.Bytes(), p.Bytes())
		}
		// Goka asks for partitions again after each rebalance, and what was written since is read back.
		check("recovered onwards", c.recover(own, 0), step.exact)
		check("only seen", c.recover(c.store(), 0), 0)
	}
}

// TestARowThatComesAgainHasItsValues: those that were left of the one before are deleted when it goes.
func TestARowThatComesAgainHasItsValues(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 1)
	c.table = peers(t)
	tx := c.writer("w")
	config := Config{Client: c.admin.Client(), Table: c.table, Topic: c.topic, Values: true}
	p := newPartition(config, func() {}, new(atomic.Uint64))
	c.count(tx, p, 0, "A", "a", "b", "c", "d", "e")
	c.count(tx, p, 0, "A", "f") // now it is estimated: five are left to be deleted
	c.commit(tx)
	gone := map[string]bool{}
	if err := p.Update(func(rows *tables.Groups, _ map[codecs.Source]codecs.Progress) error {
		for key := range rows.All() {
			gone[key] = true
			tx.Send(c.topic, 0, []byte(key), nil)
		}
		for key := range gone {
			rows.Delete([]byte(key))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.ForgetRows(gone, func(key []byte) { tx.Send(c.topic, 0, key, nil) })
	c.count(tx, p, 2, "A", "a", "b")
	c.count(tx, p, 2, "A", "c")
	c.commit(tx)
	if n := c.recorded(); n != 3 {
		t.Errorf("%d values are recorded, want 3", n)
	}
	again, err := New(config).recover(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	c.want(again, "A 3")
}

// TestValuesThatAreMissing stop the recovery: a count would be wrong from then on.
func TestValuesThatAreMissing(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 1)
	c.table = peers(t)
	tx := c.writer("w")
	config := Config{Client: c.admin.Client(), Table: c.table, Topic: c.topic, Values: true}
	p := newPartition(config, func() {}, new(atomic.Uint64))
	c.count(tx, p, 0, "A", "a", "b", "c")
	for key := range p.rows.All() {
		tx.Send(c.topic, 0, codecs.AppendValueKey(nil, 0, key, []byte("b")), nil)
	}
	c.commit(tx)
	if _, err := New(config).recover(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "is 3, but 2 values are there") {
		t.Errorf("error %v", err)
	}
	c.want(c.recover(c.store(), 0), "A 3")

	tx.Send(c.topic, 0, codecs.AppendValueKey(nil, 7, "", []byte("b")), codecs.AppendValueRow(nil))
	c.commit(tx)
	if _, err := New(config).recover(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "no count(DISTINCT ..) number 7") {
		t.Errorf("error %v", err)
	}
}

// TestARecoveryOfValuesThatEndsEarly loses none of those that it held already.
func TestARecoveryOfValuesThatEndsEarly(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 1)
	c.table = peers(t)
	tx := c.writer("w")
	own := New(Config{Client: c.admin.Client(), Table: c.table, Topic: c.topic, Values: true})
	p := c.recover(own, 0)
	c.count(tx, p, 0, "A", "a", "b", "c")
	c.commit(tx)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := own.recover(ctx, 0); err == nil {
		t.Fatal("it was recovered")
	}
	c.want(c.recover(own, 0), "A 3")
	if _, values := held(p); values != 3 {
		t.Errorf("%d values are there", values)
	}
}
