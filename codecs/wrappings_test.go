package codecs_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
)

// wrappings are the ways in which a feed's record arrives, made of the plain one.
var wrappings = []struct {
	name string
	wrap func(feed string, record []byte) []byte
}{
	{"tagged", func(feed string, record []byte) []byte { return fmt.Appendf(nil, `{%q: %s}`, feed, record) }},
	{"tagged with static values", func(feed string, record []byte) []byte {
		return fmt.Appendf(nil, `{"site":"x",%q: %s,"sensor": "s1"}`, feed, record)
	}},
	{"with _path", func(feed string, record []byte) []byte {
		return members(record, func(i int, name string, value json.RawMessage) string {
			text := fmt.Sprintf("%q:%s", name, value)
			if i == 0 {
				return fmt.Sprintf(`"_path":%q,"_system_name":"s1",`, feed) + text
			}
			return text
		})
	}},
	{"dots expanded to objects", func(_ string, record []byte) []byte { return expanded(record) }},
	{"underscores for dots", func(_ string, record []byte) []byte {
		return members(record, func(_ int, name string, value json.RawMessage) string {
			return fmt.Sprintf("%q:%s", strings.ReplaceAll(name, ".", "_"), value)
		})
	}},
	{"Filebeat's message", func(_ string, record []byte) []byte { return filebeat("/opt/zeek/logs/current/zeek.log", record) }},
	{"Filebeat's message with the log's file", func(feed string, record []byte) []byte {
		return filebeat("/opt/zeek/logs/current/"+feed+".log", record)
	}},
	{"Filebeat's message, tagged inside", func(feed string, record []byte) []byte {
		return filebeat("/var/log/zeek.log", fmt.Appendf(nil, `{%q: %s}`, feed, record))
	}},
	{"Filebeat's message, objects inside", func(_ string, record []byte) []byte { return filebeat("/var/log/zeek.log", expanded(record)) }},
	{"message alone", func(_ string, record []byte) []byte {
		return append(feeds.AppendQuoted([]byte(`{"message":`), string(record)), '}')
	}},
	{"event.original", func(_ string, record []byte) []byte {
		return fmt.Appendf(nil, `{"@timestamp":"2026-11-23T04:05:06Z","message":"a line","event.original":%s}`, feeds.AppendQuoted(nil, string(record)))
	}},
	{"original in event", func(feed string, record []byte) []byte {
		return fmt.Appendf(nil, `{"@timestamp":"2026-11-23T04:05:06Z","source":{"ip":"10.9.9.9"},"event":{"dataset":"zeek.%s","original":%s},"zeek":{"session_id":"C1"},"tags":["x"]}`,
			feed, feeds.AppendQuoted(nil, string(record)))
	}},
}

// filebeat returns a record as Filebeat sends the line of a file.
func filebeat(file string, line []byte) []byte {
	return fmt.Appendf(nil, `{"@timestamp":"2026-11-23T04:05:06.123Z","@metadata":{"beat":"filebeat","type":"_doc"},"agent":{"type":"filebeat"},`+
		`"log":{"offset":42,"file":{"path":%q}},"message":%s,"input":{"type":"log"},"fields":{"site":"x"},"host":{"name":"s1"},"ecs":{"version":"8.0.0"}}`,
		file, feeds.AppendQuoted(nil, string(line)))
}

// members returns an object whose members are what do makes of those of record.
func members(record []byte, do func(i int, name string, value json.RawMessage) string) []byte {
	dec := json.NewDecoder(bytes.NewReader(record))
	dec.Token() // the brace
	b := []byte("{")
	for i := 0; dec.More(); i++ {
		name, _ := dec.Token()
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return record // a test's damaged message
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, do(i, name.(string), value)...)
	}
	return append(b, '}')
}

// expanded returns a record whose dotted names are objects.
func expanded(record []byte) []byte {
	type node struct {
		value    json.RawMessage
		names    []string
		children map[string]*node
	}
	root := &node{children: map[string]*node{}}
	members(record, func(_ int, name string, value json.RawMessage) string {
		at := root
		for part := range strings.SplitSeq(name, ".") {
			if at.children == nil {
				at.children = map[string]*node{}
			}
			if at.children[part] == nil {
				at.children[part] = &node{}
				at.names = append(at.names, part)
			}
			at = at.children[part]
		}
		at.value = value
		return ""
	})
	var write func(b []byte, n *node) []byte
	write = func(b []byte, n *node) []byte {
		if n.names == nil && n != root {
			return append(b, n.value...)
		}
		b = append(b, '{')
		for i, name := range n.names {
			if i > 0 {
				b = append(b, ',')
			}
			b = write(append(feeds.AppendQuoted(b, name), ':'), n.children[name])
		}
		return append(b, '}')
	}
	return write(nil, root)
}

