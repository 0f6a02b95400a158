package pgcatalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Query is a parsed SELECT. It is never changed and safe for concurrent use.
type Query struct {
	query  *query
	params int
}

// Params returns how many parameters it takes.
func (q *Query) Params() int { return q.params }

const maxDepth = 100 // nested parentheses and subqueries

// Parse parses one SELECT or VALUES. Errors are *Error.
func Parse(text string) (*Query, error) {
	tokens, err := Lex(text)
	if err != nil {
		return nil, err
	}
	return ParseTokens(tokens)
}

// ParseTokens is Parse of a statement's tokens, the last of which is End.
func ParseTokens(tokens []Token) (q *Query, err error) {
	p := &parser{tokens: tokens}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			q, err = nil, r
		default:
			panic(r)
		}
	}()
	parsed := p.query()
	p.accept(";")
	if p.tok().Kind != End {
		p.unexpected("the end of the statement")
	}
	return &Query{parsed, p.params}, nil
}

// parser is a recursive descent; what is wrong is panicked as *Error, and recovered in ParseTokens alone.
type parser struct {
	tokens []Token
	i      int
	depth  int
	params int
}

func (p *parser) tok() Token { return p.tokens[p.i] }

func (p *parser) ahead(n int) Token { return p.tokens[min(p.i+n, len(p.tokens)-1)] }

func (p *parser) advance() Token {
	t := p.tok()
	if t.Kind != End {
		p.i++
	}
	return t
}

func (p *parser) accept(words ...string) bool {
	for i, w := range words {
		if !p.ahead(i).Is(w) {
			return false
		}
	}
	p.i += len(words)
	return true
}

func (p *parser) acceptAny(words ...string) string {
	for _, w := range words {
		if p.accept(w) {
			return w
		}
	}
	return ""
}

func (p *parser) expect(word string) {
	if !p.accept(word) {
		p.unexpected(word)
	}
}

func (p *parser) fail(at int, code, format string, args ...any) {
	panic(&Error{At: at, Code: code, Message: fmt.Sprintf(format, args...)})
}

func (p *parser) unexpected(expected string) {
	p.fail(p.tok().At, codeSyntax, "expected %s, found %v", expected, p.tok())
}

func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.tok().At, codeTooMuch, "the statement is nested deeper than %d levels", maxDepth)
	}
	return func() { p.depth-- }
}

// reserved are words that are no alias and no column without quotes.
var reserved = strings.Fields(`all and any array as asc between case cast collate cross desc distinct else end except exists fetch for from full group having
	ilike in inner intersect is isnull join lateral left like limit natural not notnull null offset on or order right select similar some table then to
	union unique using when where window with operator`)

func (p *parser) isName(t Token) bool {
	return t.Kind == Quoted || t.Kind == Word && !slices.Contains(reserved, t.Text)
}

func (p *parser) name() string {
	if !p.isName(p.tok()) {
		p.unexpected("a name")
	}
	return p.advance().Text
}

// anyName takes keywords too: behind AS and a dot everything is a name.
func (p *parser) anyName() string {
	if t := p.tok(); t.Kind != Word && t.Kind != Quoted {
		p.unexpected("a name")
	}
	return p.advance().Text
}

func (p *parser) query() *query {
	defer p.deeper()()
	q := &query{}
	if p.accept("with") {
		p.accept("recursive")
		for {
			c := cte{name: p.name()}
			if p.tok().Is("(") {
				c.columns = p.names()
			}
			p.expect("as")
			if p.accept("not") {
				p.expect("materialized")
			} else {
				p.accept("materialized")
			}
			p.expect("(")
			c.query = p.query()
			p.expect(")")
			q.with = append(q.with, c)
			if !p.accept(",") {
				break
			}
		}
	}
	q.body = p.union()
	if p.accept("order", "by") {
		q.order = p.ordering()
	}
	for {
		switch {
		case p.accept("limit"):
			if !p.accept("all") {
				q.limit = p.expr()
			}
		case p.accept("offset"):
			q.offset = p.expr()
			p.acceptAny("rows", "row")
		case p.accept("fetch"):
			p.acceptAny("first", "next")
			q.limit = &constant{int64(1), oidInt8}
			if !p.tok().Is("row") && !p.tok().Is("rows") {
				q.limit = p.primary()
			}
			p.acceptAny("rows", "row")
			p.expect("only")
		case p.accept("for"):
			p.fail(p.tok().At, codeNotSupported, "FOR UPDATE and the like are not supported")
		default:
			return q
		}
	}
}

