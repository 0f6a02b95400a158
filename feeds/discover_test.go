package feeds

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// columnsText returns a feed's columns as "name type", one a line.
func columnsText(columns []Column) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%s %v\n", c.Name, c.Type)
	}
	return b.String()
}

func TestDiscoverTypes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []string
		want    string
	}{
		{"scalars", []string{`{"s":"a","b":true,"i":-5,"u":18446744073709551615,"d":1.0,"e":1e3}`},
			"s string\nb bool\ni bigint\nu ubigint\nd double\ne double\n"},
		{"the order is that of first appearance", []string{`{"b":1}`, `{"c":1,"a":1}`, `{"a":1,"b":1}`},
			"b bigint\nc bigint\na bigint\n"},
		{"what all logs have in common", []string{`{"_path":"x","ts":1.5,"uid":"C","id.orig_h":"::1","id.orig_p":5,"_write_ts":"2018-03-24T17:15:21Z"}`},
			"_path string\nts timestamp\nuid string\nid.orig_h inet\nid.orig_p bigint\n_write_ts timestamp\n"},
		{"objects have dotted names", []string{`{"id":{"resp_h":"::1"},"a":{"b":{"c":1,"d.e":2},"f":{}},"g":1}`},
			"id.resp_h inet\na.b.c bigint\na.b.d.e bigint\ng bigint\n"},
		{"integers and numbers", []string{`{"a":1,"b":1,"c":1.5,"d":-1}`, `{"a":1.5,"b":9223372036854775808,"c":1,"d":9223372036854775808}`},
			"a double\nb ubigint\nc double\nd numeric\n"},
		{"several types", []string{`{"a":1,"b":true,"c":"x","d":[1]}`, `{"a":"x","b":1,"c":[1],"d":1}`},
			"a string\nb string\nc string\nd string\n"},
		{"null says nothing", []string{`{"a":null,"b":null,"c":[],"d":[null]}`, `{"a":1,"c":[1],"d":null}`},
			"a bigint\nb string\nc bigint[]\nd string[]\n"},
		{"arrays", []string{`{"a":["x",null],"b":[1,2.5],"c":[],"d":[true],"e":[{"x":1},[2]],"f":[1,"x"]}`},
			"a string[]\nb double[]\nc string[]\nd bool[]\ne string[]\nf string[]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var records [][]byte
			for _, r := range tt.records {
				records = append(records, []byte(r))
			}
			f, err := Discover("new", records...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, columnsText(f.Columns)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDiscoverExtendsABuiltInFeed(t *testing.T) {
	dns, _ := Lookup("dns")
	f, err := Discover("dns", []byte(`{"query":5,"id_orig_h":"::1","sensor":"a","answer_count":3}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(columnsText(dns.Columns)+"sensor string\nanswer_count bigint\n", columnsText(f.Columns)); diff != "" {
		t.Error(diff)
	}
	if again, _ := Lookup("dns"); len(again.Columns) != len(f.Columns)-2 {
		t.Error("the built-in feed was changed")
	}
}

func TestDiscoverFromAHeader(t *testing.T) {
	d := NewDiscovery("new")
	if err := d.AddRecord([]byte(`{"opcode":["x"],"rtt":1}`)); err != nil {
		t.Fatal(err)
	}
	d.AddHeader([]string{"ts", "message_id", "opcode", "extra", "rtt"}, []Type{T(Timestamp), T(Bigint), ArrayOf(String), {}, T(Interval)})
	if err := d.AddRecord([]byte(`{"extra":1.5,"rtt":2.5,"message_id":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("opcode string[]\nrtt interval\nts timestamp\nmessage_id bigint\nextra double\n", columnsText(d.Feed().Columns)); diff != "" {
		t.Error(diff)
	}
}

func TestDiscoverRefusesWhatIsNoRecord(t *testing.T) {
	for _, record := range []string{``, `[]`, `5`, `{"a":`, `{} x`} {
		if _, err := Discover("new", []byte(`{}`), []byte(record)); err == nil {
			t.Errorf("%q has no error", record)
		}
	}
}

func TestDiscoverIsBounded(t *testing.T) {
	d := NewDiscovery("new")
	for i := range 3 * maxColumns {
		if err := d.AddRecord(fmt.Appendf(nil, `{"c%d":1}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.Feed().Columns); n != maxColumns {
		t.Errorf("%d columns, want %d", n, maxColumns)
	}
}

func TestNames(t *testing.T) {
	for path, want := range map[string]string{
		"conn": "conn", "conn-2": "conn", "http-2-2": "http", "json_streaming_dns": "dns", "conn-inc": "conn-inc",
		"": "", "-2": "-2", "a-": "a-", "known_certs": "known_certs",
	} {
		if got := NameOfPath(path); got != want {
			t.Errorf("NameOfPath(%q) = %q, want %q", path, got, want)
		}
	}
	for file, want := range map[string]string{
		"dns.log": "dns", "/var/logs/2026-11-23/dns.2026-11-23.log.gz": "dns", "dns.ndjson": "dns",
		"conn.00:00:00-01:00:00.log.gz": "conn", "json_streaming_dns.log": "dns", "json_streaming_dns.1.log.gz": "dns",
		"dns": "dns", "http-2.log": "http", `C:\logs\ssl.log`: "ssl", "-": "", "": "", "/": "", ".log": "",
	} {
		if got := NameOfFile(file); got != want {
			t.Errorf("NameOfFile(%q) = %q, want %q", file, got, want)
		}
	}
}
