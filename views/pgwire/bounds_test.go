package pgwire

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/brotally/brotally/views"
)

// measured is a connection that knows how much was written at once.
type measured struct {
	net.Conn
	most atomic.Int64
}

func (m *measured) Write(b []byte) (int, error) {
	m.most.Store(max(m.most.Load(), int64(len(b)))) // one writes at a time
	return m.Conn.Write(b)
}

// pipe starts a session over a connection that holds nothing back: what is written waits until it is read.
func (f *fixture) pipe() (*wire, *measured, *pgproto3.BackendKeyData) {
	f.t.Helper()
	near, far := net.Pipe()
	conn := &measured{Conn: far}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // the cleanup waits
		defer close(ended)
		f.server.serve(ctx, conn)
	}()
	f.t.Cleanup(func() {
		_ = near.Close()
		cancel()
		<-ended
	})
	_ = near.SetDeadline(time.Now().Add(20 * time.Second))
	w := &wire{f.t, near, pgproto3.NewFrontend(near, near)}
	w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u", "database": "d"}})
	var key pgproto3.BackendKeyData
	for {
		m, err := w.Receive()
		if err != nil {
			f.t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.BackendKeyData:
			key = pgproto3.BackendKeyData{ProcessID: m.ProcessID, SecretKey: append([]byte(nil), m.SecretKey...)}
		case *pgproto3.ReadyForQuery:
			return w, conn, &key
		}
	}
}

// TestAnswersDoNotPileUp has messages and statements whose answers are small, and so many of them that together they are not.
func TestAnswersDoNotPileUp(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts, kinds)
	w, conn, _ := f.pipe()
	w.send(&pgproto3.Query{String: strings.Repeat("SELECT * FROM dns_counts;", 1000)})
	w.until("ReadyForQuery")
	w.send(parseOf("s", "SELECT * FROM kinds"))
	go func() { // ends with the connection
		for range 2000 {
			w.Send(&pgproto3.Describe{ObjectType: 'S', Name: "s"})
		}
		_ = w.Flush()
	}()
	for range 1000 { // nothing asks for them
		w.until("RowDescription")
	}
	if most := conn.most.Load(); most > flushBytes+4096 {
		t.Errorf("%d bytes were held back", most)
	}
}

// TestCancelStopsWhatIsSent cancels while rows are sent, and behind the first of many statements.
func TestCancelStopsWhatIsSent(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	many := "SELECT n, '" + strings.Repeat("x", 100) + "' FROM generate_series(1, 5000) AS g(n)"
	w, _, key := f.pipe()
	for _, messages := range [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: many}},
		{&pgproto3.Query{String: strings.Repeat("SELECT * FROM dns_counts;", 2000)}},
		{parseOf("", many), bindOf("", ""), executeOf("", 0), syncOf()},
	} {
		w.send(messages...)
		if _, err := w.Receive(); err != nil { // the first 64 KiB are on their way
			t.Fatal(err)
		}
		f.server.cancel(&pgproto3.CancelRequest{ProcessID: key.ProcessID, SecretKey: key.SecretKey})
		if got := w.until("ReadyForQuery"); !strings.HasSuffix(got, " ErrorResponse:57014 ReadyForQuery") {
			t.Errorf("%T: %s", messages[0], got[max(0, len(got)-100):])
		}
	}
	w.send(&pgproto3.Query{String: "SET statement_timeout = '20ms'; " + many})
	if _, err := w.Receive(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond) // longer than the statement has
	defer cancel()
	<-ctx.Done()
	if got := w.until("ReadyForQuery"); !strings.HasSuffix(got, "ErrorResponse:57014 ReadyForQuery") {
		t.Errorf("%s", got[max(0, len(got)-100):])
	}
}

