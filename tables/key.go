package tables

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
)

// maxKeyPart is how long a group column's text may be in bytes: whoever sends the records chooses them. Beyond it the
// text is cut and ends in ~ and 16 hexadecimal digits of its SHA-256, so that different texts stay different groups.
const maxKeyPart = 1024

// keySuffix is the length of ~ and 16 digits. A cut text has maxKeyPart bytes at most, so that it is not cut again.
const keySuffix = 17

// appendKeyPart appends one group column; cut says that it was over the limit.
func appendKeyPart(b []byte, v feeds.Value) (key []byte, cut bool) {
	switch v.Kind() {
	case feeds.String:
		if len(v.Str()) > maxKeyPart {
			return cutString(v.Str()).AppendKey(b), true
		}
	case feeds.Array:
		from := len(b)
		if b = v.AppendKey(b); len(b)-from > maxKeyPart {
			return cutArray(v).AppendKey(b[:from]), true
		}
		return b, false
	}
	return v.AppendKey(b), false
}

func cutString(s string) feeds.Value { return feeds.StringValue(cutHashed(s, maxKeyPart)) }

// cutHashed cuts s, which is longer, to n bytes with the suffix.
func cutHashed(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return cutText(s, n-keySuffix) + "~" + hex.EncodeToString(sum[:8])
}

// cutText returns the longest start of s that has at most n bytes and does not end inside a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for back := 0; back < utf8.UTFMax && n > back; back++ {
		if utf8.RuneStart(s[n-back]) {
			return s[:n-back]
		}
	}
	return s[:n]
}

// cutArray keeps an array's first elements. In an array of strings the suffix is an element of its own; other arrays
// have nowhere to put it and end in NULL.
func cutArray(v feeds.Value) feeds.Value {
	sum := sha256.Sum256(v.AppendKey(nil))
	list, size := []feeds.Value{}, keySuffix+8
	last := feeds.NullValue
	for _, e := range v.List() {
		if e.Kind() == feeds.String {
			last = feeds.StringValue("~" + hex.EncodeToString(sum[:8]))
		}
		if size += len(e.AppendKey(nil)); size > maxKeyPart {
			break
		}
		list = append(list, e)
	}
	return feeds.ArrayValue(append(list, last))
}

// readKey appends the values of a group key to vals; n is how many there are. Those of the row of the others are NULL.
func readKey(key string, n int, vals []feeds.Value) ([]feeds.Value, error) {
	if IsOther(key) {
		for range n {
			vals = append(vals, feeds.NullValue)
		}
		return vals, nil
	}
	for range n {
		v, rest, ok := feeds.ReadKey(key)
		if !ok {
			return vals, fmt.Errorf("group key %q is cut or of another table", key)
		}
		vals, key = append(vals, v), rest
	}
	if key != "" {
		return vals, fmt.Errorf("group key has %d bytes too many", len(key))
	}
	return vals, nil
}
