package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// restore stops an instance that has ROWS rows, sends a record while it is away, and starts it again: how long from the
// start of the process until the rows answer, and until the record is counted.
func (b *bench) restore(ctx context.Context) error {
	t, err := b.rowsApp(ctx)
	if err != nil {
		return err
	}
	client, err := b.producer(0)
	if err != nil {
		return err
	}
	defer client.Close()
	for r := range b.Runs {
		if err := b.restart(ctx, client, t, r); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) restart(ctx context.Context, client *kgo.Client, t *rowsTable, r int) error {
	ctx, cancel := context.WithTimeout(ctx, mostMinutes*time.Minute)
	defer cancel()
	before := len(t.counts)
	fill := law{seed: uint64(t.records)}.filler()
	value := fill.append(nil, time.Now().UnixMicro(), "172.31.0.1", qtypes[5])
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: t.topic, Value: value}).FirstErr(); err != nil {
		return err
	}
	t.records++ // the topic is not the law's any more; the next run of the benchmark loads it anew
	t.counts[groupOf("172.31.0.1", qtypes[5].name)]++

	i, err := b.startBrotally(t.job)
	if err != nil {
		return err
	}
	defer i.end()
	ctx, alive := i.watch(ctx)
	defer alive()
	for {
		s, err := i.table(ctx, "dns_counts")
		if err != nil {
			return err
		}
		if s.Ready && s.Groups >= before {
			break
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("HTTP has %d of %d rows: %w", s.Groups, before, err)
		}
	}
	answers := time.Since(i.started).Seconds()
	cpu, peak := i.used()
	if _, err := i.reached(ctx, "dns_counts", t.topic, t.records); err != nil {
		return err
	}
	counts := time.Since(i.started).Seconds()
	if err := i.exact(ctx, t); err != nil {
		return fmt.Errorf("after the restart: %w", err)
	}
	b.note("restore", fmt.Sprintf("%s rows, from the start of the process", thousands(float64(b.Rows))), "brotally", r, values{rowsPerSecond: float64(before) / answers, answersAfter: answers, countsAfter: counts, cpuPerMillion: cpu / float64(before) * 1e6, peakRSS: peak})
	return nil
}
