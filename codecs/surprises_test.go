package codecs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
)

// surprises are odd things that real logs hold, each as a small log of our own and what it is read as: a record a line,
// the values that are not NULL, and how many fields were bad; "! line 9: why" for a line that is no record.
var surprises = []struct{ name, log, want string }{
	{"exponent/nan/inf", header + tsv("#fields lease_time d", "#types interval double", "4.294967e+09 nan", "-inf inf"),
		"lease_time=4294967000\n"},
	{"JSON empty array", `{"tags":[],"host":"a"}`, `tags=[] host="a"`},
	{"JSON id plain string", `{"_path":"x509","ts":1.5,"id":"FzTguv1"}`, `ts="1970-01-01T00:00:01.500000Z" id="FzTguv1" _path="x509"`},
	{`single backslash, not \x`, header + "#fields\tsubject\n#types\tstring\n" + `CN=a,O=Example\, Inc.` + "\n", `subject="CN=a,O=Example\\, Inc."`},
	{"doubled backslash", header + "#fields\tsubject\n#types\tstring\n" + `O=Example\\, Inc.` + "\n", `subject="O=Example\\, Inc."`},
	{"plain field named id", "#path\tx509\n#fields\tts\tid\tcertificate.version\n#types\ttime\tstring\tcount\n1.5\tFzT\t3\n",
		`ts="1970-01-01T00:00:01.500000Z" certificate.version=3 id="FzT"`},
	{"separator other than TAB", "#separator |\n#set_separator|,\n#fields|a|b\n#types|string|set[count]\nx\\x7c|1,2\n", `a="x|" b=[1,2]`},
	{"set separator not comma", "#separator \\x09\n#set_separator\t\\xc2\\xae\n#fields\ta\n#types\tset[string]\nx®y,z\n", `a=["x","y,z"]`},
	{"wrong column count", header + tsv("#fields a b", "#types count count", "1", "1 2", "1 2 3"),
		"! line 9: 1 columns, the header has 2\na=1 b=2\n! line 11: 3 columns, the header has 2"},
	{"no final newline", header + "#fields\ta\n#types\tcount\n1\n2", "a=1\na=2"},
	{"unusual type", header + tsv("#fields a b", "#types int64 count", "x 1"), `a="x" b=1`},
	{"JSON with blank after colon", `{"a": 1, "b": "x"}`, `a=1 b="x"`},
	{"JSON leading-underscore field", `{"_path":"conn","_system_name":"s1","_write_ts":"2018-03-24T17:15:20.600725Z","orig_bytes":5}`,
		`orig_bytes=5 _path="conn" _system_name="s1" _write_ts="2018-03-24T17:15:20.600725Z"`},
	{"port 0", "#path\tconn\n" + tsv("#fields id.orig_p id.resp_p proto", "#types port port enum", "0 0 icmp"), `id.orig_p=0 id.resp_p=0 proto="icmp"`},
	{"odd dns query", "#path\tdns\n#fields\tquery\n#types\tstring\n*\n\\x00\\x01\n", "query=\"*\"\nquery=\"\\\\x00\\\\x01\""},
	{"empty string (scalar)", "#path\thttp\n#fields\thost\n#types\tstring\n(empty)\n-\n", "host=\"\"\n"},
	{`escaped high byte \x80-\xff`, header + "#fields\turi\n#types\tstring\n/\\xc0\n/\\xe2\\x80\\x99s\n", "uri=\"/\\\\xc0\"\nuri=\"/’s\""},
	{`escaped NUL \x00`, header + "#fields\tref_id\n#types\tstring\n\\x00\\x00\n", `ref_id="\\x00\\x00"`},
	{"escaped other", header + "#fields\tclient\n#types\tstring\n\\x03Cookie: a\\x0d\\x0a\n\\x09tab\n", "client=\"\\\\x03Cookie: a\\r\\n\"\nclient=\"\\ttab\""},
	{"interval >= 100000 s", "#path\tconn\n#fields\tduration\n#types\tinterval\n100801.101439\n", `duration=100801.101439`},
	{"service string with several names", "#path\tconn\n#fields\tservice\n#types\tstring\nssl,quic\n", `service="ssl,quic"`},
	{"JSON line does not parse", "{\"a\":1}\n{\"a\":1,\"hist\n### made by hand\n{\"a\":2}\n",
		"a=1\n! line 2: not a JSON object: unexpected end of JSON input at byte 12\na=2"},
	{`JSON with \x text`, `{"uri":"/\\x07?a=\\\\x"}`, `uri="/\\x07?a=\\\\x"`},
	{"negative time", header + tsv("#fields xmt_time", "#types time", "-1418429426.887384"), `xmt_time="1925-01-19T23:49:33.112616Z"`},
	{"negative interval/double", header + tsv("#fields root_disp d", "#types interval double", "-0.085938 -1.123457"), `root_disp=-0.085938 d=-1.123457`},
	{"time is not a number", header + tsv("#fields ts xmt_time uid", "#types time time string", "XXXXXXXXXX.XXXXXX -2.1504318496896954e+09 C1"),
		`xmt_time="1901-11-09T17:49:10.310305Z" uid="C1" 1 bad`},
	{"JSON ts is ISO string", `{"ts":"2018-03-24T17:15:20.613421Z"}`, `ts="2018-03-24T17:15:20.613421Z"`},
	{"JSON empty string", `{"_path":"dns","query":""}`, `query="" _path="dns"`},
	{"JSON exponent number", `{"precision":1.1920928955078125e-7,"d":1.79e308}`, `precision=1.1920928955078125e-07 d=1.79e+308`},
	{"ts before 1973 (relative or zero)", header + tsv("#fields ts", "#types time", "928.943457", "0.000000"),
		"ts=\"1970-01-01T00:15:28.943457Z\"\nts=\"1970-01-01T00:00:00.000000Z\""},
	{"TSV first line is not #separator", "### made by hand\n\t#separator \\x09\n#fields\ta\n#types\tcount\n5\n", "a=5"},
	{`escaped set separator \x2c`, header + "#fields\tanswers\n#types\tvector[string]\nTXT 9 a\\x2cb,\\x2c,c\n", `answers=["TXT 9 a,b",",","c"]`},
	{"JSON ts small", `{"ts":147.026993}`, `ts="1970-01-01T00:02:27.026993Z"`},
	{"empty_field not (empty)", "#separator \\x09\n#empty_field\tEMPTY\n#fields\ta\tb\tc\n#types\tstring\tset[string]\tset[string]\nEMPTY\tEMPTY\t\\x45MPTY\n", `a="" b=[] c=["EMPTY"]`},
	{"other proto", "#path\tconn\n#fields\tproto\n#types\tenum\nunknown_transport\n", `proto="unknown_transport"`},
	{"integer > 2^32", "#path\tfiles\n#fields\ttotal_bytes\n#types\tcount\n5037662208\n", `total_bytes=5037662208`},
	{"byte count near 2^32 (wrap)", "#path\tconn\n#fields\torig_bytes\tresp_bytes\n#types\tcount\tcount\n4294967296\t5416666670\n", `orig_bytes=4294967296 resp_bytes=5416666670`},
	{`escaped unset marker \x2d`, header + "#fields\tnew_value\n#types\tstring\n\\x2d\n-\n", "new_value=\"-\"\n"},
	{"JSON explicit null", "{\"ts\":null,\"msg\":\"a\"}", `msg="a"`},
	{"JSON non-ASCII", "{\"s\":\"ñ\",\"t\":\"\U000f0000\U000f0015\"}\n", "s=\"ñ\" t=\"\U000f0000\U000f0015\""},
	{"JSON ts integer", `{"ts":-315619200000}`, `ts="1960-01-01T00:00:00.000000Z"`},
	{"JSON integer > 2^53", "{\"ts\":18446743758090351616,\"n\":9007199254740993}", `ts="1960-01-01T00:00:00.000000Z" n=9007199254740993`},
	{"raw UTF-8 in TSV", header + "#fields\turi\n#types\tstring\n/printable_😄\n", `uri="/printable_😄"`},
	{"empty element inside vector/set", header + "#fields\ta\n#types\tvector[string]\nx,(empty),(empty)\n", `a=["x","",""]`},
	{"unset element inside vector", header + "#fields\tvec\n#types\tvector[string]\n-,2,-\n", `vec=[null,"2",null]`},
	{"CRLF line end", "### made by hand\r\n#fields\ta\tb\r\n#types\tstring\tcount\r\nx\t5\r\n", `a="x" b=5`},
	{"odd character in field name", "#separator \\x09\r\n#fields\ta b\tsource\r\n#types\tstring\tstring\r\nx\ty\r\n", `a b="x" source="y"`},
	{"second header block in one file", header + "#fields\ta\n#types\tcount\n1\n#close\tX\n#separator \\x09\n#set_separator\t;\n#path\ttwo\n#fields\tb\n#types\tset[count]\n1;2\n",
		"a=1\nb=[1,2]"},
	{"zero-length value", "#fields\tts\ttest\n#types\ttime\tstring\n\td\n5.5\t\n", "test=\"d\" 1 bad\nts=\"1970-01-01T00:00:05.500000Z\" test=\"\""},
	{"unset_field not -", "#separator \\x09\n#unset_field\t(unset)\n#fields\ta\tb\n#types\tstring\tstring\n(unset)\t-\n", `b="-"`},
}

