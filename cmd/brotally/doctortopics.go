package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
)

func (d *doctor) loadCatalog(ctx context.Context) (map[string]kafka.Entry, error) {
	catalog, err := kafka.OpenCatalog(d.admin, d.cfg)
	if err != nil {
		return nil, err
	}
	return catalog.Load(ctx)
}

// checkCatalog reads the catalog. Without files, it says what there is to look at.
func (d *doctor) checkCatalog(ctx context.Context) {
	entries, err := d.loadCatalog(ctx)
	var denied *kafka.NotAllowed
	switch {
	case errors.As(err, &denied):
		d.findings = append(d.findings, finding{statusFail, "catalog", "cannot be read: " + denied.Right.String() + " is missing", "", true})
		return
	case err != nil:
		d.add(statusFail, "catalog", err.Error())
		return
	}
	d.entries = entries
	if d.subjects == nil {
		d.subjects = subjectsIn(entries)
	}
	for i, s := range d.subjects {
		if e, ok := entries[s.Name]; ok {
			d.subjects[i].entry = &e
		}
	}
	detail := count(int64(len(entries)), "definition")
	if len(entries) == 0 {
		detail = "empty: nothing has run yet"
	}
	d.add(statusOK, "catalog", detail+", in "+d.cfg.CatalogTopic())
}

// checkInputs looks at what is read: topics, how long they keep records, and the groups that read them.
func (d *doctor) checkInputs(ctx context.Context) {
	for _, topic := range d.inputs() {
		check := "input " + topic
		found, err := d.admin.Describe(topic)
		if err != nil {
			d.cannot(check, err)
			continue
		}
		t, there := found[topic]
		if !there {
			d.add(statusWarn, check, "there is no such topic: run waits for it", "Zeek's Kafka plugin makes it with its first record, where brokers let it; brotally replay --create-topics does, too")
			continue
		}
		d.checkInput(ctx, check, t)
	}
}

// checkInput looks at one topic that is there.
func (d *doctor) checkInput(ctx context.Context, check string, t kafka.Topic) {
	held, err := d.admin.Offsets(t.Name)
	if err != nil {
		d.cannot(check, err)
		return
	}
	records := int64(0)
	for _, r := range held[t.Name] {
		records += r.Newest - r.Oldest
	}
	before := len(d.findings)
	alter := func(setting string) string {
		return d.tool("kafka-configs") + " --alter --entity-type topics --entity-name " + t.Name + " --add-config " + setting
	}
	kept := "for how long cannot be seen without DescribeConfigs on the topic"
	if t.Config != nil {
		kept = "kept until deleted"
		if ms, err := strconv.ParseInt(t.Config["retention.ms"], 10, 64); err == nil && ms >= 0 {
			retention := time.Duration(ms) * time.Millisecond
			kept = "kept " + lasting(retention)
			if retention < shortTime {
				d.add(statusWarn, check, "keeps records for "+lasting(retention)+": what comes while nothing runs for longer is lost", alter("retention.ms=604800000"))
			}
		}
		if size, err := strconv.ParseInt(t.Config["retention.bytes"], 10, 64); err == nil && size >= 0 {
			kept += " and at most " + bytesText(size) + " a partition"
		}
		if t.Compacted() {
			d.add(statusFail, check, "is compacted: of records with one key all but the last disappear, uncounted if nobody was quick enough", alter("cleanup.policy=delete"))
		}
		kept += ", " + t.Config["message.timestamp.type"]
	}
	if records == 0 {
		d.add(statusWarn, check, "holds no record", "is Zeek writing to it? --feed says which topics carry a feed")
	}
	reading := d.checkReaders(ctx, check, t, held[t.Name])
	if len(d.findings) == before {
		d.add(statusOK, check, fmt.Sprintf("%s, %s, %s%s", count(int64(t.Partitions), "partition"), count(records, "offset"), kept, reading))
	}
}

// checkReaders looks at the groups that read an input. It returns what is to be said of them when all is well.
func (d *doctor) checkReaders(ctx context.Context, check string, t kafka.Topic, held map[int32]kafka.Range) (reading string) {
	seen := map[string]bool{}
	for _, s := range d.subjects {
		if s.entry == nil || !slices.Contains(s.FeedTopics(), t.Name) {
			continue
		}
		source, group := s.entry.Sources[t.Name], s.group(d.cfg, t.Name)
		if source.ID != "" && t.ID != "" && source.ID != t.ID {
			d.add(statusFail, check, fmt.Sprintf("was deleted and made again since %s %s read it", s.Kind, s.Name), "brotally reset "+s.Name)
		}
		if seen[group] {
			continue
		}
		seen[group] = true
		committed, members, err := d.groupOf(group)
		if err != nil {
			d.cannot(check, err)
			continue
		}
		behind, lost := int64(0), int64(0)
		for p, r := range held {
			from, ok := committed[t.Name][p]
			if !ok {
				from = max(source.Start[p], r.Oldest)
			}
			lost += max(r.Oldest-from, 0)
			behind += max(r.Newest-max(from, r.Oldest), 0)
		}
		if lost > 0 {
			d.add(statusWarn, check, fmt.Sprintf("group %s has lost %s to retention", group, count(lost, "offset")), "run more, or longer; keep records longer; brotally reset counts what is left anew")
		}
		reading += fmt.Sprintf("; %s: %s, %s behind", group, count(int64(members), "member"), count(behind, "offset"))
	}
	return reading
}

