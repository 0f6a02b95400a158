package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/brotally/brotally/views/client"
)

// The drawing: columns of boxes from left to right, a row for each table.
const (
	boxWidth, boxHeight = 178, 46
	columnStep          = 292
	topStep             = 56 // of the first row, below the heads
	rowStep             = 112
	titleLetters        = 19 // as many as fit a box
)

// topologyPage is what runs, drawn.
type topologyPage struct {
	Width, Height int
	Boxes         []drawnBox
	Arrows        []arrow
	Heads         []head
	Flows         []flow // the same as a table
	Instance      string
}

type head struct {
	X    int
	Text string
}

// drawnBox is one part of what runs.
type drawnBox struct {
	X, Y, W, H           int
	Kind                 string // topic, stage or view
	Title, Full, Sub, To string // To is a link; empty: there is none
	Good                 bool
}

// arrow leads from one box to another, with what is to be said about it.
type arrow struct {
	Path   string
	X, Y   int
	Texts  []string
	Behind bool
}

// flow is one table's way from its feed to who looks it up.
type flow struct {
	Table, Link                string
	Feed, Rate, Lag            string
	Stage1, Partials, Stage2   string
	Result, Changelog, Showing string
}

// topology draws the way of records from the feeds' topics to the views.
func (s *Site) topology() maker {
	return func(r *http.Request) (*page, error) {
		m := &topologyPage{}
		p := &page{Title: "Topology", Nav: "topology", State: live, Main: m}
		tables, err := s.detailed(r.Context())
		if err != nil {
			return p, err
		}
		f, err := s.config.figures()
		if err != nil {
			p.Note = "Some figures are missing: " + printable(err.Error())
		}
		slices.SortStableFunc(tables, func(a, b client.Table) int {
			return strings.Compare(strings.Join(a.Topics.Feed, "\x00"), strings.Join(b.Topics.Feed, "\x00"))
		})
		for i, text := range []string{"feed topics", "stage 1: combine", "stage 2: group", "topics", "look-ups"} {
			m.Heads = append(m.Heads, head{i * columnStep, text})
		}
		row := 0
		for len(tables) > 0 {
			n := 1
			for n < len(tables) && slices.Equal(tables[n].Topics.Feed, tables[0].Topics.Feed) {
				n++
			}
			m.feed(tables[:n], row, f, &s.history)
			tables, row = tables[n:], row+n
		}
		m.Width, m.Height = 4*columnStep+boxWidth+2, row*rowStep+topStep-26
		m.Instance = instanceText(f)
		return p, nil
	}
}

// instanceText says what of all this is here.
func instanceText(f figures) string {
	claims := f.sums("stage_partitions", "stage", nil)
	if len(claims) == 0 {
		return "This instance serves look-ups and reads no feed; those that do are its group's others."
	}
	return fmt.Sprintf("This instance reads %d source partitions in stage 1 and %d partitions of partials in stage 2; what it does not read, others of its group do. It holds all rows of all tables for look-ups.",
		claims["combine"], claims["group"])
}

