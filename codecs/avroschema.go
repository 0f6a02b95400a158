package codecs

import (
	"encoding/json"
	"fmt"

	"github.com/linkedin/goavro/v2"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// avroSchema is a schema of ours: a record of columns, all of which may be NULL and default to it, so that columns can come
// and go and both old readers and new ones still understand each other (FULL compatibility).
//
//	string, inet, subnet   string
//	bool                   boolean
//	bigint                 long
//	ubigint, numeric       bytes, logical type decimal(20, 0) and decimal(39, 0): nothing else holds them whole
//	double, interval       double; intervals are seconds
//	timestamp              long, logical type timestamp-micros
//	array                  array of the above or null
type avroSchema struct {
	text    string // as the registry gets it
	codec   *goavro.Codec
	columns []feeds.Column
}

// avroNamespace is that of the records that we write.
const avroNamespace = "brotally"

// newAvroSchema returns the schema of a record of columns, whose names must differ also as [feeds.AvroName] has them.
func newAvroSchema(namespace, name string, columns []feeds.Column) (*avroSchema, error) {
	text, err := avroText(namespace, name, columns, true)
	if err != nil {
		return nil, err
	}
	// goavro is shown no logical types: it would have a big.Rat or a time.Time made of each number.
	plain, err := avroText(namespace, name, columns, false)
	if err != nil {
		return nil, err
	}
	codec, err := goavro.NewCodec(plain)
	if err != nil {
		return nil, fmt.Errorf("Avro schema of %s: %w", name, err)
	}
	return &avroSchema{text: text, codec: codec, columns: columns}, nil
}

// schemaRecord and the types below are a schema's JSON.
type schemaRecord struct {
	Type      string        `json:"type"`
	Name      string        `json:"name"`
	Namespace string        `json:"namespace"`
	Fields    []schemaField `json:"fields"`
}

type schemaField struct {
	Name    string `json:"name"`
	Type    [2]any `json:"type"`
	Default any    `json:"default"` // null
	Doc     string `json:"doc,omitempty"`
}

type schemaLogical struct {
	Type      string `json:"type"`
	Logical   string `json:"logicalType"`
	Precision int    `json:"precision,omitempty"`
	Scale     *int   `json:"scale,omitempty"`
}

type schemaArray struct {
	Type  string `json:"type"`
	Items [2]any `json:"items"`
}

func avroText(namespace, name string, columns []feeds.Column, logical bool) (string, error) {
	r := schemaRecord{Type: "record", Name: feeds.AvroName(name), Namespace: namespace, Fields: []schemaField{}}
	for _, c := range columns {
		var typ any = schemaArray{Type: "array", Items: [2]any{"null", avroType(c.Type.Elem, logical)}}
		if c.Type.Kind != feeds.Array {
			typ = avroType(c.Type.Kind, logical)
		}
		r.Fields = append(r.Fields, schemaField{Name: feeds.AvroName(c.Name), Type: [2]any{"null", typ}, Doc: c.Name + " " + c.Type.String()})
	}
	text, err := json.Marshal(r)
	return string(text), err
}

// avroType returns the type of a scalar's values that are not NULL.
func avroType(k feeds.Kind, logical bool) any {
	plain := avroBranch(k)
	zero := 0
	switch {
	case !logical:
	case k == feeds.Timestamp:
		return schemaLogical{Type: plain, Logical: "timestamp-micros"}
	case k == feeds.Ubigint:
		return schemaLogical{Type: plain, Logical: "decimal", Precision: 20, Scale: &zero}
	case k == feeds.Numeric:
		return schemaLogical{Type: plain, Logical: "decimal", Precision: 39, Scale: &zero}
	}
	return plain
}

// avroBranch returns the name that a kind's type has in a union.
func avroBranch(k feeds.Kind) string {
	switch k {
	case feeds.Bool:
		return "boolean"
	case feeds.Bigint, feeds.Timestamp:
		return "long"
	case feeds.Ubigint, feeds.Numeric:
		return "bytes"
	case feeds.Double, feeds.Interval:
		return "double"
	case feeds.Array:
		return "array"
	}
	return "string"
}

// AvroFormat is how a definition's topic holds its records in Avro. It is never changed and safe for concurrent use.
type AvroFormat struct {
	key, value *avroSchema // key is nil for a stream's places
}

// NewTableAvro returns the format of a table's result topic: keys are records of the group columns, those of the window
// last, values are records of all columns.
func NewTableAvro(t *tables.Table, topic string) (*AvroFormat, error) {
	value, err := newAvroSchema(avroNamespace, topic, avroColumns(t.Columns))
	if err != nil {
		return nil, err
	}
	key, err := newAvroSchema(avroNamespace, topic+"_key", t.Keys())
	return &AvroFormat{key: key, value: value}, err
}

// NewStreamAvro returns the format of a stream's topic: keys are records of the key column, or strings where there is none.
func NewStreamAvro(s *tables.Stream, topic string) (*AvroFormat, error) {
	columns := avroColumns(s.Columns)
	value, err := newAvroSchema(avroNamespace, topic, columns)
	if err != nil {
		return nil, err
	}
	f := &AvroFormat{value: value}
	for i, c := range s.Columns {
		if c.Key {
			f.key, err = newAvroSchema(avroNamespace, topic+"_key", columns[i:i+1])
		}
	}
	return f, err
}

func avroColumns(columns []tables.Column) []feeds.Column {
	out := make([]feeds.Column, len(columns))
	for i, c := range columns {
		out[i] = feeds.Column{Name: c.Name, Type: c.Type}
	}
	return out
}

// Key returns the keys' schema, as the registry is to have it.
func (f *AvroFormat) Key() string {
	if f.key == nil {
		return `"string"`
	}
	return f.key.text
}

// Value returns the values' schema, as the registry is to have it.
func (f *AvroFormat) Value() string { return f.value.text }
