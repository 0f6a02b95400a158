package sql

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// canonical parses and prints one expression.
func canonical(t *testing.T, expr string) string {
	t.Helper()
	s, err := ParseStatement("", "SELECT "+expr+" FROM t")
	if err != nil {
		t.Fatalf("%s:\n%v", expr, err)
	}
	return Format(s.(*Select).Items[0].Expr)
}

func TestOperatorsBindAsInPostgreSQL(t *testing.T) {
	// The second column says with parentheses how the first one binds.
	for _, c := range [][2]string{
		{`a OR b AND c`, `a OR (b AND c)`},
		{`NOT a = b`, `NOT (a = b)`},
		{`NOT a AND b`, `(NOT a) AND b`},
		{`NOT a IS NULL`, `NOT (a IS NULL)`},
		{`a = b IS NULL`, `(a = b) IS NULL`},
		{`a + b * c - d`, `(a + (b * c)) - d`},
		{`a - b - c`, `(a - b) - c`},
		{`a * b / c % d`, `((a * b) / c) % d`},
		{`-a * b`, `(-a) * b`},
		{`-a::bigint`, `-(a::bigint)`},
		{`a || b = c`, `(a || b) = c`},
		{`a + b || c`, `(a + b) || c`},
		{`a < b + 1`, `a < (b + 1)`},
		{`a BETWEEN 1 AND 2 AND b`, `(a BETWEEN 1 AND 2) AND b`},
		{`a BETWEEN 1 + 1 AND 2 * 3`, `a BETWEEN (1 + 1) AND (2 * 3)`},
		{`NOT a BETWEEN 1 AND 2`, `NOT (a BETWEEN 1 AND 2)`},
		{`a LIKE b || '%' ESCAPE '!'`, `a LIKE (b || '%') ESCAPE '!'`},
		{`a IN (1, 2) = b`, `(a IN (1, 2)) = b`},
		{`a IS DISTINCT FROM b = c`, `a IS DISTINCT FROM (b = c)`},
		{`a IS NOT DISTINCT FROM b AND c`, `(a IS NOT DISTINCT FROM b) AND c`},
		{`a[1]::bigint + 1`, `((a[1])::bigint) + 1`},
		{`CAST(a + b AS double precision)`, `(a + b)::double precision`},
		{`a = ANY(b) OR c`, `(a = ANY (b)) OR c`},
		{`- -a`, `-(-a)`},
		{`a - -1`, `a - (-1)`},
		{`a != b`, `a <> b`},
		{`a ISNULL`, `a IS NULL`},
	} {
		if got, want := canonical(t, c[0]), canonical(t, c[1]); got != want {
			t.Errorf("%s binds as %s, want %s", c[0], got, want)
		}
	}
}

