package tables

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// Select is a compiled look-up: a SELECT over a table's result columns, or over a feed's records. It is never changed
// and safe for concurrent use.
type Select struct {
	Columns []Column // of the answer
	// Inputs are the columns of the rows that Run reads: the table's result columns, and its marks where it has any, or the
	// feed's columns that the expressions name. Rows without their marks will do.
	Inputs []feeds.Column

	plan     *plan
	stmt     *sql.Select
	slots    []int // the plan's inputs in Inputs
	table    *Table
	asked    map[*sql.Binary]bool // what of WHERE gives key
	key      []*expr              // values of the table's group columns that WHERE asks for; nil when it does not ask for all of them
	distinct bool
	order    []ordering
	limit    *expr // nil: all
	offset   *expr // nil: 0
	marks    []int // positions in Columns of those that can be estimates

	bound sync.Pool // of *bound: what runs over rows that are not grouped
}

// bound are the look-up's expressions as closures over its rows. They are for one run at a time.
type bound struct {
	where    cond   // nil: all rows
	items    []eval // and behind them the marks
	unnested *unnester
}

// ordering is one expression of ORDER BY.
type ordering struct {
	item       int
	desc       bool
	nullsFirst bool
}

// Rows are a look-up's answer.
type Rows struct {
	Columns []Column
	Values  [][]feeds.Value // by row, then by column; memory of its own
	// Estimates are the values that are estimates where they would be exact.
	Estimates []Estimates
}

// CompileSelect compiles a look-up in t. Errors are *sql.Error.
func CompileSelect(stmt *sql.Select, t *Table) (*Select, error) {
	return compileSelect(stmt, t)
}

// Place is a column that tells rows apart which have equal group columns, see [CompilePlaced].
const Place = "place of the row"

// CompilePlaced is [CompileSelect] for a statement that also names [Place], a bigint. It is the last of Inputs. Rows of groups
// have the same one, and each row of the others ([IsOther]) another: their group columns are NULL, as may be those of a group. Such
// a statement lists its columns, for * would show the place too.
func CompilePlaced(stmt *sql.Select, t *Table) (*Select, error) {
	return compileSelect(stmt, t, feeds.Column{Name: Place, Type: feeds.T(feeds.Bigint)})
}

// compileSelect compiles a look-up in t, whose rows have some more columns.
func compileSelect(stmt *sql.Select, t *Table, more ...feeds.Column) (*Select, error) {
	from := stmt.From
	if from.Text != t.Name && (from.Quoted || !strings.EqualFold(from.Text, t.Name)) {
		return nil, stmt.Source.Error(from.At, "no table "+from.Text, sql.DidYouMean(from.Text, []string{t.Name}))
	}
	rows := &feeds.Feed{Name: t.Name}
	for _, c := range t.Columns {
		rows.Columns = append(rows.Columns, feeds.Column{Name: c.Name, Type: c.Type})
	}
	rows.Columns = append(rows.Columns, more...)
	s, err := newSelect(stmt, rows, false)
	if err != nil {
		return nil, err
	}
	s.table = t
	if s.Inputs, err = s.markInputs(rows); err != nil {
		return nil, err
	}
	s.bindInputs()
	s.key = s.findKey(stmt)
	return s, nil
}

// CompileScan compiles a SELECT that reads a feed's records as they are: what a log holds, without a table. Rows are to
// hold the columns of Inputs. Errors are *sql.Error.
func CompileScan(stmt *sql.Select, feed *feeds.Feed) (*Select, error) {
	s, err := newSelect(stmt, feed, true)
	if err != nil {
		return nil, err
	}
	if err := s.addMarks(); err != nil {
		return nil, err
	}
	s.Inputs = s.plan.inputs
	s.bindInputs()
	return s, nil
}

