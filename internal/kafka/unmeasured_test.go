package kafka

import (
	"runtime"
	"testing"

	"github.com/IBM/sarama"
	metrics "github.com/rcrowley/go-metrics"
)

// TestNothingIsMeasured: what Sarama gets for each kind of metric takes values in and keeps none, and a connection's costs little.
func TestNothingIsMeasured(t *testing.T) {
	conf, err := Config{Brokers: []string{"a:1"}}.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	counter := metrics.GetOrRegisterCounter("c", conf.MetricRegistry)
	meter := metrics.GetOrRegisterMeter("m", conf.MetricRegistry)
	histogram := conf.MetricRegistry.GetOrRegister("h", func() metrics.Histogram { return metrics.NewHistogram(metrics.NewUniformSample(10)) }).(metrics.Histogram)
	counter.Inc(1)
	meter.Mark(1)
	histogram.Update(1)
	if counter.Count()+meter.Count()+histogram.Count() != 0 {
		t.Error("something was kept")
	}

	c := fakeCluster(t)
	topic := c.topic(1)
	const n = 20
	var open [n]*Reader
	before := heap()
	for i := range open {
		open[i] = c.reader(topic, sarama.OffsetOldest) // which asks where that is
	}
	took := (heap() - before) / n
	if took > 50<<10 {
		t.Errorf("a reader's connection takes %d bytes", took)
	}
	t.Logf("a reader's connection takes %d bytes", took)
	runtime.KeepAlive(open)
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
