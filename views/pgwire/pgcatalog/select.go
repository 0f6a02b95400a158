package pgcatalog

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Result is what a query answers. A value of Rows is nil for NULL, else bool, int64, float64, string, a number of the catalog
// with its name, or a list of these, as its column's type says.
type Result struct {
	Columns []Column
	Rows    [][]any
	Params  []uint32 // the parameters' types, as far as what they are compared with says; else text
	Bytes   int      // about how many the rows take
}

// maxSteps is how many rows and expressions a question may visit, which takes some seconds: what clients ask takes some ten
// thousand, and more with many tables. maxMade is how many bytes it may make on the way, whether they are kept or not.
var (
	maxSteps = 5_000_000
	maxMade  = 128 << 20
)

// maxText is how many bytes a text may have, and how many an array's elements.
const maxText = 1 << 20

// Run answers the query. params are its parameters: nil, or what a Result's values are. Errors are *Error, or ctx's.
func (q *Query) Run(ctx context.Context, db *Database, params []any) (result *Result, err error) {
	r := &run{ctx: ctx, db: db, relations: map[string]*bound{}, types: make([]uint32, q.params)}
	for _, p := range params {
		r.params = append(r.params, given(p))
	}
	r.learns = q.params > 0 && !slices.ContainsFunc(params, func(p any) bool { return p != nil })
	defer func() {
		switch f := recover().(type) {
		case nil:
		case *Error:
			result, err = nil, f
		case interrupted:
			result, err = nil, f.err
		case runtime.Error: // a fault of ours is this question's alone
			result, err = nil, &Error{At: -1, Code: codeInternal, Message: "the question is not answered, which is a fault here: " + f.Error()}
		default:
			panic(f)
		}
	}()
	answer := r.query(q.query, nil)
	result = &Result{Rows: make([][]any, len(answer.rows)), Params: r.types}
	for i, t := range r.types {
		if t == 0 || t == oidUnknown || t == oidName {
			r.types[i] = oidText
		}
	}
	for _, c := range answer.columns {
		if c.OID == oidUnknown {
			c.OID = oidText
		}
		result.Columns = append(result.Columns, c)
	}
	for i, row := range answer.rows {
		out := make([]any, len(row))
		for j, v := range row {
			result.Bytes += 16 + sizeOf(v)
			out[j] = plainValue(v, result.Columns[j].OID)
		}
		result.Rows[i] = out
	}
	return result, nil
}

// given is a parameter as values are inside.
func given(p any) Value {
	if list, ok := p.([]any); ok {
		a := &array{}
		for _, e := range list {
			a.list = append(a.list, given(e))
		}
		return a
	}
	return p
}

// run is one query being answered. What is wrong is panicked as *Error, and recovered in Run alone.
type run struct {
	ctx       context.Context
	db        *Database
	params    []Value
	types     []uint32          // of the parameters, as far as they are known
	learns    bool              // no parameter is given: what is asked is the answer's shape
	relations map[string]*bound // of the catalog, each made once
	patterns  map[string]*pattern
	steps     int
	ticks     int
	made      int // bytes
}

type interrupted struct{ err error }

func fail(at int, code, format string, args ...any) {
	panic(&Error{At: at, Code: code, Message: fmt.Sprintf(format, args...)})
}

// step counts one row or expression. Whatever loops calls it, or tick.
func (r *run) step() {
	r.spend(1)
	r.tick()
}

// spend counts so many steps.
func (r *run) spend(steps int) {
	if r.steps += steps; r.steps > maxSteps {
		fail(-1, codeTooMuch, "the question is too large for what answers it")
	}
}

// tick looks now and then whether anybody still waits for the answer.
func (r *run) tick() {
	if r.ticks++; r.ticks%256 == 0 && r.ctx.Err() != nil {
		panic(interrupted{context.Cause(r.ctx)})
	}
}

// make counts bytes that are about to be made.
func (r *run) make(bytes int) {
	if r.made += bytes; r.made > maxMade {
		fail(-1, codeTooMuch, "the question takes more than %d MiB", maxMade>>20)
	}
}