func TestStringsWithEscapes(t *testing.T) {
	for written, want := range map[string]string{
		`E'a\\b'`: `a\b`, `e'it\'s ''x'''`: `it's 'x'`, `E'\n\t\r\b\f\q'`: "\n\t\r\b\fq", `E'\x41\101\u00e9\U0001F600\x4'`: "AAé😀\x04", `E'\u12\xg\8'`: "u12xg8",
		`E'\xc3\xa9'`: "é", `E'\x00'`: "!NUL", `E'\xff'`: "!UTF-8", `E'a`: "!never closed", `E'a\'`: "!never closed", `E'a\`: "!never closed", `E 'a'`: "!not supported",
	} {
		stmt, err := ParseStatement("", "SELECT "+written+" FROM t")
		if fault, ok := strings.CutPrefix(want, "!"); ok {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: %v", written, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", written, err)
		} else if s, ok := stmt.(*Select).Items[0].Expr.(*String); !ok || s.Value != want {
			t.Errorf("%s: %#v", written, stmt.(*Select).Items[0].Expr)
		}
	}
}

func TestExpressionsPrintCanonically(t *testing.T) {
	for _, c := range [][2]string{
		{`"id.orig_h"`, `id.orig_h`},
		{"`id.orig_h`", `id.orig_h`},
		{`"id"."orig_h"`, `id.orig_h`},
		{`certificate.not_valid_after`, `certificate.not_valid_after`},
		{`AA`, `AA`},
		{`"AA"`, `"AA"`},
		{`"from"`, `"from"`},
		{`id.from`, `id.from`},
		{`"a ""b"`, `"a ""b"`},
		{`"1st"`, `"1st"`},
		{`COUNT( * )`, `count(*)`},
		{`count(distinct x) filter (where y>0)`, `count(DISTINCT x) FILTER (WHERE y > 0)`},
		{`Extract(EPOCH from max(ts))`, `extract(epoch FROM max(ts))`},
		{`interval '1 hour'`, `INTERVAL '1 hour'`},
		{`'it''s'`, `'it''s'`},
		{`case when a then 1 else null end`, `CASE WHEN a THEN 1 ELSE NULL END`},
		{`case a when 1 then 'x' end`, `CASE a WHEN 1 THEN 'x' END`},
		{`1_000 + .5 + 1e9`, `1000 + .5 + 1e9`},
		{`x not in (1,2)`, `x NOT IN (1, 2)`},
		{`x not ilike 'a%'`, `x NOT ILIKE 'a%'`},
		{`(a OR b) AND c`, `(a OR b) AND c`},
		{`((a)) /* c /* nested */ */ -- end`, `a`},
		{`a::text[]`, `a::text[]`},
		{`a is not true`, `a IS NOT TRUE`},
		{`(a = b) = c`, `(a = b) = c`},
		{`$2 || "x y"`, `$2 || "x y"`},
	} {
		if got := canonical(t, c[0]+"\n"); got != c[1] {
			t.Errorf("%s is printed as %s, want %s", c[0], got, c[1])
		}
	}
}

func TestWordsOfTheLanguageAreNamesWhereNothingElseIsPossible(t *testing.T) {
	for _, text := range []string{
		`SELECT version, cipher FROM ssl`,
		`SELECT count(*) AS count, min(min), max(max) max FROM key`,
		`SELECT key, value, topic, format, ttl, window, emit, first, last, interval, extract, filter, any FROM t`,
		`SELECT count FROM window WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY window, ttl, emit`,
		`SELECT x FROM max MAX GROUPS 5`,
		`SELECT a AS from, b AS select FROM t`,
		`SELECT with, table, date, time, type, name, method, host, user, path FROM http`,
	} {
		if _, err := Parse("", text); err != nil {
			t.Error(err)
		}
	}
}

const fullTable = `-- every clause
CREATE TABLE conn_bytes_1h WITH (topic = 'conn-bytes-1h', partitions = 4, start='earliest', x=-1, y=true) AS
SELECT window_start, id.orig_h, sum(orig_bytes) AS out, sum(resp_bytes) "back", count(*) n
FROM conn WHERE proto = 'tcp' AND NOT in_subnet(id.resp_h, '10.0.0.0/8')
WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 15 minutes, GRACE '2 hours', RETENTION 7 DAYS) ON COALESCE(ts + duration, ts)
GROUP BY id.orig_h, 1 HAVING sum(orig_bytes) > 1000000 EMIT CHANGES TTL '30 days' MAX GROUPS 1000;
CREATE STREAM failed AS SELECT ts, uid FROM ssh WHERE auth_success = false;
SELECT DISTINCT * FROM dns_counts WHERE id.orig_h = $1 ORDER BY n DESC NULLS LAST, 2, a ASC LIMIT 20 OFFSET $2`

const fullTablePrinted = `CREATE TABLE conn_bytes_1h WITH (topic = 'conn-bytes-1h', partitions = 4, start = 'earliest', x = -1, y = TRUE) AS
SELECT window_start, id.orig_h, sum(orig_bytes) AS out, sum(resp_bytes) AS back, count(*) AS n
FROM conn
WHERE proto = 'tcp' AND NOT in_subnet(id.resp_h, '10.0.0.0/8')
WINDOW HOPPING (SIZE '1 HOUR', ADVANCE BY '15 MINUTES', GRACE '2 hours', RETENTION '7 DAYS') ON coalesce(ts + duration, ts)
GROUP BY id.orig_h, 1
HAVING sum(orig_bytes) > 1000000
EMIT CHANGES
TTL '30 days'
MAX GROUPS 1000;
CREATE STREAM failed AS
SELECT ts, uid
FROM ssh
WHERE auth_success = FALSE;
SELECT DISTINCT *
FROM dns_counts
WHERE id.orig_h = $1
ORDER BY n DESC NULLS LAST, 2, a
LIMIT 20
OFFSET $2;
`

func printAll(stmts []Statement) string {
	var b strings.Builder
	for _, s := range stmts {
		b.WriteString(Format(s) + ";\n")
	}
	return b.String()
}

func TestStatementsPrintCanonically(t *testing.T) {
	stmts, err := Parse("all.sql", fullTable)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullTablePrinted, printAll(stmts)); diff != "" {
		t.Fatal(diff)
	}
	again, err := Parse("all.sql", printAll(stmts))
	if err != nil {
		t.Fatal(err)
	}
	// The quotes of a name that needs none are not part of the tree's meaning.
	opts := cmp.Options{cmpopts.IgnoreTypes(Pos(0), &Source{}), cmpopts.IgnoreFields(Name{}, "Quoted")}
	if diff := cmp.Diff(stmts, again, opts); diff != "" {
		t.Fatal("parsing what was printed gives another tree:\n" + diff)
	}
}

func TestPositionsCountCharactersFromOne(t *testing.T) {
	src := &Source{Text: "a\nüx\r\n"}
	for _, c := range []struct {
		at           Pos
		line, column int
	}{{0, 1, 1}, {1, 1, 2}, {2, 2, 1}, {4, 2, 2}, {100, 3, 1}, {-1, 1, 1}} {
		if line, column := src.Position(c.at); line != c.line || column != c.column {
			t.Errorf("Position(%d) = %d:%d, want %d:%d", c.at, line, column, c.line, c.column)
		}
	}
}

func TestClosest(t *testing.T) {
	columns := []string{"ts", "uid", "id.orig_h", "id.orig_p", "qtype", "qtype_name", "rcode_name"}
	for word, want := range map[string]string{
		"qtype_nam": "qtype_name", "qtpye_name": "qtype_name", "QTYPE_NAME": "qtype_name", "orig_h": "id.orig_h",
		"id.orig_hh": "id.orig_h", "rcode": "rcode_name", "xyz": "", "banana": "", "": "",
	} {
		if got := Closest(word, columns); got != want {
			t.Errorf("Closest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestDepthAndSizeAreBounded(t *testing.T) {
	for name, expr := range map[string]string{
		"parentheses": strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000),
		"calls":       strings.Repeat("f(", 50_000) + "1" + strings.Repeat(")", 50_000),
		"not":         strings.Repeat("NOT ", 100_000) + "a",
		"minus":       strings.Repeat("- ", 100_000) + "a",
		"case":        strings.Repeat("CASE WHEN ", 50_000) + "a",
		"brackets":    strings.Repeat("a[", 50_000) + "1",
	} {
		_, err := Parse("", "SELECT "+expr+" FROM t")
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, "levels deep") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse("", strings.Repeat(" ", maxTextBytes+1)); err == nil {
		t.Error("a text over the limit was read")
	}
	// A long chain is not deep to the parser; it is left to be walked without trouble.
	if got := canonical(t, "1"+strings.Repeat(" + 1", 100_000)); len(got) != 400_001 {
		t.Errorf("the sum has %d characters", len(got))
	}
}

func TestLongLinesAreCutAroundTheCaret(t *testing.T) {
	_, err := Parse("x.sql", "SELECT "+strings.Repeat("a, ", 200)+"? FROM t")
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 3 || len(lines[1]) > maxLineShown+2 || lines[1][len(lines[2])-1] != '?' {
		t.Fatalf("%s", err)
	}
}

func TestControlCharactersNeverReachATerminal(t *testing.T) {
	_, err := Parse("x.sql", "SELECT \x1b[31m\ta FROM t")
	if strings.ContainsAny(err.Error(), "\x1b\t") {
		t.Fatalf("%q", err.Error())
	}
}
