package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brotally/brotally/web"
)

// measured is one number.
type measured struct {
	name   string
	labels map[string]string
	value  float64
}

// ran is what a made-up server says of itself.
type ran struct {
	tables  []map[string]any
	figures []measured
	failed  error // of measuring
	letters func(context.Context, int) ([]web.Letter, error)
	members func(context.Context, []string) ([]web.Member, error)
}

// site is the pages over it.
func (x ran) site() *web.Site {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // into memory
	}
	mux.HandleFunc("GET /api/v1/tables", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, map[string]any{"tables": x.tables}) })
	mux.HandleFunc("GET /api/v1/tables/{name}", func(w http.ResponseWriter, r *http.Request) {
		for _, t := range x.tables {
			if t["name"] == r.PathValue("name") {
				answer(w, 200, t)
				return
			}
		}
		answer(w, 404, failure("unknown_table", "no such table", ""))
	})
	c := web.Config{API: mux, Letters: x.letters, Members: x.members}
	if x.figures != nil || x.failed != nil {
		c.Figures = func(each func(string, map[string]string, float64)) error {
			for _, f := range x.figures {
				each(f.name, f.labels, f.value)
			}
			return x.failed
		}
	}
	return web.New(c)
}

// sound is a server whose table dns_counts is all right.
func sound() ran {
	x := ran{tables: []map[string]any{tableOf("dns_counts", 2, nil)}}
	x.figure("brotally_build_info", 1, "version", "v1.2.3", "commit", "abc", "go", "go1.26")
	x.figure("process_start_time_seconds", float64(time.Now().Add(-time.Hour).Unix()))
	x.figure("process_resident_memory_bytes", 64<<20)
	x.figure("go_gc_gomemlimit_bytes", 9.223372036854776e+18)
	x.figure("brotally_table_groups", 12, "table", "dns_counts")
	x.figure("brotally_table_bytes", 4096, "table", "dns_counts")
	x.figure("brotally_dead_letters_uncopied_total", 0, "pass", "dns", "feed", "dns")
	for p := range 2 {
		x.source("dns", "dns", fmt.Sprint(p), 3, 500)
	}
	x.stage("combine", "brotally-combine-dns", "running")
	x.stage("group", "brotally-dns_counts", "running")
	return x
}

func (x *ran) figure(name string, value float64, labels ...string) {
	f := measured{name: name, value: value, labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		f.labels[labels[i]] = labels[i+1]
	}
	x.figures = append(x.figures, f)
}

func (x *ran) source(feed, topic, partition string, lag, offset float64) {
	labels := []string{"pass", feed, "feed", feed, "topic", topic, "partition", partition}
	x.figure("brotally_source_offset", offset, labels...)
	x.figure("brotally_source_end_offset", offset+lag, labels...)
	x.figure("brotally_lag_records", lag, labels...)
	x.figure("brotally_records_read_total", offset, labels...)
}

func (x *ran) stage(kind, group, state string) {
	for _, s := range []string{"waiting", "joining", "restoring", "running", "failed"} {
		value := 0.0
		if s == state {
			value = 1
		}
		x.figure("brotally_stage_state", value, "stage", kind, "group", group, "state", s)
	}
	x.figure("brotally_stage_partitions", 2, "stage", kind, "group", group)
	x.figure("brotally_commit_seconds_sum", 2, "stage", kind, "group", group)
	x.figure("brotally_commit_seconds_count", 100, "stage", kind, "group", group)
	x.figure("brotally_commit_interval_seconds_sum", 30, "stage", kind)
	x.figure("brotally_commit_interval_seconds_count", 100, "stage", kind)
}

// tableOf is a table over so many partitions of dns, each with 10 records: 7 counted, 2 filtered, a dead letter. Change may
// spoil it.
func tableOf(name string, partitions int, change func(t map[string]any)) map[string]any {
	var progress []map[string]any
	for p := range partitions {
		progress = append(progress, map[string]any{"topic": "dns", "partition": p, "offset": 10, "heard": time.Now(),
			"counts": map[string]any{"read": 10, "counted": 7, "filtered": 2, "dead_lettered": 1}})
	}
	t := map[string]any{"name": name, "feed": "dns", "ready": true, "state": "ready", "groups": 12, "bytes": 4096, "progress": progress,
		"counts": map[string]any{"read": 10 * partitions, "counted": 7 * partitions, "filtered": 2 * partitions, "dead_lettered": partitions},
		"topics": map[string]any{"feed": []string{"dns"}, "result": name, "partials": "brotally-" + name + "-partials", "changelog": "brotally-" + name + "-table"}}
	if change != nil {
		change(t)
	}
	return t
}

