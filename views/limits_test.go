package views

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brotally/brotally/feeds"
)

// many are records of n hosts.
func many(n int) []string {
	messages := make([]string, n)
	for i := range messages {
		messages[i] = fmt.Sprintf(`{"id.orig_h":"10.%d.%d.%d","qtype_name":"A"}`, i>>16, i>>8&255, i&255)
	}
	return messages
}

func TestLimits(t *testing.T) {
	const all, sorted, one = "/api/v1/tables/dns_counts/rows", "/api/v1/tables/dns_counts/rows?order=count", "/api/v1/tables/dns_counts/rows?id.orig_h=10.0.0.7&qtype_name=A"
	for _, test := range []struct {
		name   string
		limits Limits
		path   string
		want   string // "" is an answer
	}{
		{"rows", Limits{Rows: 99}, sorted, "Request Entity Too Large too_large: the look-up is over the limit of 99 rows an answer; add LIMIT, or a WHERE that fewer rows meet"},
		{"as many rows as allowed", Limits{Rows: 100}, sorted, ""},
		{"what is not kept has no limit", Limits{Rows: 1, Bytes: 1, Time: 1}, all, ""},
		{"a page as large as allowed", Limits{Rows: 10}, all + "?limit=10", ""},
		{"a part of the rows", Limits{Rows: 99}, all + "?limit=99", ""},
		{"the top of the rows", Limits{Rows: 3}, all + "?limit=3&order=-count", ""},
		{"bytes", Limits{Bytes: 1 << 10}, sorted, "Request Entity Too Large too_large: the look-up is over the limit of 1024 bytes an answer; add LIMIT, or SELECT fewer columns"},
		{"time of what is sent as it is read", Limits{Stream: 1}, all, "Service Unavailable too_slow: the look-up is over the limit of 1ns; ask for less: name every group column, or add a WHERE that fewer rows meet"},
		{"time", Limits{Time: 1}, sorted, "Service Unavailable too_slow: the look-up is over the limit of 1ns; ask for less: name every group column, or add a WHERE that fewer rows meet"},
		{"a point look-up has no need of time", Limits{Time: 1}, one, ""},
		{"no limits", Limits{Rows: -1, Bytes: -1, Time: -1, Queries: -1, Stream: -1}, all, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.limits, dnsCounts)
			f.add(many(100)...)
			r := get(t, f.server(ServerConfig{}).URL+test.path)
			switch {
			case test.want == "" && r.status != http.StatusOK:
				t.Errorf("%d %s", r.status, r.body)
			case test.want != "" && r.apiErr(t) != test.want:
				t.Error(r.apiErr(t))
			}
		})
	}
}

func TestTooManyLookupsAtOnce(t *testing.T) {
	f := newFixture(t, Limits{Queries: 2, Wait: time.Millisecond}, dnsCounts)
	f.add(many(10)...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/dns_counts/rows"
	gate := f.All()[0].gate
	for range 2 {
		gate.slots <- struct{}{}
	}
	r := get(t, url)
	if got := r.apiErr(t); got != "Too Many Requests too_many_queries: the look-up is over the limit of 2 look-ups at once; try again in a moment" || r.header.Get("Retry-After") == "" {
		t.Errorf("%s, Retry-After %q", got, r.header.Get("Retry-After"))
	}
	if r := get(t, url+"?id.orig_h=10.0.0.7&qtype_name=A"); r.status != http.StatusOK {
		t.Errorf("a point look-up: %d %s", r.status, r.body)
	}
}

// TestLookupsReadInTurn has one that reads, and more that may.
func TestLookupsReadInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Queries: 3}.orDefaults())
		g.turns = make(chan struct{}, 1)
		first, err := g.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan string)
		reads := func(name string, ctx context.Context) {
			go func() { // ends when it was read
				turn, err := g.enter(ctx)
				if err != nil {
					read <- name + ": " + err.Error()
					return
				}
				read <- name
				turn.leave()
			}()
			synctest.Wait()
		}
		timed, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errNobody)
		defer cancel()
		reads("second", timed)
		reads("third", t.Context())
		if n := len(g.slots); n != 3 {
			t.Errorf("%d may read", n)
		}
		if got := <-read; got != "second: "+errNobody.Error() {
			t.Error(got)
		}
		passed := make(chan error)
		go func() { passed <- first.pass(t.Context()) }() // ends with the third one
		if got := <-read; got != "third" {
			t.Error(got)
		}
		if err := <-passed; err != nil {
			t.Error(err)
		}
		first.leave()
		first.leave()
		if len(g.slots) != 0 || len(g.turns) != 0 {
			t.Errorf("%d slots and %d turns are not given back", len(g.slots), len(g.turns))
		}
	})
}

