package pgwire

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/brotally/brotally/views/pgwire/pgcatalog"
)

// A cursor is a portal that a statement made: DECLARE runs its SELECT and keeps the answer, FETCH and MOVE go on in it. So it shows the
// rows as they were when it was declared, and counts among what a session may keep.

// unsupported is an error at a token of a statement, of what PostgreSQL has.
func unsupported(t pgcatalog.Token, what, hint string) error {
	return &pgcatalog.Error{At: t.At, Code: "0A000", Message: what + " is not supported", Hint: hint}
}

// unexpected is an error at a token of a statement, of what PostgreSQL has not, either.
func unexpected(t pgcatalog.Token, want string) error {
	return &pgcatalog.Error{At: t.At, Code: "42601", Message: "expected " + want + ", found " + t.String()}
}

func isName(t pgcatalog.Token) bool { return t.Kind == pgcatalog.Word || t.Kind == pgcatalog.Quoted }

func noCursor(name string) error {
	return refused("34000", fmt.Sprintf("cursor %q does not exist", name), "")
}

// declaring prepares DECLARE name [ASENSITIVE | INSENSITIVE] [NO SCROLL] CURSOR [WITHOUT HOLD] FOR SELECT ..
func (c *session) declaring(ctx context.Context, p piece, given []uint32, s *statement) error {
	rest := p.tokens[1:]
	next := func() (t pgcatalog.Token) {
		if t = rest[0]; t.Kind != pgcatalog.End {
			rest = rest[1:]
		}
		return t
	}
	name := next()
	if !isName(name) {
		return unexpected(name, "a cursor's name")
	}
	for t := next(); !t.Is("cursor"); t = next() {
		switch {
		case t.Is("asensitive"), t.Is("insensitive"):
		case t.Is("no") && rest[0].Is("scroll"):
			next()
		case t.Is("scroll"):
			return unsupported(t, "SCROLL", "cursors go forward: write NO SCROLL")
		case t.Is("binary"):
			return unsupported(t, "BINARY", "drivers ask for binary in the protocol")
		default:
			return unexpected(t, "CURSOR")
		}
	}
	t := next()
	if t.Is("with") || t.Is("without") {
		hold := next()
		switch {
		case !hold.Is("hold"):
			return unexpected(hold, "HOLD")
		case t.Is("with"):
			return unsupported(t, "WITH HOLD", "a cursor ends with its transaction")
		}
		t = next()
	}
	if !t.Is("for") {
		return unexpected(t, "FOR")
	}
	if !rest[0].Is("select") && !rest[0].Is("values") && !rest[0].Is("with") {
		return unexpected(rest[0], "SELECT")
	}
	query, err := c.prepare(ctx, piece{text: blanked(p.text, rest[0].At), from: p.from, tokens: rest}, given)
	if err != nil {
		return err
	}
	query.text, s.params = p.text, query.params
	s.run = func(ctx context.Context, c *session, params []param) (*answer, error) {
		switch {
		case c.transaction == outside:
			return nil, refused("25P01", "DECLARE CURSOR can only be used in transaction blocks", "BEGIN first")
		case c.portals[name.Text] != nil:
			return nil, refused("42P03", fmt.Sprintf("cursor %q already exists", name.Text), "CLOSE it")
		case len(c.portals) >= maxPortals:
			return nil, tooManyPortals()
		}
		a, err := query.run(ctx, c, params)
		if err != nil {
			return nil, err
		}
		cursor := &portal{statement: query, answer: a}
		c.portals[name.Text] = cursor
		if err := c.keep(cursor); err != nil {
			delete(c.portals, name.Text)
			return nil, err
		}
		return &answer{tag: "DECLARE CURSOR"}, nil
	}
	return nil
}

// blanked is a text whose first bytes are blanks, so that places in the rest stay what they are.
func blanked(text string, bytes int) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return ' '
	}, text[:bytes]) + text[bytes:]
}

