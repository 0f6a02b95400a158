package grouptable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")) // one a process
}

const patience = 20 * time.Second

func compile(t testing.TB, text string) *tables.Table {
	t.Helper()
	all, err := tables.CompileFile("test.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

const hosts = `CREATE TABLE hosts AS SELECT query, count(*) AS n FROM dns GROUP BY query`

// changelog is the changelog of a table with a group column and a count, and who writes to it.
type changelog struct {
	t      *testing.T
	broker *broker.Broker
	kafka  kafka.Config
	admin  *kafka.Admin
	table  *tables.Table
	topic  string
}

func newChangelog(t *testing.T, partitions int32) *changelog {
	t.Helper()
	c := &changelog{t: t, broker: broker.StartTest(t), table: compile(t, hosts)}
	c.kafka = kafka.Config{Brokers: c.broker.Addrs(), App: "test", Instance: "one"}
	c.topic = c.kafka.ChangelogTopic("hosts")
	var err error
	if c.admin, err = kafka.NewAdmin(context.Background(), c.kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.admin.Close() })
	if err := c.admin.Ensure(kafka.Topic{Name: c.topic, Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact"}}); err != nil {
		t.Fatal(err)
	}
	return c
}

// writer returns a transactional producer.
func (c *changelog) writer(id string) kafka.Tx {
	c.t.Helper()
	tx, err := kafka.NewTx(context.Background(), c.kafka, id)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = tx.Close() })
	return tx
}

// key returns the group key of a query, row the changelog's value for a count.
func (c *changelog) key(query string) []byte {
	c.t.Helper()
	key, err := c.table.EncodeKey([]feeds.Value{feeds.StringValue(query)})
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

func (c *changelog) row(n int) []byte {
	c.t.Helper()
	counted, err := c.table.NewCombiner(&feeds.Layout{Columns: c.table.Inputs})
	if err != nil {
		c.t.Fatal(err)
	}
	for range n {
		counted.Add(&feeds.Record{Values: []feeds.Value{feeds.StringValue("q")}})
	}
	for _, s := range counted.Groups().All() {
		return codecs.AppendRow(nil, c.table, s)
	}
	return codecs.AppendRow(nil, c.table, c.table.NewState())
}

func (c *changelog) commit(tx kafka.Tx) {
	c.t.Helper()
	if err := tx.Commit(context.Background(), nil, nil); err != nil {
		c.t.Fatal(err)
	}
}

func (c *changelog) store() *Store {
	return New(Config{Client: c.admin.Client(), Table: c.table, Topic: c.topic})
}

func (c *changelog) recover(s *Store, n int32) *Partition {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := s.recover(ctx, n)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// rows returns a partition's rows as "query n".
func rows(t testing.TB, p *Partition) (all []string) {
	t.Helper()
	p.Read(func(g *tables.Groups) {
		for key, s := range g.All() {
			row, err := p.table.Row(key, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(row[0], " ", row[1]))
		}
	})
	slices.Sort(all)
	return all
}

func (c *changelog) want(p *Partition, want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, rows(c.t, p)); diff != "" {
		c.t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestRecoversBehindAnOpenTransaction: a dead instance's transaction is open, and behind it lies what others committed. Their
// input offsets have moved on, so recovery must wait for it and read them, whatever becomes of the open one.
func TestRecoversBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		decide func(dead kafka.Tx) error // nil: nobody does, the broker gives it up
		want   []string
	}{
		{"aborted", func(dead kafka.Tx) error { return dead.Abort() }, []string{"before 1", "live 3"}},
		{"committed after all", func(dead kafka.Tx) error { return dead.Commit(context.Background(), nil, nil) }, []string{"before 1", "dead 2", "live 3"}},
		{"timed out", nil, []string{"before 1", "live 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newChangelog(t, 1)
			live := l.writer("live")
			live.Send(l.topic, 0, l.key("before"), l.row(1))
			l.commit(live)
			if c.decide == nil {
				l.kafka.Properties = map[string]string{"transaction.timeout.ms": "1000"}
			}
			dead := l.writer("dead")
			dead.Send(l.topic, 0, l.key("dead"), l.row(2))
			l.until("the record of the open transaction is there", func() bool { return l.broker.Cluster().PartitionInfo(l.topic, 0).HighWatermark == 3 })
			live.Send(l.topic, 0, l.key("live"), l.row(3))
			l.commit(live)

			s := l.store()
			fetched := l.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: l.topic, Observe: true, Count: -1})
			done := make(chan *Partition, 1)
			go func() { done <- l.recover(s, 0) }()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := fetched.Wait(ctx, 2); err != nil { // the second one finds nothing more that is decided
				t.Fatal(err)
			}
			if _, ok := s.Partition(0); ok && c.decide != nil {
				t.Error("recovered while a transaction is open")
			}
			if c.decide != nil {
				if err := c.decide(dead); err != nil {
					t.Fatal(err)
				}
			}
			l.want(<-done, c.want...)
		})
	}
}

