package codecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/brotally/brotally/feeds"
)

// maxDepth is how deep a record's objects and arrays may nest. Zeek's do not nest at all, wrappings twice or three
// times; encoding/json stops at 10,000. Deeper records are bad.
const maxDepth = 1000

// maxElements is how many elements an array may have. Each takes fifty bytes of memory and two of the message, so that a
// record of 10 MB could ask for a quarter of a gigabyte. Zeek's arrays have a few, since 8.1 a hundred at most.
const maxElements = 1 << 16

// JSON decodes the messages of a feed as Bro's Kafka plugin and its relatives write them: plain, tagged
// ({"dns": {...}}, other members beside the tag allowed), with _path, with the dots of names expanded to objects, and any
// of those as the text of a string, as Filebeat sends log lines ({"message": "{..}"}, event.original). Which of them a
// message is, is decided anew for each message. It is not safe for concurrent use.
//
// A message is accepted exactly when encoding/json accepts it, it is an object, and it nests no deeper than 1,000
// levels. The last of duplicate keys wins.
type JSON struct {
	feed    string          // "" accepts every feed
	mixed   bool            // of a topic that carries other feeds too
	types   []feeds.Type    // of the slots
	root    *jsonKeys       // what a record's members are
	members map[string]bool // names of the feed's own members, such as id: they are no tags

	// Of the message being decoded.
	b       []byte
	rec     *feeds.Record
	message uint64 // its number
	bad     []bool // the slots whose last value was of the wrong type
	anyBad  bool
	mayTag  bool          // the root may still turn out to be a wrapping
	path    string        // the value of _path, or the feed that a shipper says
	tag     string        // the tag, when the message is tagged
	inner   []byte        // the record without its wrapping, nil when it has none
	held    [2]heldText   // strings that may hold the record
	holds   bool          // there are some
	inText  bool          // what is being decoded was held by a string
	keys    feeds.KeySet  // of a mixed topic's record
	strings []byte        // room for strings that had escapes
	elems   []feeds.Value // room for an array's elements
}

// NewJSON returns a decoder of the layout's columns. Columns added to the layout later are not decoded.
func NewJSON(layout *feeds.Layout) *JSON {
	d := &JSON{
		feed: layout.Feed, mixed: layout.Mixed && layout.Feed != "", root: newJSONKeys(), members: map[string]bool{"id": true},
		types: make([]feeds.Type, len(layout.Columns)), bad: make([]bool, len(layout.Columns)),
	}
	for slot, c := range layout.Columns {
		d.types[slot] = c.Type
		d.root.add(c.Name, slot)
	}
	// After all names: an alias never takes a member away from the column that has it as its name.
	for slot, c := range layout.Columns {
		for _, alias := range c.Aliases {
			d.root.addAlias(alias, slot)
		}
	}
	d.root.addRoles()
	d.members["event"] = layout.Feed != "event"
	columns := layout.Columns
	if f, ok := feeds.Lookup(layout.Feed); ok {
		columns = append(f.Columns[:len(f.Columns):len(f.Columns)], columns...)
		var order []string
		for _, c := range f.Columns {
			order = append(order, c.Name)
		}
		d.root.expect(order)
	}
	for _, c := range columns {
		// A log of the same name as a plain column stays a tag: weird has a column notice.
		name, _, dotted := strings.Cut(c.Name, ".")
		if _, isLog := feeds.Lookup(name); dotted || !isLog && name != d.feed {
			d.members[name] = true
		}
	}
	return d
}

// Decode reads one message into rec. Values are NULL where the message has no such member, has null, or has a value
// that is not of the column's type; the last are counted in rec.BadFields. Strings alias msg, or memory of the decoder
// that is not used again.
//
// The error is [ErrOtherFeed] when the message's tag or _path names another feed, or, in a mixed topic, when it has
// neither and the names of its members do not tell that it is of this one; or a [*DecodeError] when the message is not
// one JSON object. Then rec holds nothing of use.
func (d *JSON) Decode(msg []byte, rec *feeds.Record) error {
	d.rec = rec
	if !d.scan(msg) {
		return explain(msg)
	}
	if d.holds {
		d.unwrapText(msg)
	}
	name := d.name()
	if name == "" {
		if d.mixed && d.told(msg) != d.feed {
			return ErrOtherFeed
		}
		return nil
	}
	if name != d.feed && d.feed != "" && feeds.NameOfPath(name) != d.feed {
		return ErrOtherFeed
	}
	return nil
}

// scan reads a message into the record, and reports whether it is one JSON object.
func (d *JSON) scan(msg []byte) bool {
	d.b, d.mayTag = msg, true
	d.message++
	i := skipSpace(msg, 0)
	if i == len(msg) || msg[i] != '{' {
		return false
	}
	d.reset()
	end := d.object(i+1, d.root, 1)
	if end == mayBeTagged {
		end = d.wrapped(i + 1)
	}
	return end >= 0 && skipSpace(msg, end) == len(msg)
}

