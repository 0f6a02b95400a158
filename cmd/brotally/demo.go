package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/examples"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/broker"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/replay"
	"github.com/brotally/brotally/internal/traffic"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/views/client"
	"github.com/brotally/brotally/web/tryit"
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
		Long: `Start a Kafka broker, a made-up office network that Zeek would see, and beside them brotally run: tables over the network's logs,
HTTP and the page. Say what to try. Any Kafka client can join in.

Ctrl-C stops the traffic, waits until all of it is counted, and compares the table with what the network says it sent.`,
		Example: "  brotally demo\n" +
			"  brotally demo --rate 5000 --seed 7 --duration 1m",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.logLevel, d.logFormat = cmd.Flag("log-level").Value.String(), cmd.Flag("log-format").Value.String()
			if d.logLevel == "" {
				d.logLevel = "warn"
			}
			d.portGiven, d.pgPortGiven, d.brokerPortGiven = cmd.Flags().Changed("port"), cmd.Flags().Changed("pg-port"), cmd.Flags().Changed("broker-port")
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP) // its terminal was closed
			defer stop()
			return d.run(ctx)
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

	logLevel, logFormat string // of the worker

	kafka   kafka.Config
	files   map[string]string // definitions by file
	defined []*tables.Table
	streams []*tables.Stream
	worker  *worker
	trying  *trying
	counts  func()                      // says that there are counts, once
	network *traffic.Network            // of the sending goroutine
	todo    chan func(*traffic.Network) // for that to do in between
	over    chan struct{}               // closed when it has ended
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
	defer l.Close() //nolint:errcheck // of one that was never served
	pg, err := d.freeAddress(d.pgPort, "--pg-port", d.pgPortGiven)
	if err != nil {
		return err
	}
	if err := d.createTopics(ctx); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "brotally-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a folder of the temporary folder at worst
	args, err := d.workerArgs(folder, pg)
	if err != nil {
		return err
	}
	d.worker = newWorker(d.program, args...)
	if d.sender, err = replay.NewSender(ctx, replay.SenderConfig{Kafka: d.kafka}); err != nil {
		return err
	}
	d.guide("http://"+l.Addr().String(), postgresURL(pg))

	d.counts = sync.OnceFunc(func() { d.say("first counts after %.1f s", time.Since(began).Seconds()) })
	front := http.NewServeMux()
	front.Handle("/", d.worker.front())

	// Ctrl-C ends the traffic alone: everything else goes on until all of it is counted.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, life := errgroup.WithContext(life)
	front.Handle("/try", d.trying.handler(life.Done()))
	front.Handle("/try/", d.trying.handler(life.Done()))
	g.Go(func() error { return d.worker.run(life) })
	g.Go(func() error { return views.Serve(life, l, front, d.log) })
	g.Go(func() error { return d.trying.run(life) })
	g.Go(func() error { return d.firstCounts(life) })
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

// workerArgs writes the definitions into the folder, and returns the command line that runs them.
func (d *demo) workerArgs(folder, pg string) ([]string, error) {
	settings := filepath.Join(folder, configFile) // of its own: what lies about is for other clusters
	args := []string{"run", "--for-demo", "--config", settings, "-b", strings.Join(d.kafka.Brokers, ","), "--app", d.kafka.App, "--instance", d.kafka.Instance,
		"--listen", local(0), "--pg-listen", pg, "--log-level", d.logLevel, "--log-format", d.logFormat}
	if err := os.WriteFile(settings, nil, 0o600); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		file := filepath.Join(folder, path.Base(name))
		if err := os.WriteFile(file, []byte(d.files[name]), 0o600); err != nil {
			return nil, err
		}
		args = append(args, file)
	}
	return args, nil
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
	d.files = map[string]string{}
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
			d.files[file] = string(text)
		}
	}
	all, err := defs.compile(feeds.Lookup, nil)
	if err != nil {
		return err
	}
	d.defined, d.streams = all.Tables, all.Streams
	d.todo, d.over = make(chan func(*traffic.Network)), make(chan struct{})
	d.trying = newTrying(d, defs.statements)
	for _, t := range d.defined {
		d.trying.tables = append(d.trying.tables, tryit.Table{Name: t.Name, Feed: t.Feed.Name})
	}
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

