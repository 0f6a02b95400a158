// Package kafka is what the processors, the views and replay share of Kafka: client settings that neither lose nor double
// count, TLS and SASL, Java's partitioning, topics, a reader that sees transactions, a transactional producer, the catalog.
//
//	cfg := kafka.Config{Brokers: []string{"127.0.0.1:9092"}, App: "brotally"}
//	admin, err := kafka.NewAdmin(cfg) // *ErrNoBroker within 10 seconds when nobody answers
//	defer admin.Close()
//	err = admin.Ensure(kafka.Topic{Name: "dns_counts", Partitions: 4, Config: map[string]string{"cleanup.policy": "compact"}})
//
// # Settings
//
// [Config.Sarama] is the only place that makes a *sarama.Config. Sarama's and Goka's defaults lose records (acks=1, new
// groups begin at the newest record, offsets committed on a timer, offsets silently reset) or count them twice (a producer
// that is not idempotent, readers that see aborted transactions); TestDefaults holds the list.
//
// # Transactions
//
// [Tx] writes records and input offsets in one transaction; [Reader] reads what was committed, to the high watermark it saw
// when it began, and so waits for transactions that a dead instance left open. Errors come classified, see [Class].
package kafka