func newSelect(stmt *sql.Select, feed *feeds.Feed, open bool) (*Select, error) {
	src := stmt.Source
	const tables = "look-ups read what is there; that clause belongs in CREATE TABLE"
	switch {
	case stmt.Window != nil:
		return nil, src.Error(stmt.Window.At, "WINDOW is not possible in a look-up", tables)
	case stmt.Emit != nil:
		return nil, src.Error(stmt.Emit.At, "EMIT is not possible in a look-up", tables)
	case stmt.TTL != nil:
		return nil, src.Error(stmt.TTLAt, "TTL is not possible in a look-up", tables)
	case stmt.MaxGroups != nil:
		return nil, src.Error(stmt.MaxGroups.At, "MAX GROUPS is not possible in a look-up", tables)
	}
	if err := unqualify(stmt, feed); err != nil {
		return nil, err
	}
	p, err := newPlan(stmt, feed, open, &params{})
	if err != nil {
		return nil, err
	}
	s := &Select{plan: p, stmt: stmt, asked: map[*sql.Binary]bool{}, distinct: stmt.Distinct != nil}
	for _, it := range p.items {
		s.Columns = append(s.Columns, it.column)
	}
	for _, o := range stmt.OrderBy {
		by, err := s.orderBy(o)
		if err != nil {
			return nil, err
		}
		s.order = append(s.order, by)
	}
	if s.limit, err = s.rowCount(stmt.Limit, "LIMIT"); err != nil {
		return nil, err
	}
	s.offset, err = s.rowCount(stmt.Offset, "OFFSET")
	return s, err
}

// bindInputs finds the plan's inputs among the rows' columns.
func (s *Select) bindInputs() {
	s.slots = make([]int, len(s.plan.inputs))
	for i, in := range s.plan.inputs {
		for slot, c := range s.Inputs {
			if c.Name == in.Name {
				s.slots[i] = slot
			}
		}
	}
}

// orderBy resolves one entry of ORDER BY: a column of the answer by name or position, else any expression, which then
// becomes a column that the answer does not show.
func (s *Select) orderBy(o sql.Order) (by ordering, err error) {
	by = ordering{desc: o.Desc, nullsFirst: o.Desc}
	if o.Nulls != "" {
		by.nullsFirst = o.Nulls == "FIRST"
	}
	sc := &scope{src: s.plan.src}
	switch e := o.Expr.(type) {
	case *sql.Number:
		by.item, err = ordinal(sc, e, len(s.Columns))
		return by, err
	case *sql.Column:
		for _, fold := range []bool{false, true} {
			for i, c := range s.Columns {
				if c.Name == e.Text || fold && !e.Quoted && strings.EqualFold(c.Name, e.Text) {
					by.item = i
					return by, nil
				}
			}
		}
	}
	text := sql.Format(o.Expr)
	for i, it := range s.plan.items {
		if sql.Format(it.at) == text {
			by.item = i
			return by, nil
		}
	}
	if s.distinct {
		return by, sc.errorf(o.Expr, "add it to SELECT", "SELECT DISTINCT can be ordered by what it selects only, not by %s", text)
	}
	by.item = len(s.plan.items)
	_, err = s.plan.addItem(sql.Item{Expr: o.Expr})
	return by, err
}