// TestAPortalThatFailedIsGone: what was sent in part is neither kept nor gone on with.
func TestAPortalThatFailedIsGone(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	w, _, key := f.pipe()
	asks := func(want string, messages ...pgproto3.FrontendMessage) {
		t.Helper()
		w.send(messages...)
		if got := w.until("ReadyForQuery"); !strings.HasSuffix(got, want+" ReadyForQuery") {
			t.Errorf("%s, want %s", got[max(0, len(got)-100):], want)
		}
	}
	begin := func() { asks("CommandComplete", &pgproto3.Query{String: "ROLLBACK; BEGIN"}) }
	begin()
	asks("ParseComplete", parseOf("s", "SELECT '"+strings.Repeat("x", 4000)+"' FROM generate_series(1, 10000)"), syncOf())
	w.send(bindOf("a", "s"), executeOf("a", 0), syncOf())
	if _, err := w.Receive(); err != nil { // it is on its way
		t.Fatal(err)
	}
	f.server.cancel(&pgproto3.CancelRequest{ProcessID: key.ProcessID, SecretKey: key.SecretKey})
	asks("ErrorResponse:57014")
	asks("CommandComplete", &pgproto3.Query{String: "ROLLBACK TO x"}) // the transaction goes on
	asks("ErrorResponse:34000", executeOf("a", 1), syncOf())

	begin()
	asks("ErrorResponse:53000", bindOf("a", "s"), executeOf("a", 1), bindOf("b", "s"), executeOf("b", 1), syncOf())
	asks("CommandComplete", &pgproto3.Query{String: "ROLLBACK TO x"})
	asks("ErrorResponse:34000", executeOf("b", 0), syncOf()) // not: no rows
}

// TestPortalsKeepSoMuch suspends portals whose answers are large together.
func TestPortalsKeepSoMuch(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	w := f.wire()
	ask := func(want string, messages ...pgproto3.FrontendMessage) {
		t.Helper()
		w.send(append(messages, syncOf())...)
		if got := w.until("ReadyForQuery"); got != want+"ReadyForQuery" {
			t.Errorf("%s", got)
		}
	}
	w.send(&pgproto3.Query{String: "BEGIN"})
	w.until("ReadyForQuery")
	// Some 38 MiB, by what is counted.
	ask("ParseComplete ", parseOf("s", "SELECT '"+strings.Repeat("x", 4000)+"' FROM generate_series(1, 10000)"))
	ask("BindComplete DataRow PortalSuspended ", bindOf("a", "s"), executeOf("a", 1))
	ask("BindComplete DataRow ErrorResponse:53000 ", bindOf("b", "s"), executeOf("b", 1))
	w.send(&pgproto3.Query{String: "ROLLBACK"})
	w.until("ReadyForQuery")
	w.send(&pgproto3.Query{String: "BEGIN"})
	w.until("ReadyForQuery")
	ask("BindComplete DataRow PortalSuspended ", bindOf("a", "s"), executeOf("a", 1))
	w.send(executeOf("a", 0), syncOf())
	w.until("CommandComplete")
	w.until("ReadyForQuery")
	ask("CommandComplete ", executeOf("a", 0)) // what was sent is not kept
	ask("BindComplete DataRow PortalSuspended ", bindOf("b", "s"), executeOf("b", 1))
}

func TestLongStatementsAreLookupsAlone(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	w := f.wire()
	blanks := strings.Repeat(" ", maxPiece)
	for _, c := range []struct{ text, want string }{
		{"SELECT count(*) " + blanks + " FROM dns_counts", "RowDescription DataRow CommandComplete ReadyForQuery"},
		{"SET x = " + blanks + " 1", "ErrorResponse:54000 ReadyForQuery"},
		{"SELECT 1 " + blanks + " FROM pg_class", "ErrorResponse:42P01 ReadyForQuery"},
		{"SELECT 1" + strings.Repeat("+1", maxPiece), "ErrorResponse:42601 ReadyForQuery"},
		{"SELECT 1" + strings.Repeat("+1", maxPiece/2-10), "RowDescription DataRow CommandComplete ReadyForQuery"},
		{"SELECT " + strings.Repeat("+", 20_000) + "1", "ErrorResponse:54001 ReadyForQuery"},
	} {
		w.send(&pgproto3.Query{String: c.text})
		if got := w.until("ReadyForQuery"); got != c.want {
			t.Errorf("%.30s: %.200s", c.text, got)
		}
	}
	text := "SELECT count(*) " + strings.Repeat(blanks, 10) + " FROM dns_counts"
	w.send(parseOf("a", text), parseOf("b", text), syncOf())
	if got := w.until("ReadyForQuery"); got != "ParseComplete ErrorResponse:53000 ReadyForQuery" {
		t.Errorf("%s", got)
	}
}