// fetching prepares FETCH and MOVE [NEXT | n | ALL | FORWARD [n | ALL]] [FROM | IN] name.
func (c *session) fetching(p piece, s *statement) error {
	many, name, err := direction(p.tokens[1:])
	if err != nil {
		return err
	}
	cursor := c.portals[name]
	if cursor == nil {
		return noCursor(name)
	}
	columns := cursor.statement.columns
	moves := p.first() == "move"
	if !moves {
		s.columns = columns
	}
	s.run = func(_ context.Context, c *session, _ []param) (*answer, error) {
		cursor := c.portals[name]
		switch {
		case cursor == nil || cursor.answer == nil: // one of the protocol's, which did not run, is none
			return nil, noCursor(name)
		case !slices.Equal(cursor.statement.columns, columns):
			return nil, refused("0A000", "cached plan must not change result type", "the name is another cursor's by now: prepare the statement anew")
		}
		a, from := cursor.answer, cursor.next
		rows := min(many, a.rows-from)
		if cursor.next += rows; cursor.next == a.rows {
			cursor.next, cursor.size, cursor.answer = 0, 0, &answer{columns: a.columns, tag: a.tag} // the rows are of no use any more
		}
		if moves {
			return &answer{tag: "MOVE " + strconv.Itoa(rows)}, nil
		}
		return &answer{columns: columns, rows: rows, tag: "FETCH", size: a.size, value: func(b []byte, row, column int, binary bool) ([]byte, bool, error) {
			return a.value(b, from+row, column, binary)
		}}, nil
	}
	return nil
}

// direction reads how many rows FETCH or MOVE goes on, and in which cursor.
func direction(tokens []pgcatalog.Token) (many int, name string, err error) {
	const backward = "cursors go forward: FETCH n, or FETCH ALL"
	many = 1
	named := func() bool { // whether what is left is the cursor's name
		return isName(tokens[0]) && tokens[1].Kind == pgcatalog.End
	}
	if tokens[0].Is("next") && !named() {
		tokens = tokens[1:]
	} else if !named() {
		if tokens[0].Is("forward") {
			tokens = tokens[1:]
		}
		switch t := tokens[0]; {
		case named(), t.Is("from"), t.Is("in"):
		case t.Is("all"):
			many, tokens = math.MaxInt, tokens[1:]
		case t.Kind == pgcatalog.Number:
			if many, err = strconv.Atoi(t.Text); err != nil {
				return 0, "", unexpected(t, "a number of rows")
			}
			if many == 0 {
				return 0, "", unsupported(t, "the row once more", backward)
			}
			tokens = tokens[1:]
		case t.Is("-"), t.Is("+"):
			return 0, "", unsupported(t, "a number with a sign", backward)
		case t.Is("prior"), t.Is("first"), t.Is("last"), t.Is("absolute"), t.Is("relative"), t.Is("backward"):
			return 0, "", unsupported(t, strings.ToUpper(t.Text), backward)
		}
	}
	if tokens[0].Is("from") || tokens[0].Is("in") {
		tokens = tokens[1:]
	}
	switch {
	case !isName(tokens[0]):
		return 0, "", unexpected(tokens[0], "a cursor's name")
	case !named():
		return 0, "", unexpected(tokens[1], "the end of the statement")
	}
	return many, tokens[0].Text, nil
}

// closing prepares CLOSE name, or CLOSE ALL.
func closing(p piece, simple simpleCommand) (bool, error) {
	switch t := p.tokens[1]; {
	case !isName(t):
		return true, unexpected(t, "a cursor's name, or ALL")
	case p.tokens[2].Kind != pgcatalog.End:
		return true, unexpected(p.tokens[2], "the end of the statement")
	case t.Is("all"):
		return simple("CLOSE CURSOR ALL", func(c *session) error {
			clear(c.portals)
			return nil
		})
	default:
		return simple("CLOSE CURSOR", func(c *session) error {
			if c.portals[t.Text] == nil {
				return noCursor(t.Text)
			}
			delete(c.portals, t.Text)
			return nil
		})
	}
}
