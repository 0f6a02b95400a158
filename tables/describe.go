package tables

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Detail is one thing to know about a definition before it runs.
type Detail struct {
	Part string     // what it is about: one of the constants
	Name string     // of the column, topic or the like; may be empty
	Type feeds.Type // Kind Null: it has none
	// Bytes estimates the memory that it takes in each group, as most groups are: short texts, a value or two in a sketch.
	// Most is what it can grow to. Both are 0 where it takes none.
	Bytes, Most int
	Text        string // in words; may be empty
}

// The parts of a description, in their order.
const (
	PartReads     = "reads"     // the feed
	PartInput     = "input"     // a column that is taken out of its records
	PartFilter    = "filter"    // WHERE
	PartWindow    = "window"    // WINDOW
	PartKey       = "key"       // a column of the key
	PartAggregate = "aggregate" // what a group keeps
	PartHaving    = "having"    // HAVING
	PartLimit     = "limit"     // MAX GROUPS
	PartLifetime  = "lifetime"  // EMIT FINAL, RETENTION, TTL
	PartColumn    = "column"    // of the result
	PartStage1    = "stage 1"
	PartGroup     = "group" // all that one takes
	PartTopic     = "topic"
	PartWarning   = "warning"
)

// Describe says what the table reads, keeps and shows, and what to beware of. Of Kafka it knows the feed's topics alone.
//
// How the bytes are estimated: a group takes 28 bytes for its place, the length of its key, 8 for each word of its
// aggregates and 40 with its length for each text that one holds; a sketch what one takes that has seen two values, and at
// most what one takes that has seen thousands of different ones, which is measured by filling one; count(DISTINCT x) at most
// what as many values take as are counted exactly, where rows have their values. Texts are taken to have 20 bytes,
// addresses to be IPv4; at most they are IPv6 and as long as a key part may be. [Groups.Bytes] of real tables is within half and twice
// of it.
func (t *Table) Describe() []Detail {
	d := []Detail{{Part: PartReads, Name: t.Feed.Name, Text: t.readsText()}}
	for _, c := range t.Inputs {
		d = append(d, Detail{Part: PartInput, Name: c.Name, Type: c.Type, Text: c.Doc})
	}
	if t.query.Where != nil {
		d = append(d, Detail{Part: PartFilter, Text: sql.Format(t.query.Where)})
	}
	if w := t.query.Window; w != nil {
		d = append(d, t.describeWindow())
	}
	group := Detail{Part: PartGroup, Bytes: groupBytes + 8*t.plan.layout.flags, Text: "a row's memory in stage 2, and again in each view"}
	group.Most = group.Bytes
	if t.Window != nil && t.Window.Kind == Session {
		group.Bytes, group.Most = group.Bytes+sessionGroupBytes+sessionBytes, group.Most+sessionGroupBytes+sessionBytes
	}
	for _, part := range slices.Concat(t.describeKey(), t.describeAggregates()) {
		d = append(d, part)
		group.Bytes += part.Bytes
		group.Most += part.Most
	}
	if t.query.Having != nil {
		d = append(d, Detail{Part: PartHaving, Text: sql.Format(t.query.Having)})
	}
	d = append(d, t.plan.lifetime.describe()...)
	if n := t.MaxGroups(); n > 0 && len(t.keys) > 0 {
		d = append(d, Detail{Part: PartLimit, Name: "max groups", Text: fmt.Sprintf("%d rows; what comes for further groups is one row a partition", n)})
	}
	for _, it := range t.plan.items {
		text := ""
		switch written := sql.Format(it.at); {
		case it.column.Key:
			text = "key"
		case written != it.column.Name:
			text = written
		}
		d = append(d, Detail{Part: PartColumn, Name: it.column.Name, Type: it.column.Type, Text: text})
	}
	if t.HasValues() {
		bytes, most := t.viewSize(group)
		group.Text = fmt.Sprintf("a row's memory in stage 2; in each view it takes %d, at most %d: those do without the different values", bytes, most)
	}
	d = append(d, Detail{Part: PartStage1, Bytes: group.Bytes, Most: group.Most, Text: t.stage1Text()}, group)
	return append(d, t.warnings(group.Bytes)...)
}

// describeWindow says how groups are divided by time. Sessions are found by a list of their own.
func (t *Table) describeWindow() Detail {
	d := Detail{Part: PartWindow, Name: strings.ToLower(string(t.Window.Kind))}
	switch w := t.Window; w.Kind {
	case Tumbling:
		d.Text = fmt.Sprintf("one begins every %v", w.Size)
	case Hopping:
		d.Text = fmt.Sprintf("one begins every %v and has %v, a record changes %d rows", w.Advance, w.Size, w.Size/w.Advance)
	case Session:
		d.Text = fmt.Sprintf("ends when nothing has come for %v", w.Gap)
		d.Bytes = sessionGroupBytes + sessionBytes
		d.Most = d.Bytes
	}
	d.Text += ", by " + t.plan.window.time.text
	return d
}