// feed draws the tables of one feed, which share a pass over its topics.
func (m *topologyPage) feed(tables []client.Table, row int, f figures, h *history) {
	y := topStep + row*rowStep
	middle := y + (len(tables)-1)*rowStep/2
	feed := tables[0].Feed
	topics := strings.Join(tables[0].Topics.Feed, ", ")
	of := map[string]string{"feed": feed}
	partitions := 0
	f.of("lag_records", of, func(Figure) { partitions++ })
	var rate float64
	for _, t := range tables {
		if rates := h.rates(t.Name); len(rates) > 0 {
			rate = max(rate, rates[len(rates)-1])
		}
	}
	lag, known := f.sum("lag_records", of), partitions > 0
	lagText := "lag –"
	if known {
		lagText = "lag " + integer(lag)
	}
	passes := f.sums("records_read_total", "pass", of)
	names := make([]string, 0, len(passes))
	for name := range passes {
		names = append(names, name)
	}
	slices.Sort(names)
	stage1, good := "elsewhere", true
	for _, name := range names {
		f.of("stage_state", map[string]string{"stage": "combine"}, func(figure Figure) {
			if figure.Value == 1 && strings.HasSuffix(figure.Labels["group"], "-combine-"+name) {
				stage1 = figure.Labels["state"]
				good = good && stage1 == "running"
			}
		})
	}
	sub := ""
	if known {
		sub = strconv.Itoa(partitions) + " partitions here"
	}
	m.box(0, middle, drawnBox{Kind: "topic", Title: topics, Sub: sub, Good: true, To: "/health#sources"})
	m.box(1, middle, drawnBox{Kind: "stage", Title: feed, Sub: strings.ReplaceAll(stage1, "_", " "), Good: good, To: "/health#stages"})
	m.arrow(0, middle, middle, lag > manyBehind, decimal(rate)+"/s", lagText)
	for i, t := range tables {
		at := y + i*rowStep
		of := map[string]string{"table": t.Name}
		partials := "–"
		f.of("partials_lag_records", of, func(figure Figure) { partials = integer(int64(figure.Value)) })
		stage2, good := "elsewhere", true
		f.of("stage_state", map[string]string{"stage": "group"}, func(figure Figure) {
			if figure.Value == 1 && strings.HasSuffix(figure.Labels["group"], "-"+t.Name) {
				stage2 = figure.Labels["state"]
				good = stage2 == "running"
			}
		})
		showing := integer(int64(t.Groups)) + " rows"
		if !t.Ready {
			showing = "restoring"
			if t.Recovery != nil {
				showing = fmt.Sprintf("restoring %d %%", 100*t.Recovery.Done/max(t.Recovery.Total, 1))
			}
		}
		m.box(2, at, drawnBox{Kind: "stage", Title: t.Name, Sub: strings.ReplaceAll(stage2, "_", " "), Good: good, To: "/health#stages"})
		m.box(3, at-26, drawnBox{Kind: "topic", Title: t.Topics.Result, Sub: "result", Good: true, To: tableLink(t.Name)})
		m.box(3, at+26, drawnBox{Kind: "topic", Title: t.Topics.Changelog, Sub: "changelog", Good: true})
		m.box(4, at+26, drawnBox{Kind: "view", Title: t.Name, Sub: showing, Good: t.Ready, To: tableLink(t.Name)})
		m.arrow(1, middle, at, false, "partials", "lag "+partials)
		m.arrow(2, at, at-26, false)
		m.arrow(2, at, at+26, false)
		m.arrow(3, at+26, at+26, false, ago(t.EventTime))
		m.Flows = append(m.Flows, flow{
			Table: t.Name, Link: tableLink(t.Name), Feed: topics, Rate: decimal(rate), Lag: strings.TrimPrefix(lagText, "lag "), Stage1: stage1, Partials: partials, Stage2: stage2,
			Result: t.Topics.Result, Changelog: t.Topics.Changelog, Showing: showing,
		})
	}
}

func (m *topologyPage) box(column, y int, b drawnBox) {
	b.X, b.Y, b.W, b.H = column*columnStep+1, y, boxWidth, boxHeight
	b.Full = printable(b.Title)
	b.Title = shortened(b.Full, titleLetters)
	m.Boxes = append(m.Boxes, b)
}

// arrow leads from a box of a column to one of the next.
func (m *topologyPage) arrow(column, from, to int, behind bool, texts ...string) {
	x1, x2 := column*columnStep+1+boxWidth, (column+1)*columnStep-4
	y1, y2 := from+boxHeight/2, to+boxHeight/2
	bend := (x1 + x2) / 2
	m.Arrows = append(m.Arrows, arrow{
		Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, bend, y1, bend, y2, x2, y2),
		X:    bend, Y: (y1+y2)/2 - 7, Texts: texts, Behind: behind,
	})
}

// shortened leaves as many letters as fit, of the beginning and the end.
func shortened(s string, most int) string {
	letters := []rune(s)
	if len(letters) <= most {
		return s
	}
	return string(letters[:most-9]) + "…" + string(letters[len(letters)-8:])
}
