package processors_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// withStreams adds the streams of a text.
func withStreams(t *testing.T, text string, more ...func(*processors.Config)) func(*processors.Config) {
	t.Helper()
	defs, err := tables.CompileDefinitions("test.sql", text, feeds.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *processors.Config) {
		c.Streams = defs.Streams
		for _, configure := range more {
			configure(c)
		}
	}
}

const copies = "CREATE STREAM copies AS SELECT id.orig_h, qtype_name FROM dns WHERE qtype_name <> 'PTR'"

// TestAStreamSaysWhatBecameOfItsRecords: a process knows what it has written, and its log says so.
func TestAStreamSaysWhatBecameOfItsRecords(t *testing.T) {
	p := newPipeline(t)
	p.topic("dns", 2)
	r := p.run(notebook, withStreams(t, copies))
	p.produce("dns", 2, dns("10.0.0.1", "A"), dns("10.0.0.2", "PTR"), dns("10.0.0.3", ""), "no record", dns("10.0.0.4", "MX"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.processors.AwaitStream(ctx, "copies", map[codecs.Source]int64{{Topic: "dns"}: 3, {Topic: "dns", Partition: 1}: 2}); err != nil {
		t.Fatal(err)
	}
	want := codecs.Counts{Read: 5, Counted: 2, Filtered: 2, DeadLettered: 1}
	if diff := cmp.Diff(want, r.processors.StreamCounts("copies")); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	// What is waited for is there.
	got := map[string]string{}
	for _, rec := range p.read("copies", nil) {
		got[string(rec.key)] = string(rec.value)
	}
	if diff := cmp.Diff(map[string]string{
		"dns/0/0": `{"id.orig_h":"10.0.0.1","qtype_name":"A"}`,
		"dns/0/2": `{"id.orig_h":"10.0.0.4","qtype_name":"MX"}`,
	}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if !r.log.has("stream=copies", "topic=copies", "read=") {
		t.Error("the log does not say it")
	}
	p.exact(notebook, nil)

	// Who waits for what never comes is let go.
	cancelled, stop := context.WithCancel(context.Background())
	stop()
	if err := r.processors.AwaitStream(cancelled, "copies", map[codecs.Source]int64{{Topic: "dns"}: 100}); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a record that is not there: %v", err)
	}
}

func TestStreamsAreRefused(t *testing.T) {
	p := newPipeline(t)
	p.topic("dns", 1)
	p.topic("taken", 1)
	p.produce("dns", 1, dns("10.0.0.1", "A"))
	refused := func(streams, why, out string) {
		t.Helper()
		var refusal *processors.Refusal
		err := p.run("", withStreams(t, streams)).wait()
		if !errors.As(err, &refusal) || !strings.Contains(err.Error(), why) || !strings.Contains(refusal.WayOut, out) {
			t.Errorf("%s:\n%v; want it refused because it %s, with %s", streams, err, why, out)
		}
	}
	refused("CREATE STREAM taken AS SELECT uid FROM dns", "stream taken would write to topic taken, which exists and is not ours", "WITH (topic")
	refused("CREATE STREAM s WITH (topic = 'test-dead-letter') AS SELECT uid FROM dns", "which has the dead letters", "WITH (topic")
	refused("CREATE STREAM s WITH (topic = 'x') AS SELECT uid FROM dns; CREATE STREAM t WITH (topic = 'x') AS SELECT uid FROM dns",
		"stream t would write to topic x, which has the records of stream s", "WITH (topic")

	r := p.run("", withStreams(t, copies))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.processors.AwaitStream(ctx, "copies", map[codecs.Source]int64{{Topic: "dns"}: 1}); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := p.admin.DeleteTopics("copies"); err != nil {
		t.Fatal(err)
	}
	refused(copies, "stream copies has lost its topic copies", "brotally reset copies")
}

// exactStream waits until a stream has as many records as its feed's topic makes, and checks that it has just these.
func (p *pipeline) exactStream(text string) {
	p.t.Helper()
	defs, err := tables.CompileDefinitions("test.sql", text, feeds.Lookup)
	if err != nil {
		p.t.Fatal(err)
	}
	s := defs.Streams[0]
	layout, err := tables.SharedLayout(&s.Definition)
	if err != nil {
		p.t.Fatal(err)
	}
	projector, err := s.NewProjector(layout)
	if err != nil {
		p.t.Fatal(err)
	}
	var want []string
	decoder, rec := codecs.NewJSON(layout), feeds.Record{}
	for _, r := range p.read(s.Feed.Name, nil) {
		if decoder.Decode(r.value, &rec) != nil {
			continue
		}
		projector.Project(&rec, func(_ feeds.Value, row []feeds.Value) bool {
			key := codecs.AppendPlace(nil, codecs.Source{Topic: r.topic, Partition: r.partition}, r.offset)
			value, _ := codecs.AppendStreamRow(nil, s, row)
			want = append(want, string(key)+" "+string(value))
			return true
		})
	}
	var got []string
	until(p.t, "stream "+s.Name+" has its records", func() bool {
		got = got[:0]
		for _, r := range p.read(s.Name, nil) {
			if in := kafka.Partition(r.key, p.partitions(s.Name)); in != r.partition {
				p.t.Fatalf("%s lies in partition %d, Java looks in %d", r.key, r.partition, in)
			}
			got = append(got, string(r.key)+" "+string(r.value))
		}
		return len(got) >= len(want)
	})
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Fatalf("stream %s (-want +got):\n%.3000s", s.Name, diff)
	}
	if len(want) == 0 {
		p.t.Fatal("it has nothing")
	}
}

// TestInstancesShareAStream: they come, go and take over; every record is written once.
func TestInstancesShareAStream(t *testing.T) {
	t.Parallel()
	const combine = "test-combine-dns"
	p := newPipeline(t)
	p.topic("dns", 4)
	p.produce("dns", 4, office(0, 400)...)
	one := p.run("", withStreams(t, copies))
	p.shared(combine, 1, 4)
	p.produce("dns", 4, office(1, 400)...)
	two := p.run("", withStreams(t, copies, instance("two")))
	p.shared(combine, 2, 4)
	p.produce("dns", 4, office(2, 400)...)
	one.stop()
	p.shared(combine, 1, 4)
	p.produce("dns", 4, office(3, 400)...)
	p.exactStream(copies)
	two.stop()
}

// TestTwoOfOneNameWithAStream: also processes that have no table see that they are two, and one of them ends.
func TestTwoOfOneNameWithAStream(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 4)
	p.produce("dns", 4, office(0, 400)...)
	one := p.run("", withStreams(t, copies))
	p.exactStream(copies)
	twin := p.run("", withStreams(t, copies))
	var loser, winner *running
	until(t, "one of the two ends", func() bool {
		p.produce("dns", 4, office(1, 4)...)
		select {
		case <-one.done:
			loser, winner = one, twin
		case <-twin.done:
			loser, winner = twin, one
		default:
		}
		return loser != nil
	})
	var inUse *processors.InstanceInUse
	if err := loser.wait(); !errors.As(err, &inUse) {
		t.Fatalf("it ended with %v, want *InstanceInUse", err)
	}
	p.produce("dns", 4, office(2, 400)...)
	p.exactStream(copies)
	winner.stop()
}

