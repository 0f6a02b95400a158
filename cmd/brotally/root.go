package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/brotally/brotally/tables/sql"
)

const rootHelp = `Brotally keeps live tables over Bro/Zeek logs in Kafka: counts, sums and averages by any columns,
exact after every crash, there for curl, for SQL and as a topic.

Start with brotally demo, which needs nothing but itself.

Settings come from flags, then from BROTALLY_* variables (--log-level is BROTALLY_LOG_LEVEL, -X sasl.password is
BROTALLY_X_SASL_PASSWORD), then from brotally.yaml, whose keys are the flags' names:

  brokers: [kafka1:9092, kafka2:9092]
  feeds:
    dns: [dns-sensor1, dns-sensor2]
  properties:
    security.protocol: sasl_ssl
    sasl.mechanism: SCRAM-SHA-256

Results go to standard output, everything else to standard error.
Exit codes: 0 fine, 1 failed, 2 usage or SQL, 3 no broker, 4 not allowed, 130 interrupted.`

// newRoot returns the command line of one invocation.
func newRoot(p *program) *cobra.Command {
	var s settings
	root := &cobra.Command{
		Use:           "brotally",
		Short:         "Live tables over Bro/Zeek logs in Kafka",
		Long:          rootHelp,
		Version:       versionText(),
		Args:          knownCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: "  brotally demo\n" +
			"  brotally try -e 'SELECT id.orig_h, qtype_name, count(*) AS n FROM dns GROUP BY id.orig_h, qtype_name' dns.log\n" +
			"  brotally run tables.sql -b kafka:9092",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if isCompletion(cmd) {
				return nil
			}
			unknown, err := s.layer(cmd, p.environ)
			if err != nil {
				return err
			}
			if p.log, err = s.logger(p.stderr, cmd); err != nil {
				return err
			}
			for _, warning := range unknown {
				p.log.Warn(warning)
			}
			p.started = true
			return nil
		},
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetGlobalNormalizationFunc(normalize)
	root.SetFlagErrorFunc(explainFlag)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveDefault)
	s.register(root)
	root.AddGroup(&cobra.Group{ID: "look", Title: "To look around, without any Kafka:"}, &cobra.Group{ID: "work", Title: "With your Kafka:"})
	for _, c := range []*cobra.Command{newDemo(p), newTry(p), newFeeds(p), newPlan(p)} {
		c.GroupID = "look"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newRun(p), newQuery(p), newWatch(p), newReplay(p), newVerify(p), newDeadLetters(p), newReset(p), newReady(p), newDoctor(p)} {
		c.GroupID = "work"
		root.AddCommand(c)
	}
	return root
}

// normalize lets flags be known by the names that Kafka's own tools have for them.
func normalize(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "bootstrap-server", "bootstrap-servers", "broker":
		name = "brokers"
	}
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}

// explainFlag adds the nearest flag to the error about one that does not exist, and leaves out what may be secret.
func explainFlag(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && invalid.GetFlag().Name == "property" {
		return fmt.Errorf("-X: %w", invalid.Unwrap()) // the value may be a password
	}
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) || len(missing.GetSpecifiedName()) < 2 {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := sql.Closest(missing.GetSpecifiedName(), names); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return err
}

// knownCommand refuses what is no subcommand.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if hint := sql.DidYouMean(args[0], names); hint != "" {
		return fmt.Errorf("no command %s; %s", args[0], hint)
	}
	return fmt.Errorf("no command %s; there are %s", args[0], strings.Join(names, ", "))
}

// isCompletion says whether cmd only serves a shell's completion, which wants no settings and no warnings.
func isCompletion(cmd *cobra.Command) bool {
	for c := cmd; c != nil; c = c.Parent() {
		if c.Name() == "completion" || c.Name() == cobra.ShellCompRequestCmd || c.Name() == cobra.ShellCompNoDescRequestCmd {
			return true
		}
	}
	return false
}

// levels are the names of log levels, as --log-level takes them.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
