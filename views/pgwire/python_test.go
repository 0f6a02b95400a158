package pgwire

import (
	"flag"
	"testing"

	"github.com/brotally/brotally/internal/testdocs"
	"github.com/brotally/brotally/views"
)

var updateDocs = flag.Bool("update-docs", false, "write what Python prints into docs/POSTGRES.md")

// TestPythonReadsTables runs what docs/POSTGRES.md says of Python, with the Python that PYTHON names: one that has psycopg, SQLAlchemy and pandas.
func TestPythonReadsTables(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	testdocs.Python(t, "../../docs/POSTGRES.md", 4, *updateDocs, "localhost:5432", f.addr)
}
