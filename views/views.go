package views

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Config says which tables are viewed, where they are, and how much a look-up may take.
type Config struct {
	Kafka  kafka.Config
	Tables []*tables.Table
	Limits Limits

	// Streams are only named: there is nothing to look up in them, and who tries is told where their records are.
	Streams []*tables.Stream

	// FeedTopics are the topics of feeds that have others than the one called like them, by feed. A table's own option wins.
	FeedTopics map[string][]string

	// Log takes what a view does on its own: recovering, losing and finding its brokers. Defaults to discarding.
	Log *slog.Logger
}

// Views are the views of all tables of one program: those that it was given, until the catalog says otherwise.
type Views struct {
	kafka  kafka.Config
	log    *slog.Logger
	config Config
	gate   *gate

	shown atomic.Pointer[roll] // never nil
	cast  cast                 // all that are followed
}

// roll is the tables that are shown, and the streams that are named, at a time. It is replaced as a whole.
type roll struct {
	byName  map[string]*View
	sorted  []*View
	streams []*tables.Stream
	lookups cache[Lookup] // by text

	replaced chan struct{} // closed when it no longer holds
}

// newRoll is that of some views.
func newRoll(all map[string]*View, streams []*tables.Stream) *roll {
	byName := func(a, b *View) int { return cmp.Compare(a.table.Name, b.table.Name) }
	return &roll{byName: all, sorted: slices.SortedFunc(maps.Values(all), byName), streams: streams, replaced: make(chan struct{})}
}

// show replaces what is shown.
func (v *Views) show(r *roll) {
	if old := v.shown.Swap(r); old != nil {
		close(old.replaced)
	}
}

// New makes the views without starting anything; see [Views.Run]. Errors are of the client settings, or say that two tables
// have one name.
func New(c Config) (*Views, error) {
	resolved, err := c.Kafka.Resolve()
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	v := &Views{kafka: resolved, log: c.Log, config: c, gate: newGate(c.Limits.orDefaults())}
	shown := make(map[string]*View, len(c.Tables))
	for _, t := range c.Tables {
		if _, twice := shown[t.Name]; twice {
			return nil, fmt.Errorf("view table %s: it is there twice", t.Name)
		}
		shown[t.Name] = newView(t, key(t.Name, t.SQL), topicsOf(t, c.FeedTopics, resolved), v.gate)
	}
	v.show(newRoll(shown, c.Streams))
	return v, nil
}

// View returns the view of a table. Case counts, as it does in names that stand in quotes; [Views.Named] is for names that
// people typed. When the table's definition changes, another one takes its place: ask again rather than keep it.
func (v *Views) View(name string) (*View, bool) {
	view, ok := v.shown.Load().byName[name]
	return view, ok
}

// Named returns the view of a table by a name in any case, as SQL has it for a name without quotes: an exact match comes
// first, then the only one that differs in case alone.
func (v *Views) Named(name string) (*View, bool) { return v.shown.Load().named(name) }

func (r *roll) named(name string) (*View, bool) {
	if view, ok := r.byName[name]; ok {
		return view, true
	}
	var found *View
	for _, view := range r.sorted {
		if strings.EqualFold(view.table.Name, name) {
			if found != nil {
				return nil, false
			}
			found = view
		}
	}
	return found, found != nil
}

// Scanning returns how many look-ups are reading rows now; point look-ups do not count.
func (v *Views) Scanning() int { return len(v.gate.slots) }

// Listening returns how many listen to the changes of tables now.
func (v *Views) Listening() int { return int(v.gate.listening.Load()) }

// All returns the views by table name.
func (v *Views) All() []*View { return slices.Clone(v.shown.Load().sorted) }

// names returns the tables' names, for suggestions.
func (r *roll) names() []string {
	names := make([]string, len(r.sorted))
	for i, view := range r.sorted {
		names[i] = view.table.Name
	}
	return names
}

// Run follows all tables of the catalog, and those that it was given, until ctx is done and then returns nil, with everything
// stopped that it started.
//
// At the start it returns *[kafka.ErrNoBroker] when nobody answers, later it waits for brokers to come back. At any time it
// returns *[kafka.NotAllowed] when we may not read a table: rights do not come back by themselves.
func (v *Views) Run(ctx context.Context) error {
	admin, err := kafka.NewAdmin(ctx, v.kafka)
	if err != nil {
		return v.unlessDone(ctx, err)
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	registry, err := kafka.OpenCatalog(admin, v.kafka)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	var all watches
	g.Go(func() error { all.run(ctx, admin); return nil })
	v.cast = cast{views: v, group: g, ctx: ctx, follow: func(view *View) follower {
		return follower{view: view, kafka: v.kafka, admin: admin, all: &all, log: v.log}
	}}
	g.Go(func() error { return registry.Watch(ctx, v.cast.arrange) })
	return v.unlessDone(ctx, g.Wait())
}

// unlessDone drops errors that only say that ctx was cancelled.
func (v *Views) unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}
