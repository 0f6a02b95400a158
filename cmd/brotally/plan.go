package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

func newPlan(p *program) *cobra.Command {
	pl := &planning{program: p}
	cmd := &cobra.Command{
		Use:   "plan TABLES.sql..",
		Short: "What tables and streams read, keep and write, and what to beware of",
		Long: `Say what run would make of files of definitions: what each reads, the columns and the key of its result, what it keeps for
a row and how many bytes that takes, its topics, and warnings where nothing bounds how many rows it gets.

It needs no broker and changes nothing. With -b it says in addition what run would do, by what is there already:

  keep     it goes on
  build    it is new: how much there is to read, in records and bytes
  wait     it is new and waits for a topic
  alter    it goes on under another definition, its rows stay
  rebuild  it is counted anew beside the old one, which answers until the new one has caught up
  drop     no file defines it any more: all of it is deleted

What would be lost for good is said; run does such a step with --auto-approve alone.

Bytes are estimates of memory for one row: as most rows are, and at most. A row takes 24 bytes for its place, the length
of its key, 8 for each number that its aggregates keep, 40 and its length for each text; texts are taken to have 20 bytes and
addresses to be IPv4, at most 1 KiB and IPv6. A sketch is taken to have seen two values, at most as many as fill it;
count(DISTINCT x) at most as many as it counts exactly. Real tables have between half and twice of it.`,
		Example: "  brotally plan tables.sql\n" +
			"  brotally plan tables.sql -o json | jq '.[] | select(.part == \"warning\")'\n" +
			"  brotally plan tables.sql -b kafka:9092",
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"sql"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			pl.online = cmd.Flags().Changed("brokers") && len(pl.conn.brokers) > 0
			return pl.run(cmd.Context(), args)
		},
	}
	pl.conn.register(cmd)
	pl.feeds.register(cmd)
	pl.print.register(cmd)
	return cmd
}

// planning is one plan.
type planning struct {
	*program
	conn   connection
	feeds  feedFlag
	print  printing
	online bool // brokers were named
}

// planRow is one line of a plan.
type planRow struct {
	definition string // empty: it is about all of them
	tables.Detail
}

func (p *planning) run(ctx context.Context, files []string) error {
	if err := p.print.check(); err != nil {
		return err
	}
	cfg, err := p.conn.config()
	if err != nil {
		return err
	}
	defined, err := p.compile(ctx, cfg, files)
	if err != nil {
		return err
	}
	var now *present
	if p.online {
		if now, err = lookAround(ctx, cfg, defined); err != nil {
			return err
		}
	}
	var rows []planRow
	for _, t := range defined.Tables {
		rows = append(rows, planDefinition(cfg, &t.Definition, t.Describe(), now)...)
	}
	for _, s := range defined.Streams {
		rows = append(rows, planDefinition(cfg, &s.Definition, s.Describe(), now)...)
	}
	if now != nil {
		for _, s := range now.steps {
			if s.Action == processors.Drop {
				rows = append(rows, planRow{s.Name, tables.Detail{Part: partNow, Text: stepText(s)}})
			}
		}
	}
	catalog, letters := processors.SharedTopics(cfg)
	rows = append(rows, planTopic("", catalog, "the definitions that run", "", now), planTopic("", letters, "records that cannot be decoded", "", now))
	return p.show(rows)
}

// compile reads the files. Only where brokers are named, columns that are not built in are looked for in the topics' records.
func (p *planning) compile(ctx context.Context, cfg kafka.Config, files []string) (*tables.Definitions, error) {
	if p.online {
		r := &running{program: p.program, conn: p.conn, feeds: p.feeds}
		return r.compile(ctx, cfg, files)
	}
	defs := &definitions{}
	for _, file := range files {
		if err := defs.readSQL(file); err != nil {
			return nil, err
		}
	}
	topics, err := p.feeds.byFeed()
	if err != nil {
		return nil, err
	}
	return defs.compile(feeds.Lookup, topics)
}

