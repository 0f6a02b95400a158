package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/internal/verify"
	"github.com/brotally/brotally/tables/sql"
)

func newVerify(p *program) *cobra.Command {
	v := &verifying{program: p}
	cmd := &cobra.Command{
		Use:   "verify TABLE..|--all",
		Short: "Count tables anew from their source and compare",
		Long: `Count tables anew from their source topics, and compare each row with what the table has.

Nothing is written, and the pipeline may go on meanwhile: each partition of the table's changelog says how far it reflects each
partition of its source, and the recount is cut just there. It also compares what became of the records, by source partition. What
differs is printed, and the exit code is 1. The rows are in memory twice; where that is more than --memory, some partitions of the table
at a time, and the source is read for each.

It cannot be done when the source does not hold all records any more that were counted, nor for tables with a TTL. Columns that
depend on what came first (top_k, array_agg, late) are left out and named; approx_percentile may be a fiftieth off.`,
		Example: "  brotally verify dns_counts\n" +
			"  brotally verify --all -b kafka:9092 --app staging\n" +
			"  brotally verify dns_counts -o json --most 1000",
		RunE: func(cmd *cobra.Command, args []string) error {
			if v.all == (len(args) > 0) {
				return &usageError{fmt.Errorf("verify which tables? Name them, or say --all")}
			}
			return v.run(cmd.Context(), args)
		},
	}
	v.conn.register(cmd)
	v.print.register(cmd)
	cmd.Flags().BoolVar(&v.all, "all", false, "all tables of the app")
	cmd.Flags().IntVar(&v.most, "most", 20, "rows that differ to print of each table; all are counted")
	cmd.Flags().IntVar(&v.megabytes, "memory", 1024, "`MIB` that rows and their recount may take at a time; with more, the source is read several times")
	mark(cmd.Flags(), "all", onlyFlag)
	return cmd
}

// verifying is one verify.
type verifying struct {
	*program
	conn  connection
	print printing
	all   bool
	most  int

	megabytes int
}

func (v *verifying) run(ctx context.Context, names []string) error {
	if err := v.print.check(); err != nil {
		return err
	}
	cfg, err := v.conn.config()
	if err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	catalog, err := kafka.OpenCatalog(admin, cfg)
	if err != nil {
		return err
	}
	entries, err := catalog.Load(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			if e := entries[name]; e.Kind == "" && !e.Dropped {
				names = append(names, name)
			}
		}
	}
	c := verify.Config{Admin: admin, Kafka: cfg, Most: v.most, Memory: int64(v.megabytes) << 20}
	schemas, err := v.conn.registryClient(v.log)
	if err != nil {
		return err
	}
	if schemas != nil {
		defer schemas.Close()
		c.Schemas = schemas
	}
	var rows [][]feeds.Value
	var failed []error
	for _, name := range names {
		e, known := entries[name]
		if !known {
			return unknownTable(cfg, name, slices.Sorted(maps.Keys(entries)))
		}
		c.Entry = e
		report, err := v.table(ctx, c)
		var impossible *verify.Impossible
		switch {
		case errors.As(err, &impossible):
			failed = append(failed, err)
			continue
		case err != nil:
			return err
		}
		rows = append(rows, differing(name, report)...)
		if !report.Fine() {
			failed = append(failed, fmt.Errorf("%s is not what its source gives: %s", name, wrong(report)))
		}
	}
	if len(rows) > 0 {
		if err := v.print.print(v.program, differingColumns, rows); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// unknownTable says that the app has no such table.
func unknownTable(cfg kafka.Config, name string, known []string) error {
	hint := sql.DidYouMean(name, known)
	switch {
	case len(known) == 0:
		hint = "it has none"
	case hint == "":
		hint = "it has " + strings.Join(known, ", ")
	}
	return fmt.Errorf("app %s has no table %s; %s", cfg.App, name, hint)
}

// table verifies one table, and says how it went.
func (v *verifying) table(ctx context.Context, c verify.Config) (*verify.Report, error) {
	run, err := verify.New(c)
	if err != nil {
		return nil, err
	}
	end := v.showProgress("recounting "+c.Entry.Table, func() (int64, int64, string) {
		done, total := run.Progress()
		return done, total, count(done, "record")
	})
	report, err := run.Compare(ctx)
	end()
	if err != nil {
		return nil, err
	}
	var parts []string
	if report.Left > 0 {
		parts = append(parts, count(report.Left, "row")+" compared by their records alone: some came too late, or are above MAX GROUPS, or the row goes")
	}
	if len(report.Skipped) > 0 {
		parts = append(parts, "left out as they depend on what came first: "+strings.Join(report.Skipped, ", "))
	}
	verdict := "equal"
	if !report.Fine() {
		verdict = "do not all equal"
	}
	text := fmt.Sprintf("%s: %s %s a recount of %s, as of %s", c.Entry.Table, count(report.Rows, "row"), verdict, count(report.Records, "record"), asOf(report.AsOf))
	v.say("%s", strings.Join(append([]string{text}, parts...), "; "))
	return report, nil
}

// asOf writes offsets as "dns/0:41 dns/1:17".
func asOf(offsets map[codecs.Source]int64) string {
	var parts []string
	for source, next := range offsets {
		parts = append(parts, fmt.Sprintf("%s:%d", source, next))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// wrong says in words how much differs.
func wrong(r *verify.Report) string {
	var parts []string
	if r.Differ > 0 {
		parts = append(parts, count(r.Differ, "row"))
	}
	if len(r.Counts) > 0 {
		parts = append(parts, count(int64(len(r.Counts)), "count")+" of records")
	}
	return strings.Join(parts, " and ") + " differ"
}

var differingColumns = []output.Column{
	{Name: "table", Type: feeds.T(feeds.String)}, {Name: "partition", Type: feeds.T(feeds.String)}, {Name: "key", Type: feeds.T(feeds.String)},
	{Name: "column", Type: feeds.T(feeds.String)}, {Name: "recounted", Type: feeds.T(feeds.String)}, {Name: "has", Type: feeds.T(feeds.String)},
}

// differing is what a report has found, a row each.
func differing(name string, r *verify.Report) (rows [][]feeds.Value) {
	add := func(cells ...string) {
		row := make([]feeds.Value, len(cells))
		for i, cell := range cells {
			if row[i] = feeds.StringValue(cell); cell == "" {
				row[i] = feeds.NullValue
			}
		}
		rows = append(rows, row)
	}
	for _, d := range r.Rest {
		add(name, fmt.Sprint(d.Partition), strings.Join(d.Key, "  "), d.Column, d.Recounted, d.Table)
	}
	for _, d := range r.Counts {
		add(name, d.Source.String(), "", d.What, fmt.Sprint(d.Recounted), fmt.Sprint(d.Table))
	}
	return rows
}
