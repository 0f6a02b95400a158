package pgcatalog

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

func (r *run) evalAll(list []expr, sc *scope) []Value {
	out := make([]Value, len(list))
	for i, x := range list {
		out[i] = r.eval(x, sc)
	}
	return out
}

// eval computes an expression for the row that sc looks at.
func (r *run) eval(x expr, sc *scope) Value {
	r.step()
	switch x := x.(type) {
	case nil:
		return nil
	case *constant:
		return x.value
	case *param:
		if x.n <= len(r.params) {
			return r.params[x.n-1]
		}
		return nil
	case *slot:
		if row := sc.row[x.rel]; row != nil {
			return row[x.column]
		}
		return nil
	case *column:
		return r.column(x, sc)
	case *unary:
		return r.unary(x, sc)
	case *operation:
		return r.binary(x, sc)
	case *isTest:
		v := r.eval(x.x, sc)
		var is bool
		switch x.what {
		case "true":
			is = v == true
		case "false":
			is = v == false
		default:
			is = v == nil
		}
		return is != x.not
	case *inList:
		return r.in(x, sc)
	case *quantified:
		list, null := r.elements(x, sc)
		if null {
			return nil
		}
		return r.quantify(x.at, x.op, x.all, r.eval(x.x, sc), list)
	case *between:
		v, low, high := r.eval(x.x, sc), r.eval(x.low, sc), r.eval(x.high, sc)
		if v == nil || low == nil || high == nil {
			return nil
		}
		return (compare(v, low) >= 0 && compare(v, high) <= 0) != x.not
	case *caseWhen:
		return r.caseWhen(x, sc)
	case *cast:
		return r.cast(x, sc)
	case *call:
		return r.call(x, sc)
	case *arrayOf:
		return r.kept(&array{list: r.evalAll(x.list, sc)})
	case *arrayFrom:
		return r.kept(&array{list: firstColumn(r.query(x.sub, sc))})
	case *subquery:
		answer := r.query(x.sub, sc)
		switch {
		case len(answer.columns) != 1:
			fail(-1, codeSyntax, "a subquery must return one column")
		case len(answer.rows) > 1:
			fail(-1, codeNotOneRow, "more than one row returned by a subquery used as an expression")
		case len(answer.rows) == 0:
			return nil
		}
		return answer.rows[0][0]
	case *exists:
		return len(r.query(x.sub, sc).rows) > 0
	case *row:
		rec := &record{values: r.evalAll(x.list, sc)}
		r.make(32 * len(rec.values))
		for i := range rec.values {
			rec.names = append(rec.names, fmt.Sprintf("f%d", i+1))
		}
		return rec
	case *index:
		return r.index(x, sc)
	case *field:
		rec, ok := r.eval(x.x, sc).(*record)
		if !ok {
			return nil
		}
		if i := slices.Index(rec.names, x.name); i >= 0 {
			return rec.values[i]
		}
		fail(x.at, codeNoColumn, "column %s is not in the record", x.name)
	case *star:
		fail(-1, codeSyntax, "* is not possible here")
	}
	panic(fmt.Sprintf("pgcatalog: no way to compute %T", x))
}

func firstColumn(answer *rows) []Value {
	var list []Value
	for _, row := range answer.rows {
		list = append(list, row[0])
	}
	return list
}

// column finds a column from the inside out.
func (r *run) column(x *column, sc *scope) Value {
	for o := sc; o != nil; o = o.outer {
		if rel, c, ok := find(o.rels, x.parts); ok {
			if c == openColumn || rel >= len(o.row) || o.row[rel] == nil {
				return nil
			}
			return o.row[rel][c]
		}
		if len(x.parts) == 1 { // a whole row, or the value of a function in FROM
			for i, b := range o.rels {
				if b.alias == x.parts[0] {
					if i >= len(o.row) || o.row[i] == nil {
						return nil
					}
					rec := &record{values: o.row[i]}
					for _, c := range b.columns {
						rec.names = append(rec.names, c.Name)
					}
					return rec
				}
			}
		} else if rec, ok := r.outerField(x, o); ok {
			return rec
		}
	}
	fail(x.at, codeNoColumn, "column %s does not exist", strings.Join(x.parts, "."))
	return nil
}

