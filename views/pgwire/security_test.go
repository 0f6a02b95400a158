package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/brotally/brotally/internal/testcert"
	"github.com/brotally/brotally/views"
)

const known = "read 16-characters-01"

// tokens are what the lines say.
func tokens(t *testing.T, lines string) *views.Tokens {
	t.Helper()
	all, err := views.NewTokens(lines)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestATokenIsThePassword(t *testing.T) {
	f := newFixture(t, Config{Tokens: tokens(t, "read tök,en=1-of-16ch\nadmin 16-characters-02")}, views.Limits{}, office(), dnsCounts)
	for _, c := range []struct{ password, code string }{{"tök,en=1-of-16ch", ""}, {"16-characters-02", ""}, {"16-characters-03", "28P01"}, {"", "28P01"}} {
		config, err := pgx.ParseConfig("postgres://anybody@" + f.addr + "/x?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		config.Password = c.password
		conn, err := pgx.ConnectConfig(t.Context(), config)
		var e *pgconn.PgError
		switch {
		case err == nil:
			_ = conn.Close(context.Background())
			if c.code != "" {
				t.Errorf("%q is let in", c.password)
			}
		case !errors.As(err, &e) || e.Code != c.code || e.Severity != "FATAL":
			t.Errorf("%q: %v", c.password, err)
		}
	}
}

// TestNothingIsAnsweredBeforeThePassword sends what comes after it.
func TestNothingIsAnsweredBeforeThePassword(t *testing.T) {
	f := newFixture(t, Config{Tokens: tokens(t, known)}, views.Limits{}, office(), dnsCounts)
	for _, m := range []pgproto3.FrontendMessage{
		&pgproto3.Query{String: "SELECT 1"},
		&pgproto3.Sync{},
		&pgproto3.PasswordMessage{Password: "16-characters-00"},
	} {
		w := f.dial()
		w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u"}})
		w.until("AuthenticationCleartextPassword")
		w.send(m)
		if got := w.until("ErrorResponse:28P01"); got != "ErrorResponse:28P01" {
			t.Errorf("%#v: %s", m, got)
		}
		if _, err := w.Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%#v: %v", m, err)
		}
	}
}

func TestTLS(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	pair := ca.Server("127.0.0.1")
	f := newFixture(t, Config{Tokens: tokens(t, known), TLS: &tls.Config{Certificates: []tls.Certificate{pair.TLS}, MinVersion: tls.VersionTLS12}}, views.Limits{}, office(), dnsCounts)
	conn, err := pgx.Connect(t.Context(), "postgres://u:16-characters-01@"+f.addr+"/d?sslmode=verify-full&sslrootcert="+ca.File)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM dns_counts").Scan(&n); err != nil || n != 6 {
		t.Errorf("%d %v", n, err)
	}
	// CancelRequest goes over TLS too.
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Error(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = pgx.Connect(t.Context(), "postgres://u:16-characters-01@"+f.addr+"/d?sslmode=disable")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "28000" || !strings.Contains(e.Message, "TLS only") {
		t.Errorf("%v", err)
	}
}

func TestWhoDoesNotBeginIsLetGo(t *testing.T) {
	f := newFixture(t, Config{Start: 50 * time.Millisecond}, views.Limits{}, nil, dnsCounts)
	w := f.dial()
	if _, err := w.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

func TestIdleSessionsAreTold(t *testing.T) {
	f := newFixture(t, Config{Idle: 50 * time.Millisecond}, views.Limits{}, nil, dnsCounts)
	w := f.wire()
	w.until("ErrorResponse:57P05")
}

func TestThereAreSoManySessions(t *testing.T) {
	f := newFixture(t, Config{Sessions: 1}, views.Limits{}, nil, dnsCounts)
	first := f.connect("")
	_, err := pgx.Connect(t.Context(), "postgres://u@"+f.addr+"/d?sslmode=disable")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "53300" {
		t.Errorf("%v", err)
	}
	if err := first.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestVersionsOfTheProtocol(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	for _, c := range []struct {
		version uint32
		want    string
		secret  int
	}{
		{3 << 16, "", 4},
		{3<<16 | 2, "", 32},
		{3<<16 | 9999, "NegotiateProtocolVersion ", 32},
	} {
		w := f.dial()
		w.send(&pgproto3.StartupMessage{ProtocolVersion: c.version, Parameters: map[string]string{"user": "u"}})
		if c.want != "" {
			m, err := w.Receive()
			if n, ok := m.(*pgproto3.NegotiateProtocolVersion); !ok || n.NewestMinorProtocol != 3<<16|2 {
				t.Errorf("%x: %+v %v", c.version, m, err)
			}
		}
		got := c.want + w.until("AuthenticationOk")
		if got != c.want+"AuthenticationOk" {
			t.Errorf("%x: %s", c.version, got)
		}
		for {
			m, err := w.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if key, ok := m.(*pgproto3.BackendKeyData); ok {
				if len(key.SecretKey) != c.secret {
					t.Errorf("%x: a secret of %d bytes", c.version, len(key.SecretKey))
				}
				break
			}
		}
	}
	w := f.dial()
	w.send(&pgproto3.StartupMessage{ProtocolVersion: 2 << 16, Parameters: map[string]string{"user": "u"}})
	w.until("ErrorResponse:0A000")
}

func TestLargeMessagesEndTheSession(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	w := f.wire()
	if _, err := w.conn.Write([]byte{'Q', 0x7f, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	w.until("ErrorResponse:54000")
}

// TestHostileTextsArrive has texts that the protocol cannot carry, or that would break an array's or an error's text.
func TestHostileTextsArrive(t *testing.T) {
	messages := []string{
		`{"ts":1,"id.orig_h":"10.0.0.1","query":"a\u0000b","qtype_name":"\"},{"}`,
		`{"ts":1,"id.orig_h":"10.0.0.1","query":"a\ud800b","qtype_name":"\\"}`,
	}
	f := newFixture(t, Config{}, views.Limits{}, messages, `CREATE TABLE q AS SELECT query, array_agg(DISTINCT qtype_name) AS types FROM dns GROUP BY query`)
	for _, mode := range modes {
		rows, err := f.connect("&default_query_exec_mode="+mode).Query(t.Context(), "SELECT query, types FROM q ORDER BY types DESC")
		if err != nil {
			t.Fatal(err)
		}
		var query string
		var types []string
		var got []string
		if _, err := pgx.ForEachRow(rows, []any{&query, &types}, func() error {
			got = append(got, query+" "+strings.Join(types, "|"))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0] != "a\ufffdb \\" || got[1] != "a\ufffdb \"},{" {
			t.Errorf("%s: %q", mode, got)
		}
	}
}
