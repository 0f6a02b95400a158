package feeds

import (
	"slices"
	"strings"
)

// newFeed puts a feed together: its columns in the log's order, then the ones that every log can have. A dotted column
// also answers to its name with underscores, which is what sites get that redefine Log::default_scope_sep.
func newFeed(name, doc string, parts ...[]Column) *Feed {
	f := &Feed{Name: name, Doc: doc, Columns: slices.Concat(parts...)}
	if _, ok := f.Column("id.orig_h"); ok {
		f.Columns = append(f.Columns, contextColumns...)
	}
	f.Columns = append(f.Columns, extensionColumns...)
	for i, c := range f.Columns {
		if strings.Contains(c.Name, ".") {
			f.Columns[i].Aliases = slices.Concat(c.Aliases, []string{strings.ReplaceAll(c.Name, ".", "_")})
		}
	}
	return f
}

// col is one column; aliases are names that other versions gave the same field with the same meaning.
func col(name string, t Type, doc string, aliases ...string) Column {
	return Column{Name: name, Type: t, Doc: doc, Aliases: aliases}
}

// within returns the columns as those of a record inside the log's own: orig_h within id is id.orig_h.
func within(name string, columns []Column) []Column {
	inner := slices.Clone(columns)
	for i := range inner {
		inner[i].Name = name + "." + inner[i].Name
	}
	return inner
}

// The types that columns of Zeek's logs have.
var (
	str       = T(String)
	boolean   = T(Bool)
	count     = T(Ubigint)
	integer   = T(Bigint)
	port      = T(Bigint)
	double    = T(Double)
	doubles   = ArrayOf(Double)
	instant   = T(Timestamp)
	seconds   = T(Interval)
	addr      = T(Inet)
	texts     = ArrayOf(String)
	counts    = ArrayOf(Ubigint)
	addrs     = ArrayOf(Inet)
	intervals = ArrayOf(Interval)
)

// connectionColumns are what Zeek puts first into the log of anything that happened on a connection.
var connectionColumns = []Column{
	col("ts", instant, "when it began"),
	col("uid", str, "the connection's identifier, the same in all logs"),
	col("id.orig_h", addr, "address of the side that opened the connection"),
	col("id.orig_p", port, "port of the side that opened the connection"),
	col("id.resp_h", addr, "address of the side that was called"),
	col("id.resp_p", port, "port of the side that was called"),
}

// contextColumns are what a connection's identifier can hold besides.
var contextColumns = []Column{
	col("id.ctx.vlan", integer, "the outer VLAN, where VLANs tell connections apart (8.0 and later)"),
	col("id.ctx.inner_vlan", integer, "the inner VLAN, where VLANs tell connections apart (8.0 and later)"),
}

// extensionColumns are what log extensions and shippers add to any log.
var extensionColumns = []Column{
	col("_path", str, "the log's name, where a shipper adds it"),
	col("_system_name", str, "the sensor, where a log extension adds it"),
	col("_write_ts", instant, "when the record was written, where a log extension adds it"),
}
