// Package web is the page: a list of tables, and one of them live, over the HTTP API of a server that both are part of.
//
//	mux.Handle("/api/", api)
//	mux.Handle("/", web.Handler(web.Config{Brokers: []string{"127.0.0.1:9092"}}))
//
// The files under page/ are what the browser gets: no build step, no other origin, no inline script or style. What the
// page shows was written by whoever sent packets past the sensor, so it goes into text nodes only; the content security
// policy has the browser refuse everything else.
//
// # What it asks
//
// Relative to where the page lies:
//
//	GET api/v1/tables               {"tables": [{"name", "groups", "ready", "state", ..}, ..]}
//	GET api/v1/tables/NAME          {"name", "feed", "sql", "columns": [{"name", "type", "key"}, ..], "topics": {"result", ..}, ..}
//	GET api/v1/tables/NAME/rows?COLUMN=VALUE&order=-COLUMN&limit=25&offset=0&format=json
//	                                {"columns": [{"name", "type"}, ..], "rows": [[..], ..],
//	                                 "meta": {"as_of": {TOPIC: {PARTITION: OFFSET}}, "event_time", "counts": {"read", "counted", ..}, ..}}
//	GET page.json                   {"brokers": "HOST:PORT,.."}, which this package answers
//
// An error is {"error": {"code", "message", "hint"}}; the code not_ready is a table that is still being restored.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed page
var page embed.FS

// Config is what the page is told.
type Config struct {
	// Brokers are the addresses that the page's kafka-console-consumer line names; empty leaves HOST:PORT there.
	Brokers []string

	// Try says that there is a page at /try to link to.
	Try bool
}

// policy lets the browser load the page's own files and ask its own server, nothing else; text cannot become markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// file is one file of the page, ready to be sent.
type file struct {
	name        string
	contentType string
	etag        string
	body        []byte
}

// Handler serves the page at /, to be mounted at the root or, with http.StripPrefix, below it. Other paths are 404,
// other methods than GET and HEAD 405.
func Handler(cfg Config) http.Handler {
	files := map[string]file{}
	add := func(name string, body []byte) {
		sum := sha256.Sum256(body)
		files["/"+name] = file{
			name:        name,
			contentType: contentType(name),
			etag:        `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
			body:        body,
		}
	}
	entries, err := fs.ReadDir(page, "page")
	if err != nil {
		panic(fmt.Sprintf("web: read the embedded page: %v", err)) // it is part of the binary
	}
	for _, e := range entries {
		body, err := fs.ReadFile(page, path.Join("page", e.Name()))
		if err != nil {
			panic(fmt.Sprintf("web: read the embedded page: %v", err))
		}
		add(e.Name(), body)
	}
	told, err := json.Marshal(map[string]string{"brokers": strings.Join(cfg.Brokers, ",")})
	if err != nil {
		panic(fmt.Sprintf("web: %v", err)) // strings always marshal
	}
	add("page.json", told)
	files["/"] = files["/index.html"]

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case !ok:
			http.NotFound(w, r)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", f.contentType)
		h.Set("Cache-Control", "no-cache") // kept, and asked for again with the tag: a new binary is a new page
		h.Set("ETag", f.etag)
		http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
	})
}

// contentType is by name and not by the system's table, which may be anything.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	}
	return mime.TypeByExtension(path.Ext(name))
}