// TestAStreamReadsOneTopicLess: nobody reads it for the stream any more.
func TestAStreamReadsOneTopicLess(t *testing.T) {
	t.Parallel()
	of := func(topics string) string {
		return "CREATE STREAM copies WITH (feed_topic = '" + topics + "') AS SELECT id.orig_h FROM dns"
	}
	p := newPipeline(t)
	p.topic("dns", 1)
	p.topic("dns2", 1)
	r := p.run(notebook, withStreams(t, of("dns,dns2")))
	until(t, "it is entered", func() bool { return len(p.entries()) == 2 })
	r.stop()
	r = p.run(notebook, withStreams(t, of("dns")))
	r.says("alter", "copies")
	until(t, "the pass over the other topic is gone", func() bool { e := p.entries()["copies"]; return len(e.Sources) == 1 && len(e.Retired) == 0 })
	p.produce("dns2", 1, dns("10.0.0.1", "A"))
	p.produce("dns", 1, dns("10.0.0.2", "A"))
	p.exact(notebook, nil)
	var values []string
	until(t, "a record is there", func() bool {
		values = nil
		for _, rec := range p.read("copies", nil) {
			values = append(values, string(rec.value))
		}
		return len(values) > 0
	})
	if diff := cmp.Diff([]string{`{"id.orig_h":"10.0.0.2"}`}, values); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestAStreamIsAlteredToReadAColumnAsAnotherType than a table of its pass does: that is refused, and the others go on.
func TestAStreamIsAlteredToReadAColumnAsAnotherType(t *testing.T) {
	t.Parallel()
	with := func(kind feeds.Kind, text string) *tables.Definitions {
		builtIn, _ := feeds.Lookup("dns")
		extended := &feeds.Feed{Name: "dns", Columns: append(slices.Clone(builtIn.Columns), feeds.Column{Name: "site", Type: feeds.T(kind)})}
		defs, err := tables.CompileDefinitions("test.sql", text, func(string) (*feeds.Feed, bool) { return extended, true })
		if err != nil {
			t.Fatal(err)
		}
		return defs
	}
	sites := with(feeds.Bigint, "CREATE TABLE sites AS SELECT site, count(*) AS n FROM dns GROUP BY site").Tables
	before := func(c *processors.Config) { c.Tables, c.Streams = sites, with(feeds.Bigint, copies).Streams }
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, office(0, 10)...)
	r := p.run("", before)
	r.counts(10)
	r.stop()
	var refused *processors.Refusal
	err := p.run("", func(c *processors.Config) {
		c.Tables, c.Streams = sites, with(feeds.Double, "CREATE STREAM copies AS SELECT site FROM dns").Streams
	}).wait()
	if !errors.As(err, &refused) || refused.Table != "copies" || !strings.Contains(err.Error(), "cannot be read together") {
		t.Errorf("it ends with %v, want a *Refusal", err)
	}
	r = p.run("", before)
	p.produce("dns", 1, office(1, 10)...)
	r.counts(10)
}
