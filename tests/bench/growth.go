package main

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// growth is what Brotally cost at the points of an axis. Costs are medians of the runs.
type growth struct {
	Axis    string    `json:"axis"`
	Of      string    `json:"of"` // what else there was
	Points  []float64 `json:"points"`
	Seconds []float64 `json:"seconds"` // end to end
	CPU     []float64 `json:"cpu"`     // seconds
	Memory  []float64 `json:"memory"`  // MiB at the most
}

// allAxes are what can grow, in the order in which it does.
var allAxes = []string{"records", "groups", "partitions", "tables"}

// spot is a point of an axis: a backlog, and the tables beside the notebook's.
type spot struct {
	at     int
	law    law
	others string
}

// spots are the points of an axis. Records grow to RECORDS; where something else grows there are a quarter of them.
func (c *config) spots(axis string) (all []spot, of string) {
	n := c.Records / 4
	of = short(float64(n)) + " records"
	switch axis {
	case "records":
		for _, part := range []int{20, 10, 4, 2, 1} {
			all = append(all, spot{at: c.Records / part, law: dnsLaw(c.Records / part)})
		}
		of = "dns"
	case "groups":
		for _, part := range []int{2000, 200, 20, 4, 1} {
			if groups := n * 2 / 5 / part; groups > 0 {
				all = append(all, spot{at: groups, law: groupsLaw(n, groups)})
			}
		}
	case "partitions":
		for parts := 1; parts <= 32; parts *= 2 {
			all = append(all, spot{at: parts, law: dealtLaw(n, parts)})
		}
	case "tables":
		for _, tables := range []int{1, 2, 4, 8, 12} {
			all = append(all, spot{at: tables, law: dnsLaw(n), others: firstTables(tables - 1)})
		}
	}
	return all, of
}

// firstTables returns the first n definitions of twelve.sql.
func firstTables(n int) string {
	return strings.Join(strings.SplitAfter(elevenTables, ";\n")[:n], "")
}

// growth counts backlogs that differ in one thing only, and draws what that does to the cost.
func (b *bench) growth(ctx context.Context) error {
	for _, axis := range b.Axes {
		g, err := b.grow(ctx, axis)
		if err != nil {
			return fmt.Errorf("%s: %w", axis, err)
		}
		b.report.Growth = append(b.report.Growth, g)
		if err := os.MkdirAll(b.Charts, 0o755); err != nil {
			return err
		}
		file := filepath.Join(b.Charts, "growth-"+axis+".svg")
		if err := os.WriteFile(file, g.chart(), 0o644); err != nil {
			return err
		}
		b.say("chart %s", file)
	}
	return nil
}

// grow measures one axis. All its points take turns within a run. Its backlogs, 16 GB where RECORDS is 20 million, are
// removed at the end.
func (b *bench) grow(ctx context.Context, axis string) (growth, error) {
	spots, of := b.spots(axis)
	g := growth{Axis: axis, Of: of}
	costs := make([][]cost, len(spots))
	for r := range b.Runs {
		for i, s := range spots {
			want, err := b.load(ctx, s.law)
			if err != nil {
				return g, err
			}
			took, err := b.countInto(ctx, s.others, s.law, want)
			if err != nil {
				return g, fmt.Errorf("%d: %w", s.at, err)
			}
			costs[i] = append(costs[i], took)
			b.note("growth", axis+", "+of, short(float64(s.at)), r, values{endToEnd: took.seconds, cpuSeconds: took.cpu,
				cpuPerMillion: took.cpu / float64(s.law.records) * 1e6, peakRSS: took.peak})
		}
	}
	for i, s := range spots {
		of := func(figure func(cost) float64) float64 {
			var all []float64
			for _, c := range costs[i] {
				all = append(all, figure(c))
			}
			return median(all)
		}
		g.Points = append(g.Points, float64(s.at))
		g.Seconds = append(g.Seconds, of(func(c cost) float64 { return c.seconds }))
		g.CPU = append(g.CPU, of(func(c cost) float64 { return c.cpu }))
		g.Memory = append(g.Memory, of(func(c cost) float64 { return c.peak }))
		delete(b.loaded, s.law.topic())
	}
	return g, b.remove(ctx, func(topic string) bool {
		return slices.ContainsFunc(spots, func(s spot) bool { return s.law.topic() == topic })
	})
}