var verdict = regexp.MustCompile(`<p id="verdict">(.*)</p>`)
var tag = regexp.MustCompile(`<[^>]*>`)

func TestVerdict(t *testing.T) {
	restoring := func(t map[string]any) {
		t["ready"], t["state"], t["recovery"] = false, "being restored", map[string]any{"done": 20, "total": 80}
	}
	for name, tc := range map[string]struct {
		spoil func(x *ran)
		want  string
		bad   bool
	}{
		"all is well":      {func(*ran) {}, "All is well.", false},
		"without figures":  {func(x *ran) { x.figures = nil }, "The tables are up to date and add up.", false},
		"nothing runs":     {func(x *ran) { *x = ran{} }, "Nothing runs here yet.", false},
		"a few on the way": {func(x *ran) { x.source("dns", "dns", "2", 900, 1) }, "All is well.", false},
		"lag": {func(x *ran) {
			for p := 2; p < 5; p++ {
				x.source("dns", "dns", fmt.Sprint(p), 4115, 1)
			}
		}, "3 partitions lag by 12,345 records.", false},
		"lag and a table that is restored": {func(x *ran) {
			x.source("dns", "dns", "2", 2000, 1)
			x.tables = []map[string]any{tableOf("dns_counts", 2, restoring)}
		}, "1 partition lags by 2,000 records; dns_counts is being restored.", false},
		"many are restored": {func(x *ran) {
			x.tables = nil
			for i := range 5 {
				x.tables = append(x.tables, tableOf(fmt.Sprint("t", i), 1, restoring))
			}
		}, "t0, t1, t2 and 2 more are being restored.", false},
		"stage 2 is restored": {func(x *ran) { x.figure("brotally_table_restore_remaining_records", 9, "table", "dns_counts") }, "dns_counts is being restored.", false},
		"a record too few": {func(x *ran) {
			x.tables[0]["progress"].([]map[string]any)[1]["counts"].(map[string]any)["counted"] = 6
		}, "Records do not add up in 1 partition of dns_counts.", true},
		"silence": {func(x *ran) {
			x.tables[0]["progress"].([]map[string]any)[1]["heard"] = time.Now().Add(-time.Minute)
		}, "Stage 1 has been silent about dns_counts for over 10 s.", false},
		"a stage failed": {func(x *ran) { x.stage("group", "brotally-other", "failed") }, "Stage 2 brotally-other has failed.", true},
		"a stage joins":  {func(x *ran) { x.stage("combine", "brotally-combine-conn", "joining") }, "Stage 1 brotally-combine-conn is joining.", false},
		"lost": {func(x *ran) {
			x.figure("brotally_records_lost_total", 1, "pass", "dns", "feed", "dns", "topic", "dns", "partition", "0")
		}, "1 record was lost: retention had removed them before they were read.", true},
		"full":               {func(x *ran) { x.figure("brotally_table_full_partitions", 1, "table", "dns_counts") }, "dns_counts has as many groups as MAX GROUPS allows.", false},
		"a definition waits": {func(x *ran) { x.figure("brotally_definitions_waiting", 2) }, "2 definitions wait for source topics that are not there.", false},
		"no copies":          {func(x *ran) { x.figure("brotally_dead_letters_uncopied_total", 4) }, "Of 4 dead letters there is no copy.", false},
		"memory": {func(x *ran) {
			x.figure("go_gc_gomemlimit_bytes", 65<<20-9.223372036854776e+18)
		}, "Memory is nearly as much as GOMEMLIMIT allows.", false},
	} {
		t.Run(name, func(t *testing.T) {
			x := sound()
			tc.spoil(&x)
			r, body := get(t, x.site(), "GET", "/health")
			found := verdict.FindStringSubmatch(body)
			if r.StatusCode != 200 || found == nil {
				t.Fatalf("status %d, no verdict in:\n%s", r.StatusCode, body)
			}
			if got := tag.ReplaceAllString(found[1], ""); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if bad := strings.Contains(body, "is-bad"); bad != tc.bad {
				t.Errorf("bad: %v, want %v", bad, tc.bad)
			}
			// Red is only what is wrong.
			if strings.Contains(body, `class="bad"`) != tc.bad {
				t.Errorf("something is red, or nothing is: want %v", tc.bad)
			}
		})
	}
}

