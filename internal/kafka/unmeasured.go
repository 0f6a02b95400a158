package kafka

import metrics "github.com/rcrowley/go-metrics"

// unmeasured is Sarama's registry of metrics where nobody looks at any. Sarama makes a handful of samples for each connection, a
// hundred kilobytes together, and a recovery has a connection for each partition of each table. Our own are in internal/metrics.
type unmeasured struct{}

var _ metrics.Registry = unmeasured{}

// GetOrRegister returns a metric that takes nothing in, of the kind that is asked for: Sarama asks by functions that make one.
func (unmeasured) GetOrRegister(_ string, metric any) any {
	switch m := metric.(type) {
	case func() metrics.Counter:
		return metrics.NilCounter{}
	case func() metrics.Histogram:
		return metrics.NilHistogram{}
	case func() metrics.Meter:
		return metrics.NilMeter{}
	default:
		return m
	}
}

func (unmeasured) Each(func(string, any))            {}
func (unmeasured) Get(string) any                    { return nil }
func (unmeasured) GetAll() map[string]map[string]any { return nil }
func (unmeasured) Register(string, any) error        { return nil }
func (unmeasured) RunHealthchecks()                  {}
func (unmeasured) Unregister(string)                 {}
func (unmeasured) UnregisterAll()                    {}