// outerField reads alias.column.field and column.field.
func (r *run) outerField(x *column, sc *scope) (Value, bool) {
	rel, c, ok := find(sc.rels, x.parts[:len(x.parts)-1])
	if !ok || c < 0 || rel >= len(sc.row) || sc.row[rel] == nil {
		return nil, ok
	}
	rec, isRecord := sc.row[rel][c].(*record)
	if !isRecord {
		return nil, sc.row[rel][c] == nil
	}
	if i := slices.Index(rec.names, x.parts[len(x.parts)-1]); i >= 0 {
		return rec.values[i], true
	}
	return nil, false
}

func (r *run) unary(x *unary, sc *scope) Value {
	v := r.eval(x.x, sc)
	if v == nil {
		return nil
	}
	switch x.op {
	case "not":
		return !isTrue(v)
	case "-":
		if f, ok := v.(float64); ok {
			return -f
		}
		n, _ := number(v)
		return -n
	case "~":
		n, _ := number(v)
		return ^n
	}
	return v
}

func isTrue(v Value) bool {
	if s, ok := v.(string); ok {
		t, _ := truthOf(s)
		return t
	}
	return v == true
}

// note learns a parameter's type.
func (r *run) note(x expr, typ func() uint32) {
	if p, ok := x.(*param); ok && r.types[p.n-1] == 0 {
		if t := typ(); t != oidUnknown {
			r.types[p.n-1] = t
		}
	}
}

// learn learns the types of an expression's parameters from what stands beside them, whether it is evaluated for some row or not.
func (r *run) learn(x expr, sc *scope) {
	if !r.learns {
		return
	}
	of := func(x expr) func() uint32 { return func() uint32 { return r.typeOf(x, sc) } }
	is := func(oid uint32) func() uint32 { return func() uint32 { return oid } }
	alike := func(list ...expr) { // with the first whose type is known
		i := slices.IndexFunc(list, func(x expr) bool {
			_, isParam := x.(*param)
			return x != nil && !isParam && r.typeOf(x, sc) != oidUnknown
		})
		for _, x := range list {
			if i >= 0 {
				r.note(x, of(list[i]))
			}
		}
	}
	sub := func(q *query) {
		if q != nil {
			sc.row = make(tuple, len(sc.rels))
			r.query(q, sc)
		}
	}
	walk(x, func(x expr) {
		switch x := x.(type) {
		case *operation:
			alike(x.x, x.y)
		case *cast:
			if _, isParam := x.x.(*param); isParam {
				r.note(x.x, is(typeOID(x.at, x.typ)))
			}
		case *inList:
			alike(append([]expr{x.x}, x.list...)...)
			sub(x.sub)
		case *between:
			alike(x.x, x.low, x.high)
		case *quantified:
			if x.sub == nil {
				r.note(x.y, func() uint32 { return arrayType(r.typeOf(x.x, sc)) })
				r.note(x.x, func() uint32 { return elementType(r.typeOf(x.y, sc)) })
			}
			sub(x.sub)
		case *caseWhen:
			conditions, results := []expr{x.operand}, []expr{x.other}
			for _, w := range x.whens {
				conditions, results = append(conditions, w[0]), append(results, w[1])
			}
			if x.operand != nil {
				alike(conditions...)
			}
			alike(results...)
		case *call:
			switch {
			case slices.Contains([]string{"coalesce", "nullif", "greatest", "least"}, x.name):
				alike(x.args...)
			case len(x.args) > 0 && (strings.HasPrefix(x.name, "pg_get_") || strings.HasSuffix(x.name, "_is_visible") || strings.HasSuffix(x.name, "_description") || x.name == "format_type"):
				r.note(x.args[0], is(oidOID))
			case x.name == "generate_series":
				for _, a := range x.args {
					r.note(a, is(oidInt8))
				}
			}
		case *subquery:
			sub(x.sub)
		case *exists:
			sub(x.sub)
		case *arrayFrom:
			sub(x.sub)
		}
	})
}

