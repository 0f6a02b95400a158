package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brotally/brotally/views/client"
	"github.com/brotally/brotally/web/tryit"
)

// shared is what several goroutines and a process write to.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// eventually polls, because what it waits for is another process.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for !holds() {
		select {
		case <-late:
			t.Fatalf("not within a minute: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestDemoIsExactAfterKill kills the processors of a demo under a flood and poison.
func TestDemoIsExactAfterKill(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr shared
	p := &program{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, environ: append(os.Environ(), beBrotally+"=1", "BROTALLY_LISTEN=0.0.0.0:1")}
	ended := make(chan int, 1)
	go func() {
		ended <- p.main(ctx, []string{"demo", "--port", "0", "--pg-port", "0", "--broker-port", "0", "--rate", "300"})
	}() // awaited below
	defer func() {
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", stdout.String(), stderr.String())
		}
	}()
	pageLine := regexp.MustCompile(`(?m)^  page +(http://[^/\s]+)/$`)
	eventually(t, "first counts", func() bool { return strings.Contains(stderr.String(), "first counts after") })
	at := pageLine.FindStringSubmatch(stderr.String())[1]

	web := &http.Client{Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	post := func(path, do, origin string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+path, strings.NewReader("do="+do))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		res, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	state := func() (s tryit.State) {
		t.Helper()
		res, err := web.Get(at + "/try/state.json")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := post("/try/kill", "kill", "http://elsewhere.example"); got != http.StatusForbidden || len(state().Kills) > 0 {
		t.Fatalf("another site's page kills: %d", got)
	}
	for _, scene := range []string{"flood", "poison"} {
		if got := post("/try/"+scene, "on", at); got != http.StatusNoContent {
			t.Fatalf("%s: status %d", scene, got)
		}
	}
	if got := post("/try/party", "on", at); got != http.StatusNotFound {
		t.Errorf("no scene party: status %d", got)
	}
	if got := post("/try/kill", "kill", at); got != http.StatusNoContent {
		t.Fatalf("kill: status %d", got)
	}
	eventually(t, "all exact after the kill, with the dead letters", func() bool {
		s := state()
		if len(s.Kills) != 1 || s.Kills[0].ExactMS == 0 || !s.Exact || s.Away {
			return false
		}
		var letters int64
		for _, table := range s.Tables {
			letters += table.Letters
		}
		return letters == 400
	})
	if k := state().Kills[0]; k.BackMS <= 0 || k.BackMS > k.ExactMS {
		t.Errorf("killed: %+v", k)
	}
	c := client.New(at)
	c.HTTP = web
	rows, err := c.Rows(ctx, demoTable, client.RowsOptions{})
	if err != nil || rows.Len() == 0 {
		t.Errorf("through the front: %d rows, %v", rows.Len(), err)
	}
	interrupt()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"poisoned 400, dead letters 400", "dns_counts: sent "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if !strings.Contains(stderr.String(), "every key of dns_counts has the count that the network says it sent") {
		t.Error("it does not say that all is exact")
	}
}

// TestWorkerGivesUp has a worker end at once, time after time.
func TestWorkerGivesUp(t *testing.T) {
	var stderr shared
	p := &program{stderr: &stderr, environ: append(os.Environ(), beBrotally+"=1")}
	w := newWorker(p, "run", "--for-demo", "no-such-file.sql")
	w.backoff = time.Millisecond
	err := w.run(t.Context())
	if want := "the processors ended 5 times in a row, at last with: exit status 2"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := strings.Count(stderr.String(), "the processors ended unasked: exit status 2; they are started again"); got != workerEnds-1 {
		t.Errorf("said %d times:\n%s", got, stderr.String())
	}
}

func TestFront(t *testing.T) {
	w := newWorker(&program{})
	front := httptest.NewServer(w.front())
	defer front.Close()
	defer w.http.CloseIdleConnections()
	web := front.Client()
	get := func(path, accept string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		res, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	isAway := func(what string) {
		t.Helper()
		res, body := get("/api/v1/tables", "text/html")
		var answer struct{ Error client.Error }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error.Code != "not_ready" || res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: the API answers %d %s", what, res.StatusCode, body)
		}
		res, body = get("/sql", "text/html,*/*")
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !strings.Contains(body, "<h1>One moment</h1>") {
			t.Errorf("%s: a page answers %d %s", what, res.StatusCode, body)
		}
	}
	isAway("before it is there")
	old, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	fmt.Fprint(old, "GET /api/v1/tables HTTP/1.0\r\n\r\n")
	if answer, err := io.ReadAll(old); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 505 ") {
		t.Errorf("HTTP/1.0: %s, %v", answer, err)
	}
	// The second event is sent when the first was read: nothing is held back between.
	next := make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			fmt.Fprintf(to, "%s %s", r.Host, r.URL)
			return
		}
		to.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(to, "data: 1\n\n")
		to.(http.Flusher).Flush()
		<-next
		fmt.Fprint(to, "data: 2\n\n")
	}))
	at, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.target.Store(at)
	if _, body := get("/a%2Fb?c=d%20e", ""); body != strings.TrimPrefix(front.URL, "http://")+" /a%2Fb?c=d%20e" {
		t.Errorf("forwarded as %s", body)
	}
	res, err := web.Get(front.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(res.Body, first); err != nil {
		t.Fatal(err)
	}
	close(next)
	rest, err := io.ReadAll(res.Body)
	if err != nil || string(first)+string(rest) != "data: 1\n\ndata: 2\n\n" {
		t.Errorf("events %q %q, %v", first, rest, err)
	}
	res.Body.Close()
	behind.Close()
	isAway("after it ended")
}
