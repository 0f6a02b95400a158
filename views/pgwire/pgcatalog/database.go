package pgcatalog

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Database is what questions are asked of, as one session sees it at one time. It is for one goroutine.
type Database struct {
	Name    string // of the database
	User    string // who asks
	Version string // what version() says
	PID     uint32 // of the session
	Now     time.Time
	Tables  []Table

	// Setting returns a setting of the session. Optional.
	Setting func(name string) (value string, ok bool)

	// Set changes one, for set_config(); local is until the transaction ends. Optional.
	Set func(name, value string, local bool) error

	// Settings are all of them by name, for pg_settings. Optional.
	Settings func() [][2]string

	// Cursors are those of the session, in any order.
	Cursors []Cursor

	made []class // all relations; nil: not made yet
}

// Cursor is one that can be fetched from.
type Cursor struct {
	Name      string
	Statement string // that it was declared with
}

// Table is a table of the schema public.
type Table struct {
	Name    string
	Columns []Column
	Rows    int64
	Bytes   int64
}

// Column is a column of a table or of a result.
type Column struct {
	Name string
	OID  uint32 // of its type
	Key  bool   // part of the table's key
}

// keys are the numbers of the key's columns, from 1.
func (t Table) keys() []Value {
	var out []Value
	for i, c := range t.Columns {
		if c.Key {
			out = append(out, int64(i+1))
		}
	}
	return out
}

// keyName is the name of the table's key, which is an index and a constraint.
func (t Table) keyName() string { return t.Name + "_key" }

// Namespaces and owner, with PostgreSQL's numbers where these have some.
const (
	nspCatalog = 11
	nspPublic  = 2200
	nspSchema  = 13000 // information_schema
	owner      = 10
	ownerName  = "brotally"
	thisDB     = 5
	heap       = 2
	btree      = 403
)

var namespaces = []reg{{nspCatalog, "pg_catalog"}, {nspSchema, "information_schema"}, {nspPublic, "public"}}

func namespaceName(oid int64) string {
	for _, n := range namespaces {
		if n.oid == oid {
			return n.name
		}
	}
	return ""
}

// class is an entry of pg_class.
type class struct {
	oid       int64
	name      string
	namespace int64
	kind      string // r, i, v
	table     *Table // of public; its own, or its key's
}

// classes are all relations. A table's number follows from its name, so that it is the same in all sessions and processes.
func (db *Database) classes() []class {
	if db.made != nil {
		return db.made
	}
	var out []class
	taken := map[int64]bool{}
	add := func(c class, low int64) {
		h := fnv.New32a()
		h.Write([]byte(c.name)) //nolint:errcheck // never an error
		for c.oid = low + int64(h.Sum32())%(1<<24); taken[c.oid]; c.oid++ {
		}
		taken[c.oid] = true
		out = append(out, c)
	}
	for i := range db.Tables {
		t := &db.Tables[i]
		add(class{name: t.Name, namespace: nspPublic, kind: "r", table: t}, 1<<24)
	}
	for i := range db.Tables {
		if t := &db.Tables[i]; len(t.keys()) > 0 {
			add(class{name: t.keyName(), namespace: nspPublic, kind: "i", table: t}, 1<<25)
		}
	}
	for _, r := range relations {
		c := class{name: r.name, namespace: nspCatalog, kind: "r"}
		if r.schema == "information_schema" {
			c.namespace, c.kind = nspSchema, "v"
		}
		if oid, ok := wellKnown[r.name]; ok {
			c.oid = oid
			out = append(out, c)
			continue
		}
		add(c, 14000)
	}
	db.made = out
	return out
}

// wellKnown are numbers that clients write into their queries.
var wellKnown = map[string]int64{
	"pg_type": 1247, "pg_attribute": 1249, "pg_proc": 1255, "pg_class": 1259, "pg_authid": 1260, "pg_database": 1262, "pg_namespace": 2615,
	"pg_constraint": 2606, "pg_index": 2610, "pg_description": 2609, "pg_attrdef": 2604, "pg_am": 2601, "pg_trigger": 2620, "pg_rewrite": 2618,
}

func (db *Database) class(test func(class) bool) (class, bool) {
	all := db.classes()
	if i := slices.IndexFunc(all, test); i >= 0 {
		return all[i], true
	}
	return class{}, false
}

