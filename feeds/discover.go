package feeds

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Discovery finds out which columns a feed has from samples of it: records, or the header of a log file. It serves
// logs that are not built in, and fields that a built-in feed does not know. The same samples in the same order always
// give the same feed.
type Discovery struct {
	name     string
	columns  []Column // those found, in order of first appearance
	found    map[string]int
	negative map[string]bool // the columns with an integer below zero
	declared map[string]bool // the columns whose type a header told
}

// maxColumns bounds what a discovery keeps. Zeek's widest logs have about a hundred columns.
const maxColumns = 2000

// NewDiscovery begins to find out the columns of the feed with that name.
func NewDiscovery(name string) *Discovery {
	return &Discovery{name: name, found: map[string]int{}, negative: map[string]bool{}, declared: map[string]bool{}}
}

// Discover returns the feed of that name as the records show it; see [Discovery.Feed].
func Discover(name string, records ...[]byte) (*Feed, error) {
	d := NewDiscovery(name)
	for i, record := range records {
		if err := d.AddRecord(record); err != nil {
			return nil, fmt.Errorf("record %d of %s: %w", i+1, name, err)
		}
	}
	return d.Feed(), nil
}

// AddHeader takes the columns of a log file's header. Their types beat what records show: JSON cannot tell a port from a
// count or an interval from a double. Types that are not known (the zero Type) are left to records.
func (d *Discovery) AddHeader(names []string, types []Type) {
	for i, name := range names {
		var t Type
		if i < len(types) {
			t = types[i]
		}
		if t.Kind != Null && !d.declared[name] {
			d.declared[name] = true
			if at, known := d.found[name]; known {
				d.columns[at].Type = t
				continue
			}
		}
		d.add(name, t)
	}
}

// AddRecord takes the members of one record, a JSON object without wrapping. Objects in it are columns with dotted names.
func (d *Discovery) AddRecord(record []byte) error {
	if !json.Valid(record) || bytes.TrimLeft(record, " \t\r\n")[0] != '{' {
		return fmt.Errorf("discover columns: not a JSON object: %.40q", record)
	}
	dec := json.NewDecoder(bytes.NewReader(record))
	dec.UseNumber()
	dec.Token() // the opening brace
	d.addMembers(dec, "")
	return nil
}

// addMembers reads an object's members behind its opening brace. Syntax has been checked.
func (d *Discovery) addMembers(dec *json.Decoder, prefix string) {
	for dec.More() {
		key, _ := dec.Token()
		name := prefix + key.(string)
		token, _ := dec.Token()
		switch token {
		case json.Delim('{'):
			d.addMembers(dec, name+".")
		case json.Delim('['):
			d.see(name, ArrayOf(d.elements(dec, name)))
		default:
			d.see(name, T(d.kindOf(token, name)))
		}
	}
	dec.Token() // the closing brace
}

// elements reads an array behind its opening bracket and returns the kind that takes all its elements.
func (d *Discovery) elements(dec *json.Decoder, name string) Kind {
	kind := Null
	for dec.More() {
		token, _ := dec.Token()
		e := String // what is no scalar has no better type; such a field will be NULL
		if _, nested := token.(json.Delim); nested {
			skipNested(dec)
		} else {
			e = d.kindOf(token, name)
		}
		kind = unite(kind, e)
	}
	dec.Token() // the closing bracket
	return kind
}

func skipNested(dec *json.Decoder) {
	for depth := 1; depth > 0; {
		token, err := dec.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// kindOf returns the kind of a JSON scalar. Zeek writes doubles with a point or an exponent, integers without.
func (d *Discovery) kindOf(token json.Token, name string) Kind {
	switch v := token.(type) {
	case bool:
		return Bool
	case string:
		return String
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return Double
		}
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			if i < 0 {
				d.negative[name] = true
			}
			return Bigint
		}
		if _, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return Ubigint
		}
		return Double
	}
	return Null
}

// unite returns the kind that takes values of both kinds; Null, of which nothing is known, gives way to any.
func unite(a, b Kind) Kind {
	switch {
	case a == b || b == Null:
		return a
	case a == Null:
		return b
	case a == Double && b.IsNumber() || b == Double && a.IsNumber():
		return Double
	case a.IsInteger() && b.IsInteger():
		return Numeric // ubigint after all, when none is negative
	}
	return String
}

// see is add for what a record shows.
func (d *Discovery) see(name string, t Type) {
	if !d.declared[name] {
		d.add(name, t)
	}
}

// add notes that a column was seen with a type; the zero Type says nothing of it.
func (d *Discovery) add(name string, t Type) {
	i, known := d.found[name]
	if !known {
		if len(d.columns) < maxColumns {
			d.found[name] = len(d.columns)
			d.columns = append(d.columns, Column{Name: name, Type: t})
		}
		return
	}
	have := &d.columns[i].Type
	switch {
	case t.Kind == Null:
	case have.Kind == Null:
		*have = t
	case have.Kind == Array && t.Kind == Array:
		have.Elem = unite(have.Elem, t.Elem)
	case have.Kind == Array || t.Kind == Array:
		*have = T(String)
	default:
		have.Kind = unite(have.Kind, t.Kind)
	}
}

// Feed returns the feed as found so far. A built-in feed keeps its columns, what it does not know comes behind them. In
// other feeds ts, the connection's four columns and those of log extensions have the type that they have in all of
// Zeek's logs, all others the type that was seen: integers are bigint, or ubigint when one is too large for that
// (numeric when another is negative), numbers double; what was only ever null, or of several types, is string.
func (d *Discovery) Feed() *Feed {
	f := &Feed{Name: d.name, Doc: "found in its records"}
	if builtIn, ok := Lookup(d.name); ok {
		f.Doc = builtIn.Doc
		f.Columns = slices.Clone(builtIn.Columns)
	}
	everywhere := newFeed("", "", connectionColumns)
	for _, c := range d.columns {
		if _, known := f.Column(c.Name); known {
			continue
		}
		if i, known := everywhere.Column(c.Name); known && everywhere.Columns[i].Name == c.Name {
			f.Columns = append(f.Columns, everywhere.Columns[i])
			continue
		}
		if c.Type.Kind == Array {
			c.Type.Elem = d.final(c.Type.Elem, c.Name)
		} else {
			c.Type.Kind = d.final(c.Type.Kind, c.Name)
		}
		c.Doc = "found in records, not documented by Zeek"
		f.Columns = append(f.Columns, c)
	}
	return f
}

// final returns the kind that a column gets in the end.
func (d *Discovery) final(k Kind, name string) Kind {
	switch {
	case k == Null:
		return String
	case k == Numeric && !d.negative[name]:
		return Ubigint
	}
	return k
}