func (p *parser) union() body {
	x := p.intersect()
	for {
		op := p.acceptAny("union", "except")
		if op == "" {
			return x
		}
		all := p.accept("all")
		p.accept("distinct")
		x = &combination{op, all, &query{body: x}, &query{body: p.intersect()}}
	}
}

func (p *parser) intersect() body {
	x := p.simple()
	for p.accept("intersect") {
		all := p.accept("all")
		x = &combination{"intersect", all, &query{body: x}, &query{body: p.simple()}}
	}
	return x
}

func (p *parser) simple() body {
	switch {
	case p.accept("("):
		q := p.query()
		p.expect(")")
		// A query in parentheses keeps what stands in them: as a derived table would.
		return &selection{items: []item{{x: &star{}}}, from: []source{&derived{query: q}}}
	case p.accept("values"):
		v := &values{}
		for {
			p.expect("(")
			v.rows = append(v.rows, p.exprs())
			p.expect(")")
			if len(v.rows[0]) != len(v.rows[len(v.rows)-1]) {
				p.fail(p.tok().At, codeSyntax, "VALUES lists must all be the same length")
			}
			if !p.accept(",") {
				return v
			}
		}
	case p.accept("select"):
		return p.selection()
	}
	p.unexpected("SELECT")
	return nil
}

func (p *parser) selection() *selection {
	s := &selection{}
	if p.accept("distinct") {
		s.distinct = true
		if p.accept("on") {
			p.expect("(")
			s.distinctOn = p.exprs()
			p.expect(")")
		}
	} else {
		p.accept("all")
	}
	for !p.tok().Is("from") && p.tok().Kind != End && !p.tok().Is(")") {
		it := item{x: p.expr()}
		switch {
		case p.accept("as"):
			it.as = p.anyName()
		case p.isName(p.tok()):
			it.as = p.advance().Text
		}
		s.items = append(s.items, it)
		if !p.accept(",") {
			break
		}
	}
	if p.accept("from") {
		for {
			s.from = append(s.from, p.source())
			if !p.accept(",") {
				break
			}
		}
	}
	if p.accept("where") {
		s.where = p.expr()
	}
	if p.accept("group", "by") {
		s.group = p.exprs()
	}
	if p.accept("having") {
		s.having = p.expr()
	}
	return s
}

func (p *parser) source() source {
	defer p.deeper()()
	x := p.sourceItem()
	for {
		j := &join{x: x}
		j.natural = p.accept("natural")
		switch {
		case p.accept("cross", "join"):
			j.kind = "cross"
		case p.accept("join"), p.accept("inner", "join"):
			j.kind = "inner"
		default:
			kind := p.acceptAny("left", "right", "full")
			if kind == "" {
				return x
			}
			p.accept("outer")
			p.expect("join")
			j.kind = kind
		}
		j.y = p.sourceItem()
		switch {
		case j.kind == "cross" || j.natural:
		case p.accept("on"):
			j.on = p.expr()
		case p.accept("using"):
			j.using = p.names()
		default:
			p.unexpected("ON or USING")
		}
		x = j
	}
}

