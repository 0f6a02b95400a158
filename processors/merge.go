package processors

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// mergeBehind is how many records two passes may be apart to become one: so many are read again, and passed over by those
// that have counted them.
const mergeBehind = 50_000

// reading is a pass as the catalog has it.
type reading struct {
	topic  string
	source kafka.Source
	of     []string // names of tables and streams
	defs   []*tables.Definition
	begin  map[int32]int64 // where it begins, by partition: the least of theirs
	idle   bool            // nobody may read through it: it is about to become one with another
}

// mergePasses makes passes one that read the same records: first all of them stop, then, when it is certain how far each has
// come, a new one takes their place.
func (p *Processors) mergePasses(ctx context.Context, entries map[string]kafka.Entry) error {
	passes, err := p.readings(entries)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(passes)) {
		if r := passes[name]; r.idle {
			if err := p.mergeStopped(ctx, r.topic, r.source.Merge, entries); err != nil {
				return err
			}
			return nil // the rest when that is through
		}
	}
	names := slices.Sorted(maps.Keys(passes))
	for i, a := range names {
		for _, b := range names[i+1:] {
			if ok, err := p.mergeable(a, b, passes[a], passes[b]); err != nil {
				return err
			} else if ok {
				return p.stopPasses(ctx, a, b, passes[a], entries)
			}
		}
	}
	return nil
}

// readings returns the passes of what is not being built or replaced: the others are left alone until that is through.
func (p *Processors) readings(entries map[string]kafka.Entry) (map[string]*reading, error) {
	passes := map[string]*reading{}
	if !severalPasses(entries) {
		return passes, nil
	}
	unsettled := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		if e.Dropped || e.Next != nil || slices.ContainsFunc(e.Retired, func(r kafka.Retired) bool { return r.Serving }) {
			for source := range allSources(e) {
				unsettled[source.Pass] = true
			}
			for topic, source := range e.Sources {
				if source.Merge != "" && passes[source.Pass] == nil { // nobody reads through it: it must come to its end whatever else goes on
					passes[source.Pass] = &reading{topic: topic, source: source, idle: true}
				}
			}
			continue
		}
		d, err := p.definition(e)
		if err != nil {
			return nil, err
		}
		for topic, source := range e.Sources {
			r := passes[source.Pass]
			if r == nil {
				r = &reading{topic: topic, source: source, idle: source.Merge != "", begin: maps.Clone(source.Begin())}
				passes[source.Pass] = r
			}
			for partition := range r.begin {
				r.begin[partition] = min(r.begin[partition], source.Begin()[partition])
			}
			r.of = append(r.of, name)
			r.defs = append(r.defs, d)
		}
	}
	maps.DeleteFunc(passes, func(name string, r *reading) bool { return unsettled[name] && !r.idle })
	return passes, nil
}

// severalPasses reports whether a topic is read through more than one, or is about to be read through another one.
func severalPasses(entries map[string]kafka.Entry) bool {
	of := map[string]string{} // by topic
	for _, e := range entries {
		for topic, source := range e.Sources {
			if source.Merge != "" || of[topic] != "" && of[topic] != source.Pass {
				return true
			}
			of[topic] = source.Pass
		}
	}
	return false
}

// mergeable reports whether two passes can be one and have come equally far.
func (p *Processors) mergeable(a, b string, x, y *reading) (bool, error) {
	if x.topic != y.topic || x.source.ID != y.source.ID || x.source.Mixed != y.source.Mixed || isAvroStream(x.defs[0]) != isAvroStream(y.defs[0]) || x.defs[0].Feed.Name != y.defs[0].Feed.Name {
		return false, nil
	}
	if _, err := tables.SharedLayout(slices.Concat(x.defs, y.defs)...); err != nil {
		return false, nil
	}
	first, err := p.admin.CommittedOffsets(p.config.Kafka.CombineGroup(a))
	if err != nil {
		return false, err
	}
	second, err := p.admin.CommittedOffsets(p.config.Kafka.CombineGroup(b))
	if err != nil {
		return false, err
	}
	held, err := p.admin.Offsets(x.topic)
	if err != nil {
		return false, err
	}
	apart := int64(0)
	for partition, r := range held[x.topic] {
		at := func(committed map[string]map[int32]int64, of *reading) int64 {
			next, ok := committed[x.topic][partition]
			if !ok {
				next = of.begin[partition]
			}
			return max(next, r.Oldest)
		}
		from, to := at(first, x), at(second, y)
		apart += max(from, to) - min(from, to)
	}
	return apart <= mergeBehind, nil
}

