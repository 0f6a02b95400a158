package views

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestStrangersAreRefused(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	url := f.server(ServerConfig{Hosts: []string{"tables.example"}}).URL
	const ok = http.StatusOK
	for _, test := range []struct {
		name   string
		method string
		header []string
		status int
	}{
		{"the machine itself", "GET", nil, ok},
		{"by name", "GET", []string{"Host", "localhost:8080"}, ok},
		{"by a name below localhost", "GET", []string{"Host", "brotally.localhost"}, ok},
		{"by another loopback address", "GET", []string{"Host", "[::1]:8080"}, ok},
		{"by a name of its own", "GET", []string{"Host", "tables.example:8080"}, ok},
		{"by a stranger's name", "GET", []string{"Host", "rebound.example:8080"}, http.StatusForbidden},
		{"by an address elsewhere", "GET", []string{"Host", "192.0.2.1"}, http.StatusForbidden},
		{"by a name that looks alike", "GET", []string{"Host", "127.0.0.1.example"}, http.StatusForbidden},
		{"a page of another site", "POST", []string{"Origin", "https://evil.example", "Content-Type", "application/json"}, http.StatusForbidden},
		{"a page of no site", "POST", []string{"Origin", "null", "Content-Type", "application/json"}, http.StatusForbidden},
		{"a browser says so", "POST", []string{"Sec-Fetch-Site", "cross-site", "Content-Type", "application/json"}, http.StatusForbidden},
		{"our own page", "POST", []string{"Sec-Fetch-Site", "same-origin", "Content-Type", "application/json"}, ok},
		{"a preflight", "OPTIONS", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, http.StatusMethodNotAllowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, body := "/api/v1/tables", ""
			if test.method != "GET" {
				path, body = "/api/v1/query", `{"sql":"SELECT * FROM dns_counts"}`
			}
			r := do(t, test.method, url+path, body, test.header...)
			if r.status != test.status {
				t.Errorf("status %d: %s", r.status, r.body)
			}
			for name := range r.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("header %s: %s", name, r.header.Get(name))
				}
			}
		})
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("a fault")
		}
		_, _ = w.Write([]byte("page"))
	})
	url := f.server(ServerConfig{Page: func(http.Handler) http.Handler { return page }}).URL
	for path, status := range map[string]int{
		"/": 200, "/panic": 500, "/healthz": 200, "/readyz": 200, "/api/v1/tables": 200, "/api/v1/tables/dns_counts": 200,
		"/api/v1/tables/dns_counts/rows": 200, "/api/v1/tables/none": 404, "/api/v1/query": 405, "/api/": 404,
	} {
		r := get(t, url+path)
		if r.status != status {
			t.Errorf("%s: status %d, want %d", path, r.status, status)
		}
		if r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: browsers may guess its type", path)
		}
		kept := r.header.Get("Cache-Control")
		if rows := strings.HasSuffix(path, "/rows"); rows && kept != "private, no-cache" || !rows && kept != "no-store" && path != "/" && path != "/panic" {
			t.Errorf("%s: may be kept", path)
		}
	}
	if r := get(t, url+"/anything"); r.body != "page" {
		t.Errorf("the page: %s", r.body)
	}
	if r := do(t, "HEAD", url+"/api/v1/tables/dns_counts/rows?format=csv", ""); r.status != 200 || r.body != "" {
		t.Errorf("HEAD: %d %q", r.status, r.body)
	}
}

