package views

import (
	"net/http"

	"github.com/brotally/brotally/codecs"
)

// tableJSON is a table as the list shows it.
type tableJSON struct {
	Name      string      `json:"name"`
	Feed      string      `json:"feed"`
	Ready     bool        `json:"ready"`
	State     string      `json:"state"`
	Groups    int         `json:"groups"`
	Bytes     int         `json:"bytes"` // estimate of the memory that rows take
	EventTime *string     `json:"event_time"`
	Heard     *string     `json:"heard"` // wall time of stage 1's last word, of the source partition that is silent for longest
	Counts    countsJSON  `json:"counts"`
	Recovery  *recoveryOf `json:"recovery,omitempty"` // while it is not ready
}

type recoveryOf struct {
	Done  int64 `json:"done"` // changelog offsets
	Total int64 `json:"total"`
}

// tableDetailJSON is a table on its own.
type tableDetailJSON struct {
	tableJSON
	SQL      string             `json:"sql"`
	Columns  []columnJSON       `json:"columns"`
	Topics   topicsJSON         `json:"topics"`
	AsOf     map[string]offsets `json:"as_of"`
	AddsUp   bool               `json:"adds_up"` // read = counted + filtered + other_feed + no_time + dead_lettered, in every source partition
	Progress []progressJSON     `json:"progress"`
}

type offsets map[int32]int64

type columnJSON struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Key       bool   `json:"key"`
	Aggregate bool   `json:"aggregate"`
}

type topicsJSON struct {
	Feed      []string `json:"feed"`
	Result    string   `json:"result"`
	Partials  string   `json:"partials"`
	Changelog string   `json:"changelog"`
}

// progressJSON is how far the table reflects one source partition.
type progressJSON struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`     // every record below it is in the table
	EventTime *string    `json:"event_time"` // newest seen
	Heard     *string    `json:"heard"`      // wall time of stage 1's last word about it
	Counts    countsJSON `json:"counts"`
}

func newTableJSON(v *View) tableJSON {
	h, asOf := v.held.Load(), v.AsOf()
	t := tableJSON{
		Name: v.table.Name, Feed: v.table.Feed.Name, Ready: h.ready, State: h.state, Groups: v.Len(), Bytes: v.Bytes(),
		EventTime: eventTimeText(asOf.EventTime), Counts: countsJSON(asOf.Counts),
	}
	if heard := v.Heard(); !heard.IsZero() {
		t.Heard = milliTime(heard.UnixMilli())
	}
	if !h.ready {
		done, total := h.recovery()
		t.Recovery = &recoveryOf{done, total}
	}
	return t
}

func eventTimeText(micros int64) *string {
	if micros == codecs.NoTime {
		return nil
	}
	text := eventTime(&AsOf{EventTime: micros}).String()
	return &text
}

// tables answers GET /api/v1/tables.
func (s *server) tables(w http.ResponseWriter, _ *http.Request) error {
	shown := s.views.All()
	list := make([]tableJSON, 0, len(shown))
	for _, v := range shown {
		list = append(list, newTableJSON(v))
	}
	writeJSON(w, http.StatusOK, map[string]any{"tables": list})
	return nil
}

// table answers GET /api/v1/tables/{t}.
func (s *server) table(w http.ResponseWriter, r *http.Request) error {
	v, err := s.view(r)
	if err != nil {
		return err
	}
	t := tableDetailJSON{
		tableJSON: newTableJSON(v), SQL: v.table.SQL, Topics: topicsJSON(v.topics),
		AsOf: map[string]offsets{}, AddsUp: true, Progress: []progressJSON{},
	}
	for _, c := range v.table.Columns {
		t.Columns = append(t.Columns, columnJSON{c.Name, c.Type.String(), c.Key, c.Aggregate})
	}
	progress := v.Progress()
	for _, source := range sortedSources(progress) {
		p := progress[source]
		if t.AsOf[source.Topic] == nil {
			t.AsOf[source.Topic] = offsets{}
		}
		t.AsOf[source.Topic][source.Partition] = p.Upto
		t.AddsUp = t.AddsUp && addsUp(p.Counts)
		t.Progress = append(t.Progress, progressJSON{
			Topic: source.Topic, Partition: source.Partition, Offset: p.Upto,
			EventTime: eventTimeText(p.NewestTime), Heard: milliTime(p.WallTime), Counts: countsJSON(p.Counts),
		})
	}
	writeJSON(w, http.StatusOK, t)
	return nil
}

// addsUp reports whether every record read is accounted for.
func addsUp(c codecs.Counts) bool {
	return c.Read == c.Counted+c.Filtered+c.OtherFeed+c.NoTime+c.DeadLettered
}

// healthz answers as long as the process does.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// readyJSON is one table in the answer of /readyz.
type readyJSON struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	State string `json:"state"`
	recoveryOf
}

// readyz answers 200 when all tables are ready, else 503 and which are not.
func (s *server) readyz(w http.ResponseWriter, _ *http.Request) error {
	shown := s.views.All()
	all, list := true, make([]readyJSON, 0, len(shown))
	for _, v := range shown {
		h := v.held.Load()
		all = all && h.ready
		done, total := h.recovery()
		list = append(list, readyJSON{v.table.Name, h.ready, h.state, recoveryOf{done, total}})
	}
	status := http.StatusOK
	if !all {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, map[string]any{"ready": all, "tables": list})
	return nil
}
