package verify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// held is a table's one partition as stage 2 keeps it, beside its recount.
type held struct {
	t       *testing.T
	table   *tables.Table
	fold    *fold
	rows    *tables.Groups
	updater *tables.Updater
	clock   int64
	late    int64
}

func hold(t *testing.T, definition string) *held {
	t.Helper()
	all, err := tables.CompileFile("t.sql", definition, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	h := &held{t: t, table: all[0], rows: all[0].NewGroups(), clock: tables.NoClock}
	if h.fold, err = newFold(h.table, 1); err != nil {
		t.Fatal(err)
	}
	if h.updater, err = h.table.NewUpdater(h.rows, tables.NoClock); err != nil {
		t.Fatal(err)
	}
	h.updater.LimitGroups(h.table.MaxGroupsIn(1))
	return h
}

// add counts records of seconds and names in one commit, after which the clock stands at a second; lost ones come into the recount alone.
func (h *held) add(clock int, lost bool, records ...[2]any) {
	h.t.Helper()
	layout, err := tables.LayoutOf(h.table)
	if err != nil {
		h.t.Fatal(err)
	}
	json := codecs.NewJSON(layout)
	combine := func() *tables.Combiner {
		c, err := h.table.NewCombiner(layout)
		if err != nil {
			h.t.Fatal(err)
		}
		var rec feeds.Record
		for _, r := range records {
			if err := json.Decode(fmt.Appendf(nil, `{"ts":%d.0,"query":%q,"answers":[%q]}`, r[0], r[1], r[1]), &rec); err != nil {
				h.t.Fatal(err)
			}
			c.Add(&rec)
		}
		return c
	}
	if err := h.fold.add(combine(), 0, []int64{1 << 40}); err != nil {
		h.t.Fatal(err)
	}
	if lost {
		return
	}
	unseen := func(tables.Change) error { return nil }
	judged := h.clock
	h.clock = max(h.clock, int64(clock)*1e6)
	h.updater.Begin(h.clock, h.clock)
	for key, state := range combine().Partials() {
		n, _, err := h.table.Late(key, state, judged)
		if err != nil {
			h.t.Fatal(err)
		}
		late, err := h.updater.Add(key, state, unseen)
		if err != nil {
			h.t.Fatal(err)
		}
		if late {
			h.late += n
		}
	}
	if err := h.updater.Flush(unseen); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.updater.Expire(1000, unseen); err != nil {
		h.t.Fatal(err)
	}
}

func (h *held) compare() *Report {
	h.t.Helper()
	out := &Report{Table: h.table}
	c := &comparison{run: &portion{Run: &Run{c: Config{Kafka: kafka.Config{App: "test"}, Entry: kafka.Entry{Partitions: 1}, Most: 5}, table: h.table}}, out: out, certain: h.table.Certainties()}
	if err := c.partition(0, h.fold.rows[0], h.rows, h.clock, h.late); err != nil {
		h.t.Fatal(err)
	}
	return out
}

type r = [2]any // a second and a name

// TestWhatEndsIsCompared: rows of tables that close, go or have a limit need not be what one pass gives, but no record may be missing.
func TestWhatEndsIsCompared(t *testing.T) {
	const (
		tumbling = `CREATE TABLE t AS SELECT window_start, query, count(*) AS n, late FROM dns WINDOW TUMBLING (SIZE 60 SECONDS%s) GROUP BY query EMIT FINAL%s`
		hopping  = `CREATE TABLE t AS SELECT window_start, query, count(*) AS n FROM dns WINDOW HOPPING (SIZE 60 SECONDS, ADVANCE BY 20 SECONDS) GROUP BY query EMIT FINAL`
		sessions = `CREATE TABLE t AS SELECT window_start, window_end, query, count(*) AS n FROM dns WINDOW SESSION (GAP 5 SECONDS) GROUP BY query EMIT FINAL`
	)
	for _, c := range []struct {
		name       string
		definition string
		do         func(h *held)
		rows, left int64 // compared, and compared by their records alone
		fine       bool
	}{
		{"nothing is late", fmt.Sprintf(tumbling, "", ""), func(h *held) {
			h.add(70, false, r{1, "a"}, r{2, "b"}, r{70, "a"})
		}, 3, 0, true},
		{"late for a row that is there, and for one that is not", fmt.Sprintf(tumbling, "", ""), func(h *held) {
			h.add(70, false, r{1, "a"}, r{70, "a"})
			h.add(70, false, r{2, "a"}, r{3, "late"}, r{71, "a"})
		}, 1, 2, true},
		{"a window that closed is lost, another one had late records", fmt.Sprintf(tumbling, "", ""), func(h *held) {
			h.add(70, false, r{1, "a"}, r{70, "a"})
			h.add(70, false, r{2, "a"})
			h.add(70, true, r{3, "lost"})
		}, 1, 2, false},
		{"late records are not as many as the row says", fmt.Sprintf(tumbling, "", ""), func(h *held) {
			h.add(70, false, r{1, "a"}, r{70, "a"})
			h.add(70, false, r{2, "a"})
			h.add(70, true, r{3, "a"})
		}, 1, 1, false},
		{"windows that are not kept", fmt.Sprintf(tumbling, ", RETENTION 60 SECONDS", ""), func(h *held) {
			h.add(500, false, r{1, "a"}, r{490, "a"})
		}, 1, 1, true},
		{"above MAX GROUPS", fmt.Sprintf(tumbling, "", " MAX GROUPS 2"), func(h *held) {
			h.add(0, false, r{1, "a"}, r{1, "b"}, r{1, "c"}, r{2, "c"}, r{2, "d"})
			h.add(70, false, r{70, "e"})
			h.add(70, false, r{3, "f"})
		}, 2, 4, true},
		{"above MAX GROUPS, and one is lost", fmt.Sprintf(tumbling, "", " MAX GROUPS 2"), func(h *held) {
			h.add(0, false, r{1, "a"}, r{1, "b"}, r{1, "c"})
			h.add(0, true, r{1, "d"})
		}, 2, 2, false},
		{"a pane that is late for some of its windows", hopping, func(h *held) {
			h.add(65, false, r{65, "a"})
			h.add(65, false, r{50, "b"})
		}, 5, 1, true},
		{"a session that goes on after it has closed", sessions, func(h *held) {
			h.add(6, false, r{0, "a"}, r{6, "b"})
			h.add(6, false, r{4, "a"})
		}, 1, 1, true},
		{"one that grows back over one that has closed", sessions, func(h *held) {
			h.add(10, false, r{0, "a"}, r{4, "a"}, r{10, "b"})
			h.add(10, false, r{8, "a"})
			h.add(10, false, r{4, "a"})
			h.add(10, false, r{0, "a"})
		}, 1, 1, true},
		{"a session that goes on after one before it has gone", `CREATE TABLE t AS SELECT window_start, window_end, query, count(*) AS n FROM dns WINDOW SESSION (GAP 10 SECONDS, RETENTION 5 SECONDS) GROUP BY query`, func(h *held) {
			h.add(10, false, r{0, "a"}, r{10, "a"})
			h.add(27, false, r{27, "b"})
			h.add(27, false, r{18, "a"})
		}, 1, 1, true},
		{"a row since there is room", fmt.Sprintf(strings.Replace(tumbling, ", late", "", 1), ", RETENTION 60 SECONDS", " MAX GROUPS 2"), func(h *held) {
			h.add(0, false, r{1, "a"}, r{1, "b"})
			h.add(130, false, r{130, "c"})
			h.add(130, false, r{130, "d"}, r{131, "d"})
			h.add(130, false, r{131, "c"})
		}, 1, 3, true},
		{"rows are lost where records are unnested", `CREATE TABLE t AS SELECT window_start, unnest(answers) AS a, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 60 SECONDS) GROUP BY a EMIT FINAL`, func(h *held) {
			h.add(70, false, r{1, "a"}, r{70, "a"})
			h.add(70, true, r{2, "b"})
		}, 2, 1, false},
		{"one of its records is lost", sessions, func(h *held) {
			h.add(6, false, r{0, "a"}, r{6, "b"})
			h.add(6, false, r{4, "a"})
			h.add(6, true, r{5, "a"})
		}, 1, 0, false},
		{"a session is lost", sessions, func(h *held) {
			h.add(6, false, r{0, "a"})
			h.add(6, true, r{0, "b"})
		}, 1, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hold(t, c.definition)
			c.do(h)
			out := h.compare()
			if out.Fine() != c.fine || out.Rows != c.rows || out.Left != c.left {
				t.Errorf("fine %v, %d rows compared, %d by their records alone; want %v, %d, %d; %d late\n%+v\n%+v", out.Fine(), out.Rows, out.Left, c.fine, c.rows, c.left, h.late, out.Rest, out.Counts)
			}
		})
	}
}
