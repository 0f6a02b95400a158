package processors_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/processors"
)

func TestTheNotebooksTable(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 4)
	var records []string
	for i := range 100 {
		records = append(records, dns("10.0.0.1", "A"), dns("10.0.0.2", ""))
		if i%10 == 0 {
			records = append(records, dns("10.0.0.1", "PTR"), "no record")
		}
	}
	p.produce("dns", 4, records...)
	p.run(notebook, nil)
	p.exact(notebook, nil)
	if have := p.progress(notebook, "dns", 0); have.Counts.BadFields != 0 || have.NewestTime != 1575413122764317 {
		t.Errorf("progress is %+v, want the newest time that the records have", have)
	}
	want := map[string]string{
		`{"id.orig_h":"10.0.0.1","qtype_name":"A"}`:   `{"id.orig_h":"10.0.0.1","qtype_name":"A","count":100}`,
		`{"id.orig_h":"10.0.0.1","qtype_name":"PTR"}`: `{"id.orig_h":"10.0.0.1","qtype_name":"PTR","count":10}`,
		`{"id.orig_h":"10.0.0.2","qtype_name":null}`:  `{"id.orig_h":"10.0.0.2","qtype_name":null,"count":100}`,
	}
	if diff := cmp.Diff(want, p.latest("dns_counts")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestStopsAndRunsAgain stops in mid-stream, several times: what is counted is counted once, whatever the interval.
func TestStopsAndRunsAgain(t *testing.T) {
	for _, c := range []struct{ commitRecords, each int }{{1, 60}, {7, 300}, {0, 3000}} {
		t.Run(fmt.Sprintf("%d records a commit", c.commitRecords), func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			p.topic("dns", 4)
			configure := func(pc *processors.Config) { pc.CommitRecords = c.commitRecords }
			for round := range 4 {
				p.produce("dns", 4, office(round, c.each)...)
				r := p.run(notebook, configure)
				r.counts(int64(c.each / 2))
				r.stop()
			}
			r := p.run(notebook, configure)
			p.exact(notebook, nil)
			if r.log.has("level=WARN") {
				t.Error("a clean stop left something to be said by the next start")
			}
		})
	}
}
