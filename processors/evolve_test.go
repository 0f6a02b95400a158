package processors_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/processors"
)

// becomes waits until tables show what they are defined as, nothing of what they were is left, and everything reads through
// one pass a topic.
func (p *pipeline) becomes(definitions string) {
	p.t.Helper()
	until(p.t, "the catalog is settled", func() bool {
		passes := map[string]string{} // by topic
		entries := p.entries()
		for _, table := range p.compile(definitions) {
			e, ok := entries[table.Name]
			if !ok || e.Hash != kafka.HashSQL(table.SQL) || e.Next != nil || len(e.Retired) > 0 {
				return false
			}
		}
		for _, e := range entries {
			for topic, source := range e.Sources {
				if e.Dropped || source.Merge != "" || passes[topic] != "" && passes[topic] != source.Pass {
					return false
				}
				passes[topic] = source.Pass
			}
		}
		return true
	})
	for _, table := range p.compile(definitions) {
		want, _, _ := p.fold(table, table.FeedTopics(), nil)
		until(p.t, table.Name+" is shown as it is defined", func() bool { return maps.Equal(want, p.latest(table.Topic())) })
	}
	p.exact(definitions, nil)
}

const (
	// v1 and v2 have other keys, so that the results of one are none of the other.
	v1 = `CREATE TABLE hosts AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY id.orig_h;`
	v2 = `CREATE TABLE hosts AS SELECT id.orig_h, qtype_name, count(*) AS n FROM dns WHERE qtype_name IS NOT NULL GROUP BY id.orig_h, qtype_name;`
)

// TestAChangedTableIsCountedAnewBesideTheOldOne: until the new one has caught up, the old one's results are what there is.
func TestAChangedTableIsCountedAnewBesideTheOldOne(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 4)
	p.produce("dns", 4, office(0, 200)...)
	r := p.run(notebook+v1, nil)
	p.exact(notebook+v1, nil)
	r.stop()

	// The other table goes on, and so does the pass.
	p.produce("dns", 4, office(1, 200)...)
	r = p.run(notebook+v2, nil)
	p.produce("dns", 4, office(2, 200)...)
	p.becomes(notebook + v2)
	r.says("takes the old one's place", "table=hosts")
	r.says("results are published", "table=hosts")
	p.produce("dns", 4, office(3, 100)...)
	p.exact(notebook+v2, nil)
	e := p.entries()["hosts"]
	if e.Own() != "hosts.2" || !slices.Equal(e.Before, []string{kafka.HashSQL(p.compile(v1)[0].SQL)}) {
		t.Errorf("it is %s, before it was %v", e.Own(), e.Before)
	}
	for _, name := range p.names() {
		if strings.HasPrefix(name, "test-hosts-") {
			t.Errorf("topic %s is left", name)
		}
	}
	r.stop()

	// Another start changes nothing.
	before := p.entries()
	r = p.run(notebook+v2, nil)
	p.produce("dns", 4, office(4, 100)...)
	p.exact(notebook+v2, nil)
	if diff := cmp.Diff(before, p.entries()); diff != "" {
		t.Errorf("catalog (-before +after):\n%s", diff)
	}
	r.stop()

	// Files that are older than what runs would lose it.
	var lossy *processors.Unapproved
	if err := p.run(notebook+v1, nil).wait(); !errors.As(err, &lossy) || !strings.Contains(err.Error(), "was replaced before") {
		t.Errorf("the old files: %v, want *Unapproved", err)
	}
	p.run(notebook+v1, func(c *processors.Config) { c.Approve = true })
	p.becomes(notebook + v1)
}

// TestAChangeOfWhatIsShownKeepsTheRows: rows enter and leave the result, columns come and go, nothing is read again.
func TestAChangeOfWhatIsShownKeepsTheRows(t *testing.T) {
	t.Parallel()
	shows := func(columns, having string) string {
		return `CREATE TABLE hosts AS SELECT id.orig_h, ` + columns + ` FROM dns GROUP BY id.orig_h ` + having + `;`
	}
	p := newPipeline(t)
	p.topic("dns", 3)
	p.produce("dns", 3, office(0, 300)...)
	before := shows("count(*) AS n", "")
	r := p.run(before, nil)
	p.exact(before, nil)
	total := len(p.latest("hosts"))
	for _, now := range []string{
		shows("count(*) AS n", "HAVING count(*) > 12"),
		shows("count(*) AS n", "HAVING count(*) < 14"),
		shows("count(*) * 2 AS twice, count(*) AS n", ""),
		shows("count(*) AS n", ""),
	} {
		r.stop()
		r = p.run(now, func(c *processors.Config) { c.Approve = true }) // the last one is the first one
		table := p.compile(now)[0]
		want, _, _ := p.fold(table, table.FeedTopics(), nil)
		until(t, "the result is as defined", func() bool { return maps.Equal(want, p.latest("hosts")) })
		p.produce("dns", 3, office(1, 30)...)
		want, _, ends := p.fold(table, table.FeedTopics(), nil)
		p.settled(table, ends)
		until(t, "the result stays as defined", func() bool { return maps.Equal(want, p.latest("hosts")) })
		if e := p.entries()["hosts"]; e.Generation != 0 || e.Hash != kafka.HashSQL(table.SQL) {
			t.Errorf("%s is generation %d, want the rows that it had", now, e.Generation)
		}
	}
	if n := len(p.latest("hosts")); n < total {
		t.Errorf("it shows %d rows, at first it had %d", n, total)
	}
	// Four rounds of 30 records beside the first 300, each counted once.
	until(t, "all is counted", func() bool { return p.progressRead(before, "dns", 3) == 420 })
}