func TestQuestionsWaitForTheirTurn(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	conn := f.connect("&statement_timeout=20ms&default_query_exec_mode=simple_protocol")
	for range cap(f.server.questions) {
		f.server.questions <- struct{}{}
	}
	_, err := conn.Exec(t.Context(), "SELECT 1")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "57014" {
		t.Errorf("%v", err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT * FROM dns_counts"); err != nil {
		t.Error(err)
	}
	<-f.server.questions
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
}

// TestPasswordsAreShort sends the head of a message that is much longer than a password, and nothing behind it.
func TestPasswordsAreShort(t *testing.T) {
	f := newFixture(t, Config{Tokens: tokens(t, known)}, views.Limits{}, nil, dnsCounts)
	w := f.dial()
	w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u"}})
	w.until("AuthenticationCleartextPassword")
	if _, err := w.conn.Write([]byte{'p', 0, 0x0f, 0, 0}); err != nil {
		t.Fatal(err)
	}
	w.until("ErrorResponse:08P01")
	if _, err := w.Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

func TestNothingIsAnsweredBetweenAnErrorAndSync(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	w := f.wire()
	w.send(parseOf("", "SELECT nix"), &pgproto3.Query{String: "SELECT 1"}, &pgproto3.FunctionCall{}, parseOf("", "SELECT 1"), syncOf(), &pgproto3.Query{String: "SHOW timezone"})
	if got := w.until("CommandComplete"); got != "ErrorResponse:42703 ReadyForQuery RowDescription DataRow CommandComplete" {
		t.Errorf("%s", got)
	}
	w.until("ReadyForQuery")
	for _, m := range []pgproto3.FrontendMessage{
		&pgproto3.Bind{PreparedStatement: "s", ResultFormatCodes: []int16{2}},
		&pgproto3.Bind{PreparedStatement: "s", ParameterFormatCodes: []int16{-1}},
		&pgproto3.Describe{ObjectType: 'X', Name: "s"},
		&pgproto3.Close{ObjectType: 'X', Name: "s"},
	} {
		w.send(&pgproto3.Query{String: "DEALLOCATE ALL"}, parseOf("s", "SELECT 1"), m, syncOf())
		w.until("ReadyForQuery")
		if got := w.until("ReadyForQuery"); got != "ParseComplete ErrorResponse:08P01 ReadyForQuery" {
			t.Errorf("%#v: %s", m, got)
		}
	}
}

// TestPlacesAreInTheWholeMessage has an error of a statement that runs, behind a comment and an umlaut.
func TestPlacesAreInTheWholeMessage(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	for _, mode := range modes[1:] {
		text := " /* ä */ \n SELECT $1::text::int"
		_, err := f.connect("&default_query_exec_mode="+mode).Exec(t.Context(), text, "x")
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "22P02" || string([]rune(text)[e.Position-1:]) != "::int" {
			t.Errorf("%s: %+v", mode, err)
		}
	}
}

func TestSettingsEndWithTheirTransaction(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	conn := f.connect("&default_query_exec_mode=simple_protocol")
	for _, c := range []struct{ text, want string }{
		{"SET a.b = 1", "1"},
		{"BEGIN; SET LOCAL a.b = 2", "2"},
		{"COMMIT", "1"},
		{"BEGIN; SET a.b = 3; SET LOCAL a.b = 4", "4"},
		{"COMMIT", "3"},
		{"BEGIN; SET a.b = 5", "5"},
		{"ROLLBACK", "3"},
		{"BEGIN; SELECT set_config('a.b', '6', true)", "6"},
		{"COMMIT", "3"},
		{"SET LOCAL a.b = 7", "3"},
		{"SELECT set_config('a.b', '8', true)", "3"},
		{"SELECT set_config('a.b', '9', false)", "9"},
		{"BEGIN; RESET a.b; SET a.b = 0; DISCARD ALL; SET a.b = 10", "10"},
		{"COMMIT", "10"},
		{"BEGIN; SET statement_timeout = 12345; SET application_name = x; ROLLBACK", "10"},
	} {
		if _, err := conn.PgConn().Exec(t.Context(), c.text).ReadAll(); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		var got string
		if err := conn.QueryRow(t.Context(), "SHOW a.b").Scan(&got); err != nil || got != c.want {
			t.Errorf("%s: %s %v", c.text, got, err)
		}
	}
	var timeout string
	if err := conn.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&timeout); err != nil || timeout != "0" || conn.PgConn().ParameterStatus("application_name") != "" {
		t.Errorf("%s %s %v", timeout, conn.PgConn().ParameterStatus("application_name"), err)
	}
}