func TestSurprises(t *testing.T) {
	for _, tt := range surprises {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, strings.TrimSuffix(recordsOf(t, tt.log), "\n")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// recordsOf reads a log and returns its records as surprises has them.
func recordsOf(t *testing.T, log string) string {
	var b strings.Builder
	var rec feeds.Record
	l := NewLogReader(strings.NewReader(log))
	for {
		msg, err := l.Next()
		var bad *LineError
		switch {
		case err == io.EOF:
			return b.String()
		case errors.As(err, &bad):
			fmt.Fprintf(&b, "! %v\n", bad)
			continue
		case err != nil:
			t.Fatal(err)
		}
		_, record, err := Unwrap(msg)
		if err != nil {
			t.Fatal(err)
		}
		discovery := feeds.NewDiscovery(l.Path())
		discovery.AddHeader(l.Fields(), l.Types())
		if err := discovery.AddRecord(record); err != nil {
			t.Fatal(err)
		}
		f := discovery.Feed()
		if err := NewJSON(&feeds.Layout{Feed: l.Path(), Columns: f.Columns}).Decode(msg, &rec); err != nil {
			t.Fatalf("%s: %v", msg, err)
		}
		var values []string
		for i, v := range rec.Values {
			if !v.IsNull() {
				values = append(values, f.Columns[i].Name+"="+string(v.AppendJSON(nil)))
			}
		}
		if rec.BadFields > 0 {
			values = append(values, fmt.Sprint(rec.BadFields, " bad"))
		}
		fmt.Fprintln(&b, strings.Join(values, " "))
	}
}

// TestNoSurpriseIsMissing holds the list against the one that was found in public logs.
func TestNoSurpriseIsMissing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testdata.Dir(t), "SURPRISES.txt"))
	if err != nil {
		t.Skipf("no list of surprises: %v", err)
	}
	known := map[string]bool{}
	for _, s := range surprises {
		known[s.name] = true
	}
	found := 0
	for line := range bytes.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "== ")
		if !ok {
			continue
		}
		found++
		name = name[:strings.LastIndex(name, ": ")]
		if !known[name] {
			t.Errorf("no test of the surprise %q", name)
		}
	}
	if found != len(surprises) {
		t.Errorf("%d surprises are tested, the list has %d", len(surprises), found)
	}
}
