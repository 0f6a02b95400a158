// Package codectest says what every codec of records must do, as a test that each of them runs.
//
//	func TestConformance(t *testing.T) {
//		codectest.Run(t, codectest.Codec{New: newDecoder, Encode: encode})
//	}
package codectest

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"github.com/brotally/brotally/feeds"
)

// Decoder reads messages of one layout. It is what the processors need of a codec.
type Decoder interface {
	Decode(msg []byte, rec *feeds.Record) error
}

// Codec is what a conformance run needs.
type Codec struct {
	// New returns a decoder of the layout's columns.
	New func(layout *feeds.Layout) Decoder
	// Encode returns a message that holds the columns with the values, in that order, as another program would have
	// written it. Columns whose value is NULL are left out.
	Encode func(columns []feeds.Column, values []feeds.Value) []byte
	// NoEmptyElement says that the format cannot tell an array of one empty string from the empty array, as TSV cannot.
	NoEmptyElement bool
}

// Run runs all tests.
func Run(t *testing.T, c Codec) {
	t.Run("values survive", c.testValues)
	t.Run("NULL, empty string and empty array are three things", c.testEmpty)
	t.Run("only the layout's columns are read", c.testSubset)
	t.Run("the order of columns does not matter", c.testOrder)
	t.Run("a feed's own columns are read under their names", c.testFeeds)
	t.Run("a record has nothing of the one before", c.testReuse)
	t.Run("clones outlive the message", c.testClone)
	t.Run("what is cut or changed never panics", c.testDamage)
}

// values are those that a feed's column can have, the extremes of each type among them.
func values() []feeds.Value {
	str := feeds.StringValue
	vs := []feeds.Value{
		str("www.example.com"), str(`quotes " and \ backslashes`), str("tabs\tand\nnewlines\r"), str("ñ 😀 \u2028"),
		str(`\x07`), str("-"), str("(empty)"), str(",|#"), str("#fields"), str("{}"), str("null"), str("0"),
		feeds.BoolValue(true), feeds.BoolValue(false),
		feeds.BigintValue(0), feeds.BigintValue(-1), feeds.BigintValue(math.MaxInt64), feeds.BigintValue(math.MinInt64),
		feeds.UbigintValue(0), feeds.UbigintValue(1<<53 + 1), feeds.UbigintValue(math.MaxUint64),
		feeds.DoubleValue(0), feeds.DoubleValue(-1.5), feeds.DoubleValue(math.MaxFloat64), feeds.DoubleValue(math.SmallestNonzeroFloat64), feeds.DoubleValue(1e21), feeds.DoubleValue(1),
		feeds.IntervalValue(0.000001), feeds.IntervalValue(-0.085938), feeds.IntervalValue(100801.101439), feeds.IntervalValue(60),
		feeds.TimestampValue(0), feeds.TimestampValue(1575413122764317), feeds.TimestampValue(-315619200000000), feeds.TimestampValue(1), feeds.TimestampValue(1575413122000000),
		feeds.ArrayValue([]feeds.Value{str("a"), str("b,c"), feeds.NullValue, str("")}),
		feeds.ArrayValue([]feeds.Value{feeds.IntervalValue(36), feeds.IntervalValue(0.5)}),
		feeds.ArrayValue([]feeds.Value{feeds.UbigintValue(0), feeds.NullValue, feeds.UbigintValue(2)}),
	}
	for _, a := range []string{"0.0.0.0", "10.18.20.97", "255.255.255.255", "::", "2001:db8::1", "::ffff:10.0.0.1"} {
		vs = append(vs, feeds.InetValue(netip.MustParseAddr(a)))
	}
	for _, p := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32", "::/0"} {
		vs = append(vs, feeds.SubnetValue(netip.MustParsePrefix(p)))
	}
	return append(vs, feeds.ArrayValue([]feeds.Value{vs[len(vs)-7], vs[len(vs)-9]}))
}

// column returns a column that can have v.
func column(name string, v feeds.Value) feeds.Column {
	t := feeds.T(v.Kind())
	if v.Kind() == feeds.Array {
		t.Elem = v.List()[0].Kind()
	}
	return feeds.Column{Name: name, Type: t}
}

// table returns columns named c0, c1, .. for vs.
func table(vs []feeds.Value) []feeds.Column {
	var columns []feeds.Column
	for i, v := range vs {
		columns = append(columns, column(fmt.Sprintf("c%d", i), v))
	}
	return columns
}

func layout(columns []feeds.Column) *feeds.Layout {
	return &feeds.Layout{Feed: "test", Columns: columns}
}

// expect decodes a message, and compares the record with want.
func expect(t *testing.T, d Decoder, msg []byte, rec *feeds.Record, want []feeds.Value) {
	t.Helper()
	if err := d.Decode(msg, rec); err != nil {
		t.Fatalf("%.200q: %v", msg, err)
	}
	if rec.BadFields != 0 {
		t.Errorf("%.200q: %d bad fields", msg, rec.BadFields)
	}
	if len(rec.Values) != len(want) {
		t.Fatalf("%.200q: %d values, want %d", msg, len(rec.Values), len(want))
	}
	for i := range want {
		if got := rec.Values[i]; got.Kind() != want[i].Kind() || !feeds.Equal(got, want[i]) {
			t.Errorf("%.200q: value %d is %v (%v), want %v (%v)", msg, i, got, got.Kind(), want[i], want[i].Kind())
		}
	}
}

