package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
)

func newTry(p *program) *cobra.Command {
	t := &try{program: p}
	cmd := &cobra.Command{
		Use:   "try [-e SQL | TABLES.sql..] LOG..",
		Short: "Tables over log files, computed as run would, printed",
		Long: `Compute tables over log files and print them.

It is the pipeline of run, with a broker of its own on a temporary folder: what try prints is what run would show. A
SELECT with aggregates needs no CREATE TABLE; one without shows the records as they were parsed. Rows come sorted by the
key columns unless ORDER BY says otherwise; a stream's records as they lie on its topic, which is in the order of the log
unless --partitions deals that to several.

Logs are TSV or JSON, packed with gzip or not; - is standard input. Which log a file is says its header, its records or
its name, or you: dns=FILE.`,
		Example: "  brotally try -e 'SELECT id.orig_h, qtype_name, count(*) AS n FROM dns GROUP BY id.orig_h, qtype_name' dns.log\n" +
			"  brotally try -e 'SELECT * FROM dns LIMIT 5' dns.*.log.gz\n" +
			"  brotally try tables.sql *.log -o csv\n" +
			"  zcat conn.log.gz | brotally try -e 'SELECT count(*) FROM conn' -",
		RunE: func(cmd *cobra.Command, args []string) error {
			t.partitionsGiven = cmd.Flags().Changed("partitions")
			return t.run(cmd.Context(), args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&t.statements, "sql", "e", nil, "`SQL` to try: a SELECT, or CREATE TABLE statements")
	f.Int32Var(&t.partitions, "partitions", 4, "how many partitions the logs are dealt to, round robin; one where a stream reads them, unless this is said")
	f.IntVar(&t.commitRecords, "commit-records", 0, "commit after so many records of a partition (0: by time)")
	f.BoolVar(&t.quiet, "quiet", false, "no summary")
	mark(f, "sql", onlyFlag)
	if err := f.MarkHidden("commit-records"); err != nil {
		panic(err) // the flag does not exist
	}
	t.print.register(cmd)
	return cmd
}

// try computes tables over log files.
type try struct {
	*program
	print         printing
	statements    []string
	partitions    int32
	commitRecords int
	// partitionsGiven says that partitions is not the default.
	partitionsGiven bool
	quiet           bool

	logs *logs
}

func (t *try) run(ctx context.Context, args []string) error {
	if err := t.print.check(); err != nil {
		return err
	}
	if t.partitions < 1 || t.partitions > 1000 {
		return &usageError{fmt.Errorf("--partitions %d: want 1 to 1000", t.partitions)}
	}
	defs, files, err := t.read(args)
	if err != nil {
		return err
	}
	if t.logs, err = openLogs(files, t.stdin); err != nil {
		return err
	}
	if from := defs.feeds(); len(from) == 1 {
		t.logs.assume(from[0])
	}
	if defs.keepForever() {
		t.say("RETENTION and TTL are off here: all rows stay")
	}
	scan, asked, err := t.compile(defs)
	if err != nil {
		return err
	}
	if scan != nil {
		return t.scan(ctx, scan)
	}
	return t.pipeline(ctx, asked)
}

// read tells SQL from logs.
func (t *try) read(args []string) (defs *definitions, files []string, err error) {
	defs = &definitions{}
	for i, text := range t.statements {
		name := "-e"
		if len(t.statements) > 1 {
			name = fmt.Sprintf("-e %d", i+1)
		}
		if err := defs.parse(name, text); err != nil {
			return nil, nil, err
		}
	}
	for _, arg := range args {
		if !strings.HasSuffix(arg, ".sql") {
			files = append(files, arg)
			continue
		}
		if err := defs.readSQL(arg); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case len(defs.statements) == 0:
		return nil, nil, &usageError{errors.New("no SQL: say -e 'SELECT ..', or name a file that ends in .sql")}
	case len(files) == 0:
		return nil, nil, &usageError{errors.New("no log files: name some, or - for standard input")}
	}
	return defs, files, nil
}

// pipeline runs the tables over the logs and prints them.
func (t *try) pipeline(ctx context.Context, all []asked) error {
	start := time.Now()
	b, err := broker.Start(broker.Config{Temporary: true})
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // a folder of the temporary folder at worst
	cfg := kafka.Config{Brokers: b.Addrs(), App: "try", Instance: "try"}

	var defined []*tables.Table
	var streams []*tables.Stream
	for _, a := range all {
		if a.stream != nil {
			streams = append(streams, a.stream)
		} else {
			defined = append(defined, a.table)
		}
	}
	stages, err := processors.New(processors.Config{Kafka: cfg, Tables: defined, Streams: streams, CommitRecords: t.commitRecords, Log: t.log})
	if err != nil {
		return err
	}
	shown, err := views.New(views.Config{Kafka: cfg, Tables: defined, Log: t.log, Limits: views.Limits{Queries: -1, Wait: -1, Time: -1, Rows: -1, Bytes: -1}})
	if err != nil {
		return err
	}

	// Topics come first: tables would wait for those that are not there yet.
	if err := t.createTopics(ctx, cfg, all); err != nil {
		return err
	}
	sender, err := replay.NewSender(ctx, replay.SenderConfig{Kafka: cfg})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return stages.Run(ctx) })
	g.Go(func() error { return shown.Run(ctx) })
	g.Go(func() error {
		err := t.feed(ctx, sender, all, stages)
		if err == nil {
			err = t.show(ctx, cfg, stages, shown, sender, all, start)
		}
		cancel(errDone) // the others end now
		return err
	})
	err = g.Wait()
	if closed := sender.Close(); err == nil {
		err = closed
	}
	return err
}

