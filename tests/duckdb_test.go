package tests

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

var (
	//go:embed duckdb/requirements.txt
	duckdbRequirements []byte
	//go:embed duckdb/evaluate.py
	duckdbScript string
)

// duckdb returns a Python that has the pinned DuckDB, from a virtual environment in the user's cache folder, which it makes
// where it is not there. Without Python or a package index the test is skipped and says so; with BROTALLY_REQUIRE_DUCKDB
// set it fails instead.
func duckdb(t *testing.T) (python string) {
	t.Helper()
	missing := func(what string, err error, out []byte) {
		t.Helper()
		if os.Getenv("BROTALLY_REQUIRE_DUCKDB") != "" {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		t.Skipf("%s: %v (it needs python3 with venv, and a package index to install %s from)", what, err, bytes.TrimSpace(duckdbRequirements))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		missing("no cache folder", err, nil)
	}
	sum := sha256.Sum256(duckdbRequirements)
	dir := filepath.Join(cache, "brotally", "duckdb-"+hex.EncodeToString(sum[:6]))
	python = filepath.Join(dir, "bin", "python")
	if exec.Command(python, "-c", "import duckdb").Run() == nil {
		return python
	}
	if out, err := exec.Command("python3", "-m", "venv", "--clear", dir).CombinedOutput(); err != nil {
		missing("no virtual environment", err, out)
	}
	if out, err := exec.Command(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "duckdb/requirements.txt").CombinedOutput(); err != nil {
		missing("no DuckDB", err, out)
	}
	return python
}

// expression is one expression in both dialects.
type expression struct{ ours, duck string }

// Differences between the dialects, each written around in what the generator makes of an expression for DuckDB, or left
// out. docs/SQL.md lists those that a user of either meets.
//
//   - Overflow, division by zero and texts that do not convert are NULL here, errors there: TRY(..).
//   - / of integers is // there. ubigint computes as numeric here, as UBIGINT there: cast to HUGEINT.
//   - The least numeric, -2^127, is a value here, an overflow there.
//   - round() takes what lies in the middle to the even neighbour here: round_even there. Its second argument is left out.
//   - floor() and ceil() of integers stay integers here.
//   - extract(second ..) and extract(milliseconds ..) have decimals here.
//   - date_trunc('century' ..) and ('millennium' ..) begin with the year 1, as in PostgreSQL; there with the year 0. Left out.
//   - ~ finds, there it matches the whole text: regexp_matches. A backslash escapes in LIKE here.
//   - A negative index counts from the end there; here there is no such element. substr() from before the first character:
//     PostgreSQL's rule here. Both are left out, as are empty separators of split_part().
//   - x = ANY (NULL) is false there, NULL here. ANY is a subquery there, which TRY does not take: not compared.
//   - interval is a number of seconds here: a double there.
//   - array_agg() leaves NULL out here.
//   - '1.5' and '1e3' do not convert to bigint here; doubles and timestamps as text are spelled otherwise. Left out.
//   - bigint beside double compares exactly here: left out beyond 2^53.
type generator struct{ *rand.Rand }

var duckColumns = []struct{ name, ours, duck string }{
	{"b", "bool", "BOOLEAN"}, {"c", "bool", "BOOLEAN"}, {"i", "bigint", "BIGINT"}, {"j", "bigint", "BIGINT"}, {"u", "ubigint", "UBIGINT"},
	{"n", "numeric", "HUGEINT"}, {"d", "double", "DOUBLE"}, {"e", "double", "DOUBLE"}, {"s", "string", "VARCHAR"}, {"t", "string", "VARCHAR"},
	{"ts", "timestamp", "TIMESTAMP"}, {"tt", "timestamp", "TIMESTAMP"}, {"iv", "interval", "DOUBLE"}, {"arr", "string[]", "VARCHAR[]"}, {"nums", "bigint[]", "BIGINT[]"},
}

var duckTexts = []string{"", "a", "abc", "ab.c", "www.example.com", "x_y", "é", "Éa", "42", "-7", "A%B", "aaa", "b a", " a "}

func (g generator) pick(options ...string) string { return options[g.IntN(len(options))] }

// column is a column of the kind.
func (g generator) column(kind string) expression {
	var names []string
	for _, c := range duckColumns {
		if c.ours == kind {
			names = append(names, c.name)
		}
	}
	name := g.pick(names...)
	return expression{name, name}
}

func same(format string, args ...any) expression {
	text := fmt.Sprintf(format, args...)
	return expression{text, text}
}

// of writes expressions into both dialects' formats.
func of(ours, duck string, xs ...expression) expression {
	a, b := make([]any, len(xs)), make([]any, len(xs))
	for i, x := range xs {
		a[i], b[i] = x.ours, x.duck
	}
	return expression{fmt.Sprintf(ours, a...), fmt.Sprintf(duck, b...)}
}

func both(format string, xs ...expression) expression { return of(format, format, xs...) }

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// leaf is a constant or a column.
func (g generator) leaf(kind string) expression {
	if g.IntN(3) > 0 {
		return g.column(kind)
	}
	switch kind {
	case "bool":
		return same("%s", g.pick("TRUE", "FALSE"))
	case "bigint":
		text := g.pick("0", "1", "2", "-3", "7", "100", "9223372036854775807")
		return expression{text, "CAST(" + text + " AS BIGINT)"}
	case "numeric":
		text := g.pick("18446744073709551617", "-9223372036854775809", "170141183460469231731687303715884105727")
		return expression{text, "CAST('" + text + "' AS HUGEINT)"}
	case "double":
		text := g.pick("0.0", "0.5", "-2.5", "3.25", "1e6")
		return expression{text, "CAST(" + text + " AS DOUBLE)"}
	case "string":
		return same("%s", quoted(g.pick(duckTexts...)))
	case "timestamp":
		text := quoted(g.pick("1969-12-31 23:59:59.5", "2026-11-23 04:05:06.123456", "2000-02-29", "2026-01-01"))
		return same("TIMESTAMP %s", text)
	case "interval":
		n := g.pick("0", "1.5", "-90", "3600", "86400")
		return expression{"INTERVAL '" + n + " seconds'", "CAST(" + n + " AS DOUBLE)"}
	}
	return g.column(kind)
}

var comparable = []string{"bigint", "numeric", "double", "string", "timestamp", "interval", "bool"}

// any returns a random expression of the kind, nested depth deep.
func (g generator) any(kind string, depth int) expression {
	if depth <= 0 || g.IntN(8) == 0 {
		return g.leaf(kind)
	}
	x := func(kind string) expression { return g.any(kind, depth-1) }
	if kind != "string[]" && kind != "bigint[]" {
		switch g.IntN(9) { // what there is for all kinds
		case 0:
			return both("CASE WHEN %s THEN %s WHEN %s THEN %s ELSE %s END", x("bool"), x(kind), x("bool"), x(kind), x(kind))
		case 1:
			on := comparable[g.IntN(len(comparable))]
			return both("CASE %s WHEN %s THEN %s WHEN %s THEN %s END", x(on), x(on), x(kind), x(on), x(kind))
		case 2:
			switch g.IntN(4) {
			case 0:
				return both("coalesce(%s, %s)", x(kind), x(kind))
			case 1:
				return both("nullif(%s, %s)", x(kind), x(kind))
			case 2:
				return both("greatest(%s, %s, %s)", x(kind), x(kind), x(kind))
			}
			return both("least(%s, %s)", x(kind), x(kind))
		}
	}
	switch kind {
	case "bool":
		return g.boolean(x)
	case "bigint":
		return g.bigint(x)
	case "numeric":
		switch g.IntN(4) {
		case 0:
			return of("(%s + u)", "TRY(%s + u::HUGEINT)", x("numeric"))
		case 1:
			return of("(u * %s)", "TRY(u::HUGEINT * %s)", x("bigint"))
		}
		op := g.pick("+", "-", "*")
		return of("(%s "+op+" %s)", "TRY(%s "+op+" %s)", x("numeric"), x("numeric"))
	case "double":
		return g.double(x)
	case "string":
		return g.text(x)
	case "timestamp":
		switch g.IntN(3) {
		case 0:
			unit := g.pick("second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade")
			return of("date_trunc('"+unit+"', %s)", "CAST(date_trunc('"+unit+"', %s) AS TIMESTAMP)", x("timestamp"))
		case 1:
			op := g.pick("+", "-")
			return of("(%s "+op+" %s)", "make_timestamp(epoch_us(%s) "+op+" CAST(round_even(%s * 1e6, 0) AS BIGINT))", x("timestamp"), g.leaf("interval"))
		}
		return of("to_timestamp(%s / 3)", "make_timestamp(CAST(round_even(%s / 3 * 1e6, 0) AS BIGINT))", g.leaf("double"))
	case "interval":
		switch g.IntN(4) {
		case 0:
			return of("(%s - %s)", "((epoch_us(%s) - epoch_us(%s)) / 1e6)", g.leaf("timestamp"), g.leaf("timestamp"))
		case 1:
			return both("(%s * %s)", g.leaf("interval"), g.leaf("double"))
		}
		return both("(%s "+g.pick("+", "-")+" %s)", x("interval"), x("interval"))
	}
	return g.leaf(kind)
}

func (g generator) boolean(x func(string) expression) expression {
	kind := comparable[g.IntN(len(comparable))]
	op := g.pick("=", "<>", "<", "<=", ">", ">=")
	not := g.pick("", "NOT ")
	switch g.IntN(14) {
	case 0, 1:
		return both("(%s "+op+" %s)", x(kind), x(kind))
	case 2, 3:
		return both("(%s "+g.pick("AND", "OR")+" %s)", x("bool"), x("bool"))
	case 4:
		return both("(NOT %s)", x("bool"))
	case 5:
		return both("(%s IS "+not+"NULL)", x(kind))
	case 6:
		if g.IntN(2) == 0 {
			return of("(%s IS "+not+"UNKNOWN)", "(%s IS "+not+"NULL)", x("bool"))
		}
		return both("(%s IS "+not+g.pick("TRUE", "FALSE")+")", x("bool"))
	case 7:
		return both("(%s IS "+not+"DISTINCT FROM %s)", x(kind), x(kind))
	case 8:
		return both("(%s "+not+"IN (%s, %s, %s))", x(kind), x(kind), x(kind), x(kind))
	case 9:
		return both("(%s "+not+"BETWEEN %s AND %s)", x(kind), x(kind), x(kind))
	case 10:
		pattern := ""
		for range g.IntN(6) {
			pattern += g.pick("%", "_", "a", "b", ".", "é", "A", "c")
		}
		return both("(%s "+not+g.pick("LIKE", "ILIKE")+" %s)", x("string"), same("%s", quoted(pattern)))
	case 11:
		if g.IntN(2) == 0 {
			return both("(%s "+not+"LIKE 'A!%%%%' ESCAPE '!')", x("string"))
		}
		pattern := quoted(g.pick("a", "^a", "a$", "[a-c]+", "^(ab|é)", "x.y", "^$"))
		return of("(%s ~ "+pattern+")", "regexp_matches(%s, "+pattern+")", x("string"))
	case 12:
		element, array := "string", "arr"
		if g.IntN(2) == 0 {
			element, array = "bigint", "nums"
		}
		return of("(%s "+op+" ANY ("+array+"))", "CASE WHEN "+array+" IS NOT NULL THEN %s "+op+" ANY ("+array+") END", x(element))
	}
	if g.IntN(2) == 0 {
		return of("array_contains(arr, %s)", "list_contains(arr, %s)", x("string"))
	}
	return of("array_contains(nums, %s)", "list_contains(nums, %s)", x("bigint"))
}

func (g generator) bigint(x func(string) expression) expression {
	switch g.IntN(10) {
	case 0, 1, 2:
		op := g.pick("+", "-", "*")
		return of("(%s "+op+" %s)", "TRY(%s "+op+" %s)", x("bigint"), x("bigint"))
	case 3:
		if g.IntN(2) == 0 {
			return of("(%s / %s)", "TRY(%s // %s)", x("bigint"), x("bigint"))
		}
		return of("(%s %% %s)", "TRY(%s %% %s)", x("bigint"), x("bigint"))
	case 4:
		if g.IntN(2) == 0 {
			return of("(- %s)", "TRY(CAST(-(CAST(%s AS HUGEINT)) AS BIGINT))", x("bigint"))
		}
		return of("abs(%s)", "TRY(abs(%s))", x("bigint"))
	case 5:
		return both(g.pick("length", "len")+"(%s)", x("string"))
	case 6:
		return same("len(%s)", g.pick("arr", "nums"))
	case 7:
		return same("nums[%d]", g.IntN(5))
	case 8:
		if g.IntN(3) == 0 {
			return of("CAST(%s AS bigint)", "TRY_CAST(%s AS BIGINT)", x("double"))
		}
		if g.IntN(2) == 0 {
			return of("CAST(%s AS bigint)", "TRY_CAST(%s AS BIGINT)", g.column("string"))
		}
		return both("CAST(%s AS bigint)", x("bool"))
	}
	field := g.pick("minute", "hour", "day", "dow", "isodow", "doy", "week", "month", "quarter", "year", "isoyear", "decade", "century", "millennium", "microseconds")
	return both("extract("+field+" FROM %s)", x("timestamp"))
}

func (g generator) double(x func(string) expression) expression {
	switch g.IntN(8) {
	case 0, 1:
		return both("(%s "+g.pick("+", "-", "*")+" %s)", g.leaf("double"), x("double"))
	case 2:
		return of("(%s / %s)", "(%s / nullif(%s, 0.0::DOUBLE))", g.leaf("double"), g.leaf("double"))
	case 3:
		return of("round(%s)", "round_even(%s, 0)", x("double"))
	case 4:
		return both(g.pick("floor", "ceil", "abs", "-")+"(%s)", x("double"))
	case 5:
		return of("extract(epoch FROM %s)", "epoch(%s)", x("timestamp"))
	case 6:
		if g.IntN(2) == 0 {
			return of("extract(second FROM %s)", "(extract(microseconds FROM %s) / 1e6)", x("timestamp"))
		}
		return of("extract(epoch FROM %s)", "%s", x("interval"))
	}
	return of("CAST(%s AS double)", "CAST(%s AS DOUBLE)", x("bigint"))
}

func (g generator) text(x func(string) expression) expression {
	switch g.IntN(10) {
	case 0, 1:
		return both("(%s || %s)", g.leaf("string"), x("string"))
	case 2:
		return both(g.pick("lower", "upper", "trim", "ltrim", "rtrim")+"(%s)", x("string"))
	case 3:
		return both(g.pick("trim", "ltrim", "rtrim")+"(%s, "+quoted(g.pick("a", "ab", "é", ".", "w."))+")", x("string"))
	case 4:
		return both(fmt.Sprintf("substr(%%s, %d, %d)", 1+g.IntN(5), g.IntN(5)), x("string"))
	case 5:
		return both(fmt.Sprintf("substr(%%s, %d)", 1+g.IntN(5)), x("string"))
	case 6:
		return both(fmt.Sprintf("%s(%%s, %d)", g.pick("left", "right"), g.IntN(9)-4), x("string"))
	case 7:
		n := 1 + g.IntN(4)
		if g.IntN(3) == 0 {
			n = -n
		}
		return both(fmt.Sprintf("split_part(%%s, %s, %d)", quoted(g.pick(".", "a", "b", "aa", "é")), n), x("string"))
	case 8:
		return same("arr[%d]", g.IntN(5))
	}
	return of("CAST(%s AS string)", "CAST(%s AS VARCHAR)", x(g.pick("bigint", "bool", "numeric")))
}

// aggregate returns a random aggregate, whose order does not matter.
func (g generator) aggregate() expression {
	filter := expression{}
	if g.IntN(2) == 0 {
		filter = both(" FILTER (WHERE %s)", g.any("bool", 2))
	}
	kind := comparable[g.IntN(len(comparable))]
	var a expression
	switch g.IntN(10) {
	case 0:
		a = both("count(%s)", g.any(kind, 2))
	case 1:
		a = both(g.pick("min", "max")+"(%s)", g.any(kind, 2))
	case 2:
		a = both("sum(%s)", g.column("bigint"))
	case 3:
		a = both("avg(%s)", g.any("double", 1))
	case 4:
		a = both(g.pick("bool_or", "bool_and")+"(%s)", g.any("bool", 2))
	case 5:
		a = both(g.pick("stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop")+"(%s)", g.leaf("double"))
	case 6:
		x := g.any("string", 1)
		return of("array_agg(DISTINCT %s)", "list_sort(list(DISTINCT %s) FILTER (WHERE %[1]s IS NOT NULL))", x)
	case 7:
		a = same("count(*)")
		if g.IntN(2) == 0 {
			a = both("count(DISTINCT %s)", g.any(kind, 2))
		}
	case 8:
		x := g.any(kind, 2)
		if g.IntN(2) == 0 {
			a = of("first(%s)", "arg_min(%s, ts)", x)
		} else {
			a = of("last(%s)", "arg_max(%s, ts)", x)
		}
	default:
		a = both("sum(%s)", g.leaf("double"))
	}
	return expression{a.ours + filter.ours, a.duck + filter.duck}
}

// records are random rows of duckColumns as DuckDB takes them, and as values.
func (g generator) record() (duck []any, values []feeds.Value) {
	number := func() int64 {
		switch g.IntN(4) {
		case 0:
			return []int64{0, 1, -1, math.MaxInt64, math.MinInt64}[g.IntN(5)]
		case 1:
			return int64(g.Uint64())
		}
		return int64(g.IntN(20) - 10)
	}
	null := func() bool { return g.IntN(5) == 0 }
	for _, c := range duckColumns {
		if null() {
			duck, values = append(duck, nil), append(values, feeds.NullValue)
			continue
		}
		var d any
		v := feeds.NullValue
		switch c.ours {
		case "bool":
			b := g.IntN(2) == 0
			d, v = b, feeds.BoolValue(b)
		case "bigint":
			i := number()
			d, v = i, feeds.BigintValue(i)
		case "ubigint":
			u := uint64(number())
			d, v = u, feeds.UbigintValue(u)
		case "numeric":
			i := feeds.Int128{Hi: int64(g.IntN(7) - 3), Lo: g.Uint64()}
			d, v = json.Number(i.String()), feeds.NumericValue(i)
		case "double":
			f := []float64{0, 0.5, 1.5, -2.5, 1e6, g.NormFloat64() * 100}[g.IntN(6)]
			d, v = f, feeds.DoubleValue(f)
		case "interval":
			f := []float64{0, 1.5, -60, 86400, math.Round(g.Float64() * 1e9)}[g.IntN(5)]
			d, v = f, feeds.IntervalValue(f)
		case "string":
			s := g.pick(duckTexts...)
			d, v = s, feeds.StringValue(s)
		case "timestamp":
			micros := g.Int64N(4e15) - 2e15
			d, v = time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.000000"), feeds.TimestampValue(micros)
		case "string[]", "bigint[]":
			list, all := []any{}, []feeds.Value{}
			for range g.IntN(4) {
				switch {
				case null():
					list, all = append(list, nil), append(all, feeds.NullValue)
				case c.ours == "string[]":
					s := g.pick(duckTexts...)
					list, all = append(list, s), append(all, feeds.StringValue(s))
				default:
					i := number()
					list, all = append(list, i), append(all, feeds.BigintValue(i))
				}
			}
			d, v = list, feeds.ArrayValue(all)
		}
		duck, values = append(duck, d), append(values, v)
	}
	return duck, values
}

// TestExpressionsAgainstDuckDB evaluates random expressions and aggregates over random records here and in DuckDB.
// BROTALLY_DUCKDB_SEED chooses others.
func TestExpressionsAgainstDuckDB(t *testing.T) {
	python := duckdb(t)
	seed := uint64(1)
	if text := os.Getenv("BROTALLY_DUCKDB_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	g := generator{rand.New(rand.NewPCG(seed, 4))}
	feed := &feeds.Feed{Name: "r"}
	work := map[string]any{}
	var columns [][2]string
	for _, c := range duckColumns {
		typ, ok := feeds.ParseType(c.ours)
		if !ok {
			t.Fatal(c.ours)
		}
		feed.Columns = append(feed.Columns, feeds.Column{Name: c.name, Type: typ})
		columns = append(columns, [2]string{c.name, c.duck})
	}
	var rows [][]any
	var records [][]feeds.Value
	for range 60 {
		row, values := g.record()
		rows, records = append(rows, row), append(records, values)
	}
	var expressions, aggregates []checked
	for len(expressions) < 4000 {
		x := g.any(g.pick("bool", "bool", "bigint", "numeric", "double", "string", "timestamp", "interval"), 1+g.IntN(4))
		if c, ok := evaluate(t, feed, x, records); ok {
			expressions = append(expressions, c)
		}
	}
	for len(aggregates) < 500 {
		if c, ok := evaluate(t, feed, g.aggregate(), records); ok {
			aggregates = append(aggregates, c)
		}
	}
	work["columns"], work["rows"] = columns, rows
	work["expressions"], work["aggregates"] = texts2(expressions), texts2(aggregates)
	input, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", duckdbScript)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	var answer struct{ Expressions, Aggregates []any }
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	compared, differ, refused := 0, 0, 0
	check := func(c checked, row int, got feeds.Value, want any) (ok bool) {
		compared++
		if agree(got, want) {
			return true
		}
		if differ++; differ <= 20 {
			t.Errorf("%s\nis %s (%s), DuckDB says %v of\n%s", c.ours, got, got.Kind(), want, c.duck)
			if row >= 0 {
				for i, col := range feed.Columns {
					t.Logf("  %s = %s", col.Name, records[row][i])
				}
			}
		}
		return false
	}
	for i, c := range expressions {
		values, ok := answer.Expressions[i].([]any)
		if why, _ := answer.Expressions[i].(string); strings.Contains(why, "TRY can not be used in combination with a scalar subquery") {
			refused++
			continue
		}
		if !ok {
			t.Errorf("%s\nDuckDB refuses %s: %v", c.ours, c.duck, answer.Expressions[i])
			continue
		}
		for row := range records {
			if !check(c, row, c.values[row], values[row]) {
				break
			}
		}
	}
	for i, c := range aggregates {
		check(c, -1, c.values[0], answer.Aggregates[i])
	}
	t.Logf("%d expressions over %d records and %d aggregates: %d values compared, %d differ; %d expressions with ANY inside TRY not compared", len(expressions), len(records), len(aggregates), compared, differ, refused)
}

// checked is an expression with its values.
type checked struct {
	expression
	values []feeds.Value
}

// texts2 are the expressions for DuckDB; timestamps as a number of microseconds, so that JSON has them.
func texts2(all []checked) []string {
	var out []string
	for _, c := range all {
		text := c.duck
		if slices.ContainsFunc(c.values, func(v feeds.Value) bool { return v.Kind() == feeds.Timestamp }) {
			text = "epoch_us(" + text + ")"
		}
		out = append(out, text)
	}
	return out
}

// evaluate computes an expression over the records; ok is false where it is refused for a constant that has no value.
func evaluate(t *testing.T, feed *feeds.Feed, x expression, records [][]feeds.Value) (checked, bool) {
	t.Helper()
	stmt, err := sql.ParseStatement("", "SELECT "+x.ours+" FROM r")
	if err != nil {
		t.Fatal(err)
	}
	look, err := tables.CompileScan(stmt.(*sql.Select), feed)
	if err != nil {
		if strings.Contains(err.Error(), "has no value") || strings.Contains(err.Error(), "is not a") {
			return checked{}, false
		}
		t.Fatal(err)
	}
	answer, err := look.Run(func(yield func([]feeds.Value) bool) {
		for _, rec := range records {
			row := make([]feeds.Value, len(look.Inputs))
			for i, in := range look.Inputs {
				at, _ := feed.Column(in.Name)
				row[i] = rec[at]
			}
			if !yield(row) {
				return
			}
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := checked{expression: x}
	for _, row := range answer.Values {
		c.values = append(c.values, row[0])
	}
	return c, true
}

// agree compares a value with DuckDB's as JSON has it: integers exactly, doubles to 1e-9 relative.
func agree(got feeds.Value, want any) bool {
	switch w := want.(type) {
	case nil:
		return got.IsNull()
	case bool:
		return got.Kind() == feeds.Bool && got.IsTrue() == w
	case string:
		return got.Kind() == feeds.String && got.Str() == w
	case []any:
		return got.Kind() == feeds.Array && slices.EqualFunc(got.List(), w, agree)
	case json.Number:
		switch got.Kind() {
		case feeds.Double, feeds.Interval:
			f, err := w.Float64()
			return err == nil && math.Abs(f-got.Float()) <= 1e-9*max(math.Abs(f), 1e-6)
		case feeds.Timestamp:
			return w.String() == strconv.FormatInt(got.Micros(), 10)
		case feeds.Bigint, feeds.Ubigint, feeds.Numeric:
			return w.String() == got.Int128().String()
		}
	}
	return false
}