func (p *parser) sourceItem() source {
	lateral := p.accept("lateral")
	p.accept("only")
	if p.accept("(") {
		if t := p.tok(); t.Is("select") || t.Is("with") || t.Is("values") || t.Is("(") && p.isQuery() {
			d := &derived{query: p.query(), lateral: lateral}
			p.expect(")")
			d.alias, d.columns = p.alias()
			return d
		}
		s := p.source()
		p.expect(")")
		return s
	}
	at := p.tok().At
	if t := p.tok(); t.Is("unnest") || p.isName(t) {
		parts := []string{p.advance().Text}
		for p.accept(".") {
			parts = append(parts, p.anyName())
		}
		if p.tok().Is("(") {
			f := &function{call: p.callOf(at, parts)}
			if p.accept("with", "ordinality") {
				f.ordinality = true
			}
			f.alias, f.columns = p.alias()
			if f.alias == "" {
				f.alias = f.call.name
			}
			return f
		}
		r := &relation{at: at, name: parts[len(parts)-1]}
		if len(parts) > 1 {
			r.schema = parts[len(parts)-2]
		}
		r.alias, r.columns = p.alias()
		if r.alias == "" {
			r.alias = r.name
		}
		return r
	}
	p.unexpected("a table")
	return nil
}

// isQuery reports whether what stands in the parentheses here is a query.
func (p *parser) isQuery() bool {
	n := 0
	for p.ahead(n).Is("(") {
		n++
	}
	return p.ahead(n).Is("select") || p.ahead(n).Is("with") || p.ahead(n).Is("values")
}

