package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/brotally/brotally/internal/traffic"
	"github.com/brotally/brotally/tables/sql"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/views/client"
	"github.com/brotally/brotally/web/tryit"
)

const (
	sampleEvery = 250 * time.Millisecond // looks at the tables
	sampleSoon  = 20 * time.Millisecond  // while it is to be seen how long something takes
	sampleWait  = 5 * time.Second        // for one look: processors that do not answer for longer are away
	shownKills  = 10

	// The partitions of a table take a commit in one after the other, and in between some of its figures are ahead of others. What is
	// really amiss is so in each of so many looks in a row, and still so after such a time.
	looks   = 20
	settled = 5 * time.Second
)

// errEnding says that the traffic has ended.
var errEnding = errors.New("the demo is ending")

// trying is the demo's page to try things on: it compares what was sent with what the tables have, all the time.
type trying struct {
	demo   *demo
	counts map[string]string // table: the column that counts its records

	sooner chan struct{} // the next look is due at once
	mu     sync.Mutex    // guards what follows
	tables []tryit.Table
	amiss  map[string]*differs    // by table, of those whose last look found a difference
	marks  map[string][]sentUntil // by feed, oldest first; what all its tables have is left out, but for the last
	away   bool
	kills  []*killed // the last one first
}

// sentUntil is how many records of a feed were acknowledged at a time.
type sentUntil struct {
	at   time.Time
	sent int64
}

// differs is a difference that each look since then has found.
type differs struct {
	since time.Time
	least int64
}

// killed is a kill and what had been sent until then.
type killed struct {
	tryit.Kill
	sent map[string]int64 // by feed
}

func newTrying(d *demo, statements []sql.Statement) *trying {
	t := &trying{demo: d, counts: map[string]string{}, marks: map[string][]sentUntil{}, amiss: map[string]*differs{}, sooner: make(chan struct{}, 1)}
	for _, s := range statements {
		create, ok := s.(*sql.CreateTable)
		if !ok {
			continue
		}
		for _, item := range create.Query.Items {
			if call, ok := item.Expr.(*sql.Call); ok && call.Star && call.Name == "count" && call.Filter == nil && item.As != nil {
				t.counts[create.Name.Text] = item.As.Text
			}
		}
	}
	return t
}

// handler answers below /try.
func (t *trying) handler(done <-chan struct{}) http.Handler {
	return views.Guard(views.ServerConfig{Log: t.demo.log}, tryit.Handler(tryit.Config{State: t.state, Switch: t.switchScene, Kill: t.kill, Done: done}))
}

