package codecs

import (
	"github.com/brotally/brotally/feeds"
)

// wrapped reads the members of a root that has an object-valued member with a name that can be a tag. It decides what
// the message is when it has seen all of them, and decodes the tagged object on the way, because nearly always it is
// one. i stands behind the opening brace; the result behind the closing one, or it is negative.
//
// A message is tagged when exactly one member is an object, its name is a log's, and there is no ts beside it. A log is
// a built-in feed, the layout's feed, or a name that looks like a log's when all other members are strings, as the
// plugin's additional_message_values are, and none of them may hold the record itself.
func (d *JSON) wrapped(start int) int {
	b := d.b
	var tag string // the only object's name so far
	var objects int
	var ts, others bool // there is a ts; there are members that are neither the tag nor strings
	var text bool       // there is a string that may hold the record
	d.mayTag = false
	i := skipSpace(b, start)
	for {
		if i >= len(b) || b[i] != '"' {
			return malformed
		}
		end, escaped := scanString(b, i+1)
		if end < 0 {
			return malformed
		}
		name := d.text(b[i+1:end], escaped)
		if i = scanColon(b, end+1); i < 0 {
			return malformed
		}
		from := i
		switch {
		case b[i] == '{' && (tag == "" || tag == name) && d.isTag(name):
			if tag == "" {
				tag = name
				objects++
			}
			if i = d.tagged(i, name); i >= 0 {
				d.inner = b[from:i]
			}
		default:
			if b[i] == '{' {
				objects++
			} else if name == tag { // the last of duplicates wins
				tag = ""
				objects--
			}
			ts = ts || name == "ts"
			others = others || b[i] != '"'
			text = text || (name == "message" || name == "event.original") && i+1 < len(b) && b[i+1] == '{'
			i = skipValue(b, i, 1)
		}
		if i < 0 {
			return malformed
		}
		i = skipSpace(b, i)
		if i >= len(b) {
			return malformed
		}
		if b[i] == '}' {
			break
		}
		if b[i] != ',' {
			return malformed
		}
		i = skipSpace(b, i+1)
	}
	if tag != "" && objects == 1 && !ts && (!others && !text || d.isFeed(tag)) {
		d.tag = tag
		return i + 1
	}
	d.reset()
	return d.object(start, d.root, 1)
}

// tagged reads the object at i, whose tag is name, when it is of the layout's feed, else skips it.
func (d *JSON) tagged(i int, name string) int {
	d.reset()
	if d.feed != "" && name != d.feed && feeds.NameOfPath(name) != d.feed {
		return skipValue(d.b, i, 1)
	}
	return d.object(i+1, d.root, 2)
}

// isTag reports whether an object of that name at a message's root can be the tagged record.
func (d *JSON) isTag(name string) bool {
	if d.members[name] || name == "" {
		return false
	}
	if d.isFeed(name) {
		return true
	}
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c != '-' && c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// isFeed reports whether name is certainly a log's.
func (d *JSON) isFeed(name string) bool {
	if name == d.feed {
		return true
	}
	name = feeds.NameOfPath(name)
	_, builtIn := feeds.Lookup(name)
	return builtIn || name == d.feed
}

// Unwrap returns what a message says of itself: the feed's name by its tag, its _path or the file that a shipper read it
// from ("" when it has none of them), and the record without its wrapping. The record aliases msg, or is a copy where it
// was the text of a string. The error is a [*DecodeError].
func Unwrap(msg []byte) (feed string, record []byte, err error) {
	var rec feeds.Record
	d := NewJSON(&feeds.Layout{})
	if err := d.Decode(msg, &rec); err != nil {
		return "", nil, err
	}
	return feeds.NameOfPath(d.name()), d.record(msg), nil
}

// record returns the last decoded message's record without its wrapping.
func (d *JSON) record(msg []byte) []byte {
	if d.inner != nil {
		return d.inner
	}
	return msg
}
