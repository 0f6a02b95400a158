package tables_test

import (
	"fmt"
	"slices"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// A table is compiled, fed with records, and looked up.
func Example() {
	all, err := tables.CompileFile("tables.sql", `
		CREATE TABLE dns_counts AS
		SELECT id.orig_h, qtype_name, count(*) AS count
		FROM dns GROUP BY id.orig_h, qtype_name`, feeds.Lookup)
	if err != nil {
		fmt.Println(err)
		return
	}
	layout, _ := tables.LayoutOf(all...)
	fold, _ := tables.NewFold(all[0], layout, 1)
	decoder, rec := codecs.NewJSON(layout), feeds.Record{}
	for _, msg := range []string{
		`{"ts":1,"id.orig_h":"10.0.0.1","qtype_name":"A"}`,
		`{"ts":2,"id.orig_h":"10.0.0.1","qtype_name":"A"}`,
		`{"ts":3,"id.orig_h":"10.0.0.2"}`,
	} {
		if err := decoder.Decode([]byte(msg), &rec); err == nil {
			fold.Combiner(0).Add(&rec)
		}
	}
	rows, _ := fold.Rows()

	stmt, _ := sql.ParseStatement("", "SELECT * FROM dns_counts ORDER BY count DESC LIMIT 10")
	look, _ := tables.CompileSelect(stmt.(*sql.Select), all[0])
	answer, _ := look.Run(slices.Values(rows), nil)
	for _, row := range answer.Values {
		fmt.Println(row)
	}
	// Output:
	// [10.0.0.1 A 2]
	// [10.0.0.2 NULL 1]
}

// An error says where, and what to write instead.
func ExampleCompileFile() {
	_, err := tables.CompileFile("tables.sql", "CREATE TABLE t AS\nSELECT qtype_nam, count(*) FROM dns GROUP BY 1", feeds.Lookup)
	fmt.Println(err)
	// Output:
	// tables.sql:2:8: no column qtype_nam in dns; did you mean qtype_name?
	//   SELECT qtype_nam, count(*) FROM dns GROUP BY 1
	//          ^
}
