package tests

import (
	"testing"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/traffic"
	"github.com/brotally/brotally/tables"
)

// TestTheEstimateOfARowHoldsForAnOffice compares what plan says of a row's memory with what rows take over the records of a
// large office: between half and twice of it, as docs/SQL.md states.
func TestTheEstimateOfARowHoldsForAnOffice(t *testing.T) {
	all, err := tables.CompileFile("tables.sql", `
		CREATE TABLE dns_counts AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY 1, 2;
		CREATE TABLE names AS SELECT query, count(*) AS n, max(ts) AS newest FROM dns GROUP BY query;
		CREATE TABLE conn_bytes AS SELECT id.orig_h, id.resp_h, sum(orig_bytes) AS o, sum(resp_bytes) AS r, avg(duration) AS d FROM conn GROUP BY 1, 2;
		CREATE TABLE peers AS SELECT id.orig_h, approx_count_distinct(id.resp_h) AS peers FROM conn WHERE id.resp_p = 53 GROUP BY 1;
		CREATE TABLE hosts AS SELECT host, uri, min(user_agent) AS agent, count(*) AS n FROM http GROUP BY 1, 2;
	`, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	type counted struct {
		decoder  *codecs.JSON
		combiner *tables.Combiner
	}
	counting := map[*tables.Table]counted{}
	for _, table := range all {
		layout, err := tables.LayoutOf(table)
		if err != nil {
			t.Fatal(err)
		}
		combiner, err := table.NewCombiner(layout)
		if err != nil {
			t.Fatal(err)
		}
		counting[table] = counted{codecs.NewJSON(layout), combiner}
	}
	office, err := traffic.New(traffic.Config{Seed: 7, Hosts: 3000, Rate: 2000})
	if err != nil {
		t.Fatal(err)
	}
	var rec feeds.Record
	for range 60_000 {
		m := office.Next()
		for table, c := range counting {
			if table.Feed.Name != m.Feed {
				continue
			}
			if err := c.decoder.Decode(m.Value, &rec); err != nil {
				t.Fatal(err)
			}
			c.combiner.Add(&rec)
		}
	}
	for _, table := range all {
		var estimate float64
		for _, d := range table.Describe() {
			if d.Part == tables.PartGroup {
				estimate = float64(d.Bytes)
			}
		}
		groups := counting[table].combiner.Groups()
		if groups.Len() < 1000 {
			t.Errorf("%s: %d groups are too few to say", table.Name, groups.Len())
		}
		took := float64(groups.Bytes()) / float64(groups.Len())
		t.Logf("%s: %d groups of %.0f bytes, the estimate is %.0f", table.Name, groups.Len(), took, estimate)
		if took < estimate/2 || took > estimate*2 {
			t.Errorf("%s: a group takes %.0f bytes, the estimate is %.0f", table.Name, took, estimate)
		}
	}
}
