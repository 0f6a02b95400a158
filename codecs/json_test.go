package codecs

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
)

// layoutOf returns a layout of one column a type, named by it: col_bigint, col_string[].
func layoutOf(types ...feeds.Type) *feeds.Layout {
	layout := &feeds.Layout{Feed: "test"}
	for _, t := range types {
		layout.Slot(feeds.Column{Name: "col_" + t.String(), Type: t})
	}
	return layout
}

func feedLayout(t testing.TB, feed string, columns ...string) *feeds.Layout {
	t.Helper()
	f, ok := feeds.Lookup(feed)
	if !ok {
		t.Fatalf("no feed %s", feed)
	}
	layout := &feeds.Layout{Feed: feed}
	for _, name := range columns {
		i, ok := f.Column(name)
		if !ok {
			t.Fatalf("%s has no column %s", feed, name)
		}
		layout.Slot(f.Columns[i])
	}
	return layout
}

// valuesText returns a record as text, with strings quoted so that NULL, "" and [] stay apart.
func valuesText(rec *feeds.Record) string {
	var parts []string
	for _, v := range rec.Values {
		parts = append(parts, string(v.AppendJSON(nil)))
	}
	return strings.Join(parts, " ")
}

func TestDecodeValues(t *testing.T) {
	array := func(vs ...feeds.Value) feeds.Value { return feeds.ArrayValue(vs) }
	str := feeds.StringValue
	bad := feeds.Value{} // NULL, and counted
	for _, tt := range []struct {
		name string
		typ  feeds.Type
		json string
		want feeds.Value
		bad  int
	}{
		{"a string", feeds.T(feeds.String), `"www"`, str("www"), 0},
		{"the empty string is not NULL", feeds.T(feeds.String), `""`, str(""), 0},
		{"null is NULL", feeds.T(feeds.String), `null`, bad, 0},
		{"escapes", feeds.T(feeds.String), `"\"\\\/\b\f\n\r\t\u00e9\u0000"`, str("\"\\/\b\f\n\r\té\x00"), 0},
		{"a surrogate pair", feeds.T(feeds.String), `"\ud83d\ude00"`, str("😀"), 0},
		{"half a surrogate pair", feeds.T(feeds.String), `"\ud83dx\ude00"`, str("\ufffdx\ufffd"), 0},
		{"two high surrogates", feeds.T(feeds.String), `"\ud83d\ud83d\ude00"`, str("\ufffd😀"), 0},
		{"bytes that are no UTF-8", feeds.T(feeds.String), "\"a\xff\xc3(\"", str("a\ufffd\ufffd("), 0},
		{"Zeek's own escapes stay", feeds.T(feeds.String), `"\\x07"`, str(`\x07`), 0},
		{"a number is no string", feeds.T(feeds.String), `5`, bad, 1},
		{"an array is no string", feeds.T(feeds.String), `["a"]`, bad, 1},
		{"an object is no string", feeds.T(feeds.String), `{"a":1}`, bad, 1},

		{"true", feeds.T(feeds.Bool), `true`, feeds.BoolValue(true), 0},
		{"false", feeds.T(feeds.Bool), `false`, feeds.BoolValue(false), 0},
		{"a string is no bool", feeds.T(feeds.Bool), `"T"`, bad, 1},
		{"a number is no bool", feeds.T(feeds.Bool), `1`, bad, 1},
		{"a bool is no number", feeds.T(feeds.Bigint), `true`, bad, 1},

		{"a port", feeds.T(feeds.Bigint), `53`, feeds.BigintValue(53), 0},
		{"the least bigint", feeds.T(feeds.Bigint), `-9223372036854775808`, feeds.BigintValue(math.MinInt64), 0},
		{"below it", feeds.T(feeds.Bigint), `-9223372036854775809`, bad, 1},
		{"the largest bigint", feeds.T(feeds.Bigint), `9223372036854775807`, feeds.BigintValue(math.MaxInt64), 0},
		{"above it", feeds.T(feeds.Bigint), `9223372036854775808`, bad, 1},
		{"whole with a point", feeds.T(feeds.Bigint), `-12.00`, feeds.BigintValue(-12), 0},
		{"whole with an exponent", feeds.T(feeds.Bigint), `1.50e1`, feeds.BigintValue(15), 0},
		{"whole with a negative exponent", feeds.T(feeds.Bigint), `1200E-2`, feeds.BigintValue(12), 0},
		{"not whole", feeds.T(feeds.Bigint), `1.5`, bad, 1},
		{"not whole by its exponent", feeds.T(feeds.Bigint), `15e-1`, bad, 1},
		{"a string that holds a number", feeds.T(feeds.Bigint), `"53"`, bad, 1},

		{"a count over 2^53", feeds.T(feeds.Ubigint), `9007199254740993`, feeds.UbigintValue(9007199254740993), 0},
		{"the largest count", feeds.T(feeds.Ubigint), `18446744073709551615`, feeds.UbigintValue(math.MaxUint64), 0},
		{"the largest count with an exponent", feeds.T(feeds.Ubigint), `1844674407370955161.5e1`, feeds.UbigintValue(math.MaxUint64), 0},
		{"above it", feeds.T(feeds.Ubigint), `18446744073709551616`, bad, 1},
		{"a negative count", feeds.T(feeds.Ubigint), `-1`, bad, 1},
		{"minus zero", feeds.T(feeds.Ubigint), `-0`, feeds.UbigintValue(0), 0},
		{"a zero with a huge exponent", feeds.T(feeds.Ubigint), `0.0e99999999999`, feeds.UbigintValue(0), 0},
		{"a huge exponent", feeds.T(feeds.Ubigint), `1e99999999999`, bad, 1},
		{"leading zeros behind the point", feeds.T(feeds.Ubigint), `0.0005e4`, feeds.UbigintValue(5), 0},
		{"zeros in the middle", feeds.T(feeds.Ubigint), `10203e2`, feeds.UbigintValue(1020300), 0},

		{"a double", feeds.T(feeds.Double), `1.1920928955078125e-7`, feeds.DoubleValue(1.1920928955078125e-7), 0},
		{"a whole double", feeds.T(feeds.Double), `5`, feeds.DoubleValue(5), 0},
		{"a double out of range", feeds.T(feeds.Double), `1e999`, bad, 1},
		{"null for NaN", feeds.T(feeds.Double), `null`, bad, 0},
		{"an interval", feeds.T(feeds.Interval), `0.0012309551239013672`, feeds.IntervalValue(0.0012309551239013672), 0},
		{"a negative interval", feeds.T(feeds.Interval), `-0.085938`, feeds.IntervalValue(-0.085938), 0},

		{"an IPv4 address", feeds.T(feeds.Inet), `"10.1.2.3"`, feeds.InetValue(netip.MustParseAddr("10.1.2.3")), 0},
		{"an IPv6 address", feeds.T(feeds.Inet), `"2001:DB8::1"`, feeds.InetValue(netip.MustParseAddr("2001:db8::1")), 0},
		{"an address with a zone", feeds.T(feeds.Inet), `"fe80::1%eth0"`, bad, 1},
		{"no address", feeds.T(feeds.Inet), `"10.1.2"`, bad, 1},
		{"an address as a number", feeds.T(feeds.Inet), `167838211`, bad, 1},
		{"a subnet", feeds.T(feeds.Subnet), `"10.0.0.0/8"`, feeds.SubnetValue(netip.MustParsePrefix("10.0.0.0/8")), 0},
		{"no subnet", feeds.T(feeds.Subnet), `"10.0.0.0/33"`, bad, 1},
		{"an address is no subnet", feeds.T(feeds.Subnet), `"10.0.0.0"`, bad, 1},

		{"an array", feeds.ArrayOf(feeds.String), `["a", "b"]`, array(str("a"), str("b")), 0},
		{"the empty array is not NULL", feeds.ArrayOf(feeds.String), `[ ]`, array(), 0},
		{"an unset element", feeds.ArrayOf(feeds.Ubigint), `[0,null,2]`, array(feeds.UbigintValue(0), bad, feeds.UbigintValue(2)), 0},
		{"a scalar is no array", feeds.ArrayOf(feeds.String), `"a"`, bad, 1},
		{"an element of another type", feeds.ArrayOf(feeds.String), `["a",1,2]`, bad, 1},
		{"an array in an array", feeds.ArrayOf(feeds.String), `["a",["b"]]`, bad, 1},
		{"TTLs", feeds.ArrayOf(feeds.Interval), `[119.0,59]`, array(feeds.IntervalValue(119), feeds.IntervalValue(59)), 0},
		{"addresses", feeds.ArrayOf(feeds.Inet), `["::1"]`, array(feeds.InetValue(netip.MustParseAddr("::1"))), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layout := layoutOf(tt.typ)
			var rec feeds.Record
			if err := NewJSON(layout).Decode([]byte(`{"x":1,"`+layout.Columns[0].Name+`":`+tt.json+`,"y":[{}]}`), &rec); err != nil {
				t.Fatal(err)
			}
			if got := rec.Values[0]; !feeds.Equal(got, tt.want) || got.Kind() != tt.want.Kind() {
				t.Errorf("%s as %v is %v (%v), want %v", tt.json, tt.typ, got, got.Kind(), tt.want)
			}
			if rec.BadFields != tt.bad {
				t.Errorf("%d bad fields, want %d", rec.BadFields, tt.bad)
			}
		})
	}
}

