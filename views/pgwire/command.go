package pgwire

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/brotally/brotally/views/pgwire/pgcatalog"
)

// writes are the statements that would change something.
var writes = []string{
	"insert", "update", "delete", "merge", "truncate", "create", "alter", "drop", "grant", "revoke", "comment", "reindex", "vacuum", "analyze", "cluster", "refresh",
	"import", "security", "reassign", "do", "call",
}

// others are statements that PostgreSQL has and we have not, and what to do instead.
var others = map[string]string{
	"copy":    "use SELECT; HTTP has CSV: /api/v1/tables/NAME/rows?format=csv",
	"prepare": "drivers prepare in the protocol", "execute": "drivers prepare in the protocol",
	"listen": "GET /api/v1/tables/NAME says how far a table is", "notify": "", "lock": "", "load": "", "checkpoint": "", "table": "write SELECT * FROM it",
}

// command prepares what only sets the session up, or is refused. done is false when the statement is something else.
func (c *session) command(p piece, s *statement) (done bool, err error) {
	simple := func(tag string, do func(c *session) error) (bool, error) {
		s.run = func(_ context.Context, c *session, _ []param) (*answer, error) {
			if err := do(c); err != nil {
				return nil, err
			}
			return &answer{tag: tag}, nil
		}
		return true, nil
	}
	word, second := p.first(), p.word(1) // what is run later does not hold on to all tokens
	switch word {
	case "begin", "start":
		tag := "BEGIN"
		if word == "start" {
			tag = "START TRANSACTION"
		}
		return simple(tag, func(c *session) error {
			if c.transaction == inside {
				c.notice("WARNING", "25001", "there is already a transaction in progress")
				return nil
			}
			c.settings.begin()
			c.transaction = inside
			return nil
		})
	case "commit", "end", "rollback", "abort":
		return c.ending(p, s, simple)
	case "savepoint", "release":
		return simple(strings.ToUpper(word), func(c *session) error {
			if c.transaction == outside {
				return refused("25P01", strings.ToUpper(word)+" can only be used in transaction blocks", "")
			}
			return nil
		})
	case "set":
		return c.setting(p, simple)
	case "reset":
		name := strings.Join(words(p.tokens[1:]), ".")
		if p.word(1) == "time" {
			name = "timezone"
		}
		return simple("RESET", func(c *session) error {
			if name == "all" {
				c.settings.resetAll()
			} else {
				c.settings.reset(name)
			}
			return nil
		})
	case "show":
		return true, c.showing(p, s)
	case "discard":
		return simple("DISCARD "+strings.ToUpper(second), func(c *session) error {
			if second == "all" {
				c.settings.resetAll()
				clear(c.portals)
				clear(c.statements)
			}
			return nil
		})
	case "deallocate":
		named := words(p.tokens[1:])
		if len(named) > 0 && named[0] == "prepare" {
			named = named[1:]
		}
		if len(named) != 1 {
			return true, refused("42601", "expected a name, or ALL, behind DEALLOCATE", "")
		}
		if named[0] == "all" {
			return simple("DEALLOCATE ALL", func(c *session) error { clear(c.statements); return nil })
		}
		return simple("DEALLOCATE", func(c *session) error {
			if c.statements[named[0]] == nil {
				return refused("26000", "prepared statement \""+named[0]+"\" does not exist", "")
			}
			delete(c.statements, named[0])
			return nil
		})
	case "fetch", "move":
		return true, c.fetching(p, s)
	case "close":
		return closing(p, simple)
	case "unlisten":
		return simple("UNLISTEN", func(*session) error { return nil })
	}
	if slices.Contains(writes, word) {
		hint := "tables change with their feeds alone"
		if word == "create" {
			hint = "tables are defined in the files that run is given"
		}
		return true, &wireError{code: "25006", message: "cannot execute " + strings.ToUpper(word) + " in a read-only transaction", hint: hint, position: 0}
	}
	if hint, is := others[word]; is {
		return true, refused("0A000", strings.ToUpper(word)+" is not supported", hint)
	}
	return false, nil
}

type simpleCommand func(tag string, do func(c *session) error) (bool, error)

// ending prepares COMMIT, ROLLBACK and their other names.
func (c *session) ending(p piece, s *statement, simple simpleCommand) (bool, error) {
	s.ends = true
	word := p.first()
	for i := range p.tokens {
		if p.word(i) == "to" && p.first() == "rollback" {
			return simple("ROLLBACK", func(c *session) error {
				if c.transaction == outside {
					return refused("25P01", "ROLLBACK TO SAVEPOINT can only be used in transaction blocks", "")
				}
				c.transaction = inside
				return nil
			})
		}
		if p.word(i) == "prepared" {
			return true, refused("0A000", "transactions cannot be prepared here", "there is nothing to commit")
		}
	}
	s.run = func(_ context.Context, c *session, _ []param) (*answer, error) {
		tag := "ROLLBACK"
		if c.transaction != aborted && (word == "commit" || word == "end") {
			tag = "COMMIT"
		}
		if c.transaction == outside {
			c.notice("WARNING", "25P01", "there is no transaction in progress")
		}
		c.transaction = outside
		clear(c.portals)
		was := c.settings.show(applicationName)
		if c.settings.end(tag == "COMMIT"); was != c.settings.show(applicationName) {
			c.reportName()
		}
		return &answer{tag: tag}, nil
	}
	return true, nil
}