// freeAddress returns an address that the worker can listen on. It does so itself, so that clients' connections are its own.
func (d *demo) freeAddress(port int, flag string, given bool) (string, error) {
	l, err := d.listen(port, flag, given)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
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
  try it  %s/try    (scenes on and off, kill -9, and what the tables have)
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

`, d.rate, d.seed, url, url, brokers, strings.Join(traffic.Feeds(), " "), strings.Join(names, " "), streams, server, server, postgres, url, brokers, brokers)
	for _, s := range d.network.Scenes() {
		if !s.On {
			continue
		}
		fmt.Fprintf(d.stderr, "  %-8s%s\n", s.Name, s.Doc)
	}
	fmt.Fprint(d.stderr, "\nCtrl-C stops it and compares what was counted with what was sent.\n\n")
}

// firstCounts waits until there is something to see, and says how long that took.
func (d *demo) firstCounts(ctx context.Context) error {
	for {
		var groups int
		err := d.worker.ask(ctx, func(c *client.Client) error {
			t, err := c.Table(ctx, demoTable)
			if err == nil {
				groups = t.Groups
			}
			return err
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case groups > 0:
			d.counts()
			return nil
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
		}
	}
}

// state is what the line on the terminal shows.
func (d *demo) state() (done, total int64, note string) {
	note = count(d.sent.Load(), "record") + " sent"
	ctx, cancel := context.WithTimeout(context.Background(), progressEvery)
	defer cancel()
	if c, err := d.worker.client(); err == nil {
		if t, err := c.Table(ctx, demoTable); err == nil {
			note += fmt.Sprintf(", %s has %s over %s", demoTable, count(int64(t.Groups), "row"), count(t.Counts.Counted, "record"))
		}
	}
	return 0, 0, note
}

// send has the network send its history at once, then in real time, until ctx is done, the duration is over, or life ends.
func (d *demo) send(ctx, life context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(life, stop)()
	if d.duration > 0 {
		defer time.AfterFunc(d.duration, stop).Stop()
	}
	defer close(d.over)
	for ctx.Err() == nil {
		m := d.network.Next()
		if err := d.wait(ctx, m.Time); err != nil {
			return nil
		}
		if err := d.sender.Send(life, m.Feed, m.Value); err != nil {
			return err
		}
		d.tally.Add(m)
		d.sent.Add(1)
	}
	return nil
}

// wait waits until it is time, and does meanwhile what is to do with the network. The error is ctx's.
func (d *demo) wait(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		// Who is behind has no time to wait, but some to do this.
		select {
		case f := <-d.todo:
			f(d.network)
			continue
		default:
		}
		select {
		case f := <-d.todo:
			f(d.network)
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// onNetwork has f called where the network is used. The error is f's, or that the traffic has ended.
func (d *demo) onNetwork(ctx context.Context, f func(*traffic.Network) error) error {
	result := make(chan error, 1)
	select {
	case d.todo <- func(n *traffic.Network) { result <- f(n) }:
		return <-result
	case <-d.over:
		return errEnding
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle waits until everything that was sent is counted, and compares.
func (d *demo) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("not counted within %v", demoPatience))
	defer cancel()
	if err := d.sender.Flush(ctx); err != nil {
		return err
	}
	ends := client.Offsets{}
	for topic, partitions := range d.sender.Sent() {
		ends[topic] = map[int32]int64{}
		for partition, sent := range partitions {
			ends[topic][partition] = sent.End
		}
	}
	var sent, counted, letters, poison int64
	for _, t := range d.defined {
		var rows *client.Rows
		err := d.worker.ask(ctx, func(c *client.Client) (err error) {
			upto := client.Offsets{}
			if end, ok := ends[t.Feed.Name]; ok {
				upto[t.Feed.Name] = end
			}
			rows, err = c.Rows(ctx, t.Name, client.RowsOptions{MinOffset: upto})
			return err
		})
		if err != nil {
			return err
		}
		if t.Name == demoTable && rows.Len() > 0 {
			d.counts() // a short demo may be over before anybody has looked
		}
		n, bad := rows.Meta.Counts.Counted, ""
		if t := rows.Meta.Counts.DeadLettered; t > 0 {
			bad = ", " + count(t, "dead letter")
		}
		fmt.Fprintf(d.stdout, "%s: sent %s of %s, counted %s in %s%s\n", t.Name, count(d.tally.Sent(t.Feed.Name), "record"), t.Feed.Name,
			thousands(n), count(int64(rows.Len()), "row"), bad)
		letters += rows.Meta.Counts.DeadLettered
		poison += d.tally.Poisoned(t.Feed.Name)
		sent += d.tally.Sent(t.Feed.Name)
		counted += n
	}
	differences, err := d.compare(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "sent %s, counted %s", thousands(sent), thousands(counted))
	if poison+letters > 0 {
		fmt.Fprintf(d.stdout, ", poisoned %s, dead letters %s", thousands(poison), thousands(letters))
	}
	fmt.Fprintln(d.stdout)
	switch {
	case len(differences) > 0:
		const shown = 10
		for _, diff := range differences[:min(len(differences), shown)] {
			d.say("%s", diff)
		}
		return fmt.Errorf("%s is not what was sent, %s with another count (did somebody else write to the topics?)", demoTable, count(int64(len(differences)), "key"))
	case letters != poison, sent != counted+letters:
		return errors.New("what was counted is not what was sent (did somebody else write to the topics?)")
	}
	d.say("every key of %s has the count that the network says it sent", demoTable)
	return nil
}

// compare returns where the notebook's table is not what the network tallied.
func (d *demo) compare(ctx context.Context) ([]string, error) {
	var answer *client.Rows
	err := d.worker.ask(ctx, func(c *client.Client) (err error) {
		answer, err = c.Rows(ctx, demoTable, client.RowsOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	type key struct {
		host  string
		qtype string
		null  bool // beside qtype: there is a query type that is called NULL
	}
	have := map[key]int64{}
	for i := range answer.Len() {
		row := answer.Row(i)
		n, err := row.Int64("count")
		if err != nil {
			return nil, err
		}
		have[key{row.Text("id.orig_h"), row.Text("qtype_name"), row.IsNull("qtype_name")}] = n
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
