package main

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

//go:embed twelve.sql
var elevenTables string

// many counts one backlog into twelve tables, and into one of them alone.
func (b *bench) many(ctx context.Context) error {
	l := dnsLaw(b.Records)
	want, err := b.load(ctx, l)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s records of %s", thousands(float64(l.records)), l.name)
	for r := range b.Runs {
		for _, c := range []struct{ name, others string }{{"one table", ""}, {"twelve tables", elevenTables}} {
			took, err := b.countInto(ctx, c.others, l, want)
			if err != nil {
				return err
			}
			n := float64(l.records)
			b.note("many", title, c.name, r, values{perSecond: n / took.seconds, cpuPerMillion: took.cpu / n * 1e6, peakRSS: took.peak})
		}
	}
	return nil
}

// addUp says what n adds up to in the tables that take records by what is known of them. The rest are HAVING's, or go by
// what the law's counts do not tell.
func addUp(want map[string]int64, records int64) map[string]int64 {
	all := map[string]int64{"domains": records}
	for group, n := range want {
		if _, qtype, _ := strings.Cut(group, "|"); qtype == "" {
			all["domains"] -= n // they have no query
		}
	}
	for _, table := range []string{"tunnels", "answers", "resolvers", "talkers", "first_seen", "rare_types", "sensor_health"} {
		all[table] = records
	}
	return all
}

// cost is what one run took.
type cost struct {
	seconds float64 // from the start of the process to the last count
	cpu     float64 // seconds
	peak    float64 // MiB
}

// countInto counts the backlog into dns_counts and other tables, until HTTP shows every record in every table. Counts that
// are not exact are an error.
func (b *bench) countInto(ctx context.Context, others string, l law, want map[string]int64) (took cost, failed error) {
	j := b.job("brotally", l.topic(), int64(l.records))
	defer b.done(ctx, j, &failed)
	ctx, cancel := context.WithTimeout(ctx, mostMinutes*time.Minute)
	defer cancel()
	var tables []string
	for _, line := range strings.Split(others, "\n") {
		if rest, ok := strings.CutPrefix(line, "CREATE TABLE "); ok {
			tables = append(tables, strings.Fields(rest)[0])
		}
	}
	definitions := countsTable(j.result) + others
	for _, table := range tables {
		definitions = strings.Replace(definitions, "CREATE TABLE "+table+" AS", fmt.Sprintf("CREATE TABLE %s WITH (topic = '%s-%s') AS", table, j.app, table), 1)
	}
	cmd, err := b.brotallyWith(j.app, "bench", j.topic, definitions)
	if err != nil {
		return took, err
	}
	s := b.brotally()
	w := b.watch(ctx, s, j.result, nil)
	defer func() { cancel(); <-w.done }()
	p, err := start("brotally-"+j.app, b.dir, cmd)
	if err != nil {
		return took, err
	}
	i := &instance{process: p}
	defer i.end()
	ctx, alive := i.watch(ctx)
	defer alive()
	at, err := w.wait(ctx, j.records)
	if err != nil {
		return took, err
	}
	for _, table := range append(tables, "dns_counts") {
		served, err := i.reached(ctx, table, j.topic, j.records)
		if err != nil {
			return took, err
		}
		if served.After(at) {
			at = served
		}
	}
	cpu, peak := i.used()
	if err := difference("the result topic", want, w.groups()); err != nil {
		return took, err
	}
	got, err := i.counts(ctx)
	if err == nil {
		err = difference("HTTP", want, got)
	}
	if err != nil {
		return took, err
	}
	for table, n := range addUp(want, j.records) {
		if !slices.Contains(tables, table) {
			continue
		}
		have, err := i.number(ctx, "SELECT sum(n) AS n FROM "+table)
		if err != nil {
			return took, err
		}
		if have != n {
			return took, fmt.Errorf("HTTP is not exact: %s has %d records, want %d", table, have, n)
		}
	}
	return cost{at.Sub(i.started).Seconds(), cpu, peak}, nil
}
