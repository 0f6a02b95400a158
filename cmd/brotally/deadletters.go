package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/processors"
)

func newDeadLetters(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Aliases: []string{"dead-letter"},
		Short:   "Records that could not be decoded",
		Long: `Look at the records that could not be decoded: they are no JSON object, or Avro whose schema does not exist.

Each is a record of <app>-dead-letter: its key is where it came from, its headers say why, as Kafka Streams names them, and its value
is the record as it came, up to 64 KiB.`,
		Example: "  brotally dead-letters list -b kafka:9092\n" +
			"  brotally dead-letters list --topic dns -o json\n" +
			"  brotally dead-letters show dns/0/1742 -b kafka:9092",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newListDeadLetters(p), newShowDeadLetter(p))
	return cmd
}

func newListDeadLetters(p *program) *cobra.Command {
	l := &letters{program: p}
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
	l := &letters{program: p}
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

// letters is one look at the dead-letter topic.
type letters struct {
	*program
	conn  connection
	print printing
	topic string
	most  int
}

// letter is a record of it.
type letter struct {
	at    time.Time
	value []byte // nil: the record had none
	of    map[string]string
}

// key is where it came from.
func (l *letter) key() string { return l.of["topic"] + "/" + l.of["partition"] + "/" + l.of["offset"] }

var letterColumns = []output.Column{
	{Name: "topic", Type: feeds.T(feeds.String)}, {Name: "partition", Type: feeds.T(feeds.Bigint)}, {Name: "offset", Type: feeds.T(feeds.Bigint)},
	{Name: "at", Type: feeds.T(feeds.Timestamp)}, {Name: "bytes", Type: feeds.T(feeds.Bigint)}, {Name: "why", Type: feeds.T(feeds.String)},
}

// row is what list shows of it.
func (l *letter) row() []feeds.Value {
	number := func(text string) feeds.Value {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return feeds.NullValue
		}
		return feeds.BigintValue(n)
	}
	size := number(l.of["truncated"])
	if size.IsNull() && l.value != nil {
		size = feeds.BigintValue(int64(len(l.value)))
	}
	return []feeds.Value{feeds.StringValue(l.of["topic"]), number(l.of["partition"]), number(l.of["offset"]), feeds.TimestampValue(l.at.UnixMicro()), size, feeds.StringValue(l.of["message"])}
}

func (l *letters) list(ctx context.Context) error {
	if err := l.print.check(); err != nil {
		return err
	}
	var rows [][]feeds.Value
	n := 0
	err := l.each(ctx, func(x *letter) error {
		if l.topic != "" && x.of["topic"] != l.topic {
			return nil
		}
		n++
		if rows = append(rows, x.row()); l.most > 0 && len(rows) >= 2*l.most {
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

func (l *letters) show(ctx context.Context, key string) error {
	var found *letter
	err := l.each(ctx, func(x *letter) error {
		if x.key() == key {
			found = x
		}
		return nil
	})
	if err != nil {
		return err
	}
	if found == nil {
		return fmt.Errorf("no dead letter %s; `brotally dead-letters list` shows those that there are", key)
	}
	l.say("%s: %s", key, found.of["message"])
	if cut := found.of["truncated"]; cut != "" {
		l.say("it had %s bytes, %d were kept", cut, len(found.value))
	}
	if found.value == nil {
		l.say("the record had no value")
		return nil
	}
	text := string(found.value)
	if _, isTerminal := terminal(l.stdout); isTerminal {
		text = output.Printable(text) + "\n"
	}
	_, err = fmt.Fprint(l.stdout, text)
	return err
}

// each calls fn with all dead letters, in the order in which they came.
func (l *letters) each(ctx context.Context, fn func(*letter) error) error {
	cfg, err := l.conn.config()
	if err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	topic := cfg.DeadLetterTopic()
	there, err := admin.Describe(topic)
	if err != nil {
		return err
	}
	if _, ok := there[topic]; !ok {
		return fmt.Errorf("there is no topic %s: nothing of app %s has run here", topic, cfg.App)
	}
	headers := map[string]string{}
	reader, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: admin.Client(), Topic: topic, From: kafka.Oldest, Header: func(key, value []byte) {
		headers[strings.TrimPrefix(string(key), processors.LetterHeader)] = string(value)
	}})
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // always nil
	_, err = reader.Recover(ctx, func(_ int64, _, value []byte, ms int64) error {
		x := &letter{at: time.UnixMilli(ms), value: bytes.Clone(value), of: headers}
		headers = map[string]string{}
		if x.of["topic"] == "" {
			return nil // a tombstone
		}
		return fn(x)
	})
	if errors.Is(err, context.Canceled) {
		return ctx.Err()
	}
	return err
}
