package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running program with all its children, measured from /proc.
type process struct {
	name    string
	cmd     *exec.Cmd
	log     string // file with what it writes
	started time.Time
	gone    chan struct{} // closed when it has ended
	stop    chan struct{} // ends the sampling
	sampled sync.WaitGroup

	mu   sync.Mutex      // guards all below
	cpu  map[int]float64 // seconds by pid; those of children that have ended stay
	peak int64           // bytes, of all together
}

// sampleEvery is how often memory and processor time are read.
const sampleEvery = 200 * time.Millisecond

// start runs cmd in a session of its own. Its output goes to a file in dir.
func start(name, dir string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: filepath.Join(dir, name+".log"), gone: make(chan struct{}), stop: make(chan struct{}), cpu: map[int]float64{}}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = cmd.Wait(); close(p.gone) }() // end waits for it
	p.sampled.Add(1)
	go func() { // end waits for it
		defer p.sampled.Done()
		for {
			p.sample()
			select {
			case <-time.After(sampleEvery):
			case <-p.stop:
				return
			}
		}
	}()
	return p, nil
}

// stat is what /proc says of a process.
type stat struct {
	parent, session int
	cpu             float64 // seconds
	rss             int64   // bytes
}

// ticks is Linux's unit of processor time for programs, USER_HZ: a hundredth of a second on all its platforms.
const ticks = 100

func statOf(pid int) (s stat, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, false
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 22 {
		return s, false
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	return stat{int(number(1)), int(number(3)), float64(number(11)+number(12)) / ticks, number(21) * int64(os.Getpagesize())}, true
}

// sample reads the process and its descendants.
func (p *process) sample() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	all := map[int]stat{}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if s, ok := statOf(pid); ok {
				all[pid] = s
			}
		}
	}
	root := p.cmd.Process.Pid
	ours := func(pid int) bool {
		for s, ok := all[pid]; ok; s, ok = all[pid] {
			if pid == root || s.session == root {
				return true
			}
			pid = s.parent
		}
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	together := int64(0)
	for pid, s := range all {
		if ours(pid) {
			p.cpu[pid] = max(p.cpu[pid], s.cpu)
			together += s.rss
		}
	}
	p.peak = max(p.peak, together)
}

// used returns the processor seconds up to now, and the most memory in MiB that was seen.
func (p *process) used() (cpu, peak float64) {
	p.sample()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, seconds := range p.cpu {
		cpu += seconds
	}
	return cpu, float64(p.peak) / (1 << 20)
}

// end stops the process: asked first, then, after a while, killed.
func (p *process) end() {
	select {
	case <-p.stop:
		return
	default:
	}
	close(p.stop)
	p.sampled.Wait()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // the whole group
		select {
		case <-p.gone:
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // children that stayed
			return
		case <-time.After(15 * time.Second):
		}
	}
	<-p.gone
}

// watch ends ctx with an error when the process ends by itself.
func (p *process) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { // ends with ctx
		select {
		case <-p.gone:
			cancel(fmt.Errorf("%s ended too early:\n%s", p.name, p.tail()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// tail returns the last of what the process wrote.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// run runs a command to its end, and returns its output; an error has the rest of what it wrote.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args...), " "), err), errors.New(strings.TrimSpace(stderr.String()+string(out))))
	}
	return string(out), nil
}
