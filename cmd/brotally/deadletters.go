package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/processors"
)

func newDeadLetters(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Aliases: []string{"dead-letter"},
		Short:   "Records that could not be decoded",
		Long: `Look at the records that could not be decoded: they are no JSON object, or Avro whose schema does not exist. Replay them when that
was mended.

Each is a record of <app>-dead-letter: its key is where it came from, its headers say why, as Kafka Streams names them, and its value
is the record as it came, up to 64 KiB.`,
		Example: "  brotally dead-letters list -b kafka:9092\n" +
			"  brotally dead-letters list --topic dns -o json\n" +
			"  brotally dead-letters show dns/0/1742 -b kafka:9092\n" +
			"  brotally dead-letters replay --topic dns --execute",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newListDeadLetters(p), newShowDeadLetter(p), newReplayDeadLetters(p))
	return cmd
}

func newListDeadLetters(p *program) *cobra.Command {
	l := &lettersLook{program: p}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Where they came from, when, and why they could not be decoded",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return l.list(cmd.Context()) },
	}
	l.conn.register(cmd)
	l.print.register(cmd)
	cmd.Flags().StringVar(&l.topic, "topic", "", "only those of a `TOPIC`")
	cmd.Flags().IntVar(&l.most, "most", 100, "the newest of them; 0 is all")
	return cmd
}