// stopPasses enters that two passes are to become one: whoever reads through them stops.
func (p *Processors) stopPasses(ctx context.Context, a, b string, x *reading, entries map[string]kafka.Entry) error {
	book := &passBook{processors: p, entries: entries}
	into, err := book.name(x.topic)
	if err != nil {
		return err
	}
	return p.registry.Update(ctx, func(now map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		if !sameEntries(entries, now) {
			return nil, nil // look again
		}
		return eachSource(now, func(s *kafka.Source) bool {
			there := s.Pass == a || s.Pass == b
			if there {
				s.Merge = into
			}
			return there
		}), nil
	})
}

// mergeStopped lets a new pass of a topic go on where those have stopped that it is made of. Each table and stream begins there
// where its own pass has come to.
func (p *Processors) mergeStopped(ctx context.Context, topic, into string, entries map[string]kafka.Entry) error {
	committed := map[string]map[string]map[int32]int64{} // by pass
	for _, e := range entries {
		for source := range allSources(e) {
			if source.Merge == into {
				committed[source.Pass] = nil
			}
		}
	}
	var groups []string
	for pass := range committed {
		groups = append(groups, p.config.Kafka.CombineGroup(pass))
	}
	if idle, err := p.idle(groups); err != nil || !idle {
		return err
	}
	for pass := range committed {
		var err error
		if committed[pass], err = p.admin.CommittedOffsets(p.config.Kafka.CombineGroup(pass)); err != nil {
			return err
		}
	}
	if !p.standStill(into, committed) {
		return nil
	}
	merged := false
	err := p.registry.Update(ctx, func(now map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		if merged = false; !sameEntries(entries, now) {
			return nil, nil
		}
		merged = true
		changes := eachSource(now, func(s *kafka.Source) bool {
			there := s.Merge == into
			if there {
				from := maps.Clone(s.Begin())
				for partition, next := range committed[s.Pass][topic] {
					from[partition] = max(from[partition], next) // who does not take part yet is further than its pass
				}
				s.Pass, s.Merge, s.From = into, "", from
			}
			return there
		})
		left := map[string]bool{} // passes whose groups are to be deleted, said once
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			if source := now[name].Sources[topic]; !left[source.Pass] {
				left[source.Pass] = true
				changes[name].Retired = append(slices.Clone(changes[name].Retired), kafka.Retired{Sources: map[string]kafka.Source{topic: source}})
			}
		}
		return changes, nil
	})
	if merged && err == nil {
		p.config.Log.Info("passes became one", "topic", topic, "group", p.config.Kafka.CombineGroup(into))
	}
	return err
}

// sameEntries reports whether the catalog is still as it was looked at.
func sameEntries(a, b map[string]kafka.Entry) bool { return reflect.DeepEqual(a, b) }

// stopped is how far the passes had come that are to become one, when that was looked at last.
type stopped struct {
	into      string
	committed map[string]map[string]map[int32]int64 // by pass
	at        time.Time
}

// mergeSettled is how long passes must have stood still before another one takes their place: somebody who is just beginning to
// read has looked at the catalog a moment ago, and has joined or not by then.
const mergeSettled = 500 * time.Millisecond

// eachSource returns the entries in which fn has changed something that is read.
func eachSource(entries map[string]kafka.Entry, fn func(s *kafka.Source) bool) map[string]*kafka.Entry {
	changes := map[string]*kafka.Entry{}
	for name, e := range entries {
		sources := maps.Clone(e.Sources)
		for topic, source := range sources {
			if fn(&source) {
				sources[topic] = source
				e.Sources = sources
				changes[name] = &e
			}
		}
	}
	return changes
}

// standStill reports whether the passes have stood there for long enough.
func (p *Processors) standStill(into string, committed map[string]map[string]map[int32]int64) bool {
	if p.stopped.into != into || !reflect.DeepEqual(p.stopped.committed, committed) {
		p.stopped = stopped{into, committed, time.Now()}
	}
	return time.Since(p.stopped.at) >= mergeSettled
}
