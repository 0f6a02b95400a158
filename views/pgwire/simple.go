package pgwire

import (
	"errors"

	"github.com/jackc/pgx/v5/pgproto3"
)

// simple answers the statements of a simple query, up to the first that fails.
func (c *session) simple(text string) {
	pieces := split(text)
	if len(pieces) == 0 {
		c.backend.Send(&pgproto3.EmptyQueryResponse{})
		return
	}
	for _, p := range pieces {
		if err := c.one(p); err != nil {
			var broken *connError
			if !errors.As(err, &broken) { // else the next write says so
				c.fail(err, text, p.from)
			}
			return
		}
	}
}

// one answers one statement of a simple query, in text.
func (c *session) one(p piece) error {
	s, err := c.prepare(p, nil)
	if err != nil {
		return err
	}
	if n := len(s.params); n > 0 {
		return refused("42P02", "there is no parameter $1", "parameters belong to the extended protocol, which drivers speak")
	}
	if err := c.allowed(s); err != nil {
		return err
	}
	ctx, done := c.running()
	defer done()
	a, err := s.run(ctx, c, nil)
	if err != nil {
		return err
	}
	if a.columns != nil {
		c.backend.Send(rowDescription(a.columns, nil))
	}
	return c.send(&portal{answer: a}, 0)
}

// flushBytes is how much is held back before it is written.
const flushBytes = 64 << 10

// send sends rows of a portal, most of them at most if that is not 0, and how that ended.
func (c *session) send(p *portal, most uint32) error {
	a := p.answer
	if a.columns == nil {
		c.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(a.tag)})
		return nil
	}
	var row pgproto3.DataRow
	row.Values = make([][]byte, len(a.columns))
	ends := make([]int, len(a.columns))
	buf := make([]byte, 0, 512) // never nil, which is NULL
	held, n := 0, uint32(0)
	for ; p.next < a.rows && (most == 0 || n < most); p.next++ {
		buf = buf[:0]
		for i := range a.columns {
			var null bool
			var err error
			from := len(buf)
			if buf, null, err = a.value(buf, p.next, i, p.binary(i)); err != nil {
				return err
			}
			if ends[i] = len(buf); null {
				ends[i] = -1
				buf = buf[:from]
			}
		}
		from := 0
		for i, end := range ends {
			if end < 0 {
				row.Values[i] = nil
				continue
			}
			row.Values[i] = buf[from:end:end]
			from = end
		}
		c.backend.Send(&row)
		n++
		if held += len(buf) + 5*len(ends); held > flushBytes {
			held = 0
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	p.sent += int(n)
	if p.next < a.rows {
		c.backend.Send(&pgproto3.PortalSuspended{})
		return nil
	}
	c.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(a.completed(int(n)))})
	return nil
}

// flush writes what is held back, of an answer that goes on.
func (c *session) flush() error {
	if err := c.patience(writeTimeout); err != nil {
		return &connError{err}
	}
	if err := c.backend.Flush(); err != nil {
		return &connError{err}
	}
	return nil
}
