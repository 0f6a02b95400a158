package pgwire

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/brotally/brotally/views"
)

// Config says what a server shows, and to whom.
type Config struct {
	Views *views.Views

	// Tokens, if set, are the passwords, whatever the user's name: those that may read. A client sends one as it is, so connections
	// from other machines want TLS. Without tokens everybody who can connect may read.
	Tokens *views.Tokens

	// TLS, if set, is what connections have to begin; it has to have a certificate.
	TLS *tls.Config

	// Sessions is how many there may be at once; further ones are refused. Defaults to 200.
	Sessions int

	// Idle is how long a session may say nothing. Defaults to 2 hours.
	Idle time.Duration

	// Start is how long a connection has for TLS, startup and password. Defaults to 10 seconds.
	Start time.Duration

	// Version is the program's, for version(). Optional.
	Version string

	// Log takes what goes wrong inside. Defaults to discarding.
	Log *slog.Logger
}

// Server answers PostgreSQL's clients.
type Server struct {
	config Config
	log    *slog.Logger

	mu       sync.Mutex          // guards sessions and last
	sessions map[uint32]*session // by process id, as clients call it
	last     uint32

	questions chan struct{} // turns of questions about the catalog
}

// questionTime is how long a question about the catalog may take, with the time that it waits for its turn.
const questionTime = 10 * time.Second

// New makes a server; it starts nothing. Errors are about the configuration.
func New(c Config) (*Server, error) {
	if c.Views == nil {
		return nil, errors.New("pgwire: no views")
	}
	if c.Sessions <= 0 {
		c.Sessions = 200
	}
	if c.Idle <= 0 {
		c.Idle = 2 * time.Hour
	}
	if c.Start <= 0 {
		c.Start = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c, log: c.Log, sessions: map[uint32]*session{}, questions: make(chan struct{}, max(4, runtime.GOMAXPROCS(0)))}
	return s, nil
}

// Serve answers on l, which it closes, until ctx is done; sessions are then told so and ended, and it returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer l.Close() //nolint:errcheck // closed already, or nothing depends on it
	var pause time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return err
		default: // as net/http: too many open files, most likely
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("accepting connections of PostgreSQL clients", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		pause = 0
		wg.Go(func() { s.serve(ctx, conn) }) // Serve waits
	}
}

// serve answers one connection.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &session{server: s, conn: conn, ctx: ctx}
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("session of a PostgreSQL client panicked", "client", conn.RemoteAddr(), "panic", p)
			c.fatal("XX000", "the server has a fault; its log says more")
		}
		_ = c.conn.Close()
	}()
	// Who is being read from or written to hears of the end by its deadline.
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		_ = conn.SetWriteDeadline(time.Now().Add(farewell))
	})
	defer func() {
		if !stop() {
			<-stopped
		}
	}()
	if err := c.run(); err != nil && ctx.Err() == nil {
		s.log.Debug("session of a PostgreSQL client ended", "client", conn.RemoteAddr(), "error", err)
	}
}

// farewell is how long a client may take to read that the server stops.
const farewell = time.Second

// enter gives a session its number and secret. ok is false when there are too many.
func (s *Server) enter(c *session, long bool) bool {
	secret := make([]byte, 4)
	if long {
		secret = make([]byte, 32) // protocol 3.2
	}
	rand.Read(secret) //nolint:errcheck // never an error
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= s.config.Sessions {
		return false
	}
	for s.last++; s.last == 0 || s.last > 1<<31-1 || s.sessions[s.last] != nil; s.last++ {
		if s.last > 1<<31-1 {
			s.last = 0
		}
	}
	c.pid, c.secret = s.last, secret
	s.sessions[c.pid] = c
	return true
}

func (s *Server) leave(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c.pid)
}

// cancel interrupts what a session is doing, if the secret is right.
func (s *Server) cancel(r *pgproto3.CancelRequest) {
	s.mu.Lock()
	c := s.sessions[r.ProcessID]
	s.mu.Unlock()
	if c != nil && subtle.ConstantTimeCompare(c.secret, r.SecretKey) == 1 {
		c.interrupt(errCancelled)
	}
}

// Versions of the protocol, and the codes that stand in a version's place.
const (
	newestMinor = 2
	sslRequest  = 80877103
	gssRequest  = 80877104
	cancelCode  = 80877102
	maxStartup  = 10_000 // bytes, as PostgreSQL
)

// readStartup reads a message without a type: startup and what comes before it. It reads not a byte more, since TLS may
// follow.
func readStartup(conn net.Conn) (code uint32, body []byte, err error) {
	var head [4]byte
	if err := readFull(conn, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 8 || n > maxStartup {
		return 0, nil, fmt.Errorf("startup packet of %d bytes", n)
	}
	body = make([]byte, n-4)
	if err := readFull(conn, body); err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(body), body, nil
}
