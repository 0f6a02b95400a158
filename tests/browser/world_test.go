package browser

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/internal/metrics"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/web"
)

// world is the whole program in this process: a broker, both stages, views, the API and the pages.
type world struct {
	t      testing.TB
	url    string
	tables []*tables.Table
	views  *views.Views
	sender *replay.Sender
}

// start starts a world with these tables, until the test ends. try, if any, answers at /try.
func start(t testing.TB, sql string, try http.Handler) *world {
	t.Helper()
	defined, err := tables.CompileFile("test.sql", sql, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	cfg := kafka.Config{Brokers: broker.StartTest(t).Addrs(), App: "browser", Instance: "test"}
	admin, err := kafka.NewAdmin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range defined {
		if err := admin.Ensure(kafka.Topic{Name: d.Feed.Name, Partitions: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Close(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, tables: defined}
	measured := metrics.New(metrics.Build{})
	stages, err := processors.New(processors.Config{Kafka: cfg, Tables: defined, Committed: measured.Committed})
	if err != nil {
		t.Fatal(err)
	}
	if w.views, err = views.New(views.Config{Kafka: cfg, Tables: defined}); err != nil {
		t.Fatal(err)
	}
	measured.Processors(stages)
	measured.Views(w.views)
	l, err := views.Listen(views.ListenConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + l.Addr().String()
	var site *web.Site
	server := views.NewServer(views.ServerConfig{Views: w.views, Page: func(api http.Handler) http.Handler {
		site = web.New(web.Config{API: api, Try: try != nil, Brokers: cfg.Brokers, Figures: measured.Figures, Letters: letterReader(cfg)})
		return site
	}})
	pages := http.NewServeMux()
	pages.Handle("/", server)
	if try != nil {
		pages.Handle("/try", try)
		pages.Handle("/try/", try)
	}
	if w.sender, err = replay.NewSender(t.Context(), replay.SenderConfig{Kafka: cfg}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return stages.Run(ctx) })
	g.Go(func() error { return w.views.Run(ctx) })
	g.Go(func() error { return site.Run(ctx) })
	g.Go(func() error { return views.Serve(ctx, l, pages, nil) })
	t.Cleanup(func() {
		if err := w.sender.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// letterReader reads all dead letters, however few a page would ask for: each is to be looked at.
func letterReader(cfg kafka.Config) func(context.Context, int) ([]web.Letter, error) {
	return func(ctx context.Context, _ int) ([]web.Letter, error) {
		admin, err := kafka.NewAdmin(ctx, cfg)
		if err != nil {
			return nil, err
		}
		defer admin.Close() //nolint:errcheck // nothing depends on it
		var all []web.Letter
		err = letters.Each(ctx, admin, cfg, func(l *letters.Letter) error {
			all = append(all, web.Letter{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, At: l.At, Why: l.Why, Value: string(l.Value), Size: l.Size})
			return nil
		})
		if none := (*letters.NoTopic)(nil); errors.As(err, &none) {
			return nil, nil
		}
		return all, err
	}
}

// send sends a record of a feed.
func (w *world) send(feed string, record []byte) {
	w.t.Helper()
	if err := w.sender.Send(w.t.Context(), feed, record); err != nil {
		w.t.Fatal(err)
	}
}

// await waits until all tables have what was sent.
func (w *world) await() {
	w.t.Helper()
	if err := w.sender.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for _, d := range w.tables {
		ends := map[codecs.Source]int64{}
		for partition, sent := range w.sender.Sent()[d.Feed.Name] {
			ends[codecs.Source{Topic: d.Feed.Name, Partition: partition}] = sent.End
		}
		view, _ := w.views.View(d.Name)
		if err := view.WaitFor(w.t.Context(), ends); err != nil {
			w.t.Fatal(err)
		}
	}
}
