package pgwire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/brotally/brotally/views"
)

// modes are the ways in which pgx asks: simple, and extended with results in text or binary.
var modes = []string{"simple_protocol", "exec", "describe_exec", "cache_describe", "cache_statement"}

// TestRowsAreThoseOfHTTP reads all kinds of values in all modes.
func TestRowsAreThoseOfHTTP(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts, kinds, total)
	for _, query := range []string{
		"SELECT * FROM dns_counts ORDER BY count DESC, qtype_name, id.orig_h",
		"SELECT * FROM kinds ORDER BY query",
		"SELECT id.orig_h::subnet AS net, qtype_name FROM dns_counts ORDER BY 1, 2",
		`SELECT x."id.orig_h", x.count FROM "public"."dns_counts" AS x WHERE x.count > 1 ORDER BY x.count, 1 LIMIT 10`,
		"SELECT array_agg(DISTINCT id.orig_h) AS hosts, array_agg(DISTINCT count) AS counts, sum(count) AS n FROM dns_counts",
		"SELECT * FROM dns_counts LIMIT 0",
		"SELECT NULL AS nothing, n FROM dns_total",
		"SELECT ids * 100000000000000000000000000000 AS big, -ids * 10000 AS minus, ids - ids AS zero, ids * 10000000 AS seven FROM dns_total",
	} {
		want := f.viaHTTP(query)
		for _, mode := range modes {
			conn := f.connect("&default_query_exec_mode=" + mode)
			rows, err := conn.Query(t.Context(), query)
			if err != nil {
				t.Fatalf("%s: %s: %v", mode, query, err)
			}
			got := [][]any{}
			for rows.Next() {
				row, err := rows.Values()
				if err != nil {
					t.Fatalf("%s: %s: %v", mode, query, err)
				}
				for i := range row {
					row[i] = asJSON(t, row[i], rows.FieldDescriptions()[i].DataTypeOID)
				}
				got = append(got, row)
			}
			if err := rows.Err(); err != nil {
				t.Fatalf("%s: %s: %v", mode, query, err)
			}
			if tag := rows.CommandTag().String(); tag != fmt.Sprintf("SELECT %d", len(want)) {
				t.Errorf("%s: %s: %s", mode, query, tag)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s (-HTTP +PostgreSQL):\n%s", mode, query, diff)
			}
		}
	}
}

// asJSON is what pgx read, as HTTP has it.
func asJSON(t *testing.T, v any, oid uint32) any {
	t.Helper()
	switch v := v.(type) {
	case nil, string, bool:
		return v
	case int64:
		return json.Number(fmt.Sprint(v))
	case float64:
		b, _ := json.Marshal(v)
		return json.Number(b)
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000000Z")
	case pgtype.Numeric:
		b, err := v.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return json.Number(b)
	case pgtype.Interval:
		b, _ := json.Marshal(float64(v.Microseconds) / 1e6)
		return json.Number(b)
	case netip.Prefix:
		if oid == pgtype.InetOID {
			return v.Addr().String()
		}
		return v.String()
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, asJSON(t, e, pgtype.InetOID))
		}
		return list
	}
	t.Fatalf("%T", v)
	return nil
}

func TestParameters(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts, kinds)
	for _, mode := range modes[1:] {
		conn := f.connect("&default_query_exec_mode=" + mode)
		for _, c := range []struct {
			query string
			args  []any
			want  int
		}{
			{"SELECT * FROM dns_counts WHERE count > $1", []any{3}, 2},
			{"SELECT * FROM dns_counts WHERE count > $1", []any{int64(3)}, 2},
			{"SELECT * FROM dns_counts WHERE id.orig_h = $1 AND qtype_name = $2", []any{netip.MustParseAddr("10.0.0.1"), "A"}, 1},
			{"SELECT * FROM dns_counts WHERE qtype_name = $1", []any{"'; DROP"}, 0},
			{"SELECT * FROM dns_counts WHERE qtype_name = $1", []any{`N,U"L`}, 1},
			{"SELECT * FROM dns_counts ORDER BY 1 LIMIT $1", []any{2}, 2},
			{"SELECT * FROM kinds WHERE newest >= $1", []any{time.UnixMicro(1700000000123454).UTC()}, 1},
			{"SELECT * FROM kinds WHERE aa = $1", []any{true}, 1},
			{"SELECT * FROM kinds WHERE slowest > $1", []any{time.Hour}, 1},
			{"SELECT * FROM kinds WHERE mean > $1", []any{8.5}, 1},
			{"SELECT * FROM kinds WHERE big > $1", []any{pgtype.Numeric{Int: big.NewInt(8), Exp: 15, Valid: true}}, 3},
			{"SELECT * FROM dns_counts WHERE qtype_name IS NOT DISTINCT FROM $1", []any{nil}, 1},
		} {
			rows, err := conn.Query(t.Context(), c.query, c.args...)
			if err != nil {
				t.Errorf("%s: %s %v: %v", mode, c.query, c.args, err)
				continue
			}
			got, err := pgx.CollectRows(rows, pgx.RowToMap)
			if err != nil || len(got) != c.want {
				t.Errorf("%s: %s %v: %d rows, not %d: %v", mode, c.query, c.args, len(got), c.want, err)
			}
		}
	}
}

