package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// present is what a cluster has already of some definitions, and what run would do about them. A nil one knows nothing.
type present struct {
	steps  []processors.Step
	topics map[string]kafka.Topic
}

// lookAround asks the brokers. It changes nothing.
func lookAround(ctx context.Context, cfg kafka.Config, defined *tables.Definitions) (*present, error) {
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	p := &present{}
	if p.steps, err = processors.Plan(ctx, admin, cfg, defined); err != nil {
		return nil, err
	}
	registry, letters := processors.SharedTopics(cfg)
	names := []string{registry.Name, letters.Name}
	for _, d := range defined.All() {
		names = append(names, d.FeedTopics()...)
		for _, own := range processors.OwnTopics(cfg, d, p.own(d), 0) {
			names = append(names, own.Name)
		}
	}
	p.topics, err = admin.Describe(names...)
	return p, err
}

// step returns what run would do about something that is defined.
func (p *present) step(d *tables.Definition) (s processors.Step, ok bool) {
	if p == nil {
		return s, false
	}
	i := slices.IndexFunc(p.steps, func(s processors.Step) bool { return s.Name == d.Name })
	return p.steps[i], true
}

// own is what the topics of a definition's rows are named after.
func (p *present) own(d *tables.Definition) string {
	if s, ok := p.step(d); ok {
		return s.Own
	}
	return d.Name
}

// partitions returns how many the topics of a feed have, the most of any; 0 when none of them is there.
func (p *present) partitions(topics []string) (n int32) {
	if p == nil {
		return 0
	}
	for _, name := range topics {
		n = max(n, p.topics[name].Partitions)
	}
	return n
}

// topic says whether a topic is there.
func (p *present) topic(name string) string {
	if t, there := p.topics[name]; there {
		return "it is there, with " + count(int64(t.Partitions), "partition")
	}
	return "it would be made"
}

// stepText says what run would do.
func stepText(s processors.Step) string {
	text := string(s.Action) + ": " + s.Why
	if s.Action == processors.Build || s.Action == processors.Rebuild {
		text += "; " + count(s.Read, "record") + " to read"
		if s.Bytes > 0 {
			text += ", " + byteSize(s.Bytes)
		}
		if s.Read > 0 {
			text += ", about " + roughly(s.Read)
		}
	}
	if s.Action == processors.Rebuild {
		text += "; until then it answers as before"
	}
	if len(s.Deletes) > 0 {
		text += "; deletes " + strings.Join(s.Deletes, ", ")
	}
	if s.Loses != "" {
		text += "; LOSES " + s.Loses + ": run wants --auto-approve"
	}
	return text
}

// byteSize writes a number of bytes for people.
func byteSize(n int64) string {
	const units = "KMGTP"
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, u := float64(n)/(1<<10), 0
	for f >= 1<<10 && u < len(units)-1 {
		f, u = f/(1<<10), u+1
	}
	return fmt.Sprintf("%.3g %ciB", f, units[u])
}
