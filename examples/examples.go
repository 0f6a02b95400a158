// Package examples holds the standing tables and streams that come with Brotally: SQL files to start from, and what the demo
// runs.
//
//	text, err := fs.ReadFile(examples.Tables, "tables/dns_counts.sql")
package examples

import "embed"

// Tables holds tables/*.sql: one CREATE TABLE a file, named as its table, with a comment of one line on top that says
// what the table answers.
//
//go:embed tables/*.sql
var Tables embed.FS

// Streams holds streams/*.sql in the same way: one CREATE STREAM a file.
//
//go:embed streams/*.sql
var Streams embed.FS