// run looks at the tables until ctx is done.
func (t *trying) run(ctx context.Context) error {
	for {
		wait := sampleEvery
		if t.sample(ctx) {
			wait = sampleSoon
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-t.sooner:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// acknowledged returns how many records each feed has.
func (t *trying) acknowledged() map[string]int64 {
	all := map[string]int64{}
	for feed, partitions := range t.demo.sender.Sent() {
		for _, p := range partitions {
			all[feed] += p.Records
		}
	}
	return all
}

// sample looks once. hurry says that somebody waits for what comes next.
func (t *trying) sample(ctx context.Context) (hurry bool) {
	ctx, cancel := context.WithTimeout(ctx, sampleWait)
	defer cancel()
	now, sent := time.Now(), t.acknowledged()
	c, away := t.demo.worker.client()
	if away == nil {
		_, away = c.Tables(ctx)
	}
	seen := map[string]tryit.Table{}
	for _, table := range t.demo.defined {
		if away != nil {
			break
		}
		for range looks {
			one, err := t.look(ctx, c, table.Name, table.Feed.Name)
			if err != nil {
				break
			}
			if best, ok := seen[table.Name]; !ok || one.Difference <= best.Difference {
				seen[table.Name] = one
			}
			if one.Difference == 0 {
				break
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.away = away != nil || len(t.kills) > 0 && t.kills[0].At.After(now) // what was heard of one that was killed since says nothing
	for feed, n := range sent {
		t.marks[feed] = append(t.marks[feed], sentUntil{now, n})
	}
	exact := len(seen) == len(t.demo.defined)
	least := map[string]int64{} // by feed: what all its tables have
	for i := range t.tables {
		have := &t.tables[i]
		if one, ok := seen[have.Name]; ok {
			one.Difference = t.settle(have.Name, one.Difference, now)
			one.Largest, one.LargestBehindMS = max(have.Largest, one.Difference), have.LargestBehindMS
			*have = one
		}
		t.lag(have, sent[have.Feed], now)
		exact = exact && t.amiss[have.Name] == nil
		if n, ok := least[have.Feed]; !ok || have.Upto < n {
			least[have.Feed] = have.Upto
		}
	}
	for feed, marks := range t.marks {
		if _, counted := least[feed]; !counted {
			delete(t.marks, feed)
			continue
		}
		keep := 0
		for keep < len(marks)-1 && marks[keep].sent <= least[feed] {
			keep++
		}
		t.marks[feed] = marks[keep:]
	}
	return t.follow(now, exact)
}

// settle returns what of a difference is one: as much of it as was there for long enough.
func (t *trying) settle(table string, found int64, now time.Time) int64 {
	if found == 0 {
		delete(t.amiss, table)
		return 0
	}
	d := t.amiss[table]
	if d == nil {
		d = &differs{now, found}
		t.amiss[table] = d
	}
	d.least = min(d.least, found)
	if now.Sub(d.since) < settled {
		return 0
	}
	return d.least
}

// lag notes how much of what was sent a table does not have yet, and how old the oldest of it is.
func (t *trying) lag(have *tryit.Table, sent int64, now time.Time) {
	have.Sent, have.Way, have.BehindMS = sent, max(sent-have.Upto, 0), 0
	for _, m := range t.marks[have.Feed] {
		if m.sent > have.Upto {
			have.BehindMS = now.Sub(m.at).Milliseconds()
			break
		}
	}
	have.LargestBehindMS = max(have.LargestBehindMS, have.BehindMS)
}

// follow notes what becomes of the last kill, and says so. It reports whether that is still to be seen.
func (t *trying) follow(now time.Time, exact bool) (open bool) {
	if len(t.kills) == 0 || t.kills[0].ExactMS > 0 {
		return false
	}
	k := t.kills[0]
	if t.away {
		return true
	}
	after := max(now.Sub(k.At).Milliseconds(), 1)
	if k.BackMS == 0 {
		k.BackMS = after
	}
	for i := range t.tables {
		exact = exact && t.tables[i].Upto >= k.sent[t.tables[i].Feed]
	}
	if !exact {
		return true
	}
	k.ExactMS = max(time.Since(k.At).Milliseconds(), 1)
	t.demo.say("killed the processors: they answered again after %s ms, and every table was exact after %s ms", thousands(k.BackMS), thousands(k.ExactMS))
	return false
}

// look compares a table with itself and with its topic. What comes while it looks is no difference.
func (t *trying) look(ctx context.Context, c *client.Client, table, feed string) (tryit.Table, error) {
	one := tryit.Table{Name: table, Feed: feed}
	rows, err := c.Query(ctx, "SELECT sum("+t.counts[table]+") AS n FROM "+table)
	if err != nil {
		return one, err
	}
	after, err := c.Table(ctx, table)
	if err != nil {
		return one, err
	}
	if rows.Len() > 0 && !rows.Row(0).IsNull("n") {
		if one.Rows, err = strconv.ParseInt(rows.Row(0).Text("n"), 10, 64); err != nil {
			return one, fmt.Errorf("records in the rows of %s: %w", table, err)
		}
	}
	n := rows.Meta.Counts
	for _, partitions := range rows.Meta.AsOf {
		for _, offset := range partitions {
			one.Upto += offset
		}
	}
	one.Read, one.Counted, one.Letters, one.Other = n.Read, n.Counted, n.DeadLettered, n.Filtered+n.OtherFeed+n.NoTime
	// The rows are read after the counts: they are between these and those that come after.
	one.Difference = max(abs(one.Upto-one.Read), abs(one.Read-one.Counted-one.Letters-one.Other), one.Counted-one.Rows, one.Rows-after.Counts.Counted)
	return one, nil
}

func abs(n int64) int64 { return max(n, -n) }

// state returns what the page shows.
func (t *trying) state(ctx context.Context) (*tryit.State, error) {
	s := &tryit.State{Kills: []tryit.Kill{}}
	err := t.demo.onNetwork(ctx, func(n *traffic.Network) error {
		for _, sc := range n.Scenes() {
			s.Scenes = append(s.Scenes, tryit.Scene{Name: sc.Name, Doc: sc.Doc, On: sc.On})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Away, s.Exact = t.away, true
	s.Tables = append([]tryit.Table{}, t.tables...)
	for i := range s.Tables {
		s.Exact = s.Exact && s.Tables[i].Difference == 0 && s.Tables[i].Upto > 0 // nothing was seen yet of one without
	}
	for _, k := range t.kills {
		s.Kills = append(s.Kills, k.Kill)
	}
	return s, nil
}

func (t *trying) switchScene(ctx context.Context, name string, on bool) error {
	return t.demo.onNetwork(ctx, func(n *traffic.Network) error {
		for _, sc := range n.Scenes() {
			if sc.Name == name {
				return n.Switch(name, on)
			}
		}
		return fmt.Errorf("%w: %s", tryit.ErrUnknown, name)
	})
}

// kill ends the processors with SIGKILL.
func (t *trying) kill(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.demo.worker.kill(); err != nil {
		return err
	}
	t.away = true
	t.kills = append([]*killed{{Kill: tryit.Kill{At: time.Now()}, sent: t.acknowledged()}}, t.kills...)
	t.kills = t.kills[:min(len(t.kills), shownKills)]
	select {
	case t.sooner <- struct{}{}:
	default: // it is already
	}
	return nil
}
