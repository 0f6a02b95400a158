package broker

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TB is what StartTest needs of *testing.T or *testing.B; naming it here keeps package testing out of the program.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// StartTest starts a broker that ends with the test. Without a Config it keeps everything in memory on a free port. Group
// sessions may be as short as 100 ms, so that a test need not wait six seconds for a dead member.
func StartTest(t TB, cfg ...Config) *Broker {
	t.Helper()
	var c Config
	if len(cfg) > 0 {
		c = cfg[0]
	}
	c.Options = append([]kfake.Opt{kfake.GroupMinSessionTimeout(100 * time.Millisecond)}, c.Options...)
	b, err := Start(c)
	if err != nil {
		t.Fatalf("start a broker: %v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("stop the broker: %v", err)
		}
	})
	return b
}

// HoldTest makes the broker take requests of one kind and answer none of them until release is called, which must be before
// the broker closes. arrived says that the first one has come.
func HoldTest(b *Broker, key kmsg.Key) (arrived <-chan struct{}, release func()) {
	var (
		mu          sync.Mutex
		held        sync.WaitGroup
		released    bool
		first, hold = make(chan struct{}), make(chan struct{})
		once        sync.Once
	)
	enter := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if !released {
			held.Add(1)
		}
		return !released
	}
	c := b.Cluster()
	c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !enter() {
			return nil, nil, false
		}
		defer held.Done()
		c.SleepControl(func() {
			once.Do(func() { close(first) })
			<-hold
		})
		return nil, nil, false
	})
	return first, func() {
		mu.Lock()
		released = true
		mu.Unlock()
		close(hold)
		held.Wait()
		c.CurrentNode() // it has gone on with what was held, or closing would wait for that for ever
	}
}
