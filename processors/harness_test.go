package processors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

func TestMain(m *testing.M) {
	// These tests wait more than they work. An operator's -parallel wins.
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = n.Value.Set(strconv.Itoa(4 * runtime.GOMAXPROCS(0)))
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"), // one a process
		// Once in some twenty runs a connection stays open at the end, under load and with the race detector. See views.
		goleak.IgnoreTopFunction("github.com/IBM/sarama.(*Broker).responseReceiver"))
}

// patience is how long a test waits for what takes milliseconds on an idle machine.
const patience = 60 * time.Second

// pipeline is a broker with topics and what a test does to it.
type pipeline struct {
	t        *testing.T
	broker   *broker.Broker
	kafka    kafka.Config
	admin    *kafka.Admin
	client   sarama.Client
	sender   sarama.Client // the producer's
	producer sarama.SyncProducer
	prepare  func(*processors.Processors) // called before Run; may be nil
	distinct int                          // up to how many values count(DISTINCT ..) is exact; 0: as always
}

func newPipeline(t *testing.T, c ...broker.Config) *pipeline {
	t.Helper()
	b := broker.StartTest(t, c...)
	p := &pipeline{t: t, broker: b, kafka: kafka.Config{Brokers: b.Addrs(), App: "test", Instance: "one",
		Properties: map[string]string{"heartbeat.interval.ms": "100", "session.timeout.ms": "6000"}}}
	var err error
	if p.admin, err = kafka.NewAdmin(context.Background(), p.kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.admin.Close() })
	p.client = p.admin.Client()
	config, err := p.kafka.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 20 << 20
	if p.sender, err = sarama.NewClient(p.kafka.Brokers, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.sender.Close() })
	if p.producer, err = sarama.NewSyncProducerFromClient(p.sender); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.producer.Close() })
	return p
}

func (p *pipeline) topic(name string, partitions int32) {
	p.t.Helper()
	if err := p.admin.Ensure(kafka.Topic{Name: name, Partitions: partitions}); err != nil {
		p.t.Fatal(err)
	}
	p.refresh(name)
}

// refresh makes the clients see a topic's partitions.
func (p *pipeline) refresh(topic string) {
	p.t.Helper()
	p.must(p.client.RefreshMetadata(topic))
	p.must(p.sender.RefreshMetadata(topic))
}

// produce sends values to a topic, round robin over its partitions.
func (p *pipeline) produce(topic string, partitions int32, values ...string) {
	p.t.Helper()
	all := make([]*sarama.ProducerMessage, len(values))
	for i, v := range values {
		all[i] = &sarama.ProducerMessage{Topic: topic, Partition: int32(i) % partitions, Value: sarama.StringEncoder(v)}
	}
	if err := p.producer.SendMessages(all); err != nil {
		p.t.Fatal(err)
	}
}

// running is one instance that runs tables.
type running struct {
	t          *testing.T
	processors *processors.Processors
	log        *journal
	cancel     context.CancelFunc
	done       chan struct{}
	err        error // of Run, once done is closed
}

// run runs the tables as instance "one" until the test ends or stops it. configure may be nil.
func (p *pipeline) run(definitions string, configure func(*processors.Config)) *running {
	p.t.Helper()
	r := &running{t: p.t, log: &journal{verbose: testing.Verbose()}, done: make(chan struct{})}
	config := processors.Config{Kafka: p.kafka, Tables: p.compile(definitions), Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if configure != nil {
		configure(&config)
	}
	r.log.name = config.Kafka.Instance
	var err error
	if r.processors, err = processors.New(config); err != nil {
		p.t.Fatal(err)
	}
	if p.prepare != nil {
		p.prepare(r.processors)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { // stop waits for it
		defer close(r.done)
		r.err = r.processors.Run(ctx)
	}()
	p.t.Cleanup(func() {
		cancel()
		<-r.done
		if p.t.Failed() && !r.log.verbose {
			p.t.Logf("log of instance %s:\n%s", r.log.name, r.log.tail())
		}
	})
	return r
}

// stop stops the instance, which is no error.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := r.wait(); err != nil {
		r.t.Errorf("run: %v", err)
	}
}

// wait returns the error with which Run ended.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		r.t.Fatal("it does not end")
		return nil
	}
}

