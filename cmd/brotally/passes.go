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
)

// expectedRate is how many records a second two cores count: only for the estimate that run opens with.
const expectedRate = 400_000

// pass is one group's reading of a topic, as run tells of it.
type pass struct {
	feed       string
	mixed      bool
	topic      string
	group      string
	partitions int32
	oldest     map[int32]int64
	behind     int64 // records that are there and not yet read
	tables     []string
}

// tellPasses says what is read, as soon as it has been decided: a line for each topic and group. arranged carries the names
// of tables. That it cannot is no error.
func (r *running) tellPasses(ctx context.Context, admin *kafka.Admin, cfg kafka.Config, arranged <-chan []string) {
	for {
		select {
		case names := <-arranged:
			if err := r.tellTables(ctx, admin, cfg, names); err != nil {
				r.log.Debug("what is read cannot be told", "why", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// tellTables says which passes the named tables have.
func (r *running) tellTables(ctx context.Context, admin *kafka.Admin, cfg kafka.Config, names []string) error {
	catalog, err := kafka.OpenCatalog(admin, cfg)
	if err != nil {
		return err
	}
	entries, err := catalog.Load(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(entries, func(name string, _ kafka.Entry) bool { return !slices.Contains(names, name) })
	return r.tellEntries(admin, cfg, entries)
}

// tellEntries says which passes the tables have.
func (r *running) tellEntries(admin *kafka.Admin, cfg kafka.Config, entries map[string]kafka.Entry) error {
	byGroup := map[string]*pass{}
	starts := map[string]map[int32]int64{}
	note := func(name string, e kafka.Entry) {
		for topic, source := range e.Sources {
			group := cfg.CombineGroup(source.Pass)
			if byGroup[group] == nil {
				byGroup[group] = &pass{feed: e.Feed, mixed: source.Mixed, topic: topic, group: group}
				starts[group] = source.Begin()
			}
			byGroup[group].tables = append(byGroup[group].tables, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		note(name, entries[name])
		if next := entries[name].Next; next != nil {
			note("the next "+name, *next)
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