// partNow is what run would do about a definition, as far as it depends on what is there.
const partNow = "now"

// topicRoles says what a definition's own topics are for, in their order.
var topicRoles = map[tables.Kind][]string{
	tables.KindTable:  {"from stage 1 to stage 2", "backs the rows of stage 2 and of views", "the result, for everybody"},
	tables.KindStream: {"the records, for everybody"},
}

// planDefinition is the plan of one definition: what is known of it by itself, then its topics, then what to beware of.
func planDefinition(cfg kafka.Config, def *tables.Definition, details []tables.Detail, now *present) (rows []planRow) {
	add := func(d tables.Detail) { rows = append(rows, planRow{def.Name, d}) }
	if step, known := now.step(def); known {
		add(tables.Detail{Part: partNow, Text: stepText(step)})
	}
	like := strings.Join(def.FeedTopics(), ", ")
	var topics []planRow
	roles := topicRoles[def.Kind]
	for i, t := range processors.OwnTopics(cfg, def, now.own(def), now.partitions(def.FeedTopics())) {
		role := roles[i]
		if i == len(roles)-1 && def.Options.Format == tables.FormatAvro {
			role += fmt.Sprintf(", in Avro: schemas %s-key and %s-value", t.Name, t.Name)
		}
		topics = append(topics, planTopic(def.Name, t, role, like, now))
	}
	for _, d := range details {
		if d.Part == tables.PartWarning {
			rows, topics = append(rows, topics...), nil
		}
		add(d)
	}
	return append(rows, topics...)
}

// planTopic is the plan of a topic; like is whose partitions it gets as many as, where that is not known.
func planTopic(definition string, t kafka.Topic, what, like string, now *present) planRow {
	text := what + "; as many partitions as " + like
	if t.Partitions > 0 {
		text = what + "; " + count(int64(t.Partitions), "partition")
	}
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		text += ", " + key + "=" + t.Config[key]
	}
	if now != nil {
		text += "; " + now.topic(t.Name)
	}
	return planRow{definition, tables.Detail{Part: tables.PartTopic, Name: t.Name, Text: text}}
}

// show prints the plan. For people, what there is none of is empty, and nothing is cut: a warning is to be read to its end.
func (p *planning) show(rows []planRow) error {
	how, people := p.print.effective(p.program), false
	number := feeds.T(feeds.Bigint)
	if people = how == output.Table; people {
		number = text
	}
	_, isTerminal := terminal(p.stdout)
	w, err := output.New(p.stdout, how, output.Options{Null: p.print.null, Terminal: isTerminal})
	if err != nil {
		return err
	}
	columns := []output.Column{{Name: "definition", Type: text}, {Name: "part", Type: text}, {Name: "name", Type: text}, {Name: "type", Type: text},
		{Name: "bytes", Type: number}, {Name: "most", Type: number}, {Name: "detail", Type: text}}
	if err := w.Header(columns); err != nil {
		return err
	}
	for _, r := range rows {
		values := []feeds.Value{orNull(r.definition), feeds.StringValue(r.Part), orNull(r.Name), feeds.NullValue, size(r.Bytes), size(r.Most), orNull(r.Text)}
		if r.Type.Kind != feeds.Null {
			values[3] = feeds.StringValue(r.Type.String())
		}
		for i, v := range values {
			switch {
			case !people:
			case v.IsNull():
				values[i] = feeds.StringValue("")
			case v.Kind() == feeds.Bigint:
				values[i] = feeds.StringValue(strconv.FormatInt(v.Int(), 10))
			}
		}
		if err := w.Row(values); err != nil {
			return err
		}
	}
	return w.Close()
}

func orNull(s string) feeds.Value {
	if s == "" {
		return feeds.NullValue
	}
	return feeds.StringValue(s)
}

func size(n int) feeds.Value {
	if n == 0 {
		return feeds.NullValue
	}
	return feeds.BigintValue(int64(n))
}
