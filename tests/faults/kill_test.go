package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// flow sends records in the background until the test has done its worst.
func (w *world) flow(n, rate int) (wait func()) {
	done := make(chan error, 1)
	go func() { done <- w.send(context.Background(), n, rate) }()
	return func() {
		w.t.Helper()
		if err := <-done; err != nil {
			w.t.Fatalf("send: %v", err)
		}
	}
}

// traffic sends records in the background until it is told to stop.
func (w *world) traffic(rate int) (stop func()) {
	ended, sending := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-ended:
				sending <- nil
				return
			default:
				if err := w.send(context.Background(), rate/10, rate); err != nil {
					sending <- err
					return
				}
			}
		}
	}()
	return func() {
		w.t.Helper()
		close(ended)
		if err := <-sending; err != nil {
			w.t.Fatalf("send: %v", err)
		}
	}
}

func TestKillAtRandomMoments(t *testing.T) {
	w := newWorld(t)
	const records, rate, kills = 500_000, 9_000, 20
	wait := w.flow(records, rate)
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	asker := w.asks(records)
	asker.of(w.launch("serve", w.sql, []string{"--only", "serve"}))
	for range kills {
		i := w.start("a")
		asker.of(i)
		time.Sleep(700*time.Millisecond + time.Duration(random.Int64N(int64(2*time.Second)))) // the moment is the test
		i.kill()
	}
	last := w.start("a")
	asker.of(last)
	wait()
	w.exact(last)
	asker.end()
	w.verified()
	n := w.aborted()
	t.Logf("%d kills over %d records: exact; %d aborted transactions (per topic partition)", kills, records, n)
	if n == 0 {
		t.Fatal("no transaction was aborted: nothing was tested")
	}
}

func TestKillAtNamedPoints(t *testing.T) {
	w := newWorld(t)
	stop := w.traffic(4_000)
	for _, stage := range []string{"combine", "group"} {
		for _, point := range []string{"sent", "offsets-added", "commit-sent", "committed", "first-commit", "recovering"} {
			if stage == "combine" && point == "recovering" {
				continue // stage 1 recovers nothing
			}
			spec := fmt.Sprintf("%s:%s:%d", stage, point, map[string]int{"first-commit": 1, "recovering": 100}[point]+1)
			if point == "first-commit" {
				spec = stage + ":" + point + ":1"
			}
			i := w.start("a", "BROTALLY_FAULT="+spec)
			w.eventually("killed at "+spec, 30*time.Second, func() bool { return !i.alive() })
			if !i.logged("fault: killed at " + stage + ":" + point) {
				t.Fatalf("%s: ended otherwise:\n%s", spec, tail(i.log, 20))
			}
		}
	}
	last := w.start("a")
	stop()
	w.exact(last)
	n := w.aborted()
	t.Logf("killed at 11 named points over %d records: exact; %d aborted transactions (per topic partition)", w.sent.Load(), n)
	if n == 0 {
		t.Fatal("no transaction was aborted: nothing was tested")
	}
}

func TestStoppedInstanceComesBackAsAZombie(t *testing.T) {
	w := newWorld(t)
	wait := w.flow(150_000, 5_000)
	a := w.start("a")
	w.eventually("a counts", 20*time.Second, func() bool { return len(a.view()) > 0 })
	a.signal(syscall.SIGSTOP)
	b := w.start("b")
	before := len(w.result())
	w.eventually("b has taken over", 40*time.Second, func() bool {
		return b.logged(`"session begins"`, "combine", "generation") && len(b.view()) > 0 && len(w.result()) >= before && sum(b.view()) > sum(w.truthNow())/2
	})
	a.signal(syscall.SIGCONT)
	wait()
	w.exact(b)
	w.exact(a) // it rejoined, and its view has everything
}

// A dies when its rows are sent and its offsets are not: its transaction stays open for ten seconds, and does not hold up
// who takes its partitions over. B takes them over when the group gives A up, and is killed before A's transaction has
// timed out: while it waits for that in its recovery, or, when it does not wait, behind its first commit. C comes back
// under B's name at once.
func TestDeathInsideATransactionThenAnotherWithinItsTimeout(t *testing.T) {
	w, diff := deaths(t)
	if diff != "" {
		t.Fatalf("not exact after %d records (-sent +counted):\n%s", w.sent.Load(), diff)
	}
}

