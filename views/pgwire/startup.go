package pgwire

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/brotally/brotally/views"
)

func readFull(conn net.Conn, b []byte) error {
	_, err := io.ReadFull(conn, b)
	return err
}

// maxMessage is how large a message may be: a statement's text has as much at most.
const maxMessage = 1<<20 + 64

// start brings a connection from its first byte to a session that is ready. ok is false when there is nothing more to do.
func (c *session) start() (ok bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.server.config.Start)); err != nil {
		return false, err
	}
	if c.ctx.Err() != nil {
		return false, c.ctx.Err()
	}
	encrypted := false
	for range 4 { // GSS, SSL, startup: who asks more often does not want to begin
		code, body, err := readStartup(c.conn)
		if err != nil {
			return false, err
		}
		switch {
		case code == gssRequest:
			_, err = c.conn.Write([]byte{'N'})
		case code == sslRequest && (c.server.config.TLS == nil || encrypted):
			_, err = c.conn.Write([]byte{'N'})
		case code == sslRequest:
			if _, err = c.conn.Write([]byte{'S'}); err == nil {
				conn := tls.Server(c.conn, c.server.config.TLS)
				err = conn.HandshakeContext(c.ctx)
				c.conn, encrypted = conn, true
			}
		case code == cancelCode:
			var r pgproto3.CancelRequest
			if err := r.Decode(body); err != nil {
				return false, err
			}
			c.server.cancel(&r)
			return false, nil
		default:
			return c.startup(body, encrypted)
		}
		if err != nil {
			return false, err
		}
	}
	return false, errors.New("no startup message")
}

// startup answers the startup message.
func (c *session) startup(body []byte, encrypted bool) (ok bool, err error) {
	c.backend = pgproto3.NewBackend(c.conn, c.conn)
	c.backend.SetMaxBodyLen(maxStartup)
	major, minor := binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])
	if major != 3 {
		return false, c.fatal("0A000", fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.%d", major, minor, newestMinor))
	}
	// What is newer is told what there is, and goes on with that.
	spoken := min(minor, newestMinor)
	if spoken == 1 {
		spoken = 0 // it never was
	}
	binary.BigEndian.PutUint16(body[2:], spoken)
	var m pgproto3.StartupMessage
	if err := m.Decode(body); err != nil {
		return false, c.fatal("08P01", "the startup message is not what is expected")
	}
	var unknown []string
	for name := range m.Parameters {
		if strings.HasPrefix(name, "_pq_.") {
			unknown = append(unknown, name)
		}
	}
	if slices.Sort(unknown); minor > newestMinor || minor == 1 || len(unknown) > 0 {
		c.say(&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 3<<16 | uint32(spoken), UnrecognizedOptions: unknown})
	}
	if c.server.config.TLS != nil && !encrypted {
		return false, c.fatal("28000", "the server speaks over TLS only: connect with sslmode=require, or better verify-full")
	}
	c.user, c.database = m.Parameters["user"], m.Parameters["database"]
	if c.user == "" {
		return false, c.fatal("28000", "no user name in the startup message")
	}
	if c.database == "" {
		c.database = c.user
	}
	if _, replicates := m.Parameters["replication"]; replicates && m.Parameters["replication"] != "false" {
		return false, c.fatal("0A000", "replication is not supported: results are topics in Kafka")
	}
	if c.server.config.Tokens != nil {
		if err := c.authenticate(); err != nil {
			return false, err
		}
	}
	c.backend.SetMaxBodyLen(maxMessage) // nobody makes us hold as much before
	if !c.server.enter(c, spoken >= 2) {
		return false, c.fatal("53300", "too many sessions already; try again in a moment")
	}
	c.settings = newSettings()
	for name, value := range m.Parameters {
		if name == "user" || name == "database" || name == "options" || strings.HasPrefix(name, "_pq_.") || name == "replication" {
			continue
		}
		if err := c.settings.set(name, value); err != nil && strings.EqualFold(name, "client_encoding") {
			return false, c.fatal(err.code, err.message)
		}
	}
	c.settings.options(m.Parameters["options"])
	c.say(&pgproto3.AuthenticationOk{})
	for _, name := range reported {
		c.say(&pgproto3.ParameterStatus{Name: name, Value: c.settings.show(name)})
	}
	c.say(&pgproto3.BackendKeyData{ProcessID: c.pid, SecretKey: c.secret})
	return true, nil
}

var errPassword = errors.New("wrong password")

// authenticate asks for a token.
func (c *session) authenticate() error {
	if err := c.ask(&pgproto3.AuthenticationCleartextPassword{}, pgproto3.AuthTypeCleartextPassword); err != nil {
		return err
	}
	m, err := c.backend.Receive()
	if large := (*pgproto3.ExceededMaxBodyLenErr)(nil); errors.As(err, &large) {
		return errors.Join(err, c.fatal("08P01", "the password is too long"))
	}
	if err != nil {
		return err
	}
	password, ok := m.(*pgproto3.PasswordMessage)
	if !ok || c.server.config.Tokens.Role(password.Password) < views.ReadRole {
		return errors.Join(errPassword, c.fatal("28P01", "password authentication failed: the password is one of the server's tokens"))
	}
	return nil
}

func (c *session) ask(m pgproto3.BackendMessage, kind uint32) error {
	c.say(m)
	if err := c.write(); err != nil {
		return err
	}
	return c.backend.SetAuthType(kind)
}
