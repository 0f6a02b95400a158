package views

import (
	"net/http"
	"time"
)

// observed tells of each request that next answers.
func observed(tell func(route string, status int, took time.Duration), next http.Handler) http.Handler {
	if tell == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		sw := withStatus(w)
		defer func() { tell(r.Pattern, sw.status, time.Since(began)) }()
		next.ServeHTTP(sw, r)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool // something of the answer, which cannot become another one any more
}

// withStatus returns w as one.
func withStatus(w http.ResponseWriter) *statusWriter {
	if sw, ok := w.(*statusWriter); ok {
		return sw
	}
	return &statusWriter{ResponseWriter: w, status: http.StatusOK}
}

// WriteHeader notes the first status.
func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote && status >= http.StatusOK { // those below are not the answer yet
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] flush the writer inside and set its deadlines.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for who asks for an [http.Flusher].
func (w *statusWriter) Flush() { _ = w.FlushError() } // who cannot flush writes later

// FlushError is for [http.ResponseController].
func (w *statusWriter) FlushError() error {
	w.wrote = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}
