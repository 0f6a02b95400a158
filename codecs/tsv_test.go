package codecs

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
)

// readAll reads a log as text: its messages, and bad lines as "! line 3: why".
func readAll(t testing.TB, l *LogReader) string {
	t.Helper()
	var b strings.Builder
	for {
		msg, err := l.Next()
		var bad *LineError
		switch {
		case err == io.EOF:
			return b.String()
		case errors.As(err, &bad):
			fmt.Fprintf(&b, "! %v\n", bad)
		case err != nil:
			fmt.Fprintf(&b, "!! %v\n", err)
			return b.String()
		default:
			b.Write(msg)
			b.WriteByte('\n')
		}
	}
}

// tsv joins a log's lines; blanks stand for tabs in all but the #separator line, so that tests are readable.
func tsv(lines ...string) string {
	for i, line := range lines {
		if !strings.HasPrefix(line, "#separator") {
			lines[i] = strings.ReplaceAll(line, " ", "\t")
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

const header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\ttest\n#open\t2014-04-01-23-15-49\n"

func TestReadTSV(t *testing.T) {
	for _, tt := range []struct{ name, log, want string }{
		{"types", header + tsv("#fields b i c p sn a d t iv s sc ss vc f",
			"#types bool int count port subnet addr double time interval string set[count] set[string] vector[count] func",
			"T -42 21 123 10.0.0.0/24 1.2.3.4 3.14 1379288667.631940 100.000000 hurz 4,2 CC,BB 10,20 SSH::foo"),
			`{"b":true,"i":-42,"c":21,"p":123,"sn":"10.0.0.0/24","a":"1.2.3.4","d":3.14,"t":1379288667.63194,"iv":100.0,"s":"hurz","sc":[4,2],"ss":["CC","BB"],"vc":[10,20],"f":"SSH::foo"}`},
		{"unset, empty string and empty set", header + tsv("#fields s u ss us", "#types string string set[string] set[string]",
			"(empty) - (empty) -"),
			`{"s":"","ss":[]}`},
		{"elements that are unset or empty", header + tsv("#fields v w", "#types vector[string] vector[count]", "-,2,(empty) -,2"),
			`{"v":[null,"2",""],"w":[null,2]}`},
		{"doubles", header + tsv("#fields d", "#types double", "2153226000.0", "1e-7", "0.000001", "1.79e308", "3140000000000000.0", "1e21", "1e20",
			"-1.50", "-0.0", "nan", "inf", "-inf", "4.294967e+09"),
			`{"d":2153226000.0}
{"d":1e-7}
{"d":0.000001}
{"d":1.79e308}
{"d":3140000000000000.0}
{"d":1e21}
{"d":100000000000000000000.0}
{"d":-1.5}
{"d":-0.0}
{"d":null}
{"d":null}
{"d":null}
{"d":4294967000.0}`},
		{"integers of any size", header + tsv("#fields c", "#types count", "18446744073709551616", "007", "-0", "00"),
			"{\"c\":18446744073709551616}\n{\"c\":7}\n{\"c\":-0}\n{\"c\":0}"},
		{"what is not of its type is a string", header + tsv("#fields ts b c p", "#types time bool count port",
			"XXXXXXXXXX.XXXXXX yes 1.5 80/tcp", " 1 +5 0x10"),
			"{\"ts\":\"XXXXXXXXXX.XXXXXX\",\"b\":\"yes\",\"c\":\"1.5\",\"p\":80}\n{\"ts\":\"\",\"b\":\"1\",\"c\":\"+5\",\"p\":\"0x10\"}"},
		{"escapes", header + "#fields\ts\n#types\tstring\n" + `a\x09b\x0a` + "\n" + `\\x07 \\ \ \x` + "\n" + `\x22\x5c` + "\n",
			`{"s":"a\tb\n"}` + "\n" + `{"s":"\\x07 \\ \\ \\x"}` + "\n" + `{"s":"\"\\"}`},
		{"UTF-8 stays, anything else becomes text", header + "#fields\ts\n#types\tstring\n" + "ñ 😀" + "\n" + `\xc3\xb1` + "\n" + `ñ\xff` + "\n" + `a\x00` + "\n" + `\x7f\xc2\x80` + "\n",
			`{"s":"ñ 😀"}` + "\n" + `{"s":"ñ"}` + "\n" + `{"s":"\\xc3\\xb1\\xff"}` + "\n" + `{"s":"a\\x00"}` + "\n" + `{"s":"\\x7f\\xc2\\x80"}`},
		{"wrong column count", header + tsv("#fields a b", "#types string string", "x", "x y", "x y z"),
			"! line 9: 1 columns, the header has 2\n{\"a\":\"x\",\"b\":\"y\"}\n! line 11: 3 columns, the header has 2"},
		{"a second header", header + tsv("#fields a", "#types string", "x", "#close -") + "#separator ,\n#path,two\n#fields,b,c\n#types,count,set[string]\n1,-\n",
			"{\"a\":\"x\"}\n{\"b\":1}"},
		{"new columns without a separator line", header + tsv("#fields a", "#types count", "1", "#fields b", "#types string", "1"),
			"{\"a\":1}\n{\"b\":\"1\"}"},
		{"no header but the columns", tsv("#fields a b", "x y"), `{"a":"x","b":"y"}`},
		{"no types, a known feed", tsv("#path conn", "#fields ts id.orig_h id.orig_p orig_bytes tunnel_parents mine", "1.5 ::1 80 5 (empty) 7"),
			`{"ts":1.5,"id.orig_h":"::1","id.orig_p":80,"orig_bytes":5,"tunnel_parents":[],"mine":"7"}`},
		{"no types, an unknown feed", tsv("#fields ts uid n", "1.5 C1 7"), `{"ts":1.5,"uid":"C1","n":"7"}`},
		{"a type that Zeek does not have", tsv("#path http", "#fields uri status_code n", "#types text int64 int64", "/ 200 5"),
			`{"uri":"/","status_code":200,"n":"5"}`},
		{"names only (LogAscii::tsv)", tsv("ts uid id.orig_h id.orig_p", "1.5 C1 ::1 80"), `{"ts":1.5,"uid":"C1","id.orig_h":"::1","id.orig_p":80}`},
		{"no header at all", tsv("1.5 C1 ::1 80"), "! line 1: neither a JSON object nor below a #fields line"},
		{"another prefix of header lines", "PREFIX<>separator |\nPREFIX<>set_separator|,\nPREFIX<>unset_field|NOT-SET\nPREFIX<>empty_field|EMPTY\nPREFIX<>fields|a|b\nPREFIX<>types|string|set[string]\nNOT-SET|EMPTY\n#x|y\n",
			"{\"b\":[]}\n{\"a\":\"#x\",\"b\":[\"y\"]}"},
		{"comments", "### made by hand\n" + header + "# comment\n" + tsv("#fields a b", "#types string count") + "# no data\n#data\t5\n\\x23data\t5\n#\n",
			"{\"a\":\"#data\",\"b\":5}\n{\"a\":\"#data\",\"b\":5}"},
		{"CRLF", strings.ReplaceAll(header+tsv("#fields a b", "#types string count", "x 1"), "\n", "\r\n"), `{"a":"x","b":1}`},
		{"no final newline", header + "#fields\ta\n#types\tstring\nx\ny", "{\"a\":\"x\"}\n{\"a\":\"y\"}"},
		{"blank lines", "\n" + header + "\n#fields\ta\tb\n#types\tstring\tstring\n\nx\ty\n\n\n", `{"a":"x","b":"y"}`},
		{"a line of one blank is a value", header + "#fields\ta\n#types\tstring\n \n", `{"a":" "}`},
		{"a byte order mark", "\ufeff" + header + tsv("#fields a", "#types string", "x"), `{"a":"x"}`},
		{"an empty file", "", ""},
		{"a header alone", header, ""},
		{"a separator of several characters", "#separator ||\n#set_separator||;\n#fields||a||b\n#types||string||set[string]\nx\\x7c\\x7c||1;2\n", `{"a":"x||","b":["1","2"]}`},
		{"a separator that is a comma too", "#separator ,\n#set_separator,,\n#fields,a,b\n#types,string,count\nx,1\n", `{"a":"x","b":1}`},
		{"a tab where the separator was trimmed", "#separator \n#fields\ta\nhi\n", `{"a":"hi"}`},
		{"a separator written as \\t", "#separator \\t\n#fields\ta\tb\nx\ty\n", `{"a":"x","b":"y"}`},
		{"a separator line with tabs", "\t#separator\t\\x09\n#fields\ta\tb\nx\ty\n", `{"a":"x","b":"y"}`},
		{"another separator than announced", "#separator \\x00\n#fields\ta\tb\nx\ty\n", `{"a":"x","b":"y"}`},
		{"odd names", header + "#fields\t\"a\\\"\tñ\n#types\tcount\tcount\n1\t2\n", `{"\"a\\\"":1,"ñ":2}`},
		{"JSON lines", "{\"a\":1}\n\n  {\"b\": [1,  2]} \r\n{\"c\":\"\\x\n[1]\nx\n{}",
			"{\"a\":1}\n{\"b\": [1,  2]}\n! line 4: not a JSON object: invalid character 'x' in string escape code at byte 7\n! line 5: neither a JSON object nor below a #fields line\n! line 6: neither a JSON object nor below a #fields line\n{}"},
		{"a header of too many columns", "#fields" + strings.Repeat("\ta", maxColumns+1) + "\nx\n#fields" + strings.Repeat("\ta", maxColumns) + "\nx\n",
			"! line 1: more than 10000 columns\n! line 2: neither a JSON object nor below a #fields line\n! line 4: 1 columns, the header has 10000"},
		{"a value that begins with a brace", header + tsv("#fields a", "#types string", "{}"), `{"a":"{}"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want != "" {
				want += "\n"
			}
			if diff := cmp.Diff(want, readAll(t, NewLogReader(strings.NewReader(tt.log)))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			// However the bytes come.
			if diff := cmp.Diff(want, readAll(t, NewLogReader(iotest.OneByteReader(strings.NewReader(tt.log))))); diff != "" {
				t.Errorf("byte by byte: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(want, readAll(t, NewLogReader(bytes.NewReader(packed(t, tt.log))))); diff != "" {
				t.Errorf("packed: -want +got\n%s", diff)
			}
		})
	}
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadTSVLongLines(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	log := header + "#fields\ta\n#types\tstring\n" + text(1<<20) + "\n" + text(maxLine) + "\n" + text(maxLine+1) + "\ny\n" + text(2*maxLine) + "\n" + text(maxLine-1) + "\r\n" + text(maxLine+1)
	var got []string
	for l := NewLogReader(strings.NewReader(log)); ; {
		msg, err := l.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, fmt.Sprint(len(msg)-len(`{"a":""}`)))
	}
	want := []string{"1048576", fmt.Sprint(maxLine), "line 11: longer than 16 MiB", "1", "line 13: longer than 16 MiB", fmt.Sprint(maxLine - 1), "line 15: longer than 16 MiB"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLogReaderSaysWhatItReads(t *testing.T) {
	steps := func(log string) []string {
		var got []string
		l := NewLogReader(strings.NewReader(log))
		for {
			_, err := l.Next()
			if err == io.EOF {
				return got
			}
			got = append(got, fmt.Sprintf("%d %s %v %v", l.Line(), l.Path(), l.Fields(), l.Types()))
		}
	}
	for _, tt := range []struct {
		name, log string
		want      []string
	}{
		{"TSV", tsv("#path conn-2", "#fields ts a", "#types time int64", "1 2", "3 4", "#separator \\x09", "#path dns", "#fields b", "x"),
			[]string{"4 conn [ts a] [timestamp null]", "5 conn [ts a] [timestamp null]", "9 dns [b] []"}},
		{"JSON", "{\"_path\":\"dns\"}\n{}\n{\"http-2\": {}}\n", []string{"1 dns [] []", "2  [] []", "3 http [] []"}},
		{"no path", tsv("#fields a", "x"), []string{"2  [a] []"}},
	} {
		if diff := cmp.Diff(tt.want, steps(tt.log)); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
	l := NewLogReader(strings.NewReader(tsv("#fields orig_bytes", "5")))
	l.Feed = "conn"
	if got := readAll(t, l); got != "{\"orig_bytes\":5}\n" {
		t.Errorf("with the feed's types: %s", got)
	}
}

func TestLogReaderRefusesFiles(t *testing.T) {
	log := packed(t, header+"#fields\ta\n#types\tstring\nx\ny\n")
	for _, tt := range []struct {
		name string
		r    io.Reader
		want string
	}{
		{"packed and cut", bytes.NewReader(log[:len(log)-8]), "{\"a\":\"x\"}\n{\"a\":\"y\"}\n!! read log: line 11: unexpected EOF\n"},
		{"packed and cut in its header", strings.NewReader("\x1f\x8b\x08"), "!! read log: unexpected EOF\n"},
		{"packed with zstd", strings.NewReader("\x28\xb5\x2f\xfd...."), "!! read log: packed with zstd: only gzip can be read, unpack it first\n"},
		{"a reader that fails", io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(errors.New("disk on fire"))), "{}\n!! read log: line 2: disk on fire\n"},
		{"a reader that fails at once", iotest.ErrReader(errors.New("disk on fire")), "!! read log: disk on fire\n"},
	} {
		if diff := cmp.Diff(tt.want, readAll(t, NewLogReader(tt.r))); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

// FuzzTSV checks that whatever a file holds, it is read to its end, and each message is a record.
func FuzzTSV(f *testing.F) {
	f.Add([]byte(header + tsv("#fields a b", "#types string set[count]", "x 1,2", "#separator |", "#fields|ts|c", "1.5|2")))
	f.Add([]byte("PREFIX<>separator |\nPREFIX<>fields|a\nx\n#\xff|"))
	f.Add([]byte("{\"a\":1}\n{\"a\"\n#fields\t\xff\n\x80\\x"))
	f.Add(packed(f, header+"#fields\ta\n#types\tdouble\n1e-7\nnan\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		l := NewLogReader(bytes.NewReader(log))
		decoder := NewJSON(&feeds.Layout{})
		for n := 0; ; n++ {
			msg, err := l.Next()
			var bad *LineError
			if errors.As(err, &bad) {
				if bad.Line != l.Line() || bad.Reason == "" {
					t.Fatalf("%v at line %d", bad, l.Line())
				}
				continue
			}
			if err != nil {
				if _, again := l.Next(); again == nil {
					t.Fatal("reading went on after", err)
				}
				return
			}
			var rec feeds.Record
			if err := decoder.Decode(msg, &rec); err != nil || !isRecord(msg) {
				t.Fatalf("line %d became %q: %v", l.Line(), msg, err)
			}
			_ = l.Path()
		}
	})
}