// applicationName is the one setting that clients can change and are told of.
const applicationName = "application_name"

func (c *session) reportName() {
	c.say(&pgproto3.ParameterStatus{Name: applicationName, Value: harmless(c.settings.show(applicationName))})
}

// words are the texts of tokens up to the end, without dots.
func words(tokens []pgcatalog.Token) []string {
	var out []string
	for _, t := range tokens {
		if t.Kind != pgcatalog.End && !t.Is(".") {
			out = append(out, t.Text)
		}
	}
	return out
}

// setting prepares SET.
func (c *session) setting(p piece, simple simpleCommand) (bool, error) {
	tokens := p.tokens[1:]
	local := tokens[0].Is("local")
	if tokens[0].Is("session") || tokens[0].Is("local") {
		tokens = tokens[1:]
	}
	nothing := func(*session) error { return nil }
	switch {
	case tokens[0].Is("transaction"), tokens[0].Is("characteristics"), tokens[0].Is("constraints"), tokens[0].Is("role"), tokens[0].Is("authorization"):
		return simple("SET", nothing)
	case tokens[0].Is("time"):
		zone := words(tokens[min(2, len(tokens)):])
		return simple("SET", func(c *session) error {
			if len(zone) == 0 || !strings.EqualFold(zone[0], "utc") {
				c.notice("NOTICE", "01000", "timestamps stay in UTC")
			}
			return nil
		})
	case tokens[0].Is("names"):
		value := strings.Join(words(tokens[1:]), "")
		return simple("SET", func(c *session) error {
			if err := c.settings.set("client_encoding", value); err != nil {
				return err
			}
			return nil
		})
	}
	at := slices.IndexFunc(tokens, func(t pgcatalog.Token) bool { return t.Is("=") || t.Is("to") })
	if at < 1 || at+1 >= len(tokens) || tokens[at+1].Kind == pgcatalog.End {
		return true, refused("42601", "expected SET name = value", "")
	}
	name := strings.Join(words(tokens[:at]), ".")
	var value strings.Builder
	for _, t := range tokens[at+1:] {
		if t.Is(",") {
			value.WriteString(", ")
		} else {
			value.WriteString(t.Text)
		}
	}
	return simple("SET", func(c *session) error {
		if strings.EqualFold(value.String(), "default") {
			c.settings.reset(name)
			return nil
		}
		set := c.settings.set
		if local {
			if c.transaction == outside {
				c.notice("WARNING", "25P01", "SET LOCAL can only be used in transaction blocks")
				return nil
			}
			set = c.settings.setLocal
		}
		if err := set(name, value.String()); err != nil {
			return err
		}
		if strings.EqualFold(name, "timezone") && !strings.EqualFold(value.String(), "utc") {
			c.notice("NOTICE", "01000", "timestamps stay in UTC")
		}
		if strings.EqualFold(name, applicationName) {
			c.reportName()
		}
		return nil
	})
}

// showing prepares SHOW.
func (c *session) showing(p piece, s *statement) error {
	named := words(p.tokens[1:])
	name := strings.Join(named, ".")
	switch name {
	case "":
		return refused("42601", "expected a setting, or ALL, behind SHOW", "")
	case "all":
		s.columns = []column{{"name", pgtype.TextOID}, {"setting", pgtype.TextOID}, {"description", pgtype.TextOID}}
		s.run = func(_ context.Context, c *session, _ []param) (*answer, error) {
			all := c.settings.all()
			return &answer{columns: s.columns, rows: len(all), tag: "SHOW", size: func() int { return len(all) * 4 * valueBytes }, value: func(b []byte, row, column int, _ bool) ([]byte, bool, error) {
				if column == 2 {
					return b, false, nil
				}
				return append(b, harmless(all[row][column])...), false, nil
			}}, nil
		}
		return nil
	case "time.zone":
		name = "timezone"
	case "transaction.isolation.level":
		name = "transaction_isolation"
	case "session.authorization":
		name = "session_authorization"
	}
	title := name
	for _, r := range reported {
		if strings.EqualFold(r, name) {
			title = r
		}
	}
	s.columns = []column{{title, pgtype.TextOID}}
	if _, ok := c.settings.get(name); !ok {
		return refused("42704", "unrecognized configuration parameter \""+name+"\"", "SHOW ALL lists them")
	}
	s.run = func(_ context.Context, c *session, _ []param) (*answer, error) {
		return textAnswer(s.columns, "SHOW", c.settings.show(name)), nil
	}
	return nil
}

// notice tells the client something that is no error.
func (c *session) notice(severity, code, message string) {
	c.say(&pgproto3.NoticeResponse{Severity: severity, SeverityUnlocalized: severity, Code: code, Message: message})
}
