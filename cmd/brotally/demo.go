package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/examples"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/metrics"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/internal/traffic"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/web"
)

const (
	demoPartitions = 4
	demoTable      = "dns_counts" // the notebook's table, which is compared key by key

	// A minute of traffic is there at the start, so that there is something to see; less when that would take its time.
	demoHistory        = time.Minute
	demoHistoryRecords = 50_000

	// demoRetention is what a partition of a feed keeps, so that a demo left alone does not fill the disk.
	demoRetention = 32 << 20

	demoPatience = 30 * time.Second // for the last records to be counted
)

func newDemo(p *program) *cobra.Command {
	d := &demo{program: p}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Broker, traffic, tables and page in one command; prints what to try",
		Long: `Start a Kafka broker, a made-up office network that Zeek would see, tables over its logs, HTTP and the page, all in this
process, and say what to try. Any Kafka client can join in.

Ctrl-C stops the traffic, waits until all of it is counted, and compares the table with what the network says it sent.`,
		Example: "  brotally demo\n" +
			"  brotally demo --rate 5000 --seed 7 --duration 1m",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.portGiven, d.pgPortGiven, d.brokerPortGiven = cmd.Flags().Changed("port"), cmd.Flags().Changed("pg-port"), cmd.Flags().Changed("broker-port")
			return d.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Float64Var(&d.rate, "rate", 500, "records a second, of all feeds")
	f.Uint64Var(&d.seed, "seed", 1, "another seed is another network")
	f.DurationVar(&d.duration, "duration", 0, "stop after so long (0: at Ctrl-C)")
	f.IntVar(&d.port, "port", 8080, "port of HTTP and the page; another one if it is taken")
	f.IntVar(&d.pgPort, "pg-port", 5432, "port for PostgreSQL's clients; another one if it is taken")
	f.IntVar(&d.brokerPort, "broker-port", 9092, "port of the Kafka broker; another one if it is taken")
	return cmd
}

// demo is one demo.
type demo struct {
	*program
	rate            float64
	seed            uint64
	duration        time.Duration
	port            int
	portGiven       bool
	pgPort          int
	pgPortGiven     bool
	brokerPort      int
	brokerPortGiven bool

	kafka   kafka.Config
	defined []*tables.Table
	streams []*tables.Stream
	views   *views.Views
	network *traffic.Network
	sender  *replay.Sender
	tally   traffic.Tally // of what was sent; of the sending goroutine until that has ended
	sent    atomic.Int64
}

