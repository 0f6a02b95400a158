package metrics

// Figure is one number that is measured, as it is in the text that Prometheus is given: of a histogram or a summary there are two, its
// _sum and its _count.
type Figure struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Figures returns what is measured now, those of the Go runtime and of the process too. With an error, what could be told
// comes along.
func (m *Metrics) Figures() ([]Figure, error) {
	families, err := m.registry.Gather()
	var all []Figure
	for _, family := range families {
		for _, one := range family.GetMetric() {
			labels := make(map[string]string, len(one.GetLabel()))
			for _, l := range one.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			add := func(suffix string, value float64) {
				all = append(all, Figure{family.GetName() + suffix, labels, value})
			}
			switch {
			case one.Counter != nil:
				add("", one.Counter.GetValue())
			case one.Gauge != nil:
				add("", one.Gauge.GetValue())
			case one.Histogram != nil:
				add("_sum", one.Histogram.GetSampleSum())
				add("_count", float64(one.Histogram.GetSampleCount()))
			case one.Summary != nil:
				add("_sum", one.Summary.GetSampleSum())
				add("_count", float64(one.Summary.GetSampleCount()))
			}
		}
	}
	return all, err
}
