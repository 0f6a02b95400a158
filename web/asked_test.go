package web

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestAskedIsAskedAtItsTime: pages that look while something is asked for do not have it asked for again at once.
func TestAskedIsAskedAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 2 * time.Second
		n := 0
		a := newAsked(func(context.Context) (int, error) {
			time.Sleep(takes)
			n++
			return n, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // awaited below
			defer close(done)
			a.run(ctx)
		}()
		const looked = 70 * time.Second
		for began := time.Now(); time.Since(began) < looked; time.Sleep(700 * time.Millisecond) {
			if got, there, err := a.get(t.Context()); err != nil || there && got == 0 {
				t.Fatal(got, there, err)
			}
		}
		cancel()
		<-done
		if want := 1 + int(looked/(askShare*takes)); n != want {
			t.Errorf("asked for %d times in %v, want %d", n, looked, want)
		}
	})
}
