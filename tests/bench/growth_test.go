package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/testkafka"
)

func TestFit(t *testing.T) {
	for _, tt := range []struct {
		name          string
		x, y          []float64
		factor, slope float64
	}{
		{"in proportion", []float64{1e6, 2e6, 5e6, 20e6}, []float64{3, 6, 15, 60}, 3e-6, 1},
		{"not at all", []float64{1, 4, 32}, []float64{7, 7, 7}, 7, 0},
		{"the square root", []float64{1, 4, 16}, []float64{5, 10, 20}, 5, .5},
		{"less with more", []float64{1, 10, 100}, []float64{50, 5, .5}, 50, -1},
		{"in between", []float64{1, 10, 100}, []float64{1, 100, 1}, math.Pow(100, 1./3), 0},
	} {
		factor, slope := fit(tt.x, tt.y)
		if math.Abs(factor/tt.factor-1) > 1e-9 || math.Abs(slope-tt.slope) > 1e-9 {
			t.Errorf("%s: %v * x^%v, want %v * x^%v", tt.name, factor, slope, tt.factor, tt.slope)
		}
	}
}

// TestSpots: where one thing grows, the rest stays; and every axis begins and ends where it should.
func TestSpots(t *testing.T) {
	want := map[string][]int{
		"records":    {1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000},
		"groups":     {1000, 10_000, 100_000, 500_000, 2_000_000},
		"partitions": {1, 2, 4, 8, 16, 32},
		"tables":     {1, 2, 4, 8, 12},
	}
	for _, axis := range allAxes {
		spots, _ := (&config{Records: 20_000_000}).spots(axis)
		var at []int
		for _, s := range spots {
			at = append(at, s.at)
			got := map[string]int{"records": s.law.records, "groups": s.law.groups, "partitions": s.law.partitions, "tables": strings.Count(s.others, "CREATE TABLE ") + 1}
			if got[axis] != s.at || axis != "records" && s.law.records != 5_000_000 {
				t.Errorf("%s, %d: %v", axis, s.at, got)
			}
		}
		if diff := cmp.Diff(want[axis], at); diff != "" {
			t.Errorf("%s (-want +got):\n%s", axis, diff)
		}
		if spots, _ = (&config{Records: 1000}).spots(axis); len(spots) < 3 {
			t.Errorf("%s of 1000 records has %d points", axis, len(spots))
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{20e6: "20 M", 1_250_000: "1.25 M", 500_000: "500 k", 1000: "1 k", 32: "32", .5: "0.5"} {
		if got := short(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestChart(t *testing.T) {
	g := growth{Axis: "records", Of: "dns", Points: []float64{1e6, 5e6, 20e6}, Seconds: []float64{2, 4.47, 8.94}, CPU: []float64{2, 10, 40}, Memory: []float64{90, 90, 90}}
	svg := g.chart()
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{">CPU seconds ~ records^1.00<", ">seconds end to end ~ records^0.50<", ">(memory ~ records^0.00)<", ">1 M<", ">20 M<", ">50<", "Liberation Sans,Arial"} {
		if !bytes.Contains(svg, []byte(text)) {
			t.Errorf("no %q in the chart", text)
		}
	}
	if got, want := slopes([]growth{g}), "| records, dns | 1 M, 5 M, 20 M | 0.50 | 1.00 | 0.00 |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
}

// TestQuickGrowth runs one axis, short: its counts it checks itself.
func TestQuickGrowth(t *testing.T) {
	brokers, dir := testkafka.Brokers(t), t.TempDir()
	out, err := program(t)("-brokers", brokers[0], "-parts", "growth", "-axes", "groups", "-records", "1000", "-runs", "1", "-out", dir, "-charts", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "20*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("results %v, %v\n%s", files, err, out)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Growth) != 1 || len(r.Growth[0].Points) != 3 || len(r.Measurements) != 3 || !strings.Contains(r.markdown(), slopes(r.Growth)) {
		t.Errorf("%d measurements, growth %v", len(r.Measurements), r.Growth)
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "growth-groups.svg")); err != nil || !bytes.Equal(svg, r.Growth[0].chart()) {
		t.Errorf("the chart is not the report's: %v", err)
	}
}
