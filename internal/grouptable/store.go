package grouptable

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/tables"
)

// Config says which group table a Store holds.
type Config struct {
	Client sarama.Client // finds leaders and offsets; not closed by the Store
	Table  *tables.Table
	Topic  string // the changelog
	// Values says that rows are written here, which takes the values that count(DISTINCT ..) has counted. Who only reads rows
	// does without: they say how many there are.
	Values bool
	// Budget bounds what is asked for at a time while partitions are recovered. Defaults to none.
	Budget *kafka.Budget
	Log    *slog.Logger // defaults to discarding
}

// Store holds the partitions of one group table that this process has, and recovers them.
type Store struct {
	config Config
	id     uint64 // random: versions of different Stores are not to be taken for each other

	version atomic.Uint64 // counts changes of rows

	recovered atomic.Int64 // changelog records read while recovering, over all partitions
	offset    atomic.Int64 // how far that has come, summed over them
	remaining atomic.Int64 // offsets that are still to be read, summed over those that are being recovered
	told      atomic.Int64 // when the log was told of it last, Unix nanoseconds

	mu         sync.Mutex // guards all below
	partitions map[int32]*Partition
	current    map[int32]bool // partitions that are as their changelog is, and need not be read
	changed    chan struct{}  // closed, and replaced, when progress moves
	followers  int            // who wants changes to be kept
	kept       *kept          // how much of them is; nil: none are
	forgets    *time.Timer    // drops them once nobody does; nil: it never came to that
}

// New returns a Store without partitions.
func New(c Config) *Store {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{config: c, id: rand.Uint64(), partitions: map[int32]*Partition{}, changed: make(chan struct{})}
}

// Partition returns a partition that has been recovered; ok is false when this process does not have it (yet).
func (s *Store) Partition(number int32) (p *Partition, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok = s.partitions[number]
	return p, ok
}

// Held returns the partitions that have been recovered.
func (s *Store) Held() []*Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.partitions))
}

// Len returns the number of partitions that have been recovered.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.partitions)
}

// Recovered returns how many records of the changelog have been read while recovering.
func (s *Store) Recovered() int64 { return s.recovered.Load() }

// Offset returns how far recovering has come, summed over all partitions: at the end it is the sum of their high watermarks.
func (s *Store) Offset() int64 { return s.offset.Load() }

// Remaining returns how many offsets of the changelog are still to be read, of the partitions that are being recovered.
func (s *Store) Remaining() int64 { return s.remaining.Load() }

// Version tells states of the rows apart, those of all Stores: as long as it is the same, no row has changed. Ask before rows are
// read: these may be newer then, never older. Progress alone does not change it.
func (s *Store) Version() [2]uint64 { return [2]uint64{s.id, s.version.Load()} }

// Changed returns a channel that is closed when any partition's progress next moves, or when a row changes next and changes are
// remembered.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *Store) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Drop forgets all partitions. It must be called when a transaction failed: the rows then hold what was never committed.
func (s *Store) Drop() { s.Keep(nil, false) }

// Keep forgets all partitions but those: who does not own a partition does not see its tombstones either. alone says that since
// they were recovered nobody but this process can have written any of them, and all that it wrote is committed: those are not
// read again when they are asked for next. Else all that came since the last recovery is, what this process wrote included; until it
// has been, being alone again is no help.
// It returns which are as their changelog is.
func (s *Store) Keep(numbers []int32, alone bool) (current map[int32]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, current := map[int32]*Partition{}, map[int32]bool{}
	for _, n := range numbers {
		if p, ok := s.partitions[n]; ok {
			kept[n], current[n] = p, p.stays(alone)
		}
	}
	s.partitions, s.current = kept, current
	return maps.Clone(current)
}

// Builder returns Goka's storage.Builder: it recovers the partition, from where this process has it or from the
// beginning, and returns when that is done. current gives the context of the session that wants the partition.
func (s *Store) Builder(current func() context.Context) storage.Builder {
	return func(topic string, number int32) (storage.Storage, error) {
		p, err := s.recover(current(), number)
		if err != nil {
			return nil, fmt.Errorf("recover %s/%d: %w", topic, number, err)
		}
		return p, nil
	}
}

