package pgwire

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	maxPrepared = 256     // statements of a session
	maxTexts    = 1 << 20 // bytes of their texts
	maxPortals  = 16      // each may hold an answer
)

// maxKept is about how many bytes a session's portals may keep of answers that are not sent yet.
var maxKept = 64 << 20

// portal is a statement with its parameters, and its answer once it runs.
type portal struct {
	statement *statement
	params    []param
	formats   []int16 // of the columns: none, one for all, or one each
	answer    *answer // nil: it did not run yet
	next      int     // row to be sent
	size      int     // about how many bytes the answer has; 0: it is not kept
}

func tooManyPortals() error {
	return refused("53000", fmt.Sprintf("the session has %d portals already", maxPortals), "close some")
}

// binary reports whether column i is sent in binary.
func (p *portal) binary(i int) bool {
	switch len(p.formats) {
	case 0:
		return false
	case 1:
		return p.formats[0] == 1
	}
	return i < len(p.formats) && p.formats[i] == 1
}

// keep counts the answer of a portal that gave a part of it.
func (c *session) keep(p *portal) error {
	if p.size == 0 {
		p.size = p.answer.size()
	}
	kept := 0
	for _, other := range c.portals {
		kept += other.size
	}
	if kept > maxKept {
		p.size, p.answer = 0, &answer{columns: p.answer.columns, tag: p.answer.tag}
		return refused("53000", fmt.Sprintf("the session's portals keep more than %d MiB", maxKept>>20), "close some, ask for fewer rows with LIMIT, or for all of them at once, without a fetch size")
	}
	return nil
}

func (c *session) parse(ctx context.Context, m *pgproto3.Parse) error {
	if _, taken := c.statements[m.Name]; taken && m.Name != "" {
		return refused("42P05", fmt.Sprintf("prepared statement %q already exists", m.Name), "")
	}
	if len(c.statements) >= maxPrepared && m.Name != "" {
		return refused("53000", fmt.Sprintf("the session has %d prepared statements already", maxPrepared), "DEALLOCATE some")
	}
	delete(c.statements, m.Name)
	texts := len(m.Query)
	for _, s := range c.statements {
		texts += len(s.text)
	}
	if texts > maxTexts && m.Name != "" {
		return refused("53000", fmt.Sprintf("the session's prepared statements have more than %d KiB of text already", maxTexts>>10), "DEALLOCATE some")
	}
	var first *piece
	for p := range split(m.Query) {
		if first != nil {
			return refused("42601", "cannot insert multiple commands into a prepared statement", "send them one at a time, or as a simple query")
		}
		first = &p
	}
	s := &statement{text: m.Query, empty: true}
	if first != nil {
		ctx, cancel := c.timed(ctx)
		defer cancel()
		var err error
		if s, err = c.prepare(ctx, *first, m.ParameterOIDs); err != nil {
			// The place is told in the message's text.
			return asWireError(err, m.Query, first.from)
		}
		s.text = m.Query
		if err := c.allowed(s); err != nil {
			return err
		}
	}
	c.statements[m.Name] = s
	c.say(&pgproto3.ParseComplete{})
	return nil
}

