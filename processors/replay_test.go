package processors_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/internal/testregistry"
	"github.com/brotally/brotally/processors"
)

const querySchema = `{"type":"record","name":"dns","fields":[{"name":"query","type":"string"}]}`

// avroQuery is a record of querySchema with a schema id.
func avroQuery(id int, query string) string {
	record := binary.AppendVarint(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), int64(len(query)))
	return string(append(record, query...))
}

// replay replays all dead letters.
func (p *pipeline) replay() (*processors.Replayed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := processors.Replay{Admin: p.admin, Kafka: p.kafka, Wanted: func(*letters.Letter) bool { return true }}
	return r.Run(ctx)
}

// TestEachLetterComesAgainOnce: replays that run at a time throw each other out, one dies at its commit, and tables have each record
// once all the same.
func TestEachLetterComesAgainOnce(t *testing.T) {
	t.Parallel()
	const definition = `CREATE TABLE names AS SELECT query, count(*) AS n FROM dns GROUP BY query`
	const many = 1200 // more than two transactions
	p := newPipeline(t)
	p.topic("dns", 2)
	registry := testregistry.Start(t)
	var values []string
	for i := range many {
		values = append(values, avroQuery(1, fmt.Sprint("q", i)))
	}
	p.produce("dns", 2, values...)
	r := p.run(definition, withRegistry(t, registry.URL()))
	r.counts(many)
	r.stop()
	registry.Add(t, "dns-value", querySchema)
	r = p.run(definition, withRegistry(t, registry.URL()))

	// One that dies in its second transaction has replayed the first.
	ends := 0
	second := func(kmsg.Request) bool { ends++; return ends == 2 }
	fault := p.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TxnID: p.kafka.ReplayID(), When: second, Err: kerr.InvalidProducerEpoch})
	if _, err := p.replay(); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("a replay that was thrown out says %v", err)
	}
	if fault.Hits() != 1 {
		t.Fatalf("the commit failed %d times", fault.Hits())
	}
	if left := p.lettersLeft(); left != many-500 {
		t.Errorf("%d letters are left of %d", left, many)
	}

	var replays sync.WaitGroup
	for range 4 {
		replays.Go(func() {
			if _, err := p.replay(); err != nil && !errors.Is(err, kafka.ErrFenced) {
				t.Error(err)
			}
		})
	}
	replays.Wait()
	if _, err := p.replay(); err != nil {
		t.Error(err)
	}
	if left := p.lettersLeft(); left != 0 {
		t.Errorf("%d letters are left", left)
	}
	if again := len(p.read(p.kafka.ReplayTopic("dns"), nil)); again != many {
		t.Errorf("%d letters came again, of %d", again, many)
	}
	until(t, "all are counted", func() bool { return len(p.latest("names")) == many })
	r.stop()
	for key, row := range p.latest("names") {
		if !strings.Contains(row, `"n":1}`) {
			t.Errorf("%s: %s", key, row)
		}
	}
}

func (p *pipeline) lettersLeft() int {
	p.t.Helper()
	last := func(most int64) (places []string) {
		p.must(letters.Last(context.Background(), p.admin, p.kafka, most, func(l *letters.Letter) error {
			places = append(places, l.Place())
			return nil
		}))
		return places
	}
	var all []string
	p.must(letters.Each(context.Background(), p.admin, p.kafka, func(l *letters.Letter) error {
		all = append(all, l.Place())
		return nil
	}))
	some := last(0)
	for most := int64(1); len(some) < len(all); most++ { // a record is an offset, and so is each end of a transaction
		more := last(most)
		if len(more) > len(some)+1 || !slices.Equal(more, all[len(all)-len(more):]) {
			p.t.Fatalf("of the last %d offsets, letters %v, of one less %v, of all %v", most, more, some, all)
		}
		some = more
	}
	return len(all)
}

// TestCutLettersComeAgainWhole: a letter has 64 KiB of its record. Of a longer one the original is read again, and when it is not there any
// more, or is another record, the letter stays and is refused by name.
func TestCutLettersComeAgainWhole(t *testing.T) {
	t.Parallel()
	const definition = `CREATE TABLE names AS SELECT query, count(*) AS n FROM dns GROUP BY query`
	p := newPipeline(t)
	p.topic("dns", 1)
	registry := testregistry.Start(t)
	long := func(last string) string { return strings.Repeat("a", 100_000) + last }
	p.produce("dns", 1, avroQuery(1, long("x")), avroQuery(1, long("y")), strings.Repeat("a", 100_000))
	r := p.run(definition, withRegistry(t, registry.URL()))
	r.counts(3)
	r.stop()
	registry.Add(t, "dns-value", querySchema)
	p.must(p.admin.DeleteRecords("dns", map[int32]int64{0: 1}))

	r = p.run(definition, withRegistry(t, registry.URL()))
	done, err := p.replay()
	p.must(err)
	var refused []string
	for _, err := range done.Refused {
		refused = append(refused, err.Error())
	}
	want := []string{"dns/0/0: the letter has 65536 of its 100009 bytes, and dns/0 has offsets 1 to 3 now"}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	until(t, "the other one is counted", func() bool { return len(p.latest("names")) == 1 })
	until(t, "two letters are left: the one that is gone, and the one that is a dead letter again", func() bool { return p.lettersLeft() == 2 })
	again := p.read(p.kafka.ReplayTopic("dns"), nil)
	if len(again) != 2 || string(again[0].value) != avroQuery(1, long("y")) || string(again[1].value) != strings.Repeat("a", 100_000) {
		t.Errorf("%d came again, or not as they were", len(again))
	}
	r.stop()
}
