package pipeline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// instance is one process of the program that runs the tables.
type instance struct {
	name  string
	flags []string // that the script gave it
	cmd   *exec.Cmd
	log   string        // file
	gone  chan struct{} // closed when it has ended
	url   string        // of HTTP, once it says so

	paused bool
}

// launch starts an instance under a name; env are further NAME=VALUE.
func (w *world) launch(name string, flags []string, env ...string) (*instance, error) {
	if i, err := w.named(name); err == nil && i.alive() {
		return nil, fmt.Errorf("%s runs already: of two processes of one name one ends", name)
	}
	w.launched++
	if !w.advanced.IsZero() { // who starts anew has to hear of every source before the clock goes on
		w.advanced = time.Now().Add(w.ahead)
	}
	i := &instance{name: name, flags: flags, log: filepath.Join(w.dir, fmt.Sprintf("%s-%d.log", name, w.launched)), gone: make(chan struct{})}
	out, err := os.Create(i.log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	args := append([]string{"run", definitionsFile, "--instance", name, "--listen", "127.0.0.1:0", "-X", "heartbeat.interval.ms=100"}, w.common("run")...)
	i.cmd = w.command(append(args, flags...), append(slices.Clone(w.env), env...)...)
	i.cmd.Stdout, i.cmd.Stderr = out, out
	if err := i.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = i.cmd.Wait(); close(i.gone) }() // end waits for it
	w.instances = append(w.instances, i)
	return i, nil
}

// awaitReading waits until the instance says of every table what it reads for it, or that it waits for topics.
func (w *world) awaitReading(ctx context.Context, i *instance) error {
	if slices.Contains(i.flags, "--only=serve") {
		return poll(ctx, i.name+" listens", func() (bool, error) { return i.address() != "", i.ended() })
	}
	return poll(ctx, i.name+" says what it reads", func() (bool, error) {
		said := map[string]bool{}
		for _, line := range i.lines() {
			if _, list, ok := strings.Cut(line, ", for "); ok && strings.HasPrefix(line, "feed ") {
				for name := range strings.SplitSeq(list, ", ") {
					said[name] = true
				}
			}
			if _, rest, ok := strings.Cut(line, `msg="waiting for an input topic" `); ok {
				if m := waits.FindStringSubmatch(rest); m != nil {
					said[m[1]] = true
				}
			}
		}
		for _, d := range w.definitions {
			if !said[d.name] {
				return false, i.ended()
			}
		}
		return true, nil
	})
}

// waits finds what waits for its topics.
var waits = regexp.MustCompile(`\b(?:table|stream)=(\S+)`)

// ended returns an error when the process is no more.
func (i *instance) ended() error {
	if i.alive() {
		return nil
	}
	return fmt.Errorf("%s has ended: %v", i.name, i.cmd.ProcessState)
}

func (i *instance) alive() bool {
	select {
	case <-i.gone:
		return false
	default:
		return true
	}
}

// kill ends the process as kill -9 does.
func (i *instance) kill() {
	_ = i.cmd.Process.Kill() // it may be gone already
	<-i.gone
}

// stop ends the process as Ctrl-C does.
func (i *instance) stop(ctx context.Context) error {
	_ = i.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-i.gone:
		if code := i.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("%s was stopped, exit code %d", i.name, code)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not stop", i.name)
	}
}

// wait waits until the process has ended by itself.
func (i *instance) wait(ctx context.Context) error {
	select {
	case <-i.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end", i.name)
	}
}

// lines returns what the process has written so far.
func (i *instance) lines() (lines []string) {
	f, err := os.Open(i.log)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines
}

// address returns where the instance serves HTTP, once it says so.
func (i *instance) address() string {
	if i.url != "" {
		return i.url
	}
	for _, line := range i.lines() {
		if _, url, ok := strings.Cut(line, "msg=listening url="); ok {
			i.url = url
		}
	}
	return i.url
}

// distinct is up to how many values count(DISTINCT ..) is exact in scripts.
const distinct = 10

// command is one of the program's, in the script's folder and without the settings of whoever runs the tests.
func (w *world) command(args []string, env ...string) *exec.Cmd {
	cmd := exec.Command(w.binary, args...)
	cmd.Dir, cmd.SysProcAttr = w.dir, orphan
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BROTALLY_") }), append(env, fmt.Sprint("BROTALLY_DISTINCT=", distinct), "BROTALLY_CLOCK="+w.clockFile())...)
	return cmd
}

// common returns the flags that every command gets which talks to the cluster.
func (w *world) common(command string) []string {
	flags := []string{"-b", strings.Join(w.cluster.addrs, ","), "--app", w.app()}
	if command == "run" {
		flags = append(flags, w.feedFlags()...)
	}
	if w.registry != nil && (command == "run" || command == "verify") {
		flags = append(flags, "--schema-registry", w.registry.URL())
	}
	return flags
}

// run runs a command to its end and returns its exit code and what it wrote: standard output first.
func (w *world) run(ctx context.Context, args []string) (code int, output string, err error) {
	cmd := w.command(args)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // received below
	select {
	case err = <-done:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-done
		return 0, "", fmt.Errorf("%v does not end:\n%s%s", args, stdout.String(), stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, "", err
	}
	return cmd.ProcessState.ExitCode(), stdout.String() + stderr.String(), nil
}

// patience is how long a step may take that takes milliseconds on an idle machine.
const patience = 40 * time.Second
