package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/letters"
	"github.com/brotally/brotally/web"
)

// sampleBytes is how much of a dead letter the page gets.
const sampleBytes = 2 << 10

// lettersRead is among how many of the last offsets of the dead-letter topic the page finds its newest ones: a topic that has millions
// is not read from its beginning for a page.
const lettersRead = 10_000

// lettersOf reads the newest dead letters of each topic, for the page.
func lettersOf(cfg kafka.Config) func(context.Context, int) ([]web.Letter, error) {
	return func(ctx context.Context, most int) ([]web.Letter, error) {
		admin, err := kafka.NewAdmin(ctx, cfg)
		if err != nil {
			return nil, err
		}
		defer admin.Close() //nolint:errcheck // nothing depends on it
		byTopic := map[string][]web.Letter{}
		err = letters.Last(ctx, admin, cfg, lettersRead, func(x *letters.Letter) error {
			of := append(byTopic[x.Topic], web.Letter{Topic: x.Topic, Partition: x.Partition, Offset: x.Offset, At: x.At, Why: x.Why,
				Value: string(bytes.ToValidUTF8(x.Value[:min(len(x.Value), sampleBytes)], []byte("\uFFFD"))), Size: x.Size, Missed: x.Names()})
			byTopic[x.Topic] = of[max(0, len(of)-most):]
			return nil
		})
		var nothingRan *letters.NoTopic
		if err != nil && !errors.As(err, &nothingRan) {
			return nil, err
		}
		var all []web.Letter
		for _, of := range byTopic {
			all = append(all, of...)
		}
		slices.SortFunc(all, func(a, b web.Letter) int {
			return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(b.Offset, a.Offset))
		})
		return all, nil
	}
}

// membersOf asks who is in consumer groups, for the page.
func membersOf(cfg kafka.Config) func(context.Context, []string) ([]web.Member, error) {
	return func(ctx context.Context, groups []string) ([]web.Member, error) {
		admin, err := kafka.NewAdmin(ctx, cfg)
		if err != nil {
			return nil, err
		}
		defer admin.Close() //nolint:errcheck // nothing depends on it
		self, err := cfg.Resolve()
		if err != nil {
			return nil, err
		}
		var all []web.Member
		for _, group := range groups {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			members, err := admin.GroupMembers(group)
			if err != nil {
				return nil, err
			}
			for _, m := range members {
				all = append(all, web.Member{Group: group, Name: cmp.Or(m.Instance, m.Client, m.ID), Host: strings.TrimPrefix(m.Host, "/"), Partitions: m.Claims,
					Here: m.Instance == group+"-"+self.Instance})
			}
		}
		return all, nil
	}
}
