package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func database() *Database {
	return &Database{
		Name: "brotally", User: "analyst", Version: "PostgreSQL 16.0", PID: 7, Now: time.Unix(1_700_000_000, 0),
		Tables: []Table{
			{Name: "dns_counts", Rows: 6, Bytes: 10_000, Columns: []Column{{"id.orig_h", oidInet, true}, {"qtype_name", oidText, true}, {"count", oidInt8, false}}},
			{Name: "dns_total", Rows: 1, Columns: []Column{{"n", oidInt8, false}, {"hosts", 1041, false}}},
		},
		Setting: func(name string) (string, bool) { return "v", name == "x" },
	}
}

// show writes an answer as text: types, then rows.
func show(r *Result) string {
	var b strings.Builder
	for i, c := range r.Columns {
		fmt.Fprintf(&b, "%s%s:%s", map[bool]string{true: " "}[i > 0], c.Name, formatType(c.OID))
	}
	for _, row := range r.Rows {
		b.WriteByte('\n')
		for i, v := range row {
			if i > 0 {
				b.WriteByte('|')
			}
			if v == nil {
				b.WriteString("NULL")
			} else {
				b.WriteString(Text(v, r.Columns[i].OID))
			}
		}
	}
	return b.String()
}

func TestQuestions(t *testing.T) {
	for _, c := range []struct{ question, want string }{
		{"SELECT 1, 'x', NULL AS n, true, 1.5", "?column?:integer ?column?:text n:text ?column?:boolean ?column?:double precision\n1|x|NULL|t|1.5"},
		{"SELECT 1 + 2 * 3 - -1, 7 / 2, 7 % 4, 'a' || 'b', NOT false, 2 BETWEEN 1 AND 3", "?column?:integer ?column?:integer ?column?:integer ?column?:text ?column?:boolean ?column?:boolean\n8|3|3|ab|t|t"},
		{"SELECT NULL AND false, NULL OR false, NULL = NULL, NULL IS NULL, 1 IS DISTINCT FROM NULL, 1 IN (2, NULL), 1 NOT IN (2, 3)",
			"?column?:boolean ?column?:boolean ?column?:boolean ?column?:boolean ?column?:boolean ?column?:boolean ?column?:boolean\nf|NULL|NULL|t|t|NULL|t"},
		{"SELECT c.relname, a.attname, a.atttypid::regtype, format_type(a.atttypid, NULL) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'r' ORDER BY 1, a.attnum",
			"relname:name attname:name atttypid:regtype format_type:text\ndns_counts|id.orig_h|inet|inet\ndns_counts|qtype_name|text|text\ndns_counts|count|bigint|bigint\ndns_total|n|bigint|bigint\ndns_total|hosts|inet[]|inet[]"},
		{"SELECT c.relname, i.indkey FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid WHERE c.relname LIKE 'dns\\_%' AND c.relkind = 'r' ORDER BY c.relname DESC",
			"relname:name indkey:int2vector\ndns_total|NULL\ndns_counts|1 2"},
		{"SELECT n.nspname, count(*) AS n FROM pg_namespace n, pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'i') AND n.nspname = 'public' GROUP BY n.nspname HAVING count(*) > 1", "nspname:name n:bigint\npublic|3"},
		{"SELECT 'dns_counts'::regclass, 'public.dns_total'::regclass::text, to_regclass('nix') IS NULL, 'dns_counts'::regclass::oid = (SELECT oid FROM pg_class WHERE relname = 'dns_counts' AND relkind = 'r')",
			"regclass:regclass regclass:text ?column?:boolean ?column?:boolean\ndns_counts|dns_total|t|t"},
		{"SELECT unnest(conkey) AS k, generate_subscripts(conkey, 1) FROM pg_constraint", "k:smallint generate_subscripts:integer\n1|1\n2|2"},
		{"SELECT (x.keys).n, (x.keys).x FROM (SELECT information_schema._pg_expandarray(indkey) AS keys FROM pg_index) x", "n:integer x:text\n1|1\n2|2"},
		{"SELECT array_agg(attname ORDER BY attnum DESC), string_agg(attname, ',') FROM pg_attribute WHERE attrelid = 'dns_total'::regclass", "array_agg:name[] string_agg:text\n{hosts,n}|n,hosts"},
		{"WITH t(a) AS (VALUES (1), (2), (NULL)) SELECT a, row_number() OVER (ORDER BY a DESC NULLS LAST), CASE a WHEN 1 THEN 'one' ELSE 'other' END AS word FROM t ORDER BY a",
			"a:integer row_number:bigint word:text\n1|2|one\n2|1|other\nNULL|3|other"},
		{"SELECT 1 UNION SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 ORDER BY 1 DESC LIMIT 1", "?column?:integer\n2"},
		{"SELECT DISTINCT relkind FROM pg_class ORDER BY 1", "relkind:\"char\"\ni\nr\nv"},
		{"SELECT EXISTS (SELECT 1 FROM pg_type t WHERE t.typname = 'inet'), ARRAY(SELECT nspname FROM pg_namespace ORDER BY 1), 'b' = ANY (ARRAY['a', 'b']), 3 <> ALL ('{1,2}'::int[])",
			"exists:boolean array:name[] ?column?:boolean ?column?:boolean\nt|{information_schema,pg_catalog,public}|t|t"},
		{"SELECT s.n FROM generate_series(1, 3) AS s(n) CROSS JOIN LATERAL (SELECT s.n * 2 AS m) x WHERE x.m > 2", "n:integer\n2\n3"},
		{"SELECT table_name, column_name, data_type, udt_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'dns_total' ORDER BY ordinal_position", "table_name:name column_name:name data_type:text udt_name:name\ndns_total|n|bigint|int8\ndns_total|hosts|ARRAY|_inet"},
		{"SELECT pg_catalog.version(), current_schema(), current_database(), current_setting('x'), current_user, pg_size_pretty(pg_total_relation_size('dns_counts'))",
			"version:text current_schema:name current_database:name current_setting:text current_user:name pg_size_pretty:text\nPostgreSQL 16.0|public|brotally|v|analyst|10000 bytes"},
		{"SELECT a.relname FROM pg_class a JOIN pg_type d USING (oid)", "relname:name"},
		{"SELECT relname FROM pg_class WHERE relname OPERATOR(pg_catalog.~) '^(dns_.*)$' COLLATE pg_catalog.default AND relkind = 'i'", "relname:name\ndns_counts_key"},
	} {
		q, err := Parse(c.question)
		if err != nil {
			t.Errorf("%s: %v", c.question, err)
			continue
		}
		r, err := q.Run(t.Context(), database(), nil)
		if err != nil {
			t.Errorf("%s: %v", c.question, err)
			continue
		}
		if diff := cmp.Diff(c.want, show(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.question, diff)
		}
	}
}