// TestARecoveryThatWaitsHoldsNobodyUp: who asks after a partition while it is recovered onwards is answered, and told what is left.
func TestARecoveryThatWaitsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	l := newChangelog(t, 1)
	live := l.writer("live")
	live.Send(l.topic, 0, l.key("a"), l.row(1))
	l.commit(live)
	s := l.store()
	p := l.recover(s, 0)
	if got := s.Remaining(); got != 0 {
		t.Errorf("%d offsets are left of what is recovered", got)
	}

	live.Send(l.topic, 0, l.key("b"), l.row(2))
	l.commit(live)
	dead := l.writer("dead")
	dead.Send(l.topic, 0, l.key("c"), l.row(3))
	l.until("the record of the open transaction is there", func() bool { return l.broker.Cluster().PartitionInfo(l.topic, 0).HighWatermark == 5 })
	live.Send(l.topic, 0, l.key("d"), l.row(4))
	l.commit(live) // behind the open transaction: 5 is its record, 6 its marker
	done := make(chan *Partition, 1)
	go func() { done <- l.recover(s, 0) }() // it is read from below
	l.until("what is decided is taken in", func() bool { return p.Len() == 2 })
	if got := s.Remaining(); got != 4 { // a marker too many: what has no records does not count before the end
		t.Errorf("%d offsets are left, want 4", got)
	}
	if got := s.Recovered(); got != 2 {
		t.Errorf("%d records are read, want 2", got)
	}
	if err := dead.Abort(); err != nil {
		t.Fatal(err)
	}
	l.want(<-done, "a 1", "b 2", "d 4")
	if got := s.Remaining(); got != 0 {
		t.Errorf("%d offsets are left at the end", got)
	}
}

func (c *changelog) until(what string, ok func() bool) {
	c.t.Helper()
	end, look := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-end:
			c.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestRecoversOnwards: what this process has is not read again; what it has given up is.
func TestRecoversOnwards(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 2)
	tx := c.writer("w")
	source := codecs.Source{Topic: "dns", Partition: 1}
	for n := range int32(2) {
		tx.Send(c.topic, n, c.key("a"), c.row(1))
		tx.Send(c.topic, n, c.key("b"), c.row(1))
		tx.Send(c.topic, n, []byte(codecs.ProgressKey(source)), codecs.AppendProgressRow(nil, codecs.Progress{Upto: 7}))
	}
	c.commit(tx)
	s := c.store()
	for n := range int32(2) {
		c.want(c.recover(s, n), "a 1", "b 1")
	}
	if got := s.Recovered(); got != 6 {
		t.Errorf("%d records were read, want 6", got)
	}
	if got := s.Offset(); got != 8 { // with a marker in each
		t.Errorf("recovered up to %d in all, want 8", got)
	}

	tx.Send(c.topic, 0, c.key("a"), c.row(5))
	tx.Send(c.topic, 0, c.key("b"), nil)
	tx.Send(c.topic, 1, c.key("c"), c.row(1))
	c.commit(tx)
	p := c.recover(s, 0)
	c.want(p, "a 5")
	if got := s.Recovered(); got != 8 {
		t.Errorf("%d records were read, want two more", got)
	}
	if diff := cmp.Diff(map[codecs.Source]codecs.Progress{source: {Upto: 7}}, p.Progress()); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}

	s.Keep([]int32{1, 5}, false)
	if _, ok := s.Partition(0); ok || s.Len() != 1 {
		t.Errorf("%d partitions are kept, partition 0: %v", s.Len(), ok)
	}
	c.want(c.recover(s, 0), "a 5")
	if got := s.Recovered(); got != 8+5 {
		t.Errorf("%d records were read, want all of partition 0 again", got)
	}
	c.want(c.recover(s, 1), "a 1", "b 1", "c 1")

	s.Drop()
	if s.Len() != 0 {
		t.Errorf("%d partitions are left", s.Len())
	}
	tx.Send(c.topic, 0, []byte(codecs.ProgressKey(source)), nil)
	c.commit(tx)
	if p := c.recover(s, 0); len(p.Progress()) != 0 {
		t.Errorf("progress %v after its tombstone", p.Progress())
	}
}

