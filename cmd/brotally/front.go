package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

// front forwards requests to the worker, streams included, and says so while it is away.
func (w *worker) front() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if at := w.target.Load(); at != nil {
				r.SetURL(at)
			}
			r.Out.Host = r.In.Host // the worker knows its own name and whose page asks
		},
		Transport:     w.http.Transport,
		FlushInterval: -1, // an event is passed on when it comes
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(to http.ResponseWriter, r *http.Request, _ error) { away(to, r) },
	}
	return http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		switch {
		case !r.ProtoAtLeast(1, 1): // the end of an answer that breaks off would look like the end of a whole one
			http.Error(to, "HTTP/1.1, please", http.StatusHTTPVersionNotSupported)
			return
		case w.target.Load() == nil:
			away(to, r)
			return
		}
		// How long it may take in all is the worker's to say.
		c := http.NewResponseController(to)
		until := time.Time{}
		if r.ContentLength != 0 {
			until = time.Now().Add(stalled)
		}
		_ = c.SetReadDeadline(until)
		proxy.ServeHTTP(renewing{to, c}, r)
	})
}

// stalled is how long a client of the front may take to send its request, or to take in a piece of its answer.
const stalled = time.Minute

// renewing gives the client time for each piece of an answer, however many there are.
type renewing struct {
	http.ResponseWriter
	deadlines *http.ResponseController
}

func (w renewing) Write(b []byte) (int, error) {
	_ = w.deadlines.SetWriteDeadline(time.Now().Add(stalled))
	return w.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (w renewing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// awayPage is what a browser shows meanwhile; it asks again by itself.
const awayPage = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta http-equiv="refresh" content="1">
  <title>Brotally is being started</title>
</head>
<body>
  <main>
    <h1>One moment</h1>
    <p>The processors are being started. The page comes by itself; <a href="/try">Try it</a> says how far they are.</p>
  </main>
</body>
</html>
`

// away answers for a worker that is not there.
func away(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Retry-After", "1")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	isPage := strings.Contains(r.Header.Get("Accept"), "text/html")
	if strings.HasPrefix(r.URL.Path, "/api/") || !isPage {
		body, err := json.Marshal(map[string]any{"error": map[string]string{
			"code": "not_ready", "message": errAway.Error(), "hint": "try again in a moment"}})
		if err != nil {
			panic(fmt.Sprintf("an answer: %v", err)) // texts always marshal
		}
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write(append(body, '\n'))
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, awayPage)
}
