package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	progressAfter = 2 * time.Second // what is done sooner needs no bar
	progressEvery = 200 * time.Millisecond
)

// progress shows how far something is in the last line of a terminal.
type progress struct {
	p     *program
	what  string
	state func() (done, total int64, note string)

	stop chan struct{}
	wait sync.WaitGroup
}

// showProgress draws a bar on standard error while work takes longer than two seconds, if that is a terminal. state tells
// how far it is, of a total that may be 0 for unknown, and what else is worth a word. Call end when the work is done.
func (p *program) showProgress(what string, state func() (done, total int64, note string)) (end func()) {
	width, ok := terminal(p.stderr)
	if !ok {
		return func() {}
	}
	b := &progress{p: p, what: what, state: state, stop: make(chan struct{})}
	b.wait.Go(func() { b.run(width) })
	return sync.OnceFunc(func() {
		close(b.stop)
		b.wait.Wait()
	})
}

func (b *progress) run(width int) {
	select {
	case <-b.stop:
		return
	case <-time.After(progressAfter):
	}
	t := time.NewTicker(progressEvery)
	defer t.Stop()
	for {
		done, total, note := b.state()
		line := bar(b.what, done, total, note, width-1)
		fmt.Fprintf(b.p.stderr, "\r%s\x1b[K", line)
		select {
		case <-b.stop:
			fmt.Fprint(b.p.stderr, "\r\x1b[K")
			return
		case <-t.C:
		}
	}
}

// bar returns a line of at most width characters: "reading [####----]  45 %  120,000 records".
func bar(what string, done, total int64, note string, width int) string {
	line := what + "  " + note
	if total > 0 {
		share := min(float64(done)/float64(total), 1)
		const cells = 24
		full := int(share * cells)
		line = fmt.Sprintf("%s [%s%s] %3.0f %%  %s", what, strings.Repeat("#", full), strings.Repeat("-", cells-full), share*100, note)
	}
	if len(line) > width {
		line = line[:max(width, 0)]
	}
	return line
}

// thousands writes a number with commas: 1,234,567.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// count writes a number with its noun: "1 record", "2,000 records".
func count(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(n) + " " + noun
}