func TestErrorsHaveCodePlaceAndHint(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	for _, mode := range []string{"simple_protocol", "cache_statement"} {
		conn := f.connect("&default_query_exec_mode=" + mode)
		for _, c := range []struct {
			query, code string
			position    int32
			message     string
		}{
			{"SELECT nix FROM dns_counts", "42601", 8, "no column nix in dns_counts"},
			{"SELECT count\nFROM dns_counts\n WHERE 'é' = 'é' AND nix > 1", "42601", 51, "no column nix in dns_counts"},
			{"SELECT * FROM dns_count", "42P01", 15, "no table dns_count"},
			{"SELECT * FROM (SELECT * FROM dns_counts) AS x", "42601", 15, "subqueries are not supported"},
			{"SELEC 1", "42601", 1, "expected CREATE TABLE, CREATE STREAM or SELECT, found SELEC"},
			{"INSERT INTO dns_counts VALUES (1)", "25006", 0, "cannot execute INSERT in a read-only transaction"},
			{"CREATE TABLE x (a int)", "25006", 0, "cannot execute CREATE in a read-only transaction"},
			{"COPY dns_counts TO STDOUT", "0A000", 0, "COPY is not supported"},
			{"SELECT * FROM pg_catalog.pg_nix", "42P01", 15, "relation pg_catalog.pg_nix is not answered here"},
			{"SELECT nix('a')", "42883", 8, "function nix is not answered here"},
			{"SHOW nix", "42704", 0, `unrecognized configuration parameter "nix"`},
			{"SELECT 'x", "42601", 8, "string is never closed"},
		} {
			_, err := conn.Exec(t.Context(), c.query)
			var e *pgconn.PgError
			if !errors.As(err, &e) {
				t.Errorf("%s: %s: %v", mode, c.query, err)
				continue
			}
			if e.Code != c.code || e.Position != c.position || e.Message != c.message || e.Severity != "ERROR" {
				t.Errorf("%s: %s: %s at %d: %s", mode, c.query, e.Code, e.Position, e.Message)
			}
		}
		if _, err := conn.Exec(t.Context(), "SELECT count FROM dns_counts"); err != nil {
			t.Errorf("%s: after errors: %v", mode, err)
		}
	}
}

// TestPlaceIsInTheWholeText asks several statements at once, the second of which is wrong.
func TestPlaceIsInTheWholeText(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	conn := f.connect("")
	results, err := conn.PgConn().Exec(t.Context(), "SELECT 1; ; -- é\nSELECT nix FROM dns_counts; SELECT 2").ReadAll()
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Position != 25 {
		t.Errorf("%+v", err)
	}
	if len(results) != 1 || string(results[0].Rows[0][0]) != "1" {
		t.Errorf("%v", results)
	}
	if results, err = conn.PgConn().Exec(t.Context(), " ;; -- nothing").ReadAll(); err != nil || len(results) != 1 || results[0].CommandTag.String() != "" {
		t.Errorf("%v %v", results, err)
	}
}

