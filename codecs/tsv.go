package codecs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/brotally/brotally/feeds"
)

const (
	maxLine    = 16 << 20 // how long a line of a log file may be, in bytes
	maxColumns = 10_000   // how many columns a header may have; Zeek's widest logs have about a hundred
)

// LogReader reads a Zeek log file, TSV or JSON lines, packed with gzip or not, and gives each record as the message
// that Bro's Kafka plugin would have written of it. JSON lines are passed on as they are.
//
// A TSV value that is not of its column's type, such as a masked time, is written as a JSON string: whoever decodes the
// message counts it as a bad field, and the rest of the record is kept. Columns whose type the header does not tell have
// the type that the feed gives them, else they are text.
type LogReader struct {
	// Feed is the feed that the file's name tells, for files whose header does not. It only serves to find types.
	// Optional; set it before the first Next.
	Feed string

	in     io.Reader
	r      *bufio.Reader // nil before the first Next
	line   int           // of the last line read
	long   []byte        // room for lines longer than r's buffer
	header tsvHeader
	out    []byte

	json   *JSON // checks JSON lines, and knows what they say they are
	rec    feeds.Record
	isJSON bool // the last message was a JSON line
}

// NewLogReader returns a reader of one log file. It reads nothing yet.
func NewLogReader(r io.Reader) *LogReader {
	return &LogReader{in: r, header: newTSVHeader(), json: NewJSON(&feeds.Layout{})}
}

// Next returns the next record's message, which is valid until the next call. The error is [io.EOF] behind the last
// one; a [*LineError] when a line is no record, and then reading goes on with the next call; any other is final.
func (l *LogReader) Next() (msg []byte, err error) {
	if l.r == nil {
		if err := l.open(); err != nil {
			return nil, err
		}
	}
	for {
		line, err := l.readLine()
		if err != nil {
			return nil, err
		}
		if msg, err := l.message(line); msg != nil || err != nil {
			return msg, err
		}
	}
}

// Line returns the number of the last line read, from 1.
func (l *LogReader) Line() int { return l.line }

// Path returns the feed that the file says the last message is of, by its #path, _path or tag, "" when it says none.
func (l *LogReader) Path() string {
	if l.isJSON {
		return feeds.NameOfPath(l.json.name())
	}
	return feeds.NameOfPath(l.header.path)
}

// Fields returns the names in the header above the last line, nil in a JSON file.
func (l *LogReader) Fields() []string { return l.header.fields }

// Types returns the types of Fields. The zero Type stands for one that the header does not tell or that Zeek does not
// have.
func (l *LogReader) Types() []feeds.Type { return l.header.types }

// open looks at the file's first bytes, and unpacks it if need be.
func (l *LogReader) open() error {
	l.r = bufio.NewReaderSize(l.in, 64<<10)
	magic, err := l.r.Peek(6)
	if len(magic) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read log: %w", err)
	}
	for _, other := range []struct{ magic, name string }{
		{"\x28\xb5\x2f\xfd", "zstd"}, {"BZh", "bzip2"}, {"\xfd7zXZ", "xz"}, {"PK\x03\x04", "zip"},
	} {
		if bytes.HasPrefix(magic, []byte(other.magic)) {
			return fmt.Errorf("read log: packed with %s: only gzip can be read, unpack it first", other.name)
		}
	}
	if bytes.HasPrefix(magic, []byte("\x1f\x8b")) {
		unpacked, err := gzip.NewReader(l.r)
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		l.r = bufio.NewReaderSize(unpacked, 64<<10)
		magic, _ = l.r.Peek(3) // an error comes again with the first line
	}
	if bytes.HasPrefix(magic, []byte("\ufeff")) {
		l.r.Discard(3)
	}
	return nil
}

