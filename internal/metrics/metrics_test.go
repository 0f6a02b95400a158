package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/metrics"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"), // one a process
		goleak.IgnoreTopFunction("github.com/IBM/sarama.(*Broker).responseReceiver"))    // see views
}

const definitions = `
	CREATE TABLE by_query AS SELECT query, count(*) AS n FROM dns WHERE qtype_name IS NOT NULL GROUP BY query TTL '30 days';
	CREATE STREAM named AS SELECT ts, query FROM dns WHERE query IS NOT NULL;`

// evil is what strangers may write into logs.
const evil = `evil\",le=\"x\"} 1\nbrotally_evil{a=\"`

// pipeline runs the definitions over a few records, good and bad, and returns the metrics once all of them are counted.
func pipeline(t *testing.T) *metrics.Metrics {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	config := kafka.Config{Brokers: broker.StartTest(t).Addrs(), App: "test", Instance: "one"}
	sender, err := replay.NewSender(ctx, replay.SenderConfig{Kafka: config, CreateTopics: 2})
	if err != nil {
		t.Fatal(err)
	}
	const good = 20
	for i := range good {
		record := fmt.Sprintf(`{"ts":%d.5,"id.orig_h":"10.0.0.1","query":"q%d.%s","qtype_name":"A"}`, 1_700_000_000+i, i, evil)
		if err := sender.Send(ctx, "dns", []byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{`{"` + evil + `"`, `{"ts":"` + evil + `"}`, evil} {
		if err := sender.Send(ctx, "dns", []byte(bad)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(sender.Flush(ctx), sender.Close()); err != nil {
		t.Fatal(err)
	}

	all, err := tables.CompileDefinitions("test.sql", definitions, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(metrics.Build{Version: "v1", Commit: "abc", Go: "go1", Goka: "v2", Sarama: "v3"})
	stages, err := processors.New(processors.Config{Kafka: config, Tables: all.Tables, Streams: all.Streams, Committed: m.Committed})
	if err != nil {
		t.Fatal(err)
	}
	viewed, err := views.New(views.Config{Kafka: config, Tables: all.Tables, Streams: all.Streams})
	if err != nil {
		t.Fatal(err)
	}
	m.Processors(stages)
	m.Views(viewed)
	life, stop := context.WithCancel(context.Background())
	running, life := errgroup.WithContext(life)
	running.Go(func() error { return stages.Run(life) })
	running.Go(func() error { return viewed.Run(life) })
	t.Cleanup(func() {
		stop()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
	for {
		samples, _ := gather(t, m)
		if sum(samples["brotally_source_offset"]) == good+3 && sum(samples["brotally_view_records_total"]) == good+3 &&
			sum(samples["brotally_table_groups"]) == good && sum(samples["brotally_view_groups"]) == good && sum(samples["brotally_view_ready"]) == 1 && sum(samples["brotally_stage_state"], "state", "running") == 2 &&
			sum(samples["brotally_commit_interval_seconds"]) > 0 { // of the second commit: that there is nothing new is said once a second
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not counted within a minute: %v", samples)
		}
	}
	return m
}

// sample is one line that Prometheus reads.
type sample struct {
	labels map[string]string
	value  float64
}

// gather returns the samples of our metrics, and what kind each metric is. A histogram's are its counts.
func gather(t *testing.T, m *metrics.Metrics) (samples map[string][]sample, kinds map[string]string) {
	t.Helper()
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples, kinds = map[string][]sample{}, map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "brotally_") {
			continue
		}
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
		for _, one := range f.GetMetric() {
			s := sample{labels: map[string]string{}, value: one.GetCounter().GetValue() + one.GetGauge().GetValue() + float64(one.GetHistogram().GetSampleCount())}
			for _, l := range one.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			samples[f.GetName()] = append(samples[f.GetName()], s)
		}
	}
	return samples, kinds
}

// sum adds up the samples that have the labels, given as name, value, ..
func sum(samples []sample, labels ...string) (total float64) {
	for _, s := range samples {
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && s.labels[labels[i]] == labels[i+1]
		}
		if fits {
			total += s.value
		}
	}
	return total
}

func TestMetricsOfAPipeline(t *testing.T) {
	m := pipeline(t)
	m.Committed(processors.Commit{Stage: "group", Group: "test-by_query", Err: errors.New("made up")})
	m.Answered("/api/v1/query", 200, time.Millisecond)
	samples, kinds := gather(t, m)

	t.Run("all are documented and there", func(t *testing.T) {
		for _, one := range metrics.All() {
			if kinds[one.Name] != one.Kind {
				t.Errorf("%s is %q, want %s", one.Name, kinds[one.Name], one.Kind)
			}
			for _, s := range samples[one.Name] {
				if diff := cmp.Diff(slices.Sorted(slices.Values(one.Labels)), slices.Sorted(maps.Keys(s.labels)), cmp.Transformer("nil", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
					t.Errorf("labels of %s (-want +got):\n%s", one.Name, diff)
				}
			}
			delete(kinds, one.Name)
		}
		if len(kinds) > 0 {
			t.Errorf("there are further ones: %v", kinds)
		}
	})

	t.Run("they add up", func(t *testing.T) {
		for _, want := range []struct {
			metric string
			labels []string
			value  float64
		}{
			{"brotally_records_read_total", []string{"feed", "dns", "topic", "dns"}, 23},
			{"brotally_bad_fields_total", nil, 1},
			{"brotally_dead_letters_total", []string{"reason", "cut_short"}, 1},
			{"brotally_dead_letters_total", []string{"reason", "syntax"}, 1},
			{"brotally_dead_letters_total", nil, 2},
			{"brotally_stage_failures_total", nil, 0},
			{"brotally_table_records_total", []string{"table", "by_query"}, 23},
			{"brotally_table_records_total", []string{"table", "by_query", "outcome", "counted"}, 20},
			{"brotally_table_records_total", []string{"table", "by_query", "outcome", "filtered"}, 1},
			{"brotally_stream_records_total", []string{"stream", "named", "outcome", "counted"}, 20},
			{"brotally_view_records_total", []string{"outcome", "dead_lettered"}, 2},
			{"brotally_table_groups", nil, 20},
			{"brotally_view_groups", []string{"table", "by_query"}, 20},
			{"brotally_view_ready", nil, 1},
			{"brotally_view_restore_remaining_records", nil, 0},
			{"brotally_view_event_timestamp_seconds", nil, 1_700_000_019.5},
			{"brotally_lag_records", nil, 0},
			{"brotally_source_offset", nil, 23},
			{"brotally_source_end_offset", nil, 23},
			{"brotally_stage_state", []string{"state", "running"}, 2},
			{"brotally_stage_state", nil, 2},
			{"brotally_definitions_waiting", nil, 0},
			{"brotally_commit_failures_total", nil, 1},
			{"brotally_http_requests_total", []string{"route", "/api/v1/query", "code", "200"}, 1},
			{"brotally_http_request_seconds", nil, 1},
			{"brotally_build_info", []string{"version", "v1", "goka", "v2"}, 1},
		} {
			if got := sum(samples[want.metric], want.labels...); got != want.value {
				t.Errorf("%s %v is %g, want %g", want.metric, want.labels, got, want.value)
			}
		}
		if n := sum(samples["brotally_commit_seconds"], "stage", "combine"); n < 1 {
			t.Errorf("%g commits of stage 1", n)
		}
	})

	// Whoever can write into a log must not be able to make series.
	t.Run("no label is made of what logs say", func(t *testing.T) {
		allowed := map[string][]string{
			"version": {"v1"}, "commit": {"abc"}, "go": {"go1"}, "goka": {"v2"}, "sarama": {"v3"},
			"pass": {"dns"}, "feed": {"dns"}, "topic": {"dns"}, "partition": {"0", "1"}, "table": {"by_query"}, "stream": {"named"},
			"stage": {"combine", "group"}, "group": {"test-combine-dns", "test-by_query"}, "state": {"waiting", "joining", "restoring", "running", "failed"},
			"outcome": {"counted", "filtered", "other_feed", "no_time", "dead_lettered"}, "reason": append(codecs.DecodeCodes(), processors.OtherLetter), "class": {"fatal", "retry", "rejoin", "fenced"},
			"route": {"/api/v1/query"}, "code": {"200"},
		}
		for name, all := range samples {
			for _, s := range all {
				for label, value := range s.labels {
					if !slices.Contains(allowed[label], value) {
						t.Errorf("%s has %s=%q", name, label, value)
					}
				}
			}
		}
	})

	t.Run("Prometheus can ask for them", func(t *testing.T) {
		server := httptest.NewServer(m.Handler(slog.New(slog.DiscardHandler)))
		defer server.Close()
		r, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"brotally_build_info{", "\ngo_goroutines ", "\nprocess_start_time_seconds ", "\nprocess_resident_memory_bytes "} {
			if r.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
				t.Errorf("status %d, without %q", r.StatusCode, want)
			}
		}
	})
}