// within refuses a text or array that is about to be made with more bytes than one may have.
func within(bytes int) {
	if bytes < 0 || bytes > maxText {
		fail(-1, codeTooMuch, "the result is larger than %d MiB", maxText>>20)
	}
}

// kept counts a value that was made, and returns it.
func (r *run) kept(v Value) Value {
	switch v := v.(type) {
	case string:
		r.make(len(v))
	case *array:
		n := sizeOf(v)
		within(n)
		r.make(n)
	}
	return v
}

// sizeOf is about how many bytes a value has, with those that it shares with others.
func sizeOf(v Value) int {
	n := 16
	switch v := v.(type) {
	case string:
		n += len(v)
	case *array:
		for _, e := range v.list {
			if n += sizeOf(e); n > maxText {
				return n
			}
		}
	case *record:
		for _, e := range v.values {
			if n += sizeOf(e); n > maxText {
				return n
			}
		}
	}
	return n
}

// bound is something that FROM names, with its rows.
type bound struct {
	alias   string
	columns []Column
	open    bool
	rows    [][]Value
}

// tuple is a row of each of what FROM names; nil where an outer join found none.
type tuple [][]Value

// scope is what names mean in one SELECT: what FROM names, with the row that is looked at, and around it the outer ones.
type scope struct {
	outer *scope
	with  map[string]*bound
	rels  []*bound
	row   tuple
	made  map[source]*bound // what has the same rows whatever is before it

	merged []merge // columns that * shows once

	group   []tuple           // what an aggregate goes over
	grouped bool              // there is a group
	set     map[*call]Value   // values of set-returning functions in SELECT
	windows map[*call][]Value // by row
	number  int               // of the row
}

// rows is a query's answer inside.
type rows struct {
	columns []Column
	rows    [][]Value
}

func (r *run) query(q *query, outer *scope) *rows {
	r.step()
	if len(q.with) > 0 {
		sc := &scope{outer: outer, with: map[string]*bound{}}
		for _, c := range q.with {
			answer := r.query(c.query, sc)
			sc.with[c.name] = &bound{alias: c.name, columns: renamed(answer.columns, c.columns), rows: answer.rows}
		}
		outer = sc
	}
	var out *rows
	switch b := q.body.(type) {
	case *selection:
		out = r.selection(b, q.order, outer)
	case *values:
		out = r.values(b, outer)
		r.orderPlain(out, q.order)
	case *combination:
		out = r.combine(b, outer)
		r.orderPlain(out, q.order)
	}
	sc := &scope{outer: outer}
	r.note(q.offset, func() uint32 { return oidInt8 })
	r.note(q.limit, func() uint32 { return oidInt8 })
	if q.offset != nil {
		n, _ := number(r.eval(q.offset, sc))
		out.rows = out.rows[min(max(int(n), 0), len(out.rows)):]
	}
	if q.limit != nil {
		if v := r.eval(q.limit, sc); v != nil {
			n, _ := number(v)
			out.rows = out.rows[:min(max(int(n), 0), len(out.rows))]
		}
	}
	return out
}

func renamed(columns []Column, names []string) []Column {
	out := slices.Clone(columns)
	for i, name := range names {
		if i < len(out) {
			out[i].Name = name
		}
	}
	return out
}

func (r *run) values(v *values, outer *scope) *rows {
	sc, out := &scope{outer: outer}, &rows{}
	for i, x := range v.rows[0] {
		out.columns = append(out.columns, Column{Name: fmt.Sprintf("column%d", i+1), OID: r.typeOf(x, sc)})
	}
	for _, list := range v.rows {
		r.make(16 * len(list))
		out.rows = append(out.rows, r.evalAll(list, sc))
	}
	return out
}

