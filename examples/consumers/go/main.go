// Command go keeps a copy of a Brotally table by reading its result topic, and prints it when nothing has changed for a while.
//
//	go run ./examples/consumers/go -b localhost:9092 -topic dns_counts
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	brokers := flag.String("b", "localhost:9092", "host:port of a broker")
	topic := flag.String("topic", "dns_counts", "result topic")
	idle := flag.Duration("idle", 3*time.Second, "print and end after this long without a change")
	flag.Parse()

	client, err := kgo.NewClient(
		kgo.SeedBrokers(*brokers),
		kgo.ConsumeTopics(*topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // the topic is the table: read all of it
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),      // else values show that were rolled back
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	table := map[string]string{} // key to the newest value
	for {
		ctx, cancel := context.WithTimeout(context.Background(), *idle)
		fetches := client.PollFetches(ctx)
		cancel()
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			break
		}
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Value == nil { // a tombstone: the row is gone
				delete(table, string(r.Key))
				return
			}
			table[string(r.Key)] = string(r.Value)
		})
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		fmt.Printf("%s\t%s\n", key, table[key])
	}
}