// goesOn checks that the instance has not ended.
func (r *running) goesOn() {
	r.t.Helper()
	select {
	case <-r.done:
		r.t.Errorf("instance %s has ended: %v", r.log.name, r.err)
	default:
	}
}

// counts waits until the instance has committed that many source records.
func (r *running) counts(n int64) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("%d records are committed", n), func() bool { return r.processors.Records() >= n })
}

// says waits for a line of the log that has all those words.
func (r *running) says(words ...string) {
	r.t.Helper()
	until(r.t, "the log says "+strings.Join(words, " .. "), func() bool { return r.log.has(words...) })
}

// journal is what an instance logs.
type journal struct {
	name    string
	verbose bool

	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.verbose {
		fmt.Printf("%s: %s", j.name, b)
	}
	return j.buf.Write(b)
}

func (j *journal) count(words ...string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.buf.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

func (j *journal) has(words ...string) bool { return j.count(words...) > 0 }

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.buf.Bytes()
	return string(b[max(0, len(b)-8000):])
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

func (p *pipeline) compile(definitions string) []*tables.Table {
	p.t.Helper()
	all, err := tables.CompileFile("test.sql", definitions, feeds.Lookup)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.distinct > 0 {
		for _, t := range all {
			t.LimitDistinct(p.distinct, 64)
		}
	}
	return all
}

// record is one record of a topic.
type record struct {
	topic      string
	partition  int32
	offset     int64
	key, value []byte
}

// read returns the committed records of a topic from the given offsets (its beginning, where none is given) to its end.
func (p *pipeline) read(topic string, from map[int32]int64) (all []record) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.client.RefreshMetadata(topic); err != nil {
		p.t.Fatalf("read %s: %v", topic, err)
	}
	partitions, err := p.client.Partitions(topic)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, n := range partitions {
		begin := int64(sarama.OffsetOldest)
		if at, ok := from[n]; ok {
			begin = at
		}
		r, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: p.client, Topic: topic, Partition: n, From: begin})
		if err != nil {
			p.t.Fatal(err)
		}
		_, err = r.Recover(ctx, func(offset int64, key, value []byte, _ int64) error {
			all = append(all, record{topic, n, offset, key, value})
			return nil
		})
		if err != nil {
			p.t.Fatal(err)
		}
		_ = r.Close()
	}
	return all
}

// latest returns the last value of each key of a compacted topic, as its reader sees it.
func (p *pipeline) latest(topic string) map[string]string {
	p.t.Helper()
	last := map[string]string{}
	for _, r := range p.read(topic, nil) {
		if r.key == nil {
			p.t.Fatalf("%s/%d@%d has no key: a compacted topic refuses it", topic, r.partition, r.offset)
		}
		if len(r.key) > codecs.MaxRecord || len(r.value) > codecs.MaxRecord {
			p.t.Errorf("%s/%d@%d has %d and %d bytes", topic, r.partition, r.offset, len(r.key), len(r.value))
		}
		if want := kafka.Partition(r.key, p.partitions(topic)); r.partition != want && strings.HasPrefix(topic, p.kafka.App+"-") == false {
			p.t.Errorf("%s: key %s lies in partition %d, Java looks in %d", topic, r.key, r.partition, want)
		}
		if r.value == nil {
			delete(last, string(r.key))
		} else {
			last[string(r.key)] = string(r.value)
		}
	}
	return last
}

func (p *pipeline) partitions(topic string) int32 {
	p.t.Helper()
	ps, err := p.client.Partitions(topic)
	if err != nil {
		p.t.Fatal(err)
	}
	return int32(len(ps))
}

// starts says where tables begin to count, by topic and partition: at 0 where nothing is said.
type starts map[string]map[int32]int64

// exact waits until the tables reflect all that is in their topics, and checks them against a fold of the same records in
// memory: rows, result topics, and what became of each record.
func (p *pipeline) exact(definitions string, from starts) {
	p.t.Helper()
	for _, t := range p.compile(definitions) {
		p.exactTable(t, from)
	}
}