// progressRead returns how many records a table has of a topic's partitions.
func (p *pipeline) progressRead(definition, topic string, partitions int32) (n int64) {
	p.t.Helper()
	for part := range partitions {
		n += p.progress(definition, topic, part).Counts.Read
	}
	return n
}

// TestAnotherResultTopic: the results move, the rows stay, the old topic goes.
func TestAnotherResultTopic(t *testing.T) {
	t.Parallel()
	moved := strings.Replace(v1, "hosts AS", "hosts WITH (topic = 'dns-hosts') AS", 1)
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(v1, nil)
	p.exact(v1, nil)
	r.stop()
	var lossy *processors.Unapproved
	if err := p.run(moved, nil).wait(); !errors.As(err, &lossy) || !strings.Contains(err.Error(), "topic hosts, for the results go to dns-hosts") {
		t.Fatalf("without approval: %v", err)
	}
	p.run(moved, func(c *processors.Config) { c.Approve = true })
	p.becomes(moved)
	if e := p.entries()["hosts"]; e.Generation != 0 {
		t.Errorf("it was counted anew: %+v", e)
	}
	if slices.Contains(p.names(), "hosts") {
		t.Error("the old topic is left")
	}
}

// TestDrop: what no file defines is dropped if that is approved, and nothing else is touched.
func TestDrop(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 100)...)
	r := p.run(notebook+v1, withStreams(t, copies))
	p.exact(notebook+v1, nil)
	r.stop()
	names, entries := p.names(), p.entries()
	var lossy *processors.Unapproved
	err := p.run(notebook, nil).wait()
	if !errors.As(err, &lossy) || !strings.Contains(err.Error(), "table hosts: drop") || !strings.Contains(err.Error(), "stream copies: drop") || !strings.Contains(err.Error(), "--auto-approve") {
		t.Fatalf("without approval: %v", err)
	}
	if diff := cmp.Diff(names, p.names()) + cmp.Diff(entries, p.entries()); diff != "" {
		t.Fatalf("it changed something:\n%s", diff)
	}
	p.run(notebook, func(c *processors.Config) { c.Approve = true })
	p.produce("dns", 2, office(1, 100)...)
	p.exact(notebook, nil)
	until(t, "the others are gone", func() bool { return len(p.entries()) == 1 })
	if got, want := p.names(), []string{"__consumer_offsets", "dns", "dns_counts", "test-catalog", "test-dead-letter", "test-dns_counts-partials", "test-dns_counts-table"}; !subset(got, want) {
		t.Errorf("topics %v, want %v", got, want)
	}
	if groups, err := p.admin.Groups(); err != nil || slices.Contains(groups, "test-hosts") {
		t.Errorf("groups %v, %v", groups, err)
	}
}

// subset reports whether every element of a is one of b.
func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// TestADefinitionIsChangedAgainWhileItIsBuilt, and changed back.
func TestADefinitionIsChangedAgainWhileItIsBuilt(t *testing.T) {
	t.Parallel()
	const v3 = `CREATE TABLE hosts AS SELECT qtype_name, count(*) AS n, min(ts) AS first FROM dns GROUP BY qtype_name;`
	p := newPipeline(t)
	p.topic("dns", 4)
	p.produce("dns", 4, office(0, 400)...)
	r := p.run(v1, nil)
	p.exact(v1, nil)
	r.stop()
	entered := func(text string) func() bool {
		return func() bool {
			e := p.entries()["hosts"]
			return e.Next != nil && e.Next.Hash == kafka.HashSQL(p.compile(text)[0].SQL)
		}
	}
	slow := func(c *processors.Config) { c.Approve, c.CommitRecords = true, 1 }
	r = p.run(v2, slow)
	until(t, "the second one is entered", entered(v2))
	r.stop()
	r = p.run(v3, slow)
	until(t, "the third one is entered", entered(v3))
	r.stop()
	r = p.run(v1, slow)
	until(t, "nothing is being built", func() bool { return p.entries()["hosts"].Next == nil })
	p.becomes(v1)
	r.stop()
	p.run(v3, nil)
	p.becomes(v3)
	if e := p.entries()["hosts"]; e.Generation != 3 {
		t.Errorf("it is generation %d, want one that none had before", e.Generation)
	}
	for _, name := range p.names() {
		if strings.HasPrefix(name, "test-hosts") && !strings.HasPrefix(name, "test-hosts.4-") {
			t.Errorf("topic %s is left", name)
		}
	}
}

