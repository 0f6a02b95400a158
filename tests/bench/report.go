package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metric is a figure's name, with its unit.
type metric string

const (
	perSecond         metric = "records/s end to end"
	endToEnd          metric = "s end to end"
	cpuSeconds        metric = "CPU s"
	steadyPerSecond   metric = "records/s steady"
	rowsPerSecond     metric = "rows/s"
	lookupsPerSecond  metric = "look-ups/s"
	answersPerSecond  metric = "answers/s"
	refused           metric = "part refused"
	mbPerSecond       metric = "MB/s"
	answersAfter      metric = "s until rows answer"
	countsAfter       metric = "s until counting"
	goneAfter         metric = "s until all are gone"
	p50               metric = "p50 ms"
	p99               metric = "p99 ms"
	p999              metric = "p99.9 ms"
	most              metric = "max ms"
	samples           metric = "samples"
	incomingPerSecond metric = "records/s coming in"
	usedCores         metric = "CPU cores"
	cpuPerMillion     metric = "CPU s per million"
	brokerPerMillion  metric = "broker's CPU s per million"
	peakRSS           metric = "peak RSS MiB"
)

// metrics are the columns of the tables, in order; the first one that a table has is what its ratios are of.
var metrics = []metric{perSecond, endToEnd, cpuSeconds, rowsPerSecond, lookupsPerSecond, answersPerSecond, refused, mbPerSecond, steadyPerSecond, answersAfter, countsAfter, goneAfter, p50, p99, p999, most, samples, incomingPerSecond, usedCores, cpuPerMillion, brokerPerMillion, peakRSS}

type values map[metric]float64

// measurement is one run of one system.
type measurement struct {
	Part   string `json:"part"`
	Title  string `json:"title"` // of the table that it is a row of
	Name   string `json:"name"`
	Run    int    `json:"run"` // from 1
	Values values `json:"values"`
}

// report is what is written at the end.
type report struct {
	Date         string        `json:"date"`
	Commit       string        `json:"commit"`
	Command      string        `json:"command"`
	Machine      []string      `json:"machine"`
	Measurements []measurement `json:"measurements"`
	Growth       []growth      `json:"growth,omitempty"`
	Pieces       string        `json:"pieces,omitempty"` // benchstat's text
}

// note keeps a measurement, and says it.
func (b *bench) note(part, title, name string, r int, v values) {
	b.report.Measurements = append(b.report.Measurements, measurement{part, title, name, r + 1, v})
	var said []string
	for _, m := range metrics {
		if n, ok := v[m]; ok {
			said = append(said, fmt.Sprintf("%s %s", figure(n), m))
		}
	}
	b.say("%s, run %d, %s: %s", part, r+1, name, strings.Join(said, ", "))
}

// newReport describes the machine and the commit.
func (b *bench) newReport(ctx context.Context, now time.Time) (report, error) {
	r := report{Date: now.UTC().Format("2006-01-02"), Command: b.command(), Machine: machine()}
	commit, err := run(ctx, b.root, "git", "rev-parse", "--short=9", "HEAD")
	if err != nil {
		return r, err
	}
	changed, err := run(ctx, b.root, "git", "status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return r, err
	}
	r.Commit = strings.TrimSpace(commit)
	if strings.TrimSpace(changed) != "" {
		r.Commit += "-dirty"
	}
	return r, nil
}

// machine says what the figures were measured on. What /proc does not tell is left out.
func machine() []string {
	said := []string{fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
	value := func(file, name string) string {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if before, after, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(before) == name {
				return strings.TrimSpace(after)
			}
		}
		return ""
	}
	if model := value("/proc/cpuinfo", "model name"); model != "" {
		said = append(said, model)
	}
	if memory, err := strconv.ParseFloat(strings.TrimSuffix(value("/proc/meminfo", "MemTotal"), " kB"), 64); err == nil {
		said = append(said, fmt.Sprintf("%.0f GiB of memory", memory/(1<<20)))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		said = append(said, "load before the start "+strings.Join(strings.Fields(string(load))[:3], " "))
	}
	return said
}

