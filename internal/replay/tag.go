package replay

import (
	"bytes"

	"github.com/brotally/brotally/feeds"
)

// appendTagged appends a message as the plugin writes it with Kafka::tag_json, with a blank behind the colon:
// {"dns": {...}}. One that has its tag already stays as it is.
func appendTagged(b []byte, feed string, msg []byte) []byte {
	if isTagged(feed, msg) {
		return append(b, msg...)
	}
	b = append(b, '{', '"')
	b = append(b, feed...) // it can be a topic's name, so it has nothing to escape
	b = append(b, '"', ':', ' ')
	b = append(b, msg...)
	return append(b, '}')
}

// isTagged tells whether a good message begins with an object under the name of its feed.
func isTagged(feed string, msg []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(msg), []byte("{"))
	if !ok {
		return false
	}
	if rest, ok = bytes.CutPrefix(bytes.TrimSpace(rest), []byte(`"`)); !ok {
		return false
	}
	name, rest, _ := bytes.Cut(rest, []byte(`"`))
	if rest, ok = bytes.CutPrefix(bytes.TrimSpace(rest), []byte(":")); !ok {
		return false
	}
	return feeds.NameOfPath(string(name)) == feed && bytes.HasPrefix(bytes.TrimSpace(rest), []byte("{"))
}
