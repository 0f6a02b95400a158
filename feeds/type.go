package feeds

import (
	"fmt"
	"strings"
)

// Kind is the family of a value, without an array's element.
type Kind uint8

// The kinds, in the order in which docs list them. Their numbers are part of the stored formats: never renumber.
const (
	Null      Kind = 0
	String    Kind = 1  // text as Zeek wrote it; enum, file and func too
	Bool      Kind = 2  // true, false
	Bigint    Kind = 3  // int64: Zeek's int and port
	Ubigint   Kind = 4  // uint64: Zeek's count
	Numeric   Kind = 5  // signed 128-bit integer: sums of integers
	Double    Kind = 6  // float64
	Timestamp Kind = 7  // microseconds since the Unix epoch, UTC
	Interval  Kind = 8  // float64 seconds, as Zeek has it: never rounded to microseconds
	Inet      Kind = 9  // an IPv4 or IPv6 address
	Subnet    Kind = 10 // an address and a prefix length
	Array     Kind = 11 // of one of the kinds above
)

var kindNames = [...]string{"null", "string", "bool", "bigint", "ubigint", "numeric", "double", "timestamp", "interval", "inet", "subnet", "array"}

// String returns the kind's name as SQL spells it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// IsInteger reports whether values of the kind are whole numbers.
func (k Kind) IsInteger() bool { return k == Bigint || k == Ubigint || k == Numeric }

// IsNumber reports whether values of the kind are numbers (interval is not: it has a unit).
func (k Kind) IsNumber() bool { return k.IsInteger() || k == Double }

// Type is the type of a column or an expression.
type Type struct {
	Kind Kind
	Elem Kind // the elements' kind when Kind is Array, else Null
}

// T returns the type of a scalar kind.
func T(k Kind) Type { return Type{Kind: k} }

// ArrayOf returns the type of arrays of elem.
func ArrayOf(elem Kind) Type { return Type{Kind: Array, Elem: elem} }

// String returns the type as SQL spells it: "bigint", "string[]".
func (t Type) String() string {
	if t.Kind == Array {
		return t.Elem.String() + "[]"
	}
	return t.Kind.String()
}

var typeAliases = map[string]Kind{
	"text": String, "varchar": String, "boolean": Bool, "int": Bigint, "integer": Bigint, "int8": Bigint,
	"float": Double, "float8": Double, "real": Double, "double precision": Double, "timestamptz": Timestamp,
	"cidr": Subnet, "decimal": Numeric,
}

// ParseType reads a type's SQL name in any case: the names of [Kind.String], PostgreSQL's common aliases, and a
// trailing [] for arrays. ok is false when there is no such type.
func ParseType(name string) (t Type, ok bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	if elem, isArray := strings.CutSuffix(name, "[]"); isArray {
		e, ok := ParseType(elem)
		return ArrayOf(e.Kind), ok && e.Kind != Array
	}
	if k, ok := typeAliases[name]; ok {
		return T(k), true
	}
	for k := String; k <= Subnet; k++ {
		if kindNames[k] == name {
			return T(k), true
		}
	}
	return Type{}, false
}

// ParseZeekType reads a type as Zeek's logs name it in their #types line: "addr", "vector[string]", "set[addr]".
// ok is false for names that Zeek does not have.
func ParseZeekType(name string) (t Type, ok bool) {
	for _, container := range [...]string{"vector[", "set[", "table["} {
		if elem, isArray := strings.CutPrefix(name, container); isArray {
			e, ok := ParseZeekType(strings.TrimSuffix(elem, "]"))
			return ArrayOf(e.Kind), ok && e.Kind != Array
		}
	}
	switch name {
	case "bool":
		return T(Bool), true
	case "count", "counter":
		return T(Ubigint), true
	case "int", "port":
		return T(Bigint), true
	case "double":
		return T(Double), true
	case "time":
		return T(Timestamp), true
	case "interval":
		return T(Interval), true
	case "addr":
		return T(Inet), true
	case "subnet":
		return T(Subnet), true
	case "string", "enum", "file", "func", "pattern":
		return T(String), true
	}
	return Type{}, false
}