// TestAbortedRowsAreNotRecovered, nor does their place at the end of the changelog hold anything up.
// TestWhatIsKeptAloneIsNotReadAgain: what a process wrote itself since it recovered a partition it knows, as long as nobody else had that. A
// recovery that was broken off may have left it with older rows than those.
func TestWhatIsKeptAloneIsNotReadAgain(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 2)
	tx := c.writer("w")
	for n := range int32(2) {
		tx.Send(c.topic, n, c.key("a"), c.row(1))
	}
	c.commit(tx)
	s := c.store()
	for n := range int32(2) {
		c.recover(s, n)
	}
	want := func(alone bool, want map[int32]bool, records int64) {
		t.Helper()
		if diff := cmp.Diff(want, s.Keep([]int32{0, 1}, alone)); diff != "" {
			t.Errorf("as their changelog are (-want +got):\n%s", diff)
		}
		was := s.Recovered()
		for n := range int32(2) {
			c.recover(s, n)
		}
		if got := s.Recovered() - was; got != records {
			t.Errorf("%d records were read, want %d", got, records)
		}
	}
	both := map[int32]bool{0: true, 1: true}
	want(true, both, 0)

	tx.Send(c.topic, 0, c.key("a"), c.row(2))
	c.commit(tx)
	want(true, both, 0)
	want(false, map[int32]bool{0: false, 1: false}, 1)

	tx.Send(c.topic, 0, c.key("a"), c.row(3))
	c.commit(tx)
	s.Keep([]int32{0, 1}, false)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.recover(ctx, 0); err == nil {
		t.Fatal("a recovery whose context has ended succeeds")
	}
	// That one had not begun to read. Somebody else may have written all the same.
	want(true, map[int32]bool{0: false, 1: false}, 1)
	p, _ := s.Partition(0)
	c.want(p, "a 3")
	want(true, both, 0)
	if err := p.locked(p.recovering); err != nil { // one that had begun
		t.Fatal(err)
	}
	want(true, map[int32]bool{0: false, 1: true}, 0)
	want(true, both, 0)

	if got := s.Keep([]int32{1}, true); len(got) != 1 {
		t.Errorf("%v are as their changelog, want partition 1", got)
	}
	if got := s.Keep([]int32{0, 1}, true); got[0] || !got[1] {
		t.Errorf("%v are as their changelog, want partition 1", got)
	}
}

func TestAbortedRowsAreNotRecovered(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 1)
	tx := c.writer("w")
	tx.Send(c.topic, 0, c.key("a"), c.row(1))
	c.commit(tx)
	tx.Send(c.topic, 0, c.key("a"), c.row(9))
	tx.Send(c.topic, 0, c.key("b"), c.row(9))
	if err := tx.Abort(); err != nil {
		t.Fatal(err)
	}
	c.want(c.recover(c.store(), 0), "a 1")
}

