package codecs

import (
	"encoding/json"
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

func compile(t testing.TB, text string) *tables.Table {
	t.Helper()
	all, err := tables.CompileFile("test.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestResultKeys(t *testing.T) {
	none := compile(t, "CREATE TABLE t AS SELECT count(*) AS n FROM dns")
	one := compile(t, "CREATE TABLE t AS SELECT query, count(*) AS n FROM dns GROUP BY query")
	three := compile(t, "CREATE TABLE t AS SELECT id.orig_h, count(*) AS n, qtype, query FROM dns GROUP BY query, id.orig_h, qtype")
	str := feeds.StringValue
	host := feeds.InetValue(netip.MustParseAddr("10.0.0.1"))
	for _, tt := range []struct {
		name   string
		table  *tables.Table
		values []feeds.Value
		want   string
	}{
		{"no group column", none, nil, `{}`},
		{"text", one, []feeds.Value{str("www.example.com")}, `www.example.com`},
		{"the empty string", one, []feeds.Value{str("")}, ``},
		{"NULL", one, []feeds.Value{feeds.NullValue}, `\N`},
		{"the text that NULL is", one, []feeds.Value{str(`\N`)}, `\\N`},
		{"a text with a backslash", one, []feeds.Value{str(`\x07`)}, `\\x07`},
		{"a text with two", one, []feeds.Value{str(`\\`)}, `\\\`},
		{"a backslash further on", one, []feeds.Value{str(`a\b`)}, `a\b`},
		{"an address", one, []feeds.Value{host}, `10.0.0.1`},
		{"a time", one, []feeds.Value{feeds.TimestampValue(1)}, `1970-01-01T00:00:00.000001Z`},
		{"an array", one, []feeds.Value{feeds.ArrayValue([]feeds.Value{str("a"), feeds.NullValue})}, `["a",null]`},
		{"several, in the order of SELECT", three, []feeds.Value{host, feeds.UbigintValue(math.MaxUint64), str("a\"\n<&>")},
			`{"id.orig_h":"10.0.0.1","qtype":18446744073709551615,"query":"a\"\n<&>"}`},
		{"several NULLs", three, []feeds.Value{feeds.NullValue, feeds.NullValue, feeds.NullValue}, `{"id.orig_h":null,"qtype":null,"query":null}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendResultKey([]byte("before "), tt.table, tt.values)); got != "before "+tt.want {
				t.Errorf("key is %s, want %s", got[len("before "):], tt.want)
			}
		})
	}
}

func TestResultKeysNeverCollide(t *testing.T) {
	table := compile(t, "CREATE TABLE t AS SELECT query, count(*) AS n FROM dns GROUP BY query")
	value := rapid.OneOf(rapid.Just(feeds.NullValue), rapid.Map(rapid.StringMatching(`\\{0,3}[N\\#a]{0,2}`), feeds.StringValue))
	rapid.Check(t, func(t *rapid.T) {
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		keyA := string(AppendResultKey(nil, table, []feeds.Value{a}))
		keyB := string(AppendResultKey(nil, table, []feeds.Value{b}))
		if (keyA == keyB) != feeds.Equal(a, b) {
			t.Errorf("%v has key %q, %v has key %q", a, keyA, b, keyB)
		}
		if len(keyA) > 1 && keyA[:2] == `\#` {
			t.Errorf("%v has the reserved key %q", a, keyA)
		}
	})
}

func TestResults(t *testing.T) {
	table := compile(t, `CREATE TABLE t AS SELECT query, count(*) AS n, sum(qtype) AS "a ""b""", avg(rtt) AS mean, max(ts) AS newest FROM dns GROUP BY query`)
	huge, _ := feeds.Int128FromUint(math.MaxUint64).Mul(feeds.Int128From(-1000))
	for _, tt := range []struct {
		name string
		row  []feeds.Value
		want string
	}{
		{"a row", []feeds.Value{feeds.StringValue("a\x00\xff\\/ñ<"), feeds.BigintValue(-1), feeds.NumericValue(huge), feeds.DoubleValue(1.5e-7), feeds.TimestampValue(1575413122764317)},
			`{"query":"a\u0000` + "\ufffd" + `\\/ñ<","n":-1,"a \"b\"":-18446744073709551615000,"mean":1.5e-07,"newest":"2019-12-03T22:45:22.764317Z"}`},
		{"NULLs", make([]feeds.Value, 5), `{"query":null,"n":null,"a \"b\"":null,"mean":null,"newest":null}`},
		{"what JSON has no number for", []feeds.Value{feeds.StringValue(""), feeds.UbigintValue(0), feeds.IntervalValue(math.Inf(1)), feeds.DoubleValue(math.NaN()), feeds.IntervalValue(60)},
			`{"query":"","n":0,"a \"b\"":null,"mean":null,"newest":60}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := AppendResult(nil, table, tt.row)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			if !json.Valid(got) {
				t.Error("not valid JSON")
			}
		})
	}
}

// TestResultsReadBack takes a row through its JSON, as a consumer in another language would.
func TestResultsReadBack(t *testing.T) {
	table := compile(t, "CREATE TABLE t AS SELECT query, count(*) AS n FROM dns GROUP BY query")
	layout := &feeds.Layout{Feed: "t"}
	for _, c := range table.Columns {
		layout.Slot(feeds.Column{Name: c.Name, Type: c.Type})
	}
	decoder := NewJSON(layout)
	rapid.Check(t, func(t *rapid.T) {
		row := []feeds.Value{feeds.StringValue(rapid.String().Draw(t, "query")), feeds.BigintValue(rapid.Int64().Draw(t, "n"))}
		var rec feeds.Record
		if err := decoder.Decode(AppendResult(nil, table, row), &rec); err != nil {
			t.Fatal(err)
		}
		for i, v := range row {
			if !feeds.Equal(v, rec.Values[i]) {
				t.Errorf("%v became %v", v, rec.Values[i])
			}
		}
	})
}