// deaths plays it in a world of its own and returns what differs. A's stage 1 may die inside a transaction, too, or B get its
// partitions too late: then the situation did not come about and is played again.
func deaths(t *testing.T, env ...string) (w *world, diff string) {
	t.Helper()
	const tries, timeout = 5, 10 * time.Second
	for range tries {
		w = newWorld(t)
		w.patience = 20 * time.Second
		wait := w.flow(60_000, 4_000)
		a := w.start("a", append(env, "BROTALLY_FAULT=group:sent:40")...)
		w.eventually("a is killed inside a transaction", 30*time.Second, func() bool { return !a.alive() })
		died := time.Now()
		b := w.start("b", append(env, "BROTALLY_FAULT=group:committed:1")...)
		w.eventually("b is killed", timeout, func() bool { return !b.alive() || time.Since(died) > timeout-1500*time.Millisecond })
		b.kill()
		inTime := b.logged("setup generation", "counts-partials")
		c := w.start("b", env...)
		wait()
		diff = w.settle(c)
		if inTime || diff != "" {
			return w, diff
		}
		t.Log("b had no partitions before a's transaction timed out: once more")
		c.stop()
	}
	t.Fatalf("the situation did not come about in %d tries", tries)
	return w, ""
}

// A dies when its offsets are part of its transaction: who takes over must wait until that is decided, and is killed while
// it waits.
func TestDeathWhileWaitingForADeadTransaction(t *testing.T) {
	w := newWorld(t)
	wait := w.flow(60_000, 4_000)
	a := w.start("a", "BROTALLY_FAULT=group:offsets-added:40")
	w.eventually("a is killed inside a transaction", 30*time.Second, func() bool { return !a.alive() })
	b := w.start("b")
	w.eventually("b waits for a's transaction", 30*time.Second, func() bool { return b.logged("joining again") })
	b.kill()
	c := w.start("c")
	wait()
	w.exact(c)
}

// Of two instances one dies inside a transaction. The other ends that when the group gives the dead one up, four seconds before it
// would time out, and has everything.
func TestOneOfTwoDiesInsideATransaction(t *testing.T) {
	w := newWorld(t)
	wait := w.flow(60_000, 5_000)
	a := w.start("a")
	w.eventually("a counts", 20*time.Second, func() bool { return len(a.view()) > 0 })
	b := w.start("b", "BROTALLY_FAULT=group:sent:100")
	w.eventually("b is killed inside a transaction", 30*time.Second, func() bool { return !b.alive() })
	died := time.Now()
	w.eventually("a ends b's transactions", 20*time.Second, func() bool {
		return a.logged("a member is gone", w.app+"-counts-b") && a.logged("a member is gone", w.app+"-combine-", "-b\"")
	})
	t.Logf("a ended b's transactions %v after its death", time.Since(died).Round(10*time.Millisecond))
	if w.aborted() == 0 {
		t.Error("b had no transaction open")
	}
	wait()
	w.exact(a)
}

func TestTwoInstancesShareTheWork(t *testing.T) {
	w := newWorld(t)
	wait := w.flow(90_000, 5_000)
	a := w.start("a")
	w.eventually("a counts", 20*time.Second, func() bool { return len(a.view()) > 0 })
	b := w.start("b")
	w.eventually("both have partitions", 20*time.Second, func() bool {
		return a.logged(`"session begins"`, `"generation":2`) && b.logged(`"session begins"`)
	})
	wait()
	w.exact(a)
	w.exact(b)
	a.stop()
	if err := w.send(context.Background(), 5_000, 5_000); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.exact(b)
	t.Logf("b has everything %v after a left", time.Since(began).Round(10*time.Millisecond))
}

func sum(cells map[string]int64) (n int64) {
	for _, v := range cells {
		n += v
	}
	return n
}
