package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func (c *cluster) catalog() *Catalog {
	c.t.Helper()
	cat, err := OpenCatalog(c.admin, c.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	return cat
}

func (c *cluster) load() map[string]Entry {
	c.t.Helper()
	entries, err := c.catalog().Load(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return entries
}

// add is a decision to add a table unless it is there.
func add(name, sql string) func(map[string]Entry) (map[string]*Entry, error) {
	return func(there map[string]Entry) (map[string]*Entry, error) {
		if _, ok := there[name]; ok {
			return nil, nil
		}
		return map[string]*Entry{name: {SQL: sql}}, nil
	}
}

func TestCatalogKeepsEntries(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		if got := c.load(); len(got) != 0 {
			t.Fatalf("a catalog that was never written: %v", got)
		}
		want := Entry{
			Table: "dns_counts", SQL: "CREATE TABLE dns_counts AS SELECT qtype_name, count(*) FROM dns GROUP BY qtype_name", Feed: "dns",
			Columns: json.RawMessage(`[{"name":"qtype_name"}]`), Result: "dns_counts", Partitions: 4,
			Created: time.Date(2026, 11, 23, 4, 5, 6, 123e6, time.UTC),
			Sources: map[string]Source{
				"dns":  {ID: "abc", Partitions: 2, Start: map[int32]int64{0: 17, 1: 0}, Pass: "dns"},
				"dns2": {ID: "def", Partitions: 1, Start: map[int32]int64{0: 1 << 40}, Pass: "dns-2"},
			},
		}
		if err := c.catalog().Put(t.Context(), want, Entry{Table: "other", SQL: "x"}); err != nil {
			t.Fatal(err)
		}
		got := c.load()
		want.Format, want.Hash = catalogFormat, HashSQL(want.SQL)
		if diff := cmp.Diff(want, got["dns_counts"]); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
		if age := time.Since(got["other"].Created); age < -time.Minute || age > time.Minute {
			t.Errorf("created %v", got["other"].Created)
		}

		// Replaced and deleted together.
		err := c.catalog().Update(t.Context(), func(there map[string]Entry) (map[string]*Entry, error) {
			e := there["dns_counts"]
			e.Partitions = 8
			return map[string]*Entry{"dns_counts": &e, "other": nil, "never": nil}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want.Partitions = 8
		if diff := cmp.Diff(map[string]Entry{"dns_counts": want}, c.load()); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

func TestCatalogLookingMakesNothing(t *testing.T) {
	c := fakeCluster(t)
	asked := 0
	err := c.catalog().Update(t.Context(), func(map[string]Entry) (map[string]*Entry, error) {
		asked++
		return nil, nil
	})
	if err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	no := errors.New("no")
	if err := c.catalog().Update(t.Context(), func(map[string]Entry) (map[string]*Entry, error) { return nil, no }); err != no {
		t.Errorf("error of the decision: %v", err)
	}
	if found, err := c.admin.Describe(c.catalog().Topic()); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// Instances that start at once with different ideas: each decision is made with all earlier ones in sight.
func TestCatalogManyAtOnce(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		const instances = 5
		var wg sync.WaitGroup
		for i := range instances {
			wg.Go(func() {
				// Whoever is first decides the name; everybody adds an entry that says who was there before.
				err := c.catalog().Update(t.Context(), func(there map[string]Entry) (map[string]*Entry, error) {
					me := fmt.Sprint("instance-", i)
					if _, ok := there[me]; ok {
						return nil, nil
					}
					changes := map[string]*Entry{me: {SQL: strings.Join(slices.Sorted(maps.Keys(there)), ",")}}
					if _, ok := there["first"]; !ok {
						changes["first"] = &Entry{SQL: me}
					}
					return changes, nil
				})
				if err != nil {
					t.Errorf("instance %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		got := c.load()
		if len(got) != instances+1 {
			t.Fatalf("%d entries: %v", len(got), got)
		}
		// Seen in order of how many they saw, each saw exactly those before it.
		var order []Entry
		for name, e := range got {
			if name != "first" {
				order = append(order, e)
			}
		}
		slices.SortFunc(order, func(a, b Entry) int { return len(a.SQL) - len(b.SQL) })
		seen := []string{"first"}
		for i, e := range order {
			want := strings.Join(slices.Sorted(slices.Values(seen)), ",")
			if i == 0 {
				want = ""
				if got["first"].SQL != e.Table {
					t.Errorf("first is %s, and %s saw nobody", got["first"].SQL, e.Table)
				}
			}
			if e.SQL != want {
				t.Errorf("%s saw %q, want %q", e.Table, e.SQL, want)
			}
			seen = append(seen, e.Table)
		}
	})
}

// B changes the catalog between A's decision and A's commit.
func TestCatalogFencedWriterDecidesAgain(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster) {
		calls := 0
		var saw [][]string
		err := c.catalog().Update(t.Context(), func(there map[string]Entry) (map[string]*Entry, error) {
			saw = append(saw, slices.Sorted(maps.Keys(there)))
			if calls++; calls == 2 { // A holds the producer now
				if err := c.catalog().Update(t.Context(), add("b", "by B")); err != nil {
					t.Error(err)
				}
			}
			return add("a", fmt.Sprintf("by A, who saw %v", slices.Sorted(maps.Keys(there))))(there)
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]string{nil, nil, {"b"}}, saw, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("what A saw (-want +got):\n%s", diff)
		}
		got := c.load()
		if len(got) != 2 || got["a"].SQL != "by A, who saw [b]" || got["b"].SQL != "by B" {
			t.Errorf("entries %v", got)
		}
	})
}

func TestCatalogThatCannotBeRead(t *testing.T) {
	c := fakeCluster(t)
	topic := c.catalog().Topic()
	if err := c.catalog().Put(t.Context(), Entry{Table: "mine", SQL: "x"}); err != nil {
		t.Fatal(err)
	}

	c.put(topic, `theirs={"format":3,"table":"theirs","sql":{"an":"object now"}}`)
	var newer *NewerFormat
	if _, err := c.catalog().Load(t.Context()); !errors.As(err, &newer) || newer.Table != "theirs" || newer.Format != catalogFormat+1 {
		t.Errorf("newer format: %v", err)
	}
	if err := c.catalog().Update(t.Context(), add("x", "y")); !errors.As(err, &newer) {
		t.Errorf("update beside a newer format: %v", err)
	}
	c.put(topic, "theirs") // deleted again
	if got := c.load(); len(got) != 1 {
		t.Errorf("entries %v", got)
	}

	c.put(topic, "broken={")
	if _, err := c.catalog().Load(t.Context()); err == nil || !strings.Contains(err.Error(), `"broken"`) || !strings.Contains(err.Error(), topic) {
		t.Errorf("broken entry: %v", err)
	}
}

func TestCatalogTopicThatIsNotCompacted(t *testing.T) {
	c := fakeCluster(t)
	if err := c.admin.Ensure(Topic{Name: c.catalog().Topic(), Partitions: 1, Config: map[string]string{"cleanup.policy": "delete"}}); err != nil {
		t.Fatal(err)
	}
	var mismatch *TopicMismatch
	if err := c.catalog().Update(t.Context(), add("x", "y")); !errors.As(err, &mismatch) || mismatch.What != "cleanup.policy" {
		t.Errorf("%v, want *TopicMismatch", err)
	}
}

func TestCatalogCancelled(t *testing.T) {
	c := fakeCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.catalog().Update(ctx, func(map[string]Entry) (map[string]*Entry, error) {
		cancel()
		return map[string]*Entry{"x": {}}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := c.load(); len(got) != 0 {
		t.Errorf("entries %v", got)
	}
}
