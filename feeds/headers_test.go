package feeds

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brotally/brotally/internal/testdata"
)

// TestColumnsAreThoseOfRealLogs holds the built-in feeds against the headers of logs that Zeek wrote: no column unknown,
// no type another.
func TestColumnsAreThoseOfRealLogs(t *testing.T) {
	logs := filepath.Join(testdata.Dir(t), "logs")
	kinds, columns := map[string]bool{}, 0
	for _, pattern := range []string{"tsv-masked-ts/zeek/*/*.gz", "tsv/*/*.gz", "cc-by-sa/tsv/*/*.gz"} {
		files, err := filepath.Glob(filepath.Join(logs, pattern))
		if err != nil || len(files) == 0 {
			t.Errorf("no files %s (%v)", pattern, err)
		}
		for _, file := range files {
			eachHeader(t, file, func(path string, fields, types []string) {
				kinds[NameOfPath(path)] = true
				columns += len(fields)
				compareHeader(t, filepath.Base(file), NameOfPath(path), fields, types)
			})
		}
	}
	t.Logf("%d columns of %d logs", columns, len(kinds))
	if len(kinds) < 69 {
		t.Errorf("only %d logs", len(kinds))
	}
}

// eachHeader calls do for each header of a log file.
func eachHeader(t *testing.T, file string, do func(path string, fields, types []string)) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var path string
	var fields []string
	lines := bufio.NewScanner(unpacked)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch words := strings.Split(lines.Text(), "\t"); words[0] {
		case "#path":
			path = words[1]
		case "#fields":
			fields = words[1:]
		case "#types":
			do(path, fields, words[1:])
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func compareHeader(t *testing.T, file, feed string, fields, types []string) {
	t.Helper()
	f, ok := Lookup(feed)
	if !ok {
		t.Errorf("%s: no feed %s", file, feed)
		return
	}
	for i, name := range fields {
		at, ok := f.Column(name)
		if !ok {
			t.Errorf("%s: %s has no column %s (%s)", file, feed, name, types[i])
			continue
		}
		want, ok := ParseZeekType(types[i])
		if c := f.Columns[at]; !ok || c.Type != want {
			t.Errorf("%s: %s.%s is %v, the log has %s", file, feed, name, c.Type, types[i])
		}
	}
}
