package pgwire

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/brotally/brotally/views"
)

// TestQuestionsOfToolsThatAreNotRun asks what is in testdata/questions: of Grafana 12 and DBeaver 25, in words of our own, with the relations, functions
// and joins that their public sources ask with. What is answered stands behind each statement; -update writes it.
func TestQuestionsOfToolsThatAreNotRun(t *testing.T) {
	files, err := filepath.Glob("testdata/questions/*.txt")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v", files, err)
	}
	f := newFixture(t, Config{Version: "test"}, views.Limits{}, office(), dnsCounts, `CREATE TABLE per_minute AS SELECT window_start, qtype_name, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY qtype_name`)
	conn := f.connect("&default_query_exec_mode=describe_exec")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, part := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
				statement, _, _ := strings.Cut(part, "\n----\n")
				got.WriteString(statement + "\n----\n" + ask(t, conn, statement) + "\n")
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestQuestionsAreAnsweredInBinary asks as pgx does by itself, which prefers binary.
func TestQuestionsAreAnsweredInBinary(t *testing.T) {
	f := newFixture(t, Config{}, views.Limits{}, nil, dnsCounts)
	for _, mode := range modes {
		conn := f.connect("&default_query_exec_mode=" + mode)
		var now, local, day, given time.Time
		var n [6]pgtype.Numeric
		err := conn.QueryRow(t.Context(), "SELECT now(), localtimestamp, current_date, '1969-12-31 23:59:59.5+00'::timestamptz, 0::numeric, -1.5::numeric, 12345.06::numeric, 0.00001::numeric, 100000000::numeric, 'NaN'::numeric").
			Scan(&now, &local, &day, &given, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5])
		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		if d := time.Since(now); d < 0 || d > time.Minute || now.Sub(local).Abs() > time.Minute || day.Format(time.DateOnly) != local.Format(time.DateOnly) || !given.Equal(time.UnixMicro(-500_000)) {
			t.Errorf("%s: %v %v %v %v", mode, now, local, day, given)
		}
		for i, want := range []float64{0, -1.5, 12345.06, 0.00001, 100000000} {
			if got, err := n[i].Float64Value(); err != nil || got.Float64 != want {
				t.Errorf("%s: %v %v %v", mode, want, got, err)
			}
		}
		if !n[5].NaN {
			t.Errorf("%s: %v", mode, n[5])
		}
	}
	rows := f.connect("").PgConn().ExecParams(t.Context(), "SELECT oid, oid::regclass, 'bigint'::regtype, ARRAY[oid::regclass] FROM pg_class WHERE relname = 'dns_counts'", nil, nil, nil, []int16{1}).Read()
	if rows.Err != nil || len(rows.Rows) != 1 || !bytes.Equal(rows.Rows[0][0], rows.Rows[0][1]) || !bytes.Equal(rows.Rows[0][2], []byte{0, 0, 0, 20}) {
		t.Errorf("%+v", rows)
	}
}

// ask returns the answer as text: the columns' names and types, then at most ten rows.
func ask(t *testing.T, conn *pgx.Conn, statement string) string {
	t.Helper()
	var lines []string
	for _, line := range strings.Split(statement, "\n") {
		if !strings.HasPrefix(line, "--") {
			lines = append(lines, line)
		}
	}
	rows, err := conn.Query(t.Context(), strings.Join(lines, "\n"), pgx.QueryResultFormats{pgtype.TextFormatCode})
	if err != nil {
		t.Errorf("%s\n%v", statement, err)
		return err.Error() + "\n"
	}
	defer rows.Close()
	var b strings.Builder
	for i, c := range rows.FieldDescriptions() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(c.Name + ":" + typeName(conn.TypeMap(), c.DataTypeOID))
	}
	b.WriteByte('\n')
	for n := 0; rows.Next(); n++ {
		if n == 10 {
			b.WriteString("..\n")
			break
		}
		for i, raw := range rows.RawValues() {
			if i > 0 {
				b.WriteByte('|')
			}
			if raw == nil {
				b.WriteString("NULL")
			}
			b.WriteString(strings.ReplaceAll(string(raw), "\n", `\n`))
		}
		b.WriteByte('\n')
	}
	if rows.Close(); rows.Err() != nil {
		t.Errorf("%s\n%v", statement, rows.Err())
		b.WriteString(rows.Err().Error() + "\n")
	}
	return b.String()
}
