package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

// catalogFormat is the version of what an entry's JSON means. It grows when an older program would misread a newer entry,
// not when a field is added that it may pass over.
const catalogFormat = 2

// Entry is what the catalog knows of one table or stream: written before its first record, so that every instance, now and
// after any restart, reads the same definition from the same offsets in the same pass.
//
// A table whose definition changes so that its rows are of no more use is built anew beside the old one: the entry is of
// the one that answers, and Next of the one that is going to. Then Next takes the entry's place, and the old one is Retired.
type Entry struct {
	Format     int               `json:"format"`            // 0 in an entry to be written means the current one
	Table      string            `json:"table"`             // its name
	Kind       string            `json:"kind,omitempty"`    // empty for a table; else "stream"
	SQL        string            `json:"sql"`               // canonical text of the definition
	Hash       string            `json:"hash"`              // of SQL, see [HashSQL]; filled in when it is written
	Feed       string            `json:"feed"`              // name of the feed
	Columns    json.RawMessage   `json:"columns,omitempty"` // columns that were discovered, as their owner writes them
	Sources    map[string]Source `json:"sources"`           // by topic
	Result     string            `json:"result"`            // result topic
	Partitions int32             `json:"partitions"`        // of the partials, the group table and the result
	Created    time.Time         `json:"created"`

	Generation int       `json:"generation,omitempty"` // number of the definition whose rows these are, from 0
	Latest     int       `json:"latest,omitempty"`     // the highest number that any definition of this name has had
	Before     []string  `json:"before,omitempty"`     // hashes of definitions that it had: files with one of them are old
	Next       *Entry    `json:"next,omitempty"`       // what is being built to take its place
	Retired    []Retired `json:"retired,omitempty"`    // what is to be deleted
	Published  []int32   `json:"published,omitempty"`  // partitions whose results are of this definition; counts while something Retired was Serving
	Dropped    bool      `json:"dropped,omitempty"`    // all of it is to be deleted, the entry last
}

// Own is what the topics and groups of a table's rows are named after: its name, with a number from the second generation
// on. No name of a table has a dot.
func (e *Entry) Own() string {
	if e.Generation == 0 {
		return e.Table
	}
	return fmt.Sprintf("%s.%d", e.Table, e.Generation+1)
}

// Build tells what counts, or writes, from any other that has had its name: one that is counted anew is another one.
func (e *Entry) Build() string {
	return e.Own() + "@" + strconv.FormatInt(e.Created.UnixMilli(), 36)
}

// FeedTopics returns the topics of the entry's feed, sorted: what it reads, but for the dead letters of these.
func (e *Entry) FeedTopics() []string {
	var topics []string
	for topic, source := range e.Sources {
		if source.Letters == "" {
			topics = append(topics, topic)
		}
	}
	slices.Sort(topics)
	return topics
}

// Retired is what a definition has left behind.
type Retired struct {
	Own     string            `json:"own,omitempty"`     // what its partials, changelog and group are named after; empty: they are still in use
	Result  string            `json:"result,omitempty"`  // its result topic; empty: that is still in use
	Sources map[string]Source `json:"sources,omitempty"` // what it read, by topic
	Serving bool              `json:"serving,omitempty"` // the result topic has its rows until those of the new definition are Published
}

// Source is how a table reads one topic.
type Source struct {
	ID         string          `json:"id"`                // the topic's id when the table was made: another one is another topic
	Partitions int32           `json:"partitions"`        // how many it had then; those that came later start at their beginning
	Start      map[int32]int64 `json:"start"`             // first offset to count, by partition
	Pass       string          `json:"pass"`              // consumer group that reads it for the table
	From       map[int32]int64 `json:"from,omitempty"`    // first offset to take from that pass, by partition: others had read what came before; empty: Start
	Mixed      bool            `json:"mixed,omitempty"`   // it carried other feeds too when the table was made
	Merge      string          `json:"merge,omitempty"`   // pass that is going to read it instead; until then nobody does
	Letters    string          `json:"letters,omitempty"` // it has that topic's dead letters, replayed; empty: it is a topic of the feed
}

