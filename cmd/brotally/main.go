// Command brotally keeps live tables over Bro/Zeek logs in Kafka; see brotally --help.
//
// One file a subcommand. This is the only package that reads flags, the environment and brotally.yaml.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables/sql"
)

func main() {
	// A reader that has seen enough (head) closes its end: writing then is an error to handle, so that temporary folders are
	// removed, and not the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := interruptible(os.Stderr)
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), log: slog.New(slog.DiscardHandler)}
	code := p.main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// errInterrupted is the cause of a context that a signal has ended.
var errInterrupted = errors.New("interrupted")

// patience is after how long a stop is said to take its time.
const patience = 2 * time.Second

// interruptible returns a context that the first SIGINT or SIGTERM ends; the second ends the process.
func interruptible(stderr io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		<-signals
		cancel(errInterrupted)
		select {
		case <-signals:
		case <-time.After(patience):
			fmt.Fprintln(stderr, "brotally: still stopping; once more stops at once")
			<-signals
		}
		fmt.Fprintln(stderr, "brotally: stopped at once")
		os.Exit(exitInterrupted)
	}()
	return ctx, func() { signal.Stop(signals) }
}

// program is one invocation: what all commands share.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string // NAME=value
	log            *slog.Logger

	started bool // flags and arguments were fine: errors from here on are not about usage
}

// main runs one command line and returns the exit code.
func (p *program) main(ctx context.Context, args []string) int {
	root := newRoot(p)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return exitOK
	}
	if errors.Is(context.Cause(ctx), errInterrupted) && (errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted)) {
		err = errInterrupted
	}
	if !p.started {
		err = &usageError{err}
	}
	p.explain(err, cmd.CommandPath())
	return exitCode(err)
}

// explain writes an error to stderr. The place of an SQL error comes first on its line, for editors.
func (p *program) explain(err error, command string) {
	var faulty *sql.Error
	var placed *placedError
	var usage *usageError
	text := err.Error()
	if isPlaced := errors.As(err, &placed) || errors.As(err, &faulty) && text == faulty.Error(); !isPlaced {
		text = "brotally: " + text
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(p.stderr, output.Printable(line))
	}
	if errors.As(err, &usage) {
		fmt.Fprintf(p.stderr, "%s --help says more\n", command)
	}
}

// say writes one line for the user to stderr. What it is made of may come from logs.
func (p *program) say(format string, args ...any) {
	fmt.Fprintln(p.stderr, output.Printable(fmt.Sprintf(format, args...)))
}

// terminal returns how many columns the terminal behind w has; ok is false when w is none.
func terminal(w io.Writer) (columns int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = 80
	}
	return columns, true
}
