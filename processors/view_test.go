package processors_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// rowCodec gives rows as Goka's views ask for them: as they are stored.
type rowCodec struct{}

func (rowCodec) Encode(v any) ([]byte, error)    { return v.([]byte), nil }
func (rowCodec) Decode(data []byte) (any, error) { return data, nil }

// TestAPlainGokaViewSeesTheRows that the processors wrote, with our storage and topic manager: it stays Goka's group table.
func TestAPlainGokaViewSeesTheRows(t *testing.T) {
	t.Parallel()
	for name, definition := range map[string]string{"of the notebook": notebook, "that have values beside them": distinct} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			aPlainGokaViewSeesTheRows(t, definition)
		})
	}
}

func aPlainGokaViewSeesTheRows(t *testing.T, definition string) {
	p := newPipeline(t)
	p.distinct = 8
	p.topic("dns", 3)
	p.produce("dns", 3, office(0, 300)...)
	r := p.run(definition, nil)
	p.exact(definition, nil)

	table := p.compile(definition)[0]
	changelog := p.kafka.ChangelogTopic(table.Name)
	config, err := p.kafka.Sarama()
	p.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	store := grouptable.New(grouptable.Config{Client: p.client, Table: table, Topic: changelog})
	managers := goka.NewTopicManagerConfig()
	managers.NoCreate = true
	// Goka's view closes neither.
	manager, err := goka.NewTopicManager(p.kafka.Brokers, config, managers)
	p.must(err)
	defer func() { _ = manager.Close() }()
	consumer, err := sarama.NewConsumer(p.kafka.Brokers, config)
	p.must(err)
	defer func() { _ = consumer.Close() }()
	view, err := goka.NewView(p.kafka.Brokers, goka.Table(changelog), rowCodec{},
		goka.WithViewStorageBuilder(store.Builder(func() context.Context { return ctx })),
		goka.WithViewTopicManagerBuilder(store.TopicManager(func([]string) (goka.TopicManager, error) { return unclosed{manager}, nil })),
		goka.WithViewConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return consumer, nil }),
		goka.WithViewHasher(kafka.NewHasher))
	p.must(err)
	done := make(chan error, 1)
	go func() { done <- view.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	until(t, "the view has recovered", func() bool { return store.Len() == 3 })

	p.produce("dns", 3, office(1, 300)...) // and what Goka itself reads
	p.exact(definition, nil)
	r.stop()
	want := map[string]string{}
	for key, value := range p.latest(changelog) {
		if _, _, _, ok := codecs.ParseValueKey([]byte(key)); ok {
			continue // a view shows rows
		}
		want[fmt.Sprintf("%q", key)] = fmt.Sprintf("%x", value)
	}
	sees := func() map[string]string {
		it, err := view.Iterator()
		p.must(err)
		defer it.Release()
		have := map[string]string{}
		for it.Next() {
			value, err := it.Value()
			p.must(err)
			have[fmt.Sprintf("%q", it.Key())] = fmt.Sprintf("%x", value)
		}
		return have
	}
	until(t, "the view has followed", func() bool { return cmp.Equal(want, sees()) })
	for number := range int32(3) {
		rows, _ := store.Partition(number)
		rows.Read(func(g *tables.Groups) {
			for key, state := range g.All() {
				if got := fmt.Sprintf("%x", codecs.AppendRow(nil, table, state)); got != want[fmt.Sprintf("%q", key)] {
					t.Errorf("row %q is %s, the changelog has %s", key, got, want[fmt.Sprintf("%q", key)])
				}
			}
		})
	}
}

// unclosed outlives who it is given to.
type unclosed struct{ goka.TopicManager }

func (unclosed) Close() error { return nil }