// Describe says what the stream reads and writes. It keeps nothing.
func (s *Stream) Describe() []Detail {
	d := []Detail{{Part: PartReads, Name: s.Feed.Name, Text: s.readsText()}}
	for _, c := range s.Inputs {
		d = append(d, Detail{Part: PartInput, Name: c.Name, Type: c.Type, Text: c.Doc})
	}
	if s.query.Where != nil {
		d = append(d, Detail{Part: PartFilter, Text: sql.Format(s.query.Where)})
	}
	for i, it := range s.plan.items {
		text := ""
		if written := sql.Format(it.at); written != it.column.Name {
			text = written
		}
		if i == s.key {
			d = append(d, Detail{Part: PartKey, Name: it.column.Name, Type: it.column.Type})
		}
		d = append(d, Detail{Part: PartColumn, Name: it.column.Name, Type: it.column.Type, Text: text})
	}
	if !s.HasKey() {
		d = append(d, Detail{Part: PartKey, Text: "topic/partition/offset of the feed's record"})
	}
	return append(d, Detail{Part: PartStage1, Text: "a record for every record that passes, in the transaction of what was read"})
}

// readsText says which topics are read, and from where.
func (t *Definition) readsText() string {
	topics := t.FeedTopics()
	text := "topic " + topics[0]
	if len(topics) > 1 {
		text = "topics " + strings.Join(topics, ", ")
	}
	switch start := t.Options.Start; {
	case start.Latest:
		return text + ", from what comes next"
	case !start.At.IsZero():
		return text + ", from " + start.At.UTC().Format(time.RFC3339)
	case start.Ago > 0:
		return text + ", from " + start.Ago.String() + " before it is made"
	}
	return text + ", from the oldest record"
}

func (t *Table) stage1Text() string {
	if len(t.plan.groups) == 0 {
		return "a commit interval, at most a second, becomes one partial: the aggregates, nothing of the records"
	}
	return "a commit interval, at most a second, becomes a partial a group: its key and aggregates, nothing of the records"
}

// groupBytes is what [Groups] takes for a group beside its key and state: its entry, and two slots, for the hash table is
// between three eighths and three quarters full. BenchmarkMemory measures it.
const groupBytes = entrySize + 2*slotSize

// extraPlace is what an extra's place in a State takes.
const extraPlace = 16

func (t *Table) describeKey() (d []Detail) {
	for _, it := range t.plan.items {
		if !it.column.Key {
			continue
		}
		g := t.plan.groups[it.group]
		part := Detail{Part: PartKey, Name: it.column.Name, Type: it.column.Type}
		part.Bytes = len(specimen(g.expr.typ, 1, false).AppendKey(nil))
		part.Most = len(specimen(g.expr.typ, 1, true).AppendKey(nil))
		if g.text != it.column.Name {
			part.Text = g.text
		}
		d = append(d, part)
	}
	return d
}

func (t *Table) describeAggregates() (d []Detail) {
	for _, a := range t.plan.aggregates {
		if a.spec == aggregates[isEstimate] {
			continue // nobody has written it
		}
		part := Detail{Part: PartAggregate, Name: a.text, Type: a.typ}
		if a.shares != nil {
			part.Text = "read off what " + a.shares.text + " keeps"
		} else {
			part.Bytes, part.Most, part.Text = a.size()
		}
		d = append(d, part)
	}
	return d
}

// size estimates the memory of the aggregate's cell, beside its flag.
func (a *aggregate) size() (bytes, most int, text string) {
	arg := a.argument()
	words, extras, _ := a.spec.room(arg.typ)
	bytes = 8*words + extraPlace*extras
	most = bytes
	if k, ok := a.kernel.(countDistinct); ok {
		few, many := k.size(arg.typ)
		text := fmt.Sprintf("up to %d different values one by one", k.values(arg.typ))
		if number, estimate := k.viewSize(arg.typ); estimate > number {
			text += fmt.Sprintf(", of more an estimate of %d bytes", estimate)
		}
		return bytes + few, most + many, text
	}
	k, ok := a.kernel.(sketched)
	switch {
	case ok:
		few, many := k.empty(), k.empty()
		for i := range 2 {
			few.add(specimen(arg.typ, i, false))
		}
		for i := range manyValues {
			many.add(specimen(arg.typ, i, true))
		}
		return bytes + few.bytes(), most + many.bytes(), "a sketch, which grows with the different values it sees"
	case extras > 0: // a text, or an array as a key has it
		form := specimen(arg.typ, 1, false).AppendKey(nil)
		return bytes + textOverhead + len(form), most + textOverhead + a.spec.most(arg), ""
	}
	return bytes, most, ""
}