func TestFaultsSayWhere(t *testing.T) {
	defer func(was int) { maxSteps = was }(maxSteps)
	maxSteps = 100_000
	for _, c := range []struct {
		question, code string
		at             int
	}{
		{"SELECT", "", 0},
		{"SELECT 1 +", codeSyntax, 10},
		{"SELECT nix FROM pg_class", codeNoColumn, 7},
		{"SELECT * FROM pg_catalog.pg_nix", codeNoTable, 14},
		{"SELECT nix()", codeNoFunction, 7},
		{"SELECT 1::nix", codeNoType, 8},
		{"SELECT 'x'::int", codeBadText, 10},
		{"SELECT 'nix'::regclass", codeNoTable, 12},
		{"SELECT 1 / 0", codeDivision, 9},
		{"SELECT (SELECT oid FROM pg_class)", codeNotOneRow, -1},
		{"SELECT split_part('a')", codeNoFunction, 7},
		{strings.Repeat("(", 1000), codeTooMuch, 99},
		{"SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d WHERE a.oid + b.oid + c.oid + d.oid = 0", codeTooMuch, -1},
	} {
		q, err := Parse(c.question)
		if err == nil {
			_, err = q.Run(t.Context(), database(), nil)
		}
		var e *Error
		if c.code == "" && err == nil {
			continue
		}
		if !errors.As(err, &e) || e.Code != c.code || c.code != codeTooMuch && e.At != c.at {
			t.Errorf("%.60s: %+v", c.question, err)
		}
	}
}

