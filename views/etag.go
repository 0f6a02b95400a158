package views

import (
	"hash/maphash"
	"net/http"
	"strconv"
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
	tag := maphash.Comparable(tags, tagged{h.store.Version(), v.key, how.format, r.URL.RawQuery})
	text := `W/"` + strconv.FormatUint(tag, 36) + `"`
	header := w.Header()
	header["Etag"], header["Cache-Control"] = []string{text}, asksAgain
	if !matches(r.Header["If-None-Match"], text) {
		return false
	}
	asOf.setHeader(header)
	return true
}

// tagged is what a tag stands for.
type tagged struct {
	version [2]uint64
	key     string
	format  format
	query   string
}

var tags = maphash.MakeSeed()

// matches reports whether If-None-Match has the weak tag, or the same as a strong one.
func matches(headers []string, tag string) bool {
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			part = strings.TrimSpace(part)
			if part == "*" || part == tag || part == tag[len("W/"):] {
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
