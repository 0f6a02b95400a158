package processors

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// settleEvery is about how often is looked whether something in the catalog can go on.
const settleEvery = 300 * time.Millisecond

// settle moves the catalog on, until ctx is done, which is no error: a definition that was being built and has caught up
// takes its place, passes over one topic that have come equally far become one, and what nobody needs any more is deleted.
// Every instance does this; the catalog sees to it that each thing is done once. What fails is tried again.
func (p *Processors) settle(ctx context.Context) error {
	var said time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settleEvery/2 + rand.N(settleEvery)): // so that instances lose step
		}
		entries := p.entries.Load()
		if entries == nil {
			continue
		}
		for _, do := range []func(context.Context, map[string]kafka.Entry) error{p.settlePublished, p.mergePasses, p.switchOver, p.clearAway} {
			err := do(ctx, *entries)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil && time.Since(said) > time.Minute:
				said = time.Now()
				p.config.Log.Warn("what the catalog waits for cannot be done yet", "why", err)
			}
		}
	}
}

// changeEntry changes one entry, unless it has changed since it was looked at. change returns nil for nothing to do.
func (p *Processors) changeEntry(ctx context.Context, was kafka.Entry, change func(e kafka.Entry) *kafka.Entry) (done bool, err error) {
	err = p.registry.Update(ctx, func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		done = false
		e, ok := entries[was.Table]
		if !ok || e.Dropped || e.Hash != was.Hash || e.Generation != was.Generation || (e.Next == nil) != (was.Next == nil) ||
			e.Next != nil && e.Next.Generation != was.Next.Generation {
			return nil, nil
		}
		after := change(e)
		if after == nil {
			return nil, nil
		}
		done = true
		return map[string]*kafka.Entry{was.Table: after}, nil
	})
	return done && err == nil, err
}

// switchOver lets definitions that have caught up with those that answer take their place.
func (p *Processors) switchOver(ctx context.Context, entries map[string]kafka.Entry) error {
	for _, e := range entries {
		if e.Next == nil || e.Dropped {
			continue
		}
		ready, err := p.caughtUp(e)
		if err != nil {
			return err
		}
		if !ready {
			continue
		}
		done, err := p.changeEntry(ctx, e, func(e kafka.Entry) *kafka.Entry {
			next := *e.Next
			next.Latest, next.Before = e.Latest, outdated(e.Before, e.Hash, next.Hash)
			r := kafka.Retired{Own: e.Own(), Sources: e.Sources, Serving: true}
			if e.Result != next.Result {
				r.Result = e.Result
			}
			next.Retired = append(slices.Clone(e.Retired), r)
			return &next
		})
		if err != nil {
			return err
		}
		if done {
			p.config.Log.Info("the new definition takes the old one's place", "table", e.Table)
		}
	}
	return nil
}

// closeBehind is how many offsets of partials stage 2 may be behind to count as being at their end: each commit of stage 1
// writes some, and a marker.
const closeBehind = 100

// caughtUp reports whether an entry's next definition has read all that the present one has, in both stages. It is a look, not a
// promise: how far it must be before it is shown is decided when the old one has come to its end.
func (p *Processors) caughtUp(e kafka.Entry) (bool, error) {
	names := p.config.Kafka
	for topic, source := range e.Next.Sources {
		old, reads := e.Sources[topic]
		if !reads {
			continue
		}
		was, err := p.admin.CommittedOffsets(names.CombineGroup(old.Pass))
		if err != nil {
			return false, err
		}
		now, err := p.admin.CommittedOffsets(names.CombineGroup(source.Pass))
		if err != nil {
			return false, err
		}
		for partition := range was[topic] {
			if source.Reached(now[topic], partition) < old.Reached(was[topic], partition) {
				return false, nil
			}
		}
	}
	partials := names.PartialsTopic(e.Next.Own())
	merged, err := p.admin.CommittedOffsets(names.TableGroup(e.Next.Own()))
	if err != nil {
		return false, err
	}
	held, err := p.admin.Offsets(partials)
	if err != nil {
		return false, err
	}
	for partition, r := range held[partials] {
		if r.Newest-max(merged[partials][partition], r.Oldest) > closeBehind {
			return false, nil
		}
	}
	return true, nil
}

// settlePublished enters what this process has published, as long as somebody waits for it.
func (p *Processors) settlePublished(ctx context.Context, entries map[string]kafka.Entry) error {
	for _, e := range entries {
		if !slices.ContainsFunc(e.Retired, func(r kafka.Retired) bool { return r.Serving }) {
			continue
		}
		mine := p.results.of(shows(e.Own(), e.SQL, e.Result))
		news := func(e kafka.Entry) []int32 {
			return slices.DeleteFunc(slices.Clone(mine), func(n int32) bool { return slices.Contains(e.Published, n) })
		}
		if len(news(e)) == 0 {
			continue
		}
		if _, err := p.changeEntry(ctx, e, func(e kafka.Entry) *kafka.Entry {
			e.Published = append(slices.Clone(e.Published), news(e)...)
			slices.Sort(e.Published)
			return &e
		}); err != nil {
			return err
		}
	}
	return nil
}

