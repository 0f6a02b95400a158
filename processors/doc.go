// Package processors counts: two Goka processors a table, each inside Kafka transactions, so that a table is exactly what
// one pass over its topics would give, whatever crashes.
//
//	p, err := processors.New(processors.Config{Kafka: kafka.Config{Brokers: []string{"localhost:9092"}}, Tables: defined})
//	err = p.Run(ctx) // until ctx is done
//
// Stage 1, combine, reads a feed's topic and sends partials; stage 2, group, adds them to the table's rows and writes the
// changelog and the result topic. [Processors.Run] decides with the catalog which tables share a reading of a topic.
// How a record travels, and what must not be changed lightly, is in docs/DESIGN.md.
package processors
