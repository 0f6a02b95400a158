package tables

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// counting is a table with two count(DISTINCT x) among others, which counts few values exactly.
func counting(t testing.TB, values, partBytes int) *Table {
	table := mustCompile(t, "CREATE TABLE t AS SELECT g, count(*) AS n, count(DISTINCT i) AS i, max(s) AS s, count(DISTINCT s) FILTER (WHERE b) AS few FROM kinds GROUP BY g")
	table.LimitDistinct(values, partBytes)
	return table
}

// shape is what a state has, whatever the order of values.
func shape(t *Table, s State) string {
	var out []string
	for number, a := range t.plan.counting {
		switch k := a.held(s); {
		case k == nil:
			out = append(out, "none")
		case k.many != nil:
			out = append(out, fmt.Sprintf("%x", k.many.append(nil)))
		default:
			out = append(out, fmt.Sprintf("%d %q", number, members(&k.set)))
		}
	}
	for _, a := range t.plan.stored {
		if _, ok := a.kernel.(countDistinct); !ok {
			out = append(out, fmt.Sprintf("%x", a.kernel.append(nil, s)))
		}
	}
	return strings.Join(out, "\n")
}

// genCounted makes records of three groups and few values.
func genCounted() *rapid.Generator[[]*feeds.Record] {
	record := rapid.Custom(func(t *rapid.T) *feeds.Record {
		rec := &feeds.Record{Values: make([]feeds.Value, len(kinds.Columns))}
		for i, c := range kinds.Columns {
			switch c.Name {
			case "g":
				rec.Values[i] = feeds.StringValue(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "g"))
			case "i":
				rec.Values[i] = feeds.BigintValue(rapid.Int64Range(-10, 10).Draw(t, "i"))
			case "ts":
				rec.Values[i] = feeds.TimestampValue(rapid.Int64Range(-10, 10).Draw(t, "ts") * 1_000_000)
			case "s":
				rec.Values[i] = genValue(feeds.String).Draw(t, "s")
			case "b":
				rec.Values[i] = feeds.BoolValue(rapid.Bool().Draw(t, "b"))
			}
		}
		return rec
	})
	return rapid.SliceOfN(record, 0, 40)
}

func TestCountsOfDistinctValuesMerge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		table := counting(t, rapid.IntRange(0, 15).Draw(rt, "limit"), rapid.IntRange(1, 30).Draw(rt, "part"))
		a, b, c := genCounted().Draw(rt, "a"), genCounted().Draw(rt, "b"), genCounted().Draw(rt, "c")
		merge := func(states ...State) State {
			sum := table.NewState()
			for _, s := range states {
				for part := range table.Parts(s) { // as they go through Kafka
					back := table.NewState()
					if rest, err := table.ReadState(table.AppendState(nil, part), back); err != nil || len(rest) > 0 {
						rt.Fatalf("%d bytes are left, %v", len(rest), err)
					}
					table.Merge(sum, back)
				}
			}
			return sum
		}
		sa, sb, sc := stateOf(table, a), stateOf(table, b), stateOf(table, c)
		want := shape(table, stateOf(table, slices.Concat(a, b, c)))
		for name, got := range map[string]State{
			"(a b) c": merge(merge(sa, sb), sc), "(c b) a": merge(sc, sb, sa), "a (b c)": merge(sa, merge(sb, sc)), "twice": merge(sa, sb, sc),
			"with the identity": merge(table.NewState(), sa, table.NewState(), sb, sc, table.NewState()),
		} {
			if shape(table, got) != want {
				rt.Fatalf("%s:\n%s\nwant\n%s", name, shape(table, got), want)
			}
		}
	})
}

// changelog is what stage 2 has written: rows by key, and values. It plays stage 2.
type changelog struct {
	t       *rapid.T
	table   *Table
	rows    map[string]string
	values  map[valueRecord]bool
	held    *Groups
	updater *Updater
	left    []Leftover
}

