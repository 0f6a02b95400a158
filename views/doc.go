// Package views is how tables are read: a Goka view a table keeps a copy of its group table in memory, look-ups are SELECTs
// over it, and an HTTP server answers them.
//
//	all, err := views.New(views.Config{Kafka: cfg, Tables: tables})
//	go all.Run(ctx)                      // until ctx is done
//	view, ok := all.View("dns_counts")
//	answer, err := view.Query(ctx, sel, params)
//	handler := views.NewServer(views.ServerConfig{Views: all})
//
// # What an answer is
//
// A view follows the changelog of its table, committed records only, and is therefore a moment behind it. Every answer says
// how far: [AsOf] names an offset of each source partition, and every record below it is in the answer. It is a floor, rows
// may hold later records too. [View.WaitFor] waits until it has reached given offsets.
//
// A view that does not have all of its table answers [*NotReady], unless the caller wants what there is.
//
// # Changes
//
// Who wants to keep a copy of a table listens to its changes: the rows, and then what becomes of each that changes, as server-sent
// events. What has such a copy is at certain offsets of the changelog's partitions, and these are where it goes on after a lost
// connection, at this server or another. Changes are kept for that only while somebody listens, see [Limits]. docs/HTTP.md has the
// events.
//
// # Limits
//
// Look-ups are bounded, see [Limits]: in time, rows and bytes, and in how many scan at once. A look-up that names one value
// for each group column does not scan, it reads one row. What goes beyond a limit is a [*LimitError]. Over HTTP, look-ups that need no
// row twice keep none: their answers are as large as the table.
//
// # Recovery
//
// Goka's own recovery waits for a record where a transactional changelog has a commit marker. So our storage recovers before
// Goka sees it (internal/grouptable), and Goka follows from there. A view whose changelog was deleted, or that fails for any
// other reason than a lost connection, is rebuilt from nothing.
package views