// TestARecoveryThatEndsEarly goes on where it was.
func TestARecoveryThatEndsEarly(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 1)
	tx := c.writer("w")
	tx.Send(c.topic, 0, c.key("a"), c.row(1))
	c.commit(tx)
	s := c.store()
	c.recover(s, 0)
	tx.Send(c.topic, 0, c.key("b"), c.row(1))
	c.commit(tx)

	stuck := c.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: c.topic, Err: kerr.NotLeaderForPartition, Count: -1})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	build := s.Builder(func() context.Context { return ctx })
	go func() {
		_, err := build(c.topic, 0)
		done <- err
	}()
	wait, giveUp := context.WithTimeout(context.Background(), patience)
	defer giveUp()
	if err := stuck.Wait(wait, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), c.topic+"/0") {
		t.Errorf("%v, want a cancelled recovery with its place", err)
	}
	stuck.Remove()
	c.want(c.recover(s, 0), "a 1", "b 1")
	if got := s.Recovered(); got != 2 {
		t.Errorf("%d records were read, want each once", got)
	}
}

// TestAChangelogThatIsNotOurs stops the recovery and says where.
func TestAChangelogThatIsNotOurs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key   func(c *changelog) []byte
		value []byte
		want  string
	}{
		"an internal key of a newer program": {func(*changelog) []byte { return []byte(`\#windows/1`) }, []byte{1}, "newer program"},
		"a row of a newer program":           {func(c *changelog) []byte { return c.key("a") }, []byte{77}, "format version 77"},
		"a row that is cut":                  {func(c *changelog) []byte { return c.key("a") }, []byte{}, "cut short"},
		"progress that is cut":               {func(*changelog) []byte { return []byte(codecs.ProgressKey(codecs.Source{Topic: "dns"})) }, []byte{1, 2}, "cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newChangelog(t, 1)
			tx := l.writer("w")
			tx.Send(l.topic, 0, c.key(l), c.value)
			l.commit(tx)
			s := l.store()
			_, err := s.recover(context.Background(), 0)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), l.topic+"/0@0") {
				t.Errorf("%v, want %q and the place", err, c.want)
			}
			if s.Len() != 0 {
				t.Error("it counts as recovered")
			}
		})
	}
}