type valueRecord struct {
	row    string
	number int
	value  string
}

func (c *changelog) begin(rows *Groups) {
	c.held = rows
	var err error
	if c.updater, err = c.table.NewUpdater(rows, NoClock); err != nil {
		c.t.Fatal(err)
	}
	c.updater.RecordValues(func(key []byte, number int, value []byte) {
		at := valueRecord{string(key), number, string(value)}
		if c.values[at] {
			c.t.Fatalf("%v is written twice", at)
		}
		c.values[at] = true
	}, func(l Leftover) { c.left = append(c.left, l) })
}

// commit takes an interval in, and deletes some of what is left to be deleted.
func (c *changelog) commit(interval *Combiner, most int) {
	changed := func(change Change) error {
		if change.Gone {
			delete(c.rows, change.Key)
		} else {
			c.rows[strings.Clone(change.Key)] = string(c.table.AppendRow(nil, change.State))
		}
		return nil
	}
	for key, partial := range interval.Partials() {
		if _, err := c.updater.Add(key, partial, changed); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.updater.Flush(changed); err != nil {
		c.t.Fatal(err)
	}
	for most > 0 && len(c.left) > 0 {
		n := c.left[0].Take(most, func(key string, number int, value []byte) {
			at := valueRecord{key, number, string(value)}
			if !c.values[at] {
				c.t.Fatalf("%v is deleted and not there", at)
			}
			delete(c.values, at)
		})
		if n < most {
			c.left = c.left[1:]
		}
		most -= n
	}
}

// restore reads the changelog, in any order, into rows: new ones, or those that are there.
func (c *changelog) restore(onwards bool) {
	rows, left := c.table.NewGroups(), []Leftover(nil)
	if onwards {
		rows, left = c.held, c.left
	}
	loose, err := c.table.NewValues(rows, left)
	if err != nil {
		c.t.Fatal(err)
	}
	var steps []func() error
	for key, row := range c.rows {
		steps = append(steps, func() error {
			state, _ := rows.Upsert([]byte(key))
			rest, err := c.table.ReadRow([]byte(row), state)
			if len(rest) > 0 {
				c.t.Fatalf("%d bytes are left of a row", len(rest))
			}
			return err
		})
	}
	for at := range c.values {
		steps = append(steps, func() error { return loose.Set([]byte(at.row), at.number, []byte(at.value), true) })
	}
	rand.New(rand.NewPCG(rapid.Uint64().Draw(c.t, "order"), 0)).Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		if err := step(); err != nil {
			c.t.Fatal(err)
		}
	}
	if c.left, err = loose.Return(rows); err != nil {
		c.t.Fatal(err)
	}
	c.begin(rows)
}

// check compares the rows with those of one pass over all records, and the records of values with what rows have and what is
// left.
func (c *changelog) check(all []*feeds.Record) {
	f, err := NewFold(c.table, kindsLayout, 1)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, rec := range all {
		f.Combiner(0).Add(rec)
	}
	if err := f.Flush(0); err != nil {
		c.t.Fatal(err)
	}
	if c.held.Len() != f.rows.Len() || len(c.rows) != f.rows.Len() {
		c.t.Fatalf("%d rows, %d in the changelog, want %d", c.held.Len(), len(c.rows), f.rows.Len())
	}
	exact, bytes := 0, 0
	for key, want := range f.rows.All() {
		row, ok := c.held.Get([]byte(key))
		if !ok || shape(c.table, row) != shape(c.table, want) {
			c.t.Fatalf("row %q:\n%s\nwant\n%s", key, shape(c.table, row), shape(c.table, want))
		}
		for _, a := range c.table.plan.counting {
			if k := a.held(row); k != nil {
				exact += k.set.n
			}
		}
		for _, x := range row.X {
			bytes += extraBytes(x)
		}
		alone := c.table.NewState() // as views have it
		if _, err := c.table.ReadRow([]byte(c.rows[key]), alone); err != nil {
			c.t.Fatal(err)
		}
		if again := string(c.table.AppendRow(nil, row)); again != c.rows[key] {
			c.t.Fatalf("row %q is %x, the changelog has %x", key, again, c.rows[key])
		}
		var shown [3][]feeds.Value
		for i, s := range []State{want, row, alone} {
			if shown[i], err = c.table.MarkedRow(key, s, nil); err != nil {
				c.t.Fatal(err)
			}
		}
		if !sameRows(shown[:1], shown[1:2]) || !sameRows(shown[:1], shown[2:]) {
			c.t.Fatalf("row %v, without its values %v, want %v", shown[1], shown[2], shown[0])
		}
	}
	if exact != c.held.Values() || bytes != c.held.SketchBytes() {
		c.t.Fatalf("%d values of %d bytes are counted, want %d of %d", c.held.Values(), c.held.SketchBytes(), exact, bytes)
	}
	for _, l := range c.left {
		exact += l.Len()
	}
	if len(c.values) != exact {
		c.t.Fatalf("%d values are recorded, want %d", len(c.values), exact)
	}
}

