package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views/client"
)

func newQuery(p *program) *cobra.Command {
	q := &querying{program: p}
	cmd := &cobra.Command{
		Use:   "query 'SELECT ..'",
		Short: "Look up rows of a table through a running server",
		Long: `Look up rows of a table through the server of run or demo.

A look-up is a SELECT over a table: WHERE, GROUP BY, ORDER BY, LIMIT and OFFSET, with the functions that tables have. One
that names a value for each group column reads one row, whatever the table's size; EXPLAIN before it says whether it
does. What the answer reflects, an offset of each source partition, goes to standard error.`,
		Example: "  brotally query 'SELECT * FROM dns_counts ORDER BY count DESC LIMIT 10'\n" +
			"  brotally query \"SELECT count FROM dns_counts WHERE id.orig_h = '10.0.0.1' AND qtype_name = 'A'\" -o csv\n" +
			"  brotally query 'SELECT id.orig_h, sum(count) AS n FROM dns_counts GROUP BY 1 ORDER BY n DESC' --server http://10.1.2.3:8080\n" +
			"  brotally query \"EXPLAIN SELECT count FROM dns_counts WHERE id.orig_h = '10.0.0.1'\"",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return q.run(cmd.Context(), args[0]) },
	}
	f := cmd.Flags()
	q.reach.register(f, "how long to wait for the answer")
	f.BoolVar(&q.quiet, "quiet", false, "do not say what the answer reflects")
	q.print.register(cmd)
	return cmd
}

// querying is one look-up.
type querying struct {
	*program
	reach
	print printing
	quiet bool
}

func (q *querying) run(ctx context.Context, text string) error {
	if err := q.print.check(); err != nil {
		return err
	}
	c, err := q.client()
	if err != nil {
		return err
	}
	defer c.HTTP.CloseIdleConnections()
	c.NoRetry = true // who types can type again; a script says itself how long it waits
	rows, err := c.Query(ctx, text)
	if err != nil {
		return q.reason(err)
	}
	columns, values, err := typed(rows)
	if err != nil {
		return err
	}
	if err := q.print.print(q.program, columns, values); err != nil {
		return err
	}
	if !q.quiet {
		q.say("%s", reflects(rows))
	}
	return nil
}

// typed returns an answer as values of its columns' types.
func typed(rows *client.Rows) ([]output.Column, [][]feeds.Value, error) {
	columns := make([]output.Column, len(rows.Columns))
	for i, c := range rows.Columns {
		t, ok := feeds.ParseType(c.Type)
		if !ok {
			t = feeds.T(feeds.String) // of a newer server; its text is better than nothing
		}
		columns[i] = output.Column{Name: c.Name, Type: t}
	}
	values := make([][]feeds.Value, len(rows.Values))
	for i, row := range rows.Values {
		values[i] = make([]feeds.Value, len(columns))
		for j, cell := range row {
			v, err := typedValue(cell, columns[j].Type)
			if err != nil {
				return nil, nil, fmt.Errorf("row %d of the answer: %s: %w", i+1, columns[j].Name, err)
			}
			values[i][j] = v
		}
	}
	return columns, values, nil
}

// typedValue reads a value that [feeds.Value.AppendJSON] wrote.
func typedValue(cell json.RawMessage, t feeds.Type) (feeds.Value, error) {
	if string(cell) == "null" {
		return feeds.NullValue, nil
	}
	text := string(cell)
	if len(cell) > 0 && cell[0] == '"' {
		if err := json.Unmarshal(cell, &text); err != nil {
			return feeds.Value{}, err
		}
	}
	switch t.Kind {
	case feeds.String:
		return feeds.StringValue(text), nil
	case feeds.Interval: // seconds
		seconds, err := strconv.ParseFloat(text, 64)
		return feeds.IntervalValue(seconds), err
	case feeds.Array:
		var cells []json.RawMessage
		if err := json.Unmarshal(cell, &cells); err != nil {
			return feeds.Value{}, err
		}
		list := make([]feeds.Value, len(cells))
		for i, c := range cells {
			var err error
			if list[i], err = typedValue(c, feeds.T(t.Elem)); err != nil {
				return feeds.Value{}, err
			}
		}
		return feeds.ArrayValue(list), nil
	}
	return tables.ParseValue(text, t)
}

// reflects says what an answer holds.
func reflects(rows *client.Rows) string {
	text := count(int64(rows.Len()), "row")
	var offsets []string
	for _, topic := range slices.Sorted(maps.Keys(rows.Meta.AsOf)) {
		for _, partition := range slices.Sorted(maps.Keys(rows.Meta.AsOf[topic])) {
			offsets = append(offsets, fmt.Sprintf("%s/%d:%d", topic, partition, rows.Meta.AsOf[topic][partition]))
		}
	}
	if len(offsets) > 0 {
		text += ", as of " + strings.Join(offsets, " ")
	}
	if t := rows.Meta.EventTime; t != nil {
		text += ", newest record " + t.UTC().Format("2006-01-02T15:04:05Z")
	}
	if rows.Meta.Partial {
		text += "; the table is being restored, rows are missing"
	}
	for _, a := range rows.Meta.Approximate {
		text += "; " + approximate(a.Column, len(a.Rows))
	}
	return text
}

// approximate says that values of a column are estimates.
func approximate(column string, rows int) string {
	return fmt.Sprintf("%s is approximate in %s", column, count(int64(rows), "row"))
}