// TestParametersHaveTheTypesOfWhatTheyAreComparedWith does not depend on which rows there are.
func TestParametersHaveTheTypesOfWhatTheyAreComparedWith(t *testing.T) {
	for _, c := range []struct {
		question string
		want     []uint32
	}{
		{"SELECT relname FROM pg_class WHERE oid = $1 AND relname = $2 OR $3::bool OR relkind = ANY ($4)", []uint32{oidOID, oidText, oidBool, 1002}},
		{"SELECT 1 FROM pg_namespace n, pg_attribute a WHERE n.nspname = $1 AND a.attnum > $2 LIMIT $3 OFFSET $4", []uint32{oidText, oidInt2, oidInt8, oidInt8}},
		{"SELECT 1 FROM pg_trigger t JOIN pg_attribute a ON a.attnum = $1 WHERE a.attnum IN (7, $2) AND a.attrelid BETWEEN $3 AND $4", []uint32{oidInt2, oidInt2, oidOID, oidOID}},
		{"SELECT coalesce(attnum, $1), CASE WHEN false THEN $2 ELSE 1 END, pg_get_userbyid($3) FROM pg_attribute WHERE false AND EXISTS (SELECT 1 FROM pg_class WHERE oid = $4 AND relkind = $5)", []uint32{oidInt2, oidInt4, oidOID, oidOID, oidChar}},
		{"SELECT count(*) FROM generate_series($1, $2) WHERE $3 = $4", []uint32{oidInt8, oidInt8, oidText, oidText}},
	} {
		q, err := Parse(c.question)
		if err != nil {
			t.Fatal(err)
		}
		r, err := q.Run(t.Context(), database(), make([]any, q.Params()))
		if err != nil {
			t.Errorf("%s: %v", c.question, err)
			continue
		}
		if diff := cmp.Diff(c.want, r.Params); diff != "" {
			t.Errorf("%s\n%s", c.question, diff)
		}
	}
}

func TestAsksTellsTheCatalogFromTables(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT 1": true, "SELECT * FROM pg_class": true, "SELECT * FROM information_schema.tables": true, "SELECT * FROM dns_counts": false,
		"SELECT * FROM public.dns_counts": false, "SELECT extract(epoch FROM ts) FROM dns_counts": false, "SELECT * FROM generate_series(1, 2)": true,
		"SELECT * FROM (SELECT * FROM dns_counts) x": false, `SELECT * FROM "pg_catalog"."pg_class"`: true,
		"SELECT 1 IS DISTINCT FROM NULL": true, "SELECT count IS DISTINCT FROM 1 FROM dns_counts": false,
		"WITH x AS (SELECT 1), y (a) AS (SELECT 2) SELECT * FROM x, y JOIN x z ON true": true, "WITH x AS (SELECT * FROM dns_counts) SELECT * FROM x": false,
	} {
		tokens, err := Lex(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Asks(tokens); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// FuzzQuestion asks anything: the answer is one, or an *Error.
func FuzzQuestion(f *testing.F) {
	f.Add("SELECT c.relname, $1 FROM pg_class c LEFT JOIN LATERAL unnest(ARRAY[1]) x ON true WHERE oid = ANY ('{1}') ORDER BY 1 DESC LIMIT 2")
	f.Add("WITH a AS (VALUES (1, 'x')) SELECT (a).column1, count(*) OVER (), CASE WHEN 1 IS NULL THEN E'\\n' END FROM a GROUP BY 1")
	f.Add("SELECT substring('abc' FROM 2 FOR 1), position('a' IN 'b'), trim(BOTH ' ' FROM 'x'), (ROW(1, 2)).f1, '{\"a\"}'::text[]")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err = q.Run(ctx, database(), make([]any, q.Params()))
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Code == codeInternal) && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%T %v", err, err)
		}
	})
}