func (r *run) binary(x *operation, sc *scope) Value {
	r.note(x.x, func() uint32 { return r.typeOf(x.y, sc) })
	r.note(x.y, func() uint32 { return r.typeOf(x.x, sc) })
	a := r.eval(x.x, sc)
	switch x.op {
	case "and", "or":
		decides := x.op == "or"
		if a != nil && isTrue(a) == decides {
			return decides
		}
		b := r.eval(x.y, sc)
		switch {
		case b != nil && isTrue(b) == decides:
			return decides
		case a == nil || b == nil:
			return nil
		}
		return !decides
	case "is distinct from":
		return compareOrNull(a, r.eval(x.y, sc)) != 0
	case "is not distinct from":
		return compareOrNull(a, r.eval(x.y, sc)) == 0
	}
	return r.operate(x.at, x.op, a, r.eval(x.y, sc))
}

// operate applies an operator; of NULL it is NULL.
func (r *run) operate(at int, op string, a, b Value) Value {
	if a == nil || b == nil {
		return nil
	}
	switch op {
	case "=":
		return compare(a, b) == 0
	case "<>":
		return compare(a, b) != 0
	case "<":
		return compare(a, b) < 0
	case "<=":
		return compare(a, b) <= 0
	case ">":
		return compare(a, b) > 0
	case ">=":
		return compare(a, b) >= 0
	case "||":
		return r.joined(a, b)
	case "~", "!~", "~*", "!~*":
		return r.matches(at, text(a), text(b), strings.HasSuffix(op, "*")) != (op[0] == '!')
	case "like", "~~", "ilike", "~~*":
		return r.like(text(a), text(b), '\\', strings.HasPrefix(op, "i") || strings.HasSuffix(op, "*"))
	case "!~~", "!~~*":
		return !r.like(text(a), text(b), '\\', strings.HasSuffix(op, "*"))
	case "@>":
		return r.contains(a, b)
	case "<@":
		return r.contains(b, a)
	case "&&":
		list := listOf(a)
		return slices.ContainsFunc(listOf(b), func(v Value) bool { return r.holds(list, v) })
	case "->", "->>", "?":
		return nil
	}
	return arithmetic(at, op, a, b)
}

func arithmetic(at int, op string, a, b Value) Value {
	_, isFloat := a.(float64)
	if _, also := b.(float64); isFloat || also {
		x, y := float(a), float(b)
		switch op {
		case "+":
			return x + y
		case "-":
			return x - y
		case "*":
			return x * y
		case "/":
			if y == 0 {
				fail(at, codeDivision, "division by zero")
			}
			return x / y
		case "^":
			return math.Pow(x, y)
		}
	}
	x, ok := number(a)
	y, ok2 := number(b)
	if !ok || !ok2 {
		fail(at, codeNoFunction, "operator %s of %s and %s is not answered here", op, text(a), text(b))
	}
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/", "%":
		if y == 0 {
			fail(at, codeDivision, "division by zero")
		}
		if op == "/" {
			return x / y
		}
		return x % y
	case "&":
		return x & y
	case "|":
		return x | y
	case "<<":
		return x << (uint64(y) & 63)
	case ">>":
		return x >> (uint64(y) & 63)
	case "^":
		return math.Pow(float64(x), float64(y))
	}
	fail(at, codeNoFunction, "operator %s is not answered here", op)
	return nil
}