// write writes the report as Markdown and as JSON, and returns the first's name. A commit's further reports of the day are numbered.
func (r *report) write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(dir, r.Date+"-"+r.Commit)
	for n := 2; ; n++ {
		if _, err := os.Stat(name + ".json"); errors.Is(err, fs.ErrNotExist) {
			break
		}
		name = filepath.Join(dir, fmt.Sprintf("%s-%s-%d", r.Date, r.Commit, n))
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(name+".json", append(text, '\n'), 0o644); err != nil {
		return "", err
	}
	return name + ".md", os.WriteFile(name+".md", []byte(r.markdown()), 0o644)
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of %s, %s\n\n", r.Commit, r.Date)
	fmt.Fprintf(&b, "```\n%s\n```\n\n%s. The broker, the load and what is measured share the machine.\n", r.Command, strings.Join(r.Machine, "; "))
	if len(r.Measurements) > 0 {
		b.WriteString("Figures are medians of the runs; the ratio is to the first row, of the first column of figures. Counts were exact in every run; consumer-perf has none.\n" +
			"[BENCHMARKS.md](../../../docs/BENCHMARKS.md) says what they mean.\n")
	}
	part := ""
	for _, t := range r.tables() {
		if t.part != part {
			part = t.part
			fmt.Fprintf(&b, "\n## %s%s\n", strings.ToUpper(part[:1]), part[1:])
		}
		fmt.Fprintf(&b, "\n%s (%s)\n\n%s", t.title, plural(t.runs, "run"), t.markdown())
	}
	if len(r.Growth) > 0 {
		b.WriteString("\n" + slopes(r.Growth))
	}
	if r.Pieces != "" {
		fmt.Fprintf(&b, "\n## Pieces\n\n```\n%s\n```\n", r.Pieces)
	}
	return b.String()
}

// table is the measurements under one title.
type table struct {
	part, title string
	runs        int
	names       []string // rows, in the order of their first run
	all         map[string]map[metric][]float64
}

func (r *report) tables() (all []*table) {
	for _, m := range r.Measurements {
		at := slices.IndexFunc(all, func(t *table) bool { return t.part == m.Part && t.title == m.Title })
		if at < 0 {
			at = len(all)
			all = append(all, &table{part: m.Part, title: m.Title, all: map[string]map[metric][]float64{}})
		}
		t := all[at]
		t.runs = max(t.runs, m.Run)
		if t.all[m.Name] == nil {
			t.names = append(t.names, m.Name)
			t.all[m.Name] = map[metric][]float64{}
		}
		for name, v := range m.Values {
			t.all[m.Name][name] = append(t.all[m.Name][name], v)
		}
	}
	return all
}

func (t *table) markdown() string {
	var columns []metric
	for _, m := range metrics {
		if slices.ContainsFunc(t.names, func(name string) bool { return len(t.all[name][m]) > 0 }) {
			columns = append(columns, m)
		}
	}
	if len(columns) == 0 {
		return ""
	}
	ratios := len(t.names) > 1
	var b strings.Builder
	b.WriteString("| |")
	for i, m := range columns {
		fmt.Fprintf(&b, " %s |", m)
		if i == 0 && ratios {
			b.WriteString(" ratio |")
		}
		if i == 0 && t.runs > 1 {
			b.WriteString(" least to most |")
		}
	}
	cells := strings.Count(b.String(), "|") - 2
	b.WriteString("\n|---|" + strings.Repeat("---:|", cells) + "\n")
	for _, name := range t.names {
		fmt.Fprintf(&b, "| %s |", name)
		for i, m := range columns {
			all := t.all[name][m]
			cell := "-"
			if len(all) > 0 {
				cell = figure(median(all))
			}
			fmt.Fprintf(&b, " %s |", cell)
			if i == 0 && ratios {
				cell = "-"
				if first := t.all[t.names[0]][m]; len(all) > 0 && len(first) > 0 && median(first) > 0 {
					cell = fmt.Sprintf("%.2f", median(all)/median(first))
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
			if i == 0 && t.runs > 1 {
				cell = "-"
				if len(all) > 0 {
					cell = figure(slices.Min(all)) + " to " + figure(slices.Max(all))
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// median returns the middle one, or the mean of the two in the middle.
func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// figure writes a number with as many digits as say something.
func figure(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return thousands(v)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
