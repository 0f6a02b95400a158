package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// inProcess has a handler answer requests as if they had come over a connection. An answer is read while it is written; when its body is closed,
// the handler's next write fails.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	served.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	body, to := io.Pipe()
	a := &answer{header: http.Header{}, to: to, begun: make(chan struct{})}
	go a.take(p.handler, served) // ends with the answer, or with its reader
	select {
	case <-a.begun:
	case <-r.Context().Done():
		body.Close()
		return nil, context.Cause(r.Context())
	}
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, Body: body, ContentLength: -1, Request: r,
	}, nil
}

// answer is an [http.ResponseWriter] whose body goes through a pipe.
type answer struct {
	header http.Header
	to     *io.PipeWriter

	begun  chan struct{} // closed when what follows is there
	status int
	sent   http.Header
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.to.Write(b)
}

// Flush is for who asks for an [http.Flusher]; nothing is held back.
func (a *answer) Flush() { a.WriteHeader(http.StatusOK) }

// errBrokeOff says that there is only a part of an answer.
var errBrokeOff = errors.New("the answer broke off")

// take has the handler answer. One that panics with [http.ErrAbortHandler] breaks the answer off; what it panics with else is the server's
// to log, which has seen to it.
func (a *answer) take(h http.Handler, r *http.Request) {
	defer func() {
		if recover() == nil {
			a.WriteHeader(http.StatusOK)
			_ = a.to.Close() // who reads has all
			return
		}
		a.WriteHeader(http.StatusInternalServerError)
		_ = a.to.CloseWithError(errBrokeOff) // which who reads is told
	}()
	h.ServeHTTP(a, r)
}