// TestAFaultBehindAPage: what a page asks for in this process fails as it does for a client, and is logged.
func TestAFaultBehindAPage(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	var log bytes.Buffer // written before the answer is
	page := func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked := httptest.NewRequest("GET", "/metrics", nil)
			api.ServeHTTP(w, asked.WithContext(r.Context()))
		})
	}
	url := f.server(ServerConfig{Page: page, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") })}).URL
	if r := get(t, url+"/"); r.status != 500 || !strings.Contains(r.body, `"code":"internal"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	if !strings.Contains(log.String(), `panic="a fault"`) || !strings.Contains(log.String(), "path=/metrics") {
		t.Errorf("log: %s", log.String())
	}
}

// TestOtherSitesCannotMakeItWork: an address that another site's page has as an image's is not answered; one that somebody follows is.
func TestOtherSitesCannotMakeItWork(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	url := f.server(ServerConfig{}).URL + rowsPath
	for _, c := range []struct {
		site, mode string
		status     int
	}{{"cross-site", "no-cors", 403}, {"cross-site", "cors", 403}, {"cross-site", "navigate", 200}, {"same-origin", "cors", 200}, {"none", "navigate", 200}, {"", "", 200}} {
		if r := do(t, "GET", url, "", "Sec-Fetch-Site", c.site, "Sec-Fetch-Mode", c.mode); r.status != c.status {
			t.Errorf("%s, %s: %d, want %d", c.site, c.mode, r.status, c.status)
		}
	}
}

// TestAFaultHalfWay: an answer that a fault ends does not look whole.
func TestAFaultHalfWay(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.fill(20_000)
	for _, encoding := range []string{"identity", "gzip"} {
		var once atomic.Bool
		url := f.hookedServer(func(n int) {
			if n == 3 && !once.Swap(true) {
				panic("a fault")
			}
		})
		req, err := http.NewRequest("GET", url+rowsPath+"?format=ndjson", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", encoding)
		res, err := http.DefaultClient.Do(req)
		if errors.Is(err, io.EOF) {
			continue // nothing of it came
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: it ends with %v", encoding, err)
		}
		res.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestToken(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	url := f.server(ServerConfig{Tokens: tokens(t, "read s3cret-s3cret-s3cret")}).URL
	basic := httptest.NewRequest("GET", "/", nil)
	basic.SetBasicAuth("anybody", "s3cret-s3cret-s3cret")
	for _, test := range []struct {
		path, authorization string
		status              int
	}{
		{"/api/v1/tables", "", 401},
		{"/", "", 401},
		{"/api/v1/tables", "Bearer s3cret-s3cret-s3cre", 401},
		{"/api/v1/tables", "s3cret-s3cret-s3cret", 401},
		{"/api/v1/tables", "Bearer s3cret-s3cret-s3cret", 200},
		{"/api/v1/tables", basic.Header.Get("Authorization"), 200},
		{"/healthz", "", 200},
		{"/readyz", "", 200},
	} {
		r := get(t, url+test.path, "Authorization", test.authorization)
		if r.status != test.status {
			t.Errorf("%s with %q: %d", test.path, test.authorization, r.status)
		}
		if strings.Contains(r.body, "s3cret-s3cret-s3cret") {
			t.Errorf("%s says the token", test.path)
		}
	}
}

// refusing is a page that says why somebody is refused.
type refusing struct{ http.Handler }

func (refusing) Refuse(w http.ResponseWriter, _ *http.Request, status int, message, hint string) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte("page: " + message + "; " + hint))
}

// TestAReaderIsToldByThePage: what is for operators is refused to a reader, to browsers with a page and to programs with JSON.
func TestAReaderIsToldByThePage(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	page := refusing{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("figures")) })}
	all := tokens(t, "read reader-reader-reader\nadmin admin-admin-admin")
	url := f.server(ServerConfig{Page: func(http.Handler) http.Handler { return page }, Tokens: all}).URL
	const reader, admin, html = "Bearer reader-reader-reader", "Bearer admin-admin-admin", "text/html,*/*"
	for _, test := range []struct {
		path, token, accept string
		status              int
		body                string
	}{
		{"/health", reader, html, 403, "page: /health is for operators; use a token whose role is admin"},
		{"/health", reader, "*/*", 403, `{"error":{"code":"forbidden"`},
		{"/health", reader, "text/event-stream", 403, `{"error":{"code":"forbidden"`},
		{"/health", admin, html, 200, "figures"},
		{"/", reader, html, 200, "figures"},
		{"/topology", "", html, 401, `{"error":{"code":"unauthorized"`},
	} {
		r := get(t, url+test.path, "Authorization", test.token, "Accept", test.accept)
		if r.status != test.status || !strings.HasPrefix(r.body, test.body) {
			t.Errorf("%s, %q, for %s: %d %s", test.path, test.token, test.accept, r.status, r.body)
		}
		request := httptest.NewRequest("GET", "/", nil)
		request.Header.Set("Authorization", test.token)
		if got := all.May(request, test.path); got != (test.status == 200) {
			t.Errorf("%q may see %s: %v, but is answered %d", test.token, test.path, got, test.status)
		}
	}
	var none *Tokens
	if !none.May(httptest.NewRequest("GET", "/", nil), "/health") {
		t.Error("without tokens /health is for some")
	}
}

func TestMetricsAreBehindTheToken(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	numbers := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	url := f.server(ServerConfig{Metrics: numbers, Tokens: tokens(t, "admin secret-secret-secret")}).URL + "/metrics"
	if r := do(t, "GET", url, ""); r.status != http.StatusUnauthorized {
		t.Errorf("without it: %d %s", r.status, r.body)
	}
	if r := do(t, "GET", url, "", "Authorization", "Bearer secret-secret-secret"); r.status != http.StatusOK || r.body != "up 1\n" {
		t.Errorf("with it: %d %s", r.status, r.body)
	}
	if r := do(t, "GET", f.server(ServerConfig{}).URL+"/metrics", ""); r.status != http.StatusNotFound {
		t.Errorf("without metrics: %d %s", r.status, r.body)
	}
}
