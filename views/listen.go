package views

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// ListenConfig says where a server listens.
type ListenConfig struct {
	// Addr is host:port. Defaults to "127.0.0.1:8080".
	Addr string

	// TLS, if set, encrypts connections. It has to have a certificate.
	TLS *tls.Config

	// Upgrade says that connections begin without TLS and ask for it, as PostgreSQL's clients do: who serves them does the rest.
	Upgrade bool

	// Token says that the handler asks for a token.
	Token bool

	// Insecure allows others than this machine to connect without TLS, or without a token.
	Insecure bool

	// Connections is how many there may be at once; further ones wait. Defaults to 1,024.
	Connections int
}

// DefaultAddr is where a server listens unless it is told otherwise: for this machine alone.
const DefaultAddr = "127.0.0.1:8080"

// PortInUse says that somebody else listens on the address.
type PortInUse struct {
	Addr string // host:port
	Err  error
}

func (e *PortInUse) Error() string {
	_, port, err := net.SplitHostPort(e.Addr)
	if err != nil {
		return e.Addr + " is in use"
	}
	return fmt.Sprintf("port %s is in use (%s)", port, e.Addr)
}

// Unwrap returns the operating system's error.
func (e *PortInUse) Unwrap() error { return e.Err }

// ErrExposed says that an address would let others read the tables unasked, or overhear who may.
var ErrExposed = errors.New("other machines can reach it, which takes both TLS and tokens")

// Listen opens the address. Errors are *[PortInUse], [ErrExposed], or the operating system's.
func Listen(c ListenConfig) (net.Listener, error) {
	addr := or(c.Addr, DefaultAddr)
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &PortInUse{addr, err}
	}
	if err != nil {
		return nil, err
	}
	// A name such as localhost is what it resolves to, so this is asked of the listener.
	if !loopbackAddr(l.Addr().String()) && (c.TLS == nil || !c.Token) && !c.Insecure {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", addr, ErrExposed), l.Close())
	}
	most := c.Connections
	if most <= 0 {
		most = 1024
	}
	l = netutil.LimitListener(l, most)
	if c.TLS != nil && !c.Upgrade {
		l = tls.NewListener(l, c.TLS)
	}
	return l, nil
}

// stopping is the key of a request's context under which a channel is that is closed when the server begins to stop: what would go
// on for as long as the client wants ends then.
type stopping struct{}

// Serve answers on l, which it closes, until ctx is done and requests under way are answered, a few seconds at most; it
// then returns nil. log, which may be nil, takes what goes wrong with connections.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(life, stopping{}, ctx.Done()) },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
		defer cancel()
		// Who waits for an offset or a large scan would hold up the end: half the patience, then they are told.
		timer := time.AfterFunc(shutdownPatience/2, cut)
		defer timer.Stop()
		if srv.Shutdown(patience) != nil {
			_ = srv.Close() // whoever is left does not read
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
