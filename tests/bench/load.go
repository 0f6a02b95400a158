package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partitions is how many a topic of the benchmark has, unless its law has another number.
const partitions = 4

// blockRecords is how many records in a row a loaded topic has in one partition, as a producer with null keys lays them.
const blockRecords = 256

// producer returns a client that writes records where they say. linger is how long a record may wait for others.
func (b *bench) producer(linger time.Duration) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(b.brokers), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(256<<10), kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(linger),
		kgo.MetadataMinAge(metadataAge))
}

// load makes sure that the law's topic is there, and returns the exact counts. A topic of an earlier run is used again.
func (b *bench) load(ctx context.Context, l law) (map[string]int64, error) {
	if counts, ok := b.loaded[l.topic()]; ok {
		return counts, nil
	}
	counts := l.counts()
	ends, err := b.admin.ListEndOffsets(ctx, l.topic())
	if err != nil {
		return nil, err
	}
	have := int64(0)
	ends.Each(func(o kadm.ListedOffset) { have += max(0, o.Offset) })
	if have != int64(l.records) {
		if err := b.fill(ctx, l, l.topic()); err != nil {
			return nil, fmt.Errorf("load %s: %w", l.topic(), err)
		}
	}
	b.say("topic %s: %s records, %s groups", l.topic(), thousands(float64(l.records)), thousands(float64(len(counts))))
	b.loaded[l.topic()] = counts
	return counts, nil
}

// fill makes a topic anew and writes the law's records.
func (b *bench) fill(ctx context.Context, l law, topic string) error {
	if err := b.remove(ctx, func(name string) bool { return name == topic }); err != nil {
		return err
	}
	parts := cmp.Or(l.partitions, partitions)
	if err := b.create(ctx, topic, parts, nil); err != nil {
		return err
	}
	client, err := b.producer(5 * time.Millisecond)
	if err != nil {
		return err
	}
	defer client.Close()
	failed := &firstError{}
	fill, at, i := l.filler(), firstRecord, 0
	for c := range l.choices() {
		at += fill.gap()
		r := &kgo.Record{Topic: topic, Partition: int32(i / blockRecords % parts), Value: fill.append(make([]byte, 0, 512), at, hostName(c.host), qtypes[c.qtype])}
		client.Produce(ctx, r, failed.promise)
		if i++; i%blockRecords == 0 && failed.get() != nil {
			break
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return failed.get()
}

// create makes a topic with settings of its own.
func (b *bench) create(ctx context.Context, topic string, parts int, settings map[string]*string) error {
	made, err := b.admin.CreateTopic(ctx, int32(parts), 1, settings, topic)
	if err == nil {
		err = made.Err
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	for { // a broker may say that it is done before its metadata shows it
		all, err := b.admin.ListTopics(ctx, topic)
		if err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
		if len(all[topic].Partitions) == parts && all[topic].Err == nil {
			return nil
		}
	}
}

// remove deletes topics, and waits until their names are free.
func (b *bench) remove(ctx context.Context, which func(topic string) bool) error {
	for again := false; ; again = true {
		all, err := b.admin.ListTopics(ctx)
		if err != nil {
			return err
		}
		names := slices.DeleteFunc(all.Names(), func(name string) bool { return !which(name) })
		if len(names) == 0 {
			return nil
		}
		if !again {
			if _, err := b.admin.DeleteTopics(ctx, names...); err != nil {
				return fmt.Errorf("delete topics: %w", err)
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("topics %s are not deleted: %w", strings.Join(names, ", "), err)
		}
	}
}

// forget removes what an application left behind: topics and consumer groups whose names begin with its own.
func (b *bench) forget(ctx context.Context, app string) error {
	ours := func(name string) bool { return strings.HasPrefix(name, app+"-") || name == app }
	if err := b.remove(ctx, ours); err != nil {
		return err
	}
	groups, err := b.admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	// A group may be held for some time by a process that was killed; nobody meets it again.
	_, _ = b.admin.DeleteGroups(ctx, slices.DeleteFunc(groups.Groups(), func(name string) bool { return !ours(name) })...)
	return nil
}

// firstError keeps the first of several errors.
type firstError struct {
	mu  sync.Mutex // guards err
	err error
}

func (f *firstError) promise(_ *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