// TestGokaFindsNothingToRecover behind what the Store has read: the changelog ends in a marker, for which Goka would wait.
func TestGokaFindsNothingToRecover(t *testing.T) {
	t.Parallel()
	c := newChangelog(t, 2)
	tx := c.writer("w")
	tx.Send(c.topic, 0, c.key("a"), c.row(1))
	c.commit(tx)
	conf, err := c.kafka.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	s := c.store()
	managers := s.TopicManager(func(brokers []string) (goka.TopicManager, error) {
		return goka.NewTopicManager(brokers, conf, goka.NewTopicManagerConfig())
	})
	m, err := managers(c.kafka.Brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	newest := func(n int32) int64 {
		t.Helper()
		at, err := m.GetOffset(c.topic, n, sarama.OffsetNewest)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	p := c.recover(s, 0)
	tx.Send(c.topic, 0, c.key("b"), c.row(1))
	c.commit(tx)
	last, err := p.GetOffset(-3)
	if err != nil || last != 1 || newest(0) != 2 {
		t.Errorf("the partition holds up to %d (%v), Goka is told that it ends at %d; want 1 and 2", last, err, newest(0))
	}
	if newest(1) != 0 {
		t.Errorf("partition 1 ends at %d", newest(1))
	}
	if at, err := m.GetOffset(c.topic, 0, sarama.OffsetOldest); err != nil || at != 0 {
		t.Errorf("oldest is %d, %v", at, err)
	}
}

// TestReadersBesideAWriter is for the race detector.
func TestReadersBesideAWriter(t *testing.T) {
	t.Parallel()
	table := compile(t, hosts)
	s := New(Config{Table: table})
	p := s.Fill(1)[0]
	source := codecs.Source{Topic: "dns"}
	var running sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-s.Changed():
				}
				_ = rows(t, p)
				_, _ = p.Get(codecs.ProgressKey(source))
				_ = s.Progress(1)
				_, _ = p.Len(), p.Bytes()
			}
		})
	}
	for i := range 2000 {
		err := p.Update(func(g *tables.Groups, progress map[codecs.Source]codecs.Progress) error {
			key, err := table.EncodeKey([]feeds.Value{feeds.StringValue(fmt.Sprint(i % 700))})
			g.Upsert(key)
			if i%3 == 0 {
				g.Delete(key)
			}
			progress[source] = codecs.Progress{Upto: int64(i)}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	s.notify()
	running.Wait()
}

// TestAnUpdateThatPanicsLeavesNoLock: whoever recovers from it must be able to read on.
func TestAnUpdateThatPanicsLeavesNoLock(t *testing.T) {
	s := New(Config{Table: compile(t, hosts)})
	p := s.Fill(1)[0]
	func() {
		defer func() { _ = recover() }()
		_ = p.Update(func(*tables.Groups, map[codecs.Source]codecs.Progress) error { panic("it was told to") })
	}()
	if p.Len() != 0 {
		t.Error(p.Len())
	}
}

// TestProgressIsAFloor over the partitions; a source that one has not heard of is at its beginning there.
func TestProgressIsAFloor(t *testing.T) {
	s := New(Config{Table: compile(t, hosts)})
	parts := s.Fill(2)
	known, half := codecs.Source{Topic: "dns"}, codecs.Source{Topic: "dns", Partition: 1}
	set := func(n int, to map[codecs.Source]codecs.Progress) {
		_ = parts[n].Update(func(_ *tables.Groups, progress map[codecs.Source]codecs.Progress) error {
			for source, p := range to {
				progress[source] = p
			}
			return nil
		})
	}
	set(0, map[codecs.Source]codecs.Progress{known: {Upto: 10, NewestTime: 5, WallTime: 7, Counts: codecs.Counts{Read: 9}}, half: {Upto: 3, NewestTime: 1, Counts: codecs.Counts{Read: 3}}})
	set(1, map[codecs.Source]codecs.Progress{known: {Upto: 8, NewestTime: 6, WallTime: 8, Counts: codecs.Counts{Read: 7}}})
	want := map[codecs.Source]codecs.Progress{
		known: {Upto: 8, NewestTime: 5, WallTime: 7, Counts: codecs.Counts{Read: 9}},
		half:  {Upto: 0, NewestTime: codecs.NoTime, Counts: codecs.Counts{Read: 3}},
	}
	if diff := cmp.Diff(want, s.Progress(2)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestALongRecoveryIsTold in the log, every few seconds and of all partitions together.
func TestALongRecoveryIsTold(t *testing.T) {
	var log strings.Builder
	s := New(Config{Table: compile(t, hosts), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	}))})
	give := func(r *recovery, upto int64) {
		t.Helper()
		if err := r.around(100, func() error { r.records, r.at = upto-r.at, upto; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * tellEvery)
	short := &recovery{store: s, partition: newPartition(s.config, s.notify, &s.version), began: time.Now()}
	give(short, 10)
	if log.Len() > 0 {
		t.Errorf("told at once: %s", log.String())
	}
	first := &recovery{store: s, partition: newPartition(s.config, s.notify, &s.version), began: long}
	second := &recovery{store: s, partition: newPartition(s.config, s.notify, &s.version), began: long}
	give(first, 30)
	give(second, 40)
	give(first, 50)
	if got, want := log.String(), "msg=recovering table=hosts records=40 remaining=160\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	s.told.Store(long.UnixNano())
	give(first, 60)
	if got, want := log.String(), "records=110 remaining=190\n"; !strings.HasSuffix(got, want) {
		t.Errorf("told %q in the end, want %q", got, want)
	}
}
