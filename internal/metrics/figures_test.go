package metrics_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/brotally/brotally/internal/metrics"
)

// figure is how a figure is called, by name and labels.
func figure(name string, labels map[string]string) string {
	var b strings.Builder
	b.WriteString(name)
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, " %s=%q", l, labels[l])
	}
	return b.String()
}

// ours are the figures of our own metrics.
func ours(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	err := m.Figures(func(name string, labels map[string]string, value float64) {
		called := figure(name, labels)
		if _, twice := found[called]; twice {
			t.Errorf("%s is there twice", called)
		}
		if strings.HasPrefix(name, "brotally_") {
			found[called] = value
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// told is the same as Prometheus reads it.
func told(t *testing.T, h http.Handler) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for name, family := range families {
		if !strings.HasPrefix(name, "brotally_") {
			continue
		}
		for _, one := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range one.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if h := one.GetHistogram(); h != nil {
				found[figure(name+"_sum", labels)], found[figure(name+"_count", labels)] = h.GetSampleSum(), float64(h.GetSampleCount())
				continue
			}
			found[figure(name, labels)] = one.GetCounter().GetValue() + one.GetGauge().GetValue()
		}
	}
	return found
}

func TestFiguresAreWhatPrometheusReads(t *testing.T) {
	m := pipeline(t)
	m.Answered("/api/v1/query", 200, 3*time.Millisecond)
	h := m.Handler(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		before := ours(t, m)
		text := told(t, h)
		if !cmp.Equal(before, ours(t, m)) {
			continue // something was committed meanwhile
		}
		if diff := cmp.Diff(text, before); diff != "" {
			t.Errorf("figures differ (-Prometheus +Figures):\n%s", diff)
		}
		if len(before) < len(metrics.All()) || before[`brotally_http_request_seconds_count route="/api/v1/query"`] != 1 {
			t.Errorf("%d figures only: %v", len(before), before)
		}
		return
	}
	t.Fatal("the figures do not come to rest")
}