// Begin returns the first offset that the table takes from its pass, by partition.
func (s Source) Begin() map[int32]int64 {
	if s.From != nil {
		return s.From
	}
	return s.Start
}

// Reached returns how far a table has come in one partition, when its pass has committed those offsets: it may have been further
// than the others of its pass when that was made.
func (s Source) Reached(committed map[int32]int64, partition int32) int64 {
	return max(committed[partition], s.Begin()[partition])
}

// HashSQL returns the hash that tells whether a definition has changed.
func HashSQL(sql string) string {
	sum := sha256.Sum256([]byte(sql))
	return hex.EncodeToString(sum[:12])
}

// NewerFormat is returned for an entry that a newer program wrote.
type NewerFormat struct {
	Topic  string
	Table  string
	Format int
}

func (e *NewerFormat) Error() string {
	return fmt.Sprintf("%s: table %s was written by a newer brotally (format %d, this one reads up to %d): update this instance",
		e.Topic, e.Table, e.Format, catalogFormat)
}

// Is says that trying again does not help.
func (e *NewerFormat) Is(target error) bool { return target == ErrFatal }

// Catalog is the tables of one app, on its compacted topic <app>-catalog. It is safe for concurrent use.
//
// Whoever changes it does so as the transactional producer <app>-catalog: making that producer throws out whoever else is
// in the middle of a change, so two instances that start at once cannot both decide from the same state.
type Catalog struct {
	admin *Admin
	cfg   Config
	topic string
}

// OpenCatalog returns the catalog of c.App. It uses admin, which the caller closes, and makes nothing: the topic is made by
// the first change.
func OpenCatalog(admin *Admin, c Config) (*Catalog, error) {
	c, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	return &Catalog{admin: admin, cfg: c, topic: c.CatalogTopic()}, nil
}

// Catalog is the catalog's topic as it is made.
func (c Config) Catalog() Topic {
	return Topic{Name: c.CatalogTopic(), Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}
}

// Topic returns the catalog's topic.
func (c *Catalog) Topic() string { return c.topic }

