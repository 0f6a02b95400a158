package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/fault"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/internal/metrics"
	"github.com/brotally/brotally/internal/registry"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
	"github.com/brotally/brotally/views/pgwire"
	"github.com/brotally/brotally/web"
)

func newRun(p *program) *cobra.Command {
	r := &running{program: p}
	cmd := &cobra.Command{
		Use:   "run TABLES.sql..",
		Short: "Keep tables over the topics that Zeek fills, and answer look-ups",
		Long: `Keep tables over the topics that Zeek fills, write every change to result topics, answer look-ups and show the page.
Write streams to their topics.

Start as many instances as you like with the same files: they share the work. A table or stream starts at the oldest record
unless its WITH (start = ..) says otherwise, and goes on where it stopped, whatever stopped it. --only splits counting from
answering.

Files that have changed are applied at the start, for all instances: a table whose rows would be other ones is counted anew
beside the old one, which answers until then. What would be lost for good stops it, unless --auto-approve is given; plan -b
shows what would happen. The first SIGINT or SIGTERM stops cleanly, the second at once; either way nothing is lost.`,
		Example: "  brotally run tables.sql -b kafka:9092\n" +
			"  brotally run dns.sql conn.sql --feed dns=sensor1-dns,sensor2-dns --listen 127.0.0.1:9000\n" +
			"  brotally run tables.sql -b kafka:9092 --pg-listen 127.0.0.1:5432\n" +
			"  BROTALLY_X_SASL_PASSWORD=.. brotally run tables.sql -b kafka:9093 --tls -X sasl.mechanism=SCRAM-SHA-256 -X sasl.username=brotally",
		Args:        cobra.MinimumNArgs(1),
		Annotations: map[string]string{ownLevel: "info"},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"sql"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	r.conn.register(cmd)
	r.feeds.register(cmd)
	r.serving.register(cmd)
	f := cmd.Flags()
	f.StringVar(&r.pg, "pg-listen", "", "`HOST:PORT` for PostgreSQL's clients: psql, drivers, Grafana (default none)")
	f.StringVar(&r.only, "only", "", "process: count, answer nothing; serve: answer, count nothing")
	f.BoolVar(&r.approve, "auto-approve", false, "do also what loses something, such as dropping tables that no file defines any more; plan -b shows it")
	f.StringVar(&r.admin, "admin-listen", "", "`HOST:PORT` for operators: /metrics, /healthz, /readyz and, from this machine, profiles (default none)")
	f.DurationVar(&r.idle, "idle-timeout", 30*time.Second, "how long a source partition without records holds up EMIT FINAL, RETENTION and TTL")
	f.DurationVar(&r.skew, "max-skew", 24*time.Hour, "how far ahead of its arrival a record's time may be to move them on")
	f.DurationVar(&r.commit, "commit-interval", 20*time.Millisecond, "least time between commits: less is fresher and costs the brokers more")
	f.BoolVar(&r.demo, "for-demo", false, "say the URL on standard output, end with standard input, link to what only the demo has")
	if err := f.MarkHidden("for-demo"); err != nil {
		panic(err) // the flag does not exist
	}
	mark(f, "auto-approve", onlyFlag)
	complete(cmd, "only", "process", "serve")
	return cmd
}

// serving is the flags of commands that listen.
type serving struct {
	listen   string
	insecure bool
	hosts    []string
	file     string        // of tokens
	tokens   *views.Tokens // nil: none are wanted
	try      bool          // the page links to /try
	cert     string        // files
	key      string
	tls      *tls.Config // nil: it is not encrypted
}

func (s *serving) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.listen, "listen", views.DefaultAddr, "`HOST:PORT` for HTTP and the page")
	cmd.Flags().BoolVar(&s.insecure, "insecure", false, "listen for other machines without TLS, or without tokens: everybody can read along then, or ask")
	cmd.Flags().StringVar(&s.file, "token-file", "", "`FILE` with a line for each token that is let in: read TOKEN, or admin TOKEN for /metrics too")
	cmd.Flags().StringVar(&s.cert, "listen-cert", "", "PEM `FILE` of the certificate to listen with TLS, and of those above it; it is read anew when it changes")
	cmd.Flags().StringVar(&s.key, "listen-key", "", "PEM `FILE` of its key")
	cmd.Flags().StringSliceVar(&s.hosts, "host", nil, "further `NAME` that the server goes by, behind a proxy")
}

// read reads the tokens and the certificate, if there are files with some.
func (s *serving) read(log *slog.Logger) (err error) {
	if s.file != "" {
		if s.tokens, err = views.ReadTokens(s.file); err != nil {
			return &usageError{fmt.Errorf("--token-file: %w", err)}
		}
	}
	switch {
	case (s.cert == "") != (s.key == ""):
		return &usageError{errors.New("--listen-cert and --listen-key go together")}
	case s.cert != "":
		if s.tls, err = views.ServerTLS(s.cert, s.key, log); err != nil {
			return &usageError{fmt.Errorf("--listen-cert: %w", err)}
		}
	}
	return nil
}