// row returns the cells of the table's row with the key, without their markup.
func row(t *testing.T, body, key string) string {
	t.Helper()
	_, rest, found := strings.Cut(body, `data-key="`+key+`"`)
	if !found {
		t.Fatalf("no row %s in:\n%s", key, body)
	}
	rest, _, _ = strings.Cut(rest, "</tr>")
	_, rest, _ = strings.Cut(rest, ">")
	rest = strings.ReplaceAll(rest, "</td>", "|")
	return strings.TrimSuffix(tag.ReplaceAllString(rest, ""), "|")
}

func TestHealth(t *testing.T) {
	x := sound()
	x.figure("brotally_dead_letters_total", 3, "pass", "dns", "feed", "dns", "topic", "dns", "reason", "syntax")
	x.figure("brotally_dead_letters_total", 0, "pass", "dns", "feed", "dns", "topic", "dns", "reason", "empty")
	x.tables[0]["progress"].([]map[string]any)[1]["counts"].(map[string]any)["counted"] = 4
	_, body := get(t, x.site(), "GET", "/health")
	for key, want := range map[string]string{
		"dns dns 0":            "dns|0|3|–|500|503|–|dns",
		"of dns dns":           "dns|2|6|–|–|dns",
		"brotally-combine-dns": "brotally-combine-dns|stage 1|running|2|–|20 ms|300 ms",
		"dns_counts dns 0":     "dns_counts|dns|0|10|7|2|1|yes",
		"dns_counts dns 1":     "dns_counts|dns|1|10|4|2|1|no, 3 off",
		"dns syntax":           "dns|syntax|3|–",
	} {
		if got := row(t, body, key); got != want {
			t.Errorf("row %s:\n%s\nwant\n%s", key, got, want)
		}
	}
	if got, want := row(t, body, "dns_counts"), "dns_counts|ready|12|4,096 B|4,096 B|4|2|–|"; !strings.HasPrefix(got, want) {
		t.Errorf("row dns_counts:\n%s\nwant\n%s..", got, want)
	}
	for _, want := range []string{"v1.2.3", "1 h 0 min", "64 MiB", `not yet committed, of the partitions of this instance">6</dd>`, `<tr id="stage-brotally-dns_counts"`, "It does not hold in 1 of 2.", "They are not read here",
		"All 2 partitions are in order", "Zero in all of them: late, overflow, cut keys, bad fields, lost.", "Zero in all of them: rebalances, built anew, commits failed."} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	for _, other := range []string{"GOMEMLIMIT", "dns empty"} {
		if strings.Contains(body, other) {
			t.Errorf("%s is on the page", other)
		}
	}
}

// TestWhatIsOddComesFirst: what has something to look at is before the fold, with the counters that say so; what is in order behind it.
func TestWhatIsOddComesFirst(t *testing.T) {
	x := sound()
	x.source("dns", "dns", "2", 5000, 1)
	x.figure("brotally_records_skewed_total", 4, "pass", "dns", "feed", "dns", "topic", "dns", "partition", "1")
	x.figure("brotally_records_other_feed_total", 7, "pass", "dns", "feed", "dns", "topic", "dns", "partition", "0")
	x.tables[0]["progress"].([]map[string]any)[1]["counts"].(map[string]any)["counted"] = 4
	_, body := get(t, x.site(), "GET", "/health")
	sources, rest, _ := strings.Cut(body, `<details class="fold" id="sources-fit">`)
	before, behind, found := strings.Cut(rest, `<details class="fold" id="sums-fit">`)
	if !found {
		t.Fatalf("nothing is folded:\n%s", body)
	}
	for key, where := range map[string]string{"dns dns 1": sources, "dns dns 2": sources, "dns dns 0": before, "dns_counts dns 1": before, "dns_counts dns 0": behind} {
		if !strings.Contains(where, `data-key="`+key+`"`) {
			t.Errorf("%s is not where it has to be in:\n%s", key, body)
		}
	}
	for key, want := range map[string]string{"dns dns 1": "dns|1|3|–|500|503|–|4|dns", "dns dns 2": "dns|2|5,000|–|1|5,001|–|0|dns", "dns dns 0": "dns|0|3|–|500|503|–|7|dns"} {
		if got := row(t, body, key); got != want {
			t.Errorf("row %s:\n%s\nwant\n%s", key, got, want)
		}
	}
	if strings.Contains(sources, "bad fields") || !strings.Contains(sources, ">skewed</th>") || !strings.Contains(rest, "The other partition is in order") {
		t.Errorf("counters that are zero, or not those that are not:\n%s", sources)
	}
}

