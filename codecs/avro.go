package codecs

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/linkedin/goavro/v2"

	"github.com/brotally/brotally/feeds"
)

func init() {
	// goavro makes room for as many elements as an array says it has, two thousand million by default: three bytes could ask for
	// 32 GB. Set once, before any decoder can read it.
	goavro.MaxBlockCount = maxElements
}

// Schemas knows the schemas that records were written with.
type Schemas interface {
	// Schema returns the schema with that id: the schemas that it refers to, each before those that refer to it, and itself
	// at the end. It does not wait: a schema that is still to be asked for is [ErrAskSchema], one that is known not to exist
	// [ErrNoSchema].
	Schema(id int) (texts []string, err error)
}

var (
	// ErrAskSchema says that a record's schema is not known yet.
	ErrAskSchema = errors.New("its schema is not known yet")

	// ErrNoSchema says that a record's schema does not exist.
	ErrNoSchema = errors.New("the schema registry has no such schema")

	// ErrNoRegistry says that nobody could be asked for a record's schema.
	ErrNoRegistry = errors.New("no schema registry is set: --schema-registry URL")
)

// IsAvro says whether a message is Avro in the wire format of schema registries rather than JSON: it begins with a zero
// byte, which no JSON does.
func IsAvro(msg []byte) bool { return len(msg) > 0 && msg[0] == 0 }

// avroHeaderBytes is the zero byte and the schema's id.
const avroHeaderBytes = 5

// AvroID returns the schema's id that a key or value in that format has.
func AvroID(b []byte) (id int, ok bool) {
	if len(b) < avroHeaderBytes || b[0] != 0 {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(b[1:])), true
}

// Avro decodes the messages of a feed that were written in Avro with a schema registry. Fields are found by the columns'
// names and aliases with _ for what Avro cannot have in a name, and where records lie in records by the names' parts. It is
// not safe for concurrent use.
//
// Which feed a record is of says its _path, else the name of its only field where a record lies in that, as the plugin tags JSON,
// else its schema's name, as far as these are feeds'. In a mixed topic the names of its fields tell where nothing says so.
//
// It follows the rules of [JSON]: a value that does not fit its column is NULL and counted. goavro decodes the values that
// are wanted; all else is passed over without being decoded, and checked on the way.
type Avro struct {
	layout  *feeds.Layout
	types   []feeds.Type
	schemas Schemas
	plans   map[int]*avroPlan

	// Of the message being decoded.
	b      []byte
	rec    *feeds.Record
	path   string // the value of _path
	budget int    // how many more values may come
	pos    int    // where it went wrong
	reason string // and why
}

// NewAvro returns a decoder of the layout's columns. Columns added to the layout later are not decoded. schemas may be nil:
// then each message is bad.
func NewAvro(layout *feeds.Layout, schemas Schemas) *Avro {
	own := *layout
	d := &Avro{layout: &own, schemas: schemas, plans: map[int]*avroPlan{}}
	for _, c := range layout.Columns {
		d.types = append(d.types, c.Type)
	}
	return d
}

// Decode reads one message into rec, as [JSON.Decode] does. A message whose schema is still to be asked for is
// *[SchemaError] with [ErrAskSchema]: nothing was done with it, and it is to come again.
func (d *Avro) Decode(msg []byte, rec *feeds.Record) error {
	plan, err := d.plan(msg)
	if err != nil {
		return err
	}
	rec.Reset(len(d.types))
	d.b, d.rec, d.path, d.budget = msg, rec, "", 4*len(msg)+maxElements
	end := d.read(&plan.root, avroHeaderBytes, 0)
	if end >= 0 && end < len(msg) {
		end = d.fail(end, fmt.Sprintf("%d bytes behind the record", len(msg)-end))
	}
	if end < 0 {
		return &DecodeError{Pos: d.pos, Reason: d.reason, Avro: true}
	}
	return d.isFeed(plan)
}

// SchemaError says that a message's schema cannot be had, and why: it wraps [ErrAskSchema], [ErrNoSchema] or
// [ErrNoRegistry], or what is wrong with the schema.
type SchemaError struct {
	ID  int
	Err error
}

func (e *SchemaError) Error() string { return fmt.Sprintf("Avro record of schema %d: %v", e.ID, e.Err) }

// Unwrap returns why.
func (e *SchemaError) Unwrap() error { return e.Err }

// plan returns how to read the message's schema.
func (d *Avro) plan(msg []byte) (*avroPlan, error) {
	id, ok := AvroID(msg)
	if !ok {
		return nil, &DecodeError{Pos: len(msg), Reason: "a zero byte, and no schema id behind it", Avro: true}
	}
	p, ok := d.plans[id]
	if !ok {
		if d.schemas == nil {
			return nil, &SchemaError{id, ErrNoRegistry}
		}
		texts, err := d.schemas.Schema(id)
		if err != nil {
			return nil, &SchemaError{id, err}
		}
		p = newAvroPlan(d.layout, texts)
		d.plans[id] = p
	}
	if p.err != nil {
		return nil, &SchemaError{id, p.err}
	}
	return p, nil
}

