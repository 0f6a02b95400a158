// Package web is what a person sees: the tables, one of them live, SQL, and what the program is doing, as pages that the server
// renders over its own HTTP API.
//
//	site := web.New(web.Config{API: api, Brokers: []string{"127.0.0.1:9092"}})
//	go site.Run(ctx) // remembers rates, so that a page that opens has some
//	mux.Handle("/", site)
//
// Every page is whole without a script: links sort, filter and turn pages. With scripts, those of assets/, a page keeps itself up to
// date: it asks its own address for text/event-stream and is sent its main part whenever that is another one, see live.go.
// There is no build step, no other origin, no inline script or style.
//
// What the pages show was written by whoever sent packets past the sensor. It gets into them through html/template, which escapes by
// context, and through [printable], which writes out what does not show itself; the content security policy has
// the browser refuse everything else.
package web

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brotally/brotally/views/client"
)

// Config is what the pages are made of.
type Config struct {
	// API answers /api/v1, without wanting a token.
	API http.Handler

	// Brokers are the addresses that the kafka-console-consumer line names; empty leaves HOST:PORT there.
	Brokers []string

	// Postgres is where psql finds the tables, as postgres://USER@HOST:PORT/DATABASE; empty leaves that line out.
	Postgres string

	// Figures gives what the program measures, named as Prometheus is told it: of a histogram there are its _sum and its _count. With an
	// error, what could be measured was given. Without it the pages of what runs say what the API alone knows.
	Figures func(each func(name string, labels map[string]string, value float64)) error

	// Letters returns the newest dead letters, at most so many of a topic, the newest first. It may take long, and is called while
	// somebody looks, every few seconds at most; as is Members.
	Letters func(ctx context.Context, most int) ([]Letter, error)

	// Members returns who is in consumer groups, and what they were given.
	Members func(ctx context.Context, groups []string) ([]Member, error)

	// Try says that there is a page at /try, which somebody else answers.
	Try bool

	// May tells whether who sends a request may see the page at a path: the navigation leads to no other. Defaults to everybody and all.
	May func(r *http.Request, path string) bool

	// Every is how often a page that is looked at is rendered anew. Defaults to 700 ms.
	Every time.Duration
}

// Site is the pages. It is safe for concurrent use.
type Site struct {
	config  Config
	api     *client.Client
	history history
	best    best
	letters *asked[[]Letter]
	members *asked[[]Member]
	groups  wanted
	looking atomic.Int64 // pages that are kept up to date now
	mux     *http.ServeMux
}

//go:embed assets templates
var files embed.FS

// policy lets the browser load the site's own files and ask its own server, nothing else. Text becomes markup in one place, which the
// policy "parts" names: what live.js was sent by this server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types parts"

// New returns the pages; see [Site.Run].
func New(c Config) *Site {
	if c.Every <= 0 {
		c.Every = 700 * time.Millisecond
	}
	s := &Site{config: c, mux: http.NewServeMux()}
	s.api = client.New("http://api") // its requests do not leave the process
	s.api.HTTP = &http.Client{Transport: inProcess{c.API}}
	s.api.NoRetry = true
	s.letters, s.members = newAsked(s.askLetters), newAsked(s.askMembers)
	s.handle("/{$}", "tables", s.home)
	s.handle("/tables/{table}", "table", s.table)
	s.handle("/sql", "sql", s.sql)
	s.handle("/topology", "topology", s.topology)
	s.handle("/health", "health", s.health)
	s.mux.Handle("/assets/", assets())
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.render(w, r, "missing", &page{Title: "Nothing here", State: state{"paused", "nothing"}, Still: true}, http.StatusNotFound)
	})
	return s
}

// ServeHTTP answers GET and HEAD.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	Headers(h)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// page is what a template of a page is given.
type page struct {
	Title string
	Nav   string // the place in the navigation that it belongs to
	State state
	Still bool   // it does not change by itself
	Note  string // what is wrong, in words; empty: nothing
	Text  string // the same, set as it is: an error in SQL with its caret

	Script string  // address of a module of its own
	Places []place // where the navigation leads

	Main any // of the template
}

// state is how what the page shows is doing, in one word.
type state struct{ Kind, Text string } // Kind is live, wait or lost; or paused

var live = state{"live", "live"}

// maker makes a page for a request. With an error, the page that comes with it, if any, is shown as far as it got.
type maker func(r *http.Request) (*page, error)

// look makes a maker for one who looks: what it remembers from one time to the next is that page's.
type look func() maker

// handle serves a page, and its changes to those who ask for them.
func (s *Site) handle(pattern, name string, l look) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		w.Header().Set("Cache-Control", "no-store")
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			s.live(w, r, name, l())
			return
		}
		p, status := made(l(), r)
		s.render(w, r, name, p, status)
	})
}

// made returns a page whatever happens, and the status that it has.
func made(m maker, r *http.Request) (*page, int) {
	p, err := m(r)
	if p == nil {
		p = &page{Title: "Brotally"}
	}
	if err == nil {
		return p, http.StatusOK
	}
	p.State, p.Note = state{"lost", "error"}, printable(err.Error())
	var e *client.Error
	if !errors.As(err, &e) {
		return p, http.StatusInternalServerError
	}
	p.Note = printable(e.Message)
	if e.Hint != "" {
		p.Note += "; " + printable(e.Hint)
	}
	if e.Text != "" {
		p.Note, p.Text = "", lines(e.Text)
	}
	if e.Code == "not_ready" {
		p.State = state{"wait", "restoring"}
	}
	return p, e.Status
}

// templates are one set a page: the frame and its own main part.
var templates = func() map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(functions).ParseFS(files, "templates/frame.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"tables", "table", "sql", "topology", "health", "missing", "forbidden", "framed"} {
		all[name] = template.Must(template.Must(frame.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return all
}()

// Run notes how many records the tables have counted, once a second, and asks Kafka what pages want to know, until ctx is done.
func (s *Site) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { s.letters.run(ctx) })
	asking.Go(func() { s.members.run(ctx) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if tables, err := s.api.Tables(ctx); err == nil { // else nothing is known of this second
			s.history.note(time.Now(), tables)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
