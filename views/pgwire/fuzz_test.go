package pgwire

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/brotally/brotally/views"
)

// session is the bytes of a client's session.
func sessionOf(messages ...pgproto3.FrontendMessage) []byte {
	var b []byte
	for _, m := range messages {
		b, _ = m.Encode(b)
	}
	return b
}

// faults are what the server says of itself.
type faults struct {
	mu   sync.Mutex // guards text
	text string
}

func (f *faults) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text += string(b)
	return len(b), nil
}

func (f *faults) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := f.text
	f.text = ""
	return text
}

// FuzzSession sends bytes to a server: it must not panic, hang, or leave a goroutine behind, and must answer the next one.
func FuzzSession(f *testing.F) {
	start := &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u", "options": "-c a=b --c=d", "_pq_.x": "1"}}
	f.Add([]byte(nil))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(sessionOf(&pgproto3.SSLRequest{}, &pgproto3.GSSEncRequest{}, start, &pgproto3.Query{String: "SELECT 1; SELECT * FROM dns_counts; BEGIN; x"}, &pgproto3.Terminate{}))
	f.Add(sessionOf(&pgproto3.CancelRequest{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}))
	f.Add(sessionOf(start, &pgproto3.Parse{Name: "a", Query: "SELECT * FROM dns_counts WHERE count > $1", ParameterOIDs: []uint32{20}},
		&pgproto3.Bind{PreparedStatement: "a", ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{0, 0, 0, 0, 0, 0, 0, 1}}, ResultFormatCodes: []int16{1}},
		&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Flush{}, &pgproto3.Close{ObjectType: 'S', Name: "a"}, &pgproto3.Sync{}))
	f.Add(sessionOf(start, &pgproto3.Parse{Query: "SELECT relname FROM pg_class WHERE oid = ANY ($1) OR relname ~ $2", ParameterOIDs: []uint32{1028}},
		&pgproto3.Bind{Parameters: [][]byte{[]byte("{1,2}"), []byte("(")}}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.FunctionCall{}, &pgproto3.CopyDone{}))
	var log faults
	fx := newFixture(f, Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))}, views.Limits{}, office(), dnsCounts)
	f.Fuzz(func(t *testing.T, sent []byte) {
		client, conn := net.Pipe()
		done := make(chan struct{})
		go func() { // waited for below
			defer close(done)
			fx.server.serve(context.Background(), conn)
		}()
		read := make(chan struct{})
		go func() { // so it is for this one
			defer close(read)
			_, _ = io.Copy(io.Discard, client)
		}()
		_ = client.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = client.Write(sent)
		_ = client.Close()
		<-read
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("the session does not end")
		}
		if text := log.take(); strings.Contains(text, "panicked") {
			t.Fatal(text)
		}
		fx.server.mu.Lock()
		defer fx.server.mu.Unlock()
		if n := len(fx.server.sessions); n != 0 {
			t.Fatalf("%d sessions are left", n)
		}
	})
}
