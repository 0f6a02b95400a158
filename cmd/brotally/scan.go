package main

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/output"
)

// scanChunk is how many rows a scan holds that need not be held.
const scanChunk = 10_000

// scan prints the records of the logs as a SELECT without aggregates shows them. Nothing is counted, so no broker is
// needed: they go through the decoder alone.
func (t *try) scan(ctx context.Context, s *scanned) error {
	start := time.Now()
	columns := make([]output.Column, len(s.show.Columns))
	for i, c := range s.show.Columns {
		columns[i] = output.Column{Name: c.Name, Type: c.Type}
	}
	w, err := t.print.writer(t.program)
	if err != nil {
		return err
	}
	if err := w.Header(columns); err != nil {
		return err
	}
	end := t.showProgress("reading", func() (int64, int64, string) { return t.logs.read.Load(), t.logs.bytes, "" })
	defer end()
	var counts codecs.Counts
	records, failed := t.decoded(ctx, s, &counts)
	rows, err := t.selected(s, records, w.Row)
	if err = errors.Join(err, *failed); err != nil {
		return err
	}
	end()
	if err := w.Close(); err != nil {
		return err
	}
	t.sayMissing([]string{s.feed.Name})
	t.summary("", rows, counts, false)
	t.sayLogs(start)
	return nil
}

// decoded goes over the feed's records in the logs. A row is valid until the next. failed is set when it ends early.
func (t *try) decoded(ctx context.Context, s *scanned, counts *codecs.Counts) (rows iter.Seq[[]feeds.Value], failed *error) {
	failed = new(error)
	layout := &feeds.Layout{Feed: s.feed.Name, Columns: slices.Clone(s.show.Inputs)}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	return func(yield func([]feeds.Value) bool) {
		*failed = t.logs.each(ctx, t.say, func(feed string, record []byte) error {
			if feed != s.feed.Name {
				return nil
			}
			counts.Read++
			err := decoder.Decode(record, &rec)
			switch {
			case errors.Is(err, codecs.ErrOtherFeed):
				counts.OtherFeed++
				return nil
			case err != nil:
				counts.DeadLettered++
				return nil
			}
			counts.Counted++
			counts.BadFields += int64(rec.BadFields)
			if !yield(rec.Values) {
				return errEnough
			}
			return nil
		})
	}, failed
}

// selected gives the rows of the answer to do and returns how many there are. A SELECT that orders or limits its rows has
// to see them together; any other is answered piece by piece, so that logs of any size can be shown.
func (t *try) selected(s *scanned, records iter.Seq[[]feeds.Value], do func([]feeds.Value) error) (n int64, err error) {
	answer := func(records iter.Seq[[]feeds.Value]) error {
		rows, err := s.show.Run(records, nil)
		if err != nil {
			return err
		}
		for _, row := range rows.Values {
			if err := do(row); err != nil {
				return err
			}
		}
		n += int64(len(rows.Values))
		return nil
	}
	q := s.stmt
	if len(q.OrderBy) > 0 || q.Distinct != nil || q.Limit != nil || q.Offset != nil {
		err = answer(records)
		return n, err
	}
	next, stop := iter.Pull(records)
	defer stop()
	for more := true; more && err == nil; {
		err = answer(func(yield func([]feeds.Value) bool) {
			for range scanChunk {
				var row []feeds.Value
				if row, more = next(); !more || !yield(row) {
					return
				}
			}
		})
	}
	return n, err
}
