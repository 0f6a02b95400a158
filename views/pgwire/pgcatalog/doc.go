// Package pgcatalog answers what PostgreSQL's clients ask of a server about itself: which tables there are, with which columns, of
// which types. It is a small relational engine over relations that are made up for each question: pg_catalog and
// information_schema.
//
//	q, err := pgcatalog.Parse("SELECT relname FROM pg_catalog.pg_class WHERE relkind = 'r'")
//	columns, err := q.Columns(db)
//	rows, err := q.Rows(ctx, db, nil)
//
// # What it is, and what it is not
//
// It evaluates the SELECTs that psql, drivers and tools send: joins, subqueries also correlated ones, grouping, set operations, CASE,
// arrays, casts to regclass. It walks trees over a few hundred rows and is in no hurry. It does not see the rows of tables: those
// are looked up by package views, in its own SQL. A relation or function that it does not have is a [*Error], which says so.
package pgcatalog
