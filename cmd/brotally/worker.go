package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brotally/brotally/views/client"
)

const (
	workerQuick    = 10 * time.Second // an end that comes sooner counts towards workerEnds
	workerEnds     = 5                // quick ends that nobody asked for, in a row, and it is given up
	workerBackoff  = 200 * time.Millisecond
	workerPatience = 10 * time.Second // for a clean stop
	workerSilence  = 30 * time.Second // no look-up takes as long to begin with its answer
	askAgain       = 20 * time.Millisecond
)

// errAway says that there is no worker at the moment.
var errAway = errors.New("the processors are being started")

// worker is brotally run as a process of its own, for the demo: it can be killed and comes back. Make it with newWorker.
type worker struct {
	*program
	args    []string      // behind the program's name
	backoff time.Duration // after the first end that nobody asked for, then twice as long each time
	http    *http.Client

	target atomic.Pointer[url.URL] // where it listens; nil while it is away

	mu      sync.Mutex  // guards what follows
	process *os.Process // nil while there is none
	killed  bool        // by kill
}

func newWorker(p *program, args ...string) *worker {
	return &worker{program: p, args: args, backoff: workerBackoff, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, ResponseHeaderTimeout: workerSilence}}}
}

// run keeps the process running until ctx is done, and then stops it. An end that nobody asked for is said and the process started
// again; the error is that this does not help.
func (w *worker) run(ctx context.Context) error {
	defer w.http.CloseIdleConnections()
	// Linux has a child die with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ends := 0; ; {
		began := time.Now()
		asked, err := w.once(ctx)
		switch {
		case ctx.Err() != nil:
			if err != nil {
				w.say("the processors did not stop cleanly: %v", err)
			}
			return nil
		case asked:
			continue
		case err == nil:
			err = errors.New("exit status 0")
		}
		if time.Since(began) > workerQuick {
			ends = 0
		}
		if ends++; ends == workerEnds {
			return fmt.Errorf("the processors ended %d times in a row, at last with: %w", ends, err)
		}
		w.say("the processors ended unasked: %v; they are started again", err)
		select {
		case <-time.After(w.backoff << (ends - 1)):
		case <-ctx.Done():
		}
	}
}

// once runs the process once. asked says that its end was kill's.
func (w *worker) once(ctx context.Context) (asked bool, err error) {
	if ctx.Err() != nil {
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, self, w.args...)
	cmd.Stderr = w.stderr
	for _, variable := range w.environ { // settings are not the demo's
		if !strings.HasPrefix(variable, envPrefix) {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	ownLife(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return false, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	cmd.Cancel, cmd.WaitDelay = stdin.Close, workerPatience // it ends with its input
	if err := cmd.Start(); err != nil {
		return false, err
	}
	w.set(cmd.Process)
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	if err == nil {
		var at *url.URL
		if at, err = url.Parse(strings.TrimSpace(line)); err == nil {
			w.target.Store(at)
		}
	}
	_, copied := io.Copy(io.Discard, out) // until it ends
	w.target.Store(nil)
	w.http.CloseIdleConnections()
	waited := cmd.Wait()
	if errors.Is(waited, context.Canceled) {
		waited = nil
	}
	if waited == nil && !errors.Is(err, io.EOF) {
		waited = errors.Join(err, copied)
	}
	return w.set(nil), waited
}

// set notes the process, or that there is none any more. It says whether the last one was killed.
func (w *worker) set(p *os.Process) (killed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	killed = w.killed
	w.process, w.killed = p, false
	return killed
}

// kill ends the process with SIGKILL. The error is errAway when there is none.
func (w *worker) kill() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.process == nil || w.killed {
		return errAway
	}
	w.target.Store(nil)
	w.killed = true
	return w.process.Kill()
}

// client returns a client of the process. The error is errAway when there is none.
func (w *worker) client() (*client.Client, error) {
	at := w.target.Load()
	if at == nil {
		return nil, errAway
	}
	c := client.New(at.String())
	c.HTTP, c.NoRetry = w.http, true
	return c, nil
}

// ask calls f until it has an answer, whatever becomes of the process meanwhile, or ctx is done. That a request is wrong is an answer.
func (w *worker) ask(ctx context.Context, f func(*client.Client) error) error {
	for {
		c, err := w.client()
		if err == nil {
			err = f(c)
		}
		var answered *client.Error
		if err == nil || errors.As(err, &answered) && !answered.Temporary() {
			return err
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
