// Package pgwire lets PostgreSQL's clients read tables: psql, drivers of all languages, and the tools that are built on them.
//
//	l, err := views.Listen(views.ListenConfig{Addr: "127.0.0.1:5432", Upgrade: true})
//	server, err := pgwire.New(pgwire.Config{Views: all})
//	err = server.Serve(ctx, l) // until ctx is done
//
// A session speaks the protocol's version 3 (3.0 and 3.2), simple and extended, text and binary. What its statements ask goes three ways: a SELECT over a table is compiled and
// answered by package views, as HTTP has it; a question about the catalog by package pgcatalog; and what only sets the session up, such as BEGIN or SET, here.
// Nothing can be written.
//
// # Limits
//
// A message has 1 MiB at most, a session 256 prepared statements and 16 portals; there are [Config].Sessions sessions. Who does not finish the start within 10 seconds is
// let go, and so is who says nothing for hours. Look-ups have the limits of [views.Limits].
package pgwire
