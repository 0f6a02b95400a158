package pgwire

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Sarama's metrics have one goroutine a process, which never ends.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const (
	dnsCounts = `CREATE TABLE dns_counts AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name`
	kinds     = `CREATE TABLE kinds AS SELECT query, max(id.orig_h) AS host, count(*) AS n, max(trans_id) AS id, sum(trans_id) * 1000000000000000 AS big,
		avg(trans_id) AS mean, max(ts) AS newest, max(rtt) AS slowest, bool_or(AA) AS aa, array_agg(DISTINCT qtype_name) AS qtypes FROM dns GROUP BY query`
	total = `CREATE TABLE dns_total AS SELECT count(*) AS n, sum(trans_id) AS ids FROM dns`
)

// fixture is a server over tables in memory, without Kafka.
type fixture struct {
	*views.Views
	t      testing.TB
	server *Server
	addr   string
	stop   func()
}

// newFixture makes ready tables with the messages in them, and serves them until the test ends.
func newFixture(t testing.TB, c Config, limits views.Limits, messages []string, definitions ...string) *fixture {
	t.Helper()
	all, err := tables.CompileFile("test.sql", strings.Join(definitions, ";\n")+";", feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t}
	if f.Views, err = views.New(views.Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}, Tables: all, Limits: limits}); err != nil {
		t.Fatal(err)
	}
	for _, v := range f.All() {
		store := grouptable.New(grouptable.Config{Table: v.Table(), Topic: v.Topics().Changelog})
		store.Fill(1)
		v.Fill(store, 1)
		f.fill(v.Table(), store, messages)
	}
	c.Views = f.Views
	if f.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- f.server.Serve(ctx, l) }() // the cleanup waits
	stopped := false
	f.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	t.Cleanup(f.stop)
	return f
}

// fill puts records into a table as stage 2 would.
func (f *fixture) fill(table *tables.Table, store *grouptable.Store, messages []string) {
	f.t.Helper()
	layout, err := tables.LayoutOf(table)
	if err != nil {
		f.t.Fatal(err)
	}
	combiner, err := table.NewCombiner(layout)
	if err != nil {
		f.t.Fatal(err)
	}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	for _, m := range messages {
		if err := decoder.Decode([]byte(m), &rec); err != nil {
			f.t.Fatal(err)
		}
		combiner.Add(&rec)
	}
	p, _ := store.Partition(0)
	err = p.Update(func(rows *tables.Groups, progress map[codecs.Source]codecs.Progress) error {
		for key, partial := range combiner.Groups().All() {
			state, _ := rows.Upsert([]byte(key))
			table.Merge(state, partial)
		}
		n := int64(len(messages))
		progress[codecs.Source{Topic: "dns"}] = codecs.Progress{Upto: n, NewestTime: 1_700_000_000_123_456, Counts: codecs.Counts{Read: n, Counted: n}}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// connect opens a session; more is added to the connection string.
func (f *fixture) connect(more string) *pgx.Conn {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), "postgres://analyst@"+f.addr+"/brotally?sslmode=disable"+more)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// viaHTTP is what the API answers to a query, as JSON: what all other ways have to be equal to.
func (f *fixture) viaHTTP(query string) [][]any {
	f.t.Helper()
	body, _ := json.Marshal(map[string]string{"sql": query})
	r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/query", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	views.NewServer(views.ServerConfig{Views: f.Views}).ServeHTTP(w, r)
	var answer struct{ Rows [][]any }
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	if err := d.Decode(&answer); err != nil || w.Code != http.StatusOK {
		f.t.Fatalf("%d %v: %s", w.Code, err, query)
	}
	return answer.Rows
}

// office is a few records of three hosts, some of which are hostile.
func office() []string {
	var messages []string
	record := func(n int, host, qtype, query, more string) {
		for i := range n {
			m := fmt.Sprintf(`{"ts":1700000000.%06d,"id.orig_h":%q,"trans_id":%d,"query":%s`, 123450+i, host, 7+i, feeds.AppendQuoted(nil, query))
			if qtype != "" {
				m += fmt.Sprintf(`,"qtype_name":%q`, qtype)
			}
			messages = append(messages, m+more+"}")
		}
	}
	record(5, "10.0.0.1", "A", "example.com", `,"rtt":0.25,"AA":true`)
	record(2, "10.0.0.1", "AAAA", "example.com", `,"rtt":3661.5,"AA":false`)
	record(3, "10.0.0.2", "A", "a,\"b\"\n{c}\\", `,"AA":false`)
	record(1, "10.0.0.2", "", "", "")
	record(4, "2001:db8::7", "PTR", "\u001b[31mred\u202e", `,"rtt":0`)
	record(1, "2001:db8::7", "N,U\"L", "NULL", "")
	return messages
}
