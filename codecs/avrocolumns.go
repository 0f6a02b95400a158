package codecs

import "github.com/brotally/brotally/feeds"

// AvroColumns returns the columns that records of a schema have, in its order, under the schema's names, with dots where
// records lie in records. A field that no column can be, such as a map, is
// none. texts are as [Schemas] has them.
func AvroColumns(texts []string) (names []string, types []feeds.Type, err error) {
	root, err := parseAvro(texts)
	if err != nil {
		return nil, nil, err
	}
	left := maxFields
	var add func(n *avroNode, path string, depth int)
	add = func(n *avroNode, path string, depth int) {
		if left--; left < 0 {
			return
		}
		if inner := n.record(); inner != nil {
			for _, f := range inner.fields {
				if depth < deepestField {
					add(f.node, join(path, f.name), depth+1)
				}
			}
			return
		}
		t := n.columnType()
		if t.Kind == feeds.Null || path == "" {
			return
		}
		names, types = append(names, path), append(types, t)
	}
	add(root, "", 0)
	return names, types, nil
}

// columnType returns the type of the column that values of a schema's type are best read into; Null for none.
func (n *avroNode) columnType() feeds.Type {
	switch n.kind {
	case avroBoolean:
		return feeds.T(feeds.Bool)
	case avroInt, avroLong:
		switch n.logical {
		case "date", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos":
			return feeds.T(feeds.Timestamp)
		case "time-millis", "time-micros":
			return feeds.T(feeds.Interval)
		}
		return feeds.T(feeds.Bigint)
	case avroFloat, avroDouble:
		return feeds.T(feeds.Double)
	case avroString, avroEnum:
		return feeds.T(feeds.String)
	case avroBytes, avroFixed:
		switch {
		case n.logical == "decimal" && n.scale == 0:
			return feeds.T(feeds.Numeric)
		case n.logical == "decimal":
			return feeds.T(feeds.Double)
		}
		return feeds.T(feeds.String)
	case avroArray:
		if items := n.items.columnType(); items.Kind != feeds.Null && items.Kind != feeds.Array {
			return feeds.ArrayOf(items.Kind)
		}
	case avroUnion:
		var t feeds.Type
		for _, b := range n.branches {
			switch of := b.columnType(); {
			case b.kind == avroNull || of == t:
			case t.Kind == feeds.Null:
				t = of
			default:
				return feeds.T(feeds.String) // of several types there is no better one
			}
		}
		return t
	}
	return feeds.Type{}
}