func TestTurnsAreGivenBack(t *testing.T) {
	f := newFixture(t, Limits{Queries: 1, Wait: time.Minute}, dnsCounts)
	f.add(many(10)...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/dns_counts/rows"
	answers := make(chan int)
	for range 8 {
		go func() { answers <- get(t, url).status }()
	}
	for range 8 {
		if status := <-answers; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
}

func TestALookupThatNobodyWaitsFor(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(many(10)...)
	l, err := f.Compile("SELECT * FROM dns_counts")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.View.Query(ctx, l.Select, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestGroupsOfALookupAreBounded(t *testing.T) {
	f := newFixture(t, Limits{Bytes: 100 << 10}, dnsCounts)
	f.add(many(5000)...)
	l, err := f.Compile("SELECT id.orig_h || 'x' AS h, count(*) AS n FROM dns_counts GROUP BY 1 ORDER BY n LIMIT 1")
	if err != nil {
		t.Fatal(err)
	}
	var limit *LimitError
	if _, err := l.View.Query(t.Context(), l.Select, nil); !errors.As(err, &limit) || limit.What != "bytes" {
		t.Errorf("error %v", err)
	}
}

func TestPointLookupsReadOneRow(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal)
	f.add(office()...)
	for _, test := range []struct {
		text   string
		params []feeds.Value
		want   bool
	}{
		{"SELECT count FROM dns_counts WHERE id.orig_h = '10.0.0.1' AND qtype_name = 'A'", nil, true},
		{"SELECT count FROM dns_counts WHERE qtype_name = $1 AND $2 = id.orig_h AND count > 0", []feeds.Value{feeds.StringValue("A"), feeds.StringValue("10.0.0.1")}, true},
		{"SELECT n FROM dns_total", nil, true},
		{"SELECT count FROM dns_counts WHERE id.orig_h = '10.0.0.1'", nil, false},
		{"SELECT count FROM dns_counts WHERE id.orig_h = '10.0.0.1' OR qtype_name = 'A'", nil, false},
	} {
		l, err := f.Compile(test.text)
		if err != nil {
			t.Fatal(err)
		}
		key, point := l.Select.Point(test.params)
		if point != test.want {
			t.Errorf("%s: a point look-up: %v", test.text, point)
		}
		if point {
			// Whatever another partition holds, it is not looked at: the row is found where its key says.
			if row, found, err := l.View.row(l.View.held.Load(), string(key)); err != nil || !found || row == nil {
				t.Errorf("%s: row %v, %v", test.text, row, err)
			}
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	for i := range 2 * cacheEntries {
		if _, err := f.Compile(fmt.Sprintf("SELECT count FROM dns_counts WHERE count > %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Compile("SELECT count FROM dns_counts WHERE qtype_name <> '" + strings.Repeat("x", cacheText) + "'"); err != nil {
		t.Fatal(err)
	}
	if n := len(f.shown.Load().lookups.of); n != cacheEntries {
		t.Errorf("%d look-ups are kept", n)
	}
}

func TestLargeAnswers(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(many(20000)...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/dns_counts/rows"
	for range 3 { // buffers come back from the pool
		var a struct {
			Rows [][]any
			Meta struct{ Rows int }
		}
		if err := json.Unmarshal([]byte(get(t, url).body), &a); err != nil {
			t.Fatal(err)
		}
		if len(a.Rows) != 20000 || a.Meta.Rows != 20000 {
			t.Errorf("%d rows, meta says %d", len(a.Rows), a.Meta.Rows)
		}
	}
	if n := strings.Count(get(t, url+"?format=ndjson").body, "\n"); n != 20000 {
		t.Errorf("%d lines", n)
	}
}