func (p *pipeline) exactTable(t *tables.Table, from starts) {
	p.t.Helper()
	topics := t.Options.FeedTopics
	if len(topics) == 0 {
		topics = []string{t.Feed.Name}
	}
	want, counts, ends := p.fold(t, topics, from)
	store := p.settled(t, ends)
	for n := range p.partitions(p.kafka.PartialsTopic(p.own(t.Name))) {
		rows, _ := store.Partition(n)
		for source, progress := range rows.Progress() {
			c := progress.Counts
			if c.Read != c.Counted+c.Filtered+c.OtherFeed+c.NoTime+c.DeadLettered {
				p.t.Errorf("%s/%d: %v does not add up: %+v", t.Name, n, source, c)
			}
			have := counts[source]
			if diff := cmp.Diff(have, codecs.Counts{Read: c.Read, Counted: c.Counted, Filtered: c.Filtered, OtherFeed: c.OtherFeed, DeadLettered: c.DeadLettered}); diff != "" {
				p.t.Errorf("%s/%d: counts of %v (-want +got):\n%s", t.Name, n, source, diff)
			}
		}
	}
	result := t.Name
	if t.Options.Topic != "" {
		result = t.Options.Topic
	}
	if diff := cmp.Diff(want, p.latest(result)); diff != "" {
		p.t.Errorf("%s (-want +got):\n%s", result, diff)
	}
	rows := 0
	for n := range p.partitions(p.kafka.PartialsTopic(p.own(t.Name))) {
		part, _ := store.Partition(n)
		rows += part.Len()
	}
	if rows != len(want) {
		p.t.Errorf("%s has %d rows, want %d", t.Name, rows, len(want))
	}
}

// own is what the topics of a table's rows are named after.
func (p *pipeline) own(table string) string {
	e, ok := p.entries()[table]
	if !ok {
		return table
	}
	return e.Own()
}

