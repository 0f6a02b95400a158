package tables_test

import (
	"strings"

	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// explain is the script command of that name.
func (s *script) explain(name, text string) string {
	stmt, err := sql.ParseStatement("script.sql", text)
	if err != nil {
		return err.Error()
	}
	explain, ok := stmt.(*sql.Explain)
	if !ok {
		s.t.Fatalf("no EXPLAIN: %s", text)
	}
	look, err := tables.CompileSelect(explain.Query, s.tables[name])
	if err != nil {
		return err.Error()
	}
	return strings.Join(look.Explain(1000), "\n")
}