// TestRowsKeepTheirValuesInAChangelog: whatever the intervals and windows, whatever is left to be deleted later, wherever stage 2
// dies, hands its rows on or gets them back, and in whatever order the changelog's records come back, rows are what one pass over all
// records gives, and each exact value has its record.
func TestRowsKeepTheirValuesInAChangelog(t *testing.T) {
	for _, window := range []string{"", "TUMBLING (SIZE 4 SECONDS)", "HOPPING (SIZE 4 SECONDS, ADVANCE BY 2 SECONDS)", "SESSION (GAP 1 SECOND)"} {
		t.Run(window, func(t *testing.T) {
			text := "CREATE TABLE t AS SELECT g, count(*) AS n, count(DISTINCT i) AS i, max(s) AS s, count(DISTINCT s) FILTER (WHERE b) AS few"
			switch {
			case window == "":
				text += " FROM kinds"
			case strings.HasPrefix(window, "SESSION"):
				text += ", window_start, window_end FROM kinds WINDOW " + window
			default:
				text += ", window_start FROM kinds WINDOW " + window
			}
			rapid.Check(t, func(rt *rapid.T) {
				table := mustCompile(t, text+" GROUP BY g")
				table.LimitDistinct(rapid.IntRange(0, 12).Draw(rt, "limit"), 1000)
				c := &changelog{t: rt, table: table, rows: map[string]string{}, values: map[valueRecord]bool{}}
				c.begin(table.NewGroups())
				var all []*feeds.Record
				for range rapid.IntRange(1, 6).Draw(rt, "intervals") {
					interval, err := table.NewCombiner(kindsLayout)
					if err != nil {
						rt.Fatal(err)
					}
					for _, rec := range genCounted().Draw(rt, "records") {
						all = append(all, rec)
						interval.Add(rec)
					}
					c.commit(interval, rapid.IntRange(0, 8).Draw(rt, "most"))
					c.check(all)
					if rapid.Bool().Draw(rt, "restores") {
						c.restore(rapid.Bool().Draw(rt, "onwards"))
						c.check(all)
					}
				}
			})
		})
	}
}

