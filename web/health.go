package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/brotally/brotally/views/client"
)

// Letter is a record that could not be decoded.
type Letter struct {
	Topic     string // where the record came from
	Partition int32
	Offset    int64
	At        time.Time // when it was found
	Why       string
	Value     string   // the record, or its beginning
	Size      int64    // of the record, in bytes
	Missed    []string // the tables and streams that do not have it
}

// Place is where the record came from, as brotally dead-letters wants it.
func (l Letter) Place() string { return fmt.Sprintf("%s/%d/%d", l.Topic, l.Partition, l.Offset) }

// Tables is Missed on a line.
func (l Letter) Tables() string { return strings.Join(l.Missed, ", ") }

// lettersShown is how many dead letters of a topic are shown.
const lettersShown = 5

func (s *Site) askLetters(ctx context.Context) ([]Letter, error) {
	return s.config.Letters(ctx, lettersShown)
}

// healthPage is what /health shows.
type healthPage struct {
	Troubles []trouble
	Verdict  string // in words, when there are none

	Uptime  string
	Version string
	Commit  string
	Go      string
	Flow    []figureText // of all that is read here
	Memory  []figureText
	Figures bool // there are any

	Topics   []topicHealth
	Sources  []source
	Reading  int        // how many source partitions there are; those above the first some are not shown
	Odd, Fit sourceList // of those that are shown: what has something to look at, and what is in order

	Stages []stage
	Built  counted // of the stages
	Tables []tableHealth
	Kept   counted // of the tables

	Sums       []identity
	Summed     int // how many there are, likewise
	Broken     int // of them
	Off, AddUp sumList

	Reasons   []reason
	Uncopied  int64
	Letters   []Letter
	LettersNo string // why there are none, or none that are newer; empty: nothing is wrong
}

// counter is a count of something that had better not happen, or does not to all.
type counter struct {
	N     int64
	Bad   bool   // any of it is
	Usual bool   // none of it is anything to look at
	Title string // what else there is to say
}

// counted are the counters of rows: Names those that are not zero in all of them, which each has in this order; Zero the others.
type counted struct{ Names, Zero []string }

// fold leaves out of the rows' counters, which have these names, those that are zero in all.
func fold(names []string, rows []*[]counter) counted {
	var c counted
	var kept []int
	for i, name := range names {
		if slices.ContainsFunc(rows, func(row *[]counter) bool { return (*row)[i].N != 0 }) {
			c.Names, kept = append(c.Names, name), append(kept, i)
		} else {
			c.Zero = append(c.Zero, name)
		}
	}
	for _, row := range rows {
		var some []counter
		for _, i := range kept {
			some = append(some, (*row)[i])
		}
		*row = some
	}
	return c
}

// sourceList and sumList are rows, and which counters they have.
type sourceList struct {
	counted
	Rows []source
}
type sumList struct {
	counted
	Rows []identity
}

// topicHealth is a topic that a pass of this instance reads, all partitions together.
type topicHealth struct {
	Pass, Topic string
	Partitions  int
	Lag         int64
	Rate        string
	Newest      *time.Time
	Lags        bool // one of the partitions does
}

type figureText struct{ Name, Text, Title string }

// trouble is something that is not as it should be. Bad is what does not mend itself.
type trouble struct {
	Text string
	Link string
	Bad  bool
}

// source is a source partition that this instance reads.
type source struct {
	Pass, Feed, Topic, Partition string

	Lag, Offset, End int64
	Rate             string
	Newest           *time.Time
	Lost             int64
	Counters         []counter

	Lags bool
}

// odd tells whether it is worth a look.
func (s source) odd() bool {
	return s.Lags || slices.ContainsFunc(s.Counters, func(c counter) bool { return c.N != 0 && !c.Usual })
}

// tableHealth is a table: its rows as they are looked up, and what stage 2 of this instance says.
type tableHealth struct {
	client.Table
	Link                 string
	Clock                *time.Time // that EMIT FINAL, RETENTION and TTL go by
	Heard                *time.Time // when the source partition that is silent for longest was last spoken of
	Silent               bool
	Here                 bool  // stage 2 has partitions of it in this instance
	Full, Due, Remaining int64 // of these: partitions, partitions, records of the changelog that are to be read yet
	Bytes2               int64 // memory of stage 2's rows
	Counters             []counter
}

