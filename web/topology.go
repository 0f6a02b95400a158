package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/brotally/brotally/views/client"
)

// Member is a member of a consumer group.
type Member struct {
	Group      string
	Name       string // its own
	Host       string // where it connects from
	Partitions map[string][]int32
	Here       bool // it is this instance
}

// Claims is its partitions in words.
func (m Member) Claims() string {
	var all []string
	for _, topic := range slices.Sorted(maps.Keys(m.Partitions)) {
		all = append(all, topic+" "+ranges(m.Partitions[topic]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// ranges writes numbers as 0-3, 7.
func ranges(of []int32) string {
	of = slices.Sorted(slices.Values(of))
	var all []string
	for i := 0; i < len(of); {
		j := i
		for j+1 < len(of) && of[j+1] == of[j]+1 {
			j++
		}
		one := strconv.Itoa(int(of[i]))
		if j > i {
			one += "–" + strconv.Itoa(int(of[j]))
		}
		all = append(all, one)
		i = j + 1
	}
	return strings.Join(all, ", ")
}

// topologyPage is what /topology shows.
type topologyPage struct {
	Width, Height int
	Boxes         []node
	Arrows        []arrow
	Heads         []head
	Flows         []flow
	Here          []claimed
	Serves        bool // no stage runs here, though there are tables

	Members   []Member
	MembersNo string // why there are none, or none that are newer
}

// node is a thing in the drawing. Its texts are cut to its width.
type node struct {
	X, Y, W, H  int
	Kind        string // "topic", "stage", "view"
	Name, Under string
	Full        string // all of the name, and what else there is to say
	State       string // of a stage or a view
	Link        string // empty: there is none
}

// NameY, UnderY, Dot, Inner and Round are where things are inside of it.
func (b node) NameY() int {
	if b.Under == "" {
		return b.H/2 + 4
	}
	return b.H/2 - 3
}
func (b node) UnderY() int { return b.H/2 + 14 }
func (b node) Dot() int    { return b.W - 14 }
func (b node) Inner() int  { return b.H - 2 }
func (b node) Round() int {
	if b.Kind == "topic" {
		return b.H/2 - 1
	}
	return 7
}

// arrow goes from one node to another.
type arrow struct {
	Path, Tip   string
	Over, Under string // what flows, what is behind
	X, Y        int    // the middle
}

func (a arrow) OverY() int  { return a.Y - 7 }
func (a arrow) UnderY() int { return a.Y + 16 }

// head is what a column is called.
type head struct {
	X    int
	Text string
}

// flow is what a row of the drawing says, in words: from a feed into a table or stream.
type flow struct {
	Feed, Name, Link string
	Kind             string // "table", "stream"
	Topics           string // of the feed
	Passes           []stageOf
	Second           *stageOf // stage 2, if it runs here
	Read, Counted    string   // records a second
	Lag              int64    // records of the source that are not committed, if a pass of it runs here
	Behind           int64    // records of the partials topic
	Result           string
	Partials         string
	Changelog        string
	View             string // its state
	Ready            bool
}

// stageOf is a stage as the pages link to it.
type stageOf struct{ Name, State, Link string }

// claimed is what a stage 1 of this instance reads.
type claimed struct{ Pass, Group, Topic, Partitions string }

// The drawing's measures, in its own units, about a pixel each.
const (
	boxWidth   = 148
	between    = 66 // boxes, from left to right
	rowHeight  = 92
	boxHeight  = 52
	halfHeight = 36 // of the two topics behind stage 2
	top        = 34 // below the columns' names
	feedGap    = 14
	columns    = 6
)

// elsewhere is where a stage runs that does not run here.
const elsewhere = "in other instances"

func columnX(i int) int { return 1 + i*(boxWidth+between) }

// askMembers asks about the groups that were last looked at.
func (s *Site) askMembers(ctx context.Context) ([]Member, error) {
	return s.config.Members(ctx, s.groups.get())
}

// wanted are the groups whose members somebody wants to see.
type wanted struct {
	mu     sync.Mutex // guards groups
	groups []string
}

func (w *wanted) set(groups []string) { w.mu.Lock(); w.groups = groups; w.mu.Unlock() }
func (w *wanted) get() []string       { w.mu.Lock(); defer w.mu.Unlock(); return w.groups }

// topology makes the page that draws what runs. What it remembers is counters, for rates.
func (s *Site) topology() maker {
	var p pace
	return func(r *http.Request) (*page, error) {
		out := &page{Title: "Topology", Nav: "topology", State: live}
		list, err := s.details(r.Context())
		if err != nil && list == nil {
			return out, err
		}
		f, unmeasured := s.measured()
		p.note(time.Now(), f)
		if unmeasured != nil {
			out.Note = "Some of it could not be measured: " + printable(unmeasured.Error())
		}
		t := &topologyPage{}
		out.Main = t
		t.draw(list, f, &p)
		t.claims(f)
		t.Serves = len(list) > 0 && len(f.values("brotally_stage_state", "group")) == 0
		t.members(r.Context(), s, f)
		return out, err
	}
}

func (t *topologyPage) claims(f figures) {
	for _, pass := range f.values("brotally_source_offset", "pass") {
		for _, topic := range f.values("brotally_source_offset", "topic", "pass", pass) {
			var of []int32
			for _, p := range f.values("brotally_source_offset", "partition", "pass", pass, "topic", topic) {
				if n, err := strconv.ParseInt(p, 10, 32); err == nil {
					of = append(of, int32(n))
				}
			}
			t.Here = append(t.Here, claimed{pass, f.passGroup(pass), topic, ranges(of)})
		}
	}
}

func (t *topologyPage) members(ctx context.Context, s *Site, f figures) {
	groups := f.values("brotally_stage_state", "group")
	switch {
	case s.config.Members == nil:
		return
	case len(groups) == 0:
		t.MembersNo = "This instance is in none of the groups whose members share the work."
		return
	}
	s.groups.set(groups)
	known, there, err := s.members.get(ctx)
	t.Members = known
	switch {
	case !there:
		t.MembersNo = "Kafka is being asked who takes part."
	case err != nil:
		t.MembersNo = "Kafka does not say now who takes part: " + printable(err.Error())
	}
}

// passGroup is the consumer group of a pass; empty where it does not run here.
func (f figures) passGroup(pass string) string {
	for _, g := range f.values("brotally_stage_state", "group", "stage", "combine") {
		if strings.HasSuffix(g, "-combine-"+pass) {
			return g
		}
	}
	return ""
}

// passes are those that read a feed.
func (f figures) passes(feed string) []string {
	found := append(f.values("brotally_dead_letters_uncopied_total", "pass", "feed", feed), f.values("brotally_records_read_total", "pass", "feed", feed)...)
	slices.Sort(found)
	return slices.Compact(found)
}

// rowOf is a row of the drawing.
type rowOf struct {
	name   string
	table  *client.Table // nil: it is a stream
	topics []string      // that the stream reads
}

// fed are the rows of a feed.
type fed struct {
	name   string
	topics []string
	rows   []rowOf
}

// feedsOf sorts what runs by what it reads.
func feedsOf(list []client.Table, f figures) []fed {
	byName := map[string]*fed{}
	of := func(name string) *fed {
		if byName[name] == nil {
			byName[name] = &fed{name: name, topics: f.values("brotally_records_read_total", "topic", "feed", name)}
		}
		return byName[name]
	}
	for i := range list {
		x := of(list[i].Feed)
		x.topics = append(x.topics, list[i].Topics.Feed...)
		x.rows = append(x.rows, rowOf{name: list[i].Name, table: &list[i]})
	}
	for _, stream := range f.values("brotally_stream_records_total", "stream") {
		topics := f.values("brotally_stream_records_total", "topic", "stream", stream)
		for _, feed := range f.values("brotally_records_read_total", "feed", "topic", topics[0]) {
			x := of(feed)
			x.topics = append(x.topics, topics...)
			x.rows = append(x.rows, rowOf{name: stream, topics: topics})
			break
		}
	}
	var all []fed
	for _, x := range byName {
		slices.Sort(x.topics)
		x.topics = slices.Compact(x.topics)
		if len(x.topics) == 0 {
			x.topics = []string{x.name}
		}
		all = append(all, *x)
	}
	slices.SortFunc(all, func(a, b fed) int { return cmp.Compare(a.name, b.name) })
	return all
}

// draw places everything: the topics and passes of a feed once, beside its tables, a row for each of these.
func (t *topologyPage) draw(list []client.Table, f figures, p *pace) {
	t.Width = columnX(columns-1) + boxWidth + 1
	for i, text := range []string{"feed topics", "stage 1: pass", "partials", "stage 2: table", "changelog, result", "view"} {
		t.Heads = append(t.Heads, head{columnX(i), text})
	}
	stages := map[string]stage{}
	for _, s := range f.stages(p) {
		stages[s.Group] = s
	}
	y := top
	for _, x := range feedsOf(list, f) {
		passes := f.passes(x.name)
		tall := max(len(x.rows)*rowHeight, len(x.topics)*(boxHeight+feedGap)+feedGap, len(passes)*(boxHeight+feedGap)+feedGap)
		t.feed(x, passes, stages, f, p, y, tall)
		y += tall + feedGap
	}
	t.Height = y
}

// spread is the top of the i-th of n boxes in so much room.
func spread(y, tall, i, n int) int {
	return y + tall*(2*i+1)/(2*n) - boxHeight/2
}

func (t *topologyPage) feed(x fed, passes []string, stages map[string]stage, f figures, p *pace, y, tall int) {
	var topics, firsts []node
	for i, name := range x.topics {
		n := len(f.values("brotally_records_read_total", "partition", "topic", name))
		under := "feed " + x.name
		if n > 0 {
			under = plural(int64(n), "partition here", "partitions here")
		}
		topics = append(topics, newNode(0, spread(y, tall, i, len(x.topics)), boxHeight, "topic", name, under, "topic "+name+" of feed "+x.name))
	}
	if len(passes) == 0 {
		b := newNode(1, spread(y, tall, 0, 1), boxHeight, "stage", "stage 1", elsewhere, "stage 1 of "+x.name+" does not run in this instance")
		firsts = append(firsts, b)
	}
	var of []stageOf
	for i, pass := range passes {
		group := f.passGroup(pass)
		s := stages[group]
		b := newNode(1, spread(y, tall, i, len(passes)), boxHeight, "stage", pass, s.under(), group)
		b.State, b.Link = s.State, "/health#"+stageID(group)
		firsts = append(firsts, b)
		of = append(of, stageOf{group, s.State, b.Link})
	}
	// What a feed brings is written once, on the line that lies straightest: of the middle topic.
	lag := f.count("brotally_lag_records", "feed", x.name)
	read, known := p.rate("brotally_records_read_total", "feed", x.name)
	for i, a := range topics {
		for j, b := range firsts {
			line := newArrow(a, b)
			if i == len(topics)/2 && j == len(firsts)/2 && len(passes) > 0 {
				line.Over, line.Under = perSecond(read, known), "lag "+compact(float64(lag))
			}
			t.Arrows = append(t.Arrows, line)
		}
	}
	t.Boxes = append(append(t.Boxes, topics...), firsts...)
	from := firsts[len(firsts)/2]
	for i, row := range x.rows {
		at := y + tall*(2*i+1)/(2*len(x.rows))
		w := flow{Feed: x.name, Name: row.name, Topics: strings.Join(x.topics, ", "), Passes: of, Lag: lag, Read: p.rateText("brotally_records_read_total", "feed", x.name)}
		if row.table != nil {
			t.table(row.table, w, from, stages, f, p, at)
		} else {
			t.stream(w, from, p, at)
		}
	}
}

// table draws what is behind stage 1, for a table, in a row whose middle is at y.
func (t *topologyPage) table(of *client.Table, w flow, from node, stages map[string]stage, f figures, p *pace, y int) {
	group := strings.TrimSuffix(of.Topics.Changelog, "-table") // as Goka names it
	s, here := stages[group]
	counted, known := p.rate("brotally_table_records_total", "table", of.Name, "outcome", "counted")
	w.Kind, w.Link, w.Counted = "table", tableLink(of.Name), p.rateText("brotally_table_records_total", "table", of.Name, "outcome", "counted")
	w.Partials, w.Changelog, w.Result = of.Topics.Partials, of.Topics.Changelog, of.Topics.Result
	w.View, w.Ready = of.State, of.Ready

	partials := newNode(2, y-boxHeight/2, boxHeight, "topic", "partials", of.Name, cmp.Or(of.Topics.Partials, "partials of "+of.Name))
	second := newNode(3, y-boxHeight/2, boxHeight, "stage", of.Name, elsewhere, "stage 2 of "+of.Name)
	if here {
		second.Under, second.State, second.Link = s.under(), s.State, "/health#"+s.ID()
		w.Second = &stageOf{s.Group, s.State, second.Link}
		w.Behind = f.count("brotally_partials_lag_records", "table", of.Name)
	}
	changelog := newNode(4, y-halfHeight-3, halfHeight, "topic", "changelog", "", "changelog "+of.Topics.Changelog)
	result := newNode(4, y+3, halfHeight, "topic", cmp.Or(of.Topics.Result, "result"), "", "result topic "+of.Topics.Result)
	view := newNode(5, y-boxHeight/2, boxHeight, "view", of.Name, compact(float64(of.Groups))+" rows", "view of "+of.Name+": "+of.State)
	view.Link, view.State = w.Link, "running"
	if !of.Ready {
		view.State, view.Under = "restoring", printable(of.State)
		if of.Recovery != nil {
			view.Under = fmt.Sprintf("restored to %d %%", 100*of.Recovery.Done/max(of.Recovery.Total, 1))
		}
		view = view.fit()
	}
	in := newArrow(from, partials)
	in.Over = perSecond(counted, known)
	behind := newArrow(partials, second)
	if here {
		behind.Under = "lag " + compact(float64(w.Behind))
	}
	out := newArrow(second, changelog)
	if commits, ok := p.rate("brotally_commit_seconds_count", "group", group); ok && here {
		out.Over = compact(commits) + " tx/s"
		out.Y -= 6
	}
	reflected, known := p.rate("brotally_view_records_total", "table", of.Name)
	shown := newArrow(changelog, view)
	shown.Over = perSecond(reflected, known && of.Ready)
	shown.Y -= 6
	t.Boxes = append(t.Boxes, partials, second, changelog, result, view)
	t.Arrows = append(t.Arrows, in, behind, out, newArrow(second, result), shown)
	t.Flows = append(t.Flows, w)
}

// stream draws what is behind stage 1, for a stream: its topic.
func (t *topologyPage) stream(w flow, from node, p *pace, y int) {
	w.Kind, w.Result, w.Ready = "stream", w.Name, true
	w.Counted = p.rateText("brotally_stream_records_total", "stream", w.Name, "outcome", "counted")
	result := newNode(4, y-halfHeight/2, halfHeight, "topic", w.Name, "", "topic of stream "+w.Name)
	line := newArrow(from, result)
	line.X = columnX(2) - between/2
	sent, known := p.rate("brotally_stream_records_total", "stream", w.Name, "outcome", "counted")
	line.Over = perSecond(sent, known)
	line.Path = bend(from.X+boxWidth, from.Y+boxHeight/2, columnX(2), y) + fmt.Sprintf("H%d", result.X-6)
	t.Boxes, t.Arrows, t.Flows = append(t.Boxes, result), append(t.Arrows, line), append(t.Flows, w)
}

// under is how a stage is, below its name: what it reads, or why it does not.
func (s stage) under() string {
	if s.State == "running" {
		return partitions(int(s.Partitions))
	}
	return s.State
}

func perSecond(rate float64, known bool) string {
	if !known {
		return ""
	}
	return compact(rate) + "/s"
}

func newNode(column, y, height int, kind, name, under, full string) node {
	b := node{X: columnX(column), Y: y, W: boxWidth, H: height, Kind: kind, Name: name, Under: under, Full: printable(full)}
	if full == "" {
		b.Full = printable(name)
	}
	return b.fit()
}

// fit cuts the texts, so that they stay inside: the large one has 18 columns, the small one 21.
func (b node) fit() node {
	large := 18
	if b.Kind != "topic" {
		large = 16 // the light is beside it
	}
	b.Name, b.Under = shorten(printable(b.Name), large), shorten(printable(b.Under), 21)
	return b
}

// shorten leaves out the middle of what takes more columns than that.
func shorten(s string, columns int) string {
	total := 0
	for _, r := range s {
		total += wide(r)
	}
	if total <= columns {
		return s
	}
	all := []rune(s)
	front, back, left := 0, len(all), columns-1
	for turn := 0; ; turn++ {
		if turn%2 == 0 {
			if left -= wide(all[front]); left < 0 {
				break
			}
			front++
			continue
		}
		if left -= wide(all[back-1]); left < 0 {
			break
		}
		back--
	}
	return string(all[:front]) + "…" + string(all[back:])
}

// wide is how many columns a character takes, or more.
func wide(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

func newArrow(a, b node) arrow {
	x1, y1, x2, y2 := a.X+a.W, a.Y+a.H/2, b.X, b.Y+b.H/2
	return arrow{Path: bend(x1, y1, x2-6, y2), Tip: tip(x2, y2), X: (x1 + x2) / 2, Y: (y1 + y2) / 2}
}

// bend is a line that leaves and arrives level.
func bend(x1, y1, x2, y2 int) string {
	if y1 == y2 {
		return fmt.Sprintf("M%d %dH%d", x1, y1, x2)
	}
	middle := (x1 + x2) / 2
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, middle, y1, middle, y2, x2, y2)
}

// tip is the head of an arrow that ends there.
func tip(x, y int) string { return fmt.Sprintf("M%d %dl-7 -4v8z", x-1, y) }
