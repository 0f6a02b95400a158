package metrics

// Figure is one value that is measured, for those who show it themselves. Of a histogram there are two, whose names end in _sum and _count.
type Figure struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Figures returns what [Metrics.Handler] would tell now. What cannot be told is missing, and the error says why.
func (m *Metrics) Figures() ([]Figure, error) {
	families, err := m.registry.Gather()
	var all []Figure
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := make(map[string]string, len(metric.GetLabel()))
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			add := func(suffix string, value float64) {
				all = append(all, Figure{family.GetName() + suffix, labels, value})
			}
			switch {
			case metric.Counter != nil:
				add("", metric.Counter.GetValue())
			case metric.Gauge != nil:
				add("", metric.Gauge.GetValue())
			case metric.Histogram != nil:
				add("_sum", metric.Histogram.GetSampleSum())
				add("_count", float64(metric.Histogram.GetSampleCount()))
			}
		}
	}
	return all, err
}
