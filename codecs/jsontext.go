package codecs

import (
	"unsafe"

	"github.com/brotally/brotally/feeds"
)

// heldText is a string of the message that may hold the record: from its first byte to its closing quote.
type heldText struct {
	from, to int
	escaped  bool
}

// Which strings may hold the record, the likelier first.
const (
	inMessage  = 0 // message: Filebeat, and what forwards log lines like it
	inOriginal = 1 // event.original: pipelines that keep the line beside what they made of it
)

// holder returns which string a member is, -1 for none: all but original in event lie at the message's root.
func (r role) holder(depth int) int {
	switch {
	case r == isMessage && depth == 1:
		return inMessage
	case r == isOriginal && depth == 1, r == isInEvent && depth == 2, r == isEvent && depth == 1:
		return inOriginal
	}
	return -1
}

// forget makes what a member of the name said before not count: the last of duplicates wins.
func (d *JSON) forget(r role, depth int) {
	if r == isPath {
		d.path = ""
	} else if h := r.holder(depth); h >= 0 {
		d.held[h] = heldText{}
	}
}

// note takes what a string member says of the message.
func (d *JSON) note(r role, depth int, t heldText) {
	if r == isPath {
		d.path = d.text(d.b[t.from:t.to], t.escaped)
		return
	}
	h := r.holder(depth)
	if h < 0 || r == isEvent || d.inText || t.to == t.from || d.b[t.from] != '{' {
		return
	}
	if !d.holds {
		d.held, d.holds = [2]heldText{}, true
	}
	d.held[h] = t
}

// unwrapText decodes the record that a string of msg holds instead of msg itself, which has been scanned. A record of
// Zeek's own can have such a string too, syslog's for one: it has ts beside it.
func (d *JSON) unwrapText(msg []byte) {
	if _, ok := find(msg, "ts"); ok {
		return
	}
	held, path := d.held, d.path
	for _, t := range held {
		if t.to == 0 {
			continue
		}
		s := d.text(msg[t.from:t.to], t.escaped)
		text := unsafe.Slice(unsafe.StringData(s), len(s))
		d.inText = true
		ok := d.scan(text)
		d.inText = false
		if !ok {
			continue
		}
		if d.inner == nil {
			d.inner = text
		}
		if d.name() == "" {
			if d.path = path; path == "" {
				d.path = d.shipped(msg)
			}
		}
		return
	}
	d.scan(msg) // nothing to unwrap: the message stands for itself
}

// shipped returns the feed that the name of the file tells that a shipper read, "" when that is no log's: files are
// called anything.
func (d *JSON) shipped(msg []byte) string {
	file, ok := find(msg, "log", "file", "path")
	if !ok || file[0] != '"' {
		return ""
	}
	end, escaped := scanString(file, 1)
	if name := feeds.NameOfFile(d.text(file[1:end], escaped)); name != "" && d.isFeed(name) {
		return name
	}
	return ""
}

// find returns where in an object, whose syntax has been checked, the value of a member begins: of the last one of that
// name. A path of names leads through objects, or is one name with dots.
func find(b []byte, path ...string) (value []byte, ok bool) {
	i := skipSpace(b, 0) + 1
	for {
		if i = skipSpace(b, i); b[i] == '}' {
			return value, ok
		}
		end, escaped := scanString(b, i+1)
		key := b[i+1 : end]
		if escaped {
			key = appendUnescaped(nil, key)
		}
		i = scanColon(b, end+1)
		if rest, leads := leadsTo(key, path); leads && len(rest) == 0 {
			value, ok = b[i:], true
		} else if leads && b[i] == '{' {
			if v, there := find(b[i:], rest...); there {
				value, ok = v, true
			}
		}
		if i = skipSpace(b, skipValue(b, i, 1)); b[i] == ',' {
			i++
		}
	}
}

// leadsTo reports whether a member's name is the beginning of the path, its names joined with dots, and what is left.
func leadsTo(key []byte, path []string) (rest []string, ok bool) {
	for i, name := range path {
		if len(key) < len(name) || string(key[:len(name)]) != name {
			return nil, false
		}
		if key = key[len(name):]; len(key) == 0 {
			return path[i+1:], true
		}
		if key[0] != '.' {
			return nil, false
		}
		key = key[1:]
	}
	return nil, false
}