// Notes are what else there is to say.
func (t tableHealth) Notes() string {
	var all []string
	if t.Remaining > 0 {
		all = append(all, plural(t.Remaining, "record", "records")+" of the changelog to restore")
	}
	if t.Full > 0 {
		all = append(all, partitions(int(t.Full))+" at MAX GROUPS")
	}
	if t.Due > 0 {
		all = append(all, partitions(int(t.Due))+" with rows that are due")
	}
	return strings.Join(all, "; ")
}

// identity is whether every record of a source partition became one thing, in one table.
type identity struct {
	Table, Link string
	client.Progress
	Counters []counter
}

// Off is how many records are missing, or more than were read.
func (i identity) Off() int64 {
	c := i.Counts
	return c.Read - c.Counted - c.Filtered - c.OtherFeed - c.NoTime - c.DeadLettered
}

// reason is how many dead letters of a topic had it.
type reason struct {
	Topic, Reason string
	Count         int64
	Rate          string
}

const (
	lagRecords = 1_000            // a partition lags above it ..
	lagSeconds = 5                // .. when that is more than it reads in so many seconds
	silence    = 10 * time.Second // stage 1 speaks of each source partition once a second, also when nothing comes
	longList   = 200              // rows
	tight      = 0.95             // share of GOMEMLIMIT above which memory is short
)

// health makes the page that says how everything is. What it remembers is counters, for rates.
func (s *Site) health() maker {
	var p pace
	return func(r *http.Request) (*page, error) {
		out := &page{Title: "Health", Nav: "health", State: live}
		list, err := s.details(r.Context())
		f, unmeasured := s.measured()
		if r.Context().Err() == nil {
			p.note(time.Now(), f)
		}
		h := &healthPage{Figures: len(f) > 0}
		out.Main = h
		h.program(f, &p)
		h.sources(f, &p)
		h.flow(f, &p)
		h.stages(f, &p)
		h.tables(list, f)
		h.letters(f, &p)
		h.samples(r.Context(), s)
		h.judge(f, &p)
		h.cut()
		switch {
		case err != nil:
			h.Troubles, h.Verdict = nil, "It is not known how the tables are."
			return out, err
		case unmeasured != nil:
			out.Note = "Some of it could not be measured: " + printable(unmeasured.Error())
		}
		return out, nil
	}
}

// cut leaves out what would make the page too long: first what is in order.
func (h *healthPage) cut() {
	h.Reading, h.Summed = len(h.Sources), len(h.Sums)
	if len(h.Sources) > longList {
		slices.SortStableFunc(h.Sources, func(a, b source) int { return cmp.Compare(b.Lag, a.Lag) })
		h.Sources = h.Sources[:longList]
	}
	if len(h.Sums) > longList {
		slices.SortStableFunc(h.Sums, func(a, b identity) int { return cmp.Compare(abs(b.Off()), abs(a.Off())) })
		h.Sums = h.Sums[:longList]
	}
	h.split()
}

// split puts apart what has something to look at, and leaves out the counters that are zero.
func (h *healthPage) split() {
	for _, s := range h.Sources {
		if s.odd() {
			h.Odd.Rows = append(h.Odd.Rows, s)
		} else {
			h.Fit.Rows = append(h.Fit.Rows, s)
		}
	}
	for _, x := range h.Sums {
		if x.Off() != 0 {
			h.Off.Rows = append(h.Off.Rows, x)
		} else {
			h.AddUp.Rows = append(h.AddUp.Rows, x)
		}
	}
	sourceCounters, sumCounters := []string{"bad fields", "other feed", "skewed", "lost"}, []string{"filtered", "other feed", "no time", "dead letters"}
	h.Odd.counted = fold(sourceCounters, countersOf(h.Odd.Rows, func(s *source) *[]counter { return &s.Counters }))
	h.Fit.counted = fold(sourceCounters, countersOf(h.Fit.Rows, func(s *source) *[]counter { return &s.Counters }))
	h.Off.counted = fold(sumCounters, countersOf(h.Off.Rows, func(x *identity) *[]counter { return &x.Counters }))
	h.AddUp.counted = fold(sumCounters, countersOf(h.AddUp.Rows, func(x *identity) *[]counter { return &x.Counters }))
	h.Built = fold([]string{"rebalances", "built anew", "commits failed"}, countersOf(h.Stages, func(s *stage) *[]counter { return &s.Counters }))
	h.Kept = fold([]string{"filtered", "late", "overflow", "cut keys", "bad fields", "dead letters", "lost"},
		countersOf(h.Tables, func(t *tableHealth) *[]counter { return &t.Counters }))
}

