package web

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figures are the numbers of one moment, by name.
type figures map[string][]figure

type figure struct {
	Labels map[string]string
	Value  float64
}

// measured asks for the figures. Without any the pages say what the API alone knows.
func (s *Site) measured() (figures, error) {
	f := figures{}
	if s.config.Figures == nil {
		return f, nil
	}
	err := s.config.Figures(func(name string, labels map[string]string, value float64) {
		f[name] = append(f[name], figure{labels, value})
	})
	return f, err
}

// with returns the figures of a name that have the labels, given as name, value, ..
func (f figures) with(name string, labels ...string) []figure {
	var found []figure
	for _, one := range f[name] {
		if one.has(labels) {
			found = append(found, one)
		}
	}
	return found
}

func (f figure) has(labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if f.Labels[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// sum adds them up; 0 where there are none.
func (f figures) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, one := range f[name] {
		if one.has(labels) {
			total += one.Value
		}
	}
	return total
}

// count is sum for what is counted.
func (f figures) count(name string, labels ...string) int64 {
	n := f.sum(name, labels...)
	if math.IsNaN(n) || math.Abs(n) > 1<<62 {
		return 0
	}
	return int64(math.Round(n))
}

// values returns the values that a label has, sorted.
func (f figures) values(name, label string, labels ...string) []string {
	found := map[string]bool{}
	for _, one := range f.with(name, labels...) {
		found[one.Labels[label]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// measurement is what was measured at a time.
type measurement struct {
	at time.Time
	figures
}

// pace is what was measured while somebody looks, so that counters have a rate. The zero value is ready.
type pace struct{ past []measurement }

// over is the time that a rate is taken over.
const over = 5 * time.Second

func (p *pace) note(at time.Time, f figures) {
	p.past = append(p.past, measurement{at, f})
	for len(p.past) > 2 && at.Sub(p.past[1].at) >= over {
		p.past = p.past[1:]
	}
}

// grown is how much a counter has grown since the first look of those that are remembered, and the seconds since then; 0 seconds: it is
// not known. A counter that began anew has not grown.
func (p *pace) grown(name string, labels ...string) (n, seconds float64) {
	if len(p.past) < 2 {
		return 0, 0
	}
	first, last := p.past[0], p.past[len(p.past)-1]
	if len(first.with(name, labels...)) == 0 || len(last.with(name, labels...)) == 0 {
		return 0, 0
	}
	return max(0, last.sum(name, labels...)-first.sum(name, labels...)), last.at.Sub(first.at).Seconds()
}

// rate is how much a counter grows a second; false when that is not known yet.
func (p *pace) rate(name string, labels ...string) (float64, bool) {
	n, seconds := p.grown(name, labels...)
	if seconds <= 0 {
		return 0, false
	}
	return n / seconds, true
}

// rateText is rate in words.
func (p *pace) rateText(name string, labels ...string) string {
	r, ok := p.rate(name, labels...)
	if !ok {
		return "–"
	}
	return decimal(r)
}

// mean is what a histogram's values were on average, while somebody looks or, before there is anything of that, since the
// program began; a dash where there were none.
func (p *pace) mean(f figures, name string, labels ...string) string {
	total, _ := p.grown(name+"_sum", labels...)
	n, _ := p.grown(name+"_count", labels...)
	if n == 0 {
		total, n = f.sum(name+"_sum", labels...), f.sum(name+"_count", labels...)
	}
	if n == 0 {
		return "–"
	}
	return duration(total / n)
}

// compact writes a number in few characters: 0.5, 940, 12.3k, 4.5M.
func compact(f float64) string {
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if math.Abs(f) >= unit.of {
			by := unit.of
			if unit.name == "k" {
				by = 1e3
			}
			return strings.TrimSuffix(strconv.FormatFloat(f/by, 'f', 1, 64), ".0") + unit.name
		}
	}
	return strings.TrimSuffix(decimal(f), ".0")
}

// when is a figure that is a time, in seconds since the Unix epoch; nil where there is none.
func (f figures) when(name string, labels ...string) *time.Time {
	found := f.with(name, labels...)
	if len(found) == 0 {
		return nil
	}
	at := time.UnixMicro(int64(found[0].Value * 1e6))
	return &at
}

// stage is one stage in this instance.
type stage struct {
	Group      string
	Kind       string // "combine", "group"
	State      string
	Partitions int64
	Commits    string // a second
	Interval   string // between the beginnings of two, of all stages of the kind
	Took       string
	Rebalances int64
	Failures   int64  // times that it was built anew
	Classes    string // of the errors that were why
	Failed     int64  // commits
	Counters   []counter
}

// ID is where /health says more about it.
func (s stage) ID() string { return stageID(s.Group) }

// Title is what people call its kind.
func (s stage) Title() string {
	if s.Kind == "combine" {
		return "stage 1"
	}
	return "stage 2"
}

// stages returns them by group, stage 1 first.
func (f figures) stages(p *pace) []stage {
	var all []stage
	for _, kind := range []string{"combine", "group"} {
		for _, group := range f.values("brotally_stage_state", "group", "stage", kind) {
			labels := []string{"stage", kind, "group", group}
			s := stage{Group: group, Kind: kind, Partitions: f.count("brotally_stage_partitions", labels...),
				Commits: p.rateText("brotally_commit_seconds_count", labels...), Took: p.mean(f, "brotally_commit_seconds", labels...),
				Interval:   p.mean(f, "brotally_commit_interval_seconds", "stage", kind),
				Rebalances: f.count("brotally_rebalances_total", labels...), Failures: f.count("brotally_stage_failures_total", labels...),
				Failed: f.count("brotally_commit_failures_total", labels...)}
			var classes []string
			for _, one := range f.with("brotally_stage_failures_total", labels...) {
				if one.Value > 0 {
					classes = append(classes, one.Labels["class"]+" "+integer(int64(one.Value)))
				}
			}
			s.Classes = strings.Join(classes, ", ")
			for _, one := range f.with("brotally_stage_state", labels...) {
				if one.Value == 1 {
					s.State = one.Labels["state"]
				}
			}
			all = append(all, s)
		}
	}
	return all
}