func TestDecodeTimes(t *testing.T) {
	const null = "null"
	for _, tt := range []struct{ name, json, want string }{
		{"seconds", `1379288667.63194`, `"2013-09-15T23:44:27.631940Z"`},
		{"whole seconds", `1379288667`, `"2013-09-15T23:44:27.000000Z"`},
		{"whole seconds with a point", `1379288667.0`, `"2013-09-15T23:44:27.000000Z"`},
		{"the epoch", `0.0`, `"1970-01-01T00:00:00.000000Z"`},
		{"digits below a microsecond", `1379288667.6319405000`, `"2013-09-15T23:44:27.631941Z"`},
		{"and below half of one", `1379288667.63194049999`, `"2013-09-15T23:44:27.631940Z"`},
		{"rounded into the next second", `0.9999999`, `"1970-01-01T00:00:01.000000Z"`},
		{"before 1970", `-315619200.0`, `"1960-01-01T00:00:00.000000Z"`},
		{"before 1970 with a fraction", `-0.4000005`, `"1969-12-31T23:59:59.599999Z"`},
		{"an exponent", `1.379288667631940e9`, `"2013-09-15T23:44:27.631940Z"`},
		{"milliseconds", `1379288667631`, `"2013-09-15T23:44:27.631000Z"`},
		{"milliseconds before 1970", `-315619200000`, `"1960-01-01T00:00:00.000000Z"`},
		{"milliseconds that wrapped around", `18446743758090351616`, `"1960-01-01T00:00:00.000000Z"`},
		{"the least integer that is milliseconds", `100000000000`, `"1973-03-03T09:46:40.000000Z"`},
		{"the largest that is seconds", `99999999999`, `"5138-11-16T09:46:39.000000Z"`},
		{"a large number with a point is seconds", `100000000000.0`, `"5138-11-16T09:46:40.000000Z"`},
		{"too large", `77777777777777777777`, null},
		{"too large in seconds", `9223372036855.0`, null},
		{"too large in milliseconds", `9223372036854776000`, null},
		{"too large with an exponent", `1e300`, null},
		{"far too large", `1e999`, null},
		{"a negative that does not fit", `-9223372036854775809`, null},
		{"ISO 8601", `"2018-03-24T17:15:21.255387Z"`, `"2018-03-24T17:15:21.255387Z"`},
		{"ISO 8601 without fraction", `"2018-03-24T17:15:21Z"`, `"2018-03-24T17:15:21.000000Z"`},
		{"ISO 8601 without zone", `"2000-01-01T00:00:00.000000"`, `"2000-01-01T00:00:00.000000Z"`},
		{"ISO 8601 in milliseconds", `"2018-03-24T17:15:21.255Z"`, `"2018-03-24T17:15:21.255000Z"`},
		{"ISO 8601 in nanoseconds", `"2018-03-24T17:15:21.255387500Z"`, `"2018-03-24T17:15:21.255388Z"`},
		{"ISO 8601 east of Greenwich", `"2018-03-24T17:15:21+01:30"`, `"2018-03-24T15:45:21.000000Z"`},
		{"ISO 8601 west of Greenwich", `"2018-03-24T17:15:21.5-0800"`, `"2018-03-25T01:15:21.500000Z"`},
		{"ISO 8601 with hours of zone", `"2018-03-24T17:15:21+02"`, `"2018-03-24T15:15:21.000000Z"`},
		{"ISO 8601 before 1970", `"1969-12-31T23:59:59.600000Z"`, `"1969-12-31T23:59:59.600000Z"`},
		{"a leap day", `"2024-02-29T00:00:00Z"`, `"2024-02-29T00:00:00.000000Z"`},
		{"no leap day", `"2023-02-29T00:00:00Z"`, null},
		{"no leap day in 1900", `"1900-02-29T00:00:00Z"`, null},
		{"the year 0", `"0000-01-01T00:00:00Z"`, `"0000-01-01T00:00:00.000000Z"`},
		{"a month 13", `"2018-13-01T00:00:00Z"`, null},
		{"an hour 24", `"2018-12-01T24:00:00Z"`, null},
		{"a date alone", `"2018-03-24"`, null},
		{"escaped", `"2018\u002d03-24T17:15:21Z"`, `"2018-03-24T17:15:21.000000Z"`},
		{"masked", `"XXXXXXXXXX.XXXXXX"`, null},
		{"a string that holds a number", `"1379288667.6"`, null},
		{"the empty string", `""`, null},
		{"a point without digits", `"2018-03-24T17:15:21.Z"`, null},
		{"a zone that is cut", `"2018-03-24T17:15:21+0"`, null},
		{"a zone with too much", `"2018-03-24T17:15:21+01:000"`, null},
		{"true", `true`, null},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layout := layoutOf(feeds.T(feeds.Timestamp))
			var rec feeds.Record
			if err := NewJSON(layout).Decode([]byte(`{"col_timestamp":`+tt.json+`}`), &rec); err != nil {
				t.Fatal(err)
			}
			if got := valuesText(&rec); got != tt.want {
				t.Errorf("%s is %s, want %s", tt.json, got, tt.want)
			}
			if bad := rec.BadFields == 1; bad != (tt.want == null) {
				t.Errorf("%d bad fields", rec.BadFields)
			}
		})
	}
}