// InOrder is how many partitions are in order, in words.
func (h *healthPage) InOrder() string {
	switch n := h.Reading - len(h.Odd.Rows); {
	case n == 1 && len(h.Odd.Rows) == 0:
		return "The partition is in order"
	case n == 1:
		return "The other partition is in order"
	case len(h.Odd.Rows) == 0:
		return "All " + partitions(n) + " are in order"
	default:
		return "The other " + partitions(n) + " are in order"
	}
}

// Noted tells whether there is something to say of a table.
func (h *healthPage) Noted() bool {
	return slices.ContainsFunc(h.Tables, func(t tableHealth) bool { return t.Notes() != "" })
}

func countersOf[T any](rows []T, of func(*T) *[]counter) []*[]counter {
	all := make([]*[]counter, len(rows))
	for i := range rows {
		all[i] = of(&rows[i])
	}
	return all
}

func abs(n int64) int64 { return max(n, -n) }

// details returns the tables with all that the API says of each.
func (s *Site) details(ctx context.Context) ([]client.Table, error) {
	list, err := s.api.Tables(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		t, err := s.api.Table(ctx, list[i].Name)
		var e *client.Error
		switch {
		case err == nil:
			list[i] = *t
		case errors.As(err, &e) && e.Status != http.StatusInternalServerError:
			// It was dropped meanwhile, or cannot be asked yet: what the list says has to do.
		default:
			return list, err
		}
	}
	return list, nil
}

func (h *healthPage) program(f figures, p *pace) {
	h.Uptime = "–"
	if at := f.when("process_start_time_seconds"); at != nil {
		h.Uptime = duration(math.Round(time.Since(*at).Seconds()))
	}
	for _, one := range f["brotally_build_info"] {
		h.Version, h.Commit, h.Go = one.Labels["version"], one.Labels["commit"], one.Labels["go"]
	}
	size := func(name, title, metric string, labels ...string) {
		if len(f.with(metric, labels...)) > 0 {
			h.Memory = append(h.Memory, figureText{name, bytesText(f.count(metric, labels...)), title})
		}
	}
	size("resident memory", "of the process", "process_resident_memory_bytes")
	size("Go heap", "allocated and not yet freed", "go_memstats_heap_alloc_bytes")
	if limit, ok := f.limit(); ok {
		h.Memory = append(h.Memory, figureText{"GOMEMLIMIT", bytesText(int64(limit)), "what the Go runtime tries to stay below"})
	}
	size("rows, stage 2", "estimate of the memory that the rows take that this instance counts", "brotally_table_bytes")
	size("rows, views", "estimate of the memory that the rows take that look-ups read", "brotally_view_bytes")
	if cpu, ok := p.rate("process_cpu_seconds_total"); ok {
		h.Memory = append(h.Memory, figureText{"CPU", decimal(100*cpu) + " %", "of one core, by the process"})
	}
}

// limit is GOMEMLIMIT; false where it is not set.
func (f figures) limit() (float64, bool) {
	limit := f.sum("go_gc_gomemlimit_bytes")
	return limit, limit > 0 && limit < 1<<60
}

func (h *healthPage) sources(f figures, p *pace) {
	for _, one := range f["brotally_source_offset"] {
		l := one.Labels
		labels := []string{"pass", l["pass"], "feed", l["feed"], "topic", l["topic"], "partition", l["partition"]}
		x := source{Pass: l["pass"], Feed: l["feed"], Topic: l["topic"], Partition: l["partition"],
			Lag: f.count("brotally_lag_records", labels...), Offset: int64(one.Value), End: f.count("brotally_source_end_offset", labels...),
			Rate: p.rateText("brotally_records_read_total", labels...), Newest: f.when("brotally_source_event_timestamp_seconds", labels...),
			Lost: f.count("brotally_records_lost_total", labels...)}
		x.Counters = []counter{{N: f.count("brotally_bad_fields_total", labels...)}, {N: f.count("brotally_records_other_feed_total", labels...), Usual: true}, // of a topic that has all feeds
			{N: f.count("brotally_records_skewed_total", labels...)}, {N: x.Lost, Bad: true}}
		rate, known := p.rate("brotally_records_read_total", labels...)
		x.Lags = x.Lag > lagRecords && (!known || float64(x.Lag) > lagSeconds*rate)
		h.Sources = append(h.Sources, x)
		h.topic(x).Rate = p.rateText("brotally_records_read_total", labels[:len(labels)-2]...)
	}
}

