package processors

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Commit is one commit of a stage, for who measures.
type Commit struct {
	Stage    string        // "combine" or "group"
	Group    string        // its consumer group
	Records  int64         // messages taken in
	Interval time.Duration // since the commit before began; 0 for a session's first
	Flush    time.Duration // to make work of what was taken in; the transaction takes the rest
	Took     time.Duration // as a whole
	Err      error         // why it failed; its transaction is rolled back then
}

// State is what a stage is doing.
type State uint8

// States in the order in which a stage goes through them.
const (
	Waiting   State = iota // for its topic
	Joining                // its consumer group
	Restoring              // the rows of its share
	Running
	Failed // and about to be built anew
)

// States returns all states.
func States() []State { return []State{Waiting, Joining, Restoring, Running, Failed} }

// String returns the state in lower case.
func (s State) String() string {
	return [...]string{"waiting", "joining", "restoring", "running", "failed"}[s]
}

// Snapshot is how the stages of this process stand, and what they have done since it began.
type Snapshot struct {
	Stages      []StageStatus
	Definitions []DefinitionStatus
	Started     int // tables and streams whose stages were started
	Defined     int // all of them; the others wait for their topics
}

// Ready reports whether everything that is to run does.
func (s *Snapshot) Ready() bool {
	for i := range s.Stages {
		if s.Stages[i].State != Running {
			return false
		}
	}
	return s.Started == s.Defined
}

// StageStatus is how one stage stands. Stage 1 has a pass and a feed, stage 2 a table and its rows.
type StageStatus struct {
	Stage string // "combine" or "group"
	Group string // its consumer group
	Pass  string
	Feed  string
	Table string // of one that is being built beside another of its name: what its topics are named after

	State      State
	Rebalances int64            // sessions that have begun
	Failures   map[string]int64 // by class: "retry", "rejoin", "fenced", "fatal"
	Claims     []Claim
	Rows       Rows

	Sources  map[codecs.Source]codecs.Progress // what was read since the process began; counts are the same for all tables of the pass
	Letters  map[string]map[string]int64       // dead letters by topic and reason
	Uncopied int64                             // of them, which the dead-letter topic does not have: there were too many
}

// Claim is one partition that a stage reads.
type Claim struct {
	Topic     string
	Partition int32
	Offset    int64 // the next one, as last committed
	End       int64 // of the partition as last seen
}

// Rows is stage 2's share of a table.
type Rows struct {
	Groups     int
	Bytes      int   // estimate of the memory they hold
	Restored   int64 // changelog records read while recovering
	Remaining  int64 // offsets of the changelog that are still to be read
	NewestTime int64 // of a record, Unix microseconds; codecs.NoTime when there is none
	Late       int64 // records that came too late for all their windows, since the table began
	Full       int   // partitions in which MAX GROUPS was reached
	Due        int   // partitions in which rows are left whose time has come
	Clock      int64 // how far the table's clock stands in the partition that is least far, Unix microseconds; tables.NoClock: it has none, or it is not known
	WallTime   int64 // when stage 1 was last heard of, the source partition that is silent for longest; Unix milliseconds, 0 for never
}

// DefinitionStatus is what became of the records that this process has read for a table or stream.
type DefinitionStatus struct {
	Name   string
	Kind   tables.Kind
	Counts map[string]codecs.Counts // by topic
}

