package views

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// described is the API's description as a client reads it.
func described(t *testing.T, url string) *openapi3.T {
	t.Helper()
	r := get(t, url+"/openapi.json")
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", r.status, r.header)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// holds fails the test if an answer is not as the description says.
func holds(t *testing.T, doc *openapi3.T, path, method string, req *http.Request, r reply) {
	t.Helper()
	item := doc.Paths.Value(path)
	if item == nil {
		t.Fatalf("%s is not described", path)
	}
	op := item.GetOperation(method)
	if op == nil {
		for _, o := range item.Operations() {
			op = o // of another method: 405 is of the path
		}
	}
	status := op.Responses.Value(strconv.Itoa(r.status))
	if status == nil {
		t.Errorf("%s %s: %d is not described", method, req.URL, r.status)
		return
	}
	kind, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	if len(status.Value.Content) > 0 && status.Value.Content[kind] == nil || len(status.Value.Content) == 0 && r.body != "" {
		t.Errorf("%s %s: %d as %q is not described", method, req.URL, r.status, kind)
		return
	}
	for name := range r.header {
		if strings.HasPrefix(name, "Brotally-") || slices.Contains([]string{"Etag", "Link", "Retry-After", "Allow", "Www-Authenticate"}, name) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(status.Value.Headers)), func(described string) bool { return http.CanonicalHeaderKey(described) == name }) {
				t.Errorf("%s %s: %d has a header %s, which is not described", method, req.URL, r.status, name)
			}
		}
	}
	if kind != "application/json" {
		return
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}},
		Status:                 r.status, Header: r.header, Body: io.NopCloser(strings.NewReader(r.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: %v\n%s", method, req.URL, err, r.body)
	}
}

