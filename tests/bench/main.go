// Bench measures Brotally beside other programs that do the same, on one real Kafka broker, and writes what it finds as
// Markdown and JSON. docs/BENCHMARKS.md says what the figures mean; make bench runs it:
//
//	make bench
//	make bench PARTS="throughput latency" PEERS="kstreams-eos flink-minibatch"
//	make bench RECORDS=200000 RUNS=1
//
// Every run is checked: if a count is not exact, the benchmark fails and says how it differs.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// config is what the flags say.
type config struct {
	Parts    []string
	Peers    []string
	Kit      string // folder of the peers kit
	Topics   []string
	Axes     []string // along which growth is measured
	Records  int      // of each topic with a backlog
	Rows     int      // of the table that is looked up and restored
	Runs     int
	Rates    []int         // records a second
	Sustain  time.Duration // how long a rate, or a load of look-ups, is kept up
	Brokers  string        // empty: our own broker
	Out      string        // folder of the results; relative to the repository
	Charts   string        // folder of growth's charts; relative to the repository
	Base     string        // commit; empty: the pieces are not compared
	Match    string        // regular expression: which benchmarks of the pieces
	Packages []string

	BenchTime string
}

// bench is one run of the whole.
type bench struct {
	config
	root    string // the repository
	dir     string // for what is thrown away
	binary  string // brotally
	brokers string
	admin   *kadm.Client
	report  report

	loaded map[string]map[string]int64 // exact counts of the topics that are there
	rows   *rowsTable                  // once there is one
	pinned bool                        // servers get one core, the last one
	jobs   int
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == bareCommand {
		fail(serveBare(os.Args[2], os.Args[3]))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 6 && os.Args[1] == hammerCommand {
		fail(hammerMain(ctx, os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
		return
	}
	cfg, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	fail(err)
	fail(measure(ctx, cfg))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// allParts are what can be measured, in the order in which it is.
var allParts = []string{"throughput", "latency", "lookups", "restore", "members", "many", "flood", "expire", "wrk", "growth", "pieces"}

func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	words := func(to *[]string, def, name, usage string) {
		*to = strings.Fields(def)
		f.Func(name, usage+fmt.Sprintf(" (default %q)", def), func(text string) error { *to = strings.Fields(text); return nil })
	}
	var rates []string
	words(&c.Parts, "throughput latency lookups restore members many", "parts", "what to measure: "+strings.Join(allParts, ", "))
	words(&c.Peers, "", "peers", "other programs: "+strings.Join(peerNames, ", "))
	words(&c.Topics, "dns dns_hc", "topics", "backlogs: dns, dns_hc")
	words(&c.Axes, strings.Join(allAxes, " "), "axes", "along which growth is measured: "+strings.Join(allAxes, ", "))
	words(&rates, "500 20000", "rates", "records a second whose latency is measured")
	words(&c.Packages, "./...", "packages", "whose benchmarks are pieces")
	f.StringVar(&c.Kit, "kit", cmp.Or(os.Getenv("BROTALLY_PEERS"), "../shared/peers"), "`folder` of the peers kit; BROTALLY_PEERS sets it, too")
	f.IntVar(&c.Records, "records", 5_000_000, "of each backlog; of growth the most")
	f.IntVar(&c.Rows, "rows", 0, "of the table that is looked up and restored (default a fifth of the records)")
	f.IntVar(&c.Runs, "runs", 3, "of everything")
	f.DurationVar(&c.Sustain, "seconds", 0, "how long a rate, or a load of look-ups, is kept up (default 3s to 30s, by records)")
	f.StringVar(&c.Brokers, "brokers", "", "`host:port` of a broker (default one of our own, on KAFKA_PORT or 9392)")
	f.StringVar(&c.Out, "out", "tests/bench/results", "`folder` for the results")
	f.StringVar(&c.Charts, "charts", "docs/images", "`folder` for growth's charts")
	f.StringVar(&c.Base, "base", "", "`commit` with which the pieces are compared")
	f.StringVar(&c.Match, "match", ".", "`regexp`: which benchmarks of the pieces")
	f.StringVar(&c.BenchTime, "benchtime", "", "of the pieces, as go test has it")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("what is %s? see -help", f.Arg(0))
	}
	for _, text := range rates {
		rate, err := strconv.Atoi(text)
		if err != nil || rate <= 0 {
			return c, fmt.Errorf("-rates: %s is no rate", text)
		}
		c.Rates = append(c.Rates, rate)
	}
	for _, list := range []struct {
		flag       string
		given, are []string
	}{{"parts", c.Parts, allParts}, {"peers", c.Peers, peerNames}, {"topics", c.Topics, []string{"dns", "dns_hc"}}, {"axes", c.Axes, allAxes}} {
		for _, name := range list.given {
			if !slices.Contains(list.are, name) {
				return c, fmt.Errorf("-%s: no %s, there are %s", list.flag, name, strings.Join(list.are, ", "))
			}
		}
	}
	if c.Records < 1000 || c.Runs < 1 {
		return c, fmt.Errorf("-records is at least 1000, -runs at least 1")
	}
	if c.Rows == 0 {
		c.Rows = min(c.Records/5, 1_000_000)
	}
	if c.Rows > 1_000_000 {
		return c, fmt.Errorf("-rows is at most 1000000: an answer over HTTP has no more")
	}
	if c.Sustain == 0 {
		c.Sustain = min(max(time.Duration(c.Records/150_000)*time.Second, 3*time.Second), 30*time.Second)
	}
	return c, nil
}

// command is how to have the same again.
func (c *config) command() string {
	text := fmt.Sprintf("make bench PARTS=%q PEERS=%q TOPICS=%q RECORDS=%d ROWS=%d RUNS=%d RATES=%q SECONDS=%v",
		strings.Join(c.Parts, " "), strings.Join(c.Peers, " "), strings.Join(c.Topics, " "), c.Records, c.Rows, c.Runs, strings.Trim(fmt.Sprint(c.Rates), "[]"), c.Sustain)
	if slices.Contains(c.Parts, "growth") {
		text += fmt.Sprintf(" AXES=%q", strings.Join(c.Axes, " "))
	}
	if c.Base != "" {
		text = fmt.Sprintf("make bench-compare BASE=%s RUNS=%d MATCH=%q", c.Base, c.Runs, c.Match)
	}
	return text
}

// measure does all parts and writes the report.
func measure(ctx context.Context, c config) (failed error) {
	b := &bench{config: c, loaded: map[string]map[string]int64{}}
	top, err := run(ctx, ".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	b.root = strings.TrimSpace(top)
	if !filepath.IsAbs(b.Kit) {
		b.Kit = filepath.Join(b.root, b.Kit)
	}
	if !filepath.IsAbs(b.Out) {
		b.Out = filepath.Join(b.root, b.Out)
	}
	if !filepath.IsAbs(b.Charts) {
		b.Charts = filepath.Join(b.root, b.Charts)
	}
	if b.report, err = b.newReport(ctx, time.Now()); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "brotally-bench-"); err != nil {
		return err
	}
	defer func() {
		if failed != nil {
			b.say("what the programs wrote is in %s", b.dir)
			return
		}
		failed = os.RemoveAll(b.dir)
	}()
	if slices.ContainsFunc(b.Parts, func(part string) bool { return part != "pieces" }) {
		stop, err := b.setUp(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	parts := map[string]func(context.Context) error{"throughput": b.throughput, "latency": b.latency, "lookups": b.lookups, "restore": b.restore, "members": b.members, "many": b.many, "flood": b.flood, "expire": b.expire, "wrk": b.wrk, "growth": b.growth, "pieces": b.pieces}
	for _, part := range allParts {
		if !slices.Contains(b.Parts, part) {
			continue
		}
		if err := parts[part](ctx); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	file, err := b.report.write(b.Out)
	if err != nil {
		return err
	}
	fmt.Print(b.report.markdown())
	b.say("written to %s", file)
	return nil
}

// setUp builds the program and finds a broker. stop undoes it.
func (b *bench) setUp(ctx context.Context) (stop func(), err error) {
	b.binary = filepath.Join(b.dir, "brotally")
	if _, err := run(ctx, b.root, "go", "build", "-o", b.binary, "./cmd/brotally"); err != nil {
		return nil, err
	}
	down, err := b.broker(ctx)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers), kgo.MetadataMinAge(metadataAge))
	if err != nil {
		down()
		return nil, err
	}
	b.admin = kadm.NewClient(client)
	return func() {
		ctx := context.WithoutCancel(ctx)
		if b.rows != nil {
			var none error
			b.done(ctx, b.rows.job, &none)
		}
		if b.Brokers != "" {
			// Ours keeps the backlogs for the next time.
			if err := b.remove(ctx, func(topic string) bool { _, ours := b.loaded[topic]; return ours }); err != nil {
				b.say("%v", err)
			}
		}
		b.admin.Close()
		down()
	}, nil
}

// job makes up names for one.
func (b *bench) job(system, topic string, records int64) job {
	b.jobs++
	app := fmt.Sprintf("bench%d-%s-%d", os.Getpid(), system, b.jobs)
	return job{app: app, topic: topic, result: app + "-counts", records: records}
}

// done removes what a job has left on the broker, after its processes have ended. After a failure it stays, to be looked at.
func (b *bench) done(ctx context.Context, j job, failed *error) {
	if *failed != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	*failed = errors.Join(b.forget(ctx, j.app), os.RemoveAll(filepath.Join(b.dir, j.app)))
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: %s\n", fmt.Sprintf(format, args...))
}
