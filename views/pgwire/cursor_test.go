package pgwire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/brotally/brotally/views"
)

// told is what a simple query is answered: the rows of each statement and how it ended, or the error.
func told(t *testing.T, conn *pgx.Conn, text string) string {
	t.Helper()
	var all []string
	results := conn.PgConn().Exec(t.Context(), text)
	for results.NextResult() {
		r := results.ResultReader()
		var rows []string
		for r.NextRow() {
			var row []string
			for _, v := range r.Values() {
				row = append(row, string(v))
			}
			rows = append(rows, strings.Join(row, "|"))
		}
		tag, err := r.Close()
		if err != nil {
			continue // results says it
		}
		all = append(all, strings.Join(append(rows, tag.String()), " "))
	}
	var e *pgconn.PgError
	if err := results.Close(); errors.As(err, &e) {
		at := ""
		if e.Position > 0 {
			at = " at " + string([]rune(text)[e.Position-1:])
		}
		all = append(all, e.Code+" "+e.Message+at)
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "; ")
}

func TestCursorsGoForward(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	conn := f.connect("&default_query_exec_mode=simple_protocol")
	const declare = `DECLARE "C 1" NO SCROLL CURSOR WITHOUT HOLD FOR SELECT count FROM dns_counts ORDER BY count DESC, id.orig_h` // 5 4 3 2 1 1
	for _, c := range []struct{ text, want string }{
		{declare, "25P01 DECLARE CURSOR can only be used in transaction blocks"},
		{"BEGIN; " + declare, "BEGIN; DECLARE CURSOR"},
		{`FETCH "C 1"`, "5 FETCH 1"},
		{`FETCH NEXT FROM "C 1"; MOVE IN "C 1"; FETCH FORWARD 2 FROM "C 1"`, "4 FETCH 1; MOVE 1; 2 1 FETCH 2"},
		{`SELECT name, statement FROM pg_catalog.pg_cursors`, "C 1|" + declare + " SELECT 1"},
		{`FETCH 2 IN "C 1"; FETCH ALL "C 1"; MOVE FORWARD ALL FROM "C 1"; FETCH FORWARD FROM "C 1"`, "1 FETCH 1; FETCH 0; MOVE 0; FETCH 0"},
		{`CLOSE "C 1"; ` + declare + `; FETCH FORWARD ALL IN "C 1"; CLOSE ALL`, "CLOSE CURSOR; DECLARE CURSOR; 5 4 3 2 1 1 FETCH 6; CLOSE CURSOR ALL"},
		{`SELECT name FROM pg_cursors`, "SELECT 0"},
		{"declare next asensitive insensitive cursor for values (1), (2); fetch next; fetch forward from next", "DECLARE CURSOR; 1 FETCH 1; 2 FETCH 1"},
		{"COMMIT", "COMMIT"},
		{"BEGIN; FETCH next", `BEGIN; 34000 cursor "next" does not exist`},
		{"ROLLBACK", "ROLLBACK"},
		{"BEGIN; DECLARE c CURSOR FOR SELECT 1; ROLLBACK; BEGIN; FETCH c", `BEGIN; DECLARE CURSOR; ROLLBACK; BEGIN; 34000 cursor "c" does not exist`},
		{"FETCH c", "25P02 current transaction is aborted, commands ignored until end of transaction block"},
		{"ROLLBACK; BEGIN; DECLARE c CURSOR FOR SELECT 1; DECLARE c CURSOR FOR SELECT 1", `ROLLBACK; BEGIN; DECLARE CURSOR; 42P03 cursor "c" already exists`},
	} {
		if got := told(t, conn, c.text); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.text, got, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"DECLARE c SCROLL CURSOR FOR SELECT 1", "0A000 SCROLL is not supported at SCROLL CURSOR FOR SELECT 1"},
		{"DECLARE c BINARY CURSOR FOR SELECT 1", "0A000 BINARY is not supported at BINARY CURSOR FOR SELECT 1"},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "0A000 WITH HOLD is not supported at WITH HOLD FOR SELECT 1"},
		{"DECLARE c CURSOR WITH SELECT 1", "42601 expected HOLD, found select at SELECT 1"},
		{"DECLARE c CURSOR SELECT 1", "42601 expected FOR, found select at SELECT 1"},
		{"DECLARE c CURSOR FOR FETCH d", "42601 expected SELECT, found fetch at FETCH d"},
		{"DECLARE c", "42601 expected CURSOR, found the end of the text at "},
		{"DECLARE c CURSOR FOR", "42601 expected SELECT, found the end of the text at "},
		{"DECLARE 1 CURSOR FOR SELECT 1", "42601 expected a cursor's name, found 1 at 1 CURSOR FOR SELECT 1"},
		{"DECLARE \"ä\"\n CURSOR FOR\n SELECT nix FROM dns_counts", "42601 no column nix in dns_counts at nix FROM dns_counts"},
		{"DECLARE c CURSOR FOR SELECT nix FROM pg_class", "42703 column nix does not exist at nix FROM pg_class"},
		{"DECLARE c CURSOR FOR SELECT 'x'::int", `22P02 invalid input for type integer: "x" at ::int`},
		{"FETCH c", `34000 cursor "c" does not exist`},
		{"CLOSE c", `34000 cursor "c" does not exist`},
		{"FETCH BACKWARD FROM c", "0A000 BACKWARD is not supported at BACKWARD FROM c"},
		{"MOVE ABSOLUTE 1 FROM c", "0A000 ABSOLUTE is not supported at ABSOLUTE 1 FROM c"},
		{"FETCH -1 FROM c", "0A000 a number with a sign is not supported at -1 FROM c"},
		{"FETCH 0 FROM c", "0A000 the row once more is not supported at 0 FROM c"},
		{"FETCH 1.5 FROM c", "42601 expected a number of rows, found 1.5 at 1.5 FROM c"},
		{"FETCH NEXT 2 FROM c", "42601 expected a cursor's name, found 2 at 2 FROM c"},
		{"FETCH", "42601 expected a cursor's name, found the end of the text at "},
		{"FETCH 2 FROM c d", "42601 expected the end of the statement, found d at d"},
		{"CLOSE", "42601 expected a cursor's name, or ALL, found the end of the text at "},
		{"CLOSE c d", "42601 expected the end of the statement, found d at d"},
	} {
		if got := told(t, conn, "ROLLBACK; BEGIN; "+c.text); got != "ROLLBACK; BEGIN; "+c.want {
			t.Errorf("%s:\n%s, want\nROLLBACK; BEGIN; %s", c.text, got, c.want)
		}
	}
}

