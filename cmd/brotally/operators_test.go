package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/metrics"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/web"
)

// A process that answers no look-ups still says how it is.
func TestOperatorsPort(t *testing.T) {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	b := broker.StartTest(t)
	file := filepath.Join(t.TempDir(), "tables.sql")
	if err := os.WriteFile(file, []byte("CREATE TABLE n AS SELECT count(*) AS n FROM dns;"), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, log := io.Pipe()
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: log}
	ended := make(chan int, 1)
	go func() {
		ended <- p.main(ctx, []string{"run", file, "-b", b.Addrs()[0], "--only", "process", "--instance", "one", "--admin-listen", "127.0.0.1:0"})
		log.Close()
	}()
	lines := bufio.NewScanner(stderr)
	var url string
	for url == "" && lines.Scan() {
		if m := regexp.MustCompile(`listening for operators.* url=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
	}
	go io.Copy(io.Discard, stderr) //nolint:errcheck // ends with the log
	if url == "" {
		t.Fatal("it does not listen")
	}
	defer http.DefaultClient.CloseIdleConnections()
	get := func(path string) (int, string) {
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}

	const waits = `"not_started":1,"ready":false,"stages":[],"views":[]`
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, text := get("/readyz")
		if status == http.StatusServiceUnavailable && strings.Contains(text, waits) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("without its topic: %d %s", status, text)
		}
	}
	admin, err := kafka.NewAdmin(ctx, kafka.Config{Brokers: b.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	if err := admin.Ensure(kafka.Topic{Name: "dns", Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, text := get("/readyz")
		if status == http.StatusOK && strings.Count(text, `"state":"running"`) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with its topic: %d %s", status, text)
		}
	}
	for path, want := range map[string]string{
		"/healthz": `{"status":"ok"}`, "/metrics": `brotally_stage_state{group="brotally-n",stage="group",state="running"} 1`,
		"/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "", "/debug/pprof/goroutine?debug=1": "goroutine profile: total",
	} {
		if status, text := get(path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %.200s", path, status, text)
		}
	}
	stop(errInterrupted)
	if code := <-ended; code != exitOK && code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

// Profiles may hold what logs say: other machines get none, whatever the address listens for.
func TestProfilesAreForThisMachine(t *testing.T) {
	o := operators{metrics: metrics.New(metrics.Build{})}
	h := o.handler(views.ServerConfig{Log: slog.New(slog.DiscardHandler)})
	for addr, want := range map[string]int{"127.0.0.1:9090": http.StatusOK, "[::1]:9090": http.StatusOK, "192.0.2.1:9090": http.StatusForbidden, "": http.StatusForbidden} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
			if got := statusAt(t, addr, h, path); got != want {
				t.Errorf("%s at %q: %d, want %d", path, addr, got, want)
			}
		}
		if got := statusAt(t, addr, h, "/metrics"); got != http.StatusOK {
			t.Errorf("/metrics at %q: %d", addr, got)
		}
	}
}

// What the operators' port refuses, it refuses as the API does; with tokens it is for operators.
func TestOperatorsPortRefuses(t *testing.T) {
	admin, reader := "admin-0123456789", "reader-0123456789"
	all, err := views.NewTokens("admin " + admin + "\nread " + reader)
	if err != nil {
		t.Fatal(err)
	}
	o := operators{metrics: metrics.New(metrics.Build{})}
	h := o.handler(views.ServerConfig{Tokens: all, Log: slog.New(slog.DiscardHandler)})
	for _, test := range []struct {
		method, path, token string
		status              int
		code                string // of the error
	}{
		{"GET", "/healthz", "", 200, ""}, {"GET", "/metrics", admin, 200, ""}, {"GET", "/debug/pprof/cmdline", admin, 403, "forbidden"},
		{"GET", "/metrics", "", 401, "unauthorized"}, {"GET", "/metrics", reader, 403, "forbidden"}, {"GET", "/debug/pprof/heap", reader, 403, "forbidden"},
		{"GET", "/", reader, 404, "not_found"}, {"DELETE", "/metrics", admin, 405, "method_not_allowed"}, {"POST", "/readyz", "", 405, "method_not_allowed"},
	} {
		r, w := httptest.NewRequest(test.method, test.path, nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+test.token)
		h.ServeHTTP(w, r)
		var answer struct{ Error struct{ Code string } }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); test.code != "" && err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
		}
		if w.Code != test.status || answer.Error.Code != test.code {
			t.Errorf("%s %s with %q: %d %s, want %d %s", test.method, test.path, test.token, w.Code, answer.Error.Code, test.status, test.code)
		}
	}
}

// No port but the operators' has profiles.
func TestPublicPortHasNoProfiles(t *testing.T) {
	all, err := views.New(views.Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	h, _ := (&serving{}).handler(&program{log: slog.New(slog.DiscardHandler)}, all, metrics.New(metrics.Build{}), web.Config{})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
		if got := statusOf(t, h, path); got != http.StatusNotFound {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := statusOf(t, h, "/metrics"); got != http.StatusOK {
		t.Errorf("/metrics: %d", got)
	}
}

// statusOf returns with which status a request over loopback is answered.
func statusOf(t *testing.T, h http.Handler, path string) int {
	t.Helper()
	return statusAt(t, "127.0.0.1:8080", h, path)
}

// statusAt is statusOf for a request that came in at an address of ours; "" is none known.
func statusAt(t *testing.T, at string, h http.Handler, path string) int {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "localhost"
	if at != "" {
		addr, err := netip.ParseAddrPort(at)
		if err != nil {
			t.Fatal(err)
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(net.TCPAddrFromAddrPort(addr))))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
