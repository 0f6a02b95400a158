package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/output"
)

func newDoctor(p *program) *cobra.Command {
	d := &doctor{program: p}
	cmd := &cobra.Command{
		Use:   "doctor [TABLES.sql..]",
		Short: "Look whether a cluster is fit for Brotally: brokers, rights, topics, retention, clock, disk",
		Long: `Look whether brokers, rights, topics and what runs are as they must be for the definitions of some files, or for those that
run. It changes nothing. Each line is a check: ok, warn (it works, but see), fail (it does not), or ? where we may not see it;
below it what to do about it. Exit codes: 0 unless something fails, 4 when only rights are missing, else 1.

--acls prints, instead, the lines that give somebody the rights that it takes, and asks no broker where there are files.`,
		Example: "  brotally doctor -b kafka:9092\n" +
			"  brotally doctor tables.sql -b kafka:9093 --tls -X sasl.mechanism=SCRAM-SHA-512 -X sasl.username=brotally\n" +
			"  brotally doctor --acls --user User:brotally tables.sql -b kafka:9093 | sh",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"sql"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	d.conn.register(cmd)
	d.feeds.register(cmd)
	d.print.register(cmd)
	cmd.Flags().BoolVar(&d.acls, "acls", false, "print the lines of kafka-acls that it takes to run, look at and reset the definitions")
	cmd.Flags().StringVar(&d.user, "user", "", "`PRINCIPAL` that --acls is for: User:brotally (default who we log in as)")
	mark(cmd.Flags(), "acls", onlyFlag)
	mark(cmd.Flags(), "user", onlyFlag)
	return cmd
}

// doctor is one look at a cluster.
type doctor struct {
	*program
	conn  connection
	feeds feedFlag
	print printing
	acls  bool
	user  string

	cfg      kafka.Config
	admin    *kafka.Admin
	inspect  *kafka.Inspector
	cluster  kafka.Cluster
	subjects []subject
	entries  map[string]kafka.Entry // of the catalog; nil when it cannot be read

	findings []finding
}

// status is what came of a check. The order is that of gravity.
type status string

const (
	statusOK      status = "ok"
	statusUnknown status = "?"
	statusWarn    status = "warn"
	statusFail    status = "fail"
)

// finding is one line of the screen.
type finding struct {
	status status
	check  string // what was looked at
	detail string
	wayOut string // one command or sentence a line; empty if there is nothing to do
	right  bool   // it is about rights alone
}

func (d *doctor) add(s status, check, detail string, wayOut ...string) {
	d.findings = append(d.findings, finding{status: s, check: check, detail: detail, wayOut: strings.Join(wayOut, "\n")})
}

// cannot notes that a check could not be made. Where rights are missing for it that is no failure: running does not need them.
func (d *doctor) cannot(check string, err error) {
	var denied *kafka.NotAllowed
	if errors.As(err, &denied) && denied.Right != (kafka.Right{}) {
		var give []string
		if denied.Right.Kind == kafka.KindCluster { // what else is missing, the check of rights says
			give = []string{d.grantLine([]kafka.Right{denied.Right})}
		}
		d.add(statusUnknown, check, "cannot be seen without "+denied.Right.String(), give...)
		return
	}
	d.add(statusFail, check, err.Error())
}

func (d *doctor) run(ctx context.Context, files []string) error {
	err := d.print.check()
	if err != nil {
		return err
	}
	if d.cfg, err = d.conn.config(); err != nil {
		return err
	}
	if d.user != "" && !d.acls {
		return &usageError{errors.New("--user is for --acls: who we are is what we log in as")}
	}
	if d.acls {
		return d.printRights(ctx, files)
	}
	if d.subjects, err = d.fromFiles(ctx, files); err != nil {
		return err
	}
	if d.admin, err = kafka.NewAdmin(ctx, d.cfg); err != nil {
		return err
	}
	defer d.admin.Close() //nolint:errcheck // nothing depends on it
	if d.inspect, err = kafka.NewInspector(d.cfg); err != nil {
		return err
	}
	defer d.inspect.Close()
	if d.cluster, err = d.inspect.Cluster(ctx); err != nil {
		return err
	}
	for _, check := range []func(context.Context){
		d.checkBrokers, d.checkSecurity, d.checkClock, d.checkSettings, d.checkCatalog, d.checkRights,
		d.checkInputs, d.checkDefinitions, d.checkTransactions, d.checkDisks,
	} {
		check(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := d.show(); err != nil {
		return err
	}
	return d.verdict()
}

// fromFiles returns what the files define.
func (d *doctor) fromFiles(ctx context.Context, files []string) ([]subject, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pl := &planning{program: d.program, conn: d.conn, feeds: d.feeds, online: !d.acls}
	defined, err := pl.compile(ctx, d.cfg, files)
	if err != nil {
		return nil, err
	}
	return subjectsOf(defined.All()), nil
}

// verdict is nil unless something fails.
func (d *doctor) verdict() error {
	failed, rights := 0, 0
	for _, f := range d.findings {
		if f.status == statusFail {
			failed++
			if f.right {
				rights++
			}
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed == rights:
		return &rightsError{fmt.Errorf("%s of %d %s: rights are missing", thousands(int64(failed)), len(d.findings), failing(failed))}
	}
	return fmt.Errorf("%s of %d %s", thousands(int64(failed)), len(d.findings), failing(failed))
}

func failing(n int) string {
	if n == 1 {
		return "checks fails"
	}
	return "checks fail"
}

// rightsError says that nothing but rights is missing.
type rightsError struct{ error }

// show prints the findings. For people, what to do stands below a line, so that it can be pasted.
func (d *doctor) show() error {
	if d.print.effective(d.program) != output.Table {
		rows := make([][]feeds.Value, len(d.findings))
		for i, f := range d.findings {
			rows[i] = []feeds.Value{feeds.StringValue(string(f.status)), feeds.StringValue(f.check), feeds.StringValue(f.detail), orNull(f.wayOut)}
		}
		return d.print.print(d.program, []output.Column{{Name: "status", Type: text}, {Name: "check", Type: text}, {Name: "detail", Type: text}, {Name: "way_out", Type: text}}, rows)
	}
	widest := 0
	for _, f := range d.findings {
		widest = max(widest, len(output.Printable(f.check)))
	}
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", f.status, widest, output.Printable(f.check), output.Printable(f.detail))
		for line := range strings.Lines(f.wayOut) {
			fmt.Fprintf(&b, "%*s%s\n", 4+2+widest+2, "", output.Printable(strings.TrimSuffix(line, "\n")))
		}
	}
	_, err := fmt.Fprint(d.stdout, b.String())
	return err
}

// printRights prints the lines of kafka-acls.
func (d *doctor) printRights(ctx context.Context, files []string) (err error) {
	if d.subjects, err = d.fromFiles(ctx, files); err != nil {
		return err
	}
	if len(files) == 0 {
		if d.admin, err = kafka.NewAdmin(ctx, d.cfg); err != nil {
			return err
		}
		defer d.admin.Close() //nolint:errcheck // nothing depends on it
		if d.entries, err = d.loadCatalog(ctx); err != nil {
			return err
		}
		if d.subjects = subjectsIn(d.entries); len(d.subjects) == 0 {
			return &usageError{fmt.Errorf("rights for what? Name files: app %s has no tables or streams yet", d.cfg.App)}
		}
	}
	var rows [][]feeds.Value
	for _, p := range d.purposes() {
		if d.print.format == "" {
			fmt.Fprintln(d.stdout, "# "+p.what)
		}
		for _, together := range kafka.Lines(p.rights) {
			line := d.grantLine(together)
			if d.print.format == "" {
				fmt.Fprintln(d.stdout, output.Printable(line))
				continue
			}
			for _, r := range together {
				pattern := "literal"
				if r.Prefixed {
					pattern = "prefixed"
				}
				rows = append(rows, []feeds.Value{feeds.StringValue(p.what), feeds.StringValue(r.Operation), feeds.StringValue(r.Kind), orNull(r.Name), feeds.StringValue(pattern), feeds.StringValue(d.grantLine([]kafka.Right{r}))})
			}
		}
	}
	if d.print.format == "" {
		return nil
	}
	return d.print.print(d.program, []output.Column{{Name: "purpose", Type: text}, {Name: "operation", Type: text}, {Name: "resource", Type: text},
		{Name: "name", Type: text}, {Name: "pattern", Type: text}, {Name: "command", Type: text}}, rows)
}
