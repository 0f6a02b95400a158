package codecs

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// jsonKeys finds the members that a layout wants among an object's: most are not wanted, and most of those are told by
// one look into the buckets, without comparing a byte.
type jsonKeys struct {
	buckets     [128]*jsonKey
	slots       []int      // of all entries below
	order       []expected // the members as Zeek writes them
	replacement bool       // a wanted name contains U+FFFD, which a key with invalid UTF-8 may decode to
}

// expected is a member where one may be expected: Zeek writes a log's members in the order of its fields and leaves out those
// that are not set, so most keys need not be looked up.
type expected struct {
	text   string    // "name": with quotes and colon
	first  [2]uint64 // its first sixteen bytes
	masked [2]uint64 // which of them are its own
	entry  *jsonKey  // nil when it is not wanted
}

// expect says in which order members come. All wanted ones are added.
func (k *jsonKeys) expect(names []string) {
	for _, name := range names {
		text := feeds.AppendQuoted(nil, name)
		if len(text) != len(name)+2 {
			continue // it has escapes, which can be written in several ways
		}
		e := expected{text: string(append(text, ':')), entry: k.find([]byte(name))}
		var own, bytes [16]byte
		for i := range copy(bytes[:], e.text) {
			own[i] = 0xff
		}
		for i := range e.first {
			e.first[i], e.masked[i] = binary.LittleEndian.Uint64(bytes[8*i:]), binary.LittleEndian.Uint64(own[8*i:])
		}
		k.order = append(k.order, e)
	}
}

// isAt reports whether the key is at the beginning of b, which is longer, and at least sixteen bytes.
func (e *expected) isAt(b []byte) bool {
	return binary.LittleEndian.Uint64(b)&e.masked[0] == e.first[0] && binary.LittleEndian.Uint64(b[8:])&e.masked[1] == e.first[1] &&
		(len(e.text) <= 16 || string(b[:len(e.text)]) == e.text)
}

// mostLeftOut is how many members in a row may be left out before a key is looked up: to try them all would cost more.
const mostLeftOut = 8

// next returns the place in the order of the key at b[i], which is expected at a place or soon after it, and where its value or
// the space before that is. It returns no place when it is another, or near the end of b.
func (k *jsonKeys) next(b []byte, i, place int) (_ int, value int) {
	for n := place; n < len(k.order) && n < place+mostLeftOut; n++ {
		e := &k.order[n]
		if len(b)-i <= max(len(e.text), 16) {
			break
		}
		if e.isAt(b[i:]) {
			return n, i + len(e.text)
		}
	}
	return -1, 0
}

// jsonKey is one member that is wanted, for itself or for members inside it.
type jsonKey struct {
	name   string
	slot   int       // -1 when the member itself is not wanted
	role   role      // what the member is besides a column
	inside *jsonKeys // the wanted members of the object that it may be: for id.orig_h, id has orig_h inside; else nil
	seen   uint64    // the message that last had it as an object
	next   *jsonKey  // of the same bucket
}

// role is what a member says of the message that it is in.
type role uint8

const (
	isColumn   role = iota // nothing
	isPath                 // _path: which feed the record is of
	isMessage              // message: a string that may hold the record
	isOriginal             // event.original: the same
	isInEvent              // original in event: the same
	isEvent                // event
)

// addRoles adds the members of a message's root that say what it is.
func (k *jsonKeys) addRoles() {
	k.entry("_path").role = isPath
	k.entry("message").role = isMessage
	k.entry("event.original").role = isOriginal
	event := k.entry("event")
	event.role = isEvent
	if event.inside == nil {
		event.inside = newJSONKeys()
	}
	event.inside.entry("original").role = isInEvent
}

func newJSONKeys() *jsonKeys { return &jsonKeys{} }

func keyBucket[T string | []byte](name T) uint {
	if len(name) == 0 {
		return 0
	}
	return (uint(len(name))*9 ^ uint(name[0]) ^ uint(name[len(name)-1])*5) & 127
}

// find returns the entry of a name, nil when it is not wanted.
func (k *jsonKeys) find(name []byte) *jsonKey {
	for e := k.buckets[keyBucket(name)]; e != nil; e = e.next {
		if e.name == string(name) {
			return e
		}
	}
	return nil
}

// entry returns the entry of a name, a new one when there is none.
func (k *jsonKeys) entry(name string) *jsonKey {
	if e := k.find([]byte(name)); e != nil {
		return e
	}
	bucket := keyBucket(name)
	e := &jsonKey{name: name, slot: -1, next: k.buckets[bucket]}
	k.buckets[bucket] = e
	k.replacement = k.replacement || strings.Contains(name, "\ufffd")
	return e
}

// add makes a name fill a slot, as a member or as members of members: a.b.c also as b.c in a, and as c in a.b.
func (k *jsonKeys) add(name string, slot int) {
	k.entry(name).slot = slot
	k.addInside(name, slot, 0)
	k.slots = append(k.slots, slot)
}

func (k *jsonKeys) addInside(name string, slot, depth int) {
	const deepest = 4 // Zeek's names have two dots at most; each more doubles the ways to write it
	for i := range len(name) {
		if name[i] != '.' || i == 0 || i == len(name)-1 || depth == deepest {
			continue
		}
		outer := k.entry(name[:i])
		if outer.inside == nil {
			outer.inside = newJSONKeys()
		}
		inner := outer.inside
		if e := inner.entry(name[i+1:]); e.slot < 0 {
			e.slot = slot
		}
		if !slices.Contains(inner.slots, slot) {
			inner.slots = append(inner.slots, slot)
		}
		inner.addInside(name[i+1:], slot, depth+1)
	}
}

// addAlias makes a further name fill a slot, as add does, unless it is already the name of another.
func (k *jsonKeys) addAlias(name string, slot int) {
	if e := k.entry(name); e.slot < 0 {
		e.slot = slot
		k.slots = append(k.slots, slot)
	}
	k.addInside(name, slot, 0)
}
