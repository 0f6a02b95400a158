package sql

import (
	"errors"
	"testing"
)

// FuzzParse feeds the parser any text: it never panics, its errors are *Error with a place inside the text, and what
// it accepts is printed as a text that it accepts and prints the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		fullTable, fullTablePrinted,
		"SELECT - -a, NOT (a), a::text[], x[1][2], a = ANY(b), CASE a WHEN 1 THEN 2 END FROM t",
		"SELECT interval '1 hour', extract(epoch FROM max(ts)) FROM `a.b`",
		"SELECT a IS NOT DISTINCT FROM b, a NOT LIKE 'x' ESCAPE '', b BETWEEN -1 AND (1=2) FROM \"A\" -- x",
		"EXPLAIN SELECT a FROM t WHERE b = $1 LIMIT 5", "EXPLAIN EXPLAIN", "explain analyze select 1",
		"SELECT İ(1), ſ 'x', K'y', count(*) FILTER (WHERE a) FROM t", "CREATE TABLE", "SELECT 'a", "/* /* */", "$1 $0 1e 1_ .", "\xff\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stmts, err := Parse("f", text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Error() == "" {
				t.Fatalf("%T without a place: %v", err, err)
			}
			return
		}
		once := printAll(stmts)
		again, err := Parse("f", once)
		if err != nil {
			t.Fatalf("%q was read but not what it is printed as:\n%s\n%v", text, once, err)
		}
		if twice := printAll(again); twice != once {
			t.Fatalf("%q is printed as\n%s\nand that as\n%s", text, once, twice)
		}
	})
}