// realRecords calls do with the first records of every log that Zeek wrote, as plain messages.
func realRecords(t *testing.T, most int, do func(file, feed string, record []byte)) {
	logs := filepath.Join(testdata.Dir(t), "logs")
	files := 0
	for _, pattern := range []string{"kafka/*/*.gz", "tsv-masked-ts/zeek/*/*.gz"} {
		names, err := filepath.Glob(filepath.Join(logs, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			unpacked, err := gzip.NewReader(bufio.NewReader(f))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l := codecs.NewLogReader(unpacked)
			for range most {
				msg, err := l.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				feed := l.Path()
				if feed == "" {
					feed = feeds.NameOfFile(name)
				}
				do(filepath.Base(name), feed, msg)
			}
			f.Close()
			files++
		}
	}
	if files < 200 {
		t.Errorf("only %d files", files)
	}
}

// TestWrappingsGiveThePlainRecord: whatever a real record is wrapped in, its values are those of the plain one.
func TestWrappingsGiveThePlainRecord(t *testing.T) {
	decoders := map[string]*codecs.JSON{}
	compared := 0
	var rec feeds.Record
	decode := func(feed string, msg []byte) string {
		if decoders[feed] == nil {
			f, _ := feeds.Lookup(feed)
			layout := &feeds.Layout{Feed: feed}
			for _, c := range f.Columns {
				if !strings.HasPrefix(c.Name, "_") { // the wrappings' own
					layout.Slot(c)
				}
			}
			decoders[feed] = codecs.NewJSON(layout)
		}
		if err := decoders[feed].Decode(msg, &rec); err != nil {
			return err.Error()
		}
		b := fmt.Appendf(nil, "%d bad", rec.BadFields)
		for _, v := range rec.Values {
			b = v.AppendJSON(append(b, ' '))
		}
		return string(b)
	}
	realRecords(t, 20, func(file, feed string, record []byte) {
		if _, ok := feeds.Lookup(feed); !ok {
			t.Errorf("%s: no feed %s", file, feed)
			return
		}
		want := decode(feed, record)
		for _, w := range wrappings {
			compared++
			if diff := cmp.Diff(want, decode(feed, w.wrap(feed, record))); diff != "" {
				t.Errorf("%s, %s: %s\n%s", file, w.name, w.wrap(feed, record), diff)
			}
		}
		// Of every wrapping that says what it holds, another feed's decoder says so too.
		other := "dns"
		if feed == other {
			other = "conn"
		}
		for _, w := range wrappings {
			name, inner, err := codecs.Unwrap(w.wrap(feed, record))
			if err != nil || name != "" && name != feed {
				t.Errorf("%s, %s: unwraps as %q (%v)", file, w.name, name, err)
			}
			if name != "" && decode(other, w.wrap(feed, record)) != codecs.ErrOtherFeed.Error() {
				t.Errorf("%s, %s: is taken for %s", file, w.name, other)
			}
			if got := decode(feed, inner); got != want {
				t.Errorf("%s, %s: unwrapped is %s, want %s", file, w.name, got, want)
			}
		}
	})
	t.Logf("%d wrapped records", compared)
}

// TestMixedTopicsTellRealRecords: of a record that says nothing of itself, the names of its members tell its feed, or
// nothing, but never another one.
func TestMixedTopicsTellRealRecords(t *testing.T) {
	told, untold := map[string]int{}, map[string]int{}
	var rec feeds.Record
	realRecords(t, 500, func(file, feed string, record []byte) {
		switch got := codecs.FeedByNames(record); got {
		case feed:
			told[feed]++
		case "":
			untold[feed]++
		default:
			t.Errorf("%s: a record of %s is told to be %s: %s", file, feed, got, record)
		}
		for _, f := range []string{feed, "dns", "conn"} {
			err := codecs.NewJSON(&feeds.Layout{Feed: f, Mixed: true}).Decode(record, &rec)
			if mine := codecs.FeedByNames(record) == f; mine != (err == nil) || !mine && !errors.Is(err, codecs.ErrOtherFeed) {
				t.Errorf("%s: a decoder of %s says %v of %s", file, f, err, record)
			}
		}
	})
	t.Logf("told: %v", told)
	t.Logf("not told: %v", untold)
	for feed, n := range untold {
		// analyzer has had all columns of analyzer_debug; the others are told when they have any column of their own.
		if feed != "analyzer_debug" && n > told[feed] {
			t.Errorf("%d records of %s are not told", n, feed)
		}
	}
}