func (r *run) combine(c *combination, outer *scope) *rows {
	x, y := r.query(c.x, outer), r.query(c.y, outer)
	if len(x.columns) != len(y.columns) {
		fail(-1, codeSyntax, "each side of %s must have the same number of columns", strings.ToUpper(c.op))
	}
	out := &rows{columns: slices.Clone(x.columns)}
	for i, column := range y.columns {
		if out.columns[i].OID == oidUnknown {
			out.columns[i].OID = column.OID
		}
	}
	count := map[string]int{}
	for _, row := range y.rows {
		count[r.rowKey(row)]++
	}
	switch c.op {
	case "union":
		out.rows = slices.Concat(x.rows, y.rows)
	case "intersect":
		for _, row := range x.rows {
			if k := r.rowKey(row); count[k] > 0 {
				count[k]--
				out.rows = append(out.rows, row)
			}
		}
	case "except":
		for _, row := range x.rows {
			k := r.rowKey(row)
			if count[k] == 0 {
				out.rows = append(out.rows, row)
			} else if c.all {
				count[k]--
			}
		}
	}
	if !c.all {
		out.rows = r.distinct(out.rows)
	}
	return out
}

func (r *run) distinct(all [][]Value) [][]Value {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(all), func(row []Value) bool {
		k := r.rowKey(row)
		was := seen[k]
		seen[k] = true
		return was
	})
}

// rowKey is equal for rows that are.
func (r *run) rowKey(row []Value) string {
	r.tick()
	var b strings.Builder
	defer func() { r.make(b.Len()) }()
	for _, v := range row {
		within(b.Len())
		if v == nil {
			b.WriteString("N;")
			continue
		}
		s := text(v)
		fmt.Fprintf(&b, "%d:%s;", len(s), s)
	}
	return b.String()
}

// orderPlain orders rows by their columns, by name or number.
func (r *run) orderPlain(out *rows, order []ordering) {
	if len(order) == 0 {
		return
	}
	sc := &scope{rels: []*bound{{columns: out.columns}}}
	keys := make([][]Value, len(out.rows))
	for i, row := range out.rows {
		sc.row = tuple{row}
		for _, o := range order {
			keys[i] = append(keys[i], r.orderKey(o.x, sc, row, out.columns))
		}
	}
	r.sortBy(out, keys, order)
}

// orderKey is what a row is ordered by: a column of the answer by number or name, else an expression.
func (r *run) orderKey(x expr, sc *scope, row []Value, columns []Column) Value {
	switch x := x.(type) {
	case *constant:
		if n, ok := x.value.(int64); ok && n >= 1 && int(n) <= len(row) {
			return row[n-1]
		}
	case *column:
		if len(x.parts) == 1 {
			for i, c := range columns {
				if c.Name == x.parts[0] {
					return row[i]
				}
			}
		}
	}
	return r.eval(x, sc)
}

func (r *run) sortBy(out *rows, keys [][]Value, order []ordering) {
	at := make([]int, len(keys))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int {
		r.tick()
		return compareKeys(keys[a], keys[b], order)
	})
	sorted := make([][]Value, len(at))
	for i, from := range at {
		sorted[i] = out.rows[from]
	}
	out.rows = sorted
}

