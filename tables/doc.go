// Package tables turns SQL into what is computed: it resolves names and types, compiles expressions to closures, adds
// records up by group, and makes result rows of what was added up. It knows no Kafka and no file format.
//
//	all, err := tables.CompileFile("tables.sql", text, feeds.Lookup)
//	layout, err := tables.LayoutOf(all...)      // what a decoder must fill
//	c, err := all[0].NewCombiner(layout)        // stage 1
//	c.Add(&record)
//	for key, state := range c.Groups().All() {  // one partial a group
//		b = t.AppendState(b, state)             // over Kafka, then in stage 2:
//		t.ReadState(b, partial)
//		t.Merge(row, partial)
//		values, err = t.Row(key, row, values)
//	}
//
// A stream has no groups: a [Projector] makes its records.
//
//	p, err := stream.NewProjector(layout)
//	p.Project(&record, func(key feeds.Value, row []feeds.Value) (more bool) { .. })
//
// # Evaluation
//
// Nothing is looked up by name while records flow: every expression is a closure over slots. Logic is three-valued. What
// the SQL standard makes an error at run time (overflow, division by zero, a text that does not convert) is NULL and
// counted: no record can stop a table.
//
// # Numbers
//
// bigint is 64 bits, numeric 128; ubigint with any other integer kind computes as numeric, integers with double as
// double. Sums of integers are exact in any order; sums of doubles are compensated, good to 1e-9 in any order.
package tables
