package views

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
)

// unchanged sets the tag of the rows that a request asks for, and reports whether the client has them already: then the answer is
// 304, whose headers say how far these rows reflect the source by now. A view that is not ready has no tag.
//
// The tag is of a state of this process's rows, so another process has other tags. It is weak: what meta says beside the rows,
// such as as_of and counts, moves on while they do not.
func (v *View) unchanged(w http.ResponseWriter, r *http.Request, how form) bool {
	h := v.held.Load()
	// Before the version: what these rows reflect now, they reflect then. The other way round a change could lie in between.
	asOf := v.AsOf()
	if !h.ready || h.store == nil || v.held.Load() != h {
		return false
	}
	sum := sha256.New()
	for _, n := range h.store.Version() {
		sum.Write(binary.BigEndian.AppendUint64(nil, n))
	}
	sum.Write([]byte(v.key + "\x00" + string(how.format) + "\x00" + r.URL.RawQuery))
	tag := base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
	header := w.Header()
	header.Set("ETag", `W/"`+tag+`"`)
	header.Set("Cache-Control", "private, no-cache")
	if !matches(r.Header.Values("If-None-Match"), tag) {
		return false
	}
	asOf.setHeader(header)
	return true
}

// matches reports whether If-None-Match has the tag, weak or not.
func matches(headers []string, tag string) bool {
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			part = strings.TrimSpace(part)
			if part == "*" || strings.TrimPrefix(part, "W/") == `"`+tag+`"` {
				return true
			}
		}
	}
	return false
}

// setHeader says in headers how far an answer reflects the source.
func (a *AsOf) setHeader(h http.Header) {
	h.Set("Brotally-As-Of", string(a.AppendJSON(nil)))
	if a.EventTime != codecs.NoTime {
		h.Set("Brotally-Event-Time", feeds.TimestampValue(a.EventTime).String())
	}
}