// joined is a || b: two texts, or what one array has more.
func (r *run) joined(a, b Value) Value {
	x, ok := a.(*array)
	y, also := b.(*array)
	if !ok && !also {
		s, t := text(a), text(b)
		within(len(s) + len(t))
		return r.kept(s + t)
	}
	left, right := []Value{a}, []Value{b}
	if ok {
		left = x.list
	}
	if also {
		right = y.list
	}
	within(16 * (len(left) + len(right)))
	return r.kept(&array{list: slices.Concat(left, right)})
}

const (
	maxPattern = 1 << 10  // bytes
	maxMatched = 64 << 10 // bytes of a text that a pattern is looked for in
	maxMatch   = 32 << 20 // a text's bytes times the pattern's instructions, which is below a second
	patterns   = 256      // that are kept
)

// pattern is one that is compiled.
type pattern struct {
	*regexp.Regexp
	size int // instructions
	err  error
}

// pattern compiles a pattern, unless that was done before.
func (r *run) pattern(at int, text string) *pattern {
	if p := r.patterns[text]; p != nil {
		return p
	}
	p := &pattern{}
	var tree *syntax.Regexp
	if tree, p.err = syntax.Parse(text, syntax.Perl); p.err == nil {
		var program *syntax.Prog
		if program, p.err = syntax.Compile(tree.Simplify()); p.err == nil {
			p.size = len(program.Inst)
			r.spend(p.size)
			p.Regexp, p.err = regexp.Compile(text)
		}
	}
	if len(r.patterns) >= patterns || r.patterns == nil {
		r.patterns = map[string]*pattern{}
	}
	r.patterns[text] = p
	return p
}

// match looks for a pattern in a text. What that costs is counted.
func (r *run) match(at int, s string, p *pattern) bool {
	if len(s) > maxMatched || len(s)*p.size > maxMatch {
		fail(at, codeTooMuch, "the text is too long for the pattern")
	}
	r.spend(len(s) * p.size / 64)
	if r.ctx.Err() != nil {
		panic(interrupted{context.Cause(r.ctx)})
	}
	return p.MatchString(s)
}

func patternWithin(at int, text string) {
	if len(text) > maxPattern {
		fail(at, codeTooMuch, "the pattern is longer than %d bytes", maxPattern)
	}
}

// matches reports whether a regular expression, in PostgreSQL's way, is found in a text.
func (r *run) matches(at int, s, pattern string, fold bool) bool {
	patternWithin(at, pattern)
	if fold {
		pattern = "(?i)" + pattern
	}
	p := r.pattern(at, pattern)
	if p.err != nil {
		fail(at, "2201B", "invalid regular expression: %v", p.err)
	}
	return r.match(at, s, p)
}

func (r *run) like(s, pattern string, escape rune, fold bool) bool {
	patternWithin(-1, pattern)
	var b strings.Builder
	b.WriteString("(?s)^")
	if fold {
		b.WriteString("(?i)")
	}
	escaped := false
	for _, c := range pattern {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(c)))
			escaped = false
		case c == escape:
			escaped = true
		case c == '%':
			b.WriteString(".*")
		case c == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString("$")
	p := r.pattern(-1, b.String())
	return p.err == nil && r.match(-1, s, p)
}

// listOf is an array's elements; an array may come as its text.
func listOf(v Value) []Value {
	switch v := v.(type) {
	case *array:
		return v.list
	case string:
		if list, ok := parseArray(v); ok {
			return list
		}
		var list []Value // of a vector
		for _, s := range strings.Fields(v) {
			list = append(list, s)
		}
		return list
	}
	return nil
}

func (r *run) holds(list []Value, v Value) bool {
	return slices.ContainsFunc(list, func(w Value) bool {
		r.step()
		return w != nil && v != nil && compare(w, v) == 0
	})
}

func (r *run) contains(a, b Value) bool {
	list := listOf(a)
	for _, v := range listOf(b) {
		if !r.holds(list, v) {
			return false
		}
	}
	return true
}

