// Package verify counts a table anew, from its source topics, and compares it with what the table's changelog has. It uses
// nothing of what the running stages know: each partition of the changelog says how far it reflects each source partition, and what
// is recounted is cut just there. So the two are of the same records, whether the pipeline goes on meanwhile or not.
package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/catalog"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/tables"
)

// Schemas knows the schemas of records in Avro.
type Schemas interface {
	codecs.Schemas
	// Ask returns when a schema is known, or known not to exist.
	Ask(ctx context.Context, id int, where string) error
}

// Config says what is to be verified.
type Config struct {
	Admin   *kafka.Admin // not closed
	Kafka   kafka.Config
	Entry   kafka.Entry // the catalog's, of a table
	Schemas Schemas     // nil: none are known
	Most    int         // differences that the report has; all are counted
	Memory  int64       // bytes that rows and their recount may take at a time: with more, the source is read several times; a partition is not cut
}

// Report is what came of it.
type Report struct {
	Table   *tables.Table
	AsOf    map[codecs.Source]int64 // up to where all of the table reflects each source partition; what was recounted is as far as each of its partitions is
	Records int64                   // that were read
	Rows    int64                   // that were compared
	Left    int64                   // rows that were left out, but for how many records they have: some came too late for them, or for them to be there; they are about to go; they are above MAX GROUPS
	Skipped []string                // columns that were left out: they depend on what came first
	Differ  int64                   // rows that are not the same
	Rest    []Difference            // the first of them
	Counts  []CountDifference       // what became of the records, where that is not the same
}

// Fine reports whether nothing differs.
func (r *Report) Fine() bool { return r.Differ == 0 && len(r.Counts) == 0 }

// Difference is a row that is not the same.
type Difference struct {
	Partition int32
	Key       []string // values of the key's columns
	Column    string   // the first that differs; empty: one of the two has no such row
	Recounted string   // empty where there is none
	Table     string
}

// CountDifference is a source partition whose records became something else than the table says, or do not add up.
type CountDifference struct {
	Source    codecs.Source
	What      string
	Recounted int64
	Table     int64
}

// Impossible says why a table cannot be verified.
type Impossible struct {
	Table string
	Why   string
}

func (e *Impossible) Error() string { return "cannot verify " + e.Table + ": " + e.Why }

// Run is one verification.
type Run struct {
	c     Config
	table *tables.Table

	read, total atomic.Int64
}

// New begins one. Errors are *[Impossible] and those of the catalog.
func New(c Config) (*Run, error) {
	defined, err := catalog.Compile(c.Entry)
	if err != nil {
		return nil, err
	}
	if len(defined.Tables) == 0 {
		return nil, &Impossible{c.Entry.Table, "it is a stream, which keeps nothing"}
	}
	r := &Run{c: c, table: defined.Tables[0]}
	if r.table.Forgets() {
		return nil, r.impossible("it has a TTL: rows that went and came again began anew, and nobody knows when")
	}
	return r, nil
}

// portion is some of the table's partitions: as many as fit into memory, with their recount.
type portion struct {
	*Run
	store      *grouptable.Store
	partitions []int32

	starts map[codecs.Source]int64
	cuts   map[codecs.Source][]int64 // how far each partition of the table is, by source partition; 0 for those of other portions
	counts map[codecs.Source]codecs.Counts
	dead   map[string]bool // places of the table's dead letters: what it could not decode then counts as that, though it may today
}

