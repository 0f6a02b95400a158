package views

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ServerConfig says what a server shows, and to whom.
type ServerConfig struct {
	Views *Views

	// Page makes what answers all that is not the API: the web page. It is given the API, to be asked without a token: who got as far as
	// the page has shown one. If it is a [Refuser] too, it says to browsers what is not for them. Defaults to nothing.
	Page func(api http.Handler) http.Handler

	// Tokens, if set, are what has to come with every request but /healthz and /readyz: one of them as "Authorization: Bearer
	// TOKEN", or as the password of any user, which is what browsers ask for. /metrics is for those of operators.
	Tokens *Tokens

	// Hosts are further names that the server goes by, with or without port. Where it is reached over loopback it answers
	// to localhost, loopback addresses and these only: else a page of a stranger could read the tables through the
	// browser, under a name of its own that it points at 127.0.0.1.
	Hosts []string

	// Metrics answers /metrics. Defaults to nothing.
	Metrics http.Handler

	// Observe is told of each request that was answered: the route that it took, such as "/api/v1/tables/{table}/rows", "" for
	// one that was refused before, the status and how long that took. Optional.
	Observe func(route string, status int, took time.Duration)

	// Heartbeat is after how long without anything to say those who listen to changes are sent a comment, so that nobody between takes
	// the connection for dead. Defaults to 15 seconds.
	Heartbeat time.Duration

	// Log takes what goes wrong inside. Defaults to discarding.
	Log *slog.Logger
}

const (
	maxBody = 1 << 20  // bytes of a request's body
	maxURI  = 32 << 10 // bytes of its address
)

// Refuser says on a page why a request is refused; message and hint are on one line each.
type Refuser interface {
	Refuse(w http.ResponseWriter, r *http.Request, status int, message, hint string)
}

type server struct {
	views     *Views
	tokens    *Tokens // nil: none are wanted
	refuse    Refuser // nil: errors are JSON for all
	log       *slog.Logger
	heartbeat time.Duration
}

// NewServer returns the handler of the API under /api/v1, of its description, of /healthz, /readyz and /metrics, and of the page:
//
//	GET  /api/v1/tables              the tables
//	GET  /api/v1/tables/{t}          one of them: columns, topics, progress
//	GET  /api/v1/tables/{t}/rows     its rows: ?COLUMN=value&COLUMN.gte=value&order=-count,qtype_name&limit=20&after=TOKEN
//	GET  /api/v1/tables/{t}/changes  its rows and then their changes, as server-sent events: ?COLUMN=value&snapshot=false
//	POST /api/v1/query               {"sql": "SELECT ..", "params": [..]}
//	GET  /openapi.json               all of it, for programs
//
// Rows come as json, ndjson, csv, tsv, zeek or arrow, by Accept or ?format=. Both ways to rows take ?min_offset= and ?stale=true.
// Errors are {"error": {"code": .., "message": .., "hint": ..}}. An answer that breaks off panics with [http.ErrAbortHandler], so that
// the connection is cut.
func NewServer(c ServerConfig) http.Handler {
	s := &server{views: c.Views, tokens: c.Tokens, log: c.Log, heartbeat: c.Heartbeat}
	if s.heartbeat <= 0 {
		s.heartbeat = heartbeat
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	api := http.NewServeMux()
	api.Handle("/api/v1/tables", compressed(s.handle(s.tables, http.MethodGet)))
	api.Handle("/api/v1/tables/{table}", compressed(s.handle(s.table, http.MethodGet)))
	api.Handle("/api/v1/tables/{table}/rows", compressed(s.handle(s.rows, http.MethodGet)))
	api.Handle("/api/v1/tables/{table}/changes", s.handle(s.changes, http.MethodGet))
	api.Handle("/api/v1/query", compressed(s.handle(s.query, http.MethodPost)))
	api.Handle("/api/", s.handle(s.nothing))
	api.Handle("/openapi.json", compressed(s.handle(s.openAPI, http.MethodGet)))
	api.Handle("/healthz", s.handle(s.healthz, http.MethodGet))
	api.Handle("/readyz", s.handle(s.readyz, http.MethodGet))
	if c.Metrics != nil {
		api.Handle("/metrics", s.handle(func(w http.ResponseWriter, r *http.Request) error { c.Metrics.ServeHTTP(w, r); return nil }, http.MethodGet))
	}
	if c.Page != nil {
		page := c.Page(s.caught(api))
		s.refuse, _ = page.(Refuser)
		api.Handle("/", page)
	} else {
		api.Handle("/", s.handle(s.nothing))
	}
	return observed(c.Observe, s.guard(c, api))
}

// Guard lets through to h what a server with that configuration would answer: from its hosts, with its tokens.
func Guard(c ServerConfig, h http.Handler) http.Handler {
	s := &server{log: c.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s.guard(c, h)
}

// handler answers a request; an error that it returns is the answer.
type handler func(w http.ResponseWriter, r *http.Request) error

// handle makes an http.Handler for the given methods, all if none is given. HEAD is answered as GET.
func (s *server) handle(h handler, methods ...string) http.Handler {
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Cache-Control"] = noStore
		if len(methods) > 0 && !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			s.fail(w, r, &apiError{status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
				Message: r.URL.Path + " does not take " + r.Method, Hint: "use " + methods[0]})
			return
		}
		if r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		if err := h(w, r); err != nil {
			w.Header().Del("ETag")
			w.Header()["Cache-Control"] = noStore
			s.fail(w, r, err)
		}
	})
}

func (s *server) nothing(_ http.ResponseWriter, r *http.Request) error {
	return &apiError{status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at " + r.URL.Path, Hint: "see /api/v1/tables"}
}

// view returns the view that a request's path names.
func (s *server) view(r *http.Request) (*View, error) {
	name := r.PathValue("table")
	if view, ok := s.views.Named(name); ok {
		return view, nil
	}
	return nil, s.views.shown.Load().unknown(name)
}

// Times of the HTTP server: a client that sends or reads slowly is let go.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute
	idleTimeout       = 2 * time.Minute
	shutdownPatience  = 3 * time.Second
	maxHeaderBytes    = 64 << 10
)
