package views

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/testkafka"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// patience is how long these tests wait for what has to come.
const patience = 20 * time.Second

// changelog writes a table's changelog as stage 2 does.
type changelog struct {
	t     *testing.T
	kafka kafka.Config
	admin *kafka.Admin
	table *tables.Table
	topic string
	tx    kafka.Tx

	rows     *tables.Groups // all partitions'
	progress codecs.Progress
}

var source = codecs.Source{Topic: "dns", Partition: 2}

var apps atomic.Int64

// onBrokers runs a test on the embedded broker and, where there is one, on a real one.
func onBrokers(t *testing.T, test func(t *testing.T, addrs []string)) {
	t.Run("embedded", func(t *testing.T) { test(t, broker.StartTest(t).Addrs()) })
	t.Run("kafka", func(t *testing.T) { test(t, testkafka.Brokers(t)) })
}

func newChangelog(t *testing.T, addrs []string, definition string) *changelog {
	t.Helper()
	all, err := tables.CompileFile("test.sql", definition, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	// A real broker outlives the test, and may have others' topics.
	app := fmt.Sprintf("test-%d-%d", os.Getpid(), apps.Add(1))
	cfg, err := kafka.Config{Brokers: addrs, App: app, Instance: "a"}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := kafka.NewAdmin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	c := &changelog{t: t, kafka: cfg, admin: admin, table: all[0], topic: cfg.ChangelogTopic(all[0].Name), rows: all[0].NewGroups()}
	c.progress.NewestTime = codecs.NoTime
	return c
}

// create makes the topic, and the producer that writes it.
func (c *changelog) create() {
	c.t.Helper()
	err := c.admin.Ensure(kafka.Topic{Name: c.topic, Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact"}})
	if err != nil {
		c.t.Fatal(err)
	}
	if c.tx == nil {
		if c.tx, err = kafka.NewTx(c.t.Context(), c.kafka, c.topic); err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { c.tx.Close() })
		c.t.Cleanup(c.delete)
	}
}

// delete deletes the topic again, with a client of its own: the test's ends before its cleanups run.
func (c *changelog) delete() {
	admin, err := kafka.NewAdmin(context.Background(), c.kafka)
	if err != nil {
		c.t.Log(err) // an embedded broker may be gone already
		return
	}
	defer admin.Close()
	if err := admin.DeleteTopics(c.topic); err != nil {
		c.t.Error(err)
	}
}

// send combines records into the rows and sends the rows and the progress that they change.
func (c *changelog) send(messages ...string) {
	c.t.Helper()
	layout, err := tables.LayoutOf(c.table)
	if err != nil {
		c.t.Fatal(err)
	}
	combiner, err := c.table.NewCombiner(layout)
	if err != nil {
		c.t.Fatal(err)
	}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	for _, m := range messages {
		if err := decoder.Decode([]byte(m), &rec); err != nil {
			c.t.Fatal(err)
		}
		combiner.Add(&rec)
	}
	partitioner := grouptable.NewPartitioner(c.table)
	for key, partial := range combiner.Groups().All() {
		state, _ := c.rows.Upsert([]byte(key))
		c.table.Merge(state, partial)
		p, err := partitioner.Of(key, partitions)
		if err != nil {
			c.t.Fatal(err)
		}
		c.tx.Send(c.topic, p, []byte(key), codecs.AppendRow(nil, c.table, state))
	}
	n := int64(len(messages))
	c.progress.Advance(codecs.Progress{Upto: c.progress.Upto + n, NewestTime: 1_700_000_000_000_000 + n, Counts: codecs.Counts{Read: n, Counted: n}})
	for p := range int32(partitions) {
		c.tx.Send(c.topic, p, []byte(codecs.ProgressKey(source)), codecs.AppendProgressRow(nil, c.progress))
	}
}

func (c *changelog) commit() {
	c.t.Helper()
	if err := c.tx.Commit(c.t.Context(), nil, nil); err != nil {
		c.t.Fatal(err)
	}
}

// views runs a view of the table until stop is called, or the test ends.
func (c *changelog) views() (v *View, stop func()) {
	c.t.Helper()
	all, err := New(Config{Kafka: c.kafka, Tables: []*tables.Table{c.table}, Log: testLog(c.t)})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- all.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("views ended with %v", err)
		}
	}
	c.t.Cleanup(stop)
	v, _ = all.View(c.table.Name)
	return v, stop
}

// testLog shows what is logged when the test fails.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

var _ io.Writer = logWriter{}

