package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

const (
	// expectedRate is how many records a second two cores count: only for the estimate that run opens with.
	expectedRate = 400_000

	passesLook   = 100 * time.Millisecond
	passesGiveUp = 30 * time.Second
)

// pass is one group's reading of a topic, as run tells of it.
type pass struct {
	feed       string
	topic      string
	group      string
	partitions int32
	oldest     map[int32]int64
	behind     int64 // records that are there and not yet read
	tables     []string
}

// tellPasses says what is read, once it has been decided: a line for each topic and group. That it cannot is no error.
func (r *running) tellPasses(ctx context.Context, admin *kafka.Admin, cfg kafka.Config, defined []*tables.Table) {
	catalog, err := kafka.OpenCatalog(admin, cfg)
	if err != nil {
		r.log.Debug("what is read cannot be told", "why", err)
		return
	}
	told := map[string]bool{}
	end := time.Now().Add(passesGiveUp)
	for time.Now().Before(end) && len(told) < len(defined) {
		entries, err := catalog.Load(ctx)
		if err != nil {
			r.log.Debug("what is read cannot be told yet", "why", err)
		}
		fresh := map[string]kafka.Entry{}
		for _, t := range defined {
			if e, ok := entries[t.Name]; ok && !told[t.Name] {
				fresh[t.Name], told[t.Name] = e, true
			}
		}
		if err := r.tellEntries(admin, cfg, fresh); err != nil {
			r.log.Debug("what is read cannot be told", "why", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(passesLook):
		}
	}
}

// tellEntries says which passes the tables have.
func (r *running) tellEntries(admin *kafka.Admin, cfg kafka.Config, entries map[string]kafka.Entry) error {
	byGroup := map[string]*pass{}
	starts := map[string]map[int32]int64{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		for topic, source := range entries[name].Sources {
			group := cfg.CombineGroup(source.Pass)
			if byGroup[group] == nil {
				byGroup[group] = &pass{feed: entries[name].Feed, topic: topic, group: group}
				starts[group] = source.Start
			}
			byGroup[group].tables = append(byGroup[group].tables, name)
		}
	}
	for _, p := range slices.SortedFunc(maps.Values(byGroup), func(a, b *pass) int { return cmp.Compare(a.group, b.group) }) {
		if err := p.measure(admin, starts[p.group]); err != nil {
			return fmt.Errorf("group %s: %w", p.group, err)
		}
		r.tellPass(*p)
	}
	return nil
}

// measure finds out how much there is to read.
func (p *pass) measure(admin *kafka.Admin, starts map[int32]int64) error {
	held, err := admin.Offsets(p.topic)
	if err != nil {
		return err
	}
	committed, err := admin.CommittedOffsets(p.group)
	if err != nil {
		return err
	}
	p.partitions, p.oldest = int32(len(held[p.topic])), map[int32]int64{}
	for n, r := range held[p.topic] {
		p.oldest[n] = r.Oldest
		from, ok := committed[p.topic][n]
		if !ok {
			from = max(starts[n], r.Oldest)
		}
		p.behind += max(r.Newest-from, 0)
	}
	return nil
}

// offsetsText writes the offsets of partitions: one number when all are the same, else all of them.
func offsetsText(offsets map[int32]int64) string {
	parts := []string{}
	same := true
	for _, n := range slices.Sorted(maps.Keys(offsets)) {
		parts = append(parts, fmt.Sprint(offsets[n]))
		same = same && offsets[n] == offsets[0]
	}
	if same && len(parts) > 0 {
		return parts[0]
	}
	return strings.Join(parts, "/")
}

// roughly is how long reading so many records may take.
func roughly(records int64) string {
	d := time.Duration(float64(records) / expectedRate * float64(time.Second))
	switch {
	case d < time.Second:
		return "1 s"
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
