package pgwire

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgproto3"
)

// simple answers the statements of a simple query, up to the first that fails. The error is a *connError.
func (c *session) simple(ctx context.Context, text string) error {
	none := true
	for p := range split(text) {
		none = false
		if err := c.one(ctx, p); err != nil {
			if broken := (*connError)(nil); errors.As(err, &broken) {
				return err
			}
			c.fail(err, text, p.from)
			return nil
		}
	}
	if none {
		c.say(&pgproto3.EmptyQueryResponse{})
	}
	return nil
}

// one answers one statement of a simple query, in text.
func (c *session) one(ctx context.Context, p piece) error {
	ctx, cancel := c.timed(ctx)
	defer cancel()
	if ctx.Err() != nil { // between two statements
		return context.Cause(ctx)
	}
	s, err := c.prepare(ctx, p, nil)
	if err != nil {
		return err
	}
	if n := len(s.params); n > 0 {
		return refused("42P02", "there is no parameter $1", "parameters belong to the extended protocol, which drivers speak")
	}
	if err := c.allowed(s); err != nil {
		return err
	}
	a, err := s.run(ctx, c, nil)
	if err != nil {
		return err
	}
	if a.columns != nil {
		c.say(rowDescription(a.columns, nil))
	}
	if err := c.send(ctx, &portal{answer: a}, 0); err != nil {
		return err
	}
	return c.spill(ctx)
}

// send sends rows of a portal, most of them at most if that is not 0, and how that ended.
func (c *session) send(ctx context.Context, p *portal, most uint32) error {
	a := p.answer
	if a.columns == nil {
		c.say(&pgproto3.CommandComplete{CommandTag: []byte(a.tag)})
		return nil
	}
	var row pgproto3.DataRow
	row.Values = make([][]byte, len(a.columns))
	ends := make([]int, len(a.columns))
	buf := make([]byte, 0, 512) // never nil, which is NULL
	n := uint32(0)
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
		c.say(&row)
		n++
		if err := c.spill(ctx); err != nil {
			p.next++
			return err
		}
	}
	if p.next < a.rows {
		if err := c.keep(p); err != nil {
			return err
		}
		c.say(&pgproto3.PortalSuspended{})
		return nil
	}
	p.next, p.size, p.answer = 0, 0, &answer{columns: a.columns, tag: a.tag} // the rows are of no use any more
	c.say(&pgproto3.CommandComplete{CommandTag: []byte(a.completed(int(n)))})
	return nil
}
