package web_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/traffic"
	"github.com/brotally/brotally/web"
)

var preview = flag.String("preview", "", "with -run Preview: serve the page on this `address` over made-up tables, until killed")

// TestPreview serves the page for whoever works on it, without Kafka:
//
//	go test ./web -run Preview -timeout 0 -preview 127.0.0.1:8099
func TestPreview(t *testing.T) {
	if *preview == "" {
		return // nobody looks
	}
	listener, err := net.Listen("tcp", *preview)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t)
	h := a.handler()
	go a.run(nil)              // ends with the test binary
	go a.site.Run(t.Context()) //nolint:errcheck // as above
	fmt.Printf("page on http://%s/\n", listener.Addr())
	t.Fatal(http.Serve(listener, h))
}

// api answers as a server does, about traffic that it makes up itself.
type api struct {
	site    *web.Site
	network *traffic.Network
	start   time.Time

	mu     sync.Mutex // guards what follows
	tally  traffic.Tally
	next   traffic.Message
	read   int64
	newest time.Time
	down   int // if not 0, the status of every answer
}

func newAPI(t testing.TB) *api {
	t.Helper()
	a := &api{start: time.Now().Add(-10 * time.Second)} // so that there is something to see at once
	n, err := traffic.New(traffic.Config{Seed: 1, Start: a.start, Rate: 400})
	if err != nil {
		t.Fatal(err)
	}
	a.network, a.next = n, n.Next()
	return a
}

// advance counts what the network has written by the time to.
func (a *api) advance(to time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ; a.next.Time.Before(to); a.next = a.network.Next() {
		a.tally.Add(a.next)
		if a.next.Feed == "dns" {
			a.read++
			a.newest = a.next.Time
		}
	}
}

// run goes with the clock, until done is closed.
func (a *api) run(done <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			a.advance(now)
		case <-done:
			return
		}
	}
}

type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Key  bool   `json:"key,omitempty"`
}

type table struct {
	Name    string            `json:"name"`
	Time    *time.Time        `json:"event_time"`
	Counts  counts            `json:"counts"`
	Feed    string            `json:"feed"`
	Ready   bool              `json:"ready"`
	State   string            `json:"state"`
	Groups  int               `json:"groups"`
	SQL     string            `json:"sql,omitempty"`
	Columns []column          `json:"columns,omitempty"`
	Topics  map[string]string `json:"topics,omitempty"`
}

type counts struct {
	Read         int64 `json:"read"`
	Counted      int64 `json:"counted"`
	Filtered     int64 `json:"filtered"`
	DeadLettered int64 `json:"dead_lettered"`
}

// odd is a table of what logs should not be able to do to a page.
var odd = [][]any{
	{"<script>document.title='owned'</script>", json.Number("340282366920938463463374607431768211455"), 1.5e-7, true, []any{"a", nil, "<b>"}, "2026-11-23T04:05:06.123456Z", 0.000033},
	{"<img src=x onerror=document.title='owned'>", json.Number("9007199254740993"), 2.0, false, []any{}, nil, 100801.101439},
	{"right\u202eto left", -5, nil, nil, nil, "1969-12-31T23:59:59.999999Z", nil},
	{"", 0, 0.1, true, nil, "2026-11-23T04:05:06Z", 12.25},
	{nil, nil, nil, nil, nil, nil, nil},
	{"tab\there, bell\x07, zero\x00", 12, 3.25, true, []any{1, 2}, "2026-11-23T04:05:06.5Z", 3725.0},
	{strings.Repeat("long", 300), 1, 1.0, true, nil, "2026-11-23T04:05:06Z", 59.0},
	{"Kopierer im Büro · 見積書 · 📦 · \\x92s", 7, 7.0, true, nil, "2026-11-23T04:05:06Z", 0.25},
}