// TestTablesAddedOneByOneEndAsOnePass, and count what they would have counted from the start on.
func TestTablesAddedOneByOneEndAsOnePass(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 3)
	p.produce("dns", 3, append(office(0, 100), "no record")...)
	all := notebook
	for n := range 11 {
		r := p.run(all, withStreams(t, copies))
		p.produce("dns", 3, append(office(n, 20), "no record")...)
		if n%4 == 3 { // else several wait at once
			p.becomes(all)
		}
		until(t, "it is entered", func() bool { return len(p.entries()) == n+2 })
		r.stop()
		all += fmt.Sprintf("CREATE TABLE t%d AS SELECT qtype_name, count(*) AS n%d FROM dns WHERE id.orig_h <> '10.0.0.%d' GROUP BY qtype_name;\n", n, n, n)
	}
	p.run(all, withStreams(t, copies))
	p.becomes(all)
	p.produce("dns", 3, office(3, 50)...)
	p.exact(all, nil)
	_, counts, _ := p.fold(p.compile(notebook)[0], []string{"dns"}, nil)
	bad := int64(0)
	for _, c := range counts {
		bad += c.DeadLettered
	}
	missing := map[string]map[string]int{} // how often who has missed what, by place
	p.must(letters.Each(context.Background(), p.admin, p.kafka, func(l *letters.Letter) error {
		if missing[l.Place()] == nil {
			missing[l.Place()] = map[string]int{}
		}
		for _, name := range l.Names() {
			missing[l.Place()][name]++
		}
		return nil
	}))
	if int64(len(missing)) != bad {
		t.Errorf("%d records are dead letters, want %d", len(missing), bad)
	}
	for place, names := range missing {
		for name, n := range names {
			if n != 1 {
				t.Errorf("%s has missed %s %d times", name, place, n)
			}
		}
		if len(names) != 13 {
			t.Errorf("%d have missed %s, want all", len(names), place)
		}
	}
	counted := map[string]int{}
	for _, r := range p.read("copies", nil) {
		counted[string(r.key)]++
	}
	for place, n := range counted {
		if n != 1 {
			t.Errorf("%s is %d times in the stream", place, n)
		}
	}
}

// TestAllInstancesRunWhatTheCatalogHas: one of them applies its files, the other one follows.
func TestAllInstancesRunWhatTheCatalogHas(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 4)
	p.produce("dns", 4, office(0, 200)...)
	old := p.run(v1, func(c *processors.Config) { c.Kafka.Instance = "old" })
	p.exact(v1, nil)
	young := p.run(v2+notebook, func(c *processors.Config) { c.Kafka.Instance = "young" })
	p.produce("dns", 4, office(1, 200)...)
	p.becomes(v2 + notebook)
	// Alone, the one that was given other files goes on with these tables.
	young.stop()
	p.produce("dns", 4, office(2, 200)...)
	p.exact(v2+notebook, nil)
	old.stop()
}

// TestAStreamGoesOnUnderAnotherDefinition: records from then on are as it is defined, each source record has one.
func TestAStreamGoesOnUnderAnotherDefinition(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	r := p.run(notebook, withStreams(t, copies))
	p.produce("dns", 1, dns("10.0.0.1", "A"), dns("10.0.0.2", "A"))
	p.exact(notebook, nil)
	until(t, "two records are there", func() bool { return len(p.read("copies", nil)) == 2 })
	r.stop()
	p.run(notebook, withStreams(t, "CREATE STREAM copies AS SELECT qtype_name AS q FROM dns"))
	p.produce("dns", 1, dns("10.0.0.3", "MX"))
	until(t, "three records are there", func() bool { return len(p.read("copies", nil)) == 3 })
	var values []string
	for _, rec := range p.read("copies", nil) {
		values = append(values, string(rec.value))
	}
	if diff := cmp.Diff([]string{`{"id.orig_h":"10.0.0.1","qtype_name":"A"}`, `{"id.orig_h":"10.0.0.2","qtype_name":"A"}`, `{"q":"MX"}`}, values); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestATableComesBackWhileItIsDropped: it is made anew when the old one is gone.
func TestATableComesBackWhileItIsDropped(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, office(0, 50)...)
	r := p.run(notebook+v1, nil)
	p.exact(notebook+v1, nil)
	r.stop()
	// It is entered as dropped, and nobody is there to clear it away.
	registry, err := kafka.OpenCatalog(p.admin, p.kafka)
	p.must(err)
	p.must(registry.Update(t.Context(), func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		e := entries["hosts"]
		e.Dropped = true
		return map[string]*kafka.Entry{"hosts": &e}, nil
	}))
	p.run(notebook+v1, nil)
	p.produce("dns", 2, office(1, 50)...)
	p.becomes(notebook + v1)
}
