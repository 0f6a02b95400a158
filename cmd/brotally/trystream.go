package main

import (
	"context"
	"fmt"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/tables"
)

// printStream prints the records of a stream as they lie on its topic, and returns how many there are. It holds one at a time.
func (t *try) printStream(ctx context.Context, cfg kafka.Config, s *tables.Stream) (n int64, err error) {
	w, err := t.print.writer(t.program)
	if err != nil {
		return 0, err
	}
	columns, layout := make([]output.Column, len(s.Columns)), &feeds.Layout{}
	for i, c := range s.Columns {
		columns[i] = output.Column{Name: c.Name, Type: c.Type}
		layout.Columns = append(layout.Columns, feeds.Column{Name: c.Name, Type: c.Type})
	}
	if err := w.Header(columns); err != nil {
		return 0, err
	}
	decoder, rec := codecs.NewJSON(layout), feeds.Record{}
	err = eachRecord(ctx, cfg, s.Topic(), func(value []byte) error {
		if err := decoder.DecodeRow(value, &rec); err != nil {
			return fmt.Errorf("a record of stream %s: %w", s.Name, err)
		}
		if rec.BadFields > 0 {
			return fmt.Errorf("a record of stream %s has %d fields of another type than they were written as", s.Name, rec.BadFields)
		}
		n++
		return w.Row(rec.Values)
	})
	if err != nil {
		return n, err
	}
	return n, w.Close()
}

// eachRecord gives do the values of all committed records of a topic, partition by partition. A topic that does not exist has
// none: so it is with a stream that had nothing to read.
func eachRecord(ctx context.Context, cfg kafka.Config, topic string, do func(value []byte) error) error {
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	there, err := admin.Describe(topic)
	if err != nil || len(there) == 0 {
		return err
	}
	if err := admin.Client().RefreshMetadata(topic); err != nil {
		return err
	}
	for partition := range there[topic].Partitions {
		r, err := kafka.NewReader(ctx, kafka.ReaderConfig{Client: admin.Client(), Topic: topic, Partition: partition})
		if err != nil {
			return err
		}
		_, err = r.Recover(ctx, func(_ int64, _, value []byte, _ int64) error { return do(value) })
		if closed := r.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}
