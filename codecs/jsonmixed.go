package codecs

import "github.com/brotally/brotally/feeds"

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
	i := skipSpace(b, 0) + 1
	for {
		if i = skipSpace(b, i); b[i] == '}' {
			return keys.Feed()
		}
		end, escaped := scanString(b, i+1)
		key := b[i+1 : end]
		if escaped {
			key = appendUnescaped(nil, key)
		}
		i = scanColon(b, end+1)
		keys.Add(key, b[i] == '{')
		if i = skipSpace(b, skipValue(b, i, 1)); b[i] == ',' {
			i++
		}
	}
}