// followTokens reads them anew when the file changes, or at SIGHUP, until ctx is done.
func (s *serving) followTokens(ctx context.Context, log *slog.Logger) {
	now := make(chan os.Signal, 1)
	signal.Notify(now, syscall.SIGHUP)
	defer signal.Stop(now)
	s.tokens.Run(ctx, now, log)
}

// open begins to listen.
func (s *serving) open() (net.Listener, error) { return s.openAt("--listen", s.listen, false) }

// openAt begins to listen at the address of a flag. upgrade says that clients ask for TLS themselves.
func (s *serving) openAt(flag, addr string, upgrade bool) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	number, notNumber := strconv.Atoi(port)
	if err != nil || notNumber != nil {
		return nil, &usageError{fmt.Errorf("%s %s: want HOST:PORT, such as %s", flag, addr, views.DefaultAddr)}
	}
	l, err := views.Listen(views.ListenConfig{Addr: addr, TLS: s.tls, Token: s.tokens != nil, Insecure: s.insecure, Upgrade: upgrade})
	var taken *views.PortInUse
	switch {
	case errors.As(err, &taken):
		return nil, fmt.Errorf("%w; choose another one: %s %s", taken, flag, net.JoinHostPort(host, strconv.Itoa(number+1)))
	case errors.Is(err, views.ErrExposed):
		return nil, &usageError{fmt.Errorf("%s %s: %w: --listen-cert and --listen-key, and --token-file; or say --insecure", flag, addr, views.ErrExposed)}
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", flag, addr, err)
	}
	return l, nil
}

// server is what all that listens has in common.
func (s *serving) server(p *program) views.ServerConfig {
	return views.ServerConfig{Hosts: s.hosts, Tokens: s.tokens, Log: p.log}
}

// handler is the API, the metrics and the page, which is to be run.
func (s *serving) handler(p *program, all *views.Views, m *metrics.Metrics, page web.Config) (http.Handler, *web.Site) {
	c := s.server(p)
	var site *web.Site
	c.Page = func(api http.Handler) http.Handler {
		page.API, page.Figures, page.Try, page.May = api, m.Figures, s.try, s.tokens.May
		site = web.New(page)
		return site
	}
	c.Views, c.Metrics, c.Observe = all, m.Handler(p.log), m.Answered
	return views.NewServer(c), site
}

// postgres is what PostgreSQL's clients are answered by.
func (s *serving) postgres(p *program, all *views.Views) (*pgwire.Server, error) {
	return pgwire.New(pgwire.Config{Views: all, Tokens: s.tokens, TLS: s.tls, Version: version, Log: p.log})
}

