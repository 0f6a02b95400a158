package views

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/views/client"
)

// newClient returns a client of a server.
func newClient(t *testing.T, url string) *client.Client {
	c := client.New(url)
	c.HTTP = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.HTTP.CloseIdleConnections)
	return c
}

// copied is a program's copy of a table.
type copied struct {
	rows   map[string]string
	kinds  []client.ChangeKind // of all but rows
	id     string
	resets []string
}

func (c *copied) apply(t *testing.T, change client.Change) {
	t.Helper()
	switch change.Kind {
	case client.Snapshot:
		c.rows = map[string]string{}
	case client.Upsert:
		var row struct {
			Query *string `json:"query"`
			N     int64   `json:"n"`
		}
		if err := change.Row.Decode(&row); err != nil {
			t.Error(err)
		}
		if row.Query == nil {
			row.Query = new("NULL")
		}
		c.rows[change.Key] = fmt.Sprint(*row.Query, " ", row.N)
	case client.Delete:
		delete(c.rows, change.Key)
	case client.AsOf:
		c.id = change.ID
	case client.Reset:
		c.resets = append(c.resets, change.Reason)
	}
	if change.Kind != client.Upsert && change.Kind != client.Delete {
		c.kinds = append(c.kinds, change.Kind)
	}
}

func TestClientFollowsChanges(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	w := f.writer(t, "queries")
	w.add(asked("a"), asked("a"), `{}`)
	c := newClient(t, f.server(ServerConfig{Tokens: tokens(t, "read s3cret-s3cret-s3cret")}).URL)
	c.Token = "s3cret-s3cret-s3cret"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var got copied
	for change, err := range c.Changes(ctx, "queries", client.ChangesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		got.apply(t, change)
		if change.Kind == client.Snapshot && (len(change.Columns) != 3 || change.Columns[1].Name != "n" || change.Columns[1].Type != "bigint") {
			t.Errorf("columns %+v", change.Columns)
		}
		if change.Kind == client.AsOf {
			if change.AsOf["dns"][0] == 3 && len(got.kinds) == 2 {
				if change.EventTime == nil || change.Groups != 2 {
					t.Errorf("as of %+v", change)
				}
				w.add(asked("b"))
				w.delete("a")
			}
			if len(got.rows) == 2 && got.rows["b"] != "" {
				break
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"b": "b 1", `\N`: "NULL 1"}, got.rows); diff != "" {
		t.Error(diff)
	}

	// From where that was.
	w.add(asked("c"))
	for change, err := range c.Changes(ctx, "queries", client.ChangesOptions{From: got.id, Where: map[string]any{"query": "c"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Kind != client.Upsert || change.Key != "c" {
			t.Errorf("change %+v", change)
		}
		break
	}
	// From now on.
	for change, err := range c.Changes(ctx, "queries", client.ChangesOptions{NoSnapshot: true}) {
		if err != nil || change.Kind != client.AsOf || change.ID == "" {
			t.Errorf("%+v, %v", change, err)
		}
		break
	}
	cancel()
	for change, err := range c.Changes(ctx, "queries", client.ChangesOptions{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%+v, %v", change, err)
		}
	}
}

// TestClientGoesOnOverLostConnections, which end after any number of bytes.
func TestClientGoesOnOverLostConnections(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	w := f.writer(t, "queries")
	for i := range 20 {
		w.add(asked(fmt.Sprintf("q%d", i)))
	}
	handler := NewServer(ServerConfig{Views: f.Views})
	random := rand.New(rand.NewPCG(7, 7))
	var connections atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left := 200 + random.IntN(6000) // a client has one connection at a time
		if connections.Add(1) > 25 {
			left = 1 << 30
		}
		handler.ServeHTTP(&cutOff{w, left}, r)
	}))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	var got copied
	batch := 0
	for change, err := range c.Changes(ctx, "queries", client.ChangesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		got.apply(t, change)
		if change.Kind != client.AsOf {
			continue
		}
		if int64(change.AsOf["dns"][0]) == w.progress.Upto {
			want := map[string]string{}
			for key, state := range w.rows.All() {
				row, err := w.table.Row(key, state, nil)
				if err != nil {
					t.Fatal(err)
				}
				want[row[0].String()] = fmt.Sprint(row[0], " ", row[1])
			}
			if diff := cmp.Diff(want, got.rows); diff != "" {
				t.Fatalf("after batch %d: %s", batch, diff)
			}
			if connections.Load() > 25 {
				break
			}
			batch++
			for i := range 3 {
				w.add(asked(fmt.Sprintf("q%d", (batch+i)%30)), asked(fmt.Sprintf("q%d", batch%7)))
				w.delete(fmt.Sprintf("q%d", (batch*5+i)%30))
			}
			w.add(asked("end"))
		}
	}
	if len(got.resets) > 0 || batch < 5 {
		t.Errorf("%d batches, reset because %v", batch, got.resets)
	}
}

