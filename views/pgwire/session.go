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

	mu   sync.Mutex              // guards stop
	stop context.CancelCauseFunc // of the statement that runs; nil: none does
}

// interrupt stops the statement that runs, if one does.
func (c *session) interrupt(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop(why)
	}
}

// running is the context of a statement; done has to be called behind it.
func (c *session) running() (ctx context.Context, done func()) {
	ctx, stop := context.WithCancelCause(c.ctx)
	c.mu.Lock()
	c.stop = stop
	c.mu.Unlock()
	cancel := func() {}
	if d := c.settings.timeout(); d > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, d, errTimeout)
	}
	return ctx, func() {
		c.mu.Lock()
		c.stop = nil
		c.mu.Unlock()
		cancel()
		stop(nil)
	}
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
		if err != nil {
			return c.end(err)
		}
		if err := c.patience(writeTimeout); err != nil {
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
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.Join(err, c.last(errIdle))
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
	c.backend.Send(fatal.response())
	return c.backend.Flush()
}

// fatal ends the session with an error.
func (c *session) fatal(code, message string) error {
	return c.last(&wireError{code: code, message: message})
}

// ready says that the next message may come.
func (c *session) ready() error {
	c.backend.Send(&pgproto3.ReadyForQuery{TxStatus: c.transaction})
	return c.backend.Flush()
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
	c.backend.Send(e.response())
}

// answer answers one message. more is false when the session is to end.
func (c *session) answer(m pgproto3.FrontendMessage) (more bool, err error) {
	switch m := m.(type) {
	case *pgproto3.Terminate:
		return false, nil
	case *pgproto3.Query:
		c.skipping = false
		delete(c.statements, "")
		delete(c.portals, "")
		c.simple(m.String)
		c.closePortals()
		return true, c.unlessStopped(c.ready())
	case *pgproto3.Sync:
		c.skipping = false
		c.closePortals()
		return true, c.ready()
	case *pgproto3.Flush:
		return true, c.backend.Flush()
	}
	if c.skipping {
		return true, nil
	}
	text, from := "", 0
	switch m := m.(type) {
	case *pgproto3.Parse:
		text = m.Query
		err = c.parse(m)
	case *pgproto3.Bind:
		text, err = c.bind(m)
	case *pgproto3.Describe:
		text, err = c.describe(m)
	case *pgproto3.Execute:
		text, err = c.execute(m)
	case *pgproto3.Close:
		if m.ObjectType == 'S' {
			delete(c.statements, m.Name)
		} else {
			delete(c.portals, m.Name)
		}
		c.backend.Send(&pgproto3.CloseComplete{})
	case *pgproto3.FunctionCall:
		err = refused("0A000", "function calls of the protocol are not supported", "use SELECT")
		c.fail(err, "", 0)
		return true, c.ready()
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
		return true, nil // of a COPY that was refused
	default:
		return false, errors.New("a message that does not belong here")
	}
	if err != nil {
		var broken *connError
		if errors.As(err, &broken) {
			return false, broken.err
		}
		c.skipping = true
		c.fail(err, text, from)
		return true, c.unlessStopped(c.backend.Flush())
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

// closePortals closes what ends with a transaction.
func (c *session) closePortals() {
	if c.transaction == outside {
		clear(c.portals)
	}
}
