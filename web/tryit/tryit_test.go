package tryit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/web/tryit"
)

// demo stands in for what the page is about.
type demo struct {
	state tryit.State
	done  []string
	err   error
}

func (d *demo) handler(done <-chan struct{}) http.Handler {
	return tryit.Handler(tryit.Config{
		State: func(context.Context) (*tryit.State, error) { return &d.state, d.err },
		Switch: func(_ context.Context, name string, on bool) error {
			if name != "scan" {
				return fmt.Errorf("%w: %s", tryit.ErrUnknown, name)
			}
			d.done = append(d.done, fmt.Sprint(name, on))
			return nil
		},
		Kill: func(context.Context) error { d.done = append(d.done, "kill"); return d.err },
		Done: done,
	})
}

func (d *demo) ask(method, path, body, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	d.handler(nil).ServeHTTP(w, r)
	return w
}

func newDemo() *demo {
	return &demo{state: tryit.State{
		Scenes: []tryit.Scene{{Name: "scan", Doc: `tries <ports> & "more"`, On: true}, {Name: "flood"}},
		Tables: []tryit.Table{{Name: "dns_counts", Feed: "dns", Sent: 1234567, Way: 3, Difference: 17}},
		Kills:  []tryit.Kill{{At: time.Unix(0, 0), BackMS: 431}},
	}}
}

func TestPageHasFormsAndFigures(t *testing.T) {
	w := newDemo().ask("GET", "/try", "", "text/html")
	for _, want := range []string{
		`<form method="post" action="/try/scan"><button name="do" value="off">Stop</button></form>`,
		`<form method="post" action="/try/flood"><button name="do" value="on">Start</button></form>`,
		`tries &lt;ports&gt; &amp; &#34;more&#34;`, `<td class="number" data-field="sent">1,234,567</td>`, `<td class="number" data-field="difference">17</td>`,
		`<dd data-field="exact">no</dd>`, `<td>00:00:00 UTC</td><td class="number">431</td><td class="number">–</td>`, `<a href="/sql">SQL</a>`,
		`<a href="/try" aria-current="page">Try it</a>`, `<script type="module" src="/try/try.js">`, `id="theme"`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if strings.Contains(w.Body.String(), "<script>") || strings.Contains(w.Body.String(), "style=") {
		t.Error("the page has inline script or style")
	}
}

func TestForms(t *testing.T) {
	for _, test := range []struct {
		name, method, path, body, accept string
		status                           int
		done                             string
	}{
		{"a form without script", "POST", "/try/scan", "do=off", "text/html,*/*", 303, "scanfalse"},
		{"a form with script", "POST", "/try/scan", "do=on", "*/*", 204, "scantrue"},
		{"a kill", "POST", "/try/kill", "do=kill", "text/html", 303, "kill"},
		{"no such scene", "POST", "/try/party", "do=on", "", 404, ""},
		{"nothing to do", "POST", "/try/scan", "", "", 400, ""},
		{"by a link", "GET", "/try/kill", "", "text/html", 405, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDemo()
			w := d.ask(test.method, test.path, test.body, test.accept)
			if got := strings.Join(d.done, " "); w.Code != test.status || got != test.done {
				t.Errorf("status %d, done %q; want %d, %q", w.Code, got, test.status, test.done)
			}
			if w.Code == 303 && w.Header().Get("Location") != "/try" {
				t.Errorf("redirected to %s", w.Header().Get("Location"))
			}
		})
	}
}

func TestEnding(t *testing.T) {
	d := newDemo()
	d.err = errors.New("the demo is ending")
	for _, path := range []string{"/try", "/try/state.json"} {
		if w := d.ask("GET", path, "", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

func TestEventsEndWithTheDemo(t *testing.T) {
	d, done := newDemo(), make(chan struct{})
	server := httptest.NewServer(d.handler(done))
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/try/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	close(done)
	body, err := io.ReadAll(res.Body)
	data, ok := strings.CutPrefix(string(body), "data: ")
	var s tryit.State
	if err != nil || !ok || json.Unmarshal([]byte(data), &s) != nil || s.Tables[0].Sent != 1234567 {
		t.Errorf("%q, %v", body, err)
	}
}
