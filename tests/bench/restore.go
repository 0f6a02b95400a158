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
	j, err := b.rowsApp(ctx)
	if err != nil {
		return err
	}
	client, err := b.producer(0)
	if err != nil {
		return err
	}
	defer client.Close()
	title := fmt.Sprintf("%s rows, from the start of the process", thousands(float64(b.Rows)))
	for r := range b.Runs {
		if err := b.restart(ctx, client, j, r, title); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) restart(ctx context.Context, client *kgo.Client, j *job, r int, title string) error {
	want, err := b.load(ctx, rowsLaw(b.Rows))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mostMinutes*time.Minute)
	defer cancel()
	// TXT, which none of the rows is.
	fill := law{seed: uint64(j.records)}.filler()
	value := fill.append(nil, time.Now().UnixMicro(), "172.31.0.1", qtypes[5])
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: j.topic, Value: value}).FirstErr(); err != nil {
		return err
	}
	j.records++ // the topic is not the law's any more; the next run of the benchmark loads it anew

	i, err := b.startBrotally(*j)
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
		if s.Ready && s.Groups >= b.Rows {
			break
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("HTTP has %d of %d rows: %w", s.Groups, b.Rows, err)
		}
	}
	answers := time.Since(i.started).Seconds()
	cpu, peak := i.used()
	if _, err := i.reached(ctx, "dns_counts", j.topic, j.records); err != nil {
		return err
	}
	counts := time.Since(i.started).Seconds()
	got, err := i.counts(ctx)
	if err != nil {
		return err
	}
	group := groupOf("172.31.0.1", qtypes[5].name)
	if added := j.records - int64(b.Rows); got[group] != added {
		return fmt.Errorf("HTTP is not exact: %s has %d, want %d", group, got[group], added)
	}
	delete(got, group)
	if err := difference("HTTP after the restart", want, got); err != nil {
		return err
	}
	b.note("restore", title, "brotally", r, values{rowsPerSecond: float64(b.Rows) / answers, answersAfter: answers, countsAfter: counts, cpuPerMillion: cpu / float64(b.Rows) * 1e6, peakRSS: peak})
	return nil
}
