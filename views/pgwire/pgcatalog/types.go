package pgcatalog

import (
	"math"
	"strconv"
	"strings"
)

// OIDs of PostgreSQL's types: those that results here have, and those that columns of tables have.
const (
	oidBool        = 16
	oidChar        = 18 // "char", one byte
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt2Vector  = 22
	oidInt4        = 23
	oidRegproc     = 24
	oidText        = 25
	oidOID         = 26
	oidOIDVector   = 30
	oidCIDR        = 650
	oidFloat4      = 700
	oidFloat8      = 701
	oidUnknown     = 705
	oidInet        = 869
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidDate        = 1082
	oidInterval    = 1186
	oidNumeric     = 1700
	oidRecord      = 2249
	oidRegclass    = 2205
	oidRegtype     = 2206
	oidRegnsp      = 4089
)

// Value is nil for NULL, or a bool, int64, float64, string, reg, *array or record.
type Value any

// reg is an OID that prints as a name.
type reg struct {
	oid  int64
	name string
}

// array is an array, or a vector, whose first element is number 0.
type array struct {
	list   []Value
	vector bool
}

// record is a composite value.
type record struct {
	names  []string
	values []Value
}

// typeInfo is what pg_type has of a type.
type typeInfo struct {
	oid, array uint32 // array: the type of arrays of it, 0: there is none
	name       string // pg_type's
	title      string // format_type's
	length     int16
	category   string
	align      string
	aliases    string // other names
}

var typeInfos = []typeInfo{
	{oidBool, 1000, "bool", "boolean", 1, "B", "c", ""},
	{17, 1001, "bytea", "bytea", -1, "U", "i", ""},
	{oidChar, 1002, "char", `"char"`, 1, "Z", "c", ""},
	{oidName, 1003, "name", "name", 64, "S", "c", ""},
	{oidInt8, 1016, "int8", "bigint", 8, "N", "d", "bigint"},
	{oidInt2, 1005, "int2", "smallint", 2, "N", "s", "smallint"},
	{oidInt2Vector, 1006, "int2vector", "int2vector", -1, "A", "i", ""},
	{oidInt4, 1007, "int4", "integer", 4, "N", "i", "integer int"},
	{oidRegproc, 1008, "regproc", "regproc", 4, "N", "i", ""},
	{oidText, 1009, "text", "text", -1, "S", "i", ""},
	{oidOID, 1028, "oid", "oid", 4, "N", "i", ""},
	{oidOIDVector, 1013, "oidvector", "oidvector", -1, "A", "i", ""},
	{114, 199, "json", "json", -1, "U", "i", ""},
	{oidCIDR, 651, "cidr", "cidr", -1, "I", "i", ""},
	{oidFloat4, 1021, "float4", "real", 4, "N", "i", "real"},
	{oidFloat8, 1022, "float8", "double precision", 8, "N", "d", "double float"},
	{oidUnknown, 0, "unknown", "unknown", -2, "X", "c", ""},
	{oidInet, 1041, "inet", "inet", -1, "I", "i", ""},
	{1042, 1014, "bpchar", "character", -1, "S", "i", "character"},
	{1043, 1015, "varchar", "character varying", -1, "S", "i", ""},
	{1082, 1182, "date", "date", 4, "D", "i", ""},
	{1083, 1183, "time", "time without time zone", 8, "D", "d", ""},
	{oidTimestamp, 1115, "timestamp", "timestamp without time zone", 8, "D", "d", ""},
	{oidTimestamptz, 1185, "timestamptz", "timestamp with time zone", 8, "D", "d", ""},
	{oidInterval, 1187, "interval", "interval", 16, "T", "d", ""},
	{oidNumeric, 1231, "numeric", "numeric", -1, "N", "i", "decimal"},
	{2950, 2951, "uuid", "uuid", 16, "U", "c", ""},
	{oidRecord, 2287, "record", "record", -1, "P", "d", ""},
	{oidRegclass, 2210, "regclass", "regclass", 4, "N", "i", ""},
	{oidRegtype, 2211, "regtype", "regtype", 4, "N", "i", ""},
	{2278, 0, "void", "void", 4, "P", "i", ""},
	{3802, 3807, "jsonb", "jsonb", -1, "U", "i", ""},
	{oidRegnsp, 4090, "regnamespace", "regnamespace", 4, "N", "i", ""},
}

var typesByName, typesByOID, typesByArray = indexTypes()

func indexTypes() (byName map[string]*typeInfo, byOID, byArray map[uint32]*typeInfo) {
	byName, byOID, byArray = map[string]*typeInfo{}, map[uint32]*typeInfo{}, map[uint32]*typeInfo{}
	for i := range typeInfos {
		t := &typeInfos[i]
		byOID[t.oid] = t
		for _, name := range append([]string{t.name, t.title}, strings.Fields(t.aliases)...) {
			byName[name] = t
		}
		if t.array != 0 {
			byArray[t.array] = t
		}
	}
	return byName, byOID, byArray
}

// procs are how the functions are called that read and write types.
var procs = [...]string{"in", "out", "recv", "send"}

// procOf is a function that reads or writes a type, by its name.
func procOf(name string) (reg, bool) {
	name = strings.TrimPrefix(name, "pg_catalog.")
	for i, suffix := range procs {
		if name == "array_"+suffix {
			return reg{int64(750 + i), name}, true
		}
		if t := typesByName[strings.TrimSuffix(name, suffix)]; t != nil && strings.HasSuffix(name, suffix) {
			return reg{int64(t.oid)*10 + int64(i) + 1<<27, name}, true
		}
	}
	return reg{}, false
}