// rowCount compiles LIMIT's or OFFSET's number.
func (s *Select) rowCount(e sql.Expr, clause string) (*expr, error) {
	if e == nil {
		return nil, nil
	}
	sc := s.plan.scope("in " + clause)
	x, err := sc.compileAs(e, feeds.T(feeds.Bigint), clause)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// findKey returns, for each group column of the table, the value that WHERE asks for; nil when it does not ask for all.
func (s *Select) findKey(stmt *sql.Select) []*expr {
	found := map[string]*expr{}
	var visit func(e sql.Expr)
	visit = func(e sql.Expr) {
		b, ok := e.(*sql.Binary)
		switch {
		case !ok:
		case b.Op == "AND":
			visit(b.X)
			visit(b.Y)
		case b.Op == "=":
			for _, pair := range [][2]sql.Expr{{b.X, b.Y}, {b.Y, b.X}} {
				if c, ok := pair[0].(*sql.Column); ok && found[c.Text] == nil {
					found[c.Text] = s.keyValue(c.Text, pair[1])
					s.asked[b] = s.asked[b] || found[c.Text] != nil
				}
			}
		}
	}
	visit(stmt.Where)
	key := make([]*expr, 0, len(s.table.keys))
	for _, k := range s.table.keys {
		if found[k.Name] == nil {
			return nil
		}
		key = append(key, found[k.Name])
	}
	return key
}

// keyValue compiles what a group column is to be equal to; nil when that is no constant or not of the column's type.
func (s *Select) keyValue(column string, e sql.Expr) *expr {
	for _, k := range s.table.keys {
		if k.Name != column {
			continue
		}
		sc := s.plan.scope("in WHERE")
		x, err := sc.compile(e)
		if err != nil {
			return nil
		}
		if x.param > 0 {
			return sc.paramAs(x, k.Type, paramOrNull)
		}
		if x, ok, err := sc.coerce(e, x, k.Type); ok && err == nil && x.konst {
			return x
		}
	}
	return nil
}

// Point returns the key of the only row that can be in the answer, if WHERE asks for all group columns by equality (or the
// table has none). Run over that row, if there is one, gives the answer.
func (s *Select) Point(params []feeds.Value) (key []byte, ok bool) {
	if s.key == nil {
		return nil, false
	}
	e := env{}
	var err error
	if e.params, err = s.bindParams(params); err != nil {
		return nil, false
	}
	vals := make([]feeds.Value, len(s.key))
	for i, x := range s.key {
		if vals[i] = x.eval(nil)(&e); vals[i].IsNull() {
			return nil, false // equal to NULL is no row; a scan finds none
		}
	}
	key, err = s.table.EncodeKey(vals)
	return key, err == nil
}

// ParamType returns the type that the place of parameter n, from 1, asks for; where it stands in several places, that of the
// first one. It is text where nothing is asked.
func (s *Select) ParamType(n int) feeds.Type {
	for _, place := range s.plan.params.places {
		if place.n == n && place.typ.Kind != feeds.Null {
			return place.typ
		}
	}
	return feeds.T(feeds.String)
}

// Params returns how many parameters the look-up takes.
func (s *Select) Params() int { return s.plan.params.count }

// bindParams converts the parameters to the type that each place needs.
func (s *Select) bindParams(given []feeds.Value) ([]feeds.Value, error) {
	if len(given) != s.plan.params.count {
		return nil, fmt.Errorf("the statement takes %d parameter(s), %d given", s.plan.params.count, len(given))
	}
	out := make([]feeds.Value, len(s.plan.params.places))
	for i, place := range s.plan.params.places {
		v, err := place.convert(given[place.n-1])
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", place.text, err)
		}
		out[i] = v
	}
	return out, nil
}

// count evaluates LIMIT or OFFSET.
func (x *expr) count(e *env, clause string) (int, error) {
	v := x.eval(nil)(e)
	if v.IsNull() && clause == "LIMIT" {
		return math.MaxInt, nil // as PostgreSQL: LIMIT NULL is no limit
	}
	if v.Int() < 0 {
		return 0, fmt.Errorf("%s must not be negative, it is %d", clause, v.Int())
	}
	return int(v.Int()), nil
}

// Run computes the answer over rows, each with the columns of Inputs; a row may be overwritten once the next one is asked
// for. It stops reading as soon as the answer is complete. Errors are about parameters.
func (s *Select) Run(rows iter.Seq[[]feeds.Value], params []feeds.Value) (*Rows, error) {
	return s.run(rows, params, &collector{})
}

