package codecs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// avroKind is what bytes a schema's values are made of.
type avroKind uint8

const (
	avroNull avroKind = iota
	avroBoolean
	avroInt
	avroLong
	avroFloat
	avroDouble
	avroBytes
	avroString // string
	avroFixed
	avroEnum
	avroArray
	avroMap
	avroUnion
	avroRecord
)

var avroPrimitives = map[string]avroKind{
	"null": avroNull, "boolean": avroBoolean, "int": avroInt, "long": avroLong, "float": avroFloat, "double": avroDouble,
	"bytes": avroBytes, "string": avroString,
}

// avroNode is one type of a writer's schema. Nodes of a recursive schema are a ring.
type avroNode struct {
	kind     avroKind
	name     string // of a named type in full, else of the kind: what it is called in a union
	logical  string // logical type, "" for none
	scale    int    // of a decimal
	size     int    // of a fixed, in bytes
	symbols  []string
	items    *avroNode   // of an array or a map
	branches []*avroNode // of a union
	fields   []avroNamed // of a record
}

type avroNamed struct {
	name string
	node *avroNode
}

// parseAvro reads a writer's schema. texts are the schemas that it refers to, each before those that refer to it, and the
// schema itself at the end.
func parseAvro(texts []string) (*avroNode, error) {
	p := avroParser{named: map[string]*avroNode{}}
	var root *avroNode
	for _, text := range texts {
		var schema any
		// A primitive may be a bare word, as some registries give it out.
		if err := json.Unmarshal([]byte(text), &schema); err != nil {
			schema = strings.TrimSpace(text)
			if _, ok := avroPrimitives[strings.TrimSpace(text)]; !ok {
				return nil, fmt.Errorf("the schema is not JSON: %w", err)
			}
		}
		var err error
		if root, err = p.parse(schema, ""); err != nil {
			return nil, err
		}
	}
	if root == nil {
		return nil, errors.New("an empty schema")
	}
	return root, nil
}

type avroParser struct {
	named map[string]*avroNode // by full name
}

// parse reads a type inside a namespace.
func (p *avroParser) parse(schema any, namespace string) (*avroNode, error) {
	switch s := schema.(type) {
	case string:
		if k, ok := avroPrimitives[s]; ok {
			return &avroNode{kind: k, name: s}, nil
		}
		if n := p.named[fullName(s, namespace)]; n != nil {
			return n, nil
		}
		if n := p.named[s]; n != nil {
			return n, nil
		}
		return nil, fmt.Errorf("the schema names a type %s that it does not define", s)
	case []any:
		n := &avroNode{kind: avroUnion, name: "union"}
		for _, branch := range s {
			b, err := p.parse(branch, namespace)
			if err != nil {
				return nil, err
			}
			n.branches = append(n.branches, b)
		}
		return n, nil
	case map[string]any:
		return p.parseObject(s, namespace)
	}
	return nil, fmt.Errorf("the schema has %T where a type belongs", schema)
}

func (p *avroParser) parseObject(s map[string]any, namespace string) (*avroNode, error) {
	typ, ok := s["type"].(string)
	if !ok { // {"type": {"type": "long", ..}}
		if s["type"] == nil {
			return nil, errors.New("the schema has an object without type")
		}
		return p.parse(s["type"], namespace)
	}
	logical, _ := s["logicalType"].(string)
	scale, _ := s["scale"].(float64)
	if precision, _ := s["precision"].(float64); logical == "decimal" && precision < 1 {
		logical = "" // one that is not right is to be ignored
	}
	switch typ {
	case "array", "map":
		n := &avroNode{kind: avroArray, name: typ}
		member := "items"
		if typ == "map" {
			n.kind, member = avroMap, "values"
		}
		var err error
		n.items, err = p.parse(s[member], namespace)
		return n, err
	case "record", "error", "enum", "fixed":
		return p.parseNamed(s, typ, namespace, logical, int(scale))
	}
	n, err := p.parse(typ, namespace)
	if err != nil || n.kind > avroString {
		return n, err
	}
	n.logical, n.scale = logical, int(scale)
	return n, nil
}

func (p *avroParser) parseNamed(s map[string]any, typ, namespace, logical string, scale int) (*avroNode, error) {
	name, _ := s["name"].(string)
	if own, ok := s["namespace"].(string); ok {
		namespace = own
	}
	if name == "" {
		return nil, fmt.Errorf("the schema has a %s without name", typ)
	}
	n := &avroNode{name: fullName(name, namespace), logical: logical, scale: scale}
	p.named[n.name] = n
	namespace = n.name[:max(strings.LastIndexByte(n.name, '.'), 0)]
	switch typ {
	case "fixed":
		size, ok := s["size"].(float64)
		if !ok || size < 0 || size > 1<<30 {
			return nil, fmt.Errorf("fixed %s has no size", name)
		}
		n.kind, n.size = avroFixed, int(size)
	case "enum":
		symbols, _ := s["symbols"].([]any)
		n.kind = avroEnum
		for _, symbol := range symbols {
			text, _ := symbol.(string)
			n.symbols = append(n.symbols, text)
		}
	default:
		n.kind = avroRecord
		fields, ok := s["fields"].([]any)
		if !ok {
			return nil, fmt.Errorf("record %s has no fields", name)
		}
		for _, f := range fields {
			field, _ := f.(map[string]any)
			fieldName, _ := field["name"].(string)
			if fieldName == "" {
				return nil, fmt.Errorf("record %s has a field without name", name)
			}
			node, err := p.parse(field["type"], namespace)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", fieldName, err)
			}
			n.fields = append(n.fields, avroNamed{fieldName, node})
		}
	}
	return n, nil
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

// shortName returns a named type's name without its namespace.
func (n *avroNode) shortName() string { return n.name[strings.LastIndexByte(n.name, '.')+1:] }

// isScalar says whether a value of the type can be one of a column's.
func (n *avroNode) isScalar() bool { return n.kind < avroArray }

// plain returns a scalar's type, or that of an array of scalars, as goavro is shown it: by itself, without logical types,
// defaults or aliases, none of which reading needs and some of which goavro cannot have. ok is false for other types.
func (n *avroNode) plain() (schema any, ok bool) {
	switch n.kind {
	case avroFixed:
		return map[string]any{"type": "fixed", "name": n.name, "size": n.size}, true
	case avroEnum:
		return map[string]any{"type": "enum", "name": n.name, "symbols": n.symbols}, true
	case avroArray:
		items, ok := n.items.plain()
		return map[string]any{"type": "array", "items": items}, ok && n.items.kind != avroArray
	case avroUnion:
		var branches []any
		for _, b := range n.branches {
			branch, ok := b.plain()
			if !ok || !b.isScalar() {
				return nil, false
			}
			branches = append(branches, branch)
		}
		return branches, len(branches) > 0
	case avroMap, avroRecord:
		return nil, false
	}
	return n.name, true
}

// branch returns the type of a union that has a name.
func (n *avroNode) branch(name string) *avroNode {
	i := slices.IndexFunc(n.branches, func(b *avroNode) bool { return b.name == name })
	if i < 0 {
		return nil
	}
	return n.branches[i]
}