// url is where a browser finds what listens there.
func (s *serving) url(l net.Listener) string {
	if s.tls != nil {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// postgresURL is where psql finds what listens at an address.
func postgresURL(addr string) string { return "postgres://brotally@" + addr + "/brotally" }

// running is one run.
type running struct {
	*program
	conn    connection
	feeds   feedFlag
	serving serving
	pg      string
	only    string
	approve bool
	demo    bool // see worker
	admin   string
	commit  time.Duration
	idle    time.Duration
	skew    time.Duration
}

func (r *running) run(ctx context.Context, files []string) error {
	if r.only != "" && r.only != "process" && r.only != "serve" {
		return &usageError{fmt.Errorf("--only %s: there are process, serve", r.only)}
	}
	if r.demo {
		r.serving.try = true
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		go func() { // ends with the process
			_, _ = io.Copy(io.Discard, r.stdin)
			end()
		}()
	}
	cfg, err := r.conn.config()
	if err != nil {
		return err
	}
	defined, err := r.compile(ctx, cfg, files)
	if err != nil {
		return err
	}
	return r.start(ctx, cfg, defined)
}

// compile reads the files. What the built-in columns are not enough for is compiled with what the topics' records show.
func (r *running) compile(ctx context.Context, cfg kafka.Config, files []string) (*tables.Definitions, error) {
	defs := &definitions{}
	for _, file := range files {
		if err := defs.readSQL(file); err != nil {
			return nil, err
		}
	}
	topics, err := r.feeds.byFeed()
	if err != nil {
		return nil, err
	}
	defined, err := defs.compile(feeds.Lookup, topics)
	if err == nil {
		return defined, nil
	}
	schemas, unset := r.conn.registryClient(r.log)
	if unset != nil {
		return nil, unset
	}
	if schemas != nil {
		defer schemas.Close()
	}
	resolve, unseen := discoverTopics(ctx, cfg, defs.sampleTopics(topics), topics, schemas)
	switch {
	case errors.Is(unseen, registry.ErrNoAnswer), errors.Is(unseen, codecs.ErrNoRegistry):
		r.log.Warn("columns that are not built in could not be looked for", "why", unseen)
		return nil, err
	case unseen != nil:
		r.log.Debug("columns that are not built in could not be looked for", "why", unseen)
		return nil, err
	}
	return defs.compile(resolve, topics)
}

// start runs the tables and streams until ctx is done.
func (r *running) start(ctx context.Context, cfg kafka.Config, defined *tables.Definitions) error {
	// Whether a broker is there comes first: without one nothing is to listen.
	admin, err := kafka.NewAdmin(ctx, cfg)
	if err != nil {
		return err
	}
	defer admin.Close() //nolint:errcheck // nothing depends on it
	built, _ := build()
	m := metrics.New(built)
	ops := operators{metrics: m}
	if err := r.serving.read(r.log); err != nil {
		return err
	}
	// The ports come before the processors: who cannot listen has not begun to count either.
	var operatorsPort net.Listener
	if r.admin != "" {
		if operatorsPort, err = r.serving.openAt("--admin-listen", r.admin, false); err != nil {
			return err
		}
		defer operatorsPort.Close() //nolint:errcheck // of one that was never served
	}
	var pgPort net.Listener
	if r.pg != "" && r.only != "process" {
		if pgPort, err = r.serving.openAt("--pg-listen", r.pg, true); err != nil {
			return err
		}
		defer pgPort.Close() //nolint:errcheck // as above
	}
	g, ctx := errgroup.WithContext(ctx)
	if r.serving.tokens != nil {
		g.Go(func() error { r.serving.followTokens(ctx, r.log); return nil })
	}
	if r.only != "process" {
		l, err := r.serving.open()
		if err != nil {
			return err
		}
		all, err := views.New(views.Config{Kafka: cfg, Tables: defined.Tables, Streams: defined.Streams, Log: r.log})
		if err != nil {
			return err
		}
		m.Views(all)
		ops.views = all
		g.Go(func() error { return all.Run(ctx) })
		page := web.Config{Brokers: cfg.Brokers, Letters: lettersOf(cfg), Members: membersOf(cfg)}
		if pgPort != nil {
			page.Postgres = postgresURL(pgPort.Addr().String())
		}
		handler, site := r.serving.handler(r.program, all, m, page)
		g.Go(func() error { return site.Run(ctx) })
		g.Go(func() error { return views.Serve(ctx, l, handler, r.log) })
		r.log.Info("listening", "url", r.serving.url(l))
		if r.demo {
			fmt.Fprintln(r.stdout, r.serving.url(l))
		}
		if pgPort != nil {
			server, err := r.serving.postgres(r.program, all)
			if err != nil {
				return err
			}
			g.Go(func() error { return server.Serve(ctx, pgPort) })
			r.log.Info("listening for PostgreSQL clients", "url", postgresURL(pgPort.Addr().String()))
		}
	}
	if r.only != "serve" {
		schemas, err := r.conn.registryClient(r.log)
		if err != nil {
			return err
		}
		if schemas != nil {
			defer schemas.Close()
		}
		arranged := make(chan []string)
		stages, err := processors.New(processors.Config{Kafka: cfg, Tables: defined.Tables, Streams: defined.Streams, Registry: schemas, CommitMin: r.commit, IdleTimeout: r.idle, MaxSkew: r.skew, Now: fault.Now, Approve: r.approve, Log: r.log,
			Arranged: func(names []string) {
				select {
				case arranged <- names:
				case <-ctx.Done():
				}
			}, Committed: m.Committed})
		if err != nil {
			return &usageError{err}
		}
		m.Processors(stages)
		ops.stages = stages
		g.Go(func() error { return stages.Run(ctx) })
		g.Go(func() error { r.tellPasses(ctx, admin, cfg, arranged); return nil })
	}
	if operatorsPort != nil {
		g.Go(func() error {
			return views.Serve(ctx, operatorsPort, ops.handler(r.serving.server(r.program)), r.log)
		})
		r.log.Info("listening for operators", "url", "http://"+operatorsPort.Addr().String())
	}
	err = g.Wait()
	if err == nil {
		r.log.Info("stopped")
	}
	return err
}

// tellPass writes one of the lines that run opens with.
func (r *running) tellPass(p pass) {
	if r.demo { // it says itself what there is
		return
	}
	left := "nothing to catch up"
	if p.behind > 0 {
		left = fmt.Sprintf("%s to read, about %s", count(p.behind, "record"), roughly(p.behind))
	}
	topic := p.topic
	if p.mixed {
		topic += " (of several feeds)"
	}
	r.say("feed %s: topic %s, %s, oldest offset %s, %s, group %s, for %s",
		p.feed, topic, count(int64(p.partitions), "partition"), offsetsText(p.oldest), left, p.group, strings.Join(p.tables, ", "))
}