func newShowDeadLetter(p *program) *cobra.Command {
	l := &lettersLook{program: p}
	cmd := &cobra.Command{
		Use:   "show TOPIC/PARTITION/OFFSET",
		Short: "One of them as it came",
		Long: `Show one dead letter as it came: the record on standard output, what is known of it on standard error. On a terminal, control characters
and the like are escaped; into a file or a pipe it goes byte by byte.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return l.show(cmd.Context(), args[0]) },
	}
	l.conn.register(cmd)
	return cmd
}

func newReplayDeadLetters(p *program) *cobra.Command {
	l := &lettersLook{program: p}
	cmd := &cobra.Command{
		Use:   "replay TOPIC/PARTITION/OFFSET..|--topic TOPIC|--all",
		Short: "Let them be read again, when what was wrong is mended",
		Long: `Let dead letters be read again, when what was wrong is mended: a newer brotally decodes them, or the registry has their schema.

They come again through a topic of the app's own, <app>-replay-<topic>, which is one more source of the tables and streams that have
missed them, and of no others: what was made since has read the original itself. Each letter comes again once, whatever is killed
meanwhile; what still cannot be decoded is a dead letter again. A letter has the first 64 KiB of its record; of a longer one the
original is read again, and if that is gone, the letter stays and is named. Topics that Zeek writes are never written.

Lists what would be replayed; --execute does it.`,
		Example: "  brotally dead-letters replay --topic dns\n" +
			"  brotally dead-letters replay dns/0/1742 dns/0/1743 --execute\n" +
			"  brotally dead-letters replay --all --execute -b kafka:9092 --app staging",
		RunE: func(cmd *cobra.Command, args []string) error {
			ways := 0
			for _, way := range []bool{l.all, l.topic != "", len(args) > 0} {
				if way {
					ways++
				}
			}
			if ways != 1 {
				return &usageError{fmt.Errorf("replay which dead letters? Name them, or say --topic TOPIC or --all")}
			}
			return l.replay(cmd.Context(), args)
		},
	}
	l.conn.register(cmd)
	cmd.Flags().StringVar(&l.topic, "topic", "", "those of a `TOPIC`")
	cmd.Flags().BoolVar(&l.all, "all", false, "all of the app")
	cmd.Flags().BoolVar(&l.execute, "execute", false, "do it")
	mark(cmd.Flags(), "all", onlyFlag)
	mark(cmd.Flags(), "execute", onlyFlag)
	return cmd
}

// lettersLook is one look at the dead-letter topic.
type lettersLook struct {
	*program
	conn    connection
	print   printing
	topic   string
	most    int
	all     bool
	execute bool
}

var letterColumns = []output.Column{
	{Name: "topic", Type: feeds.T(feeds.String)}, {Name: "partition", Type: feeds.T(feeds.Bigint)}, {Name: "offset", Type: feeds.T(feeds.Bigint)},
	{Name: "at", Type: feeds.T(feeds.Timestamp)}, {Name: "bytes", Type: feeds.T(feeds.Bigint)}, {Name: "missing", Type: feeds.T(feeds.String)},
	{Name: "why", Type: feeds.T(feeds.String)},
}

// letterRow is what list shows of one.
func letterRow(x *letters.Letter) []feeds.Value {
	size := feeds.NullValue
	if x.Value != nil {
		size = feeds.BigintValue(x.Size)
	}
	return []feeds.Value{feeds.StringValue(x.Topic), feeds.BigintValue(int64(x.Partition)), feeds.BigintValue(x.Offset), feeds.TimestampValue(x.At.UnixMicro()),
		size, feeds.StringValue(strings.Join(x.Names(), " ")), feeds.StringValue(x.Why)}
}

func (l *lettersLook) list(ctx context.Context) error {
	if err := l.print.check(); err != nil {
		return err
	}
	var rows [][]feeds.Value
	n := 0
	err := l.each(ctx, func(x *letters.Letter) error {
		if l.topic != "" && x.Topic != l.topic {
			return nil
		}
		n++
		if rows = append(rows, letterRow(x)); l.most > 0 && len(rows) >= 2*l.most {
			rows = append(rows[:0], rows[len(rows)-l.most:]...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if l.most > 0 && len(rows) > l.most {
		rows = rows[len(rows)-l.most:]
	}
	if err := l.print.print(l.program, letterColumns, rows); err != nil {
		return err
	}
	if n > len(rows) {
		l.say("%s, these are the newest %d", count(int64(n), "dead letter"), len(rows))
		return nil
	}
	l.say("%s", count(int64(n), "dead letter"))
	return nil
}

func (l *lettersLook) show(ctx context.Context, place string) error {
	var found *letters.Letter
	err := l.each(ctx, func(x *letters.Letter) error {
		if x.Place() == place {
			copied := *x
			copied.Value = bytes.Clone(x.Value)
			found = &copied
		}
		return nil
	})
	if err != nil {
		return err
	}
	if found == nil {
		return noLetter(place)
	}
	l.say("%s: %s", place, found.Why)
	l.say("%s missed it", strings.Join(found.Names(), ", "))
	if found.Cut() {
		l.say("it had %d bytes, %d were kept", found.Size, len(found.Value))
	}
	if found.Value == nil {
		l.say("the record had no value")
		return nil
	}
	text := string(found.Value)
	if _, isTerminal := terminal(l.stdout); isTerminal {
		text = output.Printable(text) + "\n"
	}
	_, err = fmt.Fprint(l.stdout, text)
	return err
}

func noLetter(place string) error {
	return fmt.Errorf("no dead letter %s; `brotally dead-letters list` shows those that there are", place)
}

func (l *lettersLook) replay(ctx context.Context, places []string) error {
	cfg, err := l.conn.config()
	if err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	found := map[string]bool{}
	r := processors.Replay{Admin: admin, Kafka: cfg, DryRun: !l.execute, Wanted: func(x *letters.Letter) bool {
		wanted := l.all || x.Topic == l.topic || l.topic != "" && x.Topic == cfg.ReplayTopic(l.topic) || slices.Contains(places, x.Place())
		found[x.Place()] = found[x.Place()] || wanted
		return wanted
	}, Chosen: func() error {
		for _, place := range places {
			if !found[place] {
				return noLetter(place)
			}
		}
		return nil
	}}
	done, err := r.Run(ctx)
	switch {
	case errors.Is(err, kafka.ErrFenced):
		return fmt.Errorf("another replay of app %s has begun, this one has ended: what it had replayed stays so (%w)", cfg.App, err)
	case errors.Is(err, context.Canceled):
		return ctx.Err()
	case err != nil:
		return err
	}
	for _, feed := range slices.Sorted(maps.Keys(done.Records)) {
		said := "replayed"
		if !l.execute {
			said = "would replay"
		}
		l.say("%s %s of %s, for %s", said, count(done.Records[feed], "dead letter"), feed, strings.Join(done.For[feed], ", "))
	}
	if done.Nobodys > 0 {
		l.say("left %s that nobody misses any more: who did was dropped, reset or counted anew", count(done.Nobodys, "dead letter"))
	}
	if len(done.Records)+len(done.Refused) == 0 && done.Nobodys == 0 {
		l.say("there is nothing to replay")
		return nil
	}
	for _, refused := range done.Refused {
		l.say("cannot be replayed: %s", refused)
	}
	if !l.execute && len(done.Records) > 0 {
		l.say("nothing was changed; --execute does it")
	}
	if n := len(done.Refused); n > 0 {
		return fmt.Errorf("%s cannot be replayed", count(int64(n), "dead letter"))
	}
	return nil
}

// each calls fn with all dead letters, in the order in which they came.
func (l *lettersLook) each(ctx context.Context, fn func(*letters.Letter) error) error {
	cfg, err := l.conn.config()
	if err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	err = letters.Each(ctx, admin, cfg, fn)
	if errors.Is(err, context.Canceled) {
		return ctx.Err()
	}
	return err
}
