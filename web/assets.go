package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// types are by name and not by the system's table, which may be anything.
var types = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// assets serves what lies in assets/. A browser keeps it and asks again with its tag: a new binary is a new page.
func assets() http.Handler {
	type file struct {
		etag string
		body []byte
	}
	all := map[string]file{}
	names, err := fs.Glob(files, "assets/*")
	if err != nil {
		panic(err) // the pattern is a good one
	}
	for _, name := range names {
		body, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is part of the binary
		}
		sum := sha256.Sum256(body)
		all["/"+name] = file{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, body}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := all[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", types[path.Ext(r.URL.Path)])
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", f.etag)
		http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(f.body))
	})
}
