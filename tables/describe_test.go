package tables

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// part returns the details of one part.
func part(t *Table, name string) (out []Detail) {
	for _, d := range t.Describe() {
		if d.Part == name {
			out = append(out, d)
		}
	}
	return out
}

// memory fills a table's groups and returns what Groups.Bytes says of one.
func memory(t *Table, groups, records int, large bool) float64 {
	c := t.plan.newCombiner(nil)
	rec := feeds.Record{Values: make([]feeds.Value, len(t.Inputs))}
	keys := map[string]bool{}
	for _, g := range t.plan.groups {
		keys[t.Inputs[g.expr.column].Name] = true
	}
	for g := range groups {
		for i := range records {
			for slot, in := range t.Inputs {
				if keys[in.Name] {
					rec.Values[slot] = specimen(in.Type, g, large)
				} else {
					rec.Values[slot] = specimen(in.Type, i, large)
				}
			}
			c.Add(&rec)
		}
	}
	return float64(c.Groups().Bytes()) / float64(groups)
}

func TestTheEstimateOfAGroupIsNearWhatGroupsTake(t *testing.T) {
	for _, text := range []string{
		notebook,
		"CREATE TABLE t AS SELECT s, count(*) AS n FROM kinds GROUP BY s",
		"CREATE TABLE t AS SELECT ip, i, ts, sum(u) AS su, avg(d) AS ad, min(s) AS ms, max(ip) AS mi, stddev(d) AS sd, bool_or(b) AS b FROM kinds GROUP BY ip, i, ts",
		"CREATE TABLE t AS SELECT s, approx_count_distinct(ip) AS n FROM kinds GROUP BY s",
		"CREATE TABLE t AS SELECT ip, approx_percentile(d, 0.5) AS h, approx_percentile(d, 0.9) AS p FROM kinds GROUP BY ip",
		"CREATE TABLE t AS SELECT i, top_k(s, 5) AS top, array_agg(DISTINCT ip) AS ips FROM kinds GROUP BY i",
		"CREATE TABLE t AS SELECT i, min(s) AS a, max(s) AS z, top_k(ip, 3) AS top FROM kinds GROUP BY i",
		"CREATE TABLE t AS SELECT ts, first(s) AS f, last(s) AS l, last(n) AS ln, first(ip) AS fi FROM kinds GROUP BY ts",
		"CREATE TABLE t AS SELECT ts, count(DISTINCT s) AS n FROM kinds GROUP BY ts",
	} {
		table := mustCompile(t, text)
		group := part(table, PartGroup)[0]
		// A number of groups that is no round one: some hash tables and slabs are nearly full, others nearly empty.
		for _, groups := range []int{700, 3000, 5000} {
			if got := memory(table, groups, 2, false); got > 1.5*float64(group.Bytes) || got < float64(group.Bytes)/1.5 {
				t.Errorf("%s\na group of %d takes %.0f bytes, the estimate is %d", text, groups, got, group.Bytes)
			}
		}
		if got := memory(table, 1500, 1, true); got > 1.5*float64(group.Most) {
			t.Errorf("%s\na group takes %.0f bytes, at most are %d", text, got, group.Most)
		}
	}
}

func TestASketchIsEstimatedAtItsFullest(t *testing.T) {
	for _, aggregate := range []string{"count(DISTINCT s)", "count(DISTINCT ip)", "approx_count_distinct(s)", "approx_percentile(d, 0.5)", "top_k(s, 100)", "array_agg(DISTINCT s)", "top_k(ip, 3)", "approx_percentile(u, 0.5)", "approx_percentile(i, 0.5)", "array_agg(DISTINCT n)"} {
		table := mustCompile(t, "CREATE TABLE t AS SELECT ts, "+aggregate+" AS a FROM kinds GROUP BY ts")
		a := part(table, PartAggregate)[0]
		values := manyValues
		if table.HasValues() {
			values = defaultDistinctBounds.values
		}
		got := memory(table, 3, values, true)
		if float64(a.Most) > 1.5*got || got > 1.5*float64(a.Most+100) {
			t.Errorf("%s: %d bytes at most, a full one has %.0f", aggregate, a.Most, got)
		}
		if a.Bytes >= a.Most {
			t.Errorf("%s: %d bytes, at most %d", aggregate, a.Bytes, a.Most)
		}
	}
}