// name returns what the last decoded message says it is: its tag, else its _path, else "".
func (d *JSON) name() string {
	if d.tag != "" {
		return d.tag
	}
	return d.path
}

// reset forgets what was decoded of the message so far.
func (d *JSON) reset() {
	d.rec.Reset(len(d.types))
	d.path, d.tag, d.inner, d.holds = "", "", nil, false
	if d.anyBad {
		clear(d.bad)
		d.anyBad = false
	}
}

// What the scanning functions return instead of a position.
const (
	malformed   = -1
	mayBeTagged = -2 // the root has an object-valued member that may be a tag
)

// object reads an object's members into the record, those that keys knows. i stands behind the opening brace; the
// result stands behind the closing one, or is negative.
func (d *JSON) object(i int, keys *jsonKeys, depth int) int {
	b := d.b
	if depth > maxDepth {
		return malformed
	}
	i = skipSpace(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for place := 0; ; {
		if i >= len(b) || b[i] != '"' {
			return malformed
		}
		var entry *jsonKey
		var key []byte
		escaped := false
		if at, value := keys.next(b, i, place); at >= 0 {
			place, key, entry = at+1, b[i+1:value-2], keys.order[at].entry
			if i = skipSpace(b, value); i == len(b) {
				return malformed
			}
		} else if key, entry, escaped, i = keys.scan(b, i+1); i < 0 {
			return malformed
		}
		switch {
		case b[i] == '{' && depth == 1 && d.mayTag && (entry == nil || entry.inside == nil || entry.role == isEvent):
			if d.isTag(d.text(key, escaped)) {
				return mayBeTagged
			}
			d.mayTag = false // an object beside the tag: no wrapping looks like that
			i = d.member(i, entry, depth)
		case entry == nil:
			i = skipValue(b, i, depth)
		default:
			i = d.member(i, entry, depth)
		}
		if i < 0 {
			return i
		}
		if i = skipSpace(b, i); i >= len(b) {
			return malformed
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return malformed
		}
		i = skipSpace(b, i+1)
	}
}

// scan reads a key whose opening quote is at i-1, and returns where its value is, or malformed. The entry is nil when nobody
// wants it.
func (k *jsonKeys) scan(b []byte, i int) (key []byte, entry *jsonKey, escaped bool, value int) {
	end, escaped := scanString(b, i)
	if end < 0 {
		return nil, nil, false, malformed
	}
	key = b[i:end]
	entry = k.find(key)
	if entry == nil && (escaped || k.replacement) {
		entry = k.find(appendUnescaped(nil, key))
	}
	return key, entry, escaped, scanColon(b, end+1)
}

// member reads the value at i of a member that is wanted; entry may be nil.
func (d *JSON) member(i int, entry *jsonKey, depth int) int {
	b := d.b
	if entry == nil {
		return skipValue(b, i, depth)
	}
	if entry.role != isColumn {
		d.forget(entry.role, depth)
	}
	if b[i] == '{' && entry.inside != nil {
		if entry.seen == d.message { // it replaces an earlier object of the same name
			for _, slot := range entry.inside.slots {
				d.set(slot, feeds.NullValue, true)
			}
		}
		entry.seen = d.message
		return d.object(i+1, entry.inside, depth+1)
	}
	start := i
	var v feeds.Value
	var ok bool
	switch c := b[i]; {
	case c == '"':
		end, escaped := scanString(b, i+1)
		if end < 0 {
			return malformed
		}
		i = end + 1
		if entry.role != isColumn {
			d.note(entry.role, depth, heldText{start + 1, end, escaped})
		}
		if entry.slot < 0 {
			return i
		}
		v, ok = d.fromString(d.types[entry.slot].Kind, b[start+1:end], escaped)
	case c == '-' || c-'0' <= 9:
		if i = scanNumber(b, i); i < 0 || entry.slot < 0 {
			return i
		}
		v, ok = fromNumber(d.types[entry.slot].Kind, b[start:i])
	case c == '[' && entry.slot >= 0 && d.types[entry.slot].Kind == feeds.Array:
		if v, ok, i = d.array(i+1, d.types[entry.slot].Elem, depth+1); i < 0 {
			return i
		}
	default:
		if i = skipValue(b, i, depth); i < 0 || entry.slot < 0 {
			return i
		}
		v, ok = fromLiteral(d.types[entry.slot].Kind, c)
	}
	d.set(entry.slot, v, ok)
	return i
}

// set gives a slot its value, or NULL when the value is not ok. The last of duplicates wins, also in being bad.
func (d *JSON) set(slot int, v feeds.Value, ok bool) {
	if d.anyBad && d.bad[slot] {
		d.bad[slot] = false
		d.rec.BadFields--
	}
	if !ok {
		v = feeds.NullValue
		d.bad[slot], d.anyBad = true, true
		d.rec.BadFields++
	}
	d.rec.Values[slot] = v
}

// array reads an array of scalars. i stands behind the opening bracket, the returned position behind the closing one;
// it is negative for malformed JSON. ok is false when an element is not of the kind elem, or there are too many; null
// elements are NULL.
func (d *JSON) array(i int, elem feeds.Kind, depth int) (v feeds.Value, ok bool, end int) {
	b := d.b
	if depth > maxDepth {
		return v, false, malformed
	}
	elems := d.elems[:0]
	ok = true
	i = skipSpace(b, i)
	if i < len(b) && b[i] == ']' {
		return feeds.ArrayValue(nil), true, i + 1
	}
	for {
		if i >= len(b) {
			return v, false, malformed
		}
		start := i
		var e feeds.Value
		var fits bool
		switch c := b[i]; {
		case c == '"':
			end, escaped := scanString(b, i+1)
			if end < 0 {
				return v, false, malformed
			}
			i = end + 1
			e, fits = d.fromString(elem, b[start+1:end], escaped)
		case c == '-' || c-'0' <= 9:
			if i = scanNumber(b, i); i < 0 {
				return v, false, malformed
			}
			e, fits = fromNumber(elem, b[start:i])
		default:
			if i = skipValue(b, i, depth); i < 0 {
				return v, false, malformed
			}
			e, fits = fromLiteral(elem, c)
		}
		if ok = ok && fits && len(elems) < maxElements; ok {
			elems = append(elems, e)
		}
		i = skipSpace(b, i)
		if i >= len(b) {
			return v, false, malformed
		}
		if b[i] == ']' {
			break
		}
		if b[i] != ',' {
			return v, false, malformed
		}
		i = skipSpace(b, i+1)
	}
	if cap(elems) <= 4096 { // one monstrous array shall not be kept for ever
		d.elems = elems
	}
	if !ok {
		return v, false, i + 1
	}
	return feeds.ArrayValue(append([]feeds.Value(nil), elems...)), true, i + 1
}

// text returns a string's text: raw itself when it needs no decoding.
func (d *JSON) text(raw []byte, escaped bool) string {
	if !escaped && isUTF8(raw) {
		return alias(raw)
	}
	// Decoded text is at most three times as long: a bad byte becomes the three bytes of U+FFFD.
	const chunk = 4096
	need := 3 * len(raw)
	if need > chunk {
		return alias(appendUnescaped(nil, raw))
	}
	if need > cap(d.strings)-len(d.strings) {
		d.strings = make([]byte, 0, chunk) // the old one belongs to the values that alias it
	}
	start := len(d.strings)
	d.strings = appendUnescaped(d.strings, raw)
	return alias(d.strings[start:])
}

// alias returns b as a string without copying it.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// explain says why msg, which the decoder refused, is no record. It may take its time.
func explain(msg []byte) error {
	start := skipSpace(msg, 0)
	switch {
	case start == len(msg):
		return &DecodeError{Pos: 0, Reason: "empty message", Code: "empty"}
	case bytes.HasPrefix(msg, []byte("\ufeff")):
		return &DecodeError{Pos: 0, Reason: "a byte order mark", Code: "byte_order_mark"}
	}
	var raw json.RawMessage
	var syntax *json.SyntaxError
	if err := json.Unmarshal(msg, &raw); errors.As(err, &syntax) && !strings.HasSuffix(syntax.Error(), "exceeded max depth") {
		// Offset counts the bytes read, the offending one included. At the end of input encoding/json reads a blank that
		// is not there, and sometimes complains of that.
		atEnd := strings.HasPrefix(syntax.Error(), "invalid character ' '") && int(syntax.Offset) == len(msg) && msg[len(msg)-1] != ' '
		if atEnd || strings.HasPrefix(syntax.Error(), "unexpected end") {
			return &DecodeError{Pos: len(msg), Reason: "unexpected end of JSON input", Code: "cut_short"}
		}
		return &DecodeError{Pos: int(syntax.Offset) - 1, Reason: syntax.Error(), Code: "syntax"}
	}
	switch msg[start] {
	case '{':
		return &DecodeError{Pos: start, Reason: fmt.Sprintf("more than %d levels", maxDepth), Code: "too_deep"}
	case '[':
		return &DecodeError{Pos: start, Reason: "an array", Code: "no_object"}
	}
	return &DecodeError{Pos: start, Reason: "a single value", Code: "no_object"}
}