func TestARowWithoutItsValuesIsNoticed(t *testing.T) {
	table := counting(t, 10, 1000)
	rows := table.NewGroups()
	u, err := table.NewUpdater(rows, NoClock)
	if err != nil {
		t.Fatal(err)
	}
	c, err := table.NewCombiner(kindsLayout)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(2) {
		c.Add(&feeds.Record{Values: valuesFor("i", feeds.BigintValue(i))})
	}
	var key string
	for k, partial := range c.Partials() {
		key = k
		if _, err := u.Add(key, partial, func(Change) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	row, _ := rows.Get([]byte(key))
	record, partial := table.AppendRow(nil, row), table.AppendState(nil, row)

	back := table.NewGroups()
	loose, err := table.NewValues(back, nil)
	if err != nil {
		t.Fatal(err)
	}
	state, _ := back.Upsert([]byte(key))
	if _, err := table.ReadRow(record, state); err != nil {
		t.Fatal(err)
	}
	if err := loose.Set([]byte(key), 0, []byte{2}, true); err != nil {
		t.Fatal(err)
	}
	if err := loose.Set([]byte(key), 2, []byte{2}, true); err == nil {
		t.Error("there is no third count(DISTINCT ..)")
	}
	if _, err := loose.Return(back); err == nil || !strings.Contains(err.Error(), "is 2, but 1 values are there") {
		t.Errorf("error %v", err)
	}
	if _, err := table.ReadState(record, table.NewState()); err == nil {
		t.Error("a row was read as a partial")
	}
	if _, err := table.ReadRow(partial, table.NewState()); err == nil {
		t.Error("a partial was read as a row")
	}
}

func valuesFor(column string, v feeds.Value) []feeds.Value {
	values := make([]feeds.Value, len(kinds.Columns))
	for i, c := range kinds.Columns {
		if c.Name == column {
			values[i] = v
		}
	}
	return values
}

// TestDistinctValuesOfEveryKind checks what counts as one value: what a group key takes for one.
func TestDistinctValuesOfEveryKind(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name   string
		values []feeds.Value
		want   int64
	}{
		{"NULL is none", []feeds.Value{feeds.NullValue, feeds.NullValue}, 0},
		{"the empty text is one", []feeds.Value{feeds.StringValue(""), feeds.StringValue("a"), feeds.StringValue("")}, 2},
		{"long texts differ where they are cut", []feeds.Value{feeds.StringValue(long), feeds.StringValue(long + "y"), feeds.StringValue(long)}, 2},
		{"zero has no sign, and NaN is one", []feeds.Value{feeds.DoubleValue(0), feeds.DoubleValue(math.Copysign(0, -1)), feeds.DoubleValue(math.NaN()), feeds.DoubleValue(-math.NaN())}, 2},
		{"numbers", []feeds.Value{feeds.BigintValue(1), feeds.BigintValue(-1), feeds.BigintValue(1)}, 2},
		{"arrays", []feeds.Value{feeds.ArrayValue(nil), feeds.ArrayValue([]feeds.Value{feeds.StringValue("a")}), feeds.ArrayValue([]feeds.Value{feeds.StringValue(long)}), feeds.ArrayValue([]feeds.Value{feeds.StringValue(long + "y")})}, 4},
	} {
		kernel, _, _ := countDistinctKernel(argument{}, &cell{bit: 1})
		s := State{W: make([]uint64, 1), X: make([]any, 1)}
		for _, v := range c.values {
			if !v.IsNull() { // bind leaves it out
				kernel.(countDistinct).take(s, v)
			}
		}
		if got := kernel.value(s).Int(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestAHundredThousandValuesAreExact and one more is an estimate, within the error of HyperLogLog and marked.
func TestAHundredThousandValuesAreExact(t *testing.T) {
	table := mustCompile(t, "CREATE TABLE t AS SELECT count(DISTINCT i) AS n, count(DISTINCT i) * 2 AS twice, count(*) AS all FROM kinds")
	c, err := table.NewCombiner(kindsLayout)
	if err != nil {
		t.Fatal(err)
	}
	add := func(i int64) { c.Add(&feeds.Record{Values: valuesFor("i", feeds.BigintValue(i))}) }
	row := func() []feeds.Value {
		for key, s := range c.Groups().All() {
			row, err := table.MarkedRow(key, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			return row
		}
		return nil
	}
	for range 2 {
		for i := range int64(100_000) {
			add(i)
		}
	}
	if got := row(); got[0].Int() != 100_000 || got[1].Int() != 200_000 || got[2].Int() != 200_000 || got[3].IsTrue() || got[4].IsTrue() {
		t.Errorf("%v of a hundred thousand", got)
	}
	if bytes := c.Groups().SketchBytes(); bytes > 100_000*20 {
		t.Errorf("they take %d bytes", bytes)
	}
	add(100_000)
	got := row()
	if n := got[0].Int(); n == 100_000 || math.Abs(float64(n)/100_001-1) > 0.03 || !got[3].IsTrue() || !got[4].IsTrue() || len(got) != 5 {
		t.Errorf("%v of one more", got)
	}
	if bytes := c.Groups().SketchBytes(); bytes > 20<<10 {
		t.Errorf("an estimate takes %d bytes", bytes)
	}
}

// TestLookUpsMarkEstimates follows marks through expressions, groups, order and limits.
func TestLookUpsMarkEstimates(t *testing.T) {
	table := counting(t, 3, 1000)
	c, err := table.NewCombiner(kindsLayout)
	if err != nil {
		t.Fatal(err)
	}
	for g, n := range map[string]int64{"a": 2, "b": 9, "c": 3, "d": 20} {
		for i := range n {
			values := valuesFor("i", feeds.BigintValue(i))
			values[0] = feeds.StringValue(g)
			c.Add(&feeds.Record{Values: values})
		}
	}
	var rows, bare [][]feeds.Value
	for key, s := range c.Groups().All() {
		row, err := table.MarkedRow(key, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
		bare = append(bare, row[:len(table.Columns)])
	}
	if diff := cmp.Diff([]int{2, 4}, table.Marks()); diff != "" {
		t.Error(diff)
	}
	for _, q := range []struct {
		sql  string
		want []Estimates
	}{
		{"SELECT * FROM t ORDER BY g", []Estimates{{2, []int{1, 3}}}},
		{"SELECT i, i + 1, n, -n FROM t ORDER BY g", []Estimates{{0, []int{1, 3}}, {1, []int{1, 3}}}},
		{"SELECT i AS x, i FROM t WHERE g <> 'b' ORDER BY g DESC LIMIT 2 OFFSET 1", nil},
		{"SELECT g FROM t ORDER BY i DESC", nil},
		{"SELECT CASE WHEN i > 5 THEN 'many' ELSE 'few' END AS c FROM t ORDER BY g", []Estimates{{0, []int{1, 3}}}},
		{"SELECT g > 'a' AS later, sum(i), sum(n), max(few) FROM t GROUP BY 1 ORDER BY 1", []Estimates{{1, []int{1}}}},
		{"SELECT sum(i) FILTER (WHERE g = 'c') AS c, sum(i) FILTER (WHERE g = 'b') AS b, round(avg(i)) AS a FROM t", []Estimates{{1, []int{0}}, {2, []int{0}}}},
		{"SELECT i, count(*) FROM t GROUP BY i ORDER BY i", []Estimates{{0, []int{2, 3}}}},
		{"SELECT count(DISTINCT i), count(DISTINCT g) FROM t", []Estimates{{0, []int{0}}}},
		{"SELECT DISTINCT i > 5 AS many FROM t ORDER BY 1", []Estimates{{0, []int{1}}}},
	} {
		look, err := CompileSelect(parseLookUp(t, q.sql), table)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := look.Run(slices.Values(rows), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(q.want, answer.Estimates); diff != "" {
			t.Errorf("%s: %v\n%s", q.sql, answer.Values, diff)
		}
		unmarked, err := look.Run(slices.Values(bare), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !sameRows(unmarked.Values, answer.Values) {
			t.Errorf("%s: %v from rows without marks, %v from rows with", q.sql, unmarked.Values, answer.Values)
		}
	}
	if _, err := CompileSelect(parseLookUp(t, `SELECT "is an estimate: i" FROM t`), table); err == nil {
		t.Error("a mark is a column")
	}
}

func parseLookUp(t *testing.T, text string) *sql.Select {
	t.Helper()
	stmt, err := sql.ParseStatement("look-up", text)
	if err != nil {
		t.Fatal(err)
	}
	return stmt.(*sql.Select)
}