// isFeed says whether the decoded record is of the layout's feed.
func (d *Avro) isFeed(p *avroPlan) error {
	feed := d.layout.Feed
	name := d.path
	if name == "" {
		name = p.tag
	}
	switch {
	case feed == "":
	case name == "":
		if d.layout.Mixed && p.told != feed {
			return ErrOtherFeed
		}
	case name != feed && feeds.NameOfPath(name) != feed:
		return ErrOtherFeed
	}
	return nil
}

// read reads the value at i into the record. The result stands behind it, or is negative.
func (d *Avro) read(r *avroReader, i, depth int) int {
	switch {
	case depth > maxDepth:
		return d.fail(i, fmt.Sprintf("more than %d levels", maxDepth))
	case r.fields != nil:
		for f := range r.fields {
			if i = d.read(&r.fields[f], i, depth+1); i < 0 {
				return i
			}
		}
		return i
	case r.branches != nil:
		var index int
		if index, i = d.index(i, len(r.branches)); i < 0 {
			return i
		}
		return d.read(&r.branches[index], i, depth+1)
	}
	end := d.skip(r.node, i, depth)
	if end < 0 || r.slot < 0 && !r.path {
		return end
	}
	v, ok := r.value(d.b[i:end])
	if r.path {
		d.path = v.Str()
	}
	if r.slot < 0 {
		return end
	}
	if !ok {
		v = feeds.NullValue
		d.rec.BadFields++
	}
	d.rec.Values[r.slot] = v
	return end
}

// fail notes what is wrong at a position, and returns what says so.
func (d *Avro) fail(pos int, reason string) int {
	d.pos, d.reason = pos, reason
	return malformed
}

// skip passes over the value at i.
func (d *Avro) skip(n *avroNode, i, depth int) int {
	// Values may take no byte at all, elements of arrays as well as fields, so a message's length says nothing of how long
	// passing over it takes.
	if d.budget--; d.budget < 0 {
		return d.fail(i, fmt.Sprintf("more values than %d bytes have", len(d.b)))
	}
	switch n.kind {
	case avroNull:
		return i
	case avroBoolean:
		return d.forward(i, 1)
	case avroInt, avroLong:
		_, i = d.long(i)
		return i
	case avroFloat:
		return d.forward(i, 4)
	case avroDouble:
		return d.forward(i, 8)
	case avroFixed:
		return d.forward(i, n.size)
	case avroBytes, avroString:
		size, i := d.long(i)
		if i < 0 {
			return i
		}
		return d.forward(i, int(size))
	case avroEnum:
		_, i = d.index(i, len(n.symbols))
		return i
	}
	if depth > maxDepth {
		return d.fail(i, fmt.Sprintf("more than %d levels", maxDepth))
	}
	switch n.kind {
	case avroUnion:
		index, i := d.index(i, len(n.branches))
		if i < 0 {
			return i
		}
		return d.skip(n.branches[index], i, depth+1)
	case avroRecord:
		for _, f := range n.fields {
			if i = d.skip(f.node, i, depth+1); i < 0 {
				return i
			}
		}
		return i
	}
	return d.skipBlocks(n, i, depth)
}

// skipBlocks passes over an array or a map.
func (d *Avro) skipBlocks(n *avroNode, i, depth int) int {
	for {
		count, at := d.long(i)
		if i = at; i < 0 || count == 0 {
			return i
		}
		if count < 0 { // the block's size follows
			count = -count
			if _, i = d.long(i); i < 0 {
				return i
			}
		}
		if count < 0 || count > int64(d.budget) {
			return d.fail(i, fmt.Sprintf("%d elements in %d bytes", count, len(d.b)-i))
		}
		for range count {
			if n.kind == avroMap {
				var size int64
				if size, i = d.long(i); i < 0 {
					return i
				}
				if i = d.forward(i, int(size)); i < 0 {
					return i
				}
			}
			if i = d.skip(n.items, i, depth+1); i < 0 {
				return i
			}
		}
	}
}

// forward passes over size bytes.
func (d *Avro) forward(i, size int) int {
	if size < 0 || size > len(d.b)-i {
		return d.fail(i, "unexpected end of the record")
	}
	return i + size
}

// long reads a number of variable length.
func (d *Avro) long(i int) (v int64, next int) {
	u, n := binary.Uvarint(d.b[i:])
	if n <= 0 {
		return 0, d.fail(i, "a number that does not end")
	}
	return int64(u>>1) ^ -int64(u&1), i + n
}

// index reads a number from 0 below n.
func (d *Avro) index(i, n int) (index, next int) {
	v, next := d.long(i)
	if next >= 0 && (v < 0 || v >= int64(n)) {
		return 0, d.fail(i, fmt.Sprintf("choice %d of %d", v, n))
	}
	return int(v), next
}