// clearAway deletes what was dropped or retired, once nobody uses it: first what can be made anew by mistake or by whoever
// has not heard, the catalog's word of it last.
func (p *Processors) clearAway(ctx context.Context, entries map[string]kafka.Entry) error {
	for _, e := range entries {
		if e.Dropped {
			if err := p.clearDropped(ctx, e, entries); err != nil {
				return err
			}
			continue
		}
		for _, r := range e.Retired {
			if r.Serving && len(e.Published) < int(e.Partitions) {
				continue
			}
			if err := p.clearRetired(ctx, e, r, entries); err != nil {
				return err
			}
		}
	}
	return nil
}

// clearRetired deletes what a definition has left behind.
func (p *Processors) clearRetired(ctx context.Context, e kafka.Entry, r kafka.Retired, entries map[string]kafka.Entry) error {
	names := p.config.Kafka
	var topics, groups []string
	if r.Own != "" {
		topics = append(topics, names.PartialsTopic(r.Own), names.ChangelogTopic(r.Own))
		groups = append(groups, names.TableGroup(r.Own))
	}
	for _, source := range r.Sources {
		if !passInUse(entries, source.Pass) {
			groups = append(groups, names.CombineGroup(source.Pass))
		}
	}
	if r.Result != "" && !resultInUse(entries, r.Result) {
		topics = append(topics, r.Result)
	}
	if idle, err := p.idle(groups); err != nil || !idle {
		return err
	}
	if err := p.admin.DeleteGroups(groups...); err != nil {
		return err
	}
	if err := p.admin.DeleteTopics(topics...); err != nil {
		return err
	}
	done, err := p.changeEntry(ctx, e, func(e kafka.Entry) *kafka.Entry {
		before := len(e.Retired)
		e.Retired = slices.DeleteFunc(slices.Clone(e.Retired), func(x kafka.Retired) bool { return reflect.DeepEqual(x, r) })
		if len(e.Retired) == before {
			return nil
		}
		if len(e.Retired) == 0 {
			e.Published = nil
		}
		return &e
	})
	if done && len(topics) > 0 {
		p.config.Log.Info("what is no longer needed was deleted", "table", e.Table, "topics", topics)
	}
	return err
}

// clearDropped deletes all of something, its entry last.
func (p *Processors) clearDropped(ctx context.Context, e kafka.Entry, entries map[string]kafka.Entry) error {
	topics, groups, passes := Belongings(p.config.Kafka, e)
	topics = slices.DeleteFunc(topics, func(t string) bool { return resultInUse(entries, t) })
	for _, pass := range passes {
		if !passInUse(entries, pass) {
			groups = append(groups, p.config.Kafka.CombineGroup(pass))
		}
	}
	if idle, err := p.idle(groups); err != nil || !idle {
		return err
	}
	if err := p.admin.DeleteGroups(groups...); err != nil {
		return err
	}
	if err := p.admin.DeleteTopics(topics...); err != nil {
		return err
	}
	err := p.registry.Update(ctx, func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		if now, ok := entries[e.Table]; !ok || !now.Dropped {
			return nil, nil
		}
		return map[string]*kafka.Entry{e.Table: nil}, nil
	})
	if err == nil {
		p.config.Log.Info("dropped", string(kindOr(tables.Kind(e.Kind))), e.Table, "topics", topics)
	}
	return err
}

// idle reports whether no group has members.
func (p *Processors) idle(groups []string) (bool, error) {
	for _, g := range groups {
		if members, err := p.admin.GroupMembers(g); err != nil || len(members) > 0 {
			return false, err
		}
	}
	return true, nil
}

// resultInUse reports whether something shows its results, or is going to show them, in a topic.
func resultInUse(entries map[string]kafka.Entry, topic string) bool {
	for _, e := range entries {
		if !e.Dropped && (e.Result == topic || e.Next != nil && e.Next.Result == topic) {
			return true
		}
	}
	return false
}

// passInUse reports whether something reads through the pass.
func passInUse(entries map[string]kafka.Entry, pass string) bool {
	for _, e := range entries {
		if e.Dropped {
			continue
		}
		for _, of := range []*kafka.Entry{&e, e.Next} {
			if of == nil {
				continue
			}
			for _, source := range of.Sources {
				if source.Pass == pass || source.Merge == pass {
					return true
				}
			}
		}
	}
	return false
}
