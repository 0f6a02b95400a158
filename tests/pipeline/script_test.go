package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// script is a file of steps. Its text is kept line by line, so that an update changes nothing but what is expected.
type script struct {
	file  string
	parts []part
}

// part is a step, or a line between steps.
type part struct {
	line int    // from 1
	text string // the first line
	body []string
	verb string // empty: a comment or an empty line
	args string // the rest of the first line
}

const indent = "  "

// parse reads a script's text.
func parse(file, text string) (*script, error) {
	s := &script{file: file}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		p := part{line: i + 1, text: line}
		switch {
		case strings.HasPrefix(line, indent):
			if len(s.parts) == 0 || s.parts[len(s.parts)-1].verb == "" {
				return nil, fmt.Errorf("%s:%d: an indented line without a step", file, i+1)
			}
			last := &s.parts[len(s.parts)-1]
			last.body = append(last.body, line[len(indent):])
			continue
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "):
			return nil, fmt.Errorf("%s:%d: indented by one blank", file, i+1)
		default:
			p.verb, p.args, _ = strings.Cut(line, " ")
			p.args = strings.TrimSpace(p.args)
		}
		s.parts = append(s.parts, p)
	}
	return s, nil
}

func read(file string) (*script, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, string(text))
}

// String returns the script's text.
func (s *script) String() string {
	var b strings.Builder
	for _, p := range s.parts {
		fmt.Fprintln(&b, p.text)
		for _, line := range p.body {
			fmt.Fprintln(&b, indent+line)
		}
	}
	return b.String()
}

func (s *script) write() error { return os.WriteFile(s.file, []byte(s.String()), 0o666) }

// words returns the arguments, separated by blanks.
func (p *part) words() []string { return strings.Fields(p.args) }

// options returns NAME=VALUE arguments, and those that are none.
func (p *part) options() (options map[string]string, rest []string) {
	options = map[string]string{}
	for _, word := range p.words() {
		if name, value, ok := strings.Cut(word, "="); ok && name != "" && !strings.HasPrefix(name, "-") {
			options[name] = value
		} else {
			rest = append(rest, word)
		}
	}
	return options, rest
}

// input returns the lines that a doing step was given: what follows the verb, unless that has been read otherwise, and the
// body.
func (p *part) input(first string) []string {
	lines := slices.Clone(p.body)
	if first != "" {
		lines = append([]string{first}, lines...)
	}
	return lines
}

func TestScriptsAreReadAndWrittenUnchanged(t *testing.T) {
	for _, file := range files(t) {
		s, err := read(file)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(file, s.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.String(), again.String()); diff != "" {
			t.Errorf("%s: %s", filepath.Base(file), diff)
		}
	}
	for _, bad := range []string{"  indented", " one blank", "# comment\n  indented"} {
		if _, err := parse("bad", bad); err == nil {
			t.Errorf("parse(%q) gives no error", bad)
		}
	}
}
