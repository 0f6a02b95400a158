package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/brotally/brotally/views/client"
)

// Letter is a dead letter, as a sample.
type Letter struct {
	Place string // topic, partition and offset of the record
	Why   string
	Value string // as far as the dead letter has it
	Size  int64  // bytes of the record
}

// manyBehind is how many records a source partition may lag without a word: half a minute of 500 a second.
const manyBehind = 15_000

// healthPage is what the page about the program's health shows.
type healthPage struct {
	Words   []string // what is not well; empty: all is
	Facts   []fact
	Tables  []tableHealth
	Sources []*source
	Stages  []stageHealth
	Dead    []deadReason
	Letters []Letter
	Missing string // why there are no letters to be shown
}

// fact is a figure with its name.
type fact struct{ Name, Value, Title string }

// tableHealth is how one table is doing.
type tableHealth struct {
	client.Table
	Link     string
	AddsUp   bool
	Late     int64
	Overflow int64
	Memory   string
}

// stageHealth is how one stage is doing in this instance.
type stageHealth struct {
	Stage, Group, State                  string
	Good                                 bool
	Partitions                           int64
	Commit                               string // mean duration
	Rebalances, Failures, CommitFailures int64
}

// deadReason is how many dead letters there are for one reason.
type deadReason struct {
	Feed, Reason string
	Records      int64
}

// health makes the page about the program's health.
func (s *Site) health() maker {
	return func(r *http.Request) (*page, error) {
		m := &healthPage{}
		p := &page{Title: "Health", Nav: "health", State: live, Main: m}
		tables, err := s.detailed(r.Context())
		if err != nil {
			return p, err
		}
		f, err := s.config.figures()
		if err != nil {
			p.Note = "Some figures are missing: " + printable(err.Error())
		}
		m.tables(tables)
		m.Sources = f.sources()
		m.stages(f)
		m.dead(f)
		m.facts(f, tables)
		m.words(f)
		m.Letters, m.Missing = s.letters.newest(r.Context(), s.config)
		if len(m.Words) > 0 {
			p.State = state{"wait", "not all is well"}
		}
		return p, nil
	}
}

// detailed returns all tables with all that is known of them.
func (s *Site) detailed(ctx context.Context) ([]client.Table, error) {
	list, err := s.api.Tables(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]client.Table, 0, len(list))
	for _, t := range list {
		detail, err := s.api.Table(ctx, t.Name)
		if err != nil {
			continue // it has gone since
		}
		all = append(all, *detail)
	}
	return all, nil
}

func (m *healthPage) tables(all []client.Table) {
	for _, t := range all {
		m.Tables = append(m.Tables, tableHealth{
			Table: t, Link: tableLink(t.Name), AddsUp: t.AddsUp, Late: t.Counts.Late, Overflow: t.Counts.Overflows, Memory: bytesText(t.Bytes),
		})
	}
}

func (m *healthPage) stages(f figures) {
	f.of("stage_partitions", nil, func(figure Figure) {
		group := map[string]string{"group": figure.Labels["group"]}
		h := stageHealth{
			Stage: figure.Labels["stage"], Group: figure.Labels["group"], Partitions: int64(figure.Value), State: f.state(figure.Labels["group"]), Commit: "–",
			Rebalances: f.sum("rebalances_total", group), Failures: f.sum("stage_failures_total", group), CommitFailures: f.sum("commit_failures_total", group),
		}
		h.Good = h.State == "running"
		if mean := f.mean("commit_seconds", group); mean >= 0 {
			h.Commit = duration(mean)
		}
		m.Stages = append(m.Stages, h)
	})
	slices.SortFunc(m.Stages, func(a, b stageHealth) int {
		return strings.Compare(a.Stage+"\x00"+a.Group, b.Stage+"\x00"+b.Group)
	})
}

func (m *healthPage) dead(f figures) {
	f.of("dead_letters_total", nil, func(figure Figure) {
		if figure.Value > 0 {
			m.Dead = append(m.Dead, deadReason{figure.Labels["feed"], strings.ReplaceAll(figure.Labels["reason"], "_", " "), int64(figure.Value)})
		}
	})
	slices.SortFunc(m.Dead, func(a, b deadReason) int {
		return strings.Compare(a.Feed+"\x00"+a.Reason, b.Feed+"\x00"+b.Reason)
	})
}

