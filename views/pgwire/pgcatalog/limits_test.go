package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// ask answers a question, which has to be over soon whatever it is.
func ask(ctx context.Context, t *testing.T, question string) (*Result, error) {
	t.Helper()
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.80s: took %v", question, took)
		}
	}()
	q, err := Parse(question)
	if err != nil {
		return nil, err
	}
	return q.Run(ctx, database(), make([]any, q.Params()))
}

func TestLexingTakesTimeInProportionToTheText(t *testing.T) {
	const n = 20_000
	for _, c := range []string{"+", "-+", "+~ ", "=-", "*"} {
		tokens, err := Lex("SELECT " + strings.Repeat(c, n) + "1")
		if err != nil && err.Error() != "operator too long" || err == nil && len(tokens) < n/2 {
			t.Errorf("%s: %d tokens, %v", c, len(tokens), err)
		}
	}
	tokens, err := Lex("a =-1 @- b <>- c !=-")
	if got := fmt.Sprint(tokens); err != nil || got != "[a = - 1 @- b <> - c !=- the end of the text]" {
		t.Errorf("%s %v", got, err)
	}
}

// TestWhatAnswersMakeIsLimited asks for results that would take all memory. The most that is made is made before it is refused.
func TestWhatAnswersMakeIsLimited(t *testing.T) {
	a := "'" + strings.Repeat("a", 1000) + "'"
	nested := func(n int) string {
		x := a
		for range n {
			x = "replace(" + x + ", 'a', " + a + ")"
		}
		return x
	}
	double := func(x string, n int) string {
		q := "SELECT " + x + " AS x"
		for range n {
			q = "SELECT x || x AS x FROM (" + q + ") s"
		}
		return q
	}
	for _, question := range []string{
		"SELECT " + nested(4),
		double("'abcdefgh'", 40),
		double("ARRAY[1, 2]", 40),
		"SELECT concat(" + strings.Repeat(nested(1)+", ", 50) + "'')",
		"SELECT concat_ws(" + nested(1) + strings.Repeat(", 'x'", 1000) + ")",
		"SELECT array_to_string(ARRAY(SELECT n FROM generate_series(1, 50000) AS g(n)), " + a + ")",
		"SELECT string_agg(" + a + ", ',') FROM generate_series(1, 50000)",
		"SELECT array_agg(x) FROM (" + double(a, 9) + ") s, generate_series(1, 5000)",
		"SELECT x || n::text FROM (" + double(a, 9) + ") s, generate_series(1, 50000) AS g(n)",
		"SELECT DISTINCT x" + strings.Repeat(", x", 1000) + " FROM (" + double(a, 9) + ") s",
		"SELECT (ROW(x" + strings.Repeat(", x", 1000) + "))::text FROM (" + double(a, 9) + ") s",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ask(t.Context(), t, question)
		runtime.ReadMemStats(&after)
		var e *Error
		if !errors.As(err, &e) || e.Code != codeTooMuch {
			t.Errorf("%.80s: %v", question, err)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 500<<20 {
			t.Errorf("%.80s: made %d MiB", question, made>>20)
		}
	}
	if r, err := ask(t.Context(), t, "SELECT replace('abab', 'a', 'xyz'), concat('a', NULL, 1), concat_ws('-', 'a', NULL, 'b'), ARRAY[1] || 2 || ARRAY[3], 0 || ARRAY[1], split_part('a,b,c', ',', -1), left('abc', -1), left('abc', 7), split_part('a', ',', -9)"); err != nil {
		t.Error(err)
	} else if _, got, _ := strings.Cut(show(r), "\n"); got != "xyzbxyzb|a1|a-b|{1,2,3}|{0,1}|c|ab|abc|" {
		t.Error(got)
	}
}

// TestWhatTakesLongEnds asks what would go on for hours, with and without anybody who waits.
func TestWhatTakesLongEnds(t *testing.T) {
	for _, question := range []string{
		"SELECT count(*) FROM generate_series(1, 90000) AS a(n), (SELECT string_agg('abcdefgh', '') AS x FROM generate_series(1, 8000)) s WHERE x LIKE '%a%b%c%d%e%f%g%h%i%'",
		"SELECT count(*) FROM generate_series(1, 90000) AS a(n), (SELECT string_agg('abcdefgh', '') AS x FROM generate_series(1, 8000)) s WHERE x ~ '" + strings.Repeat("(.{1000})", 100) + "'",
		"SELECT 'x' ~ '" + strings.Repeat("x", 2000) + "'",
		"SELECT sum(m) FROM (SELECT count(*) OVER (ORDER BY n) AS m FROM generate_series(1, 90000) AS a(n)) x",
		"SELECT ARRAY(SELECT generate_series(1, 60000)) @> ARRAY(SELECT generate_series(1, 60000))",
		"SELECT a && b FROM (SELECT ARRAY(SELECT generate_series(1, 60000)) AS a, ARRAY(SELECT generate_series(-60000, 0)) AS b) x",
	} {
		was := maxSteps
		maxSteps = was / 50
		_, err := ask(t.Context(), t, question)
		maxSteps = was
		var e *Error
		if !errors.As(err, &e) || e.Code != codeTooMuch {
			t.Errorf("%.80s: %v", question, err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Millisecond, context.DeadlineExceeded)
		began := time.Now()
		_, err = ask(ctx, t, question)
		cancel()
		if took := time.Since(began); err == nil || took > time.Second {
			t.Errorf("%.80s: %v after %v", question, err, took)
		}
	}
	r, err := ask(t.Context(), t, "SELECT count(*) OVER () FROM generate_series(1, 100000)")
	if err != nil || len(r.Rows) != 100_000 || r.Rows[99_999][0] != int64(100_000) {
		t.Error(err)
	}
}

func TestStarShowsJoinsAsTheyAreWritten(t *testing.T) {
	a, b := "(VALUES (1, 'a'), (2, 'b')) AS a(n, x)", "(VALUES (2, 'c'), (3, 'd')) AS b(n, y)"
	for _, c := range []struct{ from, want string }{
		{a + " RIGHT JOIN " + b + " ON a.n = b.n", "n x n y\n2|b|2|c\nNULL|NULL|3|d"},
		{a + " LEFT JOIN " + b + " USING (n)", "n x y\n1|a|NULL\n2|b|c"},
		{a + " RIGHT JOIN " + b + " USING (n)", "n x y\n2|b|c\n3|NULL|d"},
		{a + " NATURAL JOIN " + b, "n x y\n2|b|c"},
		{a + " JOIN " + b + " USING (n) JOIN (VALUES (2, true)) AS c(n, z) USING (n)", "n x y z\n2|b|c|t"},
		{"(VALUES (7)) AS k(m), " + a + " RIGHT JOIN " + b + " USING (n)", "n m x y\n2|7|b|c\n3|7|NULL|d"},
	} {
		r, err := ask(t.Context(), t, "SELECT * FROM "+c.from+" ORDER BY 1, 2")
		if err != nil {
			t.Errorf("%s: %v", c.from, err)
			continue
		}
		var names []string
		for _, column := range r.Columns {
			names = append(names, column.Name)
		}
		_, rows, _ := strings.Cut(show(r), "\n")
		if got := strings.Join(names, " ") + "\n" + rows; got != c.want {
			t.Errorf("%s: %q", c.from, got)
		}
	}
}

func TestWindowsWithAnOrderGoUpToTheLastPeer(t *testing.T) {
	r, err := ask(t.Context(), t, "SELECT n, count(*) OVER (ORDER BY n), sum(n) OVER (PARTITION BY n > 2), rank() OVER (ORDER BY n), row_number() OVER (ORDER BY n) FROM (VALUES (1), (2), (2), (3)) AS v(n) ORDER BY 1, 5")
	if err != nil {
		t.Fatal(err)
	}
	if _, got, _ := strings.Cut(show(r), "\n"); got != "1|1|5|1|1\n2|3|5|2|2\n2|3|5|2|3\n3|4|3|4|4" {
		t.Error(got)
	}
}