func TestTransactionsAreHeldOnTo(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	conn := f.connect("").PgConn()
	for _, c := range []struct {
		query, tag string
		code       string
		status     byte
	}{
		{"BEGIN", "BEGIN", "", 'T'},
		{"SELECT count(*) FROM dns_counts", "SELECT 1", "", 'T'},
		{"SAVEPOINT a", "SAVEPOINT", "", 'T'},
		{"SELECT nix FROM dns_counts", "", "42601", 'E'},
		{"SELECT 1", "", "25P02", 'E'},
		{"ROLLBACK TO SAVEPOINT a", "ROLLBACK", "", 'T'},
		{"SELECT 1", "SELECT 1", "", 'T'},
		{"DELETE FROM dns_counts", "", "25006", 'E'},
		{"COMMIT", "ROLLBACK", "", 'I'},
		{"START TRANSACTION READ ONLY", "START TRANSACTION", "", 'T'},
		{"END", "COMMIT", "", 'I'},
		{"RELEASE a", "", "25P01", 'I'},
		{"SET application_name = 'x y'", "SET", "", 'I'},
		{"SHOW application_name", "SHOW", "", 'I'},
		{"SET client_encoding TO 'LATIN1'", "", "22023", 'I'},
		{"SET NAMES 'utf-8'", "SET", "", 'I'},
		{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET", "", 'I'},
		{"RESET ALL", "RESET", "", 'I'},
		{"DISCARD ALL", "DISCARD ALL", "", 'I'},
		{"DEALLOCATE ALL", "DEALLOCATE ALL", "", 'I'},
		{"UNLISTEN *", "UNLISTEN", "", 'I'},
	} {
		results, err := conn.Exec(t.Context(), c.query).ReadAll()
		var e *pgconn.PgError
		code, tag := "", ""
		if errors.As(err, &e) {
			code = e.Code
		} else if err != nil {
			t.Fatal(err)
		} else {
			tag = results[0].CommandTag.String()
		}
		if tag != c.tag || code != c.code || conn.TxStatus() != c.status {
			t.Errorf("%s: %s %s %c", c.query, tag, code, conn.TxStatus())
		}
	}
}

func TestAsOfIsTheLastLookupsOwn(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	conn := f.connect("")
	asOf := func() (text string) {
		if err := conn.QueryRow(t.Context(), "SHOW brotally.as_of").Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := asOf(); got != "" {
		t.Errorf("before any look-up: %s", got)
	}
	if _, err := conn.Exec(t.Context(), "SELECT * FROM dns_counts"); err != nil {
		t.Fatal(err)
	}
	if got := asOf(); got != "dns/0:16" {
		t.Errorf("%s", got)
	}
}

func TestPortalsGiveSoManyRows(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	w := f.wire()
	w.send(parseOf("s", "SELECT count FROM dns_counts ORDER BY count DESC"), bindOf("p", "s"), executeOf("p", 2), executeOf("p", 2), executeOf("p", 0), executeOf("p", 0), syncOf())
	want := "ParseComplete BindComplete DataRow DataRow PortalSuspended DataRow DataRow PortalSuspended DataRow DataRow CommandComplete CommandComplete ReadyForQuery"
	if got := w.until("ReadyForQuery"); got != want {
		t.Errorf("%s", got)
	}
	w.send(executeOf("p", 0), parseOf("", "SELECT 1"), syncOf())
	if got := w.until("ReadyForQuery"); got != "ErrorResponse:34000 ReadyForQuery" { // the portal ended, and what came behind it is skipped
		t.Errorf("%s", got)
	}
	w.send(parseOf("s", "SELECT 1"), syncOf())
	if got := w.until("ReadyForQuery"); got != "ErrorResponse:42P05 ReadyForQuery" {
		t.Errorf("%s", got)
	}
}

func TestRestoringTablesSayHowMuchIsMissing(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	v, _ := f.View("dns_counts")
	v.Restoring(40)
	_, err := f.connect("").Exec(t.Context(), "SELECT * FROM dns_counts")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "57P03" || !strings.Contains(e.Message, "is being restored: 0 of 40") || e.Detail != "40 changelog records are missing." {
		t.Errorf("%+v", err)
	}
}

func TestLimitsAreTheViewsOwn(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{Rows: 3}, office(), dnsCounts)
	conn := f.connect("")
	_, err := conn.Exec(t.Context(), "SELECT * FROM dns_counts")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "54000" || e.Hint == "" {
		t.Errorf("%+v", err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT * FROM dns_counts LIMIT 3"); err != nil {
		t.Error(err)
	}
}

// TestCancel stops a statement that waits for its turn.
func TestCancel(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	conn := f.connect("").PgConn()
	// What runs is put there by hand, as a look-up over a few rows is over at once.
	f.server.mu.Lock()
	c := f.server.sessions[conn.PID()]
	f.server.mu.Unlock()
	ctx, done := c.running()
	defer done()
	if err := conn.CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), errCancelled) {
		t.Error(context.Cause(ctx))
	}
	v, _ := f.View("dns_counts")
	l, err := f.Compile("SELECT * FROM dns_counts")
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Query(ctx, l.Select, nil)
	if e := asWireError(because(ctx, err), "", 0); e.code != "57014" {
		t.Errorf("%+v", e)
	}
}

func TestStatementTimeout(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	conn := f.connect("&statement_timeout=1ms")
	var got string
	if err := conn.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&got); err != nil || got != "1ms" {
		t.Errorf("%s %v", got, err)
	}
	_, err := conn.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 90000) a, generate_series(1, 90000) b")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "57014" || !strings.Contains(e.Message, "statement timeout") {
		t.Errorf("%+v", err)
	}
}

func TestTheServersEndIsTold(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	w := f.wire()
	f.stop()
	if got := w.until("ErrorResponse:57P01"); got != "ErrorResponse:57P01" {
		t.Errorf("%s", got)
	}
}
