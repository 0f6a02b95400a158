package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables/sql"
)

func newFeeds(p *program) *cobra.Command {
	var print printing
	cmd := &cobra.Command{
		Use:   "feeds [NAME]",
		Short: "The feeds, or one feed's columns",
		Long: `The feeds whose columns are built in, or the schema of one: its columns, their types and what they hold.

A feed is one kind of Zeek log and its topic. Other logs, and fields of your own, are feeds and columns too: their types
are found in their records. A schema is written as a tree unless -o says otherwise.`,
		Example: "  brotally feeds\n" +
			"  brotally feeds dns\n" +
			"  brotally feeds conn -o csv",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(feeds.Names(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := print.check(); err != nil {
				return err
			}
			asText := print.effective(p) == output.Table
			if len(args) == 0 {
				if asText {
					return writeFeeds(p.stdout)
				}
				return print.print(p, feedColumns, feedRows())
			}
			f, ok := feeds.Lookup(args[0])
			if !ok {
				return &usageError{unknownFeed(args[0])}
			}
			if asText || print.format == "" {
				width, _ := terminal(p.stdout)
				return writeSchema(p.stdout, f, width)
			}
			return print.print(p, columnColumns, columnRows(f))
		},
	}
	print.register(cmd)
	return cmd
}

func unknownFeed(name string) error {
	hint := sql.DidYouMean(name, feeds.Names())
	if hint == "" {
		hint = "`brotally feeds` lists those that are built in"
	}
	return fmt.Errorf("no feed %s; %s", name, hint)
}

// writeFeeds writes the feeds for people, one a line of at most 80 characters.
func writeFeeds(w io.Writer) error {
	var b bytes.Buffer
	longest := 0
	for _, f := range feeds.All() {
		longest = max(longest, len(f.Name))
	}
	for _, f := range feeds.All() {
		fmt.Fprintf(&b, "%-*s  %s\n", longest, f.Name, f.Doc)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeSchema writes a feed's columns as Spark's printSchema does, each with what it holds; what does not fit a terminal's
// width goes on below itself. A width of 0 is none.
func writeSchema(w io.Writer, f *feeds.Feed, width int) error {
	const (
		widest = 34 // where texts begin at most; a longer name moves its own
		least  = 24 // a text is not made narrower than this
	)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\nroot\n", f.Name, f.Doc)
	head := func(c feeds.Column) string { return " |-- " + c.Name + ": " + c.Type.String() }
	indent := 0
	for _, c := range f.Columns {
		indent = min(max(indent, len(head(c))+2), widest)
	}
	for _, c := range f.Columns {
		fmt.Fprintf(&b, "%-*s  ", indent-2, head(c))
		at, doc := max(indent, len(head(c))+2), c.Doc
		if older := otherNames(c); older != "" {
			doc += "; also " + older
		}
		for i, word := range strings.Fields(doc) {
			switch {
			case i == 0:
			case width > 0 && at+1+len(word) > max(width, indent+least):
				fmt.Fprintf(&b, "\n |%*s", indent-2, "")
				at = indent
			default:
				b.WriteByte(' ')
				at++
			}
			b.WriteString(word)
			at += len(word)
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// otherNames returns the names that other versions give a column. That with underscores goes without saying.
func otherNames(c feeds.Column) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(c.Aliases), func(alias string) bool {
		return alias == strings.ReplaceAll(c.Name, ".", "_")
	}), ", ")
}

var text = feeds.T(feeds.String)

var feedColumns = []output.Column{{Name: "feed", Type: text}, {Name: "columns", Type: feeds.T(feeds.Bigint)}, {Name: "doc", Type: text}}

func feedRows() [][]feeds.Value {
	var rows [][]feeds.Value
	for _, f := range feeds.All() {
		rows = append(rows, []feeds.Value{feeds.StringValue(f.Name), feeds.BigintValue(int64(len(f.Columns))), feeds.StringValue(f.Doc)})
	}
	return rows
}

var columnColumns = []output.Column{{Name: "column", Type: text}, {Name: "type", Type: text}, {Name: "doc", Type: text}}

func columnRows(f *feeds.Feed) [][]feeds.Value {
	var rows [][]feeds.Value
	for _, c := range f.Columns {
		rows = append(rows, []feeds.Value{feeds.StringValue(c.Name), feeds.StringValue(c.Type.String()), feeds.StringValue(c.Doc)})
	}
	return rows
}