// load reads partitions of the table from a number on, as they are now: at least one, and as many as fit.
func (r *Run) load(ctx context.Context, from int32) (*portion, error) {
	changelog := r.c.Kafka.ChangelogTopic(r.c.Entry.Own())
	p := &portion{Run: r, starts: map[codecs.Source]int64{}, cuts: map[codecs.Source][]int64{}, counts: map[codecs.Source]codecs.Counts{}}
	p.store = grouptable.New(grouptable.Config{Client: r.c.Admin.Client(), Table: r.table, Topic: changelog, Budget: r.c.Kafka.Budget()})
	load := p.store.Builder(func() context.Context { return ctx })
	most := 0 // of one partition
	for n := from; n < r.c.Entry.Partitions; n++ {
		if len(p.partitions) > 0 && 2*int64(p.bytes()+most) > r.c.Memory { // the recount takes as much again
			break
		}
		before := p.bytes()
		if _, err := load(changelog, n); err != nil {
			return nil, err
		}
		most = max(most, p.bytes()-before)
		p.partitions = append(p.partitions, n)
	}
	if err := p.cut(); err != nil {
		return nil, err
	}
	if err := p.reachable(); err != nil {
		return nil, err
	}
	return p, p.deadLetters(ctx)
}

func (p *portion) bytes() (n int) {
	for _, rows := range p.store.Held() {
		n += rows.Bytes()
	}
	return n
}

// deadLetters finds out which records the table has missed, those among them that came again.
func (r *portion) deadLetters(ctx context.Context) error {
	dead := int64(0)
	for _, c := range r.counts {
		dead += c.DeadLettered
	}
	if r.dead = map[string]bool{}; dead == 0 {
		return nil
	}
	build := r.c.Entry.Build()
	note := func(key string, missing []string) {
		if slices.Contains(missing, build) {
			r.dead[key] = true
		}
	}
	err := letters.Each(ctx, r.c.Admin, r.c.Kafka, func(l *letters.Letter) error {
		note(l.Place(), l.Missing)
		return nil
	})
	var none *letters.NoTopic
	if err != nil && !errors.As(err, &none) {
		return err
	}
	// What has come again by now is no letter any more, whatever the catalog said of it when we looked.
	var replays []string
	for _, topic := range r.c.Entry.FeedTopics() {
		replays = append(replays, r.c.Kafka.ReplayTopic(topic))
	}
	there, err := r.c.Admin.Describe(replays...)
	if err != nil {
		return err
	}
	for topic := range there {
		if err := letters.EachAgain(ctx, r.c.Admin, topic, func(l letters.Again) { note(l.Place, l.Missing) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) impossible(format string, args ...any) error {
	return &Impossible{r.c.Entry.Table, fmt.Sprintf(format, args...)}
}

// cut finds out how far the table is, and what it says of the records up to there.
func (r *portion) cut() error {
	n := r.c.Entry.Partitions
	for _, p := range r.partitions {
		rows, _ := r.store.Partition(p)
		for source, progress := range rows.Progress() {
			if _, reads := r.c.Entry.Sources[source.Topic]; !reads {
				return r.impossible("it began to read %s meanwhile: dead letters were replayed; verify it again", source.Topic)
			}
			if r.cuts[source] == nil {
				r.cuts[source] = make([]int64, n)
				r.starts[source] = r.c.Entry.Sources[source.Topic].Start[source.Partition]
			}
			if progress.Upto > slices.Max(r.cuts[source]) {
				r.counts[source] = progress.Counts
			}
			r.cuts[source][p] = progress.Upto
		}
	}
	for source, c := range r.counts {
		if c.Lost > 0 {
			return r.impossible("%d records of %s were removed before it had read them, and nobody knows which of those it counted", c.Lost, source)
		}
	}
	return nil
}

// reachable checks that the source still has all records that were counted.
func (r *portion) reachable() error {
	for topic := range r.topics() {
		there, err := r.c.Admin.Describe(topic)
		if err != nil {
			return err
		}
		if was, now := r.c.Entry.Sources[topic].ID, there[topic].ID; there[topic].Name == "" || was != "" && now != "" && was != now { // brokers before 2.8 have none
			return r.impossible("topic %s is not the one any more that was counted: it was deleted, or made anew", topic)
		}
		held, err := r.c.Admin.Offsets(topic)
		if err != nil {
			return err
		}
		for source, start := range r.starts {
			if source.Topic != topic {
				continue
			}
			if oldest := held[topic][source.Partition].Oldest; oldest > start && r.end(source) > start {
				return r.impossible("%s begins at offset %d now, and was counted from %d: retention has removed what is before", source, oldest, start)
			}
			r.total.Add(max(0, r.end(source)-start))
		}
	}
	return nil
}

func (r *portion) topics() map[string]bool {
	all := map[string]bool{}
	for source := range r.cuts {
		all[source.Topic] = true
	}
	return all
}

// end is how far the partition of the table is that is furthest.
func (r *portion) end(source codecs.Source) int64 { return slices.Max(r.cuts[source]) }

// Progress returns how many offsets of the source were read, of how many.
func (r *Run) Progress() (done, total int64) { return r.read.Load(), r.total.Load() }

// sideBySide is how many source partitions are read at a time.
const sideBySide = 4

// Compare recounts the table and compares, one portion after the other.
func (r *Run) Compare(ctx context.Context) (*Report, error) {
	out := &Report{Table: r.table, AsOf: map[codecs.Source]int64{}}
	for i, certain := range r.table.Certainties() {
		if certain == tables.Arrival {
			out.Skipped = append(out.Skipped, r.table.Columns[i].Name)
		}
	}
	counted := false
	for from := int32(0); from < r.c.Entry.Partitions; {
		p, err := r.load(ctx, from)
		if err != nil {
			return nil, err
		}
		if err := p.recountAll(ctx, out); err != nil {
			return nil, err
		}
		counted = counted || len(p.cuts) > 0
		from += int32(len(p.partitions))
	}
	if !counted {
		return nil, r.impossible("it has counted nothing yet")
	}
	return out, nil
}

// recountAll recounts a portion and compares it.
func (r *portion) recountAll(ctx context.Context, out *Report) error {
	fold, err := newFold(r.table, r.c.Entry.Partitions)
	if err != nil {
		return err
	}
	sources := slices.SortedFunc(maps.Keys(r.cuts), func(a, b codecs.Source) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	counted := make([]codecs.Counts, len(sources))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	for i, source := range sources {
		for _, p := range r.partitions {
			cut := r.cuts[source][p]
			if before, known := out.AsOf[source]; known {
				cut = min(cut, before)
			}
			out.AsOf[source] = cut
		}
		g.Go(func() (err error) {
			counted[i], err = r.recount(inner, source, fold)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var late, read int64
	for i, source := range sources {
		read += counted[i].Read
		out.Counts = append(out.Counts, differences(source, counted[i], r.counts[source])...)
		for _, p := range r.partitions {
			rows, _ := r.store.Partition(p)
			late += rows.Progress()[source].Counts.Late
		}
	}
	out.Records = max(out.Records, read)
	if r.table.Window != nil && r.table.Window.Kind == tables.Session {
		if late > 0 {
			return r.impossible("%d records came too late for their session, and what the others were depends on when they came", late)
		}
		for _, p := range r.partitions {
			if rows, _ := r.store.Partition(p); rows.HasOther() {
				return r.impossible("it has reached MAX GROUPS, and which records of a session have a row depends on when they came")
			}
		}
	}
	return r.compare(out, fold)
}

// differences compares what became of the records of a source partition.
func differences(source codecs.Source, recounted, table codecs.Counts) (all []CountDifference) {
	sum := table.Counted + table.Filtered + table.OtherFeed + table.NoTime + table.DeadLettered
	for _, c := range []struct {
		what             string
		recounted, table int64
	}{
		{"read", recounted.Read, table.Read}, {"counted", recounted.Counted, table.Counted}, {"filtered", recounted.Filtered, table.Filtered},
		{"other feed", recounted.OtherFeed, table.OtherFeed}, {"no time", recounted.NoTime, table.NoTime},
		{"dead letters", recounted.DeadLettered, table.DeadLettered}, {"sum of what became of them", recounted.Read, sum},
	} {
		if c.recounted != c.table {
			all = append(all, CountDifference{source, c.what, c.recounted, c.table})
		}
	}
	return all
}

// errNoSchemas says that a record's schema is needed and nobody can be asked.
var errNoSchemas = errors.New("its topics have records in Avro, and no schema registry is set: --schema-registry URL")
