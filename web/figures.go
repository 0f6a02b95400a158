package web

import (
	"cmp"
	"slices"
)

// Figure is one value that the program measures, as its /metrics name it.
type Figure struct {
	Name   string // such as "brotally_lag_records"; of a histogram with _sum or _count
	Labels map[string]string
	Value  float64
}

// figures are all of one time.
type figures []Figure

// read asks for them. Without any the pages show what tables tell alone.
func (c Config) figures() (figures, error) {
	if c.Figures == nil {
		return nil, nil
	}
	all, err := c.Figures()
	return all, err
}

// of calls fn with those of a name, without its prefix, whose labels have the given values.
func (f figures) of(name string, labels map[string]string, fn func(Figure)) {
next:
	for _, figure := range f {
		if figure.Name != "brotally_"+name {
			continue
		}
		for label, value := range labels {
			if figure.Labels[label] != value {
				continue next
			}
		}
		fn(figure)
	}
}

// sum adds them up.
func (f figures) sum(name string, labels map[string]string) int64 {
	var sum float64
	f.of(name, labels, func(figure Figure) { sum += figure.Value })
	return int64(sum)
}

// sums adds them up by the value of one label.
func (f figures) sums(name, label string, labels map[string]string) map[string]int64 {
	sums := map[string]int64{}
	f.of(name, labels, func(figure Figure) { sums[figure.Labels[label]] += int64(figure.Value) })
	return sums
}

// mean is that of a histogram; below 0 there was nothing to measure.
func (f figures) mean(name string, labels map[string]string) float64 {
	var sum, count float64
	f.of(name+"_sum", labels, func(figure Figure) { sum += figure.Value })
	f.of(name+"_count", labels, func(figure Figure) { count += figure.Value })
	if count == 0 {
		return -1
	}
	return sum / count
}

// plain returns a figure whose name is not ours.
func (f figures) plain(name string) (float64, bool) {
	for _, figure := range f {
		if figure.Name == name {
			return figure.Value, true
		}
	}
	return 0, false
}

// state is the one that a stage of a group is in; "" if it is not here.
func (f figures) state(group string) (state string) {
	f.of("stage_state", map[string]string{"group": group}, func(figure Figure) {
		if figure.Value == 1 {
			state = figure.Labels["state"]
		}
	})
	return state
}

// source is what the figures tell of one source partition.
type source struct {
	Pass, Feed, Topic, Partition string
	Read, Lag, Lost, Bad, Skewed int64
}

// sources lists the source partitions that this instance reads, in the order of their names.
func (f figures) sources() []*source {
	byKey := map[source]*source{}
	var all []*source
	for name, set := range map[string]func(*source, int64){
		"records_read_total":   func(s *source, v int64) { s.Read = v },
		"lag_records":          func(s *source, v int64) { s.Lag = v },
		"records_lost_total":   func(s *source, v int64) { s.Lost = v },
		"bad_fields_total":     func(s *source, v int64) { s.Bad = v },
		"records_skewed_total": func(s *source, v int64) { s.Skewed = v },
	} {
		f.of(name, nil, func(figure Figure) {
			l := figure.Labels
			key := source{Pass: l["pass"], Feed: l["feed"], Topic: l["topic"], Partition: l["partition"]}
			if byKey[key] == nil {
				s := key
				byKey[key] = &s
				all = append(all, &s)
			}
			set(byKey[key], int64(figure.Value))
		})
	}
	slices.SortFunc(all, func(a, b *source) int {
		return cmp.Or(cmp.Compare(a.Pass, b.Pass), cmp.Compare(a.Topic, b.Topic), cmp.Compare(len(a.Partition), len(b.Partition)), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}