func (p *parser) alias() (name string, columns []string) {
	if p.accept("as") {
		if !p.tok().Is("(") {
			name = p.anyName()
		}
	} else if p.isName(p.tok()) {
		name = p.advance().Text
	}
	if p.tok().Is("(") && p.isName(p.ahead(1)) {
		p.advance()
		for {
			columns = append(columns, p.anyName())
			if !p.tok().Is(",") && !p.tok().Is(")") {
				p.typeName() // of a record's column
			}
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
	}
	return name, columns
}

func (p *parser) names() []string {
	p.expect("(")
	var out []string
	for {
		out = append(out, p.anyName())
		if !p.accept(",") {
			p.expect(")")
			return out
		}
	}
}

func (p *parser) ordering() []ordering {
	var out []ordering
	for {
		o := ordering{x: p.expr()}
		if p.accept("desc") {
			o.desc, o.nullsFirst = true, true
		} else {
			p.accept("asc")
		}
		if p.accept("nulls") {
			o.nullsFirst = p.acceptAny("first", "last") == "first"
		}
		out = append(out, o)
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) exprs() []expr {
	var out []expr
	for {
		out = append(out, p.expr())
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) expr() expr {
	defer p.deeper()()
	return p.or()
}

func (p *parser) or() expr {
	x := p.and()
	for p.tok().Is("or") {
		at := p.advance().At
		x = &operation{at, "or", x, p.and()}
	}
	return x
}

func (p *parser) and() expr {
	x := p.not()
	for p.tok().Is("and") {
		at := p.advance().At
		x = &operation{at, "and", x, p.not()}
	}
	return x
}

func (p *parser) not() expr {
	if p.accept("not") {
		defer p.deeper()()
		return &unary{"not", p.not()}
	}
	return p.is()
}

func (p *parser) is() expr {
	x := p.comparison()
	for {
		switch {
		case p.accept("isnull"):
			x = &isTest{x, false, "null"}
		case p.accept("notnull"):
			x = &isTest{x, true, "null"}
		case p.tok().Is("is"):
			at := p.advance().At
			not := p.accept("not")
			if p.accept("distinct", "from") {
				op := "is distinct from"
				if not {
					op = "is not distinct from"
				}
				x = &operation{at, op, x, p.comparison()}
				continue
			}
			what := p.acceptAny("null", "true", "false", "unknown")
			if what == "" {
				p.unexpected("NULL, TRUE, FALSE or DISTINCT FROM")
			}
			x = &isTest{x, not, what}
		default:
			return x
		}
	}
}

func (p *parser) comparison() expr {
	x := p.like()
	for {
		t := p.tok()
		op := p.acceptAny("=", "<>", "<=", ">=", "<", ">")
		if op == "" {
			return x
		}
		x = p.operation(t.At, op, x, p.like)
	}
}

// operation reads what stands behind an operator: ANY (..), ALL (..) or an operand.
func (p *parser) operation(at int, op string, x expr, operand func() expr) expr {
	which := p.tok()
	if (which.Is("any") || which.Is("some") || which.Is("all")) && p.ahead(1).Is("(") {
		p.i += 2
		q := &quantified{at: at, op: op, all: which.Is("all"), x: x}
		if p.tok().Is("select") || p.tok().Is("with") || p.tok().Is("(") && p.isQuery() {
			q.sub = p.query()
		} else {
			q.y = p.expr()
		}
		p.expect(")")
		return q
	}
	return &operation{at, op, x, operand()}
}

func (p *parser) like() expr {
	x := p.operators()
	for {
		start, at := p.i, p.tok().At
		not := p.accept("not")
		switch op := p.acceptAny("in", "between", "like", "ilike", "similar"); op {
		case "in":
			p.expect("(")
			in := &inList{x: x, not: not}
			if p.tok().Is("select") || p.tok().Is("with") || p.tok().Is("values") {
				in.sub = p.query()
			} else {
				in.list = p.exprs()
			}
			p.expect(")")
			x = in
		case "between":
			p.accept("symmetric")
			b := &between{x: x, not: not, low: p.operators()}
			p.expect("and")
			b.high = p.operators()
			x = b
		case "like", "ilike":
			y := p.operation(at, op, x, p.operators)
			if b, ok := y.(*operation); ok && p.accept("escape") {
				y = &call{at: at, name: op + "_escape", args: []expr{x, b.y, p.operators()}}
			}
			if not {
				y = &unary{"not", y}
			}
			x = y
		case "similar":
			p.fail(at, codeNotSupported, "SIMILAR TO is not supported")
		default:
			p.i = start
			return x
		}
	}
}

// operators are those between comparisons and sums.
func (p *parser) operators() expr {
	x := p.sum()
	for {
		t := p.tok()
		op := ""
		switch {
		case t.Is("operator") && p.ahead(1).Is("("):
			p.i += 2
			for p.tok().Kind == Word && p.ahead(1).Is(".") {
				p.i += 2
			}
			op = p.advance().Text
			p.expect(")")
		case t.Kind == Op && slices.Contains([]string{"||", "~", "!~", "~*", "!~*", "~~", "!~~", "~~*", "!~~*", "@>", "<@", "&&", "&", "|", "<<", ">>", "->", "->>", "?"}, t.Text):
			op = p.advance().Text
		default:
			return x
		}
		x = p.operation(t.At, op, x, p.sum)
	}
}

func (p *parser) sum() expr {
	x := p.product()
	for {
		t := p.tok()
		op := p.acceptAny("+", "-")
		if op == "" {
			return x
		}
		x = &operation{t.At, op, x, p.product()}
	}
}

func (p *parser) product() expr {
	x := p.prefixed()
	for {
		t := p.tok()
		op := p.acceptAny("*", "/", "%", "^")
		if op == "" {
			return x
		}
		x = &operation{t.At, op, x, p.prefixed()}
	}
}

func (p *parser) prefixed() expr {
	if op := p.acceptAny("-", "+", "~"); op != "" {
		defer p.deeper()()
		return &unary{op, p.prefixed()}
	}
	return p.postfixed()
}

func (p *parser) postfixed() expr {
	x := p.primary()
	for {
		t := p.tok()
		switch {
		case p.accept("::"):
			x = &cast{t.At, x, p.typeName()}
		case p.accept("collate"):
			p.name()
			for p.accept(".") {
				p.anyName()
			}
		case p.accept("at", "time", "zone"):
			p.primary() // there is one zone
		case p.accept("["):
			i := &index{x: x}
			if !p.tok().Is(":") {
				i.i = p.expr()
			}
			if p.accept(":") {
				i.slice = true
				if !p.tok().Is("]") {
					i.upto = p.expr()
				}
			}
			p.expect("]")
			x = i
		case t.Is(".") && p.ahead(1).Kind != Op:
			p.advance()
			x = &field{t.At, x, p.anyName()}
		default:
			return x
		}
	}
}

func (p *parser) typeName() typeName {
	if p.tok().Kind != Word && p.tok().Kind != Quoted {
		p.unexpected("a type")
	}
	t := typeName{name: p.advance().Text}
	for p.accept(".") {
		t.name = p.anyName()
	}
	switch t.name {
	case "double":
		p.accept("precision")
	case "character", "bit":
		p.accept("varying")
	case "timestamp", "time":
		if p.tok().Is("(") {
			p.lengths()
		}
		if p.accept("with", "time", "zone") {
			t.name += "tz"
		} else {
			p.accept("without", "time", "zone")
		}
	}
	if p.tok().Is("(") {
		p.lengths()
	}
	for p.tok().Is("[") && (p.ahead(1).Is("]") || p.ahead(2).Is("]")) {
		for !p.accept("]") {
			p.advance()
		}
		t.array = true
	}
	if p.accept("array") {
		t.array = true
	}
	return t
}

func (p *parser) lengths() {
	p.expect("(")
	for !p.accept(")") {
		if p.advance().Kind == End {
			p.unexpected(")")
		}
	}
}

func (p *parser) primary() expr {
	t := p.tok()
	switch t.Kind {
	case String:
		p.advance()
		return &constant{t.Text, oidUnknown}
	case Number:
		p.advance()
		return numberOf(t.Text)
	case Param:
		p.advance()
		n, err := strconv.Atoi(t.Text)
		if err != nil || n < 1 || n > 65535 {
			p.fail(t.At, codeNoParam, "there is no parameter $%s", t.Text)
		}
		p.params = max(p.params, n)
		return &param{n}
	case Op:
		switch {
		case p.accept("("):
			return p.parenthesized()
		case p.accept("*"):
			return &star{}
		}
		p.unexpected("an expression")
	case End:
		p.unexpected("an expression")
	}
	if t.Kind == Word {
		if x, ok := p.keyword(t); ok {
			return x
		}
		// A literal with its type before it.
		if next := p.ahead(1); next.Kind == String && p.isName(t) {
			p.i += 2
			return &cast{t.At, &constant{next.Text, oidUnknown}, typeName{name: t.Text}}
		}
	}
	if !p.isName(t) && !(p.ahead(1).Is("(") && (t.Is("left") || t.Is("right"))) {
		p.unexpected("an expression")
	}
	p.advance()
	parts := []string{t.Text}
	for p.tok().Is(".") {
		p.advance()
		if p.accept("*") {
			return &star{of: parts[len(parts)-1]}
		}
		parts = append(parts, p.anyName())
	}
	switch {
	case p.tok().Is("("):
		return p.callOf(t.At, parts)
	case p.tok().Kind == String && len(parts) > 1: // pg_catalog.regclass 'x'
		return &cast{t.At, &constant{p.advance().Text, oidUnknown}, typeName{name: parts[len(parts)-1]}}
	}
	return &column{t.At, parts}
}

// keyword reads expressions that begin with a word of their own.
func (p *parser) keyword(t Token) (expr, bool) {
	switch {
	case p.accept("null"):
		return &constant{nil, oidUnknown}, true
	case p.accept("true"):
		return &constant{true, oidBool}, true
	case p.accept("false"):
		return &constant{false, oidBool}, true
	case t.Text == "case" && t.Kind == Word:
		p.advance()
		return p.caseWhen(), true
	case p.accept("cast", "("):
		x := p.expr()
		p.expect("as")
		c := &cast{t.At, x, p.typeName()}
		p.expect(")")
		return c, true
	case p.accept("exists", "("):
		q := p.query()
		p.expect(")")
		return &exists{q}, true
	case p.accept("array", "["):
		a := &arrayOf{}
		if !p.tok().Is("]") {
			a.list = p.exprs()
		}
		p.expect("]")
		return a, true
	case p.accept("array", "("):
		q := p.query()
		p.expect(")")
		return &arrayFrom{q}, true
	case p.accept("row", "("):
		r := &row{}
		if !p.tok().Is(")") {
			r.list = p.exprs()
		}
		p.expect(")")
		return r, true
	case p.accept("extract", "("):
		name := p.advance().Text
		p.expect("from")
		x := p.expr()
		p.expect(")")
		return &call{at: t.At, name: "date_part", args: []expr{&constant{name, oidText}, x}}, true
	case p.accept("substring", "("):
		c := &call{at: t.At, name: "substring", args: []expr{p.expr()}}
		for p.acceptAny(",", "from", "for") != "" {
			c.args = append(c.args, p.expr())
		}
		p.expect(")")
		return c, true
	case p.accept("position", "("):
		x := p.operators()
		p.expect("in")
		y := p.expr()
		p.expect(")")
		return &call{at: t.At, name: "strpos", args: []expr{y, x}}, true
	case p.accept("trim", "("):
		name := "btrim"
		switch p.acceptAny("both", "leading", "trailing") {
		case "leading":
			name = "ltrim"
		case "trailing":
			name = "rtrim"
		}
		c := &call{at: t.At, name: name}
		if !p.tok().Is("from") {
			c.args = p.exprs()
		}
		if p.accept("from") {
			c.args = append([]expr{p.expr()}, c.args...)
		}
		p.expect(")")
		return c, true
	}
	switch t.Text {
	case "current_user", "session_user", "user", "current_role", "current_catalog", "current_schema", "current_date", "current_timestamp", "localtimestamp":
		if !p.ahead(1).Is("(") && !p.ahead(1).Is(".") {
			p.advance()
			return &call{at: t.At, name: t.Text}, true
		}
	}
	return nil, false
}

func (p *parser) parenthesized() expr {
	if p.tok().Is("select") || p.tok().Is("with") || p.tok().Is("values") || p.tok().Is("(") && p.isQuery() {
		q := p.query()
		p.expect(")")
		return &subquery{q}
	}
	list := p.exprs()
	p.expect(")")
	if len(list) > 1 {
		return &row{list}
	}
	return list[0]
}

func (p *parser) caseWhen() expr {
	c := &caseWhen{}
	if !p.tok().Is("when") {
		c.operand = p.expr()
	}
	for p.accept("when") {
		cond := p.expr()
		p.expect("then")
		c.whens = append(c.whens, [2]expr{cond, p.expr()})
	}
	if p.accept("else") {
		c.other = p.expr()
	}
	p.expect("end")
	return c
}

func (p *parser) callOf(at int, parts []string) *call {
	c := &call{at: at, name: parts[len(parts)-1]}
	p.expect("(")
	switch {
	case p.accept(")"):
	case p.accept("*"):
		c.star = true
		p.expect(")")
	default:
		c.distinct = p.accept("distinct")
		p.accept("variadic")
		for {
			c.args = append(c.args, p.expr())
			if !p.accept(",") {
				break
			}
			p.accept("variadic")
		}
		if p.accept("order", "by") {
			c.order = p.ordering()
		}
		p.expect(")")
	}
	if p.accept("filter", "(") {
		p.expect("where")
		c.filter = p.expr()
		p.expect(")")
	}
	if p.accept("over", "(") {
		c.over = &window{}
		if p.accept("partition", "by") {
			c.over.partition = p.exprs()
		}
		if p.accept("order", "by") {
			c.over.order = p.ordering()
		}
		p.expect(")")
	}
	return c
}

func numberOf(text string) expr {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		if i == int64(int32(i)) {
			return &constant{i, oidInt4}
		}
		return &constant{i, oidInt8}
	}
	f, _ := strconv.ParseFloat(text, 64)
	return &constant{f, oidFloat8}
}
