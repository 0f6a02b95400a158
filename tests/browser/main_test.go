// Package browser holds the tests that put the whole program in front of a real browser: what log lines can do to the pages, how
// far who cannot see or point gets, and the pictures in docs/images.
package browser

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"), // Sarama's, one a process
		goleak.IgnoreTopFunction("github.com/IBM/sarama.(*Broker).responseReceiver"))    // as in the tests of views
}