func compareKeys(a, b []Value, order []ordering) int {
	for i, o := range order {
		x, y := a[i], b[i]
		switch {
		case x == nil && y == nil:
			continue
		case x == nil || y == nil:
			if (x == nil) == o.nullsFirst {
				return -1
			}
			return 1
		}
		c := compare(x, y)
		if o.desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func (r *run) selection(s *selection, order []ordering, outer *scope) *rows {
	sc := &scope{outer: outer}
	tuples := r.from(s, sc)
	out := &rows{}
	items := r.expand(s.items, sc)
	r.learn(s.where, sc)
	r.learn(s.having, sc)
	for _, it := range items {
		r.learn(it.x, sc)
	}
	for _, x := range s.group {
		r.learn(x, sc)
	}
	for _, it := range items {
		out.columns = append(out.columns, Column{Name: it.as, OID: r.typeOf(it.x, sc)})
	}
	var keys, dedupe [][]Value
	sets := setsOf(items)
	emit := func() {
		for row := range r.rowsOf(items, sets, sc) {
			r.make(16 * (len(row) + len(order) + len(s.distinctOn)))
			out.rows = append(out.rows, row)
			var key []Value
			for _, o := range order {
				key = append(key, r.orderKey(o.x, sc, row, out.columns))
			}
			keys = append(keys, key)
			if len(s.distinctOn) > 0 {
				dedupe = append(dedupe, r.evalAll(s.distinctOn, sc))
			}
		}
	}
	if r.isGrouped(s, items, order) {
		for _, group := range r.groups(s, sc, tuples) {
			sc.grouped, sc.group = true, group
			sc.row = make(tuple, len(sc.rels))
			if len(group) > 0 {
				sc.row = group[0]
			}
			if s.having == nil || r.eval(s.having, sc) == true {
				emit()
			}
		}
	} else {
		r.windows(items, order, sc, tuples)
		for i, t := range tuples {
			sc.row, sc.number = t, i
			emit()
		}
	}
	if len(order) > 0 {
		if len(s.distinctOn) > 0 { // they are ordered alike
			both := &rows{rows: dedupe}
			r.sortBy(both, keys, order)
			dedupe = both.rows
		}
		r.sortBy(out, keys, order)
	}
	if len(s.distinctOn) > 0 {
		seen, kept := map[string]bool{}, out.rows[:0:0]
		for i, row := range out.rows {
			if k := r.rowKey(dedupe[i]); !seen[k] {
				seen[k] = true
				kept = append(kept, row)
			}
		}
		out.rows = kept
	} else if s.distinct {
		out.rows = r.distinct(out.rows)
	}
	return out
}

// from makes all tuples of FROM that WHERE lets through.
func (r *run) from(s *selection, sc *scope) []tuple {
	tuples := []tuple{{}}
	left := conjuncts(s.where, nil)
	for i, src := range s.from {
		tuples = r.extend(sc, tuples, src)
		if i == len(s.from)-1 {
			break
		}
		// What names only what is there already is applied early: FROM a, b, c makes all combinations.
		left = slices.DeleteFunc(left, func(x expr) bool {
			if !r.ready(x, sc) {
				return false
			}
			tuples = r.filter(sc, tuples, x)
			return true
		})
	}
	for _, x := range left {
		tuples = r.filter(sc, tuples, x)
	}
	return tuples
}

func (r *run) filter(sc *scope, tuples []tuple, x expr) []tuple {
	var kept []tuple
	for _, t := range tuples {
		r.step()
		if sc.row = t; r.eval(x, sc) == true {
			kept = append(kept, t)
		}
	}
	return kept
}

func conjuncts(x expr, out []expr) []expr {
	if b, ok := x.(*operation); ok && b.op == "and" {
		return conjuncts(b.y, conjuncts(b.x, out))
	}
	if x != nil {
		out = append(out, x)
	}
	return out
}

// ready reports whether all columns of x are of what FROM has named so far.
func (r *run) ready(x expr, sc *scope) bool {
	is := true
	walk(x, func(x expr) {
		switch x := x.(type) {
		case *column:
			_, _, found := find(sc.rels, x.parts)
			is = is && found
		case *subquery, *exists, *arrayFrom:
			is = false
		case *inList:
			is = is && x.sub == nil
		case *quantified:
			is = is && x.sub == nil
		}
	})
	return is
}

// extend combines each tuple with the rows of what FROM names next.
func (r *run) extend(sc *scope, tuples []tuple, src source) []tuple {
	if j, ok := src.(*join); ok {
		return r.join(sc, tuples, j)
	}
	at := len(sc.rels)
	var out []tuple
	if b := r.fixed(src, sc); b != nil {
		sc.rels = append(sc.rels, b)
		for _, t := range tuples {
			for _, row := range b.rows {
				r.step()
				r.make(24 * (at + 1))
				out = append(out, append(t[:at:at], row))
			}
		}
		return out
	}
	// It depends on what is before it.
	sc.row = make(tuple, at)
	shape := r.produce(src, sc)
	sc.rels = append(sc.rels, shape)
	for _, t := range tuples {
		inner := &scope{outer: sc.outer, with: sc.with, rels: sc.rels[:at], row: t}
		for _, row := range r.produce(src, inner).rows {
			r.step()
			r.make(24 * (at + 1))
			out = append(out, append(t[:at:at], row))
		}
	}
	return out
}

// fixed returns what has the same rows whatever is before it in FROM; nil when that is not so.
func (r *run) fixed(src source, sc *scope) *bound {
	if b := sc.made[src]; b != nil {
		return b
	}
	var b *bound
	switch s := src.(type) {
	case *relation:
		b = r.relation(s, sc)
	case *derived:
		if s.lateral {
			return nil
		}
		answer := r.query(s.query, sc.outer)
		b = &bound{alias: s.alias, columns: renamed(answer.columns, s.columns), rows: answer.rows}
	default:
		return nil
	}
	if sc.made == nil {
		sc.made = map[source]*bound{}
	}
	sc.made[src] = b
	return b
}

func (r *run) relation(s *relation, sc *scope) *bound {
	for o := sc; s.schema == "" && o != nil; o = o.outer {
		if b := o.with[s.name]; b != nil {
			return &bound{alias: s.alias, columns: renamed(b.columns, s.columns), rows: b.rows}
		}
	}
	spec := relationOf(s.schema, s.name)
	if spec == nil {
		name := s.name
		if s.schema != "" {
			name = s.schema + "." + s.name
		}
		panic(&Error{At: s.at, Code: codeNoTable, Message: "relation " + name + " is not answered here",
			Hint: "of the catalog there are pg_class, pg_attribute, pg_type, pg_namespace, pg_index, pg_constraint and others, and information_schema.tables and .columns"})
	}
	key := spec.schema + "." + spec.name
	made := r.relations[key]
	if made == nil {
		made = &bound{columns: spec.columns, open: spec.open, rows: spec.rows(r.db)}
		if !spec.open {
			// Every relation of pg_catalog has these.
			made = withTableOID(made, r.db, spec)
		}
		r.relations[key] = made
	}
	return &bound{alias: s.alias, columns: renamed(made.columns, s.columns), open: made.open, rows: made.rows}
}

// tableOID is a system column that * does not show.
const tableOID = "tableoid"

func withTableOID(b *bound, db *Database, spec *relationSpec) *bound {
	c, _ := db.class(func(c class) bool { return c.name == spec.name && c.kind != "i" })
	out := &bound{columns: append(slices.Clone(b.columns), Column{Name: tableOID, OID: oidOID})}
	for _, row := range b.rows {
		out.rows = append(out.rows, append(row[:len(row):len(row)], c.oid))
	}
	return out
}

// produce makes the rows of what depends on the row that sc looks at.
func (r *run) produce(src source, sc *scope) *bound {
	switch s := src.(type) {
	case *derived:
		answer := r.query(s.query, sc)
		return &bound{alias: s.alias, columns: renamed(answer.columns, s.columns), rows: answer.rows}
	case *function:
		return r.function(s, sc)
	}
	return r.fixed(src, sc)
}

// function is a function in FROM.
func (r *run) function(s *function, sc *scope) *bound {
	r.learn(s.call, sc)
	b := &bound{alias: s.alias}
	if f := setFunctions[s.call.name]; f != nil {
		list := r.setOf(s.call, sc)
		names := f.columns
		if names == nil {
			names = []string{s.alias}
		}
		oid := r.typeOf(s.call, sc)
		for _, name := range names {
			b.columns = append(b.columns, Column{Name: name, OID: f.columnType(name, oid)})
		}
		for _, v := range list {
			if rec, ok := v.(*record); ok {
				b.rows = append(b.rows, rec.values)
			} else {
				b.rows = append(b.rows, []Value{v})
			}
		}
	} else {
		b.columns = []Column{{Name: s.alias, OID: r.typeOf(s.call, sc)}}
		b.rows = [][]Value{{r.eval(s.call, sc)}}
	}
	if s.ordinality {
		b.columns = append(b.columns, Column{Name: "ordinality", OID: oidInt8})
		for i, row := range b.rows {
			b.rows[i] = append(row[:len(row):len(row)], int64(i+1))
		}
	}
	b.columns = renamed(b.columns, s.columns)
	return b
}

func (r *run) join(sc *scope, tuples []tuple, j *join) []tuple {
	if j.kind == "full" {
		fail(-1, codeNotSupported, "FULL JOIN is not supported")
	}
	begin, right := len(sc.rels), j.kind == "right"
	if right {
		swapped := *j
		swapped.kind, swapped.x, swapped.y = "left", j.y, j.x
		j = &swapped
	}
	// This may have been done before, for another row of what is before it.
	sc.merged = slices.DeleteFunc(sc.merged, func(m merge) bool { return m.hidden.rel >= begin })
	tuples = r.extend(sc, tuples, j.x)
	at := len(sc.rels)
	// Once with no row, for the shape and what does not depend on the left side.
	r.extend(sc, []tuple{make(tuple, at)}, j.y)
	rels := sc.rels
	width := len(rels)
	var using [][2]expr
	names := j.using
	if j.natural {
		for _, c := range rels[at].columns {
			if _, _, both := find(rels[:at], []string{c.Name}); both && c.Name != tableOID {
				names = append(names, c.Name)
			}
		}
	}
	for _, name := range names {
		x, xc, ok := find(rels[:at], []string{name})
		y, yc, ok2 := find(rels[at:], []string{name})
		if !ok || !ok2 {
			fail(-1, codeNoColumn, "column %s of USING is not on both sides", name)
		}
		using = append(using, [2]expr{&slot{x, xc}, &slot{at + y, yc}})
	}
	r.learn(j.on, sc)
	conds := conjuncts(j.on, nil)
	var out []tuple
	for _, t := range tuples {
		sc.rels = rels[:at:at]
		matched := false
		for _, full := range r.extend(sc, []tuple{t}, j.y) {
			sc.rels, sc.row = rels, full
			ok := true
			for _, pair := range using {
				r.step()
				x, y := r.eval(pair[0], sc), r.eval(pair[1], sc)
				ok = ok && x != nil && y != nil && compare(x, y) == 0
			}
			for _, c := range conds {
				r.step()
				if ok = ok && r.eval(c, sc) == true; !ok {
					break
				}
			}
			if ok {
				matched = true
				out = append(out, full)
			}
		}
		if !matched && j.kind == "left" {
			r.make(24 * width)
			full := make(tuple, width)
			copy(full, t)
			out = append(out, full)
		}
	}
	sc.rels = rels
	for _, pair := range using {
		sc.merged = append(sc.merged, merge{*pair[0].(*slot), *pair[1].(*slot)})
	}
	if right { // as it is written
		for i, full := range out {
			out[i] = slices.Concat(full[:begin], full[at:], full[begin:at])
		}
		sc.rels = slices.Concat(rels[:begin], rels[at:], rels[begin:at])
		moved := func(s *slot) {
			switch {
			case s.rel >= at:
				s.rel -= at - begin
			case s.rel >= begin:
				s.rel += width - at
			}
		}
		for i := range sc.merged {
			moved(&sc.merged[i].shown)
			moved(&sc.merged[i].hidden)
		}
	}
	return out
}

// merge is two columns that USING or NATURAL make one of.
type merge struct{ shown, hidden slot }

// slot is a column by place, for USING.
type slot struct{ rel, column int }

// find finds a column: which of rels, and which column of it; -1 is the whole row.
func find(rels []*bound, parts []string) (rel, column int, ok bool) {
	open := -1
	name, qualifier := parts[len(parts)-1], ""
	if len(parts) > 1 {
		qualifier = parts[len(parts)-2]
	}
	for i, b := range rels {
		if qualifier != "" && b.alias != qualifier {
			continue
		}
		for j, c := range b.columns {
			if c.Name == name {
				return i, j, true
			}
		}
		if b.open && open < 0 {
			open = i
		}
	}
	if open >= 0 && (qualifier != "" || len(rels) == 1) {
		return open, openColumn, true
	}
	return 0, 0, false
}

// openColumn is a column of an empty relation that takes any name.
const openColumn = -2

// expand replaces * in SELECT, and names the columns.
func (r *run) expand(items []item, sc *scope) []item {
	var out []item
	for _, it := range items {
		s, ok := it.x.(*star)
		if !ok {
			if it.as == "" {
				it.as = columnName(it.x)
			}
			out = append(out, it)
			continue
		}
		found := false
		done := map[slot]bool{}
		if s.of == "" { // first what is in more than one
			for _, m := range sc.merged {
				if !done[m.shown] {
					out = append(out, item{&slot{m.shown.rel, m.shown.column}, sc.rels[m.shown.rel].columns[m.shown.column].Name})
				}
				done[m.shown], done[m.hidden] = true, true
			}
		}
		for i, b := range sc.rels {
			if s.of != "" && b.alias != s.of {
				continue
			}
			found = true
			for j, c := range b.columns {
				if c.Name != tableOID && !done[slot{i, j}] {
					out = append(out, item{&slot{i, j}, c.Name})
				}
			}
		}
		if !found {
			fail(-1, codeNoTable, "missing FROM-clause entry for table %s", s.of)
		}
	}
	return out
}

// columnName is what PostgreSQL calls a column without a name.
func columnName(x expr) string {
	switch x := x.(type) {
	case *column:
		return x.parts[len(x.parts)-1]
	case *call:
		return x.name
	case *field:
		return x.name
	case *cast:
		if name := columnName(x.x); name != "?column?" {
			return name
		}
		if t := typesByName[x.typ.name]; t != nil {
			return t.name
		}
		return x.typ.name
	case *caseWhen:
		if name := columnName(x.other); name != "?column?" {
			return name
		}
		return "case"
	case *index:
		return columnName(x.x)
	case *arrayOf, *arrayFrom:
		return "array"
	case *exists:
		return "exists"
	case *subquery:
		if s, ok := x.sub.body.(*selection); ok && len(s.items) == 1 {
			if s.items[0].as != "" {
				return s.items[0].as
			}
			return columnName(s.items[0].x)
		}
	}
	return "?column?"
}

// setsOf are the functions of SELECT's list that return sets.
func setsOf(items []item) []*call {
	var sets []*call
	for _, it := range items {
		walk(it.x, func(x expr) {
			if c, ok := x.(*call); ok && setFunctions[c.name] != nil {
				sets = append(sets, c)
			}
		})
	}
	return sets
}

// rowsOf computes SELECT's list over the row that sc looks at: one row, or as many as functions that return sets give.
// sets are those functions.
func (r *run) rowsOf(items []item, sets []*call, sc *scope) func(yield func([]Value) bool) {
	return func(yield func([]Value) bool) {
		one := func() []Value {
			row := make([]Value, len(items))
			for i, it := range items {
				row[i] = r.eval(it.x, sc)
			}
			return row
		}
		if len(sets) == 0 {
			yield(one())
			return
		}
		lists, most := map[*call][]Value{}, 0
		for _, c := range sets {
			lists[c] = r.setOf(c, sc)
			most = max(most, len(lists[c]))
		}
		defer func() { sc.set = nil }()
		for i := range most {
			sc.set = map[*call]Value{}
			for c, list := range lists {
				if sc.set[c] = nil; i < len(list) {
					sc.set[c] = list[i]
				}
			}
			if !yield(one()) {
				return
			}
		}
	}
}

// isGrouped reports whether the SELECT has GROUP BY or an aggregate.
func (r *run) isGrouped(s *selection, items []item, order []ordering) bool {
	is := len(s.group) > 0 || s.having != nil
	look := func(x expr) {
		walk(x, func(x expr) {
			c, ok := x.(*call)
			is = is || ok && c.over == nil && aggregates[c.name] != nil
		})
	}
	for _, it := range items {
		look(it.x)
	}
	for _, o := range order {
		look(o.x)
	}
	return is
}

func (r *run) groups(s *selection, sc *scope, tuples []tuple) [][]tuple {
	if len(s.group) == 0 {
		return [][]tuple{tuples}
	}
	by := slices.Clone(s.group)
	for i, x := range by {
		switch x := x.(type) {
		case *constant: // a number of SELECT's list
			if n, ok := x.value.(int64); ok && n >= 1 && int(n) <= len(s.items) {
				by[i] = s.items[n-1].x
			}
		case *column:
			if _, _, known := find(sc.rels, x.parts); !known && len(x.parts) == 1 {
				for _, it := range s.items {
					if it.as == x.parts[0] {
						by[i] = it.x
					}
				}
			}
		}
	}
	at, out := map[string]int{}, [][]tuple(nil)
	for _, t := range tuples {
		sc.row = t
		k := r.rowKey(r.evalAll(by, sc))
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], t)
	}
	return out
}

