package views

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func tokens(t *testing.T, text string) *Tokens {
	t.Helper()
	all, err := NewTokens(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const (
	readToken  = "reader-0123456789"
	adminToken = "admin-0123456789"
)

func TestRoles(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	numbers := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	all := tokens(t, "# people\nread  "+readToken+"\r\n\n admin\t"+adminToken)
	url := f.server(ServerConfig{Metrics: numbers, Tokens: all}).URL
	for _, test := range []struct {
		path, token string
		status      int
	}{
		{"/api/v1/tables", "", 401}, {"/api/v1/tables", readToken, 200}, {"/api/v1/tables", adminToken, 200},
		{"/metrics", "", 401}, {"/metrics", readToken, 403}, {"/metrics", adminToken, 200}, {"//metrics", readToken, 403},
		{"/%6detrics", readToken, 403}, {"/api/../metrics", readToken, 403}, {"/debug/pprof/", readToken, 403}, {"/debug/pprof/", adminToken, 404},
		{"/health", readToken, 403}, {"/%68ealth", readToken, 403}, {"//topology", readToken, 403}, {"/topology", adminToken, 404}, {"/healthz", "", 200}, {"/api/v1/tables", readToken + "x", 401}, {"/api/v1/tables", "", 401},
	} {
		if r := get(t, url+test.path, "Authorization", "Bearer "+test.token); r.status != test.status {
			t.Errorf("%s with %q: %d, want %d: %s", test.path, test.token, r.status, test.status, r.body)
		}
	}
	const forbidden = "Forbidden forbidden: /metrics is for operators; use a token whose role is admin"
	if got := get(t, url+"/metrics", "Authorization", "Bearer "+readToken).apiErr(t); got != forbidden {
		t.Error(got)
	}
}

func TestTokenFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		// As a new file, which is how editors and secrets of Kubernetes do it: so it changes also within one tick of the clock.
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file+".new", mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		text string
		mode os.FileMode
		want string // the end of the error
	}{
		{"read " + readToken, 0o640, ""},
		{"read " + readToken, 0o644, "its mode is 0644, so that others can read or write it; chmod 600 mends that"},
		{"read " + readToken, 0o620, "its mode is 0620, so that others can read or write it; chmod 600 mends that"},
		{"", 0o600, "there is no token; write one a line: read TOKEN"},
		{"# nobody\n" + readToken, 0o600, "line 2: want a role, which is read or admin, and a token"},
		{"root " + readToken, 0o600, "line 1: want a role, which is read or admin, and a token"},
		{"read 0123456789abcde", 0o600, "line 1: the token has less than 16 characters; openssl rand -hex 32 makes one"},
	} {
		write(test.text, test.mode)
		_, err := ReadTokens(file)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%q, %o: %v", test.text, test.mode, err)
		case test.want != "" && (err == nil || err.Error() != file+": "+test.want):
			t.Errorf("%q, %o: %v", test.text, test.mode, err)
		case err != nil && strings.Contains(err.Error(), readToken):
			t.Errorf("the error says the token: %v", err)
		}
	}
	if _, err := ReadTokens(file + "s"); err == nil {
		t.Error("no file, no error")
	}
}

// lines is a log that says when it has a line more.
type lines struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	l.wrote <- struct{}{}
	return len(b), nil
}

func TestTokensAreReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("read " + readToken)
	all, err := ReadTokens(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log, hup, ended := &lines{wrote: make(chan struct{}, 10)}, make(chan os.Signal), make(chan struct{})
	go func() {
		defer close(ended)
		all.Run(ctx, hup, slog.New(slog.NewTextHandler(log, nil)))
	}()
	write("read")
	hup <- os.Interrupt
	<-log.wrote
	if all.Role(readToken) != ReadRole {
		t.Error("a file with a fault took the tokens away")
	}
	write("admin " + adminToken + "\nadmin " + readToken) // nobody says so
	for all.Role(readToken) != AdminRole {
		<-log.wrote
	}
	if all.Role(adminToken) != AdminRole || all.Role("") != NoRole {
		t.Error("the file was read by half")
	}
	cancel()
	<-ended
	if text := log.text.String(); strings.Contains(text, readToken) || !strings.Contains(text, "tokens stay as they were") {
		t.Error(text)
	}
}
