// Package grouptable keeps the partitions of one table's group table in memory and recovers them from its changelog. The
// processors write through it, the views read through it; to Goka it is a storage.Builder.
//
//	store := grouptable.New(grouptable.Config{Client: client, Table: table, Topic: "brotally-dns_counts-table", Values: true})
//	goka.WithStorageBuilder(store.Builder(session)) // session returns the context of the session that wants a partition
//
// # Recovery
//
// Goka's own recovery waits for a record at the high watermark less one. On a transactional changelog that offset holds a
// commit marker, so it would wait for ever. The builder therefore recovers before Goka sees the storage, and
// [Store.TopicManager] tells Goka that nothing is left to read.
//
// Recovery reads to the high watermark that it sees after the assignment, not to the last stable offset: behind a dead
// instance's open transaction lie others' committed rows, whose input offsets have moved on. Stopping short would forget them.
package grouptable