// readLine returns the next line without its end, valid until the next call. A file need not end with a newline.
func (l *LogReader) readLine() ([]byte, error) {
	l.long = l.long[:0]
	l.line++
	length := 0
	for {
		part, err := l.r.ReadSlice('\n')
		switch {
		case err == nil:
			part = part[:len(part)-1]
		case errors.Is(err, bufio.ErrBufferFull):
			if length += len(part); length <= maxLine {
				l.long = append(l.long, part...)
			}
			continue
		case errors.Is(err, io.EOF):
			if len(part) == 0 && length == 0 {
				l.line--
				return nil, io.EOF
			}
		default:
			return nil, fmt.Errorf("read log: line %d: %w", l.line, err)
		}
		if length += len(part); length > maxLine {
			l.long = nil
			return nil, &LineError{Line: l.line, Reason: fmt.Sprintf("longer than %d MiB", maxLine>>20)}
		}
		if len(l.long) > 0 {
			l.long = append(l.long, part...)
			part = l.long
		}
		return bytes.TrimSuffix(part, []byte("\r")), nil
	}
}

// message returns a line's message; both results are nil for lines that are none: headers, comments, blank lines.
func (l *LogReader) message(line []byte) ([]byte, error) {
	if len(line) == 0 {
		return nil, nil
	}
	h := &l.header
	if h.fields == nil {
		trimmed := bytes.TrimSpace(line)
		if len(trimmed) == 0 {
			return nil, nil
		}
		if trimmed[0] == '{' {
			l.isJSON = true
			if err := l.json.Decode(trimmed, &l.rec); err != nil {
				return nil, &LineError{Line: l.line, Reason: err.Error()}
			}
			return trimmed, nil
		}
	}
	taken := h.read(line)
	if !taken && h.fields == nil && !l.isJSON {
		taken = h.readNames(line)
	}
	if len(h.fields) > maxColumns {
		h.fields, h.types, h.columns = nil, nil, nil
		return nil, &LineError{Line: l.line, Reason: fmt.Sprintf("more than %d columns", maxColumns)}
	}
	if taken {
		return nil, nil
	}
	if h.fields == nil {
		return nil, &LineError{Line: l.line, Reason: "neither a JSON object nor below a #fields line"}
	}
	l.isJSON = false
	if h.columns == nil {
		h.resolve(l.Feed)
	}
	var err error
	if l.out, err = h.appendMessage(l.out[:0], line); err != nil {
		return nil, &LineError{Line: l.line, Reason: err.Error()}
	}
	return l.out, nil
}

// tsvHeader is what the header lines of a TSV log have said so far.
type tsvHeader struct {
	prefix    []byte // what header lines begin with; LogAscii::meta_prefix changes it
	separator []byte
	tsvValues
	path   string
	fields []string // nil before the first #fields
	types  []feeds.Type

	columns []tsvColumn // what the data lines are converted by; nil when it has to be resolved
}

// tsvColumn is a column as messages have it.
type tsvColumn struct {
	key []byte // its name in JSON, with the colon
	typ feeds.Type
}

func newTSVHeader() tsvHeader {
	return tsvHeader{
		prefix: []byte("#"), separator: []byte("\t"),
		tsvValues: tsvValues{setSeparator: []byte(","), empty: []byte("(empty)"), unset: []byte("-")},
	}
}

// read takes a line if it is no data: a header line or a comment. Comments are lines that begin as header lines do and
// say nothing known, unless there is a header and they have its columns: Zeek writes a first value that begins with #
// as \x23, but older versions and other programs do not.
func (h *tsvHeader) read(line []byte) bool {
	if h.readSeparator(line) {
		return true
	}
	rest, ok := bytes.CutPrefix(line, h.prefix)
	if !ok {
		return false
	}
	keyword := rest
	if end := bytes.IndexFunc(rest, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }); end >= 0 {
		keyword = rest[:end]
	}
	value := rest[len(keyword):]
	separator := h.separator
	if !bytes.HasPrefix(value, separator) && len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		separator = value[:1] // this line was written with another one
	}
	value = bytes.TrimPrefix(value, separator)
	switch string(keyword) {
	case "set_separator":
		if h.setSeparator = unescapeTSV(nil, value); len(h.setSeparator) == 0 {
			h.setSeparator = []byte(",")
		}
	case "empty_field":
		h.empty = unescapeTSV(nil, value)
	case "unset_field":
		h.unset = unescapeTSV(nil, value)
	case "path":
		h.path = string(appendZeekText(nil, unescapeTSV(nil, value)))
		h.columns = nil
	case "fields":
		names := bytes.SplitN(value, separator, maxColumns+2)
		if len(names) > 1 {
			h.separator = bytes.Clone(separator)
		}
		h.setFields(names)
	case "types":
		h.types, h.columns = nil, nil
		for _, name := range bytes.SplitN(value, separator, maxColumns) {
			t, _ := feeds.ParseZeekType(string(bytes.TrimSpace(name)))
			h.types = append(h.types, t)
		}
	case "open", "close":
	default:
		isData := len(h.fields) > 1 && bytes.Count(line, h.separator) == len(h.fields)-1
		return !isData
	}
	return true
}

