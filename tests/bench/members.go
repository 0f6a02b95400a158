package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// membersRate is how many records a second come while instances do.
	membersRate = 4000
	// settled is for how long after a change records still count as touched by it.
	settled = 5 * time.Second
)

// members has a second instance join, leave, come back and die while records come, and notes how late the results were.
func (b *bench) members(ctx context.Context) error {
	for r := range b.Runs {
		if err := b.feed(ctx, b.brotally(), func(ctx context.Context, f *feeding) error { return b.comeAndGo(ctx, f, r) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) comeAndGo(ctx context.Context, f *feeding, r int) (err error) {
	j := f.job
	f.all.measure(time.Now())

	var enough atomic.Bool
	sending := make(chan error, 1)
	go func() { // awaited below
		for !enough.Load() {
			if err := f.out.send(ctx, membersRate/4, membersRate); err != nil {
				sending <- err
				return
			}
		}
		sending <- nil
	}()
	var second *process
	join := func() (err error) {
		cmd, err := b.brotallyWith(j.app, "second", j.topic, countsTable(j.result))
		if err != nil {
			return err
		}
		if second, err = start("brotally-"+j.app+"-second", b.dir, cmd); err != nil {
			return err
		}
		return b.settled(ctx, j.app, 2)
	}
	title := fmt.Sprintf("%s records/s while a second instance comes and goes, produced until seen", thousands(membersRate))
	change := func(name string, do func() error) error {
		if err := pause(ctx, settled/2); err != nil {
			return err
		}
		from := time.Now()
		if err := do(); err != nil {
			return err
		}
		if err := pause(ctx, settled); err != nil {
			return err
		}
		// What came late is a figure only once it came.
		if _, err := f.result.wait(ctx, f.all.total()); err != nil {
			return err
		}
		b.note("members", title, name, r, quantiles(f.all.since(from)))
		return nil
	}
	defer func() {
		if second != nil {
			second.end()
		}
	}()
	err = change("an instance joins", join)
	if err == nil {
		err = change("it leaves", func() error { second.end(); return nil })
	}
	if err == nil {
		err = join()
	}
	if err == nil {
		err = change("it is killed", func() error {
			if err := second.cmd.Process.Kill(); err != nil {
				return err
			}
			return b.settled(ctx, j.app, 1)
		})
	}
	enough.Store(true)
	if e := <-sending; err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	_, _, err = f.exact(ctx, "brotally")
	return err
}

// settled waits until all groups of an app have so many members, and those their partitions.
func (b *bench) settled(ctx context.Context, app string, members int) error {
	for {
		groups, err := b.admin.ListGroups(ctx)
		if err != nil {
			return err
		}
		var ours []string
		for name := range groups {
			if strings.HasPrefix(name, app) {
				ours = append(ours, name)
			}
		}
		described, err := b.admin.DescribeGroups(ctx, ours...)
		if err != nil {
			return err
		}
		all := len(ours) > 0
		for _, g := range described {
			all = all && g.State == "Stable" && len(g.Members) == members
		}
		if all {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("groups of %s with %d members: %w", app, members, err)
		}
	}
}