// manyValues fill every sketch.
const manyValues = 10_000

// size estimates what a group's values take that has two, and one that has as many as are counted exactly.
func (a countDistinct) size(typ feeds.Type) (few, most int) {
	var two, many distinctValues
	for i := range 2 {
		two.take(appendDistinct(nil, specimen(typ, i, false)), a.bounds)
	}
	for i := range min(manyValues, a.bounds.values) {
		many.take(appendDistinct(nil, specimen(typ, i, true)), a.bounds)
	}
	most = many.bytes() + many.set.bytes()*(a.values(typ)-many.set.n)/many.set.n
	_, estimate := a.viewSize(typ)
	return two.bytes(), max(most, estimate)
}

// values is how many different ones of a type are counted exactly.
func (a countDistinct) values(typ feeds.Type) int {
	if typ.Kind == feeds.Bool {
		return 2
	}
	return a.bounds.values
}

// viewSize is what a group takes that has no values: their number, and at most an estimate of it.
func (a countDistinct) viewSize(typ feeds.Type) (bytes, most int) {
	number, estimate := &distinctValues{}, &distinctValues{many: &hyperLogLog{dense: true}}
	if a.values(typ) < a.bounds.values {
		estimate = number
	}
	return number.bytes(), estimate.bytes()
}

// viewSize estimates a row's memory in a view, where stage 2 takes what group says.
func (t *Table) viewSize(group Detail) (bytes, most int) {
	bytes, most = group.Bytes, group.Most
	for _, a := range t.plan.stored {
		if k, ok := a.kernel.(countDistinct); ok {
			few, many := k.size(a.argument().typ)
			number, estimate := k.viewSize(a.argument().typ)
			bytes, most = bytes-few+number, most-many+estimate
		}
	}
	return bytes, most
}

// specimen is a value of a type for estimates, another one for each i: one as most are, or one of the largest. Large numbers
// are of all magnitudes and lie in as many buckets of a percentile as there are.
func specimen(typ feeds.Type, i int, large bool) feeds.Value {
	switch typ.Kind {
	case feeds.String:
		size := 20
		if large {
			size = maxKeyPart
		}
		return feeds.StringValue(fmt.Sprintf("%0*d", size, i))
	case feeds.Bool:
		return feeds.BoolValue(i%2 == 0)
	case feeds.Bigint:
		if large {
			n := int64(64+i/2%64) << (56 - i/128%57)
			if i%2 == 1 {
				n = -n
			}
			return feeds.BigintValue(n)
		}
		return feeds.BigintValue(1000 + int64(i))
	case feeds.Ubigint:
		if large {
			return feeds.UbigintValue(uint64(64+i%64) << (57 - i/64%58))
		}
		return feeds.UbigintValue(1000 + uint64(i))
	case feeds.Numeric:
		return feeds.NumericValue(feeds.Int128{Lo: specimen(feeds.T(feeds.Ubigint), i, large).Uint()})
	case feeds.Double:
		return feeds.DoubleValue(spread(i, large))
	case feeds.Interval:
		return feeds.IntervalValue(spread(i, large))
	case feeds.Timestamp:
		return feeds.TimestampValue(1_700_000_000_000_000 + int64(i))
	case feeds.Inet:
		return feeds.InetValue(specimenAddr(i, large))
	case feeds.Subnet:
		addr := specimenAddr(i, large)
		return feeds.SubnetValue(prefixOf(addr))
	case feeds.Array:
		n := 3
		if large {
			n = maxKeyPart / 64
		}
		list := make([]feeds.Value, n)
		for j := range list {
			list[j] = specimen(feeds.T(typ.Elem), i+j, false)
		}
		return feeds.ArrayValue(list)
	}
	return feeds.NullValue
}

// spread is a number, a large one of either sign.
func spread(i int, large bool) float64 {
	if !large {
		return 1 + float64(i)
	}
	f := math.Ldexp(1+float64(i/2%64)/64, i/128%64)
	if i%2 == 1 {
		return -f
	}
	return f
}

func specimenAddr(i int, large bool) netip.Addr {
	if large {
		b := [16]byte{0: 0x20, 1: 1}
		binary.BigEndian.PutUint64(b[8:], uint64(i))
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func prefixOf(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }
