package processors

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// report is what became of one commit interval's records of one source partition.
type report struct {
	source      codecs.Source
	progress    codecs.Progress  // with the counts that are the same for all tables and streams of the pass
	letters     map[string]int64 // by reason
	uncopied    int64            // of them
	definitions []definitionReport
}

// definitionReport is a report for one table or stream.
type definitionReport struct {
	name     string
	progress codecs.Progress
}

// with is the shared report with other counts.
func (r *report) with(counts codecs.Counts) codecs.Progress {
	p := r.progress
	p.Counts = counts
	return p
}

func (r *report) add(name string, p codecs.Progress) {
	r.definitions = append(r.definitions, definitionReport{name, p})
}

// reports are those of a stage's interval, until it is committed.
type reports struct {
	mu  sync.Mutex // guards all
	all []report
}

func (r *reports) add(one report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
}

func (r *reports) take() []report {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// book is what this process has committed, since it began: what became of the records it read, for each pass, table and
// stream. A stream has no group table that could say so; of a table it is this process's share.
type book struct {
	log *slog.Logger

	mu       sync.Mutex // guards all below
	passes   map[string]*passAccount
	accounts map[string]*account // by what the topics of a table's rows are named after, or by stream
	changed  chan struct{}       // closed, and replaced, when something is committed
}

type passAccount struct {
	sources map[codecs.Source]codecs.Progress
	letters map[letterKind]int64
	left    int64 // letters that were not copied
}

// letterKind is what dead letters are counted by.
type letterKind struct{ topic, code string }

type account struct {
	sources map[codecs.Source]codecs.Progress
	told    codecs.Counts // what the log has been told
	at      time.Time
}

// counts returns those of all sources.
func (a *account) counts() (all codecs.Counts) {
	for _, p := range a.sources {
		all.Add(p.Counts)
	}
	return all
}

func newBook(log *slog.Logger) *book {
	return &book{log: log, passes: map[string]*passAccount{}, accounts: map[string]*account{}, changed: make(chan struct{})}
}

// tellStreams is how often the log is told what became of a stream's records. Tables tell it themselves.
const tellStreams = time.Minute

// commit notes what a stage has committed.
func (b *book) commit(p *pass, reports []report, now time.Time) {
	if len(reports) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.passes[p.name]
	if of == nil {
		of = &passAccount{sources: map[codecs.Source]codecs.Progress{}, letters: map[letterKind]int64{}}
		b.passes[p.name] = of
	}
	for _, r := range reports {
		advance(of.sources, r.source, r.progress)
		for code, n := range r.letters {
			of.letters[letterKind{r.source.Topic, code}] += n
		}
		of.left += r.uncopied
		for _, d := range r.definitions {
			advance(b.account(d.name).sources, r.source, d.progress)
		}
	}
	for _, sink := range p.streams {
		a := b.account(sink.stream.Name)
		if now.Sub(a.at) < tellStreams {
			continue
		}
		if counts := a.counts(); counts != a.told {
			a.told, a.at = counts, now
			b.tell(sink, counts)
		}
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func advance(sources map[codecs.Source]codecs.Progress, source codecs.Source, by codecs.Progress) {
	have, ok := sources[source]
	if !ok {
		have = codecs.NoProgress()
	}
	have.Advance(by)
	sources[source] = have
}

func (b *book) account(name string) *account {
	if b.accounts[name] == nil {
		b.accounts[name] = &account{sources: map[codecs.Source]codecs.Progress{}}
	}
	return b.accounts[name]
}

func (b *book) tell(sink streamSink, c codecs.Counts) {
	b.log.Info("stream", "stream", sink.stream.Name, "topic", sink.topic, "read", c.Read, "counted", c.Counted, "filtered", c.Filtered,
		"other_feed", c.OtherFeed, "dead_lettered", c.DeadLettered, "bad_fields", c.BadFields, "overflows", c.Overflows, "cut_keys", c.CutKeys, "lost", c.Lost)
}

// named is a definition that answers under its name.
type named struct {
	own  string // its account
	name string
	kind tables.Kind
}

// definitions returns what became of the records, by table or stream and by topic. What has none yet is left out.
func (b *book) definitions(of []named) (all []DefinitionStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range of {
		a := b.accounts[d.own]
		if a == nil {
			continue
		}
		topics := map[string]codecs.Counts{}
		for source, p := range a.sources {
			c := topics[source.Topic]
			c.Add(p.Counts)
			topics[source.Topic] = c
		}
		all = append(all, DefinitionStatus{Name: d.name, Kind: d.kind, Counts: topics})
	}
	return all
}

// pass returns what a pass has read, its dead letters by topic and reason, and how many of them were not copied.
func (b *book) pass(name string) (sources map[codecs.Source]codecs.Progress, letters map[letterKind]int64, uncopied int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.passes[name]
	if of == nil {
		return nil, nil, 0
	}
	return maps.Clone(of.sources), maps.Clone(of.letters), of.left
}
