package tables_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// visit is a record of the feed that these tests read.
type visit struct {
	micros int64
	host   string
	bytes  int64
}

var visits = &feeds.Feed{Name: "visits", Columns: []feeds.Column{
	{Name: "ts", Type: feeds.T(feeds.Timestamp)}, {Name: "host", Type: feeds.T(feeds.String)}, {Name: "bytes", Type: feeds.T(feeds.Bigint)},
}}

func compileVisits(t testing.TB, definition string) *tables.Table {
	t.Helper()
	all, err := tables.CompileFile("test.sql", definition, func(string) (*feeds.Feed, bool) { return visits, true })
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// topics is what stage 2 would write for a table, as its readers see it: the changelog's keys and the results.
type topics struct {
	changelog map[string]bool
	results   map[string]string
}

// stage2 runs visits through combiners of several source partitions and an updater, committing at random moments, and returns
// the table as its rows and as its topics show it.
func stage2(t *rapid.T, table *tables.Table, all []visit) (rows []string, out topics) {
	layout, err := tables.LayoutOf(table)
	if err != nil {
		t.Fatal(err)
	}
	partitions := rapid.IntRange(1, 3).Draw(t, "partitions")
	combiners := make([]*tables.Combiner, partitions)
	for i := range combiners {
		if combiners[i], err = table.NewCombiner(layout); err != nil {
			t.Fatal(err)
		}
	}
	groups := table.NewGroups()
	updater, err := table.NewUpdater(groups, tables.NoClock)
	if err != nil {
		t.Fatal(err)
	}
	out = topics{map[string]bool{}, map[string]string{}}
	changed := func(c tables.Change) error {
		key := show1(t, table, c.Key)
		if _, there := out.results[key]; there != c.WasShown {
			t.Fatalf("row %s: was in the result: %v, the change says %v", key, there, c.WasShown)
		}
		if c.Gone && !out.changelog[key] {
			t.Fatalf("row %s is gone and never was", key)
		}
		delete(out.results, key)
		delete(out.changelog, key)
		if c.Gone {
			if c.Shown {
				t.Fatalf("row %s is gone and shown", key)
			}
			return nil
		}
		out.changelog[key] = true
		if c.Shown {
			row, err := table.Row(c.Key, c.State, nil)
			if err != nil {
				return err
			}
			out.results[key] = strings.TrimSpace(show([][]feeds.Value{row}))
		}
		return nil
	}
	partial := table.NewState()
	flush := func(c *tables.Combiner) {
		for key, state := range c.Partials() {
			if _, err := table.ReadState(table.AppendState(nil, state), partial); err != nil {
				t.Fatal(err)
			}
			if _, err := updater.Add(key, partial, changed); err != nil {
				t.Fatal(err)
			}
		}
		c.Reset()
	}
	record := feeds.Record{Values: make([]feeds.Value, len(layout.Columns))}
	for _, v := range all {
		for i, c := range layout.Columns {
			record.Values[i] = map[string]feeds.Value{
				"ts": feeds.TimestampValue(v.micros), "host": feeds.StringValue(v.host), "bytes": feeds.BigintValue(v.bytes),
			}[c.Name]
		}
		c := combiners[rapid.IntRange(0, partitions-1).Draw(t, "partition")]
		if got := c.Add(&record); got != tables.Counted {
			t.Fatalf("outcome %v of %v", got, v)
		}
		switch rapid.IntRange(0, 5).Draw(t, "commit") {
		case 0:
			flush(c)
			fallthrough
		case 1:
			if err := updater.Flush(changed); err != nil {
				t.Fatal(err)
			}
		case 2: // stage 2 starts anew from its rows
			if err := updater.Flush(changed); err != nil {
				t.Fatal(err)
			}
			if updater, err = table.NewUpdater(groups, tables.NoClock); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range combiners {
		flush(c)
	}
	if err := updater.Flush(changed); err != nil {
		t.Fatal(err)
	}
	for key, state := range groups.All() {
		if !out.changelog[show1(t, table, key)] {
			t.Fatalf("row %q is not in the changelog", key)
		}
		shown, err := table.Shows(key, state)
		if err != nil {
			t.Fatal(err)
		}
		if shown {
			row, err := table.Row(key, state, nil)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, strings.TrimSpace(show([][]feeds.Value{row})))
		}
	}
	if len(out.changelog) != groups.Len() {
		t.Fatalf("the changelog has %d rows, the table %d", len(out.changelog), groups.Len())
	}
	slices.Sort(rows)
	return rows, out
}

func show1(t *rapid.T, table *tables.Table, key string) string {
	values, err := table.KeyValues(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return show([][]feeds.Value{values})
}

func drawVisits(t *rapid.T) []visit {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) visit {
		return visit{
			micros: rapid.Int64Range(-40, 40).Draw(t, "seconds")*1e6 + rapid.Int64Range(-1, 1).Draw(t, "micros"),
			host:   rapid.SampledFrom([]string{"a", "b"}).Draw(t, "host"),
			bytes:  rapid.Int64Range(0, 9).Draw(t, "bytes"),
		}
	}), 0, 40).Draw(t, "visits")
}

