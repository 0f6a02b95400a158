package main

import (
	"context"
	"errors"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/internal/metrics"
	"github.com/brotally/brotally/web"
)

// figuresOf is what is measured, for the page.
func figuresOf(m *metrics.Metrics) func() ([]web.Figure, error) {
	return func() ([]web.Figure, error) {
		measured, err := m.Figures()
		all := make([]web.Figure, len(measured))
		for i, f := range measured {
			all[i] = web.Figure(f)
		}
		return all, err
	}
}

// newestLetters reads the dead letters for the page: the whole topic, of which the last ones are kept.
func newestLetters(cfg kafka.Config) func(context.Context, int) ([]web.Letter, error) {
	return func(ctx context.Context, most int) ([]web.Letter, error) {
		admin, err := kafka.NewAdmin(ctx, cfg)
		if err != nil {
			return nil, err
		}
		defer admin.Close() //nolint:errcheck // nothing depends on it
		var newest []web.Letter
		var none *letters.NoTopic
		err = letters.Each(ctx, admin, cfg, func(l *letters.Letter) error {
			newest = append(newest, web.Letter{Place: l.Place(), Why: l.Why, Value: string(l.Value), Size: l.Size})
			if len(newest) > most {
				newest = newest[1:]
			}
			return nil
		})
		if errors.As(err, &none) {
			return nil, nil // nothing was ever wrong
		}
		return newest, err
	}
}
