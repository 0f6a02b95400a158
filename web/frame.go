package web

import (
	"bytes"
	"html/template"
	"net/http"
)

// Frame is a page that somebody else answers, within what is around all of them: head, navigation, style and scripts.
type Frame struct {
	Title  string
	Script string        // address of a module of its own; empty: there is none
	Main   template.HTML // what it shows
}

// Render answers with the page, whose place in the navigation is /try.
func (f Frame) Render(w http.ResponseWriter, r *http.Request) {
	everywhere := func(string) bool { return true }
	render(w, r, "framed", &page{Title: f.Title, Nav: "try", Script: f.Script, State: state{"paused", "as asked"}, Still: true, Places: placesFor(true, everywhere), Main: f.Main}, http.StatusOK)
}

// Headers are what every answer of the pages carries.
func Headers(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// place is where the navigation leads.
type place struct{ Path, Nav, Title string }

// placesFor are those that somebody may see.
func placesFor(try bool, may func(path string) bool) []place {
	var all []place
	for _, p := range []place{{"/", "tables", "Tables"}, {"/sql", "sql", "SQL"}, {"/topology", "topology", "Topology"}, {"/health", "health", "Health"}, {"/try", "try", "Try it"}} {
		if (p.Nav != "try" || try) && may(p.Path) {
			all = append(all, p)
		}
	}
	return all
}

// Refuse answers one who may not see a page that is there, with a page that says so.
func (s *Site) Refuse(w http.ResponseWriter, r *http.Request, status int, message, hint string) {
	Headers(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept")
	p := &page{Title: "For operators", State: state{"paused", "not shown"}, Still: true, Note: printable(message)}
	if hint != "" {
		p.Note += "; " + printable(hint)
	}
	s.render(w, r, "forbidden", p, status)
}

// render writes a whole page for who sent a request.
func (s *Site) render(w http.ResponseWriter, r *http.Request, name string, p *page, status int) {
	p.Places = placesFor(s.config.Try, func(path string) bool { return s.config.May == nil || s.config.May(r, path) })
	render(w, r, name, p, status)
}

func render(w http.ResponseWriter, r *http.Request, name string, p *page, status int) {
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, "frame.html", p); err != nil {
		http.Error(w, "the page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // who went away does not look
	}
}