func (s *Store) recover(ctx context.Context, number int32) (*Partition, error) {
	s.mu.Lock()
	p, ok := s.partitions[number]
	current := s.current[number]
	s.mu.Unlock()
	if current {
		return p, nil
	}
	if !ok {
		p = newPartition(s.config, s.notify, &s.version)
	}
	began := time.Now()
	from := p.next
	if !ok {
		from = sarama.OffsetOldest
	}
	r := recovery{store: s, partition: p, began: began, at: p.next, told: p.next}
	defer func() { r.remain(0) }()
	reader, err := kafka.NewReader(ctx, kafka.ReaderConfig{
		Client: s.config.Client, Topic: s.config.Topic, Partition: number, From: from, Budget: s.config.Budget, Around: r.around,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }() // it only drops its connection

	if err := p.locked(p.recovering); err != nil {
		return nil, err
	}
	reading, err := reader.Recover(ctx, func(offset int64, key, value []byte, _ int64) error {
		fault.Point(fault.StageGroup, fault.Recovering)
		err := p.recover(key, value)
		if err == nil {
			r.records, r.at = r.records+1, offset+1
		}
		return err
	})
	p.mu.Lock()
	if err == nil {
		err = p.recovered()
	}
	r.at = max(r.at, reading.Next) // behind the last record may be markers
	r.note(r.at)
	if p.recent != nil {
		p.recent.restart(p.next) // what recovering took in is not among them
	}
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	s.partitions[number] = p
	s.version.Add(1) // its rows are there from now on
	s.mu.Unlock()
	s.notify()
	s.config.Log.Info("recovered", "table", s.config.Table.Name, "partition", number, "records", reading.Records, "rows", p.Len(),
		"took", time.Since(began).Round(time.Millisecond), "waited_for_transactions", reading.Waited.Round(time.Millisecond))
	return p, nil
}

// TopicManager wraps a Goka topic manager so that Goka finds nothing left to recover behind what the Store has read.
func (s *Store) TopicManager(build goka.TopicManagerBuilder) goka.TopicManagerBuilder {
	return func(brokers []string) (goka.TopicManager, error) {
		inner, err := build(brokers)
		return topicManager{inner, s}, err
	}
}

type topicManager struct {
	goka.TopicManager
	store *Store
}

func (t topicManager) GetOffset(topic string, number int32, when int64) (int64, error) {
	if topic == t.store.config.Topic && when == sarama.OffsetNewest {
		if p, ok := t.store.Partition(number); ok {
			last, err := p.GetOffset(0)
			return last + 1, err
		}
	}
	return t.TopicManager.GetOffset(topic, number, when)
}

// Progress returns how far all the given partitions of the table reflect each source partition: offsets and times are
// the least of any partition, a floor; counts are the same in all of them and taken from the one that is ahead, but for late records,
// which each partition counts for itself.
// A source that some partition has not heard of yet has Upto 0.
func (s *Store) Progress(partitions int32) map[codecs.Source]codecs.Progress {
	merged := map[codecs.Source]codecs.Progress{}
	heard := map[codecs.Source]int32{}
	for n := range partitions {
		p, ok := s.Partition(n)
		if !ok {
			continue
		}
		for source, progress := range p.Progress() {
			heard[source]++
			have, ok := merged[source]
			if !ok {
				merged[source] = progress
				continue
			}
			late := have.Counts.Late + progress.Counts.Late
			if progress.Counts.Read > have.Counts.Read {
				have.Counts = progress.Counts
			}
			have.Counts.Late = late
			have.Upto = min(have.Upto, progress.Upto)
			have.NewestTime = min(have.NewestTime, progress.NewestTime)
			have.WallTime = min(have.WallTime, progress.WallTime)
			merged[source] = have
		}
	}
	for source, n := range heard {
		if n < partitions {
			have := merged[source]
			have.Upto, have.NewestTime = 0, codecs.NoTime
			merged[source] = have
		}
	}
	return merged
}
