// Package replay sends log files to Kafka as Bro's Kafka plugin would have sent the records: JSON values, null keys, a topic
// a feed.
//
//	summary, err := replay.Run(ctx, replay.Config{
//		Kafka: kafka.Config{Brokers: []string{"127.0.0.1:9092"}},
//		Files: []string{"dns.log.gz", "conn=flows-2026.log", "-"},
//		Rate:  5000,
//	})
//	// summary.Records were sent and acknowledged, summary.Bad lines were not
//
// [Sender] is the same without files, for messages that are made in the process.
//
// # What is exact
//
// A message is acknowledged by all replicas in sync and written once, however often it has to be sent again (idempotent
// producer). [Sender.Sent] counts acknowledgements, not attempts, with the offset behind the last one, so that whoever waits
// for a table to reach the end of what was sent knows where that is.
//
// # What differs from the plugin
//
// librdkafka picks a random partition for a null key and stays with it for a while. Here records go round robin, so that
// even a small log lies in all partitions and the same log always lies the same way. Records' timestamps are the time of
// sending, as the plugin's are.
package replay
