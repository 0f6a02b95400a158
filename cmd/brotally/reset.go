package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables/sql"
)

func newReset(p *program) *cobra.Command {
	var (
		conn         connection
		all, execute bool
	)
	cmd := &cobra.Command{
		Use:   "reset NAME..|--all",
		Short: "Forget tables and streams: delete their topics, groups and catalog entries",
		Long: `Forget tables and streams, so that run computes them anew from the beginning, or under another definition.

Lists what would be deleted; --execute deletes it. Nothing can be reset while an instance runs it. The topics that Zeek
writes are never touched, and a group that reads them for other tables too stays as it is.`,
		Example: "  brotally reset dns_counts\n" +
			"  brotally reset dns_counts --execute\n" +
			"  brotally reset --all --execute -b kafka:9092 --app staging",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return &usageError{fmt.Errorf("reset which tables or streams? Name them, or say --all")}
			}
			cfg, err := conn.config()
			if err != nil {
				return err
			}
			return p.reset(cmd.Context(), cfg, args, execute)
		},
	}
	conn.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all tables and streams of the app")
	cmd.Flags().BoolVar(&execute, "execute", false, "do it")
	mark(cmd.Flags(), "all", onlyFlag)
	mark(cmd.Flags(), "execute", onlyFlag)
	return cmd
}

// reset forgets the named tables, all if there is no name.
func (p *program) reset(ctx context.Context, cfg kafka.Config, names []string, execute bool) error {
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	catalog, err := kafka.OpenCatalog(admin, cfg)
	if err != nil {
		return err
	}
	entries, err := catalog.Load(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if names = slices.Sorted(maps.Keys(entries)); len(names) == 0 {
			p.say("app %s has no tables or streams", cfg.App)
			return nil
		}
	}
	remains, err := findRemains(admin, cfg, entries, names)
	if err != nil {
		return err
	}
	r, err := planReset(cfg, entries, remains, names)
	if err != nil {
		return err
	}
	if err := r.refuseRunning(admin, names); err != nil {
		return err
	}
	there, err := admin.Describe(r.topics...)
	if err != nil {
		return err
	}
	r.topics = slices.DeleteFunc(r.topics, func(t string) bool { _, ok := there[t]; return !ok })
	p.tellReset(r, catalog.Topic(), execute)
	if !execute {
		p.say("nothing was changed; --execute does it")
		return nil
	}
	return r.execute(ctx, admin, catalog)
}

// resetPlan is what is to be deleted.
type resetPlan struct {
	tables []string // and streams, with entries in the catalog
	topics []string
	groups []string
	shared map[string][]string // groups that stay, with the tables they stay for
}

// findRemains returns the topics of the named tables that the catalog does not know: run refuses to take them over.
func findRemains(admin *kafka.Admin, cfg kafka.Config, entries map[string]kafka.Entry, names []string) (map[string][]string, error) {
	remains := map[string][]string{}
	for _, name := range names {
		if _, ok := entries[name]; ok || !beginsTopics(name) {
			continue
		}
		there, err := admin.Describe(cfg.PartialsTopic(name), cfg.ChangelogTopic(name))
		if err != nil {
			return nil, err
		}
		if len(there) > 0 {
			remains[name] = slices.Sorted(maps.Keys(there))
		}
	}
	return remains, nil
}

// planReset finds out what belongs to the named tables alone.
func planReset(cfg kafka.Config, entries map[string]kafka.Entry, remains map[string][]string, names []string) (*resetPlan, error) {
	r := &resetPlan{shared: map[string][]string{}}
	for _, name := range names {
		if topics := remains[name]; len(topics) > 0 {
			if group := cfg.TableGroup(name); !slices.Contains(r.groups, group) {
				r.topics = append(r.topics, topics...)
				r.groups = append(r.groups, group)
			}
			continue
		}
		if _, ok := entries[name]; !ok {
			known := slices.Sorted(maps.Keys(entries))
			hint := sql.DidYouMean(name, known)
			switch {
			case len(known) == 0:
				hint = "it has none"
			case hint == "":
				hint = "there are " + strings.Join(known, ", ")
			}
			return nil, &usageError{fmt.Errorf("app %s has no table or stream %s; %s", cfg.App, name, hint)}
		}
		if !slices.Contains(r.tables, name) {
			r.tables = append(r.tables, name)
		}
	}
	for _, name := range r.tables {
		topics, groups, passes := processors.Belongings(cfg, entries[name])
		r.topics, r.groups = append(r.topics, topics...), append(r.groups, groups...)
		for _, pass := range passes {
			group := cfg.CombineGroup(pass)
			if others := sharing(entries, pass, r.tables); len(others) > 0 {
				r.shared[group] = others
			} else if !slices.Contains(r.groups, group) {
				r.groups = append(r.groups, group)
			}
		}
	}
	return r, nil
}

// sharing returns the tables of a pass that are not among those to be reset.
func sharing(entries map[string]kafka.Entry, pass string, reset []string) []string {
	var others []string
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if _, _, passes := processors.Belongings(kafka.Config{}, entries[name]); slices.Contains(passes, pass) && !slices.Contains(reset, name) {
			others = append(others, name)
		}
	}
	return others
}

// refuseRunning returns *[kafka.GroupInUse] while an instance runs one of the tables, or could send partials for it.
func (r *resetPlan) refuseRunning(admin *kafka.Admin, names []string) error {
	for _, group := range append(slices.Clone(r.groups), slices.Sorted(maps.Keys(r.shared))...) {
		members, err := admin.GroupMembers(group)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			return fmt.Errorf("%w; stop them first (one that was killed is gone after %v)", &kafka.GroupInUse{Op: "reset " + strings.Join(names, ", ") + ": group " + group, Group: group, Members: members}, kafka.SessionTimeout)
		}
	}
	return nil
}

func (p *program) tellReset(r *resetPlan, catalog string, execute bool) {
	verb := "would delete"
	if execute {
		verb = "deleting"
	}
	tell := func(what, name string) {
		fmt.Fprintln(p.stdout, output.Printable(fmt.Sprintf("%s %s %s", verb, what, name)))
	}
	for _, t := range r.topics {
		tell("topic", t)
	}
	for _, g := range r.groups {
		tell("group", g)
	}
	for _, t := range r.tables {
		tell("catalog entry", catalog+": "+t)
	}
	for _, g := range slices.Sorted(maps.Keys(r.shared)) {
		fmt.Fprintln(p.stdout, output.Printable(fmt.Sprintf("keeping group %s, which reads for %s too", g, strings.Join(r.shared[g], ", "))))
	}
}

// execute deletes. The catalog's entries go last: as long as they are there, a reset that broke off can be repeated.
func (r *resetPlan) execute(ctx context.Context, admin *kafka.Admin, catalog *kafka.Catalog) error {
	if err := admin.DeleteGroups(r.groups...); err != nil {
		return err
	}
	if err := admin.DeleteTopics(r.topics...); err != nil {
		return err
	}
	return catalog.Update(ctx, func(entries map[string]kafka.Entry) (map[string]*kafka.Entry, error) {
		changes := map[string]*kafka.Entry{}
		for _, t := range r.tables {
			if _, ok := entries[t]; ok {
				changes[t] = nil
			}
		}
		return changes, nil
	})
}