// cutOff is a connection that is lost after some bytes.
type cutOff struct {
	http.ResponseWriter
	left int
}

func (c *cutOff) Write(b []byte) (int, error) {
	if c.left -= len(b); c.left < 0 {
		_, _ = c.ResponseWriter.Write(b[:len(b)+c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(b)
}

func (c *cutOff) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// TestClientGoesOnAtAServerThatComesBack on its port: the changes are still kept when it is the same program, else it begins anew.
func TestClientGoesOnAtAServerThatComesBack(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	w := f.writer(t, "queries")
	w.add(asked("a"))
	addr := "127.0.0.1:0"
	serve := func(f *fixture) (stop func()) {
		l, err := Listen(ListenConfig{Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- Serve(ctx, l, NewServer(ServerConfig{Views: f.Views}), nil) }() // awaited by stop
		return func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	}
	stop := serve(f)
	defer func() { stop() }()
	c := newClient(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got copied
	asOfs := 0
	for change, err := range c.Changes(ctx, "queries", client.ChangesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		got.apply(t, change)
		if change.Kind != client.AsOf {
			continue
		}
		switch asOfs++; {
		case asOfs == 1:
			stop()
			w.add(asked("b"))
			stop = serve(f)
		case got.rows["b"] != "" && len(got.resets) == 0:
			if diff := cmp.Diff([]client.ChangeKind{client.Snapshot}, got.kinds[:1]); diff != "" {
				t.Error(diff)
			}
			stop()
			f = newFixture(t, Limits{}, queries)
			f.writer(t, "queries").add(asked("c"))
			h := *f.view("queries").held.Load()
			h.life = "another"
			f.view("queries").hold(h)
			stop = serve(f)
		}
		if got.rows["c"] != "" {
			break
		}
	}
	if diff := cmp.Diff(map[string]string{"c": "c 1"}, got.rows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"another_life"}, got.resets); diff != "" {
		t.Error(diff)
	}
}

func TestClientSaysWhatCannotBeFollowed(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	url := f.server(ServerConfig{}).URL
	answer := func(kind, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	for _, test := range []struct{ name, url, table, want string }{
		{"no table", url, "query", "no table query; the tables are queries"},
		{"no server", nobody, "queries", "connection refused"},
		{"another server", answer("text/html", "<html>"), "queries", `answers with "text/html": this is no stream of changes`},
		{"no JSON", answer("text/event-stream", "event: upsert\ndata: {\"key\":\n\n"), "queries", "event upsert of the server: this is no stream of changes: unexpected end"},
		{"a row that is none", answer("text/event-stream", "event: snapshot\ndata: {}\n\nevent: upsert\ndata: {\"key\":\"a\",\"row\":[1]}\n\n"), "queries", "event upsert of the server"},
		{"rows that are none", answer("text/event-stream", "event: rows\ndata: {}\n\n"), "queries", "event rows of the server"},
		{"no URL", "ftp://x", "queries", "is not http://host:port"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for _, err := range newClient(t, test.url).Changes(ctx, test.table, client.ChangesOptions{}) {
				if err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %s", err, test.want)
				}
			}
		})
	}
}

// TestClientNoticesSilence of a server that is still connected.
func TestClientNoticesSilence(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	handler := NewServer(ServerConfig{Views: f.Views})
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			<-r.Context().Done()
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, err := range newClient(t, server.URL).Changes(ctx, "queries", client.ChangesOptions{Silence: 20 * time.Millisecond}) {
		if err != nil {
			t.Fatal(err)
		}
		if asked.Load() >= 4 {
			break
		}
	}
}

// TestClientWaitsForWhatPasses: a table that is being restored is asked for again.
func TestClientWaitsForWhatPasses(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	f.writer(t, "queries").add(asked("a"))
	handler := NewServer(ServerConfig{Views: f.Views})
	ready := *f.view("queries").held.Load()
	f.view("queries").hold(held{state: "is being restored"})
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%2 == 0 {
			f.view("queries").hold(ready)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)
	if rows, err := c.Rows(t.Context(), "queries", client.RowsOptions{}); err != nil || rows.Len() != 1 || requests.Load() != 2 {
		t.Errorf("%v, %v after %d requests", rows, err, requests.Load())
	}
	f.view("queries").hold(held{state: "is being restored"})
	for change, err := range c.Changes(t.Context(), "queries", client.ChangesOptions{}) {
		if err != nil || change.Kind != client.Snapshot || requests.Load() != 4 {
			t.Errorf("%v, %v after %d requests", change, err, requests.Load())
		}
		break
	}
	var e *client.Error
	f.view("queries").hold(held{state: "is being restored"})
	c = newClient(t, server.URL)
	c.NoRetry = true
	if _, err := c.Rows(t.Context(), "queries", client.RowsOptions{}); !errors.As(err, &e) || e.Code != "not_ready" {
		t.Errorf("without trying again: %v", err)
	}
}
