package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/tables"
)

const (
	sampleRecords = 1000 // of a file that are looked at to find columns
	sampleFiles   = 64
	badLinesShown = 3
)

// logs are the log files of a command line, and what was found while reading them.
type logs struct {
	files []*logFile
	bytes int64 // of all files as they lie there; 0 when that is not known

	read    atomic.Int64 // bytes so far
	records int64        // of all feeds
	bad     int64        // lines that are no record
	found   map[string]int64
}

// logFile is one log file.
type logFile struct {
	name  string // as the user wrote it, without the feed; "-" is standard input
	feed  string // what it was said to be with feed=FILE
	other string // what it is when nothing tells
	input io.Reader
	head  []byte // of an input that cannot be opened twice: what the sample has taken
}

// openLogs checks that all files can be read; it reads nothing. An argument is FILE, feed=FILE or -.
func openLogs(args []string, stdin io.Reader) (*logs, error) {
	l := &logs{found: map[string]int64{}}
	known := true
	for _, arg := range args {
		f := &logFile{name: arg}
		if feed, name, ok := strings.Cut(arg, "="); ok && isFeedName(feed) {
			if _, err := os.Stat(arg); err != nil {
				f.feed, f.name = feed, name
			}
		}
		l.files = append(l.files, f)
		if f.name == "-" {
			f.input, known = stdin, false
			continue
		}
		info, err := os.Stat(f.name)
		switch {
		case err != nil:
			return nil, &usageError{fmt.Errorf("read log: %w", err)}
		case info.IsDir():
			return nil, &usageError{fmt.Errorf("read log: %s is a folder; name the files in it", f.name)}
		case !info.Mode().IsRegular():
			known = false
			if f.input, err = os.Open(f.name); err != nil {
				return nil, &usageError{fmt.Errorf("read log: %w", err)}
			}
		}
		l.bytes += info.Size()
	}
	if !known {
		l.bytes = 0
	}
	return l, nil
}

func isFeedName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// open returns the file from its beginning.
func (f *logFile) open() (io.ReadCloser, error) {
	if f.input != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(f.head), f.input)), nil
	}
	file, err := os.Open(f.name)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return file, nil
}

// reader returns a reader of its records.
func (f *logFile) reader(r io.Reader) *codecs.LogReader {
	l := codecs.NewLogReader(r)
	l.Feed = f.hint()
	return l
}

// hint is the feed that its name tells, "" when it tells none.
func (f *logFile) hint() string {
	if f.feed != "" {
		return f.feed
	}
	if name := feeds.NameOfFile(f.name); name != "" {
		return name
	}
	return f.other
}

// feedOf returns the feed of the record that r gave last: as the user said, as the record or its header says, as the
// file's name tells. A file that is called like the topic of all logs is what was read from it: what does not say what it is
// there is told by the names of its members.
func (f *logFile) feedOf(r *codecs.LogReader, record []byte) string {
	hint := f.hint()
	mixed := slices.Contains(feeds.PluginTopics, hint)
	if f.feed != "" && !mixed {
		return f.feed
	}
	if path := r.Path(); path != "" {
		return path
	}
	if mixed && record != nil {
		if _, inner, err := codecs.Unwrap(record); err == nil {
			if told := codecs.FeedByNames(inner); told != "" {
				return told
			}
		}
	}
	return hint
}

// each calls do with every record of every file and its feed. A record is valid during the call. Lines that are no record
// are counted, the first of them told to say; so are records that do says are too large (*replay.TooLarge).
func (l *logs) each(ctx context.Context, say func(format string, args ...any), do func(feed string, record []byte) error) error {
	for _, f := range l.files {
		if err := l.eachOf(ctx, f, say, do); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
	}
	return nil
}

// errEnough ends each without being an error.
var errEnough = errors.New("enough read")

func (l *logs) eachOf(ctx context.Context, f *logFile, say func(format string, args ...any), do func(feed string, record []byte) error) error {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	r := f.reader(&countingReader{file, &l.read})
	for {
		record, err := r.Next()
		var faulty *codecs.LineError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &faulty):
			l.refuse(say, f, faulty)
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if l.records++; l.records%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		feed := f.feedOf(r, record)
		if feed == "" {
			return &usageError{fmt.Errorf("%s does not say what log it is; write dns=%s, or whichever it is", f.name, f.name)}
		}
		l.found[feed]++
		err = do(feed, record)
		var large *replay.TooLarge
		if errors.As(err, &large) {
			l.refuse(say, f, &codecs.LineError{Line: r.Line(), Reason: large.Error()})
			continue
		}
		if err != nil {
			return err
		}
	}
}

// refuse counts a line that is no record, or too large a one, and says the first of them.
func (l *logs) refuse(say func(format string, args ...any), f *logFile, e *codecs.LineError) {
	if l.bad++; l.bad <= badLinesShown {
		say("%s:%d: not a record: %s", f.name, e.Line, e.Reason)
	} else if l.bad == badLinesShown+1 {
		say("further lines that are no records are only counted")
	}
}

// assume makes standard input be of that feed when neither its header nor its records tell.
func (l *logs) assume(feed string) {
	for _, f := range l.files {
		if f.name == "-" {
			f.other = feed
		}
	}
}

// discover looks at the beginning of the files and returns how to find a feed with the columns found there, and the names of
// the feeds found.
func (l *logs) discover() (tables.Resolve, []string, error) {
	found := map[string]*feeds.Discovery{}
	for i, f := range l.files {
		if i == sampleFiles {
			break
		}
		if err := f.sample(found); err != nil {
			return nil, nil, err
		}
	}
	resolve := func(name string) (*feeds.Feed, bool) {
		if d, ok := found[name]; ok {
			return d.Feed(), true
		}
		return feeds.Lookup(name)
	}
	delete(found, "")
	return resolve, slices.Sorted(maps.Keys(found)), nil
}

func (f *logFile) sample(found map[string]*feeds.Discovery) error {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	var taken bytes.Buffer
	var in io.Reader = file
	if f.input != nil {
		in = io.TeeReader(file, &taken)
	}
	r := f.reader(in)
	headers := map[string]bool{}
	discovery := func(record []byte) *feeds.Discovery {
		feed := f.feedOf(r, record)
		if found[feed] == nil {
			found[feed] = feeds.NewDiscovery(feed)
		}
		if header := strings.Join(r.Fields(), "\t"); header != "" && !headers[header] {
			headers[header] = true
			found[feed].AddHeader(r.Fields(), r.Types())
		}
		return found[feed]
	}
	for n := 0; n < sampleRecords && taken.Len() < 16<<20; n++ {
		record, err := r.Next()
		var faulty *codecs.LineError
		if errors.As(err, &faulty) {
			continue
		}
		if err != nil { // it is read, or the error comes again
			if len(r.Fields()) > 0 {
				discovery(nil) // a log without records has columns too
			}
			break
		}
		d := discovery(record)
		if _, inner, err := codecs.Unwrap(record); err == nil {
			d.AddRecord(inner) //nolint:errcheck // what is no record shows nothing
		}
	}
	if f.input != nil {
		f.head = taken.Bytes()
	}
	return nil
}

// countingReader adds up what was read.
type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