// settled waits until the table's rows have taken in all sources up to their ends, and returns them.
func (p *pipeline) settled(t *tables.Table, ends map[codecs.Source]int64) *grouptable.Store {
	p.t.Helper()
	changelog := p.kafka.ChangelogTopic(p.own(t.Name))
	until(p.t, changelog+" is there", func() bool {
		found, err := p.admin.Describe(changelog, p.kafka.PartialsTopic(p.own(t.Name)))
		return err == nil && len(found) == 2 && p.client.RefreshMetadata(changelog, p.kafka.PartialsTopic(p.own(t.Name))) == nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	store := grouptable.New(grouptable.Config{Client: p.client, Table: t, Topic: changelog})
	build := store.Builder(func() context.Context { return ctx })
	var missing string
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		missing = ""
		for n := range p.partitions(p.kafka.PartialsTopic(p.own(t.Name))) {
			if _, err := build(changelog, n); err != nil {
				p.t.Fatalf("table %s does not get there: %v; missing %s", t.Name, err, missing)
			}
			rows, _ := store.Partition(n)
			have := rows.Progress()
			for source, end := range ends {
				if have[source].Upto < end {
					missing = fmt.Sprintf("partition %d has %v up to %d, not %d", n, source, have[source].Upto, end)
				}
			}
		}
		if missing == "" {
			return store
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			p.t.Fatalf("table %s does not get there: %s", t.Name, missing)
		}
	}
}

// fold computes the table in memory from what its topics hold: the result topic's records, and per source partition what
// becomes of each record and the offset behind the last.
func (p *pipeline) fold(t *tables.Table, topics []string, from starts) (want map[string]string, counts map[codecs.Source]codecs.Counts, ends map[codecs.Source]int64) {
	p.t.Helper()
	layout, err := tables.LayoutOf(t)
	if err != nil {
		p.t.Fatal(err)
	}
	f, err := tables.NewFold(t, layout, 1)
	if err != nil {
		p.t.Fatal(err)
	}
	counts, ends = map[codecs.Source]codecs.Counts{}, map[codecs.Source]int64{}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	for _, topic := range topics {
		for _, r := range p.read(topic, from[topic]) {
			source := codecs.Source{Topic: topic, Partition: r.partition}
			c := counts[source]
			c.Read++
			switch err := decoder.Decode(r.value, &rec); {
			case errors.Is(err, codecs.ErrOtherFeed):
				c.OtherFeed++
			case err != nil:
				c.DeadLettered++
			default:
				rec.At = feeds.Position{Topic: topic, Partition: r.partition, Offset: r.offset}
				if f.Combiner(0).Add(&rec) == tables.Counted {
					c.Counted++
				} else {
					c.Filtered++
				}
			}
			counts[source], ends[source] = c, r.offset+1
		}
	}
	rows, err := f.Rows()
	if err != nil {
		p.t.Fatal(err)
	}
	want = map[string]string{}
	for _, row := range rows {
		var key []feeds.Value
		for _, k := range t.Keys() {
			key = append(key, row[slices.IndexFunc(t.Columns, func(c tables.Column) bool { return c.Name == k.Name })])
		}
		value, _ := codecs.AppendFitting(nil, t, row)
		want[string(codecs.AppendResultKey(nil, t, key))] = string(value)
	}
	return want, counts, ends
}

// entries returns what the catalog holds.
func (p *pipeline) entries() map[string]kafka.Entry {
	p.t.Helper()
	catalog, err := kafka.OpenCatalog(p.admin, p.kafka)
	if err != nil {
		p.t.Fatal(err)
	}
	entries, err := catalog.Load(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	return entries
}

// names returns all topics there are.
func (p *pipeline) names() []string {
	p.t.Helper()
	all, err := p.admin.List()
	if err != nil {
		p.t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(all))
}

// instance returns what makes a configuration that of the instance with that name.
func instance(name string) func(*processors.Config) {
	return func(c *processors.Config) { c.Kafka.Instance = name }
}

// shared waits until so many instances have parts of a group, all of them together all of its partitions.
func (p *pipeline) shared(group string, instances, partitions int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := p.broker.Cluster().WaitGroupInfo(ctx, group, func(g *kfake.GroupInfo) bool {
		if g == nil || g.State != "Stable" || len(g.Members) != instances || g.NumAssigned() != partitions {
			return false
		}
		return !slices.ContainsFunc(g.Members, func(m kfake.GroupMember) bool { return m.NumAssigned() == 0 })
	})
	if err != nil {
		p.t.Fatalf("group %s is not shared by %d: %v", group, instances, err)
	}
}

const notebook = `CREATE TABLE dns_counts AS
	SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name;`

// dns returns a dns record; without a qtype it has none.
func dns(host, qtype string) string {
	record := map[string]any{"ts": 1575413122.764317, "uid": "C1", "id.orig_h": host}
	if qtype != "" {
		record["qtype_name"] = qtype
	}
	b, _ := json.Marshal(record)
	return string(b)
}

// office returns n dns records of a few hosts, with a record of another feed, one that is none and one with a bad field
// among them. Each call with another seed gives other records.
func office(seed, n int) (records []string) {
	types := []string{"A", "AAAA", "PTR", "", "TXT"}
	for i := range n {
		switch x := seed*7919 + i; {
		case x%23 == 5:
			records = append(records, "no record")
		case x%29 == 7:
			records = append(records, `{"conn": {"ts": 1.0, "uid": "C2"}}`)
		case x%31 == 11:
			records = append(records, `{"ts": "never", "id.orig_h": 17, "qtype_name": "A"}`)
		default:
			records = append(records, dns(fmt.Sprintf("10.0.%d.%d", x%3, x%11), types[x%len(types)]))
		}
	}
	return records
}

// saramaAdmin returns a client for what ours does not do. It closes with the test.
func saramaAdmin(p *pipeline) (sarama.ClusterAdmin, error) {
	config, err := p.kafka.Sarama()
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdmin(p.kafka.Brokers, config)
	if err == nil {
		p.t.Cleanup(func() { _ = admin.Close() })
	}
	return admin, err
}

// headers returns the headers of one record, which our own reader passes over.
func (p *pipeline) headers(r record) map[string]string {
	p.t.Helper()
	consumer, err := sarama.NewConsumerFromClient(p.client)
	p.must(err)
	defer func() { _ = consumer.Close() }()
	one, err := consumer.ConsumePartition(r.topic, r.partition, r.offset)
	p.must(err)
	defer func() { _ = one.Close() }()
	select {
	case m := <-one.Messages():
		found := map[string]string{}
		for _, h := range m.Headers {
			found[string(h.Key)] = string(h.Value)
		}
		return found
	case <-time.After(patience):
		p.t.Fatalf("%s/%d@%d is not there", r.topic, r.partition, r.offset)
		return nil
	}
}