// facts are the figures of the whole process.
func (m *healthPage) facts(f figures, tables []client.Table) {
	add := func(name, value, title string) { m.Facts = append(m.Facts, fact{name, value, title}) }
	var rows, held int64
	for _, t := range tables {
		rows, held = rows+int64(t.Groups), held+t.Bytes
	}
	if v, ok := f.plain("process_resident_memory_bytes"); ok {
		add("memory", bytesText(int64(v)), "resident")
	}
	if v, ok := f.plain("go_gc_gomemlimit_bytes"); ok && v < math.MaxInt64/2 {
		add("GOMEMLIMIT", bytesText(int64(v)), "")
	}
	add("rows", integer(rows), "of all tables")
	add("of them in memory", bytesText(held), "estimate")
	if v := f.mean("commit_interval_seconds", map[string]string{"stage": "combine"}); v >= 0 {
		add("between commits", duration(v), "mean of stage 1 since the start")
	}
	if v := f.mean("commit_seconds", nil); v >= 0 {
		add("a commit takes", duration(v), "mean since the start")
	}
	if v, ok := f.plain("process_start_time_seconds"); ok {
		add("running for", duration(math.Floor(float64(time.Now().UnixMilli())/1000-v)), "")
	}
	f.of("build_info", nil, func(figure Figure) {
		add("version", printable(figure.Labels["version"]), "Goka "+figure.Labels["goka"]+", Sarama "+figure.Labels["sarama"]+", "+figure.Labels["go"])
	})
}

// words says what is not well.
func (m *healthPage) words(f figures) {
	say := func(format string, a ...any) { m.Words = append(m.Words, fmt.Sprintf(format, a...)) }
	for _, t := range m.Tables {
		if !t.Ready {
			say("%s %s", printable(t.Name), printable(t.State))
		}
		if !t.AddsUp {
			say("the records of %s do not add up", printable(t.Name))
		}
	}
	for _, s := range m.Stages {
		if !s.Good {
			say("%s is %s", printable(s.Group), printable(strings.ReplaceAll(s.State, "_", " ")))
		}
	}
	far, behind := 0, int64(0)
	var lost int64
	for _, s := range m.Sources {
		if lost += s.Lost; s.Lag > manyBehind {
			far, behind = far+1, behind+s.Lag
		}
	}
	if far > 0 {
		say("%d source partitions lag, by %s records together", far, integer(behind))
	}
	if lost > 0 {
		say("%s offsets had gone by retention before they were read", integer(lost))
	}
	if n := f.sum("definitions_waiting", nil); n > 0 {
		say("%d tables or streams wait for their topics", n)
	}
	if n := f.sum("table_full_partitions", nil); n > 0 {
		say("MAX GROUPS was reached in %d partitions", n)
	}
	if n := f.sum("dead_letters_uncopied_total", nil); n > 0 {
		say("%s dead letters were not copied, there were too many at once", integer(n))
	}
}

// letters are samples of dead letters, for all who look. They are asked for now and then.
type letters struct {
	mu    sync.Mutex // guards what follows and is held while asking
	known []Letter
	why   string
	due   time.Time
}

const (
	lettersShown = 12
	lettersEvery = 5 * time.Second
)

// newest returns some, and why there are none if it is not known.
func (l *letters) newest(ctx context.Context, c Config) ([]Letter, string) {
	if c.Letters == nil {
		return nil, ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.due) {
		return l.known, l.why
	}
	began := time.Now()
	known, err := c.Letters(ctx, lettersShown)
	if ctx.Err() != nil {
		return l.known, l.why // the one who asked has left, and the next one does
	}
	l.known, l.why = known, ""
	if err != nil {
		l.why = err.Error()
	}
	l.due = time.Now().Add(max(lettersEvery, 20*time.Since(began)))
	return l.known, l.why
}
