package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
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
