package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/brotally/brotally/internal/broker"
)

// PostgreSQL's clients find the tables, and hear of the end.
func TestRunListensForPostgreSQLClients(t *testing.T) {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	b := broker.StartTest(t)
	file := filepath.Join(t.TempDir(), "tables.sql")
	if err := os.WriteFile(file, []byte("CREATE TABLE n AS SELECT count(*) AS n FROM dns;"), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, log := io.Pipe()
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: log, environ: []string{"BROTALLY_PG_LISTEN=127.0.0.1:0"}}
	ended := make(chan int, 1)
	go func() {
		ended <- p.main(ctx, []string{"run", file, "-b", b.Addrs()[0], "--only", "serve", "--instance", "one", "--listen", "127.0.0.1:0"})
		log.Close()
	}()
	lines := bufio.NewScanner(stderr)
	var url string
	for url == "" && lines.Scan() {
		if m := regexp.MustCompile(`listening for PostgreSQL clients.* url=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
	}
	go io.Copy(io.Discard, stderr) //nolint:errcheck // ends with the log
	if url == "" {
		t.Fatal("it does not listen")
	}
	conn, err := pgx.Connect(ctx, url+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	var name string
	if err := conn.QueryRow(ctx, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace").Scan(&name); err != nil || name != "n" {
		t.Errorf("%s %v", name, err)
	}
	stop(errInterrupted)
	if code := <-ended; code != exitOK && code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if _, err := conn.Exec(context.Background(), "SELECT 1"); err == nil {
		t.Error("the session outlives the server")
	}
	_ = conn.Close(context.Background())
}
