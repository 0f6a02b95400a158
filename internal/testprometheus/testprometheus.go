// Package testprometheus is for tests of what Prometheus is to read: dashboards and alerts.
package testprometheus

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/brotally/brotally/internal/metrics"
)

// Tool returns the path of "prometheus" or "promtool". Where it is not installed the test is skipped and says so; with
// BROTALLY_REQUIRE_PROMETHEUS set it fails instead.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("BROTALLY_REQUIRE_PROMETHEUS") != "" {
			t.Fatal(err)
		}
		t.Skipf("no Prometheus: %v (Debian's package prometheus has it)", err)
	}
	return path
}

// scraped are the labels that Prometheus adds to all series.
var scraped = []string{"job", "instance"}

// Known returns the labels of every metric that a process of ours has, by name as PromQL has it: those of the Go runtime and
// of the process included, and up.
func Known(t testing.TB) map[string][]string {
	t.Helper()
	known := map[string][]string{"up": scraped}
	for _, m := range metrics.All() {
		own := append(slices.Clone(scraped), m.Labels...)
		if m.Kind != "histogram" {
			known[m.Name] = own
			continue
		}
		known[m.Name+"_sum"], known[m.Name+"_count"], known[m.Name+"_bucket"] = own, own, append(slices.Clone(own), "le")
	}
	families, err := metrics.New(metrics.Build{}).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if _, ours := known[f.GetName()]; ours {
			continue
		}
		known[f.GetName()] = slices.Clone(scraped)
		for _, l := range f.GetMetric()[0].GetLabel() {
			known[f.GetName()] = append(known[f.GetName()], l.GetName())
		}
	}
	return known
}

// Check returns what is wrong with a query: that it is no PromQL, or names metrics or labels that are not known.
func Check(query string, known map[string][]string) error {
	expr, err := parser.ParseExpr(query)
	if err != nil {
		return err
	}
	_, err = check(expr, known)
	return err
}

// check returns the labels that the series of an expression may have.
func check(node parser.Node, known map[string][]string) (have []string, err error) {
	if v, ok := node.(*parser.VectorSelector); ok {
		have, there := known[v.Name]
		if !there {
			return nil, fmt.Errorf("there is no metric %q", v.Name)
		}
		for _, m := range v.LabelMatchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(have, m.Name) {
				return nil, fmt.Errorf("%s has no label %q", v.Name, m.Name)
			}
		}
		return have, nil
	}
	for child := range parser.ChildrenIter(node) {
		more, err := check(child, known)
		if err != nil {
			return nil, err
		}
		have = append(have, more...)
	}
	if a, ok := node.(*parser.AggregateExpr); ok {
		for _, label := range a.Grouping {
			if !slices.Contains(have, label) {
				return nil, fmt.Errorf("nothing in %s has a label %q", a.Expr, label)
			}
		}
		if !a.Without {
			return a.Grouping, nil
		}
	}
	return have, nil
}

// WithoutThreshold returns what an alert compares: the left side of its comparison.
func WithoutThreshold(query string) (string, error) {
	expr, err := parser.ParseExpr(query)
	if err != nil {
		return "", err
	}
	compares, ok := expr.(*parser.BinaryExpr)
	if !ok || !compares.Op.IsComparisonOperator() {
		return "", fmt.Errorf("%s compares nothing", strings.TrimSpace(query))
	}
	return compares.LHS.String(), nil
}
