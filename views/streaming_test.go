package views

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hooked calls hook before each write of an answer's body.
func hooked(h http.Handler, hook func(n int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&hookedWriter{ResponseWriter: w, hook: hook}, r)
	})
}

type hookedWriter struct {
	http.ResponseWriter
	n    int
	hook func(n int)
}

func (w *hookedWriter) Write(b []byte) (int, error) {
	w.hook(w.n)
	w.n++
	return w.ResponseWriter.Write(b)
}

func (w *hookedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (f *fixture) hookedServer(hook func(n int)) string {
	s := httptest.NewServer(hooked(NewServer(ServerConfig{Views: f.Views}), hook))
	f.t.Cleanup(s.Close)
	return s.URL
}

// TestLargeAnswersTakeNoMemory: rows that would be 20 MB are sent within a few.
func TestLargeAnswersTakeNoMemory(t *testing.T) {
	const rows, most = 100_000, 4 << 20
	f := newFixture(t, Limits{}, dnsCounts)
	f.fill(rows)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, test := range []struct {
		format string
		want   func(body io.Reader) int // rows
	}{
		{"csv", func(r io.Reader) int { return count(r, '\n') - 1 }},
		{"ndjson", func(r io.Reader) int { return count(r, '\n') }},
		{"json", func(r io.Reader) int { return count(r, '[') - 2 }}, // those of columns and rows
		{"arrow", nil},
	} {
		before, peak := heap(), uint64(0)
		url := f.hookedServer(func(n int) {
			if n%40 == 20 {
				peak = max(peak, heap())
			}
		})
		res, err := http.Get(url + rowsPath + "?format=" + test.format)
		if err != nil {
			t.Fatal(err)
		}
		if test.want == nil {
			_, err = io.Copy(io.Discard, res.Body)
		} else if got := test.want(res.Body); got != rows {
			t.Errorf("%s: %d rows", test.format, got)
		}
		res.Body.Close()
		if err != nil {
			t.Error(err)
		}
		if test.format != "json" && res.Trailer.Get("Brotally-Rows") != fmt.Sprint(rows) {
			t.Errorf("%s: trailers %v", test.format, res.Trailer)
		}
		if peak == 0 || peak > before+most {
			t.Errorf("%s: %d bytes before, %d at most", test.format, before, peak)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func count(r io.Reader, what byte) (n int) {
	b := make([]byte, 32<<10)
	for {
		got, err := r.Read(b)
		n += strings.Count(string(b[:got]), string(what))
		if err != nil {
			return n
		}
	}
}

// TestNothingIsLockedWhileRowsAreSent: the table goes on, others read, and have the turns.
func TestNothingIsLockedWhileRowsAreSent(t *testing.T) {
	f := newFixture(t, Limits{Queries: 1, Wait: time.Millisecond}, dnsCounts)
	f.fill(50_000)
	view, wrote := f.view("dns_counts"), 0
	url := f.hookedServer(func(int) {
		wrote++
		f.add(`{"id.orig_h":"10.0.0.0","qtype_name":"A"}`)
		turn, err := view.gate.enter(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		turn.leave()
	})
	var a struct {
		Rows [][]any
		Meta struct{ Rows int }
	}
	if err := json.Unmarshal([]byte(get(t, url+rowsPath).body), &a); err != nil || len(a.Rows) != 50_000 || a.Meta.Rows != 50_000 {
		t.Errorf("%d rows, meta says %d, %v", len(a.Rows), a.Meta.Rows, err)
	}
	if wrote < 5 {
		t.Errorf("%d writes", wrote)
	}
	if n := f.Scanning(); n != 0 {
		t.Errorf("%d turns are not given back", n)
	}
}

func TestAnAnswerThatIsCutOffDoesNotLookWhole(t *testing.T) {
	for _, format := range []string{"json", "ndjson", "csv", "tsv", "zeek", "arrow"} {
		for _, encoding := range []string{"identity", "gzip"} {
			f := newFixture(t, Limits{}, dnsCounts)
			f.fill(20_000)
			view := f.view("dns_counts")
			var once atomic.Bool
			url := f.hookedServer(func(int) {
				if !once.Swap(true) {
					view.hold(held{state: "is rebuilt"})
				}
			})
			req, err := http.NewRequest("GET", url+rowsPath+"?format="+format, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept-Encoding", encoding)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				continue // nothing of it came
			}
			body := io.Reader(res.Body)
			if encoding == "gzip" {
				if body, err = gzip.NewReader(res.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatal(err)
				}
			}
			if err == nil {
				_, err = io.Copy(io.Discard, body)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %s: %v", format, encoding, err)
			}
			res.Body.Close()
			if f.Scanning() != 0 {
				t.Errorf("%s: a turn is not given back", format)
			}
		}
	}
}

// TestHTTP10IsAnsweredAsAWhole: where the end of the connection is that of the answer, nothing is sent that may break off.
func TestHTTP10IsAnsweredAsAWhole(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.fill(20_000)
	view := f.view("dns_counts")
	addr := strings.TrimPrefix(f.hookedServer(func(int) { view.hold(held{state: "is rebuilt"}) }), "http://")
	ready := *view.held.Load()
	for _, encoding := range []string{"identity", "gzip"} {
		view.hold(ready)
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s?format=ndjson HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: %s\r\n\r\n", rowsPath, encoding)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body := io.Reader(res.Body)
		if encoding == "gzip" {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		} else if res.ContentLength <= 0 {
			t.Errorf("%s: the length is not said: %v", encoding, res.Header)
		}
		if got := count(body, '\n'); got != 20_000 || res.Header.Get("Brotally-Rows") != "20000" {
			t.Errorf("%s: %d rows, %v", encoding, got, res.Header)
		}
	}
}

func TestAClientThatLeavesEndsTheLookup(t *testing.T) {
	f := newFixture(t, Limits{Queries: 1}, dnsCounts)
	f.fill(100_000)
	done := make(chan struct{})
	h := NewServer(ServerConfig{Views: f.Views})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	res, err := http.Get(s.URL + rowsPath)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-done
	if f.Scanning() != 0 {
		t.Error("a turn is not given back")
	}
}

func TestHeadOfALargeAnswer(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.fill(50_000)
	url := f.server(ServerConfig{}).URL + rowsPath
	r, want := do(t, "HEAD", url+"?format=csv", ""), get(t, url+"?format=csv")
	for _, name := range []string{"Content-Type", "ETag", "Brotally-As-Of", "Vary", "Content-Disposition"} {
		if r.header.Get(name) == "" || r.header.Get(name) != want.header.Get(name) {
			t.Errorf("%s: %q, with GET %q", name, r.header.Get(name), want.header.Get(name))
		}
	}
	if r.status != http.StatusOK || r.body != "" {
		t.Errorf("%d %q", r.status, r.body)
	}
}

func TestLimitAndOffsetOfWhatIsSentAsItIsRead(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.fill(3000)
	url := f.server(ServerConfig{}).URL + "/api/v1/query?format=ndjson"
	for text, want := range map[string]int{
		"SELECT count FROM dns_counts LIMIT 2500 OFFSET 100":                   2500,
		"SELECT count FROM dns_counts LIMIT 2500 OFFSET 2900":                  100,
		"SELECT count FROM dns_counts LIMIT 0":                                 0,
		"SELECT count FROM dns_counts WHERE qtype_name = 'A' OFFSET 1":         2999,
		"SELECT DISTINCT qtype_name FROM dns_counts":                           1,
		"SELECT qtype_name, count(*) FROM dns_counts GROUP BY 1":               1,
		"SELECT count FROM dns_counts WHERE qtype_name = 'A' ORDER BY 1":       3000,
		"SELECT count FROM dns_counts WHERE qtype_name = 'AAAA' AND count < 0": 0,
	} {
		r := do(t, "POST", url, fmt.Sprintf(`{"sql":%q}`, text), "Content-Type", "application/json")
		if got := strings.Count(r.body, "\n"); got != want || r.status != http.StatusOK || r.header.Get("Brotally-Rows") != fmt.Sprint(want) && want > 0 {
			t.Errorf("%s: %d rows, want %d; %d, Brotally-Rows %s", text, got, want, r.status, r.header.Get("Brotally-Rows"))
		}
	}
}
