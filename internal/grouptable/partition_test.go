package grouptable

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka/storage"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
)

var _ storage.Storage = (*Partition)(nil)

// newRows returns a partition with rows of those queries, and their keys.
func newRows(t *testing.T, queries ...string) (p *Partition, keys []string) {
	t.Helper()
	table := compile(t, hosts)
	p = newPartition(Config{Table: table}, func() {}, new(atomic.Uint64))
	for _, q := range queries {
		key, err := table.EncodeKey([]feeds.Value{feeds.StringValue(q)})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Set(string(key), codecs.AppendRow(nil, table, table.NewState())); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(key))
	}
	return p, keys
}

// TestAPartitionIsAStorage as Goka knows it: values are what the changelog holds.
func TestAPartitionIsAStorage(t *testing.T) {
	p, keys := newRows(t, "a")
	changed := 0
	p.changed = func() { changed++ }
	key, row := keys[0], codecs.AppendRow(nil, p.table, p.table.NewState())
	source := codecs.Source{Topic: "dns", Partition: 3}
	progress := codecs.AppendProgressRow(nil, codecs.Progress{Upto: 4, NewestTime: codecs.NoTime})

	if err := p.Set(codecs.ProgressKey(source), progress); err != nil || changed != 1 {
		t.Errorf("set progress: %v, told %d times", err, changed)
	}
	for key, want := range map[string][]byte{key: row, codecs.ProgressKey(source): progress, "other": nil, codecs.ProgressKey(codecs.Source{Topic: "x"}): nil, `\#what`: nil} {
		got, err := p.Get(key)
		has, err2 := p.Has(key)
		if err != nil || err2 != nil || string(got) != string(want) || has != (want != nil) {
			t.Errorf("%q is %v (%v, %v), want %v", key, got, err, err2, want)
		}
	}
	for _, key := range []string{key, codecs.ProgressKey(source), "never there"} {
		if err := p.Delete(key); err != nil {
			t.Error(err)
		}
		if has, _ := p.Has(key); has {
			t.Errorf("%q is still there", key)
		}
	}
	if err := p.SetOffset(41); err != nil {
		t.Fatal(err)
	}
	_ = p.SetOffset(12) // never back
	if at, err := p.GetOffset(-3); at != 41 || err != nil {
		t.Errorf("offset %d, %v", at, err)
	}
}

// TestATakeIsManySets: of more records than are taken in at once, the last of a key counts, and readers hear of progress once.
func TestATakeIsManySets(t *testing.T) {
	one, keys := newRows(t, "a", "b", "c")
	many, _ := newRows(t)
	changed := 0
	many.changed = func() { changed++ }
	source := codecs.ProgressKey(codecs.Source{Topic: "dns"})
	var records []sarama.ConsumerMessage
	for i := range 1000 {
		key, value := keys[i%3], codecs.AppendRow(nil, one.table, one.table.NewState())
		switch {
		case i%10 == 9:
			key, value = source, codecs.AppendProgressRow(nil, codecs.Progress{Upto: int64(i)})
		case i > 990 && i%3 == 1:
			value = nil
		}
		records = append(records, sarama.ConsumerMessage{Offset: int64(i), Key: []byte(key), Value: value})
		if err := one.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := many.Take(records[:5]); err != nil || changed != 0 {
		t.Errorf("%v, told %d times without progress", err, changed)
	}
	if err := many.Take(records[5:]); err != nil || changed != 1 {
		t.Errorf("%v, told %d times", err, changed)
	}
	if diff := cmp.Diff(rows(t, one), rows(t, many)); diff != "" {
		t.Errorf("-one by one +together:\n%s", diff)
	}
	if diff := cmp.Diff(one.Progress(), many.Progress()); diff != "" {
		t.Errorf("-one by one +together:\n%s", diff)
	}
	if err := many.Take([]sarama.ConsumerMessage{{Offset: 7, Key: []byte(keys[0]), Value: []byte("no row")}}); err == nil || !strings.Contains(err.Error(), "offset 7") {
		t.Errorf("%v, want where the bad record is", err)
	}
}

// TestIteratorsWalkInOrder over a snapshot of the keys, progress included.
func TestIteratorsWalkInOrder(t *testing.T) {
	p, keys := newRows(t, "m", "c", "x", "", "longer than the others")
	internal := codecs.ProgressKey(codecs.Source{Topic: "dns"})
	if err := p.Set(internal, codecs.AppendProgressRow(nil, codecs.Progress{})); err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(keys), internal)
	slices.Sort(all)
	walk := func(it storage.Iterator) (got []string) {
		t.Helper()
		for it.Next() {
			if value, err := it.Value(); err != nil || len(value) == 0 {
				t.Errorf("%q has the value %v, %v", it.Key(), value, err)
			}
			got = append(got, string(it.Key()))
		}
		if it.Next() || it.Err() != nil {
			t.Errorf("behind the end: %v", it.Err())
		}
		return got
	}
	it, err := p.Iterator()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, walk(it)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	it.Release()
	for from := range all {
		for to := from; to <= len(all); to++ {
			start, limit := []byte(all[from]), []byte(nil)
			if to < len(all) {
				limit = []byte(all[to])
			}
			it, _ := p.IteratorWithRange(start, limit)
			if diff := cmp.Diff(all[from:to], walk(it), cmp.Transformer("", func(s []string) string { return fmt.Sprintf("%q", s) })); diff != "" {
				t.Errorf("[%d, %d) (-want +got):\n%s", from, to, diff)
			}
		}
		it, _ := p.Iterator()
		if !it.Seek([]byte(all[from])) {
			t.Errorf("%q is not found", all[from])
		}
		if diff := cmp.Diff(all[from:], walk(it)); diff != "" {
			t.Errorf("from %d (-want +got):\n%s", from, diff)
		}
	}
	it, _ = p.Iterator()
	if it.Seek([]byte("\xff")) || it.Next() {
		t.Error("something lies behind the last key")
	}

	// It walks over what was there; what is deleted meanwhile has no value.
	it, _ = p.Iterator()
	_ = p.Delete(keys[0])
	n := 0
	for it.Next() {
		n++
		if value, _ := it.Value(); (value == nil) != (string(it.Key()) == keys[0]) {
			t.Errorf("%q has the value %v", it.Key(), value)
		}
	}
	if n != len(all) {
		t.Errorf("it walked over %d keys, want %d", n, len(all))
	}
}

// TestGroupsLieWhereJavaLooks: by the hash of the result's key.
func TestGroupsLieWhereJavaLooks(t *testing.T) {
	table := compile(t, `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n FROM dns GROUP BY id.orig_h, qtype_name`)
	of := NewPartitioner(table)
	for i := range 50 {
		values := []feeds.Value{feeds.NullValue, feeds.StringValue(fmt.Sprint("q", i))}
		key, err := table.EncodeKey(values)
		if err != nil {
			t.Fatal(err)
		}
		want := kafka.Partition(codecs.AppendResultKey(nil, table, values), 7)
		if got, err := of.Of(string(key), 7); err != nil || got != want {
			t.Errorf("%v lies in %d (%v), want %d", values, got, err, want)
		}
	}
	if _, err := of.Of("no key", 7); err == nil {
		t.Error("a key that is none has a partition")
	}
	none := compile(t, `CREATE TABLE t AS SELECT count(*) AS n FROM dns`)
	if got, err := NewPartitioner(none).Of("", 5); err != nil || got != kafka.Partition([]byte("{}"), 5) {
		t.Errorf("the only row lies in %d, %v", got, err)
	}
}
