// Package output writes results for people and programs: the formats of -o.
//
//	w, err := output.New(os.Stdout, output.CSV, output.Options{Null: `\N`})
//	err = w.Header([]output.Column{{Name: "id.orig_h", Type: feeds.T(feeds.Inet)}, {Name: "n", Type: feeds.T(feeds.Ubigint)}})
//	err = w.Row(row) // one feeds.Value a column
//	err = w.Close()
//
// # What is written how
//
// Every format writes timestamps as RFC 3339 in UTC with microseconds, intervals as a number of seconds, integers of any
// size in full, arrays as JSON. NULL, the empty string and the empty array stay three things: json has null, "" and []; csv
// and tsv have the text of Options.Null, that text in quotes and []; table has NULL, nothing and []; zeek has -, (empty) and (empty),
// as Zeek itself, which has one word for the last two.
//
// zeek and arrow are for programs with types: there timestamps are seconds since 1970, and microseconds. Arrow has numeric as
// decimal128, intervals as seconds in a double, addresses as text; each field's metadata says brotally.type.
//
// # Terminals
//
// Logs hold what strangers sent. Escape sequences, other control characters and what reorders text (Unicode's bidi
// controls) never reach a terminal: table escapes them always, json and ndjson write them as \u escapes, which is the same
// JSON, and csv and tsv escape them when Options.Terminal says that a person is looking.
package output

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Format is the name of a format, as -o takes it.
type Format string

// The formats.
const (
	Table  Format = "table"  // aligned columns for people
	JSON   Format = "json"   // one array of objects
	NDJSON Format = "ndjson" // one object a line
	CSV    Format = "csv"    // RFC 4180 with a header line, lines end in LF
	TSV    Format = "tsv"    // the same with tabs, quoted the same way
	Zeek   Format = "zeek"   // a log as Zeek writes it: tabs, and a header that zeek-cut reads
	Arrow  Format = "arrow"  // an Arrow IPC stream
)

// Formats are all formats, in the order in which help lists them.
var Formats = []Format{Table, JSON, NDJSON, CSV, TSV, Zeek, Arrow}

// ParseFormat returns the format of that name; the error suggests the nearest.
func ParseFormat(name string) (Format, error) {
	if f := Format(name); slices.Contains(Formats, f) {
		return f, nil
	}
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = string(f)
	}
	err := fmt.Errorf("no format %q; there are %s", name, strings.Join(names, ", "))
	if hint := sql.DidYouMean(name, names); hint != "" {
		err = fmt.Errorf("no format %q; %s", name, hint)
	}
	return "", err
}

// Column is one column of a result.
type Column struct {
	Name string
	Type feeds.Type
}

// Options say how a format writes. The zero value works.
type Options struct {
	// Null is what csv and tsv write for NULL. A value that reads the same is put in quotes. Defaults to nothing.
	Null string

	// Guard makes csv and tsv harmless to spreadsheets: a text that these would take for a formula gets a single quote before it.
	Guard bool

	// Name is what zeek calls the log; At is when it says that it was written. Default to "result" and now.
	Name string
	At   time.Time

	// Terminal says that the text goes to a terminal: csv and tsv then escape what could command it.
	Terminal bool

	// Width is how many columns the terminal has. Table makes its rows fit: it cuts long texts, and when that is not
	// enough writes one column a line. 0 is as wide as the values are.
	Width int
}

// Writer writes one result: Header once, then a Row each, then Close, which writes what was held back. It is for one
// goroutine. Values are not kept beyond the call. Errors are the underlying writer's.
type Writer interface {
	Header(columns []Column) error
	Row(row []feeds.Value) error
	Close() error
}

// New returns a writer of the format. It does not close w.
func New(w io.Writer, f Format, o Options) (Writer, error) {
	switch f {
	case Table:
		return newTable(w, o), nil
	case JSON, NDJSON:
		return newJSON(w, f), nil
	case CSV, TSV:
		return newCSV(w, f, o), nil
	case Zeek:
		return newZeek(w, o), nil
	case Arrow:
		return &arrowWriter{to: w}, nil
	}
	_, err := ParseFormat(string(f))
	return nil, err
}
