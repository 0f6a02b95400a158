package processors_test

import (
	"errors"
	"testing"

	"github.com/brotally/brotally/processors"
)

// TestInstancesComeAndGo lets a second instance take its share, leave and come back while records flow. A session timeout
// beyond the test's patience shows that who leaves is not waited for.
func TestInstancesComeAndGo(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.kafka.Properties["session.timeout.ms"] = "300000"
	p.topic("dns", 4)
	const combine, group = "test-combine-dns", "test-dns_counts"
	p.produce("dns", 4, office(0, 400)...)
	one := p.run(notebook, nil)
	p.shared(combine, 1, 4)
	p.produce("dns", 4, office(1, 400)...)

	p.exact(notebook, nil)
	read := one.restored()
	two := p.run(notebook, instance("two"))
	p.shared(combine, 2, 4)
	p.shared(group, 2, 4)
	p.produce("dns", 4, office(2, 400)...)
	p.exact(notebook, nil)
	if again := one.restored() - read; again != 0 {
		t.Errorf("%d records of the changelog were read by the one that had written them", again)
	}
	if one.processors.Records() == 0 || two.processors.Records() == 0 {
		t.Errorf("one counted %d records, two %d: they do not share the work", one.processors.Records(), two.processors.Records())
	}

	p.produce("dns", 4, office(3, 400)...)
	two.stop()
	p.shared(combine, 1, 4)
	p.shared(group, 1, 4)
	p.produce("dns", 4, office(4, 400)...)
	p.exact(notebook, nil)

	two = p.run(notebook, instance("two"))
	p.produce("dns", 4, office(5, 400)...)
	p.shared(combine, 2, 4)
	p.shared(group, 2, 4)
	p.produce("dns", 4, office(6, 400)...)
	one.stop() // the one that had it all
	p.shared(combine, 1, 4)
	p.shared(group, 1, 4)
	p.produce("dns", 4, office(7, 400)...)
	p.exact(notebook, nil)
	two.stop()
}

// restored returns how many records of changelogs it has read to recover rows.
func (r *running) restored() (n int64) {
	for _, s := range r.processors.Snapshot().Stages {
		n += s.Rows.Restored
	}
	return n
}

// TestTwoOfOneName starts a second process under the name of one that runs. One of them goes on, and counts everything
// once; the other one says why it ends.
func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 4)
	p.produce("dns", 4, office(0, 400)...)
	one := p.run(notebook, nil)
	one.counts(400)
	twin := p.run(notebook, nil)
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
	if inUse.Instance != "one" {
		t.Errorf("%+v names no instance", inUse)
	}
	p.produce("dns", 4, office(2, 400)...)
	p.exact(notebook, nil)
	winner.stop()
}
