// Package tryit is the demo's page to try things on: scenes that are switched on and off, a kill of the processors, and beside them what was
// sent and what the tables have.
//
//	mux.Handle("/try", h)  // h := tryit.Handler(tryit.Config{State: .., Do: .., Done: ctx.Done()})
//	mux.Handle("/try/", h)
//
// It is a page with forms, which works without script, in the frame of the other pages. try.js sends the forms, too, and shows what
// /try/events says.
//
//	GET  /try              the page
//	GET  /try/state.json   State
//	GET  /try/events       State as server-sent events, each time that it is another
//	GET  /try/try.js
//	POST /try/NAME         do=on, do=off: switches the scene of that name; POST /try/kill kills the processors
//
// Who mounts it guards it against foreign hosts and origins.
package tryit

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/web"
)

// State is what the page shows.
type State struct {
	Scenes []Scene `json:"scenes"`
	Tables []Table `json:"tables"`

	// Exact says that no table has anything but the records that it has read, each once: see Table.
	Exact bool `json:"exact"`
	// Away says that the processors are not there: Tables are as they were last.
	Away bool `json:"away"`

	Kills []Kill `json:"kills"` // the last one first
}

// Scene is something that can be switched.
type Scene struct {
	Name string `json:"name"`
	Doc  string `json:"doc"` // what it does, on one line
	On   bool   `json:"on"`
}

// Table is a table beside what was sent to its feed. All are numbers of records, but for BehindMS.
type Table struct {
	Name string `json:"name"`
	Feed string `json:"feed"`

	Sent    int64 `json:"sent"`       // acknowledged by the broker, before the table was asked
	Upto    int64 `json:"upto"`       // how many of the topic's records are below the offsets that the table reflects
	Way     int64 `json:"on_the_way"` // sent and not reflected yet
	Read    int64 `json:"read"`
	Counted int64 `json:"counted"`
	Letters int64 `json:"dead_lettered"`
	Other   int64 `json:"left_out"` // by WHERE, or for want of a time
	Rows    int64 `json:"in_rows"`  // the sum of the rows' counts

	// Difference is how far the table is from what it has to be, in records: 0 is exact. It is the largest of |Upto - Read|,
	// |Read - Counted - Letters - Other| and |Counted - Rows|, the smallest of five seconds of looks: one that passes is of a
	// commit that some partitions have and others do not yet.
	Difference int64 `json:"difference"`
	// Largest is the largest Difference since the demo began.
	Largest int64 `json:"largest_difference"`

	BehindMS        int64 `json:"behind_ms"`         // how old the oldest record on the way is
	LargestBehindMS int64 `json:"largest_behind_ms"` // since the demo began
}

// Kill is what became of one kill. Numbers are milliseconds after it; 0: not yet.
type Kill struct {
	At      time.Time `json:"at"`
	BackMS  int64     `json:"back_ms"`  // the processors answered again
	ExactMS int64     `json:"exact_ms"` // every table had all that had been sent until the kill, and was exact
}

// Config says what the page is about.
type Config struct {
	// State returns what is to be shown.
	State func(ctx context.Context) (*State, error)

	// Switch switches a scene; the error is [ErrUnknown] if there is none of that name.
	Switch func(ctx context.Context, name string, on bool) error

	// Kill kills the processors. That they are away already is an error.
	Kill func(ctx context.Context) error

	// Done is closed when events are to end.
	Done <-chan struct{}
}

// ErrUnknown says that there is no such scene.
var ErrUnknown = errors.New("no such scene")

const every = 250 * time.Millisecond // between looks at the state, for events

//go:embed try.html
var pageText string

//go:embed try.js
var script []byte

var page = template.Must(template.New("try").Funcs(template.FuncMap{"n": thousands}).Parse(pageText))

type handler struct{ Config }

// Handler returns the page.
func Handler(c Config) http.Handler {
	h := handler{c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /try", h.page)
	mux.HandleFunc("GET /try/state.json", h.state)
	mux.HandleFunc("GET /try/events", h.events)
	mux.HandleFunc("GET /try/try.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(script)
	})
	mux.HandleFunc("POST /try/{name}", h.do)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Headers(w.Header())
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

func (h handler) page(w http.ResponseWriter, r *http.Request) {
	s, err := h.State(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	var b bytes.Buffer
	if err := page.Execute(&b, s); err != nil {
		fail(w, err)
		return
	}
	web.Frame{Title: "Try it", Script: "/try/try.js", Main: template.HTML(b.String())}.Render(w, r) // html/template made it
}

func (h handler) state(w http.ResponseWriter, r *http.Request) {
	b, err := h.json(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}

func (h handler) json(ctx context.Context) ([]byte, error) {
	s, err := h.State(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// events sends the state each time that it is another, until the client goes or Done is closed.
func (h handler) events(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last []byte
	for {
		b, err := h.json(r.Context())
		if err != nil {
			return
		}
		if !bytes.Equal(b, last) {
			_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
			if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
				return
			}
			if c.Flush() != nil {
				return
			}
			last = b
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-h.Done:
			return
		}
	}
}

// do answers a form: with a redirect back to the page, or with nothing for try.js.
func (h handler) do(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	name, what := r.PathValue("name"), r.PostFormValue("do")
	var err error
	switch {
	case name == "kill":
		err = h.Kill(r.Context())
	case what == "on" || what == "off":
		err = h.Switch(r.Context(), name, what == "on")
	default:
		http.Error(w, "want do=on or do=off", http.StatusBadRequest)
		return
	}
	switch {
	case errors.Is(err, ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		fail(w, err)
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		http.Redirect(w, r, "/try", http.StatusSeeOther)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// fail says what goes by itself, or that the demo ends.
func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
