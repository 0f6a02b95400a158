package main

import (
	"fmt"
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
		Long: `The feeds whose columns are built in, or the columns of one.

A feed is one kind of Zeek log and its topic. Other logs, and fields of your own, are feeds and columns too: their types
are found in their records.`,
		Example: "  brotally feeds\n" +
			"  brotally feeds dns\n" +
			"  brotally feeds conn -o csv",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(feedNames(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := print.check(); err != nil {
				return err
			}
			if len(args) == 0 {
				return print.print(p, feedColumns, feedRows())
			}
			f, ok := feeds.Lookup(args[0])
			if !ok {
				return &usageError{unknownFeed(args[0])}
			}
			return print.print(p, columnColumns, columnRows(f))
		},
	}
	print.register(cmd)
	return cmd
}

func feedNames() []string {
	var names []string
	for _, f := range feeds.All() {
		names = append(names, f.Name)
	}
	return names
}

func unknownFeed(name string) error {
	hint := sql.DidYouMean(name, feedNames())
	if hint == "" {
		hint = "built in are " + strings.Join(feedNames(), ", ")
	}
	return fmt.Errorf("no feed %s; %s", name, hint)
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