// flow is what its sources come to.
func (h *healthPage) flow(f figures, p *pace) {
	if len(h.Sources) > 0 {
		h.Flow = []figureText{{"records/s", p.rateText("brotally_records_read_total"), "read by the passes of this instance"},
			{"lag", integer(f.count("brotally_lag_records")), "records that are there and not yet committed, of the partitions of this instance"}}
	}
}

// topic adds a partition to its topic, which it returns.
func (h *healthPage) topic(x source) *topicHealth {
	i := slices.IndexFunc(h.Topics, func(t topicHealth) bool { return t.Pass == x.Pass && t.Topic == x.Topic })
	if i < 0 {
		i = len(h.Topics)
		h.Topics = append(h.Topics, topicHealth{Pass: x.Pass, Topic: x.Topic})
	}
	t := &h.Topics[i]
	t.Partitions++
	t.Lag, t.Lags = t.Lag+x.Lag, t.Lags || x.Lags
	if x.Newest != nil && (t.Newest == nil || x.Newest.After(*t.Newest)) {
		t.Newest = x.Newest
	}
	return t
}

func (h *healthPage) stages(f figures, p *pace) {
	h.Stages = f.stages(p)
	for i := range h.Stages {
		s := &h.Stages[i]
		s.Counters = []counter{{N: s.Rebalances}, {N: s.Failures, Title: s.Classes}, {N: s.Failed}}
	}
}

func (h *healthPage) tables(list []client.Table, f figures) {
	for _, t := range list {
		x := tableHealth{Table: t, Link: tableLink(t.Name), Here: len(f.with("brotally_table_groups", "table", t.Name)) > 0,
			Full: f.count("brotally_table_full_partitions", "table", t.Name), Due: f.count("brotally_table_due_partitions", "table", t.Name),
			Remaining: f.count("brotally_table_restore_remaining_records", "table", t.Name), Bytes2: f.count("brotally_table_bytes", "table", t.Name), Clock: f.when("brotally_table_clock_timestamp_seconds", "table", t.Name)}
		for _, p := range t.Progress {
			if p.Heard != nil && (x.Heard == nil || p.Heard.Before(*x.Heard)) {
				x.Heard = p.Heard
			}
			if !p.Counts.AddsUp() {
				h.Broken++
			}
			c := p.Counts
			h.Sums = append(h.Sums, identity{t.Name, x.Link, p, []counter{{N: c.Filtered}, {N: c.OtherFeed}, {N: c.NoTime}, {N: c.DeadLettered}}})
		}
		c := t.Counts
		x.Counters = []counter{{N: c.Filtered}, {N: c.Late}, {N: c.Overflows}, {N: c.CutKeys}, {N: c.BadFields}, {N: c.DeadLettered}, {N: c.Lost, Bad: true}}
		x.Silent = t.Ready && x.Heard != nil && time.Since(*x.Heard) > silence
		h.Tables = append(h.Tables, x)
	}
}

func (h *healthPage) letters(f figures, p *pace) {
	type of struct{ topic, reason string }
	seen := map[of]bool{}
	for _, one := range f["brotally_dead_letters_total"] {
		x := of{one.Labels["topic"], one.Labels["reason"]}
		labels := []string{"topic", x.topic, "reason", x.reason}
		if n := f.count("brotally_dead_letters_total", labels...); n > 0 && !seen[x] {
			seen[x] = true
			h.Reasons = append(h.Reasons, reason{x.topic, x.reason, n, p.rateText("brotally_dead_letters_total", labels...)})
		}
	}
	h.Uncopied = f.count("brotally_dead_letters_uncopied_total")
}

// samples are the newest dead letters, as far as Kafka tells them.
func (h *healthPage) samples(ctx context.Context, s *Site) {
	if s.config.Letters == nil {
		h.LettersNo = "They are not read here: brotally dead-letters list shows them."
		return
	}
	known, there, err := s.letters.get(ctx)
	h.Letters = known
	switch {
	case !there:
		h.LettersNo = "They are being read."
	case err != nil:
		h.LettersNo = "They cannot be read now: " + printable(err.Error())
	}
}

