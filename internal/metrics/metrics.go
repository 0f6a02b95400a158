package metrics

import (
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/views"
)

// Build says what is running.
type Build struct {
	Version string
	Commit  string
	Go      string
	Goka    string
	Sarama  string
}

// Metrics are those of one process. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	commits        *prometheus.HistogramVec
	transactions   *prometheus.HistogramVec
	intervals      *prometheus.HistogramVec
	commitFailures *prometheus.CounterVec
	requests       *prometheus.CounterVec
	requestTimes   *prometheus.HistogramVec
	answered       sync.Map // of answer to counted: what requests and requestTimes have of it
}

// New returns the metrics of the program, the Go runtime and the process.
func New(b Build) *Metrics {
	m := &Metrics{
		registry: prometheus.NewPedanticRegistry(),
		commits:  commitSeconds.histogramVec(), transactions: transactionTime.histogramVec(), intervals: commitInterval.histogramVec(),
		commitFailures: commitFailures.counterVec(),
		requests:       httpRequests.counterVec(), requestTimes: httpSeconds.histogramVec(),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{
		metrics: []*Metric{buildInfo},
		collect: func(s sink) { s.set(buildInfo, 1, b.Version, b.Commit, b.Go, b.Goka, b.Sarama) },
	})
	return m
}

// Processors adds what the stages of this process tell; [Metrics.Committed] is to be called with their commits.
func (m *Metrics) Processors(p *processors.Processors) {
	m.registry.MustRegister(m.commits, m.transactions, m.intervals, m.commitFailures, stagesOf(p))
}

// Views adds what the views of this process tell; [Metrics.Answered] is to be called with each HTTP request.
func (m *Metrics) Views(v *views.Views) {
	m.registry.MustRegister(m.requests, m.requestTimes, viewsOf(v))
}

// Committed takes in a commit of a stage.
func (m *Metrics) Committed(c processors.Commit) {
	failures := m.commitFailures.WithLabelValues(c.Stage, c.Group)
	if c.Err != nil {
		failures.Inc()
		return
	}
	m.commits.WithLabelValues(c.Stage, c.Group).Observe(c.Took.Seconds())
	m.transactions.WithLabelValues(c.Stage).Observe((c.Took - c.Flush).Seconds())
	if c.Interval > 0 {
		m.intervals.WithLabelValues(c.Stage).Observe(c.Interval.Seconds())
	}
}

// Answered takes in an HTTP request: the route's pattern, the status and how long it took.
func (m *Metrics) Answered(route string, status int, took time.Duration) {
	to, ok := m.answered.Load(answer{route, status})
	if !ok { // once for each
		to, _ = m.answered.LoadOrStore(answer{route, status}, counted{m.requests.WithLabelValues(route, strconv.Itoa(status)), m.requestTimes.WithLabelValues(route)})
	}
	to.(counted).requests.Inc()
	to.(counted).times.Observe(took.Seconds())
}

type answer struct {
	route  string
	status int
}

type counted struct {
	requests prometheus.Counter
	times    prometheus.Observer
}

// Handler answers Prometheus. What cannot be told goes to log, and the rest is told all the same.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	})
}

// Gatherer gives what is measured, for tests.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// collector asks for what is there when Prometheus comes by.
type collector struct {
	metrics []*Metric
	collect func(sink)
}

// Describe implements [prometheus.Collector].
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		to <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(to chan<- prometheus.Metric) { c.collect(to) }

// sink takes values.
type sink chan<- prometheus.Metric

func (s sink) set(m *Metric, value float64, labels ...string) {
	kind := prometheus.GaugeValue
	if m.Kind == "counter" {
		kind = prometheus.CounterValue
	}
	s <- prometheus.MustNewConstMetric(m.desc, kind, value, labels...)
}

// micros and millis turn our times into Prometheus's.
func micros(us int64) float64 { return float64(us) / 1e6 }
func millis(ms int64) float64 { return float64(ms) / 1e3 }

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