// TestHealthOfWhatFails has the pages show what can be known when something cannot.
func TestHealthOfWhatFails(t *testing.T) {
	x := sound()
	x.failed = errors.New("collector\u202e broke")
	for _, target := range []string{"/health", "/topology"} {
		r, body := get(t, x.site(), "GET", target)
		if r.StatusCode != 200 || !strings.Contains(body, `could not be measured: collector\u{202e} broke`) || !strings.Contains(body, "dns_counts") {
			t.Errorf("%s: status %d:\n%s", target, r.StatusCode, body)
		}
	}
}

const hostile = `<script>x</script>"onload=1 ` + "\u202e"

// escaped is what of it may be in a page.
const escapedHostile = `&lt;script&gt;x&lt;/script&gt;&#34;onload=1 \u{202e}`

func TestLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, down := 0, false
		x := sound()
		x.letters = func(ctx context.Context, most int) ([]web.Letter, error) {
			asked++
			if down {
				return nil, errors.New("no broker answers " + hostile)
			}
			if most < 1 || most > 100 {
				t.Errorf("asked for %d", most)
			}
			return []web.Letter{{Topic: "dns", Partition: 1, Offset: 42, At: time.Unix(1_700_000_000, 0), Why: "syntax " + hostile, Value: hostile, Size: 99, Missed: []string{hostile, "b"}}}, nil
		}
		site := x.site()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- site.Run(ctx) }() // waited for below
		for range 3 {
			_, body := get(t, site, "GET", "/health")
			for _, want := range []string{"dns/1/42", "syntax " + escapedHostile, "<pre>" + escapedHostile + "</pre>", "missed by " + escapedHostile + ", b", "99 B", "2023-11-14 22:13:20"} {
				if !strings.Contains(body, want) {
					t.Errorf("no %s in:\n%s", want, body)
				}
			}
			if strings.Contains(body, "letters-no") || strings.Contains(body, "\u202e") {
				t.Errorf("letters are said to be missing, or turn the line around:\n%s", body)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times for 3 looks at once", asked)
		}
		time.Sleep(time.Hour) // in the bubble: at once
		if asked != 1 {
			t.Errorf("asked %d times while nobody looks", asked)
		}
		down = true
		get(t, site, "GET", "/health")
		synctest.Wait()
		r, body := get(t, site, "GET", "/health")
		if r.StatusCode != 200 || !strings.Contains(body, "They cannot be read now: no broker answers "+escapedHostile) || !strings.Contains(body, "dns/1/42") {
			t.Errorf("status %d; want the letters of before and why there are no newer ones:\n%s", r.StatusCode, body)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestLettersOfABrokerThatHangs has the page come all the same.
func TestLettersOfABrokerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := sound()
		x.letters = func(ctx context.Context, _ int) ([]web.Letter, error) { <-ctx.Done(); return nil, ctx.Err() }
		site := x.site()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- site.Run(ctx) }() // waited for below
		r, body := get(t, site, "GET", "/health")
		if r.StatusCode != 200 || !strings.Contains(body, "They are being read.") || !strings.Contains(body, "All is well.") {
			t.Errorf("status %d:\n%s", r.StatusCode, body)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestHealthOfVeryMuch leaves out what is in order.
func TestHealthOfVeryMuch(t *testing.T) {
	x := sound()
	x.tables = nil
	for i := range 20 {
		x.tables = append(x.tables, tableOf(fmt.Sprintf("t%02d", i), 20, func(t map[string]any) {
			if i == 19 {
				t["progress"].([]map[string]any)[19]["counts"].(map[string]any)["counted"] = 8
			}
		}))
	}
	for p := 2; p < 302; p++ {
		x.source("dns", "dns", fmt.Sprint(p), float64(p), 10)
	}
	_, body := get(t, x.site(), "GET", "/health")
	if n := strings.Count(body, "<tr"); n > 450 {
		t.Errorf("%d rows", n)
	}
	if got, want := row(t, body, "t19 dns 19"), "t19|dns|19|10|8|2|1|no, -1 off"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !strings.Contains(row(t, body, "dns dns 301"), "|301|301|") {
		t.Error("not those that lag most")
	}
	for _, want := range []string{"Of 302 these lag most.", "It does not hold in 1 of 400.", "The first 199.", "All 302 partitions are in order"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestHealthWithoutTables has the page say that it does not know.
func TestHealthWithoutTables(t *testing.T) {
	site := web.New(web.Config{API: http.NotFoundHandler()})
	for _, target := range []string{"/health", "/topology"} {
		r, body := get(t, site, "GET", target)
		if r.StatusCode == 200 || !strings.Contains(body, `role="alert"`) || strings.Contains(body, "All is well") {
			t.Errorf("%s: status %d:\n%s", target, r.StatusCode, body)
		}
	}
}
