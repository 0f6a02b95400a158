package codecs

import (
	"iter"

	"github.com/brotally/brotally/feeds"
)

// FeedByNames returns the built-in feed that the names of a record's members tell, "" when they tell none for certain;
// see [feeds.KeySet]. The record is a JSON object without wrapping, as [Unwrap] returns it.
func FeedByNames(record []byte) string {
	var keys feeds.KeySet
	return feedByNames(record, &keys)
}

// told returns what the names of the last decoded message's members tell it to be.
func (d *JSON) told(msg []byte) string { return feedByNames(d.record(msg), &d.keys) }

func feedByNames(b []byte, keys *feeds.KeySet) string {
	keys.Reset()
	for name, isObject := range members(b) {
		keys.Add(name, isObject)
	}
	return keys.Feed()
}

// members goes over the names of a good record's members, as decoded, and whether their values are objects.
func members(b []byte) iter.Seq2[[]byte, bool] {
	return func(yield func(name []byte, isObject bool) bool) {
		i := skipSpace(b, 0) + 1
		for {
			if i = skipSpace(b, i); b[i] == '}' {
				return
			}
			end, escaped := scanString(b, i+1)
			name := b[i+1 : end]
			if escaped {
				name = appendUnescaped(nil, name)
			}
			i = scanColon(b, end+1)
			if !yield(name, b[i] == '{') {
				return
			}
			if i = skipSpace(b, skipValue(b, i, 1)); b[i] == ',' {
				i++
			}
		}
	}
}