// readSeparator takes the line that begins a header, and forgets the one before it. Its name and value are separated by
// a blank, as the separator is not known yet. What stands before the name is the prefix of all header lines.
func (h *tsvHeader) readSeparator(line []byte) bool {
	const name = "separator"
	line = bytes.TrimLeft(line, " \t")
	i := bytes.Index(line, []byte(name))
	if i < 1 || bytes.HasSuffix(line[:i], []byte("set_")) {
		return false
	}
	prefix, value := line[:i], line[i+len(name):]
	known := bytes.Equal(prefix, h.prefix) || string(prefix) == "#"
	if !known && (h.fields != nil || bytes.ContainsAny(prefix, " \t")) || len(value) > 0 && value[0] != ' ' && value[0] != '\t' {
		return false
	}
	prefix = bytes.Clone(prefix)
	*h = newTSVHeader()
	h.prefix = prefix
	// Zeek writes \x09. An empty value is a tab that somebody trimmed.
	switch value = bytes.TrimLeft(value, " \t"); string(value) {
	case "", `\t`:
	default:
		h.separator = unescapeTSV(nil, value)
	}
	return true
}

// readNames takes the only header line of files written with LogAscii::tsv: the columns' names, without a prefix.
func (h *tsvHeader) readNames(line []byte) bool {
	names := bytes.SplitN(line, h.separator, maxColumns+2)
	if len(names) < 2 {
		return false
	}
	for _, name := range names {
		isName := len(name) > 0 && (name[0] == '_' || isLetter(name[0])) && !slices.ContainsFunc(name, func(c byte) bool {
			return c != '_' && c != '.' && !isLetter(c) && (c < '0' || c > '9')
		})
		if !isName {
			return false
		}
	}
	h.setFields(names)
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func (h *tsvHeader) setFields(names [][]byte) {
	h.fields, h.types, h.columns = make([]string, 0, len(names)), nil, nil
	for _, name := range names {
		h.fields = append(h.fields, string(appendZeekText(nil, name)))
	}
}

// resolve finds out the columns' types: the header's, else the feed's, else text.
func (h *tsvHeader) resolve(feed string) {
	if h.path != "" && h.path != "-" {
		feed = feeds.NameOfPath(h.path)
	}
	discovery := feeds.NewDiscovery(feed)
	discovery.AddHeader(h.fields, nil)
	found := map[string]feeds.Type{}
	columns := discovery.Feed().Columns
	for _, c := range columns {
		for _, alias := range c.Aliases {
			found[alias] = c.Type
		}
	}
	for _, c := range columns {
		found[c.Name] = c.Type
	}
	h.columns = make([]tsvColumn, len(h.fields))
	for i, name := range h.fields {
		c := &h.columns[i]
		c.key = append(appendJSONText(nil, []byte(name)), ':')
		if i < len(h.types) {
			c.typ = h.types[i]
		}
		if c.typ.Kind == feeds.Null {
			c.typ = found[name]
		}
		if c.typ.Kind == feeds.Null {
			c.typ = feeds.T(feeds.String)
		}
	}
}

// appendMessage appends a data line as a message.
func (h *tsvHeader) appendMessage(b, line []byte) ([]byte, error) {
	if n := bytes.Count(line, h.separator) + 1; n != len(h.columns) {
		return b, fmt.Errorf("%d columns, the header has %d", n, len(h.columns))
	}
	b = append(b, '{')
	for i := range h.columns {
		var value []byte
		value, line, _ = bytes.Cut(line, h.separator)
		if bytes.Equal(value, h.unset) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, h.columns[i].key...)
		b = h.appendValue(b, h.columns[i].typ, value)
	}
	return append(b, '}'), nil
}
