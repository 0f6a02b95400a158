// Package feeds knows what Zeek writes: the logs (feeds), their columns, the types of their values, and the record that a
// decoded message becomes. It is a leaf: everything else builds on it.
//
//	f, _ := feeds.Lookup("dns")
//	i, _ := f.Column("qtype_name")
//	fmt.Println(f.Columns[i].Type) // string
//
// A feed is a table of columns in a file of its own, or with others of its family: Zeek's names and types, a line on each in
// our words, and the names that other versions gave it. What is not built in is found by a [Discovery].
//
// # Values
//
// A [Value] is one typed cell. It is a plain struct, never an interface, because a stream processor touches millions of
// them a second. NULL is a value of its own: a field that Zeek left out, an empty string and an empty set stay three things.
package feeds