func (d *demo) run(ctx context.Context) error {
	began := time.Now()
	if err := d.prepare(began); err != nil {
		return err
	}
	b, err := d.startBroker()
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // a folder of the temporary folder at worst
	d.kafka = kafka.Config{Brokers: b.Addrs(), App: "brotally", Instance: "demo"}
	l, err := d.listen(d.port, "--port", d.portGiven)
	if err != nil {
		return err
	}
	pg, err := d.listen(d.pgPort, "--pg-port", d.pgPortGiven)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer pg.Close() //nolint:errcheck // of one that was never served
	if err := d.createTopics(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	if d.views, err = views.New(views.Config{Kafka: d.kafka, Tables: d.defined, Streams: d.streams, Log: d.log}); err != nil {
		return errors.Join(err, l.Close())
	}
	built, _ := build()
	m := metrics.New(built)
	stages, err := processors.New(processors.Config{Kafka: d.kafka, Tables: d.defined, Streams: d.streams, Committed: m.Committed, Log: d.log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	m.Processors(stages)
	m.Views(d.views)
	if d.sender, err = replay.NewSender(ctx, replay.SenderConfig{Kafka: d.kafka}); err != nil {
		return errors.Join(err, l.Close())
	}
	server := serving{}
	postgres, err := server.postgres(d.program, d.views)
	if err != nil {
		return errors.Join(err, l.Close(), d.sender.Close())
	}
	d.guide("http://"+l.Addr().String(), postgresURL(pg))

	// Ctrl-C ends the traffic alone: everything else goes on until all of it is counted.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, life := errgroup.WithContext(life)
	g.Go(func() error { return stages.Run(life) })
	g.Go(func() error { return d.views.Run(life) })
	handler, site := server.handler(d.program, d.views, m, web.Config{Brokers: d.kafka.Brokers, Postgres: postgresURL(pg), Letters: newestLetters(d.kafka)})
	g.Go(func() error { return site.Run(life) })
	g.Go(func() error { return views.Serve(life, l, handler, d.log) })
	g.Go(func() error { return postgres.Serve(life, pg) })
	g.Go(func() error { return d.firstCounts(life, began) })
	g.Go(func() error {
		defer end()
		stop := d.showProgress("running", d.state)
		err := d.send(ctx, life)
		stop()
		if err != nil {
			return err
		}
		return d.settle(life)
	})
	err = g.Wait()
	return errors.Join(err, d.sender.Close())
}

// prepare makes the network and compiles the tables.
func (d *demo) prepare(now time.Time) error {
	if d.rate <= 0 {
		return &usageError{fmt.Errorf("--rate %g: want more than 0", d.rate)}
	}
	history := min(demoHistory.Seconds(), demoHistoryRecords/max(d.rate, 1))
	var err error
	d.network, err = traffic.New(traffic.Config{Seed: d.seed, Rate: d.rate, Start: now.Add(-time.Duration(history * float64(time.Second)))})
	if err != nil {
		return &usageError{fmt.Errorf("--rate: %w", err)}
	}
	defs := &definitions{}
	for _, folder := range []fs.FS{examples.Tables, examples.Streams} {
		files, err := fs.Glob(folder, "*/*.sql")
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := fs.ReadFile(folder, file)
			if err != nil {
				return err
			}
			if err := defs.parse(file, string(text)); err != nil {
				return err
			}
		}
	}
	all, err := defs.compile(feeds.Lookup, nil)
	if err != nil {
		return err
	}
	d.defined, d.streams = all.Tables, all.Streams
	return nil
}

// startBroker starts the broker on its port, or on another one when nobody asked for that.
func (d *demo) startBroker() (*broker.Broker, error) {
	b, err := broker.Start(broker.Config{Addr: local(d.brokerPort), Temporary: true})
	var taken *broker.PortInUse
	if errors.As(err, &taken) && !d.brokerPortGiven {
		return broker.Start(broker.Config{Temporary: true})
	}
	if taken != nil {
		err = fmt.Errorf("%w; --broker-port says another one", err)
	}
	return b, err
}

// listen begins to listen on the port of a flag, or on another one when nobody asked for that.
func (d *demo) listen(port int, flag string, given bool) (net.Listener, error) {
	l, err := views.Listen(views.ListenConfig{Addr: local(port)})
	var taken *views.PortInUse
	if errors.As(err, &taken) && !given {
		return views.Listen(views.ListenConfig{Addr: local(0)})
	}
	if taken != nil {
		err = fmt.Errorf("%w; %s says another one", err, flag)
	}
	return l, err
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (d *demo) createTopics(ctx context.Context) error {
	admin, err := kafka.NewAdmin(ctx, d.kafka)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	for _, feed := range traffic.Feeds() {
		err := admin.Ensure(kafka.Topic{Name: feed, Partitions: demoPartitions, Config: map[string]string{"retention.bytes": strconv.Itoa(demoRetention)}})
		if err != nil {
			return err
		}
	}
	return nil
}

// guide says what is there and what to try.
func (d *demo) guide(url, postgres string) {
	brokers := strings.Join(d.kafka.Brokers, ",")
	names := make([]string, len(d.defined))
	for i, t := range d.defined {
		names[i] = t.Name
	}
	streams := ""
	for i, s := range d.streams {
		if i == 0 {
			streams = "\n  streams"
		}
		streams += " " + s.Name
	}
	server := ""
	if url != "http://"+views.DefaultAddr {
		server = " --server " + url
	}
	fmt.Fprintf(d.stderr, `An office network at work, as Zeek would log it: about %g records a second, seed %d.

  page    %s/
  Kafka   %s
  feeds   %s
  tables  %s%s

In another terminal:

  brotally query 'SELECT * FROM dns_counts ORDER BY count DESC LIMIT 10'%s
  brotally watch dns_counts%s
  psql %s -c '\dt'
  curl '%s/api/v1/tables/dns_counts/rows?order=-count&limit=10'
  kafka-console-consumer --bootstrap-server %s --topic dns_counts --from-beginning --isolation-level read_committed
  kcat -b %s -C -t dns -o end

Hidden in the traffic:

`, d.rate, d.seed, url, brokers, strings.Join(traffic.Feeds(), " "), strings.Join(names, " "), streams, server, server, postgres, url, brokers, brokers)
	for _, s := range d.network.Scenes() {
		fmt.Fprintf(d.stderr, "  %-8s%s\n", s.Name, s.Doc)
	}
	fmt.Fprint(d.stderr, "\nCtrl-C stops it and compares what was counted with what was sent.\n\n")
}

// firstCounts says how long it took until there was something to see.
func (d *demo) firstCounts(ctx context.Context, began time.Time) error {
	view, _ := d.views.View(demoTable)
	if err := view.WaitForAll(ctx, 1); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	d.say("first counts after %.1f s", time.Since(began).Seconds())
	return nil
}

// state is what the line on the terminal shows.
func (d *demo) state() (done, total int64, note string) {
	view, _ := d.views.View(demoTable)
	return 0, 0, fmt.Sprintf("%s sent, %s has %s over %s",
		count(d.sent.Load(), "record"), demoTable, count(int64(view.Len()), "row"), count(view.Counts().Counted, "record"))
}

// send has the network send its history at once, then in real time, until ctx is done, the duration is over, or life ends.
func (d *demo) send(ctx, life context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(life, stop)()
	if d.duration > 0 {
		defer time.AfterFunc(d.duration, stop).Stop()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		m := d.network.Next()
		if wait := time.Until(m.Time); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		}
		if err := d.sender.Send(life, m.Feed, m.Value); err != nil {
			return err
		}
		d.tally.Add(m)
		d.sent.Add(1)
	}
	return nil
}

// settle waits until everything that was sent is counted, and compares.
func (d *demo) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("not counted within %v", demoPatience))
	defer cancel()
	if err := d.sender.Flush(ctx); err != nil {
		return err
	}
	ends := map[string]map[codecs.Source]int64{}
	for topic, partitions := range d.sender.Sent() {
		ends[topic] = map[codecs.Source]int64{}
		for partition, sent := range partitions {
			ends[topic][codecs.Source{Topic: topic, Partition: partition}] = sent.End
		}
	}
	var sent, counted int64
	for _, t := range d.defined {
		view, _ := d.views.View(t.Name)
		if err := view.WaitFor(ctx, ends[t.Feed.Name]); err != nil {
			return err
		}
		c := view.Counts()
		fmt.Fprintf(d.stdout, "%s: sent %s of %s, counted %s in %s\n", t.Name, count(d.tally.Sent(t.Feed.Name), "record"), t.Feed.Name,
			thousands(c.Counted), count(int64(view.Len()), "row"))
		sent += d.tally.Sent(t.Feed.Name)
		counted += c.Counted
	}
	differences, err := d.compare(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "sent %s, counted %s\n", thousands(sent), thousands(counted))
	switch {
	case len(differences) > 0:
		const shown = 10
		for _, diff := range differences[:min(len(differences), shown)] {
			d.say("%s", diff)
		}
		return fmt.Errorf("%s is not what was sent, %s with another count (did somebody else write to the topics?)", demoTable, count(int64(len(differences)), "key"))
	case sent != counted:
		return errors.New("what was counted is not what was sent (did somebody else write to the topics?)")
	}
	d.say("every key of %s has the count that the network says it sent", demoTable)
	return nil
}