func (c Codec) testValues(t *testing.T) {
	for _, v := range values() {
		columns := []feeds.Column{column("x", v)}
		var rec feeds.Record
		expect(t, c.New(layout(columns)), c.Encode(columns, []feeds.Value{v}), &rec, []feeds.Value{v})
	}
	all := values()
	columns := table(all)
	var rec feeds.Record
	expect(t, c.New(layout(columns)), c.Encode(columns, all), &rec, all)
}

func (c Codec) testEmpty(t *testing.T) {
	columns := []feeds.Column{
		{Name: "s", Type: feeds.T(feeds.String)}, {Name: "a", Type: feeds.ArrayOf(feeds.String)}, {Name: "n", Type: feeds.ArrayOf(feeds.Ubigint)},
	}
	d := c.New(layout(columns))
	empty, none := feeds.StringValue(""), feeds.ArrayValue(nil)
	cases := [][]feeds.Value{
		{empty, none, none},
		{feeds.NullValue, feeds.NullValue, none},
		{feeds.NullValue, none, feeds.NullValue},
		{empty, feeds.NullValue, feeds.NullValue},
		{feeds.StringValue("x"), feeds.NullValue, feeds.NullValue},
	}
	if !c.NoEmptyElement {
		cases = append(cases, []feeds.Value{empty, feeds.ArrayValue([]feeds.Value{empty}), none})
	}
	for _, vs := range cases {
		var rec feeds.Record
		expect(t, d, c.Encode(columns, vs), &rec, vs)
	}
}

func (c Codec) testSubset(t *testing.T) {
	all := values()
	columns := table(all)
	msg := c.Encode(columns, all)
	for i := range columns {
		wanted := []feeds.Column{{Name: "absent", Type: feeds.T(feeds.String)}, columns[i]}
		var rec feeds.Record
		expect(t, c.New(layout(wanted)), msg, &rec, []feeds.Value{feeds.NullValue, all[i]})
	}
	var rec feeds.Record
	expect(t, c.New(layout(nil)), msg, &rec, nil)
}

func (c Codec) testOrder(t *testing.T) {
	all := values()
	columns := table(all)
	d := c.New(layout(columns))
	var back []feeds.Column
	var backValues []feeds.Value
	for i := len(all) - 1; i >= 0; i-- {
		back, backValues = append(back, columns[i]), append(backValues, all[i])
	}
	var rec feeds.Record
	expect(t, d, c.Encode(back, backValues), &rec, all)
}

// testFeeds encodes records of feeds with all their columns: dots in names, once and twice, and several names a column.
func (c Codec) testFeeds(t *testing.T) {
	byType := map[feeds.Type]feeds.Value{}
	for _, v := range values() {
		if typ := column("", v).Type; byType[typ].IsNull() {
			byType[typ] = v
		}
	}
	for _, name := range []string{"dns", "conn", "x509", "software", "openflow", "smb_cmd", "stats"} {
		f, ok := feeds.Lookup(name)
		if !ok {
			t.Fatalf("no feed %s", name)
		}
		var columns []feeds.Column
		var vs []feeds.Value
		for _, col := range f.Columns {
			if v := byType[col.Type]; !v.IsNull() && col.Name[0] != '_' {
				columns, vs = append(columns, col), append(vs, v)
			}
		}
		if len(columns) < len(f.Columns)/2 {
			t.Fatalf("only %d of %d columns of %s have a value", len(columns), len(f.Columns), name)
		}
		var rec feeds.Record
		expect(t, c.New(layout(columns)), c.Encode(columns, vs), &rec, vs)
		expect(t, c.New(layout(columns[:2])), c.Encode(columns, vs), &rec, vs[:2])
	}
}

func (c Codec) testReuse(t *testing.T) {
	all := values()
	columns := table(all)
	d := c.New(layout(columns))
	var rec feeds.Record
	for i := range all {
		expect(t, d, c.Encode(columns, all), &rec, all)
		one := make([]feeds.Value, len(all))
		one[i] = all[i]
		expect(t, d, c.Encode(columns, one), &rec, one)
	}
	small := c.New(layout(columns[:1]))
	expect(t, small, c.Encode(columns, all), &rec, all[:1])
	expect(t, d, c.Encode(columns, all), &rec, all)
}

func (c Codec) testClone(t *testing.T) {
	all := values()
	columns := table(all)
	d := c.New(layout(columns))
	msg := c.Encode(columns, all)
	var rec feeds.Record
	expect(t, d, msg, &rec, all)
	var kept []feeds.Value
	for _, v := range rec.Values {
		kept = append(kept, v.Clone())
	}
	for i := range msg {
		msg[i] = '?'
	}
	for range 3 {
		expect(t, d, c.Encode(columns, make([]feeds.Value, len(all))), &rec, make([]feeds.Value, len(all)))
	}
	for i, v := range kept {
		if !feeds.Equal(v, all[i]) {
			t.Errorf("the clone of %v became %v", all[i], v)
		}
	}
}

func (c Codec) testDamage(t *testing.T) {
	all := values()
	columns := table(all)
	d := c.New(layout(columns))
	msg := c.Encode(columns, all)
	var rec feeds.Record
	for i := range msg {
		_ = d.Decode(msg[:i], &rec) // any result but a panic will do: a shorter message may be one too
		damaged := append([]byte(nil), msg...)
		for _, b := range []byte{0, 0xff, msg[i] ^ 1, '"', '\\', '\n'} {
			damaged[i] = b
			_ = d.Decode(damaged, &rec)
		}
	}
	expect(t, d, msg, &rec, all)
}