// named finds a relation by its name, with or without schema, quoted or not.
func (db *Database) named(name string) (class, bool) {
	tokens, err := Lex(name)
	if err != nil {
		return class{}, false
	}
	var parts []string
	for _, t := range tokens {
		if t.Kind == Word || t.Kind == Quoted {
			parts = append(parts, t.Text)
		}
	}
	if len(parts) == 0 {
		return class{}, false
	}
	// A name may have dots itself.
	schema, rest := "", strings.Join(parts, ".")
	if len(parts) > 1 && slices.ContainsFunc(namespaces, func(n reg) bool { return n.name == parts[0] }) {
		schema, rest = parts[0], strings.Join(parts[1:], ".")
	}
	return db.class(func(c class) bool {
		return c.name == rest && (schema == "" && c.namespace != nspSchema || schema == namespaceName(c.namespace))
	})
}

// relationOf finds a relation that FROM names.
func relationOf(schema, name string) *relationSpec {
	for i := range relations {
		r := &relations[i]
		if r.name == name && (r.schema == schema || schema == "" && r.schema == "pg_catalog") {
			return r
		}
	}
	return nil
}

// Has reports whether FROM schema.name is answered here. Without a schema it is pg_catalog.
func Has(schema, name string) bool {
	return schema == "pg_catalog" || schema == "information_schema" || schema == "" && relationOf("", name) != nil
}

// Asks reports whether a statement is for the catalog: it reads relations of it alone, or none at all.
func Asks(tokens []Token) bool {
	reads := false
	var common []string // names that WITH gives
	for i, t := range tokens {
		if name := i + 1; (t.Is("with") || t.Is("recursive") || t.Is(",")) && name+1 < len(tokens) && (tokens[name+1].Is("as") && tokens[min(name+2, len(tokens)-1)].Is("(") || tokens[name+1].Is("(")) && tokens[0].Is("with") {
			common = append(common, tokens[name].Text)
		}
		if !t.Is("from") && !t.Is("join") && !t.Is("update") && !t.Is("into") {
			continue
		}
		n := i + 1
		name := func() string {
			if t := tokens[min(n, len(tokens)-1)]; t.Kind == Word || t.Kind == Quoted {
				return t.Text
			}
			return ""
		}
		first := name()
		if first == "" || first == "lateral" || first == "only" {
			continue
		}
		schema := ""
		if n++; tokens[min(n, len(tokens)-1)].Is(".") {
			n++
			schema, first = first, name()
			n++
		}
		switch {
		case t.Is("from") && i > 1 && tokens[i-1].Is("distinct"): // IS DISTINCT FROM x
		case schema == "" && slices.Contains(common, first):
		case tokens[min(n, len(tokens)-1)].Is("("): // a function
		case Has(schema, first):
			return true
		default:
			reads = true
		}
	}
	return !reads
}

// row is a row by column name; what is missing is the column's default.
type rowOf map[string]Value

// relationSpec is a relation of the catalog.
type relationSpec struct {
	schema, name string
	columns      []Column
	defaults     []Value
	open         bool // it is empty, and takes any column's name
	fill         func(db *Database, add func(rowOf))
}

func (r *relationSpec) rows(db *Database) [][]Value {
	var out [][]Value
	if r.fill == nil {
		return nil
	}
	r.fill(db, func(given rowOf) {
		row := slices.Clone(r.defaults)
		for i, c := range r.columns {
			if v, ok := given[c.Name]; ok {
				row[i] = v
			}
		}
		out = append(out, row)
	})
	return out
}

// spec makes a relation of its columns: name, colon, type, and =default where that is not NULL.
func spec(name, columns string, fill func(db *Database, add func(rowOf))) relationSpec {
	r := relationSpec{schema: "pg_catalog", name: name, fill: fill}
	if schema, rest, ok := strings.Cut(name, "."); ok {
		r.schema, r.name = schema, rest
	}
	for _, c := range strings.Fields(columns) {
		c, def, given := strings.Cut(c, "=")
		name, typ, _ := strings.Cut(c, ":")
		element, isArray := strings.CutSuffix(typ, "[]")
		oid := typesByName[element].oid
		if isArray {
			oid = arrayType(oid)
		}
		r.columns = append(r.columns, Column{Name: name, OID: oid})
		var v Value
		if given {
			v = def
			switch {
			case oid == oidBool:
				v = def == "t"
			case typesByName[element].category == "N" && !isArray:
				v, _ = number(def)
			case isArray || typesByName[element].category == "A":
				v = &array{vector: !isArray}
			}
		}
		r.defaults = append(r.defaults, v)
	}
	r.open = fill == nil
	return r
}

var relations []relationSpec

func init() { relations = catalogRelations() }
