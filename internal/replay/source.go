package replay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
)

// Stdin is the name under which standard input is read.
const Stdin = "-"

// maxReasons is how many bad lines of a file are described; the others are counted.
const maxReasons = 5

// NoFeed is returned when nothing tells what feed a file's records are of.
type NoFeed struct {
	File string // its name; "standard input" for "-"
	Path string // as it was given
}

func (e *NoFeed) Error() string {
	return fmt.Sprintf("%s: cannot tell which feed it is: say it, as in dns=%s", e.File, e.Path)
}

// source is one log file while it is read.
type source struct {
	name   string // as errors and summaries show it
	given  string // the feed that the command line gave, empty if it gave none
	byName string // the feed that the file's name tells, empty if it tells none
	path   string // to be opened; Stdin for standard input
	size   int64  // bytes on disk; 0 if unknown

	file   io.ReadCloser
	read   *atomic.Int64     // of all sources: bytes read from disk
	reader *codecs.LogReader // nil before open
	done   FileSummary
}

// newSource takes one argument of the command line: FILE, FEED=FILE, - or FEED=-. The file must exist.
func newSource(arg string, read *atomic.Int64) (*source, error) {
	s := &source{name: arg, path: arg, read: read}
	// A = belongs to the file's name if such a file is there.
	if feed, path, ok := strings.Cut(arg, "="); ok && isFeedName(feed) {
		if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) {
			s.given, s.path, s.name = feed, path, path
		}
	}
	if s.path == Stdin {
		s.name = "standard input"
	} else {
		info, err := os.Stat(s.path)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, fmt.Errorf("%s is a folder: name the log files in it", s.path)
		}
		if info.Mode().IsRegular() {
			s.size = info.Size()
		}
		s.byName = feeds.NameOfFile(s.path)
	}
	s.done = FileSummary{File: s.name, Feeds: map[string]int64{}}
	return s, nil
}

// isFeedName tells a feed's name from the beginning of a path.
func isFeedName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	}) < 0
}

// isTopicName tells whether Kafka lets a topic have that name. A path in a log can be anything.
func isTopicName(s string) bool {
	return s != "" && len(s) <= 249 && s != "." && s != ".." && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && r != '.' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// lane says which sources are read one after the other: those of one feed. Others are read side by side.
func (s *source) lane() string {
	switch {
	case s.given != "":
		return s.given
	case s.byName != "":
		return s.byName
	}
	return s.path
}

// open opens the file; stdin is standard input.
func (s *source) open(stdin io.Reader) error {
	if s.path == Stdin {
		s.file = io.NopCloser(stdin)
	} else {
		f, err := os.Open(s.path)
		if err != nil {
			return err
		}
		s.file = f
	}
	s.reader = codecs.NewLogReader(&counter{r: s.file, n: s.read})
	s.reader.Feed = s.byName
	if s.given != "" {
		s.reader.Feed = s.given
	}
	return nil
}

// next returns the next record and its feed. It counts bad lines and goes on behind them. msg is valid until the next
// call. The error is io.EOF behind the last record; else the file cannot be read further, or is of an unknown feed.
func (s *source) next() (msg []byte, feed string, err error) {
	for {
		msg, err := s.reader.Next()
		var bad *codecs.LineError
		switch {
		case errors.As(err, &bad):
			s.bad(bad.Error())
			continue
		case errors.Is(err, io.EOF):
			return nil, "", io.EOF
		case err != nil:
			return nil, "", fmt.Errorf("%s: %w", s.name, err)
		}
		// What the user says counts most, what the file says of itself next, its name least.
		for _, feed := range []string{s.given, s.reader.Path(), s.byName} {
			if isTopicName(feed) {
				return msg, feed, nil
			}
		}
		if s.done.Records == 0 {
			return nil, "", &NoFeed{File: s.name, Path: s.path}
		}
		s.bad(fmt.Sprintf("line %d: neither tag nor _path tells its feed", s.reader.Line()))
	}
}

// bad counts a line that was not sent.
func (s *source) bad(reason string) {
	s.done.Bad++
	if len(s.done.Reasons) < maxReasons {
		s.done.Reasons = append(s.done.Reasons, reason)
	}
}

func (s *source) close() {
	if s.file != nil {
		s.file.Close() //nolint:errcheck // it was only read
		s.file = nil
	}
}

// counter counts the bytes that are read through it.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
