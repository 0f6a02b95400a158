package views

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRequestsAreObserved(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	var mu sync.Mutex
	var seen []string
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("a fault")
		case "/flush":
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write([]byte("page"))
	})
	url := f.server(ServerConfig{Page: func(http.Handler) http.Handler { return page }, Tokens: tokens(t, "admin secret-secret-secret"), Observe: func(route string, status int, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if took <= 0 {
			t.Errorf("%s took %v", route, took)
		}
		seen = append(seen, fmt.Sprint(route, " ", status))
	}}).URL
	for _, path := range []string{"/api/v1/tables", "/api/v1/tables/dns_counts/rows?limit=1", "/api/v1/tables/nobody", "/api/v2", "/healthz", "/", "/flush", "/panic"} {
		do(t, "GET", url+path, "", "Authorization", "Bearer secret-secret-secret")
	}
	do(t, "GET", url+"/api/v1/tables", "")
	want := []string{
		"/api/v1/tables 200", "/api/v1/tables/{table}/rows 200", "/api/v1/tables/{table} 404", "/api/ 404", "/healthz 200", "/ 200", "/ 200", "/ 500",
		" 401",
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