func (s *Select) run(rows iter.Seq[[]feeds.Value], params []feeds.Value, out *collector) (*Rows, error) {
	e := env{}
	var err error
	if e.params, err = s.bindParams(params); err != nil {
		return nil, err
	}
	out.visible, out.order, out.limit = len(s.Columns), s.order, math.MaxInt
	if s.distinct {
		out.seen = map[string]struct{}{}
	}
	if s.offset != nil {
		if out.offset, err = s.offset.count(&e, "OFFSET"); err != nil {
			return nil, err
		}
	}
	if s.limit != nil {
		if out.limit, err = s.limit.count(&e, "LIMIT"); err != nil {
			return nil, err
		}
		if out.limit > 0 && out.limit < math.MaxInt-out.offset {
			out.limit += out.offset
		}
	}
	if s.table != nil && len(s.table.marks) > 0 {
		rows = s.withMarks(rows)
	}
	if out.limit > 0 {
		if s.plan.grouped {
			err = s.runGrouped(&e, rows, out)
		} else {
			s.runPlain(&e, rows, out)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case out.over != nil:
		return nil, out.over
	}
	return &Rows{Columns: s.Columns, Values: out.rows(), Estimates: out.estimates(s.marks)}, nil
}

// evals are the items, and behind them the marks.
func (s *Select) evals(slots []int) []eval {
	items := make([]eval, 0, len(s.plan.items)+len(s.marks))
	for _, it := range s.plan.items {
		items = append(items, it.expr.eval(slots))
	}
	for _, column := range s.marks {
		items = append(items, s.plan.items[column].mark.eval(slots))
	}
	return items
}

func (s *Select) bind() *bound {
	if b, ok := s.bound.Get().(*bound); ok {
		return b
	}
	b := &bound{items: s.evals(s.slots), unnested: s.plan.newUnnester(s.slots)}
	if s.plan.where != nil {
		b.where = s.plan.where.bindCond(s.slots)
	}
	return b
}

func (s *Select) runPlain(e *env, rows iter.Seq[[]feeds.Value], out *collector) {
	b := s.bind()
	defer func() {
		b.unnested.forget() // or the pool would keep them alive
		s.bound.Put(b)
	}()
	for row := range rows {
		e.vals = row
		if b.where != nil && b.where(e) != yes {
			continue
		}
		for n := range b.unnested.open(e) {
			if b.unnested.row(e, n); out.offer(e, b.items) {
				return
			}
		}
	}
}

func (s *Select) runGrouped(e *env, rows iter.Seq[[]feeds.Value], out *collector) error {
	c := s.plan.newCombiner(s.slots)
	c.env.params = e.params
	most, read := out.within.Bytes, 0
	for row := range rows {
		c.Add(&feeds.Record{Values: row})
		if read++; most > 0 && read%1024 == 0 && c.groups.Bytes() > most {
			return &TooLarge{out.within, "bytes"}
		}
	}
	if len(s.plan.groups) == 0 {
		c.groups.Upsert(nil) // without GROUP BY there is one row, also over no rows
	}
	having := func(*env) truth { return yes }
	if s.plan.having != nil {
		having = s.plan.having.bindCond(nil)
	}
	items := s.evals(nil)
	for key, state := range c.groups.All() {
		if err := s.plan.compute(e, key, state); err != nil {
			return err
		}
		if having(e) == yes && out.offer(e, items) {
			break
		}
	}
	return nil
}

// CompileQuery compiles a SELECT over a feed as a table of that name and a look-up that orders and limits its rows: what
// `try -e` runs. Errors are *sql.Error.
func CompileQuery(name string, stmt *sql.Select, resolve Resolve) (*Table, *Select, error) {
	query := *stmt
	query.Distinct, query.OrderBy, query.Limit, query.Offset = nil, nil, nil, nil
	t, err := Compile(&sql.CreateTable{Source: stmt.Source, At: stmt.At, Name: sql.Name{At: stmt.At, Text: name}, Query: &query}, resolve)
	if err != nil {
		return nil, nil, err
	}
	if err := t.plan.declare(stmt); err != nil {
		return nil, nil, err
	}
	lookup := &sql.Select{
		Source: stmt.Source, At: stmt.At, From: sql.Name{At: stmt.From.At, Text: name, Quoted: true}, Items: []sql.Item{{Expr: &sql.Star{At: stmt.At}}},
		Distinct: stmt.Distinct, Limit: stmt.Limit, Offset: stmt.Offset,
	}
	for _, o := range stmt.OrderBy {
		// What SELECT lists is named by its place; that also works for count(*), which means something else in a look-up.
		for i, it := range t.plan.items {
			if sql.Format(it.at) == sql.Format(o.Expr) {
				o.Expr = &sql.Number{At: o.Expr.Pos(), Text: strconv.Itoa(i + 1)}
				break
			}
		}
		if hasAggregate(o.Expr) {
			return nil, nil, stmt.Source.Error(o.Expr.Pos(), "ORDER BY "+sql.Format(o.Expr)+" is not a column of the result", "add it to SELECT")
		}
		lookup.OrderBy = append(lookup.OrderBy, o)
	}
	s, err := CompileSelect(lookup, t)
	return t, s, err
}