func (r *run) in(x *inList, sc *scope) Value {
	v := r.eval(x.x, sc)
	var list []Value
	if x.sub != nil {
		answer := r.query(x.sub, sc)
		for _, row := range answer.rows {
			if len(row) == 1 {
				list = append(list, row[0])
			} else {
				list = append(list, &record{values: row})
			}
		}
	} else {
		list = r.evalAll(x.list, sc)
	}
	is := r.quantify(-1, "=", false, v, list)
	if is == nil {
		return nil
	}
	return is.(bool) != x.not
}

func (r *run) elements(x *quantified, sc *scope) (list []Value, null bool) {
	if x.sub != nil {
		return firstColumn(r.query(x.sub, sc)), false
	}
	r.note(x.y, func() uint32 { return arrayType(r.typeOf(x.x, sc)) })
	v := r.eval(x.y, sc)
	return listOf(v), v == nil
}

// quantify is v op ANY (list), or ALL.
func (r *run) quantify(at int, op string, all bool, v Value, list []Value) Value {
	unknown := false
	for _, w := range list {
		r.step()
		is := r.operate(at, op, v, w)
		switch {
		case is == nil:
			unknown = true
		case (is == true) != all:
			return !all
		}
	}
	if unknown {
		return nil
	}
	return all
}

func (r *run) caseWhen(x *caseWhen, sc *scope) Value {
	var operand Value
	if x.operand != nil {
		operand = r.eval(x.operand, sc)
	}
	for _, w := range x.whens {
		v := r.eval(w[0], sc)
		if x.operand == nil && v != nil && isTrue(v) || x.operand != nil && operand != nil && v != nil && compare(operand, v) == 0 {
			return r.eval(w[1], sc)
		}
	}
	return r.eval(x.other, sc)
}

func (r *run) index(x *index, sc *scope) Value {
	v := r.eval(x.x, sc)
	if v == nil {
		return nil
	}
	list, first := listOf(v), int64(1)
	if a, ok := v.(*array); ok && a.vector {
		first = 0
	}
	at := func(x expr, def int64) int64 {
		if x == nil {
			return def
		}
		n, _ := number(r.eval(x, sc))
		return n - first
	}
	if x.slice {
		from, to := max(at(x.i, 0), 0), min(at(x.upto, int64(len(list)-1)), int64(len(list)-1))
		if from > to {
			return &array{}
		}
		return &array{list: list[from : to+1]}
	}
	if i := at(x.i, 0); i >= 0 && i < int64(len(list)) {
		return list[i]
	}
	return nil
}

// typeOID is the type that a name stands for.
func typeOID(at int, t typeName) uint32 {
	info := typesByName[t.name]
	if info == nil {
		if element, ok := strings.CutPrefix(t.name, "_"); ok && typesByName[element] != nil {
			return typesByName[element].array
		}
		switch t.name { // domains of information_schema
		case "cardinal_number":
			return oidInt4
		case "sql_identifier":
			return oidName
		case "character_data", "yes_or_no", "regproc", "regprocedure", "regrole", "xid", "pg_node_tree", "xml", "citext":
			return oidText
		}
		fail(at, codeNoType, "type %s does not exist", t.name)
	}
	if t.array {
		return arrayType(info.oid)
	}
	return info.oid
}

func (r *run) cast(x *cast, sc *scope) Value {
	oid := typeOID(x.at, x.typ)
	r.note(x.x, func() uint32 { return oid })
	v := r.eval(x.x, sc)
	if v == nil {
		return nil
	}
	switch x.typ.name {
	case "regrole":
		return ownerName
	case "regproc", "regprocedure":
		if p, known := procOf(text(v)); known {
			return p
		} else if _, isNumber := number(v); !isNumber {
			fail(x.at, codeNoFunction, "function %s does not exist", text(v))
		}
	}
	return r.kept(r.convert(x.at, v, oid))
}