// errDone ends what runs beside the work when that is done.
var errDone = errors.New("done")

// createTopics makes the feeds' topics. One that a stream reads has one partition, unless others are asked for: then the
// stream is in the order of the log.
func (t *try) createTopics(ctx context.Context, cfg kafka.Config, all []asked) error {
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	partitions := map[string]int32{}
	for _, a := range all {
		feed := a.definition().Feed.Name
		if partitions[feed] == 0 {
			partitions[feed] = t.partitions
		}
		if a.stream != nil && !t.partitionsGiven {
			partitions[feed] = 1
		}
	}
	for feed, n := range partitions {
		if err := admin.Ensure(kafka.Topic{Name: feed, Partitions: n}); err != nil {
			return err
		}
	}
	return nil
}

// feed sends the logs' records to the topics of their feeds, as far as a table or stream reads them.
func (t *try) feed(ctx context.Context, sender *replay.Sender, all []asked, stages *processors.Processors) error {
	wanted := map[string]bool{}
	for _, a := range all {
		wanted[a.definition().Feed.Name] = true
	}
	end := t.showProgress("reading", func() (int64, int64, string) {
		return t.logs.read.Load(), t.logs.bytes, count(stages.Records(), "record")
	})
	defer end()
	err := t.logs.each(ctx, t.say, func(feed string, record []byte) error {
		if !wanted[feed] {
			return nil
		}
		return sender.Send(ctx, feed, bytes.Clone(record))
	})
	if err != nil {
		return err
	}
	t.sayMissing(slices.Sorted(maps.Keys(wanted)))
	return sender.Flush(ctx)
}

// sayMissing says which of the feeds had no record: nearly always that is not what was meant.
func (t *try) sayMissing(wanted []string) {
	for _, feed := range wanted {
		if t.logs.found[feed] == 0 {
			t.say("no records of %s in the logs, which have %s", feed, t.foundFeeds())
		}
	}
}

