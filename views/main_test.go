package views

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Sarama's metrics have one goroutine a process, which never ends.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// Once in some twenty runs a connection of Sarama's stayed open at the end. Which one is not known: most likely one that
		// a consumer's background opened while its client was being closed. So this check sees no such connection in views,
		// nor in processors; those of internal/kafka and grouptable are checked where they are.
		goleak.IgnoreTopFunction("github.com/IBM/sarama.(*Broker).responseReceiver"))
}

const (
	dnsCounts = `CREATE TABLE dns_counts AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name`
	dnsTotal  = `CREATE TABLE dns_total AS SELECT count(*) AS n, sum(trans_id) AS ids, max(ts) AS newest FROM dns`
	queries   = `CREATE TABLE queries AS SELECT query, count(*) AS n, avg(rtt) AS rtt FROM dns GROUP BY query`
)

// partitions is how many partitions the tables of these tests have.
const partitions = 3

// fixture is Views over tables in memory, without Kafka.
type fixture struct {
	*Views
	t      testing.TB
	stores map[string]*grouptable.Store
}

// newFixture makes ready, empty tables.
func newFixture(t testing.TB, limits Limits, definitions ...string) *fixture {
	t.Helper()
	all, err := tables.CompileFile("test.sql", strings.Join(definitions, ";\n")+";", feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}, Tables: all, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Views: v, t: t, stores: map[string]*grouptable.Store{}}
	for _, view := range v.All() {
		store := grouptable.New(grouptable.Config{Table: view.table, Topic: view.topics.Changelog})
		store.Fill(partitions)
		f.stores[view.table.Name] = store
		view.hold(held{store: store, partitions: partitions, ready: true, state: "ready"})
	}
	return f
}

// view returns the view of a table.
func (f *fixture) view(table string) *View {
	v, ok := f.View(table)
	if !ok {
		f.t.Fatalf("no view of %s", table)
	}
	return v
}

// add puts records into all tables as stage 2 would: partition 0 of topic dns holds them.
func (f *fixture) add(messages ...string) {
	f.t.Helper()
	for _, view := range f.All() {
		table := view.table
		layout, err := tables.LayoutOf(table)
		if err != nil {
			f.t.Fatal(err)
		}
		decoder := codecs.NewJSON(layout)
		combiner, err := table.NewCombiner(layout)
		if err != nil {
			f.t.Fatal(err)
		}
		var rec feeds.Record
		counts := codecs.Counts{}
		for _, m := range messages {
			if err := decoder.Decode([]byte(m), &rec); err != nil {
				f.t.Fatal(err)
			}
			counts.Read++
			if combiner.Add(&rec) == tables.Counted {
				counts.Counted++
			} else {
				counts.Filtered++
			}
		}
		f.merge(view, combiner.Groups(), codecs.Progress{Upto: counts.Read, NewestTime: 1_700_000_000_123_456, WallTime: 1_700_000_001_000, Counts: counts})
	}
}

func (f *fixture) merge(view *View, groups *tables.Groups, delta codecs.Progress) {
	f.t.Helper()
	partitioner := grouptable.NewPartitioner(view.table)
	store := f.stores[view.table.Name]
	for number := range int32(partitions) {
		p, _ := store.Partition(number)
		err := p.Update(func(rows *tables.Groups, progress map[codecs.Source]codecs.Progress) error {
			for key, partial := range groups.All() {
				switch in, err := partitioner.Of(key, partitions); {
				case err != nil:
					return err
				case in != number:
					continue
				}
				state, _ := rows.Upsert([]byte(key))
				view.table.Merge(state, partial)
			}
			source := codecs.Source{Topic: "dns"}
			have, ok := progress[source]
			if !ok {
				have.NewestTime = codecs.NoTime
			}
			d := delta
			d.Upto += have.Upto
			have.Advance(d)
			progress[source] = have
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// server answers for the fixture's tables until the test ends.
func (f *fixture) server(c ServerConfig) *httptest.Server {
	c.Views = f.Views
	s := httptest.NewServer(NewServer(c))
	f.t.Cleanup(s.Close)
	f.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return s
}

// office is a few records of three hosts.
func office() []string {
	var messages []string
	record := func(n int, host, qtype, query string) {
		for i := range n {
			m := fmt.Sprintf(`{"ts":1700000000.%06d,"id.orig_h":%q,"trans_id":%d,"query":%s`, i, host, 7+i, feeds.AppendQuoted(nil, query))
			if qtype != "" {
				m += fmt.Sprintf(`,"qtype_name":%q`, qtype)
			}
			messages = append(messages, m+"}")
		}
	}
	record(5, "10.0.0.1", "A", "example.com")
	record(2, "10.0.0.1", "AAAA", "example.com")
	record(3, "10.0.0.2", "A", "a,\"b\"\nc")
	record(1, "10.0.0.2", "", "")
	record(4, "2001:db8::7", "PTR", "\u001b[31mred")
	return messages
}
