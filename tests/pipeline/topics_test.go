package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// hasher puts keys where Java's default partitioner does.
var hasher = kgo.StickyKeyPartitioner(nil)

// withoutWindow is the key that a row of a table with windows would have without them: what its partition goes by.
func withoutWindow(key []byte) []byte {
	at := bytes.Index(key, []byte(`"window_start":`))
	if at < 0 { // its start is the whole key
		return []byte("{}")
	}
	rest := append(bytes.TrimRight(key[:at], ","), '}')
	var members map[string]*string
	if json.Unmarshal(rest, &members) != nil || len(members) > 1 {
		return rest
	}
	for _, text := range members { // one column: its plain text
		if text == nil {
			return []byte(`\N`)
		}
		return []byte(*text)
	}
	return rest
}

func (w *world) result(ctx context.Context, p *part) ([]string, error) {
	if err := w.settleAll(ctx); err != nil {
		return nil, err
	}
	topic, live := strings.CutPrefix(p.args, "live ")
	topic, every := strings.CutPrefix(topic, "every ")
	all, err := w.cluster.records(ctx, topic)
	if err != nil {
		return nil, err
	}
	if !every {
		last, err := w.cluster.last(ctx, topic)
		if err != nil {
			return nil, err
		}
		all = slices.Collect(maps.Values(last))
	}
	slices.SortStableFunc(all, func(a, b *kgo.Record) int { return bytes.Compare(a.Key, b.Key) })
	ends, err := w.cluster.admin.ListEndOffsets(ctx, w.cluster.prefix+topic)
	if err != nil {
		return nil, err
	}
	partitions := len(ends[w.cluster.prefix+topic])
	windows := false
	for _, r := range all {
		windows = windows || bytes.Contains(r.Value, []byte(`"window_start":`))
	}
	var lines []string
	for _, r := range all {
		key := string(r.Key)
		group := &kgo.Record{Key: r.Key}
		if windows {
			group.Key = withoutWindow(r.Key)
		}
		if want := hasher.ForTopic(r.Topic).Partition(group, partitions); int(r.Partition) != want {
			return nil, fmt.Errorf("key %s lies in partition %d, Java's partitioner says %d", visible(key), r.Partition, want)
		}
		if live && r.Value == nil {
			continue
		}
		value := "(gone)"
		if r.Value != nil {
			value = visible(string(r.Value))
			if !json.Valid(r.Value) {
				return nil, fmt.Errorf("key %s: %s is no JSON", visible(key), value)
			}
		}
		lines = append(lines, or(visible(key), "<empty>")+" => "+value)
	}
	return lines, nil
}

func (w *world) deadLetters(ctx context.Context, _ *part) ([]string, error) {
	if err := w.settleAll(ctx); err != nil {
		return nil, err
	}
	letters, err := w.cluster.last(ctx, "brotally-dead-letter") // the topic is compacted
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, l := range letters {
		if l.Value == nil && len(l.Headers) == 0 {
			lines = append(lines, string(l.Key)+": (replayed)")
			continue
		}
		reason := ""
		for _, h := range l.Headers {
			if h.Key == "__streams.errors.message" {
				reason = string(h.Value)
			}
		}
		value := "<null>"
		if l.Value != nil {
			value = or(visible(string(l.Value)), "<empty>")
		}
		lines = append(lines, string(l.Key)+": "+visible(reason)+": "+value)
	}
	slices.Sort(lines)
	return lines, nil
}

func (w *world) catalog(ctx context.Context, _ *part) ([]string, error) {
	if err := w.settledCatalog(ctx); err != nil {
		return nil, err
	}
	last, err := w.cluster.last(ctx, "brotally-catalog")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if last[name].Value == nil {
			continue
		}
		var e struct {
			Kind, Feed, Result string
			Partitions         int32
			Sources            map[string]struct {
				Partitions int32
				Start      map[int32]int64
				Pass       string
				Mixed      bool
			}
		}
		if err := json.Unmarshal(last[name].Value, &e); err != nil {
			return nil, err
		}
		kind := ""
		if e.Kind != "" {
			kind = "kind=" + e.Kind + " "
		}
		lines = append(lines, fmt.Sprintf("%s: %sfeed=%s result=%s partitions=%d", name, kind, e.Feed, e.Result, e.Partitions))
		for _, topic := range slices.Sorted(maps.Keys(e.Sources)) {
			source := e.Sources[topic]
			var starts []string
			for _, partition := range slices.Sorted(maps.Keys(source.Start)) {
				starts = append(starts, fmt.Sprintf("%d:%d", partition, source.Start[partition]))
			}
			line := fmt.Sprintf("  %s: pass=%s partitions=%d start=%s", topic, source.Pass, source.Partitions, strings.Join(starts, ","))
			if source.Mixed {
				line += " mixed"
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func (w *world) allTopics(ctx context.Context, _ *part) ([]string, error) {
	if err := w.settledCatalog(ctx); err != nil {
		return nil, err
	}
	topics, err := w.cluster.admin.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(w.cluster.ours(topics.Names()), func(n string) bool { return w.cluster.made[n] })
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	configs, err := w.cluster.admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	var cells [][]string
	for _, name := range names {
		config, err := configs.On(name, nil)
		if err != nil {
			return nil, err
		}
		var words []string
		for _, c := range config.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig && c.Value != nil {
				words = append(words, c.Key+"="+strings.Join(slices.Sorted(strings.SplitSeq(*c.Value, ",")), ","))
			}
		}
		slices.Sort(words)
		cells = append(cells, []string{w.plain(name), strconv.Itoa(len(topics[name].Partitions)), strings.Join(words, " ")})
	}
	return aligned(cells), nil
}

func (w *world) groups(ctx context.Context, _ *part) ([]string, error) {
	if err := w.settledCatalog(ctx); err != nil {
		return nil, err
	}
	groups, err := w.cluster.admin.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	return w.cluster.ours(groups.Groups()), nil
}
