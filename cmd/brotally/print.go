package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
)

// printing is the flags of commands that print results.
type printing struct {
	format string
	null   string
}

func (f *printing) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.format, "output", "o", "", "table, json, ndjson, csv, tsv, zeek or arrow (default table on a terminal, else ndjson)")
	cmd.Flags().StringVar(&f.null, "null", "", "`TEXT` for NULL in csv and tsv (default nothing, and the empty string is quoted)")
	names := make([]string, len(output.Formats))
	for i, name := range output.Formats {
		names[i] = string(name)
	}
	complete(cmd, "output", names...)
}

// check returns an error when the flags cannot be used.
func (f *printing) check() error {
	if f.format == "" {
		return nil
	}
	if _, err := output.ParseFormat(f.format); err != nil {
		return &usageError{err}
	}
	return nil
}

// errBinary says that a terminal cannot show a format.
var errBinary = errors.New("arrow is no text: write it to a file or a pipe, with > FILE")

// effective returns the format: as said, else by what standard output is.
func (f *printing) effective(p *program) output.Format {
	if f.format != "" {
		return output.Format(f.format)
	}
	if _, isTerminal := terminal(p.stdout); isTerminal {
		return output.Table
	}
	return output.NDJSON
}

// writer returns a writer to standard output.
func (f *printing) writer(p *program) (output.Writer, error) {
	columns, isTerminal := terminal(p.stdout)
	if isTerminal && f.effective(p) == output.Arrow {
		return nil, &usageError{errBinary}
	}
	return output.New(p.stdout, f.effective(p), output.Options{Null: f.null, Terminal: isTerminal, Width: columns})
}

// print writes a whole result.
func (f *printing) print(p *program, columns []output.Column, rows [][]feeds.Value) error {
	w, err := f.writer(p)
	if err != nil {
		return err
	}
	if err := w.Header(columns); err != nil {
		return err
	}
	for _, row := range rows {
		if err := w.Row(row); err != nil {
			return err
		}
	}
	return w.Close()
}