// Load returns all entries by table; none when there is no catalog yet. An entry of a newer format is *[NewerFormat].
func (c *Catalog) Load(ctx context.Context) (map[string]Entry, error) {
	entries := map[string]Entry{}
	found, err := c.admin.metadata("catalog", []string{c.topic})
	if err != nil || len(found) == 0 {
		return entries, err
	}
	if err := c.admin.client.RefreshMetadata(c.topic); err != nil {
		return nil, c.admin.Fail("catalog", err, onTopic("Describe", c.topic))
	}
	r, err := NewReader(ctx, ReaderConfig{Client: c.admin.client, Topic: c.topic, From: sarama.OffsetOldest})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	defer r.Close() //nolint:errcheck // always nil
	// Only what is current is decoded: an entry that was replaced or deleted since does no harm, whatever it is.
	type place struct {
		value  []byte
		offset int64
	}
	current := map[string]place{}
	_, err = r.Recover(ctx, func(offset int64, key, value []byte, _ int64) error {
		if value == nil {
			delete(current, string(key))
		} else {
			current[string(key)] = place{value, offset}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(current)) {
		at := current[name]
		e, err := decodeEntry(at.value)
		var newer *NewerFormat
		switch {
		case errors.As(err, &newer):
			newer.Topic, newer.Table = c.topic, name
			return nil, newer
		case err != nil:
			return nil, fmt.Errorf("catalog: %s/0@%d: table %q: %w", c.topic, at.offset, name, err)
		}
		entries[name] = e
	}
	return entries, nil
}

// decodeEntry reads the format before the rest: a newer one may have changed the meaning, or the type, of everything else.
func decodeEntry(value []byte) (e Entry, err error) {
	var f struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(value, &f); err != nil {
		return e, err
	}
	if f.Format > catalogFormat {
		return e, &NewerFormat{Format: f.Format}
	}
	err = json.Unmarshal(value, &e)
	return e, err
}

// Put writes entries over what is there.
func (c *Catalog) Put(ctx context.Context, entries ...Entry) error {
	return c.Update(ctx, func(map[string]Entry) (map[string]*Entry, error) {
		changes := make(map[string]*Entry, len(entries))
		for _, e := range entries {
			changes[e.Table] = &e
		}
		return changes, nil
	})
}

// Update lets decide look at all entries and say what to change, by table; nil deletes an entry. All changes are made
// together, and only if nobody else has changed anything since: else decide is asked again, with what is there now.
// So decide may run several times, and must do nothing but decide. Its error ends the update and is returned as it is.
//
// A second reason to run twice: the first time is only a look, which throws nobody out when there is nothing to change.
func (c *Catalog) Update(ctx context.Context, decide func(map[string]Entry) (map[string]*Entry, error)) error {
	entries, err := c.Load(ctx)
	if err != nil {
		return err
	}
	changes, err := decide(entries)
	if err != nil || len(changes) == 0 {
		return err
	}
	err = c.admin.Ensure(c.cfg.Catalog())
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	for attempt := 0; ; attempt++ {
		err := c.update(ctx, decide)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// Thrown out, or the coordinator is on the move: look again. Two that throw each other out need to lose step.
		if !errors.Is(err, ErrFenced) && !errors.Is(err, ErrRetry) || attempt >= catalogAttempts {
			return err
		}
		pause := backoff(attempt)
		if e := sleep(ctx, pause/2+rand.N(pause)); e != nil {
			return fmt.Errorf("catalog: %w (%w)", e, err)
		}
	}
}

// complete fills in what is not for the writer to say.
func (e Entry) complete(name string) Entry {
	e.Table, e.Format, e.Hash = name, catalogFormat, HashSQL(e.SQL)
	if e.Created.IsZero() {
		e.Created = time.Now()
	}
	e.Created = e.Created.UTC().Truncate(time.Millisecond)
	if e.Next != nil {
		next := e.Next.complete(name)
		e.Next = &next
	}
	return e
}

// watchCatalog is how often Watch looks for changes.
const watchCatalog = 200 * time.Millisecond

// Watch calls fn with all entries, now and whenever they have changed, until ctx is done, which is no error, or fn returns
// one. What passes, such as brokers that do not answer, is waited for: fn is called again, with what is there then, when its error
// is [ErrRetry].
func (c *Catalog) Watch(ctx context.Context, fn func(map[string]Entry) error) error {
	seen, quiet := int64(-1), 0
	for {
		end, err := c.end()
		if err == nil && end != seen {
			var entries map[string]Entry
			if entries, err = c.Load(ctx); err == nil {
				err = fn(entries)
			}
			switch {
			case err == nil:
				seen, quiet = end, 0
			case entries != nil && !errors.Is(err, ErrRetry):
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFatal):
			return err
		case err != nil:
			quiet++
		}
		if sleep(ctx, watchCatalog+backoff(quiet)) != nil {
			return nil
		}
	}
}

// end returns the offset behind the last change; 0 while there is no catalog.
func (c *Catalog) end() (int64, error) {
	found, err := c.admin.metadata("catalog", []string{c.topic})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	ends, err := c.admin.listOffsets(sarama.OffsetNewest, c.topic)
	return ends[c.topic][0], err
}

// catalogAttempts is how often a change is tried, over some ten seconds.
const catalogAttempts = 40

// update is one attempt.
func (c *Catalog) update(ctx context.Context, decide func(map[string]Entry) (map[string]*Entry, error)) (err error) {
	// 1. Throw out everybody else. What they have committed is there when NewTx returns, what they have not never will be.
	tx, err := NewTx(ctx, c.cfg, c.topic)
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	defer func() { err = errors.Join(err, tx.Close()) }()

	// 2. Read and decide.
	entries, err := c.Load(ctx)
	if err != nil {
		return err
	}
	changes, err := decide(entries)
	if err != nil || len(changes) == 0 {
		return err
	}

	// 3. Write. The commit fails if somebody has thrown us out since 1.
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		e := changes[name]
		if e == nil {
			tx.Send(c.topic, 0, []byte(name), nil)
			continue
		}
		value, err := json.Marshal(e.complete(name))
		if err != nil {
			return fmt.Errorf("catalog: table %s: %w", name, err)
		}
		tx.Send(c.topic, 0, []byte(name), value)
	}
	if err := tx.Commit(ctx, nil, nil); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	return nil
}
