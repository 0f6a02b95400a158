package metrics

// Figures gives each number that is measured now, those of the Go runtime and of the process too, as it is in the text that Prometheus
// is given: of a histogram or a summary there are two, its _sum and its _count. With an error, what could be told was given.
func (m *Metrics) Figures(each func(name string, labels map[string]string, value float64)) error {
	families, err := m.registry.Gather()
	for _, family := range families {
		for _, one := range family.GetMetric() {
			labels := make(map[string]string, len(one.GetLabel()))
			for _, l := range one.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			add := func(suffix string, value float64) {
				each(family.GetName()+suffix, labels, value)
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
	return err
}