// compare returns where the notebook's table is not what the network tallied.
func (d *demo) compare(ctx context.Context) ([]string, error) {
	lookup, err := d.views.Compile("SELECT id.orig_h, qtype_name, count FROM " + demoTable)
	if err != nil {
		return nil, err
	}
	answer, err := lookup.View.Query(ctx, lookup.Select, nil)
	if err != nil {
		return nil, err
	}
	type key struct {
		host  string
		qtype string
		null  bool // beside qtype: there is a query type that is called NULL
	}
	have := map[key]int64{}
	for _, row := range answer.Rows {
		n, _ := row[2].Int128().Int64() // counts fit
		have[key{row[0].String(), row[1].Str(), row[1].IsNull()}] = n
	}
	var differences []string
	tell := func(k key, sent, counted int64) {
		if sent != counted {
			qtype := k.qtype
			if k.null {
				qtype = "without type"
			}
			differences = append(differences, fmt.Sprintf("%s %s: sent %d, counted %d", k.host, qtype, sent, counted))
		}
	}
	for _, want := range d.tally.DNSCounts() {
		k := key{want.OrigH, want.QtypeName, want.Null}
		tell(k, want.Count, have[k])
		delete(have, k)
	}
	for k, n := range have {
		tell(k, 0, n)
	}
	slices.Sort(differences)
	return differences, nil
}