// Whatever the order of records, their partitions, the moments of commits and of restarts: a table with windows has what its
// definition says, and its topics show the same as its rows. Each test says it in the plainest way.
func TestWindowsInAnyOrder(t *testing.T) {
	type row struct{ n, bytes int64 }
	times := func(micros int64) string { return feeds.TimestampValue(micros).String() }
	floor := func(a, b int64) int64 {
		if a%b < 0 {
			return a/b - 1
		}
		return a / b
	}
	aligned := func(size, advance int64) func([]visit) map[string]row {
		return func(all []visit) map[string]row {
			rows := map[string]row{}
			for _, v := range all {
				for start := floor(v.micros, advance) * advance; start > v.micros-size; start -= advance {
					key := v.host + "  " + times(start) + "  " + times(start+size)
					rows[key] = row{rows[key].n + 1, rows[key].bytes + v.bytes}
				}
			}
			return rows
		}
	}
	sessions := func(gap int64) func([]visit) map[string]row {
		return func(all []visit) map[string]row {
			sorted := slices.SortedFunc(slices.Values(all), func(a, b visit) int {
				if d := strings.Compare(a.host, b.host); d != 0 {
					return d
				}
				return int(a.micros - b.micros)
			})
			rows := map[string]row{}
			for len(sorted) > 0 {
				n, sum := 1, sorted[0].bytes
				for n < len(sorted) && sorted[n].host == sorted[0].host && sorted[n].micros-sorted[n-1].micros <= gap {
					sum += sorted[n].bytes
					n++
				}
				rows[sorted[0].host+"  "+times(sorted[0].micros)+"  "+times(sorted[n-1].micros)] = row{int64(n), sum}
				sorted = sorted[n:]
			}
			return rows
		}
	}
	for _, test := range []struct {
		window string
		want   func([]visit) map[string]row
	}{
		{"TUMBLING (SIZE 10 SECONDS)", aligned(10e6, 10e6)},
		{"HOPPING (SIZE 10 SECONDS, ADVANCE BY 10 SECONDS)", aligned(10e6, 10e6)},
		{"HOPPING (SIZE 15 SECONDS, ADVANCE BY 5 SECONDS)", aligned(15e6, 5e6)},
		{"SESSION (GAP 3 SECONDS)", sessions(3e6)},
		{"SESSION (GAP '1 us')", sessions(1)},
	} {
		for _, having := range []int64{0, 3} {
			name := fmt.Sprintf("%s from %d", test.window, having)
			table := compileVisits(t, fmt.Sprintf(`CREATE TABLE t AS SELECT host, window_start, window_end, count(*) AS n, sum(bytes) AS bytes
				FROM visits WINDOW %s GROUP BY host HAVING count(*) >= %d`, test.window, having))
			t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
				all := drawVisits(t)
				rows, topics := stage2(t, table, all)
				var want []string
				for key, r := range test.want(all) {
					if r.n >= having {
						want = append(want, fmt.Sprintf("%s  %d  %d", "'"+key[:1]+"'"+key[1:], r.n, r.bytes))
					}
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, rows); diff != "" {
					t.Fatalf("rows (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(want, slices.Sorted(maps.Values(topics.results))); diff != "" {
					t.Fatalf("result topic (-want +got):\n%s", diff)
				}
			}))
		}
	}
}