// TestAViewDoesWithoutTheValues: what the plan says of a row in a view is what rows take there.
func TestAViewDoesWithoutTheValues(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT ts, count(DISTINCT s) AS n, count(*) AS c FROM kinds GROUP BY ts")
	var bytes, most int
	group := part(table, PartGroup)[0]
	if _, err := fmt.Sscanf(group.Text, "a row's memory in stage 2; in each view it takes %d, at most %d:", &bytes, &most); err != nil {
		t.Fatalf("%s: %v", group.Text, err)
	}
	if a := part(table, PartAggregate)[0]; a.Text != "up to 100000 different values one by one, of more an estimate of 16560 bytes" {
		t.Errorf("the aggregate is described as %s", a.Text)
	}
	for _, test := range []struct{ values, estimate int }{{2, bytes}, {defaultDistinctBounds.values, bytes}, {defaultDistinctBounds.values + 1, most}} {
		row := table.NewState()
		for i := range test.values {
			table.plan.counting[0].take(row, feeds.StringValue(fmt.Sprint("name ", i)))
		}
		stored := table.AppendRow(nil, row)
		view := table.NewGroups()
		const rows = 700
		for i := range int64(rows) {
			s, _ := view.Upsert(feeds.TimestampValue(i).AppendKey(nil))
			if _, err := table.ReadRow(stored, s); err != nil {
				t.Fatal(err)
			}
		}
		if got := float64(view.Bytes()) / rows; got > 1.5*float64(test.estimate) || got < float64(test.estimate)/1.5 {
			t.Errorf("a row of %d values takes %.0f bytes in a view, the estimate is %d", test.values, got, test.estimate)
		}
	}
	bools := mustCompile(t, "CREATE TABLE t AS SELECT ts, count(DISTINCT b) AS n FROM kinds GROUP BY ts")
	if a := part(bools, PartAggregate); len(a) != 1 || a[0].Text != "up to 2 different values one by one" || a[0].Most > 200 {
		t.Errorf("aggregates are %v, want the one that is written", a)
	}
	if group.Most < 20<<20 {
		t.Errorf("at most %d bytes in stage 2", group.Most)
	}
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		name, query string
		want        []string // the columns warned of
	}{
		{"domain names", "SELECT query, count(*) AS n FROM dns GROUP BY query", []string{"query"}},
		{"a protocol's words", "SELECT qtype_name, count(*) AS n FROM dns GROUP BY 1", nil},
		{"agents and URIs", "SELECT user_agent, uri, status_code, count(*) AS n FROM http GROUP BY 1, 2, 3", []string{"user_agent", "uri"}},
		{"hosts", "SELECT id.orig_h, count(*) AS n FROM conn GROUP BY 1", []string{"id.orig_h"}},
		{"the site's hosts", "SELECT id.orig_h, id.resp_h, count(*) AS n FROM conn WHERE in_subnet(id.orig_h, '10.0.0.0/8') AND proto = 'tcp' GROUP BY 1, 2", []string{"id.resp_h"}},
		{"not the site's hosts", "SELECT id.orig_h, count(*) AS n FROM conn WHERE NOT is_private(id.orig_h) GROUP BY 1", []string{"id.orig_h"}},
		{"large networks", "SELECT mask(id.orig_h, 16) AS net, count(*) AS n FROM conn GROUP BY 1", nil},
		{"small networks", "SELECT mask(id.orig_h, 24) AS net, count(*) AS n FROM conn GROUP BY 1", []string{"net"}},
		{"identifiers and times", "SELECT uid, ts, extract(epoch FROM ts) AS s, count(*) AS n FROM conn GROUP BY 1, 2, 3", []string{"uid", "ts", "s"}},
		{"hours", "SELECT date_trunc('hour', ts) AS h, extract(dow FROM ts) AS d, count(*) AS n FROM conn GROUP BY 1, 2", nil},
		{"seconds", "SELECT date_trunc('second', ts) AS s, count(*) AS n FROM conn GROUP BY 1", []string{"s"}},
		{"named values", "SELECT query, count(*) AS n FROM dns WHERE query IN ('a', 'b') AND id.resp_p = 53 GROUP BY 1", nil},
		{"one value", "SELECT query, count(*) AS n FROM dns WHERE 'a' = query GROUP BY 1", nil},
		{"one value or another column's", "SELECT query, count(*) AS n FROM dns WHERE query = 'a' OR AA GROUP BY 1", []string{"query"}},
		{"another column's value", "SELECT query, count(*) AS n FROM dns WHERE query = original_query GROUP BY 1", []string{"query"}},
		{"what is made of a text", "SELECT registered_domain(lower(query)) AS d, count(*) AS n FROM dns GROUP BY 1", []string{"d"}},
		{"what is measured of a text", "SELECT length(query) AS l, query LIKE '%.com' AS com, count(*) AS n FROM dns GROUP BY 1, 2", nil},
		{"cases", "SELECT CASE WHEN query LIKE 'a%' THEN 'a' WHEN AA THEN query END AS c, CASE WHEN AA THEN 'b' END AS d, count(*) AS n FROM dns GROUP BY 1, 2", []string{"c"}},
		{"amounts", "SELECT orig_bytes / 1000 AS k, resp_pkts % 10 AS r, -duration AS d, count(*) AS n FROM conn GROUP BY 1, 2, 3", []string{"k", "d"}},
		{"a column of the site's own", "SELECT CAST(tenant AS string), count(*) AS n FROM conn GROUP BY 1", []string{"tenant"}},
		{"first of several", "SELECT answers[1] AS a, coalesce(qtype_name, 'none') AS q, count(*) AS n FROM dns GROUP BY 1, 2", []string{"a"}},
		{"windows", "SELECT window_start, query, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY query", []string{"window_start", "query"}},
		{"a condition that is never true", "SELECT count(*) AS n FROM dns WHERE AA AND query <> NULL", []string{""}},
		{"no groups", "SELECT count(*) AS n FROM dns", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, err := CompileFile("f", "CREATE TABLE t AS "+test.query, feeds.Lookup)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range part(all[0], PartWarning) {
				got = append(got, d.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClausesThatBoundATable(t *testing.T) {
	for clause, want := range map[string]bool{
		"": false, "TTL '30 days'": true, "MAX GROUPS 5": true, "WINDOW TUMBLING (SIZE 1 HOUR, RETENTION 7 DAYS)": false,
	} {
		stmt, err := sql.ParseStatement("f", "SELECT count(*) FROM dns "+clause)
		if err != nil {
			t.Fatal(err)
		}
		if got := bounded(stmt.(*sql.Select)); got != want {
			t.Errorf("%q: %v, want %v", clause, got, want)
		}
	}
}

func TestDescribeSaysWhatWindowsAre(t *testing.T) {
	for window, want := range map[string]string{
		"TUMBLING (SIZE 1 HOUR)":                            "one begins every 1h0m0s, by ts",
		"HOPPING (SIZE 1 HOUR, ADVANCE BY 15 MINUTES)":      "one begins every 15m0s and has 1h0m0s, a record changes 4 rows, by ts",
		"SESSION (GAP 5 MINUTES) ON coalesce(ts + rtt, ts)": "ends when nothing has come for 5m0s, by coalesce(ts + rtt, ts)",
	} {
		all, err := CompileFile("f", "CREATE TABLE t AS SELECT window_start, window_end, qtype_name, count(*) AS n FROM dns WINDOW "+window+" GROUP BY qtype_name HAVING count(*) > 5", feeds.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		if got := part(all[0], PartWindow); len(got) != 1 || got[0].Text != want {
			t.Errorf("%s: %v, want %s", window, got, want)
		}
		if got := part(all[0], PartHaving); len(got) != 1 || got[0].Text != "count(*) > 5" {
			t.Errorf("%s: %v", window, got)
		}
		group, sum := part(all[0], PartGroup)[0], groupBytes
		for _, p := range []string{PartWindow, PartKey, PartAggregate} {
			for _, d := range part(all[0], p) {
				sum += d.Bytes
			}
		}
		if group.Bytes != sum {
			t.Errorf("%s: a group is %d bytes, its parts are %d", window, group.Bytes, sum)
		}
	}
}

func TestDescribeHasItsPartsInOrder(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t WITH (start = 'latest', feed_topic = 'a,b') AS SELECT s, count(*) AS n, max(d) - min(d) AS range FROM kinds WHERE b GROUP BY s HAVING count(*) > 1")
	table.Inputs[0].Doc = ""
	var got []Detail
	for _, d := range table.Describe() {
		if d.Part != PartWarning {
			got = append(got, Detail{d.Part, d.Name, d.Type, min(d.Bytes, 1), min(d.Most, 1), d.Text})
		}
	}
	if !slices.IsSortedFunc(got, func(a, b Detail) int {
		order := []string{PartReads, PartInput, PartFilter, PartKey, PartAggregate, PartHaving, PartLifetime, PartLimit, PartColumn, PartStage1, PartGroup}
		return slices.Index(order, a.Part) - slices.Index(order, b.Part)
	}) {
		t.Error("the parts are out of order")
	}
	str, big, dbl, flag := feeds.T(feeds.String), feeds.T(feeds.Bigint), feeds.T(feeds.Double), feeds.T(feeds.Bool)
	want := []Detail{
		{PartReads, "kinds", feeds.Type{}, 0, 0, "topics a, b, from what comes next"},
		{PartInput, "s", str, 0, 0, ""}, {PartInput, "b", flag, 0, 0, ""}, {PartInput, "d", dbl, 0, 0, ""},
		{PartFilter, "", feeds.Type{}, 0, 0, "b"},
		{PartKey, "s", str, 1, 1, ""},
		{PartAggregate, "count(*)", big, 1, 1, ""}, {PartAggregate, "max(d)", dbl, 1, 1, ""}, {PartAggregate, "min(d)", dbl, 1, 1, ""},
		{PartHaving, "", feeds.Type{}, 0, 0, "count(*) > 1"},
		{PartLimit, "max groups", feeds.Type{}, 0, 0, "5000000 rows; what comes for further groups is one row a partition"},
		{PartColumn, "s", str, 0, 0, "key"}, {PartColumn, "n", big, 0, 0, "count(*)"}, {PartColumn, "range", dbl, 0, 0, "max(d) - min(d)"},
		{PartStage1, "", feeds.Type{}, 1, 1, "a commit interval, at most a second, becomes a partial a group: its key and aggregates, nothing of the records"},
		{PartGroup, "", feeds.Type{}, 1, 1, "a row's memory in stage 2, and again in each view"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