func (t *try) foundFeeds() string {
	var names []string
	for name, n := range t.logs.found {
		names = append(names, fmt.Sprintf("%s of %s", count(n, "record"), name))
	}
	if len(names) == 0 {
		return "none at all"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// show waits until each view and stream has reached the logs' ends and prints it.
func (t *try) show(ctx context.Context, cfg kafka.Config, stages *processors.Processors, shown *views.Views, sender *replay.Sender, all []asked, start time.Time) error {
	ends := map[string]map[codecs.Source]int64{}
	for topic, partitions := range sender.Sent() {
		ends[topic] = map[codecs.Source]int64{}
		for partition, sent := range partitions {
			ends[topic][codecs.Source{Topic: topic, Partition: partition}] = sent.End
		}
	}
	for i, a := range all {
		if a.stream != nil {
			if err := stages.AwaitStream(ctx, a.stream.Name, ends[a.stream.Feed.Name]); err != nil {
				return err
			}
			if len(all) > 1 {
				t.header(a.stream.Name, i)
			}
			rows, err := t.printStream(ctx, cfg, a.stream)
			if err != nil {
				return err
			}
			t.summary(a.stream.Name, rows, stages.StreamCounts(a.stream.Name), len(all) > 1)
			continue
		}
		view, _ := shown.View(a.table.Name)
		if err := view.WaitFor(ctx, ends[a.table.Feed.Name]); err != nil {
			return err
		}
		if a.table.IsFinal() {
			stages.End()
			if err := view.WaitForEnd(ctx); err != nil {
				return err
			}
		}
		answer, err := view.Query(ctx, a.show, nil)
		if err != nil {
			return err
		}
		if len(all) > 1 {
			t.header(a.table.Name, i)
		}
		columns := make([]output.Column, len(answer.Columns))
		for i, c := range answer.Columns {
			columns[i] = output.Column{Name: c.Name, Type: c.Type}
		}
		if err := t.print.print(t.program, columns, answer.Rows); err != nil {
			return err
		}
		for _, e := range answer.Approximate {
			if !t.quiet {
				t.say("%s", approximate(answer.Columns[e.Column].Name, len(e.Rows)))
			}
		}
		t.summary(a.table.Name, int64(len(answer.Rows)), answer.AsOf.Counts, len(all) > 1)
	}
	t.sayLogs(start)
	return nil
}

// header names the table or stream that follows: among the data where that is for people, else beside it.
func (t *try) header(name string, i int) {
	if t.print.effective(t.program) == output.Table {
		if i > 0 {
			fmt.Fprintln(t.stdout)
		}
		fmt.Fprintln(t.stdout, name)
		return
	}
	t.say("%s", name)
}

// summary says what became of the records of one table.
func (t *try) summary(name string, rows int64, c codecs.Counts, named bool) {
	if t.quiet {
		return
	}
	parts := []string{count(rows, "row"), count(c.Read, "record") + " read", thousands(c.Counted) + " counted"}
	for _, part := range []struct {
		n    int64
		what string
	}{
		{c.Filtered, "filtered"}, {c.OtherFeed, "of another feed"}, {c.NoTime, "without time"},
	} {
		if part.n > 0 {
			parts = append(parts, thousands(part.n)+" "+part.what)
		}
	}
	parts = append(parts, count(c.DeadLettered, "dead letter"), count(c.BadFields, "bad field"))
	for _, part := range []struct {
		n    int64
		noun string
	}{{c.Overflows, "overflow"}, {c.CutKeys, "cut key"}, {c.Lost, "lost record"}, {c.Late, "late record"}, {c.Skewed, "skewed record"}} {
		if part.n > 0 {
			parts = append(parts, count(part.n, part.noun))
		}
	}
	text := strings.Join(parts, ", ")
	if named {
		text = name + ": " + text
	}
	t.say("%s", text)
}

// sayLogs says what the logs held.
func (t *try) sayLogs(start time.Time) {
	if t.quiet {
		return
	}
	text := fmt.Sprintf("%s in %s", count(t.logs.records, "record"), count(int64(len(t.logs.files)), "file"))
	if t.logs.bad > 0 {
		text += ", " + count(t.logs.bad, "bad line")
	}
	t.say("%s, %.1f s", text, time.Since(start).Seconds())
}