// convert gives a value another type.
func (r *run) convert(at int, v Value, oid uint32) Value {
	bad := func() {
		fail(at, codeBadText, "invalid input for type %s: %q", formatType(oid), text(v))
	}
	switch oid {
	case oidBool:
		switch b := v.(type) {
		case bool:
			return b
		case string:
			t, ok := truthOf(b)
			if !ok {
				bad()
			}
			return t
		}
		n, _ := number(v)
		return n != 0
	case oidInt2, oidInt4, oidInt8, oidOID:
		if f, ok := v.(float64); ok {
			return int64(math.RoundToEven(f))
		}
		n, ok := number(v)
		if !ok {
			bad()
		}
		return n
	case oidFloat4, oidFloat8, oidNumeric:
		if s, ok := v.(string); ok {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				bad()
			}
			return f
		}
		return float(v)
	case oidRegclass:
		return r.regclass(at, v)
	case oidRegtype:
		if n, ok := number(v); ok {
			return reg{n, formatType(uint32(n))}
		}
		name := typeName{name: lower(strings.TrimPrefix(text(v), "pg_catalog."))}
		name.name, name.array = strings.CutSuffix(strings.Trim(name.name, `"`), "[]")
		n := int64(typeOID(at, name))
		return reg{n, formatType(uint32(n))}
	case oidRegnsp:
		n, ok := number(v)
		for _, nsp := range namespaces {
			if ok && nsp.oid == n || !ok && nsp.name == strings.Trim(text(v), `"`) {
				return nsp
			}
		}
		if ok {
			return reg{n, strconv.FormatInt(n, 10)}
		}
		fail(at, "3F000", "schema %s does not exist", text(v))
	case oidChar:
		s := text(v)
		return s[:min(1, len(s))]
	case oidInt2Vector, oidOIDVector:
		if a, ok := v.(*array); ok {
			return &array{a.list, true}
		}
		return v
	}
	if element := elementType(oid); element != 0 {
		list := slices.Clone(listOf(v))
		for i, e := range list {
			if e != nil {
				r.step()
				list[i] = r.convert(at, e, element)
			}
		}
		return &array{list: list}
	}
	return text(v)
}

// regclass is a relation by number or name.
func (r *run) regclass(at int, v Value) Value {
	if n, ok := number(v); ok {
		c, ok := r.db.class(func(c class) bool { return c.oid == n })
		if !ok {
			return reg{n, strconv.FormatInt(n, 10)}
		}
		return reg{n, r.visible(c)}
	}
	c, ok := r.db.named(text(v))
	if !ok {
		fail(at, codeNoTable, "relation %s does not exist", text(v))
	}
	return reg{c.oid, r.visible(c)}
}

// visible is a relation's name as it is written without its schema where that does.
func (r *run) visible(c class) string {
	if c.namespace == nspSchema {
		return "information_schema." + quoteIdent(c.name)
	}
	return quoteIdent(c.name)
}

// plainValue is a value as results have it: of its column's type.
func plainValue(v Value, oid uint32) any {
	switch v := v.(type) {
	case nil:
		return nil
	case *array:
		_ = v.text() // that there is one: it is written when the question is answered
		if element := elementType(oid); element != 0 {
			list := make([]any, len(v.list))
			for i, e := range v.list {
				list[i] = plainValue(e, element)
			}
			return list
		}
		return v.text()
	case *record:
		return text(v)
	case reg:
		if oid == oidRegclass || oid == oidRegtype || oid == oidRegnsp {
			return v
		}
	}
	switch oid {
	case oidBool:
		if s, ok := v.(string); ok {
			t, _ := truthOf(s)
			return t
		}
		if b, ok := v.(bool); ok {
			return b
		}
	case oidInt2, oidInt4, oidInt8, oidOID:
		if n, ok := number(v); ok {
			return n
		}
	case oidFloat4, oidFloat8, oidNumeric:
		if s, ok := v.(string); ok {
			f, _ := strconv.ParseFloat(s, 64)
			return f
		}
		return float(v)
	case oidInt2Vector, oidOIDVector:
		if s, ok := v.(string); ok {
			return plainValue(&array{listOf(s), true}, oid)
		}
	}
	return text(v)
}