func (a *api) tables() []table {
	var newest *time.Time
	if !a.newest.IsZero() {
		newest = &a.newest
	}
	return []table{
		{
			Name: "conn_bytes", Feed: "conn", State: "is being restored", Topics: map[string]string{"result": "conn_bytes"},
			SQL:     "CREATE TABLE conn_bytes AS ..",
			Columns: []column{{"id.orig_h", "inet", true}, {"sent", "numeric", false}},
		},
		{
			Name: "dns_counts", Time: newest, Counts: counts{Read: a.read + 3, Counted: a.read, DeadLettered: 3}, Feed: "dns", Ready: true, State: "is up to date", Groups: len(a.tally.DNSCounts()),
			SQL:     "CREATE TABLE dns_counts AS\nSELECT id.orig_h, qtype_name, count(*) AS count\nFROM dns\nGROUP BY id.orig_h, qtype_name;",
			Columns: []column{{"id.orig_h", "inet", true}, {"qtype_name", "string", true}, {"count", "ubigint", false}},
			Topics:  map[string]string{"result": "dns_counts"},
		},
		{
			Name: "odd values", Feed: "dns", Ready: true, State: "is up to date", Groups: len(odd),
			SQL:     "CREATE TABLE \"odd values\" ..",
			Columns: []column{{"query", "string", true}, {"n", "numeric", false}, {"x", "double", false}, {"AA", "bool", false}, {"answers", "string[]", false}, {"ts", "timestamp", false}, {"rtt", "interval", false}},
			Topics:  map[string]string{"result": "odd'values"},
		},
	}
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	site := web.New(web.Config{API: mux, Brokers: []string{"127.0.0.1:9092"}, Postgres: "postgres://brotally@127.0.0.1:5439/brotally", Every: 200 * time.Millisecond})
	mux.Handle("/", site)
	a.site = site
	mux.HandleFunc("POST /api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		var q struct{ SQL string }
		_ = json.NewDecoder(r.Body).Decode(&q) // what is no JSON is no SQL either
		if strings.Contains(q.SQL, "quary") {
			e := failure("sql", "1:8: no column quary in dns_counts", "")
			e["error"].(map[string]string)["text"] = "1:8: no column quary in dns_counts\n  " + q.SQL + "\n         ^"
			a.answer(w, 400, e)
			return
		}
		a.rows(w, "dns_counts", url.Values{"order": {"-count"}, "limit": {"20"}})
	})
	mux.HandleFunc("GET /api/v1/tables", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		list := a.tables()
		for i := range list {
			list[i].SQL, list[i].Columns, list[i].Topics = "", nil, nil
		}
		a.answer(w, 200, map[string]any{"tables": list})
	})
	mux.HandleFunc("GET /api/v1/tables/{name}", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, t := range a.tables() {
			if t.Name == r.PathValue("name") {
				a.answer(w, 200, t)
				return
			}
		}
		a.answer(w, 404, failure("unknown_table", "no table "+r.PathValue("name"), ""))
	})
	mux.HandleFunc("GET /api/v1/tables/{name}/rows", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.rows(w, r.PathValue("name"), r.URL.Query())
	})
	return mux
}

func (a *api) rows(w http.ResponseWriter, name string, q url.Values) {
	var t table
	for _, t = range a.tables() {
		if t.Name == name {
			break
		}
	}
	if name == "conn_bytes" {
		a.answer(w, 503, failure("not_ready", "table conn_bytes is being restored: 12 of 4321 changelog records are read", "try again in a moment"))
		return
	}
	rows := [][]any{}
	if t.Name == "dns_counts" {
		for _, c := range a.tally.DNSCounts() {
			row := []any{c.OrigH, c.QtypeName, c.Count}
			if c.Null {
				row[1] = nil
			}
			rows = append(rows, row)
		}
	} else {
		rows = append(rows, odd...)
	}
	columns := slices.Clone(t.Columns)
	for i, c := range columns {
		if want := cmp.Or(q.Get("col."+c.Name), q.Get(c.Name)); c.Type == "ubigint" && want != "" {
			if _, err := strconv.Atoi(want); err != nil {
				a.answer(w, 400, failure("bad_value", c.Name+": "+want+" is no number", ""))
				return
			}
		}
		want, ok := q["col."+c.Name]
		if !ok {
			want, ok = q[c.Name]
		}
		if ok {
			rows = slices.DeleteFunc(rows, func(r []any) bool {
				if r[i] == nil {
					return want[0] != `\N`
				}
				text := fmt.Sprint(r[i])
				if strings.HasPrefix(text, `\`) {
					text = `\` + text
				}
				return text != want[0]
			})
		}
		if order := q.Get("order"); strings.TrimPrefix(order, "-") == c.Name {
			slices.SortStableFunc(rows, func(a, b []any) int {
				if strings.HasPrefix(order, "-") {
					a, b = b, a
				}
				return compare(a[i], b[i])
			})
		}
		columns[i].Key = false
	}
	total := len(rows)
	limit, _ := strconv.Atoi(q.Get("limit"))
	offset, _ := strconv.Atoi(q.Get("offset"))
	rows = rows[min(offset, total):min(offset+limit, total)]
	asOf := map[string]int64{}
	for p := range int64(4) {
		asOf[strconv.FormatInt(p, 10)] = (a.read + 3 - p) / 4
	}
	next := ""
	if offset+limit < total {
		next = "more"
	}
	meta := map[string]any{
		"next":  next,
		"table": name, "rows": len(rows), "as_of": map[string]any{"dns": asOf},
		"counts": counts{Read: a.read + 3, Counted: a.read, DeadLettered: 3},
	}
	if !a.newest.IsZero() {
		meta["event_time"] = a.newest.Format("2006-01-02T15:04:05.000000Z07:00")
	}
	a.answer(w, 200, map[string]any{"columns": columns, "rows": rows, "meta": meta})
}

func compare(a, b any) int {
	x, okX := new(big.Float).SetString(fmt.Sprint(a))
	y, okY := new(big.Float).SetString(fmt.Sprint(b))
	if okX && okY {
		return x.Cmp(y)
	}
	return cmp.Or(cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
}

func failure(code, message, hint string) map[string]any {
	return map[string]any{"error": map[string]string{"code": code, "message": message, "hint": hint}}
}

func (a *api) answer(w http.ResponseWriter, status int, body any) {
	if a.down != 0 {
		status, body = a.down, failure("internal", "the broker is away", "")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a browser that went away is no failure
}
