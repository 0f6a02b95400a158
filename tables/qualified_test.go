package tables

import (
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// TestLookupsMayQualifyNames compiles what clients write around names, and compares with what it means.
func TestLookupsMayQualifyNames(t *testing.T) {
	defined, err := CompileFile("test.sql", `CREATE TABLE dns_counts AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY 1, 2;`, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ written, fault string }{
		{`SELECT dns_counts.count, dns_counts.id.orig_h FROM dns_counts WHERE dns_counts.count > $1 ORDER BY dns_counts.count`, ""},
		{`SELECT "dns_counts"."count", "dns_counts"."id.orig_h" FROM "dns_counts"`, ""},
		{`SELECT x.count, x."id.orig_h" FROM dns_counts x WHERE x.id.orig_h = '10.0.0.1' LIMIT 0`, ""},
		{`SELECT x.count, x."id.orig_h" FROM dns_counts AS x WHERE x.qtype_name IS NULL`, ""},
		{`SELECT x.* FROM dns_counts x`, ""},
		{`SELECT count FROM dns_counts WHERE count > $1::INTEGER AND qtype_name = $2::VARCHAR LIMIT $3::BIGINT OFFSET $4`, ""},
		{`SELECT public.dns_counts.* FROM dns_counts`, ""},
		{`SELECT count FROM dns_counts WHERE public.dns_counts.qtype_name = 'A'`, ""},
		{`SELECT y.* FROM dns_counts x`, "FROM has no y"},
	} {
		stmt, err := sql.ParseStatement("", c.written)
		if err != nil {
			t.Errorf("%s: %v", c.written, err)
			continue
		}
		s, err := CompileSelect(stmt.(*sql.Select), defined[0])
		switch {
		case c.fault == "" && err != nil, c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: %v", c.written, err)
		case err == nil:
			for _, column := range s.Columns {
				if strings.Contains(column.Name, "dns_counts") || strings.HasPrefix(column.Name, "x.") {
					t.Errorf("%s: a column is called %s", c.written, column.Name)
				}
			}
		}
	}
}

// TestOutputNamesMayBeginWithTheTables orders by what SELECT names, which looks like a column of the table.
func TestOutputNamesMayBeginWithTheTables(t *testing.T) {
	defined, err := CompileFile("test.sql", `CREATE TABLE t AS SELECT qtype_name, count(*) AS n FROM dns GROUP BY 1;`, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	for _, written := range []string{`SELECT max(n) AS "t.n" FROM t ORDER BY "t.n"`, `SELECT x.n % 2 AS "x.n", count(*) AS c FROM t x GROUP BY "x.n" ORDER BY c, "x.n"`} {
		stmt, err := sql.ParseStatement("", written)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CompileSelect(stmt.(*sql.Select), defined[0]); err != nil {
			t.Errorf("%s: %v", written, err)
		}
	}
}

func TestParamTypeIsThatOfItsPlace(t *testing.T) {
	defined, err := CompileFile("test.sql", `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS count, max(ts) AS last FROM dns GROUP BY 1, 2;`, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	stmt, err := sql.ParseStatement("", `SELECT * FROM t WHERE count >= $2 AND last < $1 AND id.orig_h = $3 AND qtype_name IN ($4, $6) LIMIT $5`)
	if err != nil {
		t.Fatal(err)
	}
	s, err := CompileSelect(stmt.(*sql.Select), defined[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []feeds.Kind{feeds.Timestamp, feeds.Bigint, feeds.Inet, feeds.String, feeds.Bigint, feeds.String} {
		if got := s.ParamType(i + 1); got != feeds.T(want) {
			t.Errorf("$%d is %v, not %v", i+1, got, want)
		}
	}
}
