package tables_test

import (
	"errors"
	"strings"

	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// mistakes is the script command of that name.
func (s *script) mistakes(what string, lines []string) string {
	var out []string
	for _, line := range lines {
		prefix := ""
		if what == "table" {
			prefix = "CREATE TABLE t AS "
		}
		err := s.compile(what, prefix+line)
		var wrong *sql.Error
		switch {
		case err == nil:
			out = append(out, line, "  is fine")
		case !errors.As(err, &wrong):
			s.t.Errorf("%s: an error without a place: %v", line, err)
		default:
			_, message, _ := strings.Cut(wrong.Summary(), ": ")
			at := wrong.Column - 1 - len(prefix)
			if at < 0 { // the CREATE TABLE itself
				out = append(out, prefix+line, strings.Repeat(" ", wrong.Column-1)+"^ "+message)
				continue
			}
			out = append(out, line, strings.Repeat(" ", at)+"^ "+message)
		}
	}
	return strings.Join(out, "\n")
}

// compile compiles statements, or a look-up in a table.
func (s *script) compile(what, text string) error {
	table, lookup := s.tables[what]
	if !lookup {
		_, err := tables.CompileFile("script.sql", text, s.resolve)
		return err
	}
	stmt, err := sql.ParseStatement("script.sql", text)
	if err != nil {
		return err
	}
	query, ok := stmt.(*sql.Select)
	if !ok {
		s.t.Fatalf("no look-up: %s", text)
	}
	_, err = tables.CompileSelect(query, table)
	return err
}
