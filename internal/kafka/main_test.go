package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/brotally/brotally/internal/broker"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// go-metrics keeps one goroutine for all meters, Sarama makes the first of them.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// cluster is what a test runs against: the embedded broker, or a real one.
type cluster struct {
	t      *testing.T
	kind   func(context.Context, Config, *sarama.Config, string) (Tx, error) // of tx
	cfg    Config
	fake   *broker.Broker // nil for a real broker
	admin  *Admin
	prefix string
	n      int
}

// clusters runs fn against the embedded broker and, when BROKERS names one, against a real one.
func clusters(t *testing.T, fn func(t *testing.T, c *cluster)) {
	t.Run("kfake", func(t *testing.T) { fn(t, fakeCluster(t)) })
	if os.Getenv("BROKERS") != "" {
		t.Run("kafka", func(t *testing.T) {
			fn(t, newCluster(t, Config{Brokers: strings.Split(os.Getenv("BROKERS"), ",")}))
		})
	}
}

// kinds are the kinds of Tx.
var kinds = map[string]func(context.Context, Config, *sarama.Config, string) (Tx, error){"wire": newWire, "Sarama's": newProducer}

// transactors runs fn against what clusters does, with each kind of Tx.
func transactors(t *testing.T, fn func(t *testing.T, c *cluster)) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			clusters(t, func(t *testing.T, c *cluster) {
				c.kind = kind
				fn(t, c)
			})
		})
	}
}

// fakeTransactors runs fn against an embedded broker, with each kind of Tx.
func fakeTransactors(t *testing.T, fn func(t *testing.T, c *cluster)) {
	fakeTransactorsOn(t, broker.Config{}, fn)
}

func fakeTransactorsOn(t *testing.T, bc broker.Config, fn func(t *testing.T, c *cluster)) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			c := fakeCluster(t, bc)
			c.kind = kind
			fn(t, c)
		})
	}
}

// kill breaks a Tx's connections, as the end of its process would.
func kill(tx Tx) {
	switch tx := tx.(type) {
	case *wire:
		tx.kill()
	case *producer:
		tx.kill()
	}
}

func fakeCluster(t *testing.T, bc ...broker.Config) *cluster {
	t.Helper()
	b := broker.StartTest(t, bc...)
	c := newCluster(t, Config{Brokers: b.Addrs()})
	c.fake = b
	return c
}

func newCluster(t *testing.T, cfg Config) *cluster {
	t.Helper()
	prefix := fmt.Sprintf("bt-%08x-", rand.Uint32())
	cfg.App = strings.TrimSuffix(prefix, "-")
	cfg.Instance = "test"
	admin, err := NewAdmin(context.Background(), cfg)
	if err != nil {
		t.Fatalf("connect to %v: %v", cfg.Brokers, err)
	}
	c := &cluster{t: t, kind: newWire, cfg: cfg, admin: admin, prefix: prefix}
	t.Cleanup(func() {
		if c.fake == nil {
			c.clean()
		}
		if err := admin.Close(); err != nil {
			t.Errorf("close the admin: %v", err)
		}
	})
	return c
}

// clean deletes what the test made on a real broker.
func (c *cluster) clean() {
	topics, err := c.admin.List()
	if err != nil {
		c.t.Errorf("clean: %v", err)
	}
	for name := range topics {
		if strings.HasPrefix(name, c.prefix) || strings.HasPrefix(name, c.cfg.App) {
			if err := c.admin.DeleteTopics(name); err != nil {
				c.t.Errorf("clean: %v", err)
			}
		}
	}
	groups, err := c.admin.Groups()
	if err != nil {
		c.t.Errorf("clean: %v", err)
	}
	for _, g := range groups {
		if strings.HasPrefix(g, c.prefix) {
			if err := c.admin.DeleteGroups(g); err != nil {
				c.t.Errorf("clean: %v", err)
			}
		}
	}
}

// name returns a name that nobody else uses.
func (c *cluster) name(what string) string {
	c.n++
	return fmt.Sprintf("%s%s-%d", c.prefix, what, c.n)
}

// topic makes a topic of n partitions; settings are key=value.
func (c *cluster) topic(n int32, settings ...string) string {
	c.t.Helper()
	t := Topic{Name: c.name("topic"), Partitions: n, Config: map[string]string{}}
	for _, s := range settings {
		k, v, _ := strings.Cut(s, "=")
		t.Config[k] = v
	}
	if err := c.admin.Ensure(t); err != nil {
		c.t.Fatal(err)
	}
	return t.Name
}

// tx opens a transactional producer; it is closed at the end of the test.
func (c *cluster) tx(id string, with ...func(*Config)) Tx {
	c.t.Helper()
	cfg := c.cfg
	for _, f := range with {
		f(&cfg)
	}
	tx, err := newTx(c.t.Context(), cfg, id, c.kind)
	if err != nil {
		c.t.Fatalf("transactional producer %s: %v", id, err)
	}
	c.t.Cleanup(func() {
		if err := tx.Close(); err != nil {
			c.t.Errorf("close %s: %v", id, err)
		}
	})
	return tx
}

// reader opens a reader at from; it is closed at the end of the test.
func (c *cluster) reader(topic string, from int64) *Reader {
	c.t.Helper()
	r, err := NewReader(c.t.Context(), ReaderConfig{Client: c.admin.Client(), Topic: topic, From: from, MaxWait: 100 * time.Millisecond})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { r.Close() }) //nolint:errcheck // always nil
	return r
}

// put writes key=value records with a plain producer; "key" alone is a tombstone.
func (c *cluster) put(topic string, records ...string) {
	c.t.Helper()
	conf, err := c.cfg.Sarama()
	if err != nil {
		c.t.Fatal(err)
	}
	conf.Producer.Return.Successes = true
	p, err := sarama.NewSyncProducer(c.cfg.Brokers, conf)
	if err != nil {
		c.t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // what counts was acknowledged
	for _, r := range records {
		m := &sarama.ProducerMessage{Topic: topic}
		k, v, ok := strings.Cut(r, "=")
		m.Key = sarama.StringEncoder(k)
		if ok {
			m.Value = sarama.StringEncoder(v)
		}
		if _, _, err := p.SendMessage(m); err != nil {
			c.t.Fatal(err)
		}
	}
}

// arrived waits until the first partitions have so many offsets, committed or not. A commit's markers come after Commit.
func (c *cluster) arrived(topic string, n ...int64) {
	c.t.Helper()
	eventually(c.t, func() error {
		offs, err := c.admin.Offsets(topic)
		for p, n := range n {
			if have := offs[topic][int32(p)]; err == nil && have.Newest < n {
				err = fmt.Errorf("%s/%d has %+v, want %d offsets", topic, p, have, n)
			}
		}
		return err
	})
}

// rows collects records as put writes them.
type rows []string

func (r *rows) take(_ int64, key, value []byte, _ int64) error {
	if value == nil {
		*r = append(*r, string(key))
	} else {
		*r = append(*r, string(key)+"="+string(value))
	}
	return nil
}

// eventually waits until fn is nil.
func eventually(t *testing.T, fn func() error) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for n := 0; ; n++ {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after 30 s: %v", err)
		}
		if e := sleep(t.Context(), backoff(n)); e != nil {
			t.Fatalf("%v: %v", e, err)
		}
	}
}