// formatType is PostgreSQL's function of that name.
func formatType(oid uint32) string {
	if t := typesByOID[oid]; t != nil {
		return t.title
	}
	if t := typesByArray[oid]; t != nil {
		return t.title + "[]"
	}
	return "???"
}

// TypeName is the type's name as SQL has it, such as "bigint"; "???" of one that is not known.
func TypeName(oid uint32) string { return formatType(oid) }

// arrayType is the type of arrays of a type.
func arrayType(oid uint32) uint32 {
	if t := typesByOID[oid]; t != nil && t.array != 0 {
		return t.array
	}
	return 1009
}

// elementType is the type of an array's elements, 0: it is no array.
func elementType(oid uint32) uint32 {
	switch oid {
	case oidInt2Vector:
		return oidInt2
	case oidOIDVector:
		return oidOID
	}
	if t := typesByArray[oid]; t != nil {
		return t.oid
	}
	return 0
}

// text is a value as text, as a cast to text gives it. One that is too long is an *Error that is panicked.
func text(v Value) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "true"
		}
		return "false"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		if math.IsInf(v, 0) {
			return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "Inf", "Infinity", 1)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case reg:
		return v.name
	case *array:
		return v.text()
	case *record:
		parts, n := make([]string, len(v.values)), 0
		for i, x := range v.values {
			if x != nil {
				parts[i] = text(x)
			}
			n += len(parts[i]) + 1
			within(n)
		}
		return "(" + strings.Join(parts, ",") + ")"
	}
	return ""
}

// text is '{1,2}' of an array, '1 2' of a vector.
func (a *array) text() string { return a.textWithin(within) }

// textWithin is text; within is asked about the bytes so far.
func (a *array) textWithin(within func(bytes int)) string {
	parts, n := make([]string, len(a.list)), 0
	for i, v := range a.list {
		switch s := text(v); {
		case a.vector:
			parts[i] = s
		case v == nil:
			parts[i] = "NULL"
		default:
			parts[i] = arrayElement(s)
		}
		n += len(parts[i]) + 1
		within(n)
	}
	if a.vector {
		return strings.Join(parts, " ")
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// arrayElement quotes an element's text where an array's text needs it.
func arrayElement(s string) string {
	if s == "" || strings.EqualFold(s, "null") || strings.ContainsAny(s, "{}\",\\ \t\n\r\v\f") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return s
}

// parseArray reads an array's text; ok is false when it is none.
func parseArray(s string) (list []Value, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, false
	}
	s = s[1 : len(s)-1]
	for len(s) > 0 {
		var b strings.Builder
		quoted := s[0] == '"'
		i := 0
		if quoted {
			for i = 1; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				b.WriteByte(s[i])
			}
			if i == len(s) {
				return nil, false
			}
			i++
		} else {
			for i < len(s) && s[i] != ',' {
				b.WriteByte(s[i])
				i++
			}
		}
		if element := b.String(); !quoted && strings.EqualFold(element, "null") {
			list = append(list, nil)
		} else {
			list = append(list, element)
		}
		if i < len(s) {
			if s[i] != ',' {
				return nil, false
			}
			i++
		}
		s = s[i:]
	}
	return list, true
}

// number is a value as a whole number, if it can be one.
func number(v Value) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case reg:
		return v.oid, true
	case float64:
		return int64(v), v == math.Trunc(v)
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		i, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return i, err == nil
	}
	return 0, false
}

func truthOf(s string) (value, ok bool) {
	switch lower(strings.TrimSpace(s)) {
	case "t", "true", "y", "yes", "on", "1":
		return true, true
	case "f", "false", "n", "no", "off", "0":
		return false, true
	}
	return false, false
}

// compare orders two values that are not NULL. A text beside something else is read as that.
func compare(a, b Value) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
		return -compare(b, a)
	case bool:
		y, ok := b.(bool)
		if s, isText := b.(string); isText {
			y, ok = truthOf(s)
		}
		switch {
		case !ok:
			return 1
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	case int64, reg, float64:
		if s, isText := b.(string); isText {
			if r, ok := x.(reg); ok && r.name == s {
				return 0
			}
			f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if err != nil {
				return strings.Compare(text(a), s)
			}
			b = f
		}
		return compareFloats(float(a), float(b))
	case *array:
		var other []Value
		switch y := b.(type) {
		case *array:
			other = y.list
		case string:
			other, _ = parseArray(y)
		}
		for i := range min(len(x.list), len(other)) {
			if c := compareOrNull(x.list[i], other[i]); c != 0 {
				return c
			}
		}
		return len(x.list) - len(other)
	case *record:
		y, ok := b.(*record)
		if !ok {
			return 1
		}
		for i := range min(len(x.values), len(y.values)) {
			if c := compareOrNull(x.values[i], y.values[i]); c != 0 {
				return c
			}
		}
		return len(x.values) - len(y.values)
	}
	return strings.Compare(text(a), text(b))
}

func float(v Value) float64 {
	if f, ok := v.(float64); ok {
		return f
	}
	i, _ := number(v)
	return float64(i)
}

func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareOrNull orders NULL behind everything.
func compareOrNull(a, b Value) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return compare(a, b)
}
