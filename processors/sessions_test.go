package processors_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// TestSessionsThatAnotherInstanceChanged: an instance loses its place in the group without noticing, another one makes a session
// longer, and the first one, which still has the partition's rows, comes back. It goes on from what the other one wrote.
func TestSessionsThatAnotherInstanceChanged(t *testing.T) {
	t.Parallel()
	const definition = `CREATE TABLE visits AS SELECT window_start, window_end, count(*) AS n FROM dns WINDOW SESSION (GAP 5 SECONDS)`
	p := newPipeline(t)
	p.topic("dns", 1)
	// With its clock stopped, the stage before has nothing to report while it is idle. A commit while it is no member would have the
	// processor built anew.
	stopped := time.Now()
	r := p.run(definition, func(c *processors.Config) { c.Now = func() time.Time { return stopped } })
	p.produce("dns", 1, `{"ts":10}`, `{"ts":12}`)
	r.counts(2)
	p.exact(definition, nil)

	// The other one's work, as it would have come with further records of the topic.
	table := p.compile(definition)[0]
	changelog := p.kafka.ChangelogTopic("visits")
	row := func(from, to int64, n int) (key, value []byte) {
		layout, err := tables.LayoutOf(table)
		p.must(err)
		c, err := table.NewCombiner(layout)
		p.must(err)
		for range n {
			c.Add(&feeds.Record{Values: []feeds.Value{feeds.TimestampValue(from * 1e6)}})
		}
		key, err = table.EncodeKey([]feeds.Value{feeds.TimestampValue(from * 1e6), feeds.TimestampValue(to * 1e6)})
		p.must(err)
		for _, state := range c.Partials() {
			value = codecs.AppendRow(nil, table, state)
		}
		return key, value
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tx, err := kafka.NewTx(ctx, p.kafka, "the-other-one")
	p.must(err)
	old, _ := row(10, 12, 2)
	key, value := row(10, 20, 4)
	tx.Send(changelog, 0, old, nil)
	tx.Send(changelog, 0, key, value)
	p.must(tx.Commit(ctx, nil, nil))
	p.must(tx.Close())

	sessions := r.log.count("session begins", "group=test-visits")
	p.must(p.admin.RemoveMember("test-visits", "test-visits-one"))
	until(t, "it has joined again", func() bool { return r.log.count("session begins", "group=test-visits") > sessions })
	p.produce("dns", 1, `{"ts":14}`)
	r.counts(3)
	longer, value := row(10, 20, 5)
	until(t, "the record is in the table", func() bool { return p.latest(changelog)[string(longer)] == string(value) })
	r.stop()
	var rows []string
	for key := range p.latest(changelog) {
		if !codecs.IsInternal([]byte(key)) {
			rows = append(rows, key)
		}
	}
	if diff := cmp.Diff([]string{string(longer)}, rows); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if r.log.has(rebuilt) {
		t.Error("the processor was built anew, which is not what this is about")
	}
}
