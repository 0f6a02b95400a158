package codecs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
)

// TestLogsBecomeTheStreams reads the log files that the topic-ready streams were made of, and compares message for
// message, byte for byte.
func TestLogsBecomeTheStreams(t *testing.T) {
	logs := filepath.Join(testdata.Dir(t), "logs")
	f, err := os.Open(filepath.Join(logs, "STREAMS.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{"m57": "tsv/m57", "zat": "tsv/zat", "zat_json": "json/zat", "zed_small": "cc-by-sa/tsv/zed"}
	streams, messages := 0, 0
	for _, row := range rows[1:] { // set, source, type, records, bytes, sha256, from_
		set, source, feed, from := row[0], row[1], row[2], row[6]
		if set != "shared" {
			continue
		}
		t.Run(source+"/"+feed, func(t *testing.T) {
			want := openPacked(t, filepath.Join(logs, "kafka", source, feed+".ndjson.gz"))
			scanner := bufio.NewScanner(want)
			scanner.Buffer(nil, maxLine)
			for _, raw := range strings.Split(from, "; ") {
				name := strings.TrimSuffix(filepath.Base(raw), ".gz") + ".gz"
				in, err := os.Open(filepath.Join(logs, folders[source], name))
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				for l := NewLogReader(in); ; {
					msg, err := l.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if !scanner.Scan() {
						t.Fatalf("%s line %d: the stream ends before it", name, l.Line())
					}
					if !bytes.Equal(msg, scanner.Bytes()) {
						t.Fatalf("%s line %d is\n%s, want\n%s", name, l.Line(), msg, scanner.Bytes())
					}
					messages++
				}
			}
			if scanner.Scan() {
				t.Errorf("the stream has more: %s", scanner.Bytes())
			}
			streams++
		})
	}
	t.Logf("%d messages of %d streams", messages, streams)
	if streams < 50 || messages < 20_000 {
		t.Errorf("only %d messages of %d streams were compared", messages, streams)
	}
}

func openPacked(t *testing.T, file string) io.Reader {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEveryLogIsReadOrRefused walks all log files there are: each line is a record or has a reason, and nothing stops.
func TestEveryLogIsReadOrRefused(t *testing.T) {
	logs := filepath.Join(testdata.Dir(t), "logs")
	// Files of which no line can be read, with the reason: they have neither a header nor JSON that parses.
	hopeless := map[string]string{
		"edge/zeek-logging/ascii-options/ssh.log":                              "neither a JSON object nor below a #fields line",
		"edge/zeek-logging/ascii-json/ssh.log":                                 "invalid character 'X'",
		"edge/zeek-logging/json-non-printable-escaping/http.log.json":          "invalid character 'X'",
		"edge/zeek-logging/field-extension-cluster-error/manager-reporter.log": "neither a JSON object nor below a #fields line",
	}
	files, lines, bad := 0, 0, 0
	err := filepath.WalkDir(logs, func(file string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(logs, file)
		if err != nil || entry.IsDir() || entry.Name() == "LICENSE" || !strings.Contains(name, "/") || strings.HasSuffix(name, ".csv") || strings.HasSuffix(name, ".md") || strings.HasPrefix(name, "LICENSES") {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		files++
		read, reasons := readLog(t, name, f)
		lines += read
		bad += len(reasons)
		if want, ok := hopeless[name]; ok {
			if read > 0 || len(reasons) == 0 || !strings.Contains(reasons[0], want) {
				t.Errorf("%s: %d records read, reasons %q; want none, because %s", name, read, reasons, want)
			}
			return nil
		}
		for _, reason := range reasons {
			t.Errorf("%s: %s", name, reason)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d records, %d lines refused", files, lines, bad)
	if files < 300 || lines < 20_000 {
		t.Errorf("only %d records in %d files", lines, files)
	}
}

// readLog reads a file as try does: each message is decoded with all columns of its feed, or of what its records show.
func readLog(t *testing.T, name string, f io.Reader) (records int, reasons []string) {
	l := NewLogReader(f)
	l.Feed = feeds.NameOfFile(name)
	decoders := map[string]*JSON{}
	var rec feeds.Record
	for {
		msg, err := l.Next()
		var bad *LineError
		switch {
		case err == io.EOF:
			return records, reasons
		case errors.As(err, &bad):
			reasons = append(reasons, bad.Error())
			continue
		case err != nil:
			t.Errorf("%s: %v", name, err)
			return records, reasons
		}
		records++
		if !json.Valid(msg) {
			t.Fatalf("%s line %d became %q", name, l.Line(), msg)
		}
		_, record, err := Unwrap(msg)
		if err != nil {
			t.Fatalf("%s line %d became %q: %v", name, l.Line(), msg, err)
		}
		feed := l.Path()
		if feed == "" {
			feed = l.Feed
		}
		decoder := decoders[feed]
		if decoder == nil {
			discovery := feeds.NewDiscovery(feed)
			discovery.AddHeader(l.Fields(), l.Types())
			if err := discovery.AddRecord(record); err != nil {
				t.Fatal(err)
			}
			decoder = NewJSON(&feeds.Layout{Feed: feed, Columns: discovery.Feed().Columns})
			decoders[feed] = decoder
		}
		if err := decoder.Decode(msg, &rec); err != nil {
			t.Errorf("%s line %d: %v", name, l.Line(), err)
		}
		// Where types are known, by the header or because the feed is built in, only masked times are bad.
		_, builtIn := feeds.Lookup(feed)
		typed := builtIn || len(l.Types()) > 0
		masked := bytes.Contains(msg, []byte("XXXXXXXXXX.XXXXXX"))
		if typed && masked != (rec.BadFields > 0) && !strings.HasSuffix(name, "/invalid-time.log") {
			t.Errorf("%s line %d: %d bad fields in %s", name, l.Line(), rec.BadFields, msg)
		}
	}
}
