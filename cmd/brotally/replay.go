package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/replay"
)

func newReplay(p *program) *cobra.Command {
	r := &replaying{program: p}
	cmd := &cobra.Command{
		Use:   "replay LOG..",
		Short: "Send log files to topics as Bro's Kafka plugin would have",
		Long: `Send log files to topics as Bro's Kafka plugin would have sent the records: JSON, null keys, a topic a feed.

With --avro they are sent in Avro instead: a schema zeek.<feed> has the feed's columns and, behind them, those that its records
turn out to have.

Logs are TSV or JSON, packed with gzip or not; - is standard input. Which log a file is says its header, its records or
its name, or you: dns=FILE. Records go round robin over the topic's partitions.`,
		Example: "  brotally replay *.log.gz --create-topics 4\n" +
			"  brotally replay dns.log conn.log --realtime -b kafka:9092\n" +
			"  brotally replay dns.log --rate 5000 --tagged --topic zeek\n" +
			"  brotally replay *.log --avro --schema-registry http://registry:8081",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	r.conn.register(cmd)
	r.feeds.register(cmd)
	f := cmd.Flags()
	f.Float64Var(&r.rate, "rate", 0, "at most so many records a second (0: as fast as Kafka takes them)")
	f.BoolVar(&r.realtime, "realtime", false, "as far apart as they were logged")
	f.Float64Var(&r.speed, "speed", 1, "how many times as fast, with --realtime")
	f.BoolVar(&r.tagged, "tagged", false, `write {"dns": {..}}, as the plugin does with tag_json`)
	f.BoolVar(&r.avro, "avro", false, "write Avro, with a schema a feed in the schema registry")
	f.StringVar(&r.topic, "topic", "", "one `TOPIC` for all feeds, as the plugin does unless told otherwise")
	f.Int32Var(&r.create, "create-topics", 0, "create topics that do not exist with so many partitions")
	return cmd
}

// replaying is one replay.
type replaying struct {
	*program
	conn     connection
	feeds    feedFlag
	rate     float64
	realtime bool
	speed    float64
	tagged   bool
	avro     bool
	topic    string
	create   int32
}

func (r *replaying) run(ctx context.Context, files []string) error {
	cfg, err := r.conn.config()
	if err != nil {
		return err
	}
	c, err := r.config(cfg, files)
	if err != nil {
		return err
	}
	if r.avro {
		schemas, err := r.conn.registryClient(r.log)
		if err != nil {
			return err
		}
		defer schemas.Close()
		c.Avro = schemas
	}
	var at latest[replay.Progress]
	c.Progress = at.set
	end := r.showProgress("sending", func() (int64, int64, string) {
		now := at.get()
		return now.Bytes, now.Total, count(now.Sent, "record")
	})
	sum, err := replay.Run(ctx, c)
	end()
	r.tell(sum)
	var missing *replay.MissingTopic
	var unknown *replay.NoFeed
	switch {
	case errors.As(err, &missing):
		return fmt.Errorf("%w; --create-topics 4 makes it", err)
	case errors.As(err, &unknown), errors.Is(err, fs.ErrNotExist):
		return &usageError{err}
	}
	return err
}

// config checks the flags.
func (r *replaying) config(cfg kafka.Config, files []string) (replay.Config, error) {
	bad := func(format string, args ...any) (replay.Config, error) {
		return replay.Config{}, &usageError{fmt.Errorf(format, args...)}
	}
	switch {
	case r.rate < 0:
		return bad("--rate %g: want 0 or more records a second", r.rate)
	case r.speed <= 0:
		return bad("--speed %g: want more than 0", r.speed)
	case r.avro && len(r.conn.registry.URLs) == 0:
		return bad("--avro needs a schema registry: --schema-registry URL")
	case r.avro && r.tagged:
		return bad("--avro and --tagged: a record in Avro has its feed in its schema's name")
	case r.create < 0:
		return bad("--create-topics %d: want 0 or more partitions", r.create)
	}
	topics := map[string]string{}
	byFeed, err := r.feeds.byFeed()
	if err != nil {
		return replay.Config{}, err
	}
	for feed, names := range byFeed {
		if len(names) != 1 {
			return bad("--feed %s=%s: records go to one topic", feed, strings.Join(names, ","))
		}
		topics[feed] = names[0]
	}
	if r.topic == "" {
		r.topic = topics[allFeeds]
	}
	delete(topics, allFeeds)
	c := replay.Config{
		Kafka: cfg, Files: files, Stdin: r.stdin, Topics: topics, Topic: r.topic,
		CreateTopics: r.create, Tagged: r.tagged, Rate: r.rate,
	}
	if r.realtime {
		c.Speed = r.speed
	}
	return c, nil
}

// tell says what came of it: what was bad in each file, then the sum.
func (r *replaying) tell(sum replay.Summary) {
	for _, f := range sum.Files {
		for _, reason := range f.Reasons {
			r.say("%s: not a record: %s", f.File, reason)
		}
		if more := f.Bad - int64(len(f.Reasons)); more > 0 && len(f.Reasons) > 0 {
			r.say("%s: %s more that are no record", f.File, count(more, "line"))
		}
	}
	if sum.Records == 0 && sum.Bad == 0 {
		return
	}
	if sum.Misfits > 0 {
		r.say("%s not of their column's type, left out", count(sum.Misfits, "field"))
	}
	seconds := sum.Elapsed.Seconds()
	r.say("%s sent to %s, %s, %.1f s, %s/s", count(sum.Records, "record"),
		strings.Join(slices.Sorted(maps.Keys(sum.Sent)), ", "), count(sum.Bad, "bad line"), seconds, thousands(int64(float64(sum.Records)/max(seconds, 1e-3))))
}

// latest holds the newest of something that one goroutine sets and another reads.
type latest[T any] struct {
	mu    sync.Mutex // guards value
	value T
}

func (l *latest[T]) set(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = v
}

func (l *latest[T]) get() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}
