package codecs

import (
	"encoding/json"
	"strings"

	"github.com/linkedin/goavro/v2"

	"github.com/brotally/brotally/feeds"
)

// avroPlan is how to read the records of one schema into a layout.
type avroPlan struct {
	root avroReader
	tag  string // the feed that the record's name or its wrapping says, "" for none
	told string // the feed that the names of its fields tell, "" when they tell none for certain
	err  error  // why there is no reading it
}

// avroReader reads one value of a schema.
type avroReader struct {
	node *avroNode

	// One of these, or none of them for what is passed over.
	fields   []avroReader // of a record with wanted fields
	branches []avroReader // of a union with a wanted branch
	slot     int          // of a value that is wanted, else -1
	path     bool         // it is _path

	kind, elem feeds.Kind    // of the slot
	codec      *goavro.Codec // reads the value; nil: it fits no column
}

// maxFields bounds how many fields of records in records are looked at: a schema that refers to itself, or often to the same
// record, can have any number.
const maxFields = 1 << 16

// deepestField is how many records a column's field may lie in: Zeek's names have two dots at most.
const deepestField = 4

func newAvroPlan(layout *feeds.Layout, texts []string) *avroPlan {
	p := &avroPlan{}
	root, err := parseAvro(texts)
	if err != nil {
		p.err = err
		return p
	}
	record := root
	if root.kind == avroUnion { // a record that may be null
		for _, b := range root.branches {
			if b.kind == avroRecord {
				record = b
			}
		}
	}
	if record.kind != avroRecord {
		p.err = &DecodeError{Pos: avroHeaderBytes, Reason: "a " + root.name, Avro: true}
		return p
	}
	if name := record.shortName(); isLog(name, layout.Feed) {
		p.tag = name
	}
	// {"dns": {..}}, as the plugin tags records, and nothing else.
	inner, prefix := record, ""
	if len(record.fields) == 1 && isLog(record.fields[0].name, layout.Feed) {
		if tagged := record.fields[0].node.record(); tagged != nil {
			p.tag, inner, prefix = record.fields[0].name, tagged, record.fields[0].name+"."
		}
	}
	p.told = inner.told()
	names := newAvroNames(layout, prefix)
	names.left = maxFields
	names.claim(root, "", 0)
	names.left = maxFields
	p.root = names.reader(root, "", 0)
	return p
}

func isLog(name, feed string) bool {
	_, builtIn := feeds.Lookup(name)
	return builtIn || name == feed && feed != ""
}

// record returns the record that a type is, or the only one that a union may be; nil if there is none.
func (n *avroNode) record() *avroNode {
	switch n.kind {
	case avroRecord:
		return n
	case avroUnion:
		var found *avroNode
		for _, b := range n.branches {
			switch {
			case b.kind == avroRecord && found == nil:
				found = b
			case b.kind != avroNull:
				return nil
			}
		}
		return found
	}
	return nil
}

// told returns the feed that the names of a record's fields tell; see [feeds.KeySet].
func (n *avroNode) told() string {
	var keys feeds.KeySet
	keys.Reset()
	for _, f := range n.fields {
		keys.Add([]byte(f.name), f.node.record() != nil)
	}
	return keys.Feed()
}

// avroNames says which column a field fills. Of several fields for one column the one that is called as the column is wins,
// then one called as it is in Avro, then an alias, then that in Avro.
type avroNames struct {
	layout *feeds.Layout
	prefix string // what stands before all names, where a record is tagged
	ranks  [4]map[string]int
	best   map[int]claim // by slot
	left   int           // of maxFields
}

// claim is a field's on a column.
type claim struct {
	rank int
	path string
}

func newAvroNames(layout *feeds.Layout, prefix string) *avroNames {
	n := &avroNames{layout: layout, prefix: prefix, best: map[int]claim{}}
	for i := range n.ranks {
		n.ranks[i] = map[string]int{}
	}
	note := func(rank int, name string, slot int) {
		if _, taken := n.ranks[rank][name]; !taken {
			n.ranks[rank][name] = slot
		}
	}
	for slot, c := range layout.Columns {
		note(0, c.Name, slot)
		note(1, feeds.AvroName(c.Name), slot)
		for _, alias := range c.Aliases {
			note(2, alias, slot)
			note(3, feeds.AvroName(alias), slot)
		}
	}
	return n
}

// find returns the slot that a field fills, whose path is the names of the records that it lies in and its own, with dots
// between.
func (n *avroNames) find(path string) (slot, rank int) {
	name, ok := strings.CutPrefix(path, n.prefix)
	if !ok {
		return -1, 0
	}
	for rank, names := range n.ranks {
		if slot, ok := names[name]; ok {
			return slot, rank
		}
	}
	return -1, 0
}

// claim notes which fields of a type are for which columns.
func (n *avroNames) claim(node *avroNode, path string, depth int) {
	n.left--
	switch {
	case n.left < 0:
	case node.kind == avroUnion && node.record() != nil:
		n.claim(node.record(), path, depth)
	case node.kind == avroRecord && depth <= deepestField:
		for _, f := range node.fields {
			n.claim(f.node, join(path, f.name), depth+1)
		}
	default:
		slot, rank := n.find(path)
		if have, taken := n.best[slot]; slot >= 0 && (!taken || rank < have.rank) {
			n.best[slot] = claim{rank, path}
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// reader returns how a type at a path is read.
func (n *avroNames) reader(node *avroNode, path string, depth int) avroReader {
	r := avroReader{node: node, slot: -1}
	n.left--
	switch {
	case n.left < 0:
		return r
	case node.kind == avroRecord && depth <= deepestField && node.record() != nil:
		r.fields = make([]avroReader, len(node.fields))
		for i, f := range node.fields {
			r.fields[i] = n.reader(f.node, join(path, f.name), depth+1)
		}
		return r
	case node.kind == avroUnion && len(node.branches) > 0:
		r.branches = make([]avroReader, len(node.branches))
		for i, b := range node.branches {
			r.branches[i] = n.reader(b, path, depth)
		}
		return r
	}
	if r.path = path == n.prefix+"_path"; r.path {
		r.kind = feeds.String
	}
	if slot, _ := n.find(path); slot >= 0 && n.best[slot].path == path {
		r.slot, r.kind, r.elem = slot, n.layout.Columns[slot].Type.Kind, n.layout.Columns[slot].Type.Elem
	}
	if schema, ok := node.plain(); ok && (r.slot >= 0 || r.path) && (node.kind != avroArray || r.kind == feeds.Array) {
		text, err := json.Marshal(schema)
		if err == nil {
			r.codec, _ = goavro.NewCodec(string(text)) // what goavro cannot have fits no column
		}
	}
	return r
}