// fit returns the power law y = factor * x^slope that is next to the points: least squares of the logarithms.
func fit(x, y []float64) (factor, slope float64) {
	var sumX, sumY, sumXX, sumXY float64
	for i := range x {
		lx, ly := math.Log(x[i]), math.Log(y[i])
		sumX, sumY, sumXX, sumXY = sumX+lx, sumY+ly, sumXX+lx*lx, sumXY+lx*ly
	}
	n := float64(len(x))
	slope = (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return math.Exp((sumY - slope*sumX) / n), slope
}

// slopes is a table of how everything grows.
func slopes(all []growth) string {
	var b strings.Builder
	b.WriteString("Slopes: a cost grows as the axis to the power of its slope (least squares of logarithms); 1 is in proportion, 0 not at all.\n" +
		"Where the records stay the same, the slope of CPU is that of CPU per million records.\n\n" +
		"| axis | points | slope of time | of CPU | of memory |\n|---|---|---:|---:|---:|\n")
	for _, g := range all {
		var points []string
		for _, x := range g.Points {
			points = append(points, short(x))
		}
		fmt.Fprintf(&b, "| %s, %s | %s |", g.Axis, g.Of, strings.Join(points, ", "))
		for _, y := range [][]float64{g.Seconds, g.CPU, g.Memory} {
			_, slope := fit(g.Points, y)
			fmt.Fprintf(&b, " %.2f |", slope)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// short writes a number with its thousands as a unit: 1.5 k, 20 M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + " M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + " k"
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// The colours of the charts, on a light card that is read on any page.
var (
	paper, ink, grid = color.RGBA{0xfb, 0xfb, 0xf9, 0xff}, color.RGBA{0x33, 0x3a, 0x42, 0xff}, color.RGBA{0xd9, 0xdd, 0xe1, 0xff}
	blue, orange     = color.RGBA{0x2f, 0x6f, 0xa7, 0xff}, color.RGBA{0xc8, 0x7a, 0x2c, 0xff}
)

// chart draws time and processor time by the axis, both scales logarithmic, as SVG.
func (g *growth) chart() []byte {
	p := plot.New()
	p.BackgroundColor = paper
	sans := func(size vg.Length) font.Font {
		return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
	}
	p.Title.Text, p.X.Label.Text = "Cost by "+g.Axis+" ("+g.Of+")", g.Axis+"; dashed: the fitted slope"
	p.Title.TextStyle.Font, p.Title.TextStyle.Color, p.Title.Padding = sans(13), ink, 60
	p.Y.Label.Text = "seconds"
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Tick.Color, a.Tick.Length, a.Padding = ink, ink, 4, 6
		a.Label.TextStyle.Font, a.Label.TextStyle.Color, a.Label.Padding = sans(11), ink, 4
		a.Tick.Label.Font, a.Tick.Label.Color = sans(10), ink
	}
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color, p.Legend.Top, p.Legend.Left, p.Legend.Padding = sans(11), ink, true, true, 3
	p.Legend.YOffs = 52 // between the title and the lines
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.Add(lines)

	// What is drawn are logarithms on linear scales: gonum's LogScale pads a label as if its middle were that of the values.
	first, last := g.Points[0], g.Points[len(g.Points)-1]
	var all []float64
	for _, c := range []struct {
		name  string
		y     []float64
		color color.Color
	}{{"CPU seconds", g.CPU, blue}, {"seconds end to end", g.Seconds, orange}} {
		factor, slope := fit(g.Points, c.y)
		from, to := factor*math.Pow(first, slope), factor*math.Pow(last, slope)
		line := &plotter.Line{XYs: plotter.XYs{logs(first, from), logs(last, to)}, LineStyle: vgdraw.LineStyle{Color: c.color, Width: 1.2, Dashes: []vg.Length{5, 3}}}
		dots := &plotter.Scatter{GlyphStyle: vgdraw.GlyphStyle{Color: c.color, Radius: 3.5, Shape: vgdraw.CircleGlyph{}}}
		for i, x := range g.Points {
			dots.XYs = append(dots.XYs, logs(x, c.y[i]))
		}
		p.Add(line, dots)
		p.Legend.Add(fmt.Sprintf("%s ~ %s^%.2f", c.name, g.Axis, slope), line, dots)
		all = append(append(all, c.y...), from, to)
	}
	_, slope := fit(g.Points, g.Memory)
	p.Legend.Add(fmt.Sprintf("(memory ~ %s^%.2f)", g.Axis, slope))
	p.X.Tick.Marker = marks(g.Points)
	steps := marks(around(slices.Min(all), slices.Max(all)))
	p.Y.Tick.Marker, p.Y.Min, p.Y.Max = steps, steps[0].Value, steps[len(steps)-1].Value

	canvas := vgsvg.New(560, 340)
	page := vgdraw.New(canvas)
	page.SetColor(paper)
	page.Fill(page.Rectangle.Path())
	p.Draw(vgdraw.Crop(page, 14, -18, 12, -12))
	var svg bytes.Buffer
	_, _ = canvas.WriteTo(&svg) // a buffer takes everything
	// The file names one font, which few have; these are as wide.
	return bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif"))
}

// logs is where a point is drawn.
func logs(x, y float64) plotter.XY { return plotter.XY{X: math.Log10(x), Y: math.Log10(y)} }

// marks are ticks at values.
func marks(values []float64) (all plot.ConstantTicks) {
	for _, v := range values {
		all = append(all, plot.Tick{Value: math.Log10(v), Label: short(v)})
	}
	return all
}

// around returns 1, 2, 5 and their tens, from no more than the least to no less than the most.
func around(least, most float64) (all []float64) {
	for exponent := -2; exponent < 6; exponent++ {
		for _, digit := range []float64{1, 2, 5} {
			if v := digit * math.Pow10(exponent); v > least/2.5 && v < most*2.5 {
				all = append(all, v)
			}
		}
	}
	return all
}
