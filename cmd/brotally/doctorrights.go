package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

// subject is a table or stream that the doctor looks at: defined in a file, or in the catalog.
type subject struct {
	*tables.Definition
	entry *kafka.Entry // what the catalog has of it; nil for nothing
}

func subjectsOf(defined []*tables.Definition) []subject {
	all := make([]subject, len(defined))
	for i, d := range defined {
		all[i].Definition = d
	}
	return all
}

// subjectsIn returns what the catalog has. Of their definitions only what names topics is filled in.
func subjectsIn(entries map[string]kafka.Entry) (all []subject) {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		d := &tables.Definition{Name: name, Kind: tables.Kind(cmp.Or(e.Kind, string(tables.KindTable)))}
		d.Options.Topic, d.Options.FeedTopics, d.Options.Partitions = e.Result, e.FeedTopics(), e.Partitions
		all = append(all, subject{d, &e})
	}
	return all
}

// group returns the consumer group that reads a topic for the subject, as far as it is decided.
func (s subject) group(cfg kafka.Config, topic string) string {
	if s.entry != nil && s.entry.Sources[topic].Pass != "" {
		return cfg.CombineGroup(s.entry.Sources[topic].Pass)
	}
	return cfg.CombineGroup(topic)
}

// own is what the topics and the group of the subject's rows are named after.
func (s subject) own() string {
	if s.entry != nil {
		return s.entry.Own()
	}
	return s.Name
}

// definitions returns the definitions of all subjects.
func (d *doctor) definitions() []*tables.Definition {
	all := make([]*tables.Definition, len(d.subjects))
	for i, s := range d.subjects {
		all[i] = s.Definition
	}
	return all
}

// purpose is something that takes rights.
type purpose struct {
	what   string
	rights []kafka.Right
}

// purposes returns what each thing takes in addition to those before it.
func (d *doctor) purposes() []purpose {
	look := []kafka.Right{{Operation: "Describe", Kind: kafka.KindCluster}, {Operation: "DescribeConfigs", Kind: kafka.KindCluster}}
	for _, topic := range d.inputs() {
		look = append(look, kafka.Right{Operation: "DescribeConfigs", Kind: kafka.KindTopic, Name: topic})
	}
	return []purpose{
		{"brotally run", processors.Rights(d.cfg, d.definitions())},
		{"brotally doctor, to see all", look},
		{"brotally reset, and run --auto-approve where it drops something", processors.ResetRights(d.definitions())},
	}
}

// inputs returns the topics that the subjects read, each once.
func (d *doctor) inputs() (all []string) {
	for _, s := range d.subjects {
		for _, topic := range s.FeedTopics() {
			if !slices.Contains(all, topic) {
				all = append(all, topic)
			}
		}
	}
	return all
}

// resources returns what is there, or is to be, of the subjects and the app.
func (d *doctor) resources() (r kafka.Resources) {
	catalog, letters := processors.SharedTopics(d.cfg)
	r.Topics, r.IDs = []string{catalog.Name, letters.Name}, []string{catalog.Name}
	group := func(name string) {
		if !slices.Contains(r.Groups, name) {
			r.Groups, r.IDs = append(r.Groups, name), append(r.IDs, name+"-"+d.cfg.Instance)
		}
	}
	for _, s := range d.subjects {
		for _, topic := range processors.OwnTopics(d.cfg, s.Definition, s.own(), 0) {
			r.Topics = append(r.Topics, topic.Name)
		}
		for _, topic := range s.FeedTopics() {
			group(s.group(d.cfg, topic))
		}
		if s.Kind == tables.KindTable {
			group(d.cfg.TableGroup(s.own()))
		}
	}
	return r
}

// checkRights looks for rights that running takes.
func (d *doctor) checkRights(ctx context.Context) {
	if d.inspect.Unguarded(ctx) {
		d.add(statusOK, "rights", "everybody may do everything: the cluster has no authorizer")
		return
	}
	rights := processors.Rights(d.cfg, d.definitions())
	missing, untold, err := d.inspect.Missing(ctx, d.cluster, rights, d.resources())
	if err != nil {
		d.cannot("rights", err)
		return
	}
	for _, together := range kafka.Lines(missing) {
		d.findings = append(d.findings, finding{statusFail, "rights", "missing: " + kafka.Describe(together), d.grantLine(together), true})
	}
	if len(untold) > 0 {
		var on []string
		for _, together := range kafka.Lines(untold) {
			on = append(on, kafka.Describe(together))
		}
		d.add(statusUnknown, "rights", "cannot be told before there are such topics: "+strings.Join(on, "; "))
	}
	if len(missing) == 0 && len(untold) == 0 {
		d.add(statusOK, "rights", fmt.Sprintf("%s has all %d that running takes", d.inspect.Principal(), len(rights)))
	}
}

// grantLine is the line that gives rights, which are those of one of [kafka.Lines]. Where the cluster asks who one is, an administrator has a file
// that says so.
func (d *doctor) grantLine(together []kafka.Right) string {
	principal := d.user
	switch {
	case principal == "" && d.inspect != nil:
		principal = d.inspect.Principal()
	case principal == "":
		if conf, err := d.cfg.Sarama(); err == nil {
			principal = kafka.Principal(conf)
		}
	case !strings.Contains(principal, ":"):
		principal = "User:" + principal
	}
	return d.tool("kafka-acls") + " " + kafka.Grant(principal, together...)
}

// tool is how one of Kafka's tools reaches the cluster.
func (d *doctor) tool(name string) string {
	s := name + " --bootstrap-server " + strings.Join(d.cfg.Brokers, ",")
	if d.cfg.TLS.Enable || d.cfg.SASL.Mechanism != "" {
		s += " --command-config admin.properties"
	}
	return s
}
