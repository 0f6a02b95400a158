package web

import (
	"fmt"
	"slices"
	"strings"
)

// spark is a line without axes: how something went over the last minutes. Templates draw it.
type spark struct {
	Line, Area string // paths in a box of 120 by 28
	Cut        string // path along the upper edge, where the line would be above it; empty: it is nowhere
	Title      string // the scale, in words
}

// tall is how many times as high as the median a line can go. What is higher is cut, and seen to be: a backlog that is read at
// 400,000 a second at first would else leave no height to the 500 that then come in.
const tall = 3

// newSpark draws rates, a second apart, the last at the right. Its top is the largest, or [tall] times the median of those that are not
// zero if that is less.
func newSpark(values []float64) spark {
	if len(values) < 2 {
		return spark{}
	}
	largest := slices.Max(values)
	top := max(1, 1.1*largest)
	some := slices.DeleteFunc(slices.Sorted(slices.Values(values)), func(v float64) bool { return v <= 0 })
	if n := len(some); n > 0 && tall*some[n/2] < largest {
		top = max(1, tall*some[n/2])
	}
	const step = 120 / float64(remembered-1)
	var line, cut strings.Builder
	from := 120 - float64(len(values)-1)*step
	for i, v := range values {
		x := from + float64(i)*step
		fmt.Fprintf(&line, "%c%.1f %.1f", "ML"[min(i, 1)], x, 27-25*min(v/top, 1))
		if v > top {
			fmt.Fprintf(&cut, "M%.1f 1H%.1f", max(x-2*step, 0), min(x+2*step, 120)) // wide enough to be seen
		}
	}
	s := spark{Line: line.String(), Area: fmt.Sprintf("%sL120 28L%.1f 28Z", line.String(), from), Cut: cut.String()}
	s.Title = fmt.Sprintf("Records a second over the last %d s, up to %s.", len(values), decimal(largest))
	if s.Cut != "" {
		s.Title += fmt.Sprintf(" The line is cut at %s.", decimal(top))
	}
	return s
}

// bars are horizontal, the name of each at its left and the value at its right.
type bars struct {
	Said string // what they are of
	Rows []namedBar
}

type namedBar struct {
	Names []cell
	Value cell // and its share of the largest
}

// Title is all of the name.
func (b namedBar) Title() string {
	var all []string
	for _, c := range b.Names {
		all = append(all, c.Text)
	}
	return strings.Join(all, " · ")
}

// The box of a chart, in units of its own; templates scale it to the width that there is.
const (
	chartWidth             = 960.0
	chartLeft, chartBottom = 60.0, 210.0 // right of the rules' values, above the lower edge at 220
)

// chart is some series over the same places from left to right.
type chart struct {
	Series []series
	Rules  []rule
	Bars   bool     // stacked, else lines
	Ends   []string // what stands below the left and the right end
}

// series is one line, or one part of every bar.
type series struct {
	Name  string
	Last  string // its last value
	Path  string // of a line
	Boxes []box  // of bars
}

type box struct{ X, Y, W, H, Title string }

// rule is a horizontal line with its value.
type rule struct{ Y, Text string }

// lineChart draws series of values that end at the right; a value below zero is not there.
func lineChart(names, last []string, values [][]float64, most int) *chart {
	top := 1.0
	for _, vs := range values {
		for _, v := range vs {
			top = max(top, v)
		}
	}
	c := &chart{Rules: rules(top)}
	for i, vs := range values {
		var b strings.Builder
		down := true
		for j, v := range vs {
			if v < 0 {
				down = true
				continue
			}
			verb := "L"
			if down {
				verb, down = "M", false
			}
			x := chartLeft + (chartWidth-chartLeft)*float64(j+most-len(vs))/float64(most-1)
			fmt.Fprintf(&b, "%s%.1f %.1f", verb, x, height(v, top))
		}
		c.Series = append(c.Series, series{Name: names[i], Last: last[i], Path: b.String()})
	}
	return c
}

// barChart draws a bar for each place, stacked of the series.
func barChart(names, places []string, values [][]float64) *chart {
	sums := make([]float64, len(places))
	top := 1.0
	for _, vs := range values {
		for j, v := range vs {
			sums[j] += v
			top = max(top, sums[j])
		}
	}
	c := &chart{Rules: rules(top), Bars: true}
	if len(places) > 0 {
		c.Ends = []string{places[0], places[len(places)-1]}
	}
	step := (chartWidth - chartLeft) / float64(max(len(places), 1))
	width := min(step*.8, 48)
	clear(sums)
	for i, vs := range values {
		s := series{Name: names[i]}
		for j, v := range vs {
			if v <= 0 {
				continue
			}
			low, high := height(sums[j], top), height(sums[j]+v, top)
			sums[j] += v
			s.Boxes = append(s.Boxes, box{
				X: fmt.Sprintf("%.1f", chartLeft+step*float64(j)+(step-width)/2), W: fmt.Sprintf("%.1f", width),
				Y: fmt.Sprintf("%.1f", high), H: fmt.Sprintf("%.1f", low-high),
				Title: fmt.Sprintf("%s, %s: %s", places[j], names[i], double(v)),
			})
		}
		c.Series = append(c.Series, s)
	}
	return c
}

func height(v, top float64) float64 { return chartBottom - (chartBottom-16)*v/top }

// rules are the zero, the top and its half.
func rules(top float64) []rule {
	var all []rule
	for _, v := range []float64{0, top / 2, top} {
		all = append(all, rule{Y: fmt.Sprintf("%.1f", height(v, top)), Text: decimal(v)})
	}
	return all
}