// windows numbers the rows for row_number() and rank(), and sums up for the aggregates.
func (r *run) windows(items []item, order []ordering, sc *scope, tuples []tuple) {
	var calls []*call
	collect := func(x expr) {
		walk(x, func(x expr) {
			if c, ok := x.(*call); ok && c.over != nil {
				calls = append(calls, c)
			}
		})
	}
	for _, it := range items {
		collect(it.x)
	}
	for _, o := range order {
		collect(o.x)
	}
	if len(calls) == 0 {
		return
	}
	sc.windows = map[*call][]Value{}
	for _, c := range calls {
		partitions := map[string][]int{}
		keys := make([][]Value, len(tuples))
		var names []string
		for i, t := range tuples {
			sc.row = t
			k := r.rowKey(r.evalAll(c.over.partition, sc))
			if partitions[k] == nil {
				names = append(names, k)
			}
			partitions[k] = append(partitions[k], i)
			for _, o := range c.over.order {
				keys[i] = append(keys[i], r.eval(o.x, sc))
			}
		}
		out := make([]Value, len(tuples))
		for _, k := range names {
			members := partitions[k]
			slices.SortStableFunc(members, func(a, b int) int {
				r.tick()
				return compareKeys(keys[a], keys[b], c.over.order)
			})
			inner := *sc
			inner.group, inner.grouped, inner.windows = nil, true, nil
			plain := *c
			plain.over = nil
			for first, end := 0, 0; first < len(members); first = end {
				// Peers have one rank, and one aggregate: over all members up to the last of them.
				for end = first; end < len(members) && compareKeys(keys[members[first]], keys[members[end]], c.over.order) == 0; end++ {
					r.step()
					inner.group = append(inner.group, tuples[members[end]])
				}
				var sum Value
				if aggregates[c.name] != nil {
					sum = r.aggregate(&plain, &inner)
				}
				for n := first; n < end; n++ {
					switch {
					case c.name == "row_number":
						out[members[n]] = int64(n + 1)
					case c.name == "rank":
						out[members[n]] = int64(first + 1)
					case aggregates[c.name] != nil:
						out[members[n]] = sum
					default:
						fail(c.at, codeNoFunction, "window function %s is not answered here", c.name)
					}
				}
			}
		}
		sc.windows[c] = out
	}
}

// walk visits an expression and what it is made of, without subqueries.
func walk(x expr, visit func(expr)) {
	if x == nil {
		return
	}
	visit(x)
	all := func(list []expr) {
		for _, x := range list {
			walk(x, visit)
		}
	}
	switch x := x.(type) {
	case *unary:
		walk(x.x, visit)
	case *operation:
		all([]expr{x.x, x.y})
	case *isTest:
		walk(x.x, visit)
	case *inList:
		walk(x.x, visit)
		all(x.list)
	case *quantified:
		all([]expr{x.x, x.y})
	case *between:
		all([]expr{x.x, x.low, x.high})
	case *caseWhen:
		walk(x.operand, visit)
		for _, w := range x.whens {
			all(w[:])
		}
		walk(x.other, visit)
	case *cast:
		walk(x.x, visit)
	case *call:
		all(x.args)
	case *arrayOf:
		all(x.list)
	case *row:
		all(x.list)
	case *index:
		all([]expr{x.x, x.i, x.upto})
	case *field:
		walk(x.x, visit)
	}
}