func (c *session) bind(m *pgproto3.Bind) (text string, err error) {
	s := c.statements[m.PreparedStatement]
	if s == nil {
		return "", refused("26000", fmt.Sprintf("prepared statement %q does not exist", m.PreparedStatement), "")
	}
	if err := c.allowed(s); err != nil {
		return s.text, err
	}
	if _, taken := c.portals[m.DestinationPortal]; taken && m.DestinationPortal != "" {
		return s.text, refused("42P03", fmt.Sprintf("cursor %q already exists", m.DestinationPortal), "")
	}
	if len(c.portals) >= maxPortals && m.DestinationPortal != "" {
		return s.text, tooManyPortals()
	}
	delete(c.portals, m.DestinationPortal)
	if len(m.Parameters) != len(s.params) {
		return s.text, refused("08P01", fmt.Sprintf("bind message supplies %d parameters, but prepared statement %q requires %d", len(m.Parameters), m.PreparedStatement, len(s.params)), "")
	}
	if n := len(m.ParameterFormatCodes); n > 1 && n != len(m.Parameters) {
		return s.text, refused("08P01", fmt.Sprintf("bind message has %d parameter formats but %d parameters", n, len(m.Parameters)), "")
	}
	if n := len(m.ResultFormatCodes); n > 1 && n != len(s.columns) {
		return s.text, refused("08P01", fmt.Sprintf("bind message has %d result formats but query has %d columns", n, len(s.columns)), "")
	}
	for _, code := range slices.Concat(m.ParameterFormatCodes, m.ResultFormatCodes) {
		if code != 0 && code != 1 {
			return s.text, refused("08P01", fmt.Sprintf("unsupported format code: %d", code), "0 is text, 1 is binary")
		}
	}
	p := &portal{statement: s, formats: append([]int16(nil), m.ResultFormatCodes...)}
	for i, raw := range m.Parameters {
		v := param{oid: s.params[i], null: raw == nil, raw: append([]byte(nil), raw...)}
		switch len(m.ParameterFormatCodes) {
		case 0:
		case 1:
			v.binary = m.ParameterFormatCodes[0] == 1
		default:
			v.binary = m.ParameterFormatCodes[i] == 1
		}
		p.params = append(p.params, v)
	}
	c.portals[m.DestinationPortal] = p
	c.say(&pgproto3.BindComplete{})
	return s.text, nil
}

func (c *session) describe(m *pgproto3.Describe) (text string, err error) {
	var s *statement
	var formats *portal
	if err := kindOf(m.ObjectType); err != nil {
		return "", err
	}
	if m.ObjectType == 'S' {
		if s = c.statements[m.Name]; s == nil {
			return "", refused("26000", fmt.Sprintf("prepared statement %q does not exist", m.Name), "")
		}
		c.say(&pgproto3.ParameterDescription{ParameterOIDs: s.params})
	} else {
		if formats = c.portals[m.Name]; formats == nil {
			return "", refused("34000", fmt.Sprintf("portal %q does not exist", m.Name), "")
		}
		s = formats.statement
	}
	if s.columns == nil {
		c.say(&pgproto3.NoData{})
		return s.text, nil
	}
	c.say(rowDescription(s.columns, formats))
	return s.text, nil
}

// kindOf refuses what is neither a statement nor a portal.
func kindOf(object byte) error {
	if object != 'S' && object != 'P' {
		return refused("08P01", fmt.Sprintf("there is nothing of kind %q", rune(object)), "S is a statement, P a portal")
	}
	return nil
}

func (c *session) close(m *pgproto3.Close) error {
	if err := kindOf(m.ObjectType); err != nil {
		return err
	}
	if m.ObjectType == 'S' {
		delete(c.statements, m.Name)
	} else {
		delete(c.portals, m.Name)
	}
	c.say(&pgproto3.CloseComplete{})
	return nil
}

func (c *session) execute(ctx context.Context, m *pgproto3.Execute) (text string, err error) {
	p := c.portals[m.Portal]
	if p == nil {
		return "", refused("34000", fmt.Sprintf("portal %q does not exist", m.Portal), "")
	}
	s := p.statement
	if s.empty {
		c.say(&pgproto3.EmptyQueryResponse{})
		return s.text, nil
	}
	if err := c.allowed(s); err != nil {
		return s.text, err
	}
	ctx, cancel := c.timed(ctx)
	defer cancel()
	defer func() {
		if err != nil {
			delete(c.portals, m.Portal) // nobody may go on in the middle of what was not sent, and nothing keeps it
		}
	}()
	if p.answer == nil {
		if p.answer, err = s.run(ctx, c, p.params); err != nil {
			return s.text, asWireError(err, s.text, s.from)
		}
	}
	return s.text, c.send(ctx, p, m.MaxRows)
}

// rowDescription describes the columns of an answer; p, which may be nil, says in which formats.
func rowDescription(columns []column, p *portal) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(columns))}
	for i, c := range columns {
		format := int16(0)
		if p != nil && p.binary(i) {
			format = 1
		}
		d.Fields[i] = pgproto3.FieldDescription{Name: []byte(harmless(c.name)), DataTypeOID: c.oid, DataTypeSize: sizeOf(c.oid), TypeModifier: -1, Format: format}
	}
	return d
}
