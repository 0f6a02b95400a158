package views

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/catalog"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// cast is the views that are followed, shown or not. A table whose definition changes has two for a while: the one that answers,
// and the one that is going to, which takes its place when it has all rows and is as far as the other one.
type cast struct {
	views  *Views
	group  *errgroup.Group
	ctx    context.Context // of Run
	follow func(*View) follower

	mu      sync.Mutex         // guards all below
	members map[string]*member // by key
	roles   map[string]string  // key of the view that is to be shown, by table name
	changed chan struct{}      // closed, and replaced, when something here has changed
}

// member is one view that is followed.
type member struct {
	view   *View
	cancel context.CancelFunc
}

// key tells definitions apart: of one table with other rows, or another result made of them.
func key(own, text string) string { return own + " " + kafka.HashSQL(text) }

// arrange follows what the catalog has. It is called with each state of it, by one goroutine.
func (c *cast) arrange(entries map[string]kafka.Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.members == nil
	if first {
		c.members, c.changed = map[string]*member{}, make(chan struct{})
	}
	c.roles = map[string]string{}
	wanted := map[string]*View{} // nil: it is a member already
	want := func(e kafka.Entry) error {
		k := key(e.Own(), e.SQL)
		if c.members[k] != nil {
			wanted[k] = nil
			return nil
		}
		t, err := c.views.tableOf(e)
		if err == nil {
			names := c.views.kafka
			wanted[k] = newView(t, k, Topics{Feed: e.FeedTopics(), Result: e.Result, Partials: names.PartialsTopic(e.Own()), Changelog: names.ChangelogTopic(e.Own())}, c.views.gate)
		}
		return err
	}
	streams := slices.Clone(c.views.config.Streams)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		if e.Dropped {
			continue
		}
		if e.Kind != "" {
			d, err := catalog.Compile(e)
			if err != nil {
				return err
			}
			streams = append(slices.DeleteFunc(streams, func(s *tables.Stream) bool { return s.Name == name }), d.Streams...)
			continue
		}
		if err := want(e); err != nil {
			return err
		}
		c.roles[name] = key(e.Own(), e.SQL)
		if e.Next != nil {
			if err := want(*e.Next); err != nil { // so that it is there when its time comes
				return err
			}
		}
	}
	for _, t := range c.views.config.Tables {
		if _, known := entries[t.Name]; known {
			continue
		}
		k := key(t.Name, t.SQL) // nobody counts it yet
		c.roles[t.Name] = k
		if wanted[k] = nil; c.members[k] == nil {
			wanted[k] = newView(t, k, topicsOf(t, c.views.config.FeedTopics, c.views.kafka), c.views.gate)
		}
	}
	c.show(streams, wanted, first)
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// tableOf returns an entry's table: the one that the views were given if it is the same.
func (v *Views) tableOf(e kafka.Entry) (*tables.Table, error) {
	for _, t := range v.config.Tables {
		if t.Name == e.Table && kafka.HashSQL(t.SQL) == kafka.HashSQL(e.SQL) {
			return t, nil
		}
	}
	d, err := catalog.Compile(e)
	if err != nil {
		return nil, err
	}
	return d.Tables[0], nil
}

// show replaces what is shown, begins to follow what is new, and ends with what is neither wanted nor shown. The lock is held.
func (c *cast) show(streams []*tables.Stream, wanted map[string]*View, first bool) {
	before := c.views.shown.Load()
	shown := map[string]*View{}
	for name, k := range c.roles {
		old := before.byName[name]
		switch {
		case old == nil && c.members[k] != nil:
			shown[name] = c.members[k].view
		case old == nil:
			shown[name] = wanted[k]
		case first && old.key == k:
			wanted[k] = old // it was made before anything was known of the catalog, and is right
			shown[name] = old
		case first:
			shown[name] = wanted[k]
		default:
			shown[name] = old
			old.retired.Store(old.key != k)
		}
	}
	c.views.show(newRoll(shown, streams))
	for k, view := range wanted {
		if view != nil && c.members[k] == nil {
			c.begin(k, view)
		}
	}
	for k, m := range c.members {
		if _, keep := wanted[k]; !keep && shown[m.view.table.Name] != m.view {
			m.cancel()
			delete(c.members, k)
		}
	}
}

// begin follows a view. The lock is held.
func (c *cast) begin(k string, view *View) {
	ctx, cancel := context.WithCancel(c.ctx)
	c.members[k] = &member{view, cancel}
	f := c.follow(view)
	c.group.Go(func() error {
		err := f.run(ctx)
		if ctx.Err() != nil && c.ctx.Err() == nil && errors.Is(err, context.Canceled) {
			return nil // only this one was to end
		}
		return err
	})
	c.group.Go(func() error { c.takeOver(ctx, k, view); return nil })
}

// takeOver waits until a view is to be shown in another one's place and can be, and lets it.
func (c *cast) takeOver(ctx context.Context, k string, view *View) {
	for {
		c.mu.Lock()
		old, role, changed := c.views.shown.Load().byName[view.table.Name], c.roles[view.table.Name], c.changed
		c.mu.Unlock()
		if old == view {
			return
		}
		if role == k && old != nil {
			if view.waitUntil(ctx, func(*AsOf) bool { return view.holdsAllOf(old) }) != nil {
				return
			}
			if c.replace(k, old, view) {
				return
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// holdsAllOf reports whether every record that a row of the other view may have is in this one, as far as they read the same. The
// other one's [AsOf] does not say: it is a floor, and each of its partitions may be further.
func (v *View) holdsAllOf(other *View) bool {
	mine, theirs := v.held.Load(), other.held.Load()
	if !mine.ready {
		return false
	}
	floor := v.Progress()
	for n := range theirs.partitions {
		p, ok := theirs.partition(n)
		if !ok {
			continue
		}
		far := floor // of another changelog: a record may be in any partition
		if v.topics.Changelog == other.topics.Changelog {
			have, ok := mine.partition(n)
			if !ok {
				return false
			}
			far = have.Progress()
		}
		if !reached(far, p.Progress()) {
			return false
		}
	}
	return true
}

// reached reports whether one is as far as the other in every source partition that it knows.
func reached(one, other map[codecs.Source]codecs.Progress) bool {
	for source, p := range other {
		if have, reads := one[source]; reads && have.Upto < p.Upto {
			return false
		}
	}
	return true
}

// replace shows a view in another one's place if that is its role, and it is still as far: the other one may have gone on.
func (c *cast) replace(k string, old, view *View) bool {
	name := view.table.Name
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.views.shown.Load()
	if c.roles[name] != k || before.byName[name] != old || !view.holdsAllOf(old) {
		return false
	}
	shown := maps.Clone(before.byName)
	shown[name] = view
	c.views.show(newRoll(shown, before.streams))
	if m := c.members[old.key]; m != nil && m.view == old {
		m.cancel()
		delete(c.members, old.key)
	}
	c.views.log.Info("another definition answers", "table", name)
	return true
}