// Who counts visits does not have to say when they were, and who asks for windows does.
func TestWindowsCountWhatHasNoTime(t *testing.T) {
	const beyond = 1<<62 + 1
	layoutOf := func(table *tables.Table) (*tables.Combiner, *feeds.Layout) {
		layout, err := tables.LayoutOf(table)
		if err != nil {
			t.Fatal(err)
		}
		c, err := table.NewCombiner(layout)
		if err != nil {
			t.Fatal(err)
		}
		return c, layout
	}
	windows, layout := layoutOf(compileVisits(t, `CREATE TABLE t AS SELECT window_start, count(*) FROM visits WINDOW TUMBLING (SIZE 1 HOUR)`))
	if len(layout.Columns) != 1 || layout.Columns[0].Name != "ts" {
		t.Fatalf("the window reads %v", layout.Columns)
	}
	for _, ts := range []feeds.Value{feeds.NullValue, feeds.TimestampValue(beyond), feeds.TimestampValue(-beyond)} {
		if got := windows.Add(&feeds.Record{Values: []feeds.Value{ts}}); got != tables.NoTime {
			t.Errorf("time %v: outcome %v", ts, got)
		}
	}
	if windows.Groups().Len() != 0 {
		t.Error("what has no time is in a window")
	}
}

// Rows that two owners wrote at the same time are not taken for sessions.
func TestOverlappingSessionsAreRefused(t *testing.T) {
	table := compileVisits(t, `CREATE TABLE t AS SELECT host, window_start, window_end, count(*) FROM visits WINDOW SESSION (GAP 3 SECONDS) GROUP BY host`)
	rows := table.NewGroups()
	session := func(host string, first, last int64) {
		key, err := table.EncodeKey([]feeds.Value{feeds.StringValue(host), feeds.TimestampValue(first * 1e6), feeds.TimestampValue(last * 1e6)})
		if err != nil {
			t.Fatal(err)
		}
		rows.Upsert(key)
	}
	session("a", 20, 30)
	session("a", 1, 5)
	session("b", 6, 30)
	if _, err := table.NewUpdater(rows, tables.NoClock); err != nil {
		t.Errorf("sessions far apart: %v", err)
	}
	session("a", 8, 9)
	if _, err := table.NewUpdater(rows, tables.NoClock); err == nil {
		t.Error("sessions within the gap of each other were taken")
	}
}

// A pane is as many rows as it has windows, and that is how it counts.
func TestRowsAPartial(t *testing.T) {
	for window, want := range map[string]int{
		"TUMBLING (SIZE 1 HOUR)":                           1,
		"SESSION (GAP 1 HOUR)":                             1,
		"HOPPING (SIZE 1 HOUR, ADVANCE BY 1 MINUTE)":       60,
		"HOPPING (SIZE 1000 SECONDS, ADVANCE BY 1 SECOND)": 1000,
	} {
		end := ""
		if strings.HasPrefix(window, "SESSION") {
			end = ", window_end"
		}
		if got := compileVisits(t, "CREATE TABLE t AS SELECT window_start"+end+", count(*) FROM visits WINDOW "+window).RowsAPartial(); got != want {
			t.Errorf("%s: %d, want %d", window, got, want)
		}
	}
}
