package faults

import (
	"context"
	"testing"
	"time"
)

// The tests of this file take one protection away and want the same deaths to be noticed: otherwise the other tests
// prove nothing. The switches are in no normal build, see internal/fault.

func TestWithoutTransactionsACrashCountsTwice(t *testing.T) {
	w := newWorld(t)
	w.red("BROTALLY_UNPROTECTED=transactions", "combine:offsets-added:10", "group:offsets-added:10")
}

func TestWithOffsetsCommittedFirstACrashLoses(t *testing.T) {
	w := newWorld(t)
	w.red("BROTALLY_UNPROTECTED=flush-first", "combine:committed:11", "group:committed:11") // odd: the commit before the records
}

// red kills an instance at the points while records flow and wants the table to be wrong.
func (w *world) red(env string, points ...string) {
	w.t.Helper()
	w.patience = 10 * time.Second
	stop := w.traffic(4_000)
	for _, point := range points {
		i := w.start("a", env, "BROTALLY_FAULT="+point)
		w.eventually("killed at "+point, 30*time.Second, func() bool { return !i.alive() })
	}
	last := w.start("a", env)
	stop()
	diff := w.settle(last)
	if diff == "" {
		w.t.Fatalf("%s, killed at %v, and still exact: the crash tests would not notice", env, points)
	}
	w.t.Logf("%s: noticed:\n%s", env, diff)
}

func TestWithRecoveryToTheLastStableOffsetADeathForgets(t *testing.T) {
	const tries = 4 // b may begin when a's transaction has just been ended
	diff := ""
	for n := 0; n < tries && diff == ""; n++ {
		_, diff = deaths(t, "BROTALLY_UNPROTECTED=recover-to-high-watermark")
	}
	if diff == "" {
		t.Fatalf("recovery stopped at the last stable offset, and still exact %d times: the crash tests would not notice", tries)
	}
	t.Logf("noticed:\n%s", diff)
}

// TestProtectedIsExactInTheSameLoop is the counterpart of red: the same deaths with every protection in place.
func TestProtectedIsExactInTheSameLoop(t *testing.T) {
	w := newWorld(t)
	stop := w.traffic(4_000)
	for _, point := range []string{"combine:offsets-added:10", "group:offsets-added:10", "combine:committed:10", "group:committed:10"} {
		i := w.start("a", "BROTALLY_FAULT="+point)
		w.eventually("killed at "+point, 30*time.Second, func() bool { return !i.alive() })
	}
	last := w.start("a")
	stop()
	w.exact(last)
	if err := w.send(context.Background(), 100, 4_000); err != nil {
		t.Fatal(err)
	}
	w.exact(last)
}
