package pgwire

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// States of a transaction, as ReadyForQuery tells them. There is nothing to commit; but drivers hold on to what they began.
const (
	outside = 'I'
	inside  = 'T'
	aborted = 'E'
)

// session is one connection.
type session struct {
	server   *Server
	conn     net.Conn
	backend  *pgproto3.Backend
	ctx      context.Context // until the server stops
	pid      uint32
	secret   []byte
	user     string
	database string
	settings *settings

	transaction byte
	statements  map[string]*statement
	portals     map[string]*portal
	skipping    bool        // after an error, until Sync
	typeMap     *pgtype.Map // nil: not needed yet
	out         []byte      // what is said, and not yet written
	unsaid      error       // why something could not be

	mu   sync.Mutex              // guards stop
	stop context.CancelCauseFunc // of the message that is being answered; nil: none is
}

// interrupt stops what is being answered, if something is.
func (c *session) interrupt(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop(why)
	}
}

// running is the context of a message whose answer can be cancelled; done has to be called behind it.
func (c *session) running() (ctx context.Context, done func()) {
	ctx, stop := context.WithCancelCause(c.ctx)
	c.mu.Lock()
	c.stop = stop
	c.mu.Unlock()
	return ctx, func() {
		c.mu.Lock()
		c.stop = nil
		c.mu.Unlock()
		stop(nil)
	}
}

// timed gives a statement statement_timeout.
func (c *session) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	if d := c.settings.timeout(); d > 0 {
		return context.WithTimeoutCause(ctx, d, errTimeout)
	}
	return ctx, func() {}
}

// run is the whole session.
func (c *session) run() error {
	ok, err := c.start()
	if c.pid != 0 {
		defer c.server.leave(c)
	}
	if err != nil || !ok {
		return err
	}
	c.transaction, c.statements, c.portals = outside, map[string]*statement{}, map[string]*portal{}
	if err := c.ready(); err != nil {
		return err
	}
	for {
		if err := c.patience(c.server.config.Idle); err != nil {
			return c.end(err)
		}
		m, err := c.backend.Receive()
		switch {
		case c.ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded):
			return errors.Join(err, c.last(errIdle))
		case err != nil:
			return c.end(err)
		}
		more, err := c.answer(m)
		if err != nil || !more {
			return c.end(err)
		}
	}
}

// writeTimeout is how long a client may take to read what was sent last.
const writeTimeout = 2 * time.Minute

// patience says until when the connection is waited for. The server's end comes first.
func (c *session) patience(d time.Duration) error {
	if err := c.conn.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if err := c.ctx.Err(); err != nil { // else the deadline that was set then were lost
		_ = c.conn.SetDeadline(time.Now().Add(farewell))
		return err
	}
	return nil
}

// end says why the session ends, if that is ours to say.
func (c *session) end(err error) error {
	var large *pgproto3.ExceededMaxBodyLenErr
	switch {
	case c.ctx.Err() != nil:
		return c.last(errStopping)
	case errors.As(err, &large):
		return errors.Join(err, c.fatal("54000", "the message is larger than 1 MiB"))
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return nil
	}
	var broken net.Error
	if errors.As(err, &broken) {
		return err
	}
	return errors.Join(err, c.fatal("08P01", "the message is not what is expected: "+err.Error()))
}

// last sends an error and nothing behind it.
func (c *session) last(e *wireError) error {
	if c.backend == nil {
		return nil
	}
	fatal := *e
	fatal.fatal = true
	_ = c.conn.SetWriteDeadline(time.Now().Add(farewell))
	c.say(fatal.response())
	return c.write()
}

// fatal ends the session with an error.
func (c *session) fatal(code, message string) error {
	return c.last(&wireError{code: code, message: message})
}

// ready says that the next message may come.
func (c *session) ready() error {
	c.say(&pgproto3.ReadyForQuery{TxStatus: c.transaction})
	return c.flush()
}

// flushBytes is how much is held back before it is written.
const flushBytes = 64 << 10

// say puts a message behind those that are to be written.
func (c *session) say(m pgproto3.BackendMessage) {
	out, err := m.Encode(c.out)
	if err != nil {
		c.unsaid = errors.Join(c.unsaid, err)
		return
	}
	c.out = out
}

// write writes what was said, within the connection's deadline.
func (c *session) write() error {
	if c.unsaid != nil {
		return c.unsaid
	}
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.conn.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > 4*flushBytes {
		c.out = nil
	}
	return err
}

// flush writes what was said. The client has writeTimeout to read it, however long the work took.
func (c *session) flush() error {
	if err := c.patience(writeTimeout); err != nil {
		return &connError{err}
	}
	if err := c.write(); err != nil {
		return &connError{err}
	}
	return nil
}

// spill writes what was said if that is much. Whoever is cancelled hears of it here.
func (c *session) spill(ctx context.Context) error {
	if len(c.out) < flushBytes {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.flush()
}

// fail tells of an error that does not end the session.
func (c *session) fail(err error, text string, from int) {
	e := asWireError(err, text, from)
	if e.code == "XX000" {
		c.server.log.Error("statement of a PostgreSQL client failed", "error", err)
	}
	if c.transaction == inside {
		c.transaction = aborted
	}
	c.say(e.response())
}

// answer answers one message. more is false when the session is to end.
func (c *session) answer(m pgproto3.FrontendMessage) (more bool, err error) {
	switch m.(type) {
	case *pgproto3.Terminate:
		return false, nil
	case *pgproto3.Sync:
		c.skipping = false
		c.closePortals()
		return true, c.ready()
	case *pgproto3.Flush:
		return true, c.flush()
	}
	if c.skipping {
		return true, nil
	}
	ctx, done := c.running()
	defer done()
	text := ""
	switch m := m.(type) {
	case *pgproto3.Query:
		delete(c.statements, "")
		delete(c.portals, "")
		if err := c.simple(ctx, m.String); err != nil {
			return false, err
		}
		c.closePortals()
		return true, c.unlessStopped(c.ready())
	case *pgproto3.Parse:
		text = m.Query
		err = c.parse(ctx, m)
	case *pgproto3.Bind:
		text, err = c.bind(m)
	case *pgproto3.Describe:
		text, err = c.describe(m)
	case *pgproto3.Execute:
		text, err = c.execute(ctx, m)
	case *pgproto3.Close:
		err = c.close(m)
	case *pgproto3.FunctionCall:
		err = refused("0A000", "function calls of the protocol are not supported", "use SELECT")
		c.fail(err, "", 0)
		return true, c.ready() // there is no Sync behind it
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
		return true, nil // of a COPY that was refused
	default:
		return false, errors.New("a message that does not belong here")
	}
	if err == nil {
		err = c.spill(ctx)
	}
	if err != nil {
		if broken := (*connError)(nil); errors.As(err, &broken) {
			return false, err
		}
		c.skipping = true
		c.fail(err, text, 0)
		return true, c.unlessStopped(c.flush())
	}
	return true, nil
}

// unlessStopped lets the end of the server come before what follows.
func (c *session) unlessStopped(err error) error {
	if err == nil {
		err = c.ctx.Err()
	}
	return err
}

// connError is an error of the connection: there is nobody to tell.
type connError struct{ err error }

func (e *connError) Error() string { return e.err.Error() }

func (e *connError) Unwrap() error { return e.err }

// closePortals closes what ends with a transaction.
func (c *session) closePortals() {
	if c.transaction == outside {
		clear(c.portals)
	}
}
