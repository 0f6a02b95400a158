package views

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/tables"
)

// benchRows is how many rows the table of the benchmarks has.
const benchRows = 1_000_000

// fill gives dns_counts that many rows, without decoding as many records.
func (f *fixture) fill(rows int) {
	f.t.Helper()
	view := f.view("dns_counts")
	partitioner := grouptable.NewPartitioner(view.table)
	combiner, err := view.table.NewCombiner(&feeds.Layout{Feed: "dns", Columns: view.table.Inputs})
	if err != nil {
		f.t.Fatal(err)
	}
	record := feeds.Record{Values: make([]feeds.Value, len(view.table.Inputs))}
	for i := range rows {
		v, err := tables.ParseValue(benchHost(i), feeds.T(feeds.Inet))
		if err != nil {
			f.t.Fatal(err)
		}
		record.Values[0], record.Values[1] = v, feeds.StringValue("A")
		combiner.Add(&record)
	}
	store := f.stores["dns_counts"]
	for key, partial := range combiner.Groups().All() {
		number, err := partitioner.Of(key, partitions)
		if err != nil {
			f.t.Fatal(err)
		}
		p, _ := store.Partition(number)
		err = p.Update(func(to *tables.Groups, _ map[codecs.Source]codecs.Progress) error {
			state, _ := to.Upsert([]byte(key))
			view.table.Merge(state, partial)
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	f.merge(view, view.table.NewGroups(), codecs.Progress{Upto: int64(rows)})
}

func benchHost(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }

// BenchmarkPoint is one look-up by the full key, in process.
func BenchmarkPoint(b *testing.B) {
	f := newFixture(b, Limits{}, dnsCounts)
	f.fill(benchRows)
	l, err := f.Compile("SELECT * FROM dns_counts WHERE id.orig_h = $1 AND qtype_name = 'A'")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a, err := l.View.Query(b.Context(), l.Select, []feeds.Value{feeds.StringValue(benchHost(i % benchRows))})
		if err != nil || len(a.Rows) != 1 {
			b.Fatal(a, err)
		}
	}
}

// BenchmarkPointHTTP is the same over HTTP, beside a handler that does nothing but answer as much.
func BenchmarkPointHTTP(b *testing.B) {
	f := newFixture(b, Limits{}, dnsCounts)
	f.fill(benchRows)
	handler := NewServer(ServerConfig{Views: f.Views})
	path := func(i int) string {
		return "/api/v1/tables/dns_counts/rows?id.orig_h=" + benchHost(i%benchRows) + "&qtype_name=A"
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", path(0), nil))
	same := recorder.Body.Bytes()
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(same)
	})
	for name, h := range map[string]http.Handler{"brotally": handler, "bare": bare} {
		b.Run(name, func(b *testing.B) {
			s := httptest.NewServer(h)
			defer s.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.ReportAllocs()
			var n atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					res, err := client.Get(s.URL + path(int(n.Add(1))))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
					if res.StatusCode != http.StatusOK {
						b.Errorf("status %d", res.StatusCode)
						return
					}
				}
			})
		})
		b.Run(name+"/handler", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path(i), nil))
			}
		})
	}
}

// BenchmarkTop is the notebook's query over all rows: sorted by count, the first 20.
func BenchmarkTop(b *testing.B) {
	f := newFixture(b, Limits{}, dnsCounts)
	f.fill(benchRows)
	for name, order := range map[string]string{"equal": "count DESC, id.orig_h", "up": "id.orig_h", "down": "id.orig_h DESC"} {
		l, err := f.Compile("SELECT * FROM dns_counts ORDER BY " + order + " LIMIT 20")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if a, err := l.View.Query(b.Context(), l.Select, nil); err != nil || len(a.Rows) != 20 {
					b.Fatal(a, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
		})
	}
}

// BenchmarkPointBesideScans is the look-up of one row over HTTP while 64 clients have all rows sorted, each in another way: its
// latencies.
func BenchmarkPointBesideScans(b *testing.B) {
	f := newFixture(b, Limits{}, dnsCounts)
	f.fill(benchRows)
	s := httptest.NewServer(NewServer(ServerConfig{Views: f.Views}))
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
	defer client.CloseIdleConnections()
	ask := func(query string) (status int) {
		res, err := client.Get(s.URL + rowsPath + "?" + query)
		if err != nil {
			b.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode
	}
	var done atomic.Bool
	var scans, refused atomic.Int64
	var others sync.WaitGroup
	for i := range 64 {
		others.Go(func() {
			for !done.Load() {
				if status := ask(fmt.Sprintf("order=-count,id.orig_h&limit=%d", 10+i)); status == http.StatusOK {
					scans.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	for f.Scanning() == 0 {
		runtime.Gosched()
	}
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		if status := ask("id.orig_h=" + benchHost(i%benchRows) + "&qtype_name=A"); status != http.StatusOK {
			b.Fatalf("status %d", status)
		}
		took = append(took, time.Since(began))
	}
	seconds := b.Elapsed().Seconds()
	done.Store(true)
	b.ReportMetric(float64(scans.Load())/seconds, "scans/s")
	b.ReportMetric(float64(refused.Load())/seconds, "refused/s")
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1000, fmt.Sprintf("ms/p%d", p))
	}
	others.Wait()
}
