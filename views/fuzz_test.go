package views

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRows asks for rows with any query string: the answer is rows or an error of the client's.
func FuzzRows(f *testing.F) {
	for _, query := range []string{
		"id.orig_h=10.0.0.1&order=-count,qtype_name&limit=20&offset=1", `qtype_name=\N&format=csv`, "min_offset=dns/0:1&stale=true",
		"col.limit=5&count=99999999999999999999", "order=-,+&limit=-1", "%zz=;&&==", "offset=9223372036854775807&limit=9223372036854775807",
	} {
		f.Add(query)
	}
	views := newFixture(f, Limits{Time: 1e6}, dnsCounts)
	views.add(office()...)
	handler := NewServer(ServerConfig{Views: views.Views})
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/tables/dns_counts/rows", nil)
		r.URL = &url.URL{Path: r.URL.Path, RawQuery: query}
		check(t, handler, r)
	})
}

// FuzzQuery posts any body.
func FuzzQuery(f *testing.F) {
	for _, body := range []string{
		`{"sql":"SELECT * FROM dns_counts WHERE count > $1 ORDER BY 1 LIMIT $2","params":[1,2]}`, `{"sql":"SELECT count FROM dns_counts LIMIT $1","params":[-1]}`,
		`{"sql":"SELECT sum(count) / $1 FROM dns_counts","params":[1e400],"min_offset":{"dns":{"0":1}}}`, `{"sql":"SELECT 'a' || $1 FROM dns_counts OFFSET 5","params":[null],"format":"csv"}`, `{"sql":"EXPLAIN SELECT * FROM dns_counts WHERE id.orig_h = $1"}`, `[]`, `{"sql":1}`,
	} {
		f.Add(body)
	}
	views := newFixture(f, Limits{Time: 1e6}, dnsCounts)
	views.add(office()...)
	handler := NewServer(ServerConfig{Views: views.Views})
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/query", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		check(t, handler, r)
	})
}

func check(t *testing.T, h http.Handler, r *http.Request) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code == http.StatusInternalServerError {
		t.Errorf("%s", w.Body)
	}
}
