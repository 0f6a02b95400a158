package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// benchstat compares the outputs of go test -bench.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// pieces runs the Go benchmarks of the pieces. With a base they run there as well, turn about, and benchstat compares.
func (b *bench) pieces(ctx context.Context) error {
	now := filepath.Join(b.dir, "now.txt")
	if b.Base == "" {
		if err := b.goBench(ctx, b.root, now); err != nil {
			return err
		}
		return b.keep(ctx, now)
	}
	base := filepath.Join(b.dir, "base")
	if _, err := run(ctx, b.root, "git", "worktree", "add", "--detach", base, b.Base); err != nil {
		return err
	}
	defer func() {
		if _, err := run(context.WithoutCancel(ctx), b.root, "git", "worktree", "remove", "--force", base); err != nil {
			b.say("%v", err)
		}
	}()
	before := filepath.Join(b.dir, "base.txt")
	// Turn about, so that whatever else the machine does meets both.
	for r := range b.Runs {
		b.say("benchmarks of the pieces, run %d of %d", r+1, b.Runs)
		if err := errors.Join(b.goBench(ctx, base, before), b.goBench(ctx, b.root, now)); err != nil {
			return err
		}
	}
	return b.keep(ctx, b.Base+"="+before, "here="+now)
}

// goBench appends a run of all Go benchmarks in a tree to a file.
func (b *bench) goBench(ctx context.Context, dir, file string) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	args := []string{"test", "-run", "^$", "-bench", b.Match, "-benchmem", "-count", "1"}
	if b.BenchTime != "" {
		args = append(args, "-benchtime", b.BenchTime)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, b.Packages...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, os.Stderr
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(file)
		return fmt.Errorf("go test -bench in %s: %w\n%s", dir, err, lastLines(string(text), 15))
	}
	return out.Close()
}

// keep puts what benchstat says of the files into the report.
func (b *bench) keep(ctx context.Context, files ...string) error {
	text, err := run(ctx, b.root, "go", append([]string{"run", benchstat}, files...)...)
	if err != nil {
		return err
	}
	b.report.Pieces = strings.TrimSpace(text)
	return nil
}
