package pgwire

import (
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// wire is a client that sends what it is told.
type wire struct {
	t    testing.TB
	conn net.Conn
	*pgproto3.Frontend
}

// dial connects without saying anything.
func (f *fixture) dial() *wire {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a hang is a failure, not a test without end
	return &wire{f.t, conn, pgproto3.NewFrontend(conn, conn)}
}

// wire connects and starts a session.
func (f *fixture) wire() *wire {
	f.t.Helper()
	w := f.dial()
	w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u", "database": "d"}})
	w.until("ReadyForQuery")
	return w
}

func (w *wire) send(messages ...pgproto3.FrontendMessage) {
	w.t.Helper()
	for _, m := range messages {
		w.Send(m)
	}
	if err := w.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// until reads messages up to that one, and returns what they were.
func (w *wire) until(last string) string {
	w.t.Helper()
	var names []string
	for {
		m, err := w.Receive()
		if err != nil {
			w.t.Fatalf("%v, after %v", err, names)
		}
		name := reflect.TypeOf(m).Elem().Name()
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			name += ":" + e.Code
		}
		if names = append(names, name); name == last {
			return strings.Join(names, " ")
		}
	}
}

func parseOf(name, query string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: query}
}

func bindOf(portal, statement string) pgproto3.FrontendMessage {
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: statement}
}

func executeOf(portal string, rows uint32) pgproto3.FrontendMessage {
	return &pgproto3.Execute{Portal: portal, MaxRows: rows}
}

func syncOf() pgproto3.FrontendMessage { return &pgproto3.Sync{} }
