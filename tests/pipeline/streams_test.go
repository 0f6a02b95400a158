package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// recordsOf shows every record of a stream's topic: one that came twice is seen twice.
func (w *world) recordsOf(ctx context.Context, p *part) ([]string, error) {
	if err := w.settleAll(ctx); err != nil {
		return nil, err
	}
	all, err := w.cluster.records(ctx, p.args)
	if err != nil {
		return nil, err
	}
	topics, err := w.cluster.admin.ListTopics(ctx, w.cluster.prefix+p.args)
	if err != nil {
		return nil, err
	}
	partitions := len(topics[w.cluster.prefix+p.args].Partitions)
	var lines []string
	for _, r := range all {
		if want := hasher.ForTopic(r.Topic).Partition(r, partitions); int(r.Partition) != want {
			return nil, fmt.Errorf("key %s lies in partition %d, Java's partitioner says %d", visible(string(r.Key)), r.Partition, want)
		}
		if !json.Valid(r.Value) {
			return nil, fmt.Errorf("key %s: %s is no JSON", visible(string(r.Key)), r.Value)
		}
		lines = append(lines, or(visible(string(r.Key)), "<empty>")+" => "+visible(string(r.Value)))
	}
	slices.Sort(lines)
	return lines, nil
}

// settleStreams waits until the streams reflect everything that the script has produced. They tell nobody, but what their
// passes have committed is written: records and offsets are one transaction.
func (w *world) settleStreams(ctx context.Context) error {
	for _, d := range w.definitions {
		if !d.stream {
			continue
		}
		if err := poll(ctx, d.name+" has everything", func() (bool, error) { return w.written(ctx, d.name) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) written(ctx context.Context, stream string) (bool, error) {
	last, err := w.cluster.last(ctx, "brotally-catalog")
	if err != nil || last[stream] == nil || last[stream].Value == nil {
		return true, err // it waits for its topics
	}
	var e struct {
		Sources map[string]struct {
			Start, From map[int32]int64
			Pass        string
		}
	}
	if err := json.Unmarshal(last[stream].Value, &e); err != nil {
		return false, err
	}
	for topic, source := range e.Sources {
		committed, err := w.cluster.admin.FetchOffsets(ctx, w.app()+"-combine-"+source.Pass)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // it is being made
			return false, err
		}
		for partition, end := range w.cluster.produced(topic) {
			at := max(source.Start[partition], source.From[partition]) // a pass that was made of others begins where they ended
			if o, ok := committed.Lookup(topic, partition); ok {
				at = max(at, o.At)
			}
			if at < end {
				return false, nil
			}
		}
	}
	return true, nil
}
