package processors_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// ledger takes what stages tell of their commits.
type ledger struct {
	mu      sync.Mutex // guards all
	commits []processors.Commit
}

func (l *ledger) add(c processors.Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits = append(l.commits, c)
}

// of returns the commits of one kind of stage: those that went through, and those that failed.
func (l *ledger) of(stage string) (fine, failed []processors.Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.commits {
		switch {
		case c.Stage != stage:
		case c.Err != nil:
			failed = append(failed, c)
		default:
			fine = append(fine, c)
		}
	}
	return fine, failed
}

func TestSnapshotSaysWhatWasDone(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 2)
	p.produce("dns", 2, dns("10.0.0.1", "A"), dns("10.0.0.1", "A"), dns("10.0.0.2", "AAAA"), `{"ts":`, `{"ts":"x","id.orig_h":"10.0.0.3","qtype_name":"A"}`, `[]`)
	var told ledger
	r := p.run(`CREATE TABLE dns_counts AS SELECT id.orig_h, count(*) AS n FROM dns WHERE qtype_name = 'A' GROUP BY id.orig_h;
		CREATE TABLE later AS SELECT count(*) AS n FROM conn;`, func(c *processors.Config) { c.Committed = told.add })
	until(t, "all records in the table", func() bool {
		s := r.processors.Snapshot()
		read := int64(0)
		for _, stage := range []string{fault.StageCombine, fault.StageGroup} { // rows are there before the commit is told of
			if fine, _ := told.of(stage); len(fine) == 0 {
				return false
			}
		}
		for _, stage := range s.Stages {
			for _, progress := range stage.Sources {
				read += progress.Counts.Read
			}
			if stage.State != processors.Running || stage.Table != "" && stage.Rows.Groups < 2 {
				return false
			}
		}
		return read == 6
	})
	s := r.processors.Snapshot()
	if s.Defined != 2 || s.Started != 1 || s.Ready() {
		t.Errorf("%d of %d started, ready %v: want 1 of 2, not ready: conn is not there", s.Started, s.Defined, s.Ready())
	}
	if len(s.Stages) != 2 {
		t.Fatalf("%d stages", len(s.Stages))
	}
	for _, stage := range s.Stages {
		switch stage.Stage {
		case fault.StageCombine:
			if stage.Pass != "dns" || stage.Feed != "dns" || stage.Group != "test-combine-dns" || stage.Rebalances < 1 || len(stage.Claims) != 2 {
				t.Errorf("stage 1 is %+v", stage)
			}
			for _, c := range stage.Claims {
				if c.Topic != "dns" || c.Offset != 3 || c.End != 3 {
					t.Errorf("claim is %+v, want it at 3 of 3", c)
				}
			}
			if diff := cmp.Diff(map[string]map[string]int64{"dns": {"cut_short": 1, "no_object": 1}}, stage.Letters); diff != "" {
				t.Errorf("dead letters (-want +got):\n%s", diff)
			}
			want := map[codecs.Source]codecs.Counts{{Topic: "dns", Partition: 0}: {Read: 3, BadFields: 1}, {Topic: "dns", Partition: 1}: {Read: 3, DeadLettered: 2}}
			for source, progress := range stage.Sources {
				if diff := cmp.Diff(want[source], progress.Counts); diff != "" {
					t.Errorf("%v (-want +got):\n%s", source, diff)
				}
			}
		case fault.StageGroup:
			if stage.Table != "dns_counts" || stage.Rows.Groups != 2 || stage.Rows.Bytes <= 0 || stage.Rows.WallTime == 0 || stage.Rows.NewestTime == codecs.NoTime {
				t.Errorf("stage 2 is %+v", stage)
			}
		}
	}
	want := []processors.DefinitionStatus{{Name: "dns_counts", Kind: tables.KindTable, Counts: map[string]codecs.Counts{
		"dns": {Read: 6, Counted: 3, Filtered: 1, DeadLettered: 2, BadFields: 1},
	}}}
	if diff := cmp.Diff(want, s.Definitions, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
	for _, stage := range []string{fault.StageCombine, fault.StageGroup} {
		fine, failed := told.of(stage)
		if len(fine) == 0 || len(failed) > 0 {
			t.Errorf("%s: %d commits, %d failed", stage, len(fine), len(failed))
		}
		for _, c := range fine {
			if c.Took <= 0 || c.Flush < 0 || c.Flush > c.Took || c.Group == "" {
				t.Errorf("commit is %+v", c)
			}
		}
	}
}

func TestSnapshotCountsFailures(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.topic("dns", 1)
	p.produce("dns", 1, dns("10.0.0.1", "A"))
	var told ledger
	var once sync.Once
	p.prepare = func(ps *processors.Processors) {
		ps.FailCallbacks(fault.StageGroup, func() (err error) {
			once.Do(func() { err = errors.New("made up") })
			return err
		})
	}
	r := p.run(`CREATE TABLE dns_counts AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY id.orig_h`, func(c *processors.Config) { c.Committed = told.add })
	until(t, "the record in the table after a failure", func() bool {
		for _, stage := range r.processors.Snapshot().Stages {
			if stage.Table != "" {
				return stage.Failures["fatal"] == 1 && stage.Rebalances == 2 && stage.Rows.Groups == 1 && stage.State == processors.Running
			}
		}
		return false
	})
	if _, failed := told.of(fault.StageGroup); len(failed) != 1 {
		t.Errorf("%d commits failed, want 1", len(failed))
	}
}