// groupOf returns what a group has committed and how many are in it.
func (d *doctor) groupOf(group string) (committed map[string]map[int32]int64, members int, err error) {
	in, err := d.admin.GroupMembers(group)
	if err != nil {
		return nil, 0, err
	}
	committed, err = d.admin.CommittedOffsets(group)
	return committed, len(in), err
}

// ownTopics returns the names of all topics that are ours.
func (d *doctor) ownTopics() []string {
	catalog, letters := processors.SharedTopics(d.cfg)
	all := []string{catalog.Name, letters.Name}
	for _, s := range d.subjects {
		for _, t := range processors.OwnTopics(d.cfg, s.Definition, s.own(), 0) {
			all = append(all, t.Name)
		}
	}
	return all
}

// checkDefinitions looks at the topics that belong to tables, streams and the app, and who keeps the tables.
func (d *doctor) checkDefinitions(ctx context.Context) {
	catalog, letters := processors.SharedTopics(d.cfg)
	d.checkOwn("app "+d.cfg.App, []kafka.Topic{catalog, letters}, false, "")
	for _, s := range d.subjects {
		check := string(s.Kind) + " " + s.Name
		known := s.entry != nil
		of := *s.Definition
		if known {
			of.Options.Topic, of.Options.Partitions = s.entry.Result, s.entry.Partitions
		}
		own := processors.OwnTopics(d.cfg, &of, s.own(), 0)
		keeping := ""
		if known && s.Kind == tables.KindTable {
			group, partials := d.cfg.TableGroup(s.own()), d.cfg.PartialsTopic(s.own())
			committed, members, err := d.groupOf(group)
			if err != nil {
				d.cannot(check, err)
				continue
			}
			keeping = fmt.Sprintf("; %s: %s", group, count(int64(members), "member"))
			if held, err := d.admin.Offsets(partials); err == nil {
				behind := int64(0)
				for p, r := range held[partials] {
					behind += max(r.Newest-1-max(committed[partials][p], r.Oldest), 0) // the last one is a commit's marker
				}
				keeping += ", " + count(behind, "offset") + " behind"
			}
		}
		d.checkOwn(check, own, known, keeping)
	}
}

// checkOwn compares topics of ours with how they must be. known says that all of them must be there.
func (d *doctor) checkOwn(check string, want []kafka.Topic, known bool, keeping string) {
	names := make([]string, len(want))
	for i, t := range want {
		names[i] = t.Name
	}
	there, err := d.admin.Describe(names...)
	if err != nil {
		d.cannot(check, err)
		return
	}
	before := len(d.findings)
	for _, w := range want {
		have, ok := there[w.Name]
		if !ok {
			if known {
				d.add(statusFail, check, "has lost its topic "+w.Name, "brotally reset "+strings.TrimPrefix(strings.TrimPrefix(check, "table "), "stream ")+" and run counts anew")
			}
			continue
		}
		if w.Partitions == 0 {
			w.Partitions = have.Partitions // as many as the input had
		}
		var differs *kafka.TopicMismatch
		if err := d.admin.Check(w, have); errors.As(err, &differs) {
			d.add(statusFail, check, fmt.Sprintf("topic %s: %s is %s, not %s", w.Name, differs.What, differs.Have, differs.Want), differs.Mend)
		}
		if n, err := strconv.ParseInt(have.Config["min.insync.replicas"], 10, 16); err == nil && int16(n) > have.Replication {
			d.add(statusFail, check, fmt.Sprintf("topic %s: min.insync.replicas is %d, of %s: nothing can be written", w.Name, n, count(int64(have.Replication), "replica")),
				fmt.Sprintf("%s --alter --entity-type topics --entity-name %s --add-config min.insync.replicas=%d", d.tool("kafka-configs"), w.Name, have.Replication))
		}
		if have.Replication == 1 && len(d.cluster.Brokers) > 1 {
			d.add(statusWarn, check, fmt.Sprintf("topic %s has one replica, on one broker of %d", w.Name, len(d.cluster.Brokers)), "kafka-reassign-partitions gives it more")
		}
	}
	if len(d.findings) > before {
		return
	}
	if len(there) == 0 {
		d.add(statusOK, check, "not there yet: run makes "+strings.Join(names, ", "))
		return
	}
	d.add(statusOK, check, strings.Join(slices.Sorted(maps.Keys(there)), ", ")+" as they must be"+keeping)
}

// checkTransactions looks for transactions that nobody ends: readers of committed records stop before them.
func (d *doctor) checkTransactions(ctx context.Context) {
	topics := map[string]int32{}
	found, err := d.admin.Describe(slices.Concat(d.ownTopics(), d.inputs())...)
	if err != nil {
		d.cannot("transactions", err)
		return
	}
	for name, t := range found {
		topics[name] = t.Partitions
	}
	open, err := d.inspect.OpenTransactions(ctx, topics)
	if err != nil {
		d.cannot("transactions", err)
		return
	}
	hanging := 0
	for _, o := range open {
		if time.Since(o.Last) < longestOpen {
			continue
		}
		hanging++
		d.add(statusFail, "transactions", fmt.Sprintf("%s/%d is held up at offset %d, since %s, by producer %d", o.Topic, o.Partition, o.Offset, o.Last.UTC().Format(time.RFC3339), o.ProducerID),
			fmt.Sprintf("%s abort --topic %s --partition %d --start-offset %d", d.tool("kafka-transactions"), o.Topic, o.Partition, o.Offset))
	}
	if hanging == 0 {
		d.add(statusOK, "transactions", fmt.Sprintf("%d open, none for long", len(open)))
	}
}