// rowsOf returns all rows of a view, sorted, a row a string.
func rowsOf(t *testing.T, v *View) []string {
	t.Helper()
	stmt, err := sql.ParseStatement("", "SELECT * FROM "+v.table.Name)
	if err != nil {
		t.Fatal(err)
	}
	sel, err := tables.CompileSelect(stmt.(*sql.Select), v.table)
	if err != nil {
		t.Fatal(err)
	}
	a, err := v.Query(t.Context(), sel, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range a.Rows {
		rows = append(rows, fmt.Sprint(row))
	}
	slices.Sort(rows)
	return rows
}

// expect waits until the view has reached an offset and compares its rows.
func expect(t *testing.T, v *View, upto int64, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := v.WaitFor(ctx, map[codecs.Source]int64{source: upto}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, rowsOf(t, v)); diff != "" {
		t.Error(diff)
	}
}

// until waits for a view to be in a state.
func until(t *testing.T, v *View, is func(*held) bool) *held {
	t.Helper()
	timeout := time.After(patience)
	for {
		h := v.held.Load()
		if is(h) {
			return h
		}
		select {
		case <-h.replaced:
		case <-timeout:
			t.Fatalf("the view still %s", h.state)
		}
	}
}

const hosts = `CREATE TABLE hosts AS SELECT id.orig_h AS host, count(*) AS n FROM dns GROUP BY id.orig_h`

func host(n int) string { return fmt.Sprintf(`{"id.orig_h":"10.0.0.%d"}`, n) }

func TestFollow(t *testing.T) { onBrokers(t, testFollow) }

func testFollow(t *testing.T, addrs []string) {
	c := newChangelog(t, addrs, hosts)
	v, _ := c.views()
	until(t, v, func(h *held) bool { return strings.HasPrefix(h.state, "waits for topic "+c.topic) })

	c.create()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := v.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if rows := rowsOf(t, v); rows != nil {
		t.Errorf("rows of an empty table: %v", rows)
	}

	c.send(host(1), host(2), host(1))
	c.commit()
	expect(t, v, 3, "[10.0.0.1 2]", "[10.0.0.2 1]")

	// What is aborted is never seen: neither its rows nor the progress that goes with them.
	rows, progress := c.rows, c.progress
	c.rows = c.table.NewGroups()
	c.send(host(1), host(66))
	if err := c.tx.Abort(); err != nil {
		t.Fatal(err)
	}
	c.rows, c.progress = rows, progress

	c.send(host(2), host(3))
	c.commit()
	expect(t, v, 5, "[10.0.0.1 2]", "[10.0.0.2 2]", "[10.0.0.3 1]")
	if got := v.AsOf().String(); got != "dns/2:5" {
		t.Errorf("as of %s", got)
	}
	if got := v.Counts(); got != (codecs.Counts{Read: 5, Counted: 5}) {
		t.Errorf("counts %+v", got)
	}

	// A tombstone deletes its row.
	key, err := c.table.EncodeKey([]feeds.Value{feeds.StringValue("10.0.0.2")})
	if err != nil {
		t.Fatal(err)
	}
	number, err := grouptable.NewPartitioner(c.table).Of(string(key), partitions)
	if err != nil {
		t.Fatal(err)
	}
	c.tx.Send(c.topic, number, key, nil)
	c.send(host(3))
	c.commit()
	expect(t, v, 6, "[10.0.0.1 2]", "[10.0.0.3 2]")
}

func TestRecover(t *testing.T) { onBrokers(t, testRecover) }

func testRecover(t *testing.T, addrs []string) {
	c := newChangelog(t, addrs, hosts)
	c.create()
	for range 3 {
		c.send(host(1), host(2), host(3), host(4))
		c.commit()
	}
	v, stop := c.views()
	expect(t, v, 12, "[10.0.0.1 3]", "[10.0.0.2 3]", "[10.0.0.3 3]", "[10.0.0.4 3]")
	if done, total := v.Recovery(); done != total || total == 0 {
		t.Errorf("recovered %d of %d", done, total)
	}
	if v.Len() != 4 {
		t.Errorf("%d groups", v.Len())
	}
	stop()

	// A transaction is open, so it is not known yet what a view has to hold: it waits, and then has it all.
	c.send(host(4))
	started := make(chan struct{})
	go func() { // awaited below
		defer close(started)
		v, _ = c.views()
		until(t, v, func(h *held) bool { return h.store != nil })
	}()
	<-started
	if v.Ready() {
		t.Error("ready although a transaction is open")
	}
	c.commit()
	expect(t, v, 13, "[10.0.0.1 3]", "[10.0.0.2 3]", "[10.0.0.3 3]", "[10.0.0.4 4]")
}

func TestTheSameRowsInAPlainGokaView(t *testing.T) { onBrokers(t, testTheSameRowsInAPlainGokaView) }

func testTheSameRowsInAPlainGokaView(t *testing.T, addrs []string) {
	c := newChangelog(t, addrs, hosts)
	c.create()
	c.send(host(1), host(2), host(1))
	c.commit()

	conf, err := c.kafka.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	tmConf := goka.NewTopicManagerConfig()
	var managers []goka.TopicManager
	var consumers []sarama.Consumer
	store := grouptable.New(grouptable.Config{Client: c.admin.Client(), Table: c.table, Topic: c.topic})
	ctx, cancel := context.WithCancel(t.Context())
	view, err := goka.NewView(c.kafka.Brokers, goka.Table(c.topic), rowCodec{c.table},
		goka.WithViewStorageBuilder(store.Builder(func() context.Context { return ctx })),
		goka.WithViewTopicManagerBuilder(store.TopicManager(func(brokers []string) (goka.TopicManager, error) {
			m, err := goka.TopicManagerBuilderWithConfig(conf, tmConf)(brokers)
			managers = append(managers, m)
			return m, err
		})),
		goka.WithViewConsumerSaramaBuilder(func(brokers []string, id string) (sarama.Consumer, error) {
			consumer, err := goka.SaramaConsumerBuilderWithConfig(conf)(brokers, id)
			consumers = append(consumers, consumer)
			return consumer, err
		}),
		goka.WithViewHasher(kafka.NewHasher),
		goka.WithViewLogger(&gokaLog{ctx: ctx, log: testLog(t)}),
	)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- view.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, c := range consumers {
			c.Close()
		}
		for _, m := range managers {
			m.Close() // the first one was closed by Goka, which only makes this an error
		}
	}()
	// await asks for the channel before it looks, so that no change is missed.
	await := func(what string, done func() bool) {
		t.Helper()
		late := time.After(patience)
		for changed := store.Changed(); !done(); changed = store.Changed() {
			select {
			case <-changed:
			case <-late:
				t.Fatalf("Goka's view does not %s", what)
			}
		}
	}
	await("recover", func() bool { return store.Len() == partitions })
	c.send(host(3)) // and one that Goka itself reads
	c.commit()
	await("follow", func() bool { return store.Progress(partitions)[source].Upto >= 4 })

	it, err := view.Iterator()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Release()
	got := map[string]string{}
	for it.Next() {
		if codecs.IsInternal([]byte(it.Key())) {
			continue
		}
		value, err := it.Value()
		if err != nil {
			t.Fatal(err)
		}
		row, err := c.table.Row(it.Key(), value.(tables.State), nil)
		if err != nil {
			t.Fatal(err)
		}
		got[row[0].String()] = row[1].String()
	}
	if want := map[string]string{"10.0.0.1": "2", "10.0.0.2": "1", "10.0.0.3": "1"}; !maps.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

func TestAChangelogMadeAnew(t *testing.T) { onBrokers(t, testAChangelogMadeAnew) }

func testAChangelogMadeAnew(t *testing.T, addrs []string) {
	c := newChangelog(t, addrs, hosts)
	c.create()
	for range 5 {
		c.send(host(1), host(2))
		c.commit()
	}
	v, _ := c.views()
	expect(t, v, 10, "[10.0.0.1 5]", "[10.0.0.2 5]")

	if err := c.admin.DeleteTopics(c.topic); err != nil {
		t.Fatal(err)
	}
	until(t, v, func(h *held) bool { return !h.ready })
	c.create()
	c.rows, c.progress = c.table.NewGroups(), codecs.Progress{NewestTime: codecs.NoTime}
	c.send(host(3))
	c.commit()
	expect(t, v, 1, "[10.0.0.3 1]")
}

func TestABrokerThatIsAwayForAWhile(t *testing.T) {
	dir := t.TempDir()
	first, err := broker.Start(broker.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addrs()[0]
	c := newChangelog(t, []string{addr}, hosts)
	c.create()
	c.send(host(1))
	c.commit()
	v, _ := c.views()
	expect(t, v, 1, "[10.0.0.1 1]")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if !v.Ready() {
		t.Error("look-ups end with the broker")
	}
	second, err := broker.Start(broker.Config{DataDir: dir, Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close() })
	c.tx.Close()
	c.tx = nil
	c.create()
	c.send(host(1), host(2))
	c.commit()
	expect(t, v, 3, "[10.0.0.1 2]", "[10.0.0.2 1]")
}

func TestNoBroker(t *testing.T) {
	all, err := New(Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	var want *kafka.ErrNoBroker
	if err := all.Run(t.Context()); !errors.As(err, &want) {
		t.Errorf("Run returns %v", err)
	}
}

func TestTablesOfOneName(t *testing.T) {
	all, err := tables.CompileFile("test.sql", hosts, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}, Tables: append(all, all...)}); err == nil {
		t.Error("no error")
	}
}
