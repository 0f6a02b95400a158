// Package sql is the text side of Brotally's language: lexer, parser, syntax tree, printer and errors that point at
// the place. It knows nothing of feeds, types or functions; package tables gives the tree its meaning.
//
//	stmts, err := sql.Parse("tables.sql", text) // *sql.Error: file, line, column, caret, suggestion
//	for _, s := range stmts {
//		fmt.Println(sql.Format(s)) // canonical text; parsing it gives the same tree
//	}
//
// # The language
//
//	CREATE TABLE name [WITH (option = literal, ..)] AS select
//	CREATE STREAM name [WITH (..)] AS select
//
//	SELECT [DISTINCT] expr [[AS] name], .. FROM name [WHERE expr]
//	  [WINDOW TUMBLING|HOPPING|SESSION (SIZE 1 HOUR, ..) [ON expr]]
//	  [GROUP BY expr, ..] [HAVING expr]
//	  [EMIT CHANGES|FINAL] [TTL 'interval'] [MAX GROUPS n]
//	  [ORDER BY expr [ASC|DESC] [NULLS FIRST|LAST], ..] [LIMIT n] [OFFSET n]
//
// Words, quoting and operator precedence are PostgreSQL's, with three differences: an unquoted name keeps its case
// (Zeek has columns such as AA and TTLs), a dotted name such as id.orig_h is one name, and backticks quote names too.
package sql