func TestDecodeWrappings(t *testing.T) {
	const other = "another feed's"
	for _, tt := range []struct{ name, msg, want string }{
		{"plain", `{"ts":1.5,"id.orig_h":"10.0.0.1","query":"a"}`, `"10.0.0.1" "a"`},
		{"white space around it", " \r\n{ \"query\" :\t\"a\" } \n", `null "a"`},
		{"no member", `{}`, `null null`},
		{"tagged", `{"dns": {"ts":1.5,"id.orig_h":"10.0.0.1","query":"a"}}`, `"10.0.0.1" "a"`},
		{"tagged with static values", `{"dns": {"ts":1,"query":"a"},"sensor": "s1", "query": "static"}`, `null "a"`},
		{"static values before the tag", `{"sensor":"s1","dns":{"query":"a"}}`, `null "a"`},
		{"tagged by a further filter", `{"dns-2": {"query":"a"}}`, `null "a"`},
		{"tagged as another feed", `{"conn": {"ts":1,"query":"a"}}`, other},
		{"tagged as an unknown feed", `{"ldap_search": {"ts":1,"query":"a"},"sensor":"x"}`, other},
		{"an unknown tag beside a number is no tag", `{"extra": {"query":"a"},"n":1,"query":"b"}`, `null "b"`},
		{"a known tag beside a number is one", `{"dns": {"query":"a"},"n":1}`, `null "a"`},
		{"a tag beside ts is none", `{"dns": {"query":"a"},"ts":1,"query":"b"}`, `null "b"`},
		{"two objects are no tags", `{"dns": {"query":"a"},"conn":{},"query":"b"}`, `null "b"`},
		{"an object with another name before it", `{"@meta":{"x":1},"dns": {"query":"a"},"query":"b"}`, `null "b"`},
		{"a tag given twice", `{"dns": {"query":"a","id.orig_h":"10.0.0.1"},"dns": {"query":"b"}}`, `null "b"`},
		{"a tag that ends as a string", `{"dns": {"query":"a"},"dns": "x","query":"b"}`, `null "b"`},
		{"an object that is a column is no tag", `{"query":{"a":"b"},"uid":"C1"}`, "1 bad: null null"},
		{"an escaped tag", `{"d\u006es": {"query":"a"}}`, `null "a"`},
		{"the tag beats _path", `{"dns": {"_path":"conn","query":"a"}}`, `null "a"`},
		{"_path", `{"_path":"dns","query":"a"}`, `null "a"`},
		{"_path of another feed", `{"query":"a","_path":"conn"}`, other},
		{"_path of a further filter", `{"_path":"dns-3","query":"a"}`, `null "a"`},
		{"_path of json-streaming-logs", `{"_path":"json_streaming_dns","query":"a"}`, `null "a"`},
		{"the last _path wins", `{"_path":"conn","_path":"dns","query":"a"}`, `null "a"`},
		{"_path that is no string", `{"_path":5,"query":"a"}`, `null "a"`},
		{"_path that is null", `{"_path":"conn","_path":null,"query":"a"}`, `null "a"`},
		{"a tag beats a message", `{"dns":{"query":"a"},"message":"{\"query\":\"b\"}"}`, `null "a"`},
		{"a message", `{"message":"{\"query\":\"a\"}"}`, `null "a"`},
		{"a message among a shipper's own", `{"agent":{"x":1},"log":{"offset":1},"message":"{\"query\":\"a\"}","query":"b","host":{}}`, `null "a"`},
		{"a message beside the one object log", `{"log":{"offset":1},"message":"{\"query\":\"a\"}"}`, `null "a"`},
		{"a message beside ts is a column", `{"ts":1,"message":"{\"query\":\"a\"}","query":"b"}`, `null "b"`},
		{"a message that is no record", `{"message":"{oops","query":"b"}`, `null "b"`},
		{"a message with more than a record", `{"message":"{} {}","query":"b"}`, `null "b"`},
		{"a message that is no object", `{"message":"[1]","query":"b"}`, `null "b"`},
		{"a message in a message", `{"message":"{\"message\":\"{}\",\"query\":\"a\"}"}`, `null "a"`},
		{"a message in a tag is a column", `{"dns":{"message":"{\"query\":\"a\"}","query":"b"}}`, `null "b"`},
		{"the last message wins", `{"message":"{\"query\":\"a\"}","message":"{\"query\":\"b\"}"}`, `null "b"`},
		{"the last message wins, no record", `{"message":"{\"query\":\"a\"}","message":5,"query":"b"}`, `null "b"`},
		{"a bad field of the wrapping does not count", `{"query":5,"message":"{\"query\":\"a\"}"}`, `null "a"`},
		{"a tag in a message", `{"message":"{\"dns\": {\"query\":\"a\"}}","log":{"file":{"path":"/x/conn.log"}}}`, `null "a"`},
		{"another tag in a message", `{"message":"{\"conn\": {\"query\":\"a\"}}"}`, other},
		{"another _path in a message", `{"message":"{\"_path\":\"conn\",\"query\":\"a\"}"}`, other},
		{"another _path beside a message", `{"_path":"conn","message":"{\"query\":\"a\"}"}`, other},
		{"a message of this log's file", `{"message":"{\"query\":\"a\"}","log":{"file":{"path":"/logs/dns.2026-11-23.log"}}}`, `null "a"`},
		{"a message of another log's file", `{"message":"{\"query\":\"a\"}","log":{"file":{"path":"/logs/conn.log"}}}`, other},
		{"a message of another log's file, dotted", `{"message":"{\"query\":\"a\"}","log.file.path":"/logs/conn.log"}`, other},
		{"a message of another log's file, half dotted", `{"message":"{\"query\":\"a\"}","log":{"file.path":"C:\\logs\\conn.log"}}`, other},
		{"a message of a file of any name", `{"message":"{\"query\":\"a\"}","log":{"file":{"path":"/var/log/current.json"}}}`, `null "a"`},
		{"a message of a file without name", `{"message":"{\"query\":\"a\"}","log":{"file":{"path":5}}}`, `null "a"`},
		{"event.original", `{"event.original":"{\"query\":\"a\"}","query":"b"}`, `null "a"`},
		{"original in event", `{"event":{"kind":"x","original":"{\"query\":\"a\"}"},"source":{"ip":"x"}}`, `null "a"`},
		{"original in event alone", `{"event":{"original":"{\"query\":\"a\"}"}}`, `null "a"`},
		{"a message before event.original", `{"event.original":"{\"query\":\"a\"}","message":"{\"query\":\"b\"}"}`, `null "b"`},
		{"event.original behind a message that is none", `{"message":"{oops","event.original":"{\"query\":\"a\"}"}`, `null "a"`},
		{"the last event wins", `{"event":{"original":"{\"query\":\"a\"}"},"event":{},"query":"b"}`, `null "b"`},
		{"original deeper in event", `{"event":{"event":{"original":"{\"query\":\"a\"}"}},"query":"b"}`, `null "b"`},
		{"dots expanded to objects", `{"ts":1,"id":{"orig_h":"10.0.0.1","orig_p":5},"query":"a"}`, `"10.0.0.1" "a"`},
		{"dots expanded, nothing else", `{"id":{"orig_h":"10.0.0.1"},"query":"a"}`, `"10.0.0.1" "a"`},
		{"dots expanded in a tag", `{"dns":{"id":{"orig_h":"10.0.0.1"},"query":"a"}}`, `"10.0.0.1" "a"`},
		{"the last of duplicate objects wins", `{"id":{"orig_h":"10.0.0.1"},"id":{"orig_p":1}}`, `null null`},
		{"underscores for dots", `{"id_orig_h":"10.0.0.1","query":"a"}`, `"10.0.0.1" "a"`},
		{"an escaped key", `{"qu\u0065ry":"a"}`, `null "a"`},
		{"the last duplicate wins", `{"query":"a","query":"b"}`, `null "b"`},
		{"the last duplicate wins, null", `{"query":"a","query":null}`, `null null`},
		{"names are case-sensitive", `{"QUERY":"a"}`, `null null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rec feeds.Record
			err := NewJSON(feedLayout(t, "dns", "id.orig_h", "query")).Decode([]byte(tt.msg), &rec)
			got := other
			if !errors.Is(err, ErrOtherFeed) {
				if err != nil {
					t.Fatal(err)
				}
				got = valuesText(&rec)
				if rec.BadFields > 0 {
					got = fmt.Sprintf("%d bad: %s", rec.BadFields, got)
				}
			}
			if got != tt.want {
				t.Errorf("%s is %s, want %s", tt.msg, got, tt.want)
			}
		})
	}
}

// TestDecodeMixed: in a topic of several feeds a record without tag and _path is one's that can be no other's.
func TestDecodeMixed(t *testing.T) {
	for _, tt := range []struct{ msg, feed string }{
		{`{"ts":1,"uid":"C","id.orig_h":"10.0.0.1","query":"a","rejected":false}`, "dns"},
		{`{"ts":1,"uid":"C","id":{"orig_h":"10.0.0.1"},"query":"a"}`, "dns"},
		{`{"ts":1,"uid":"C","id_orig_h":"10.0.0.1","qu\u0065ry":"a"}`, "dns"},
		{`{"ts":1,"uid":"C","id.orig_h":"10.0.0.1","conn_state":"SF"}`, "conn"},
		{`{"ts":1,"uid":"C","id.orig_h":"10.0.0.1","conn_state":null,"sensor":{"a":1}}`, ""},
		{`{"message":"{\"ts\":1,\"query\":\"a\"}","host":{"name":"x"},"agent":{}}`, "dns"},
		{`{"dns":{"ts":1,"uid":"C","id.orig_h":"10.0.0.1","conn_state":"SF"}}`, "dns"},
		{`{"_path":"dns","conn_state":"SF"}`, "dns"},
		{`{"_path":"badges","query":"a"}`, "badges"},
		{`{"_path":"","query":"a"}`, "dns"},
		{`{"ts":1,"uid":"C","id.orig_h":"10.0.0.1","proto":"tcp"}`, ""},
		{`{"ts":1,"door":"north"}`, ""},
		{`{}`, ""},
	} {
		for _, feed := range []string{"dns", "conn", "badges"} {
			var rec feeds.Record
			err := NewJSON(&feeds.Layout{Feed: feed, Mixed: true}).Decode([]byte(tt.msg), &rec)
			if feed == tt.feed && err != nil || feed != tt.feed && !errors.Is(err, ErrOtherFeed) {
				t.Errorf("%s read as %s: %v, want %q", tt.msg, feed, err, tt.feed)
			}
		}
	}
}

func TestDecodeCountsTheLastDuplicateOnly(t *testing.T) {
	layout := layoutOf(feeds.T(feeds.Bigint), feeds.T(feeds.String))
	decoder := NewJSON(layout)
	for _, tt := range []struct {
		msg string
		bad int
	}{
		{`{"col_bigint":"x","col_bigint":1}`, 0},
		{`{"col_bigint":1,"col_bigint":"x"}`, 1},
		{`{"col_bigint":"x","col_bigint":"y"}`, 1},
		{`{"col_bigint":"x","col_string":5}`, 2},
		{`{}`, 0},
	} {
		var rec feeds.Record
		if err := decoder.Decode([]byte(tt.msg), &rec); err != nil || rec.BadFields != tt.bad {
			t.Errorf("%s: %d bad fields, want %d (%v)", tt.msg, rec.BadFields, tt.bad, err)
		}
	}
}

func TestDecodeBadRecords(t *testing.T) {
	for _, tt := range []struct{ name, msg, want string }{
		{"nothing", "", "not a JSON object: empty message at byte 0"},
		{"a tombstone with blanks", " \n", "not a JSON object: empty message at byte 0"},
		{"a byte order mark", "\ufeff{}", "not a JSON object: a byte order mark at byte 0"},
		{"an array", `[{"a":1}]`, "not a JSON object: an array at byte 0"},
		{"a string", ` "a"`, "not a JSON object: a single value at byte 1"},
		{"a number", `1`, "not a JSON object: a single value at byte 0"},
		{"cut in a string", `{"ts":1,"query":"www`, "not a JSON object: unexpected end of JSON input at byte 20"},
		{"cut behind a member", `{"ts":1`, "not a JSON object: unexpected end of JSON input at byte 7"},
		{"cut in an escape", `{"query":"\u00`, "not a JSON object: unexpected end of JSON input at byte 14"},
		{"cut in a word", `{"AA":tru`, "not a JSON object: unexpected end of JSON input at byte 9"},
		{"text", `hello`, "not a JSON object: invalid character 'h' looking for beginning of value at byte 0"},
		{"TSV", "1.5\tC1\t10.0.0.1", "not a JSON object: invalid character 'C' after top-level value at byte 4"},
		{"a comma too many", `{"a":1,}`, "not a JSON object: invalid character '}' looking for beginning of object key string at byte 7"},
		{"something behind it", `{"a":1} x`, "not a JSON object: invalid character 'x' after top-level value at byte 8"},
		{"two records", `{"a":1}{"a":2}`, "not a JSON object: invalid character '{' after top-level value at byte 7"},
		{"a raw control character", "{\"query\":\"a\x01\"}", "not a JSON object: invalid character '\\x01' in string literal at byte 11"},
		{"a leading zero", `{"n":01}`, "not a JSON object: invalid character '1' after object key:value pair at byte 6"},
		{"NaN", `{"n":NaN}`, "not a JSON object: invalid character 'N' looking for beginning of value at byte 5"},
		{"a masked time", `{"ts":XXXXXXXXXX.XXXXXX}`, "not a JSON object: invalid character 'X' looking for beginning of value at byte 6"},
		{"bad in a member that is not wanted", `{"query":"a","x":[1,{"y":+1}]}`, "not a JSON object: invalid character '+' looking for beginning of value at byte 25"},
		{"bad in another feed's record", `{"conn": {"a":}}`, "not a JSON object: invalid character '}' looking for beginning of value at byte 14"},
		{"too deep", `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, "not a JSON object: more than 1000 levels at byte 0"},
		{"too deep for encoding/json", `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "not a JSON object: more than 1000 levels at byte 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rec feeds.Record
			err := NewJSON(feedLayout(t, "dns", "query")).Decode([]byte(tt.msg), &rec)
			var decode *DecodeError
			if !errors.As(err, &decode) {
				t.Fatalf("error is %v, want a *DecodeError", err)
			}
			if got := err.Error(); got != tt.want {
				t.Errorf("error is %q,\nwant %q", got, tt.want)
			}
			if !slices.Contains(DecodeCodes(), decode.Code) {
				t.Errorf("code %q", decode.Code)
			}
		})
	}
	t.Run("as deep as allowed", func(t *testing.T) {
		var rec feeds.Record
		msg := `{"a":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `}`
		if err := NewJSON(feedLayout(t, "dns", "query")).Decode([]byte(msg), &rec); err != nil {
			t.Error(err)
		}
	})
}

func TestDecodeReusesNothingOfTheLastRecord(t *testing.T) {
	decoder := NewJSON(feedLayout(t, "dns", "query", "answers", "id.orig_h"))
	var rec feeds.Record
	var kept []feeds.Value
	for _, msg := range []string{
		`{"query":"a\u0062","answers":["x","\u0079"],"id":{"orig_h":"10.0.0.1"}}`,
		`{"dns":{"query":"cd","answers":["z"]}}`,
		`{"query":"\u0065\u0066","answers":["\u0075","v","w"]}`,
		`{}`,
	} {
		if err := decoder.Decode([]byte(msg), &rec); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, rec.Values...)
	}
	var got []string
	for _, v := range kept {
		got = append(got, v.String())
	}
	want := []string{"ab", `["x","y"]`, "10.0.0.1", "cd", `["z"]`, "NULL", "ef", `["u","v","w"]`, "NULL", "NULL", "NULL", "NULL"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeLargeRecords(t *testing.T) {
	decoder := NewJSON(feedLayout(t, "dns", "query", "answers"))
	var rec feeds.Record
	query := strings.Repeat(`x\n\\`, 1<<18)
	answers := func(n int) string { return `"answers":["a"` + strings.Repeat(`,"a"`, n-1) + `]` }
	msg := `{"query":"` + query + `",` + answers(1<<20) + strings.Repeat(`,"k":{"v":[1,2,3]}`, 1<<18) + `}`
	if len(msg) < 9<<20 {
		t.Fatalf("only %d bytes", len(msg))
	}
	if err := decoder.Decode([]byte(msg), &rec); err != nil {
		t.Fatal(err)
	}
	if got, want := len(rec.Values[0].Str()), 3<<18; got != want {
		t.Errorf("query has %d bytes, want %d", got, want)
	}
	if v := rec.Values[1]; !v.IsNull() || rec.BadFields != 1 {
		t.Errorf("an array of a million elements is %v, %d bad fields", v.Kind(), rec.BadFields)
	}
	for n, bad := range map[int]int{maxElements: 0, maxElements + 1: 1} {
		if err := decoder.Decode([]byte("{"+answers(n)+"}"), &rec); err != nil {
			t.Fatal(err)
		}
		if got := len(rec.Values[1].List()); rec.BadFields != bad || bad == 0 && got != n {
			t.Errorf("%d of %d answers, %d bad fields", got, n, rec.BadFields)
		}
	}
}

func TestUnwrap(t *testing.T) {
	for _, tt := range []struct{ msg, feed, record string }{
		{`{"ts":1}`, "", `{"ts":1}`},
		{`{"_path":"conn-2","ts":1}`, "conn", `{"_path":"conn-2","ts":1}`},
		{`{"ldap-2": {"ts":1},"a":"b"}`, "ldap", `{"ts":1}`},
		{`{"id":{"orig_h":"x"},"ts":1}`, "", `{"id":{"orig_h":"x"},"ts":1}`},
		{`{"message":"{\"ts\":1}"}`, "", `{"ts":1}`},
		{`{"message":"{\"dns\": {\"ts\":1}}"}`, "dns", `{"ts":1}`},
		{`{"message":"{\"ts\":1}","log":{"file":{"path":"/x/conn.log"}}}`, "conn", `{"ts":1}`},
	} {
		feed, record, err := Unwrap([]byte(tt.msg))
		if err != nil || feed != tt.feed || string(record) != tt.record {
			t.Errorf("Unwrap(%s) = %q, %s, %v", tt.msg, feed, record, err)
		}
	}
	if _, _, err := Unwrap([]byte(`[]`)); err == nil {
		t.Error("Unwrap of an array has no error")
	}
}

// dnsMessage is a record of 424 bytes as the plugin writes it.
const dnsMessage = `{"ts":1575413122.764317,"uid":"CWwU9s3h33kFsa9Ljg","id.orig_h":"10.18.20.97","id.orig_p":59102,"id.resp_h":"10.18.20.8","id.resp_p":53,"proto":"udp","trans_id":19084,"query":"_ldap._tcp.default-first-site-name._sites.example-dc.example.com","qclass":1,"qclass_name":"C_INTERNET","qtype":33,"qtype_name":"SRV","rcode":3,"rcode_name":"NXDOMAIN","AA":false,"TC":false,"RD":true,"RA":false,"Z":0,"rejected":false}`

func TestDecodeAllocatesNothing(t *testing.T) {
	messages := map[string]string{
		"plain":  dnsMessage,
		"tagged": `{"dns": ` + dnsMessage + `,"sensor": "s1"}`,
		"_path":  `{"_path":"dns",` + dnsMessage[1:],
		"mixed":  dnsMessage,
	}
	for name, msg := range messages {
		layout := feedLayout(t, "dns", "ts", "id.orig_h", "qtype_name", "query", "rcode", "rejected")
		layout.Mixed = name == "mixed"
		decoder := NewJSON(layout)
		var rec feeds.Record
		b := []byte(msg)
		allocs := testing.AllocsPerRun(100, func() {
			if err := decoder.Decode(b, &rec); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations a record", name, allocs)
		}
		if got, want := valuesText(&rec), `"2019-12-03T22:45:22.764317Z" "10.18.20.97" "SRV" "_ldap._tcp.default-first-site-name._sites.example-dc.example.com" 3 false`; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bm := range []struct {
		name    string
		msg     string
		columns []string
	}{
		{"plain, 2 columns", dnsMessage, []string{"id.orig_h", "qtype_name"}},
		{"plain, 8 columns", dnsMessage, []string{"ts", "uid", "id.orig_h", "id.resp_h", "query", "qtype_name", "rcode_name", "rejected"}},
		{"tagged, 2 columns", `{"dns": ` + dnsMessage + `}`, []string{"id.orig_h", "qtype_name"}},
		{"mixed, 2 columns", dnsMessage, []string{"id.orig_h", "qtype_name"}},
		{"message, 2 columns", string(append(feeds.AppendQuoted([]byte(`{"log":{"offset":1},"message":`), dnsMessage), '}')), []string{"id.orig_h", "qtype_name"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			layout := feedLayout(b, "dns", bm.columns...)
			layout.Mixed = strings.HasPrefix(bm.name, "mixed")
			decoder := NewJSON(layout)
			var rec feeds.Record
			msg := []byte(bm.msg)
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				if err := decoder.Decode(msg, &rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDecodeOlderNames: a field that an older version called otherwise is read into today's column.
func TestDecodeOlderNames(t *testing.T) {
	for _, tt := range []struct{ feed, column, msg, want string }{
		{"ssl", "issuer", `{"issuer_subject":"CN=a"}`, `"CN=a"`},
		{"ssl", "client_issuer", `{"client_issuer_subject":"CN=a"}`, `"CN=a"`},
		{"dhcp", "assigned_addr", `{"assigned_ip":"10.0.0.1"}`, `"10.0.0.1"`},
		{"radius", "tunnel_client", `{"remote_ip":"10.0.0.1"}`, `"10.0.0.1"`},
		{"stats", "pkt_lag", `{"lag":0.5}`, `0.5`},
		{"intel", "seen.indicator", `{"seen.str":"a"}`, `"a"`},
		{"intel", "seen.indicator", `{"seen":{"str":"a"}}`, `"a"`},
		{"intel", "seen.indicator_type", `{"seen_indicator_type":"Intel::ADDR"}`, `"Intel::ADDR"`},
		{"ssl", "issuer", `{"issuer_subject":"CN=a","issuer":"CN=b"}`, `"CN=b"`},
		// Its meaning changed with its name.
		{"ssl", "cert_chain_fps", `{"cert_chain_fuids":["F1"]}`, `null`},
		{"ssh", "host_key_fingerprint", `{"host_key":"ab:cd"}`, `null`},
	} {
		var rec feeds.Record
		if err := NewJSON(feedLayout(t, tt.feed, tt.column)).Decode([]byte(tt.msg), &rec); err != nil {
			t.Fatal(err)
		}
		if got := valuesText(&rec); got != tt.want || rec.BadFields > 0 {
			t.Errorf("%s of %s in %s is %s (%d bad), want %s", tt.column, tt.feed, tt.msg, got, rec.BadFields, tt.want)
		}
	}
}

// TestIPv4IsReadAsNetipReadsIt: what the fast way takes is what netip takes, and it leaves out nothing that is IPv4.
func TestIPv4IsReadAsNetipReadsIt(t *testing.T) {
	check := func(text string) {
		want, err := netip.ParseAddr(text)
		if got, ok := parseIPv4(text); ok != (err == nil && want.Is4()) || ok && got != want {
			t.Fatalf("%q: %v %v, netip says %v %v", text, got, ok, want, err)
		}
	}
	for _, text := range []string{"", "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.1.1.256", "01.1.1.1", "00.0.0.0", "1.1.1.00", "1.1.1", "1.1.1.1.", "1..1.1", ".1.1.1", "1.1.1.1.1", "1.1.1.0001", "::1", "::ffff:1.2.3.4", "1.1.1.1%eth0", " 1.1.1.1"} {
		check(text)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(rapid.StringMatching(`[0-9]{0,4}(\.[0-9]{0,4}){0,5}`).Draw(t, "text"))
		check(rapid.StringMatching(`(25[0-9]|[0-9]{1,3})(\.(25[0-9]|[0-9]{1,3})){3}`).Draw(t, "address"))
	})
}