// judge says what is not as it should be.
func (h *healthPage) judge(f figures, p *pace) {
	bad := func(link, format string, args ...any) {
		h.Troubles = append(h.Troubles, trouble{fmt.Sprintf(format, args...), link, true})
	}
	look := func(link, format string, args ...any) {
		h.Troubles = append(h.Troubles, trouble{fmt.Sprintf(format, args...), link, false})
	}
	if h.Broken > 0 {
		var in []string
		for _, x := range h.Sums {
			if !x.Counts.AddsUp() {
				in = append(in, printable(x.Table))
			}
		}
		bad("#sums", "records do not add up in %s of %s", partitions(h.Broken), names(in))
	}
	for _, s := range h.Stages {
		switch n, _ := p.grown("brotally_stage_failures_total", "group", s.Group); {
		case s.State == "failed":
			bad("#"+s.ID(), "%s %s has failed", s.Title(), printable(s.Group))
		case n > 0:
			look("#"+s.ID(), "%s %s failed and was built anew", s.Title(), printable(s.Group))
		case s.State != "running" && (s.Kind == "combine" || s.State != "restoring"): // of a table that is restored is said below
			look("#"+s.ID(), "%s %s is %s", s.Title(), printable(s.Group), s.State)
		}
	}
	lost := int64(0)
	lagging, lag := 0, int64(0)
	for _, x := range h.Sources {
		lost += x.Lost
		if x.Lags {
			lagging++
			lag += x.Lag
		}
	}
	if lost > 0 {
		bad("#sources", "%s lost: retention had removed them before they were read", plural(lost, "record was", "records were"))
	}
	if lagging > 0 {
		verb := "lag"
		if lagging == 1 {
			verb = "lags"
		}
		look("#sources", "%s %s by %s", partitions(lagging), verb, plural(lag, "record", "records"))
	}
	var restoring, silent, full []string
	for _, t := range h.Tables {
		switch {
		case !t.Ready || t.Remaining > 0:
			restoring = append(restoring, printable(t.Name))
		case t.Silent:
			silent = append(silent, printable(t.Name))
		}
		if t.Full > 0 {
			full = append(full, printable(t.Name))
		}
	}
	are := func(in []string) string {
		if len(in) == 1 {
			return "is"
		}
		return "are"
	}
	if len(restoring) > 0 {
		look("#tables", "%s %s being restored", names(restoring), are(restoring))
	}
	if len(silent) > 0 {
		look("#tables", "stage 1 has been silent about %s for over %s", names(silent), duration(silence.Seconds()))
	}
	if len(full) > 0 {
		look("#tables", "%s %s as many groups as MAX GROUPS allows", names(full), map[string]string{"is": "has", "are": "have"}[are(full)])
	}
	if n := f.count("brotally_definitions_waiting"); n > 0 {
		look("#tables", "%s for source topics that are not there", plural(n, "definition waits", "definitions wait"))
	}
	if n, _ := p.grown("brotally_dead_letters_total"); n > 0 {
		look("#letters", "records come in that cannot be decoded")
	}
	if h.Uncopied > 0 {
		look("#letters", "of %s there is no copy", plural(h.Uncopied, "dead letter", "dead letters"))
	}
	if limit, ok := f.limit(); ok && f.sum("process_resident_memory_bytes") > tight*limit {
		look("#program", "memory is nearly as much as GOMEMLIMIT allows")
	}
	switch {
	case len(h.Troubles) > 0:
		h.Troubles[0].Text = capital(h.Troubles[0].Text)
	case len(h.Tables) == 0 && len(h.Stages) == 0:
		h.Verdict = "Nothing runs here yet."
	case !h.Figures:
		h.Verdict = "The tables are up to date and add up."
	default:
		h.Verdict = "All is well."
	}
}

// Bad tells whether something is that does not mend itself.
func (h *healthPage) Bad() bool {
	for _, t := range h.Troubles {
		if t.Bad {
			return true
		}
	}
	return false
}

// capital has a sentence begin with one, where it begins with one of our words.
func capital(s string) string {
	for _, word := range []string{"records ", "stage ", "of ", "memory "} {
		if strings.HasPrefix(s, word) {
			return strings.ToUpper(s[:1]) + s[1:]
		}
	}
	return s
}

func plural(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return integer(n) + " " + more
}

func partitions(n int) string { return plural(int64(n), "partition", "partitions") }

// names lists some, each once, and how many there are beyond the first three.
func names(all []string) string {
	var some []string
	for _, n := range all {
		if len(some) == 0 || some[len(some)-1] != n {
			some = append(some, n)
		}
	}
	switch n := len(some); {
	case n > 3:
		return strings.Join(some[:3], ", ") + fmt.Sprintf(" and %d more", n-3)
	case n > 1:
		return strings.Join(some[:n-1], ", ") + " and " + some[n-1]
	}
	return strings.Join(some, "")
}

func stageID(group string) string { return "stage-" + url.PathEscape(group) }