func TestAnswersAreAsDescribed(t *testing.T) {
	f := newFixture(t, Limits{Rows: 4, Queries: 1, Wait: 1, Listeners: 1}, dnsCounts, dnsTotal, queries)
	f.add(office()...)
	numbers := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte("up 1\n"))
	})
	open := f.server(ServerConfig{Metrics: numbers}).URL
	guarded := f.server(ServerConfig{Metrics: numbers, Tokens: tokens(t, "read "+readToken)}).URL
	doc := described(t, open)
	const table, rows, query = "/api/v1/tables/{table}", "/api/v1/tables/{table}/rows", "/api/v1/query"
	inJSON := []string{"Content-Type", "application/json"}
	seen := map[string]bool{}
	ask := func(name, path, server, method, at, body string, status int, header ...string) {
		t.Helper()
		req, err := http.NewRequest(method, server+at, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		r := do(t, method, server+at, body, header...)
		if r.status != status {
			t.Errorf("%s: %d, want %d: %s", name, r.status, status, r.body)
		}
		holds(t, doc, path, method, req, r)
		seen[path+" "+strconv.Itoa(r.status)] = true
	}
	ask("tables", "/api/v1/tables", open, "GET", "/api/v1/tables", "", 200)
	ask("tables without a token", "/api/v1/tables", guarded, "GET", "/api/v1/tables", "", 401)
	ask("tables of another host", "/api/v1/tables", open, "GET", "/api/v1/tables", "", 403, "Host", "rebound.example")
	ask("tables by another method", "/api/v1/tables", open, "DELETE", "/api/v1/tables", "", 405)
	ask("a long address", "/api/v1/tables", open, "GET", "/api/v1/tables?"+strings.Repeat("x", maxURI), "", 414)
	for _, name := range []string{"dns_counts", "dns_total", "queries"} {
		ask("a table", table, open, "GET", "/api/v1/tables/"+name, "", 200)
		ask("its rows", rows, open, "GET", "/api/v1/tables/"+name+"/rows", "", 200)
	}
	ask("no table", table, open, "GET", "/api/v1/tables/dns_count", "", 404)
	ask("no table's rows", rows, open, "GET", "/api/v1/tables/dns_count/rows", "", 404)
	for _, f := range formats {
		ask("a page", rows, open, "GET", "/api/v1/tables/dns_counts/rows?limit=1&format="+string(f), "", 200)
		ask("a look-up", query, open, "POST", "/api/v1/query?format="+string(f), `{"sql":"SELECT * FROM dns_counts"}`, 200, inJSON...)
	}
	ask("rows that the client has", rows, open, "GET", "/api/v1/tables/dns_counts/rows", "", 304, "If-None-Match", "*")
	ask("a fault in a parameter", rows, open, "GET", "/api/v1/tables/dns_counts/rows?count.gt=x", "", 400)
	ask("a type that there is not", rows, open, "GET", "/api/v1/tables/dns_counts/rows", "", 406, "Accept", "image/png")
	ask("too many rows to sort", rows, open, "GET", "/api/v1/tables/dns_counts/rows?order=count", "", 413)
	ask("by another method", rows, open, "PUT", "/api/v1/tables/dns_counts/rows", "", 405)
	ask("EXPLAIN", query, open, "POST", "/api/v1/query", `{"sql":"EXPLAIN SELECT * FROM dns_counts"}`, 200, inJSON...)
	ask("a fault in SQL", query, open, "POST", "/api/v1/query", `{"sql":"SELECT * FROM\n dns_counts WHERE a"}`, 400, inJSON...)
	ask("a body of another type", query, open, "POST", "/api/v1/query", `x`, 415)
	ask("a long body", query, open, "POST", "/api/v1/query", strings.Repeat(" ", maxBody+1), 413, inJSON...)
	ask("a type that there is not", query, open, "POST", "/api/v1/query", `{"sql":"SELECT * FROM dns_counts"}`, 406, "Content-Type", "application/json", "Accept", "image/png")
	ask("no table", query, open, "POST", "/api/v1/query", `{"sql":"SELECT * FROM nothing"}`, 404, inJSON...)
	ask("by another method", query, open, "GET", "/api/v1/query", "", 405)
	ask("another site's page", query, open, "POST", "/api/v1/query", `{}`, 403, "Origin", "https://evil.example")
	ask("metrics", "/metrics", open, "GET", "/metrics", "", 200)
	ask("metrics for who only reads", "/metrics", guarded, "GET", "/metrics", "", 403, "Authorization", "Bearer "+readToken)
	ask("no metrics", "/metrics", f.server(ServerConfig{}).URL, "GET", "/metrics", "", 404)
	ask("alive", "/healthz", open, "GET", "/healthz", "", 200)
	ask("ready", "/readyz", open, "GET", "/readyz", "", 200)
	ask("the description", "/openapi.json", open, "GET", "/openapi.json", "", 200)

	// An answer of changes has no end: HEAD has all but the events.
	const changes = "/api/v1/tables/{table}/changes"
	ask("changes", changes, open, "HEAD", "/api/v1/tables/dns_counts/changes?snapshot=false&stale=1&last_event_id=x&count.gte=2", "", 200, "Last-Event-ID", "y")
	ask("no table's changes", changes, open, "GET", "/api/v1/tables/dns_count/changes", "", 404)
	ask("a fault in a parameter", changes, open, "GET", "/api/v1/tables/dns_counts/changes?snapshot=x", "", 400)
	ask("changes in a format", changes, open, "GET", "/api/v1/tables/dns_counts/changes?format=csv", "", 400)
	ask("any type will do", changes, open, "HEAD", "/api/v1/tables/dns_counts/changes", "", 200, "Accept", "image/png")
	ask("changes without a token", changes, guarded, "GET", "/api/v1/tables/dns_counts/changes", "", 401)
	ask("changes of another host", changes, open, "GET", "/api/v1/tables/dns_counts/changes", "", 403, "Host", "rebound.example")
	ask("a long address", changes, open, "GET", "/api/v1/tables/dns_counts/changes?"+strings.Repeat("x", maxURI), "", 414)
	ask("by another method", changes, open, "POST", "/api/v1/tables/dns_counts/changes", "", 405)
	listening, err := f.view("dns_counts").gate.listen()
	if err != nil {
		t.Fatal(err)
	}
	ask("too many listen", changes, open, "GET", "/api/v1/tables/dns_counts/changes", "", 429)
	listening()

	turn, err := f.view("dns_counts").gate.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask("too many at once", rows, open, "GET", "/api/v1/tables/dns_counts/rows", "", 429)
	ask("too many at once", query, open, "POST", "/api/v1/query", `{"sql":"SELECT * FROM dns_counts"}`, 429, inJSON...)
	turn.leave()
	f.view("queries").hold(held{store: f.stores["queries"], partitions: partitions, total: 9, state: "is being restored"})
	ask("not ready", rows, open, "GET", "/api/v1/tables/queries/rows", "", 503)
	ask("what there is", rows, open, "GET", "/api/v1/tables/queries/rows?stale=1&format=csv", "", 200)
	ask("what there is", rows, open, "GET", "/api/v1/tables/queries/rows?stale=1", "", 200)
	ask("not ready", changes, open, "GET", "/api/v1/tables/queries/changes", "", 503)
	ask("not ready", query, open, "POST", "/api/v1/query", `{"sql":"SELECT * FROM queries"}`, 503, inJSON...)
	ask("not ready", "/readyz", open, "GET", "/readyz", "", 503)
	ask("a table that is not ready", table, open, "GET", "/api/v1/tables/queries", "", 200)
	ask("a list with one", "/api/v1/tables", open, "GET", "/api/v1/tables", "", 200)

	// What is described has been seen, but for what all share.
	for path, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status := range op.Responses.Map() {
				shared := slices.Contains([]string{"401", "403", "405", "414", "default"}, status)
				if key := path + " " + status; !seen[key] && !shared {
					t.Errorf("%s is described, but nothing answered so", key)
				}
			}
		}
	}
}

func TestAllParametersAreDescribed(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	doc := described(t, f.server(ServerConfig{}).URL)
	for path, want := range map[string][]string{"/api/v1/tables/{table}/rows": rowsParams, "/api/v1/tables/{table}/changes": changesParams, "/api/v1/query": queryParams} {
		var got []string
		for _, op := range doc.Paths.Value(path).Operations() {
			for _, p := range op.Parameters {
				if p.Value.In == "query" && p.Value.Name != "filters" {
					got = append(got, p.Value.Name)
				}
			}
		}
		slices.Sort(got)
		if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			t.Errorf("%s: %q are described, there are %q", path, got, want)
		}
	}
}