// TestCursorsTakeParameters declares, describes and fetches as drivers do, with parameters and in binary.
func TestCursorsTakeParameters(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	for _, mode := range modes {
		conn := f.connect("&default_query_exec_mode=" + mode)
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{AccessMode: pgx.ReadOnly})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "DECLARE c CURSOR FOR SELECT id.orig_h, count FROM dns_counts WHERE count > $1 ORDER BY count DESC", 2); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		var got []string
		for range 2 {
			rows, err := tx.Query(t.Context(), "FETCH 2 FROM c")
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				values, err := rows.Values()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(values))
			}
			got = append(got, rows.CommandTag().String())
		}
		if want := "[10.0.0.1/32 5] [2001:db8::7/128 4] FETCH 2 [10.0.0.2/32 3] FETCH 1"; strings.Join(got, " ") != want {
			t.Errorf("%s: %s", mode, got)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestCursorsArePortals(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts)
	w := f.wire()
	ask := func(want string, messages ...pgproto3.FrontendMessage) {
		t.Helper()
		w.send(messages...)
		if got := w.until("ReadyForQuery"); got != want+" ReadyForQuery" {
			t.Errorf("%s, want %s", got, want)
		}
	}
	query := func(text string) pgproto3.FrontendMessage { return &pgproto3.Query{String: text} }
	ask("CommandComplete CommandComplete", query("BEGIN; DECLARE c CURSOR FOR SELECT count FROM dns_counts"))
	ask("RowDescription", &pgproto3.Describe{ObjectType: 'P', Name: "c"}, syncOf())
	ask("ParseComplete ParameterDescription NoData", parseOf("", "MOVE c"), &pgproto3.Describe{ObjectType: 'S'}, syncOf())
	ask("ParseComplete BindComplete RowDescription DataRow PortalSuspended DataRow CommandComplete",
		parseOf("", "FETCH 2 FROM c"), bindOf("", ""), &pgproto3.Describe{ObjectType: 'P'}, executeOf("", 1), executeOf("", 2), syncOf())
	ask("DataRow DataRow PortalSuspended", executeOf("c", 2), syncOf())
	ask("RowDescription DataRow DataRow CommandComplete", query("FETCH ALL FROM c"))
	ask("CloseComplete", &pgproto3.Close{ObjectType: 'P', Name: "c"}, syncOf())
	ask("ErrorResponse:34000", query("FETCH c"))

	// What was fetched from is another one by now.
	ask("CommandComplete CommandComplete CommandComplete", query("ROLLBACK; BEGIN; DECLARE c CURSOR FOR SELECT 1"))
	ask("ParseComplete", parseOf("f", "FETCH c"), syncOf())
	ask("CommandComplete CommandComplete", query("CLOSE c; DECLARE c CURSOR FOR SELECT 'x'"))
	ask("BindComplete ErrorResponse:0A000", bindOf("", "f"), executeOf("", 0), syncOf())

	// They count among what a session keeps.
	ask("CommandComplete", query("ROLLBACK"))
	w.send(query("BEGIN;" + strings.Repeat("DECLARE c CURSOR FOR SELECT 1;CLOSE c;", 20) + "DECLARE c CURSOR FOR SELECT '" + strings.Repeat("x", 4000) + "' FROM generate_series(1, 10000)"))
	if got := w.until("ReadyForQuery"); strings.Contains(got, "Error") {
		t.Error(got)
	}
	ask("ErrorResponse:53000", query("DECLARE d CURSOR FOR SELECT '"+strings.Repeat("x", 4000)+"' FROM generate_series(1, 10000)"))
	ask("CommandComplete", query("ROLLBACK"))
	var many strings.Builder
	for i := range maxPortals {
		fmt.Fprintf(&many, "DECLARE c%d CURSOR FOR SELECT 1;", i)
	}
	w.send(query("BEGIN; " + many.String() + "DECLARE d CURSOR FOR SELECT 1"))
	if got := w.until("ReadyForQuery"); !strings.HasSuffix(got, "CommandComplete ErrorResponse:53000 ReadyForQuery") {
		t.Error(got)
	}
}