// Snapshot returns how things stand. It takes some locks for a moment; it is meant to be called every few seconds.
func (p *Processors) Snapshot() Snapshot {
	s := Snapshot{}
	waiting := map[string]bool{}
	for _, d := range p.definitions() {
		waiting[d.Name] = true
	}
	var answering []named
	if entries := p.entries.Load(); entries != nil {
		for name, e := range *entries {
			if delete(waiting, name); !e.Dropped {
				s.Started++
				answering = append(answering, named{e.Own(), name, kindOr(tables.Kind(e.Kind))})
			}
		}
	}
	s.Defined = s.Started + len(waiting)
	s.Definitions = p.book.definitions(answering)
	for _, stands := range p.board.list() {
		status := stands.status()
		if status.Pass != "" {
			var letters map[letterKind]int64
			status.Sources, letters, status.Uncopied = p.book.pass(status.Pass)
			status.Letters = map[string]map[string]int64{}
			for kind, n := range letters {
				if status.Letters[kind.topic] == nil {
					status.Letters[kind.topic] = map[string]int64{}
				}
				status.Letters[kind.topic][kind.code] = n
			}
		}
		s.Stages = append(s.Stages, status)
	}
	return s
}

// board has a standing for each stage that runs in this process.
type board struct {
	mu  sync.Mutex // guards all
	all []*standing
}

func (b *board) add(s StageStatus) *standing {
	stands := &standing{StageStatus: s}
	stands.Failures = map[string]int64{}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, stands)
	return stands
}

func (b *board) remove(stands *standing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = slices.DeleteFunc(b.all, func(s *standing) bool { return s == stands })
}

func (b *board) list() []*standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*standing(nil), b.all...)
}

// standing is how the stage of a group and its successors stand.
type standing struct {
	StageStatus // what names the stage does not change

	mu       sync.Mutex // guards all below, and the rest of StageStatus
	session  *session   // nil before the first
	rows     *grouptable.Store
	restored int64 // by stores before that one
}

// begin says that a stage is about to join its group.
func (s *standing) begin(stage *stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows != nil {
		s.restored += s.rows.Recovered()
	}
	s.State, s.rows, s.session = Joining, stage.rows, nil
}

// joined says that a session has begun.
func (s *standing) joined(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.State, s.session = Restoring, session
	s.Rebalances++
}

func (s *standing) enter(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.State = state
}

// failed says that the stage has ended and is to be built anew.
func (s *standing) failed(why kafka.Class) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.State, s.session = Failed, nil
	s.Failures[why.String()]++
}

// status returns a copy with what is asked of others.
func (s *standing) status() StageStatus {
	s.mu.Lock()
	out, session, rows := s.StageStatus, s.session, s.rows
	out.Failures = maps.Clone(s.Failures)
	out.Rows.Restored = s.restored
	s.mu.Unlock()

	if session != nil && out.State != Failed {
		for _, p := range session.pumpList() {
			done := p.done.Load()
			if done < 0 {
				continue // not known yet
			}
			out.Claims = append(out.Claims, Claim{Topic: p.topic, Partition: p.partition, Offset: done, End: done + max(p.source.lag(done), 0)})
		}
	}
	out.Rows.NewestTime, out.Rows.Clock = codecs.NoTime, tables.NoClock
	if rows == nil {
		return out
	}
	out.Rows.Restored += rows.Recovered()
	out.Rows.Remaining = rows.Remaining()
	out.Rows.Clock = tables.EndOfTime
	floor := map[codecs.Source]codecs.Progress{} // what all partitions here have reached
	for _, p := range rows.Held() {
		out.Rows.Groups += p.Len()
		out.Rows.Bytes += p.Bytes()
		clock := p.Clock()
		out.Rows.Clock = min(out.Rows.Clock, clock.Time)
		if clock.Left {
			out.Rows.Due++
		}
		if p.HasOther() {
			out.Rows.Full++
		}
		for source, progress := range p.Progress() {
			out.Rows.Late += progress.Counts.Late
			have, ok := floor[source]
			if !ok {
				have = progress
			}
			have.NewestTime, have.WallTime = min(have.NewestTime, progress.NewestTime), min(have.WallTime, progress.WallTime)
			floor[source] = have
		}
	}
	for _, progress := range floor {
		out.Rows.NewestTime = max(out.Rows.NewestTime, progress.NewestTime)
		if out.Rows.WallTime == 0 || progress.WallTime < out.Rows.WallTime {
			out.Rows.WallTime = progress.WallTime
		}
	}
	return out
}
