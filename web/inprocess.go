package web

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
)

// inProcess has a handler answer requests as if they had come over a connection. Answers are held whole.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	served.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	a := &answer{header: http.Header{}, status: http.StatusOK}
	if err := a.take(p.handler, served); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}, nil
}

// answer is an [http.ResponseWriter] that keeps what it is given.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answer) WriteHeader(status int)      { a.status = status }

// take has the handler answer. One that breaks off in the middle panics with [http.ErrAbortHandler].
func (a *answer) take(h http.Handler, r *http.Request) (err error) {
	defer func() {
		if broke := recover(); broke == http.ErrAbortHandler { //nolint:errorlint // it is that very value
			err = io.ErrUnexpectedEOF
		} else if broke != nil {
			panic(broke)
		}
	}()
	h.ServeHTTP(a, r)
	return nil
}
