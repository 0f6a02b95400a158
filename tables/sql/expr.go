package sql

import (
	"fmt"
	"strconv"
)

// Precedences, loosest first, as PostgreSQL has them (table 4.2 of its manual). An operand that binds no tighter than
// its operator needs parentheses.
const (
	precOr = iota + 1
	precAnd
	precNot
	precIs
	precCompare // does not chain: a < b < c is an error
	precLike    // BETWEEN, IN, LIKE; does not chain either
	precOther   // ||, ~
	precAdd
	precMul
	precSign
	precPostfix
	precPrimary
)

var binaryPrec = map[string]int{
	"OR": precOr, "AND": precAnd,
	"=": precCompare, "<>": precCompare, "<": precCompare, "<=": precCompare, ">": precCompare, ">=": precCompare,
	"||": precOther, "~": precOther, "!~": precOther, "~*": precOther, "!~*": precOther,
	"+": precAdd, "-": precAdd, "*": precMul, "/": precMul, "%": precMul,
}

// expression reads a whole expression.
func (p *parser) expression() (Expr, error) { return p.expr(precOr) }

// expr reads an expression whose operators bind at least as tight as prec (precedence climbing).
func (p *parser) expr(prec int) (Expr, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, p.errorAt(p.tok().at, fmt.Sprintf("the expression is nested more than %d levels deep", maxDepth), "")
	}
	left, err := p.prefix(prec)
	if err != nil {
		return nil, err
	}
	last := 0 // precedence of the operator read last: comparisons and IN, LIKE, BETWEEN do not chain
	for {
		opPrec := p.operatorPrec()
		if opPrec == 0 || opPrec < prec {
			return left, nil
		}
		if opPrec == last && (opPrec == precCompare || opPrec == precLike) {
			return nil, p.errorAt(p.tok().at, fmt.Sprintf("%s cannot follow another comparison", upper(p.tok().text)), "use AND, or parentheses")
		}
		if left, err = p.operator(left, opPrec); err != nil {
			return nil, err
		}
		last = opPrec
	}
}

// operatorPrec returns the precedence of the operator that comes next; 0 when what comes is none.
func (p *parser) operatorPrec() int {
	t := p.tok()
	switch t.kind {
	case tokOp:
		if t.text == "::" || t.text == "[" {
			return precPostfix
		}
		return binaryPrec[t.text]
	case tokWord:
		switch word := upper(t.text); word {
		case "AND", "OR":
			return binaryPrec[word]
		case "IS", "ISNULL", "NOTNULL":
			return precIs
		case "IN", "LIKE", "ILIKE", "BETWEEN":
			return precLike
		case "NOT":
			switch next := p.ahead(1); {
			case next.is("IN"), next.is("LIKE"), next.is("ILIKE"), next.is("BETWEEN"):
				return precLike
			}
		}
	}
	return 0
}

// operator reads one operator behind left, and what stands to its right.
func (p *parser) operator(left Expr, prec int) (Expr, error) {
	at := p.tok().at
	switch prec {
	case precIs:
		return p.is(left)
	case precLike:
		return p.likeInBetween(left)
	case precPostfix:
		return p.postfix(left)
	}
	op := upper(p.advance().text)
	if prec == precCompare && p.ahead(1).is("(") {
		switch t := p.tok(); {
		case t.is("ANY"), t.is("SOME"):
			p.i += 2
			array, err := p.expression()
			if err != nil {
				return nil, err
			}
			if p.tok().is(",") {
				return nil, p.errorAt(p.tok().at, "ANY takes one array", "write IN (a, b, ..)")
			}
			return &Any{At: at, Op: op, X: left, Array: array}, p.expect(")", "")
		case t.is("ALL"):
			return nil, p.errorAt(t.at, "ALL is not supported", "write NOT and ANY")
		}
	}
	right, err := p.expr(prec + 1)
	if err != nil {
		return nil, err
	}
	return &Binary{At: at, Op: op, X: left, Y: right}, nil
}

func (p *parser) is(left Expr) (Expr, error) {
	at := p.tok().at
	switch {
	case p.accept("ISNULL"):
		return &Is{At: at, X: left, What: "NULL"}, nil
	case p.accept("NOTNULL"):
		return &Is{At: at, X: left, What: "NULL", Not: true}, nil
	}
	p.advance()
	not := p.accept("NOT")
	for _, what := range []string{"NULL", "TRUE", "FALSE", "UNKNOWN"} {
		if p.accept(what) {
			return &Is{At: at, X: left, Not: not, What: what}, nil
		}
	}
	if p.accept("DISTINCT") {
		if err := p.expect("FROM", ""); err != nil {
			return nil, err
		}
		right, err := p.expr(precIs + 1)
		return &IsDistinct{At: at, X: left, Y: right, Not: not}, err
	}
	hint := DidYouMean(p.tok().text, []string{"NULL", "TRUE", "FALSE"})
	switch t := p.tok(); {
	case t.is("NOTNULL"), p.ahead(1).is("NULL"):
		hint = "write IS NOT NULL"
	case t.startsExpression() && hint == "":
		hint = "values are compared by = and <>"
	}
	return nil, p.errorAt(p.tok().at, fmt.Sprintf("expected NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM, found %v", p.tok()), hint)
}

func (p *parser) likeInBetween(left Expr) (Expr, error) {
	not := p.accept("NOT")
	t := p.advance()
	switch upper(t.text) {
	case "IN":
		if err := p.expect("(", "write IN (a, b, ..), of an array = ANY (array)"); err != nil {
			return nil, err
		}
		if p.tok().is("SELECT") {
			return nil, p.errorAt(p.tok().at, "subqueries are not supported", "")
		}
		list, err := p.expressions()
		if err != nil {
			return nil, err
		}
		return &In{At: t.at, X: left, Not: not, List: list}, p.expect(")", "")
	case "BETWEEN":
		low, err := p.expr(precLike + 1)
		if err != nil {
			return nil, err
		}
		if err := p.expect("AND", "write BETWEEN low AND high"); err != nil {
			return nil, err
		}
		high, err := p.expr(precLike + 1)
		return &Between{At: t.at, X: left, Low: low, High: high, Not: not}, err
	}
	pattern, err := p.expr(precLike + 1)
	if err != nil {
		return nil, err
	}
	like := &Like{At: t.at, X: left, Not: not, Fold: t.is("ILIKE"), Pattern: pattern}
	if p.accept("ESCAPE") {
		like.Escape, err = p.expr(precLike + 1)
	}
	return like, err
}

func (p *parser) postfix(left Expr) (Expr, error) {
	t := p.advance()
	if t.text == "::" {
		typ, err := p.typeName()
		return &Cast{At: t.at, X: left, Type: typ}, err
	}
	i, err := p.expression()
	if err != nil {
		return nil, err
	}
	return &Index{At: t.at, X: left, I: i}, p.expect("]", "")
}

func (p *parser) typeName() (TypeName, error) {
	t := p.tok()
	if t.kind != tokWord || t.isReserved() {
		return TypeName{}, p.unexpected("a type")
	}
	p.advance()
	typ := TypeName{At: t.at, Name: lower(t.text)}
	switch typ.Name {
	case "double":
		if p.accept("PRECISION") {
			typ.Name = "double precision"
		}
	case "timestamp":
		switch {
		case p.accept("WITH", "TIME", "ZONE"):
			typ.Name = "timestamptz"
		case p.accept("WITHOUT", "TIME", "ZONE"):
		}
	case "character":
		if p.accept("VARYING") {
			typ.Name = "varchar"
		}
	}
	if p.tok().is("(") {
		return typ, p.errorAt(p.tok().at, typ.Name+" takes no length or precision here", "write just "+typ.Name)
	}
	typ.Array = p.accept("[", "]")
	return typ, nil
}

// prefix reads what an expression can begin with. prec is that of the operator it stands behind.
func (p *parser) prefix(prec int) (Expr, error) {
	t := p.tok()
	switch {
	case t.is("NOT"):
		if prec > precNot {
			return nil, p.errorAt(t.at, "NOT needs parentheses here", "write (NOT ..)")
		}
		p.advance()
		x, err := p.expr(precNot)
		return &Unary{At: t.at, Op: "NOT", X: x}, err
	case t.is("-"), t.is("+"):
		p.advance()
		x, err := p.expr(precSign)
		return &Unary{At: t.at, Op: t.text, X: x}, err
	}
	return p.primary()
}

func (p *parser) primary() (Expr, error) {
	t := p.tok()
	switch t.kind {
	case tokNumber:
		p.advance()
		return &Number{At: t.at, Text: t.text}, nil
	case tokString:
		p.advance()
		return &String{At: t.at, Value: t.text}, nil
	case tokParam:
		p.advance()
		return paramOf(t), nil
	case tokQuoted:
		n, err := p.name("an expression")
		return &Column{n}, err
	case tokWord:
		return p.word()
	case tokOp:
		if t.text == "(" {
			return p.parenthesized()
		}
		if t.text == "[" {
			return nil, p.errorAt(t.at, "expected an expression, found [", "names stand bare or in double quotes, and arrays have no literals")
		}
		if t.text == "*" {
			return nil, p.errorAt(t.at, "* stands alone or in count(*)", "")
		}
	}
	return nil, p.unexpected("an expression")
}

func (p *parser) parenthesized() (Expr, error) {
	p.advance()
	if p.tok().is("SELECT") {
		return nil, p.errorAt(p.tok().at, "subqueries are not supported", "")
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.tok().is(",") {
		return nil, p.errorAt(p.tok().at, "rows such as (a, b) are not supported", "")
	}
	return e, p.expect(")", "")
}

func paramOf(t token) *Param {
	n, _ := strconv.Atoi(t.text) // the lexer checked it
	return &Param{At: t.at, N: n}
}

// word reads an expression that begins with a word: a constant, CASE, CAST, a typed literal, a call or a column.
func (p *parser) word() (Expr, error) {
	t, next := p.tok(), p.ahead(1)
	switch {
	case p.accept("TRUE"):
		return &Bool{At: t.at, Value: true}, nil
	case p.accept("FALSE"):
		return &Bool{At: t.at}, nil
	case p.accept("NULL"):
		return &Null{At: t.at}, nil
	case p.accept("CASE"):
		return p.caseWhen(t.at)
	case p.accept("CAST"):
		return p.cast(t.at)
	case t.isReserved():
		return nil, p.errorAt(t.at, fmt.Sprintf("expected an expression, found the keyword %s", upper(t.text)), p.keywordHint(t))
	case next.kind == tokString:
		return p.typed()
	case t.is("EXTRACT") && next.is("("):
		return p.extract()
	case t.is("EXISTS") && next.is("("), t.is("ARRAY") && (next.is("[") || next.is("(")), t.is("ROW") && next.is("("):
		return nil, p.errorAt(t.at, upper(t.text)+" is not supported", "")
	case next.is("("):
		return p.call()
	}
	n, err := p.name("an expression")
	if err == nil && p.tok().is("(") {
		return nil, p.errorAt(n.At, "function names have no dots", "")
	}
	return &Column{n}, err
}

// typed reads INTERVAL '1 hour'.
func (p *parser) typed() (Expr, error) {
	t := p.advance()
	if t.is("E") || t.is("B") || t.is("X") || t.is("U") || t.is("N") {
		return nil, p.errorAt(t.at, fmt.Sprintf("strings such as %s'..' are not supported", t.text), "")
	}
	value := p.advance()
	return &Typed{At: t.at, Type: TypeName{At: t.at, Name: lower(t.text)}, Value: String{At: value.at, Value: value.text}}, nil
}

func (p *parser) caseWhen(at Pos) (Expr, error) {
	c := &Case{At: at}
	var err error
	if !p.tok().is("WHEN") {
		if c.Operand, err = p.expression(); err != nil {
			return nil, err
		}
	}
	for p.accept("WHEN") {
		var w When
		if w.Cond, err = p.expression(); err != nil {
			return nil, err
		}
		if err = p.expect("THEN", ""); err != nil {
			return nil, err
		}
		if w.Then, err = p.expression(); err != nil {
			return nil, err
		}
		c.Whens = append(c.Whens, w)
	}
	if len(c.Whens) == 0 {
		return nil, p.unexpected("WHEN")
	}
	if p.accept("ELSE") {
		if c.Else, err = p.expression(); err != nil {
			return nil, err
		}
	}
	return c, p.expect("END", "")
}

func (p *parser) cast(at Pos) (Expr, error) {
	if err := p.expect("(", ""); err != nil {
		return nil, err
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.expect("AS", "write CAST(x AS type)"); err != nil {
		return nil, err
	}
	typ, err := p.typeName()
	if err != nil {
		return nil, err
	}
	return &Cast{At: at, X: x, Type: typ}, p.expect(")", "")
}

func (p *parser) extract() (Expr, error) {
	at := p.advance().at
	p.advance()
	field := p.tok()
	if field.kind != tokWord && field.kind != tokString || field.isReserved() {
		return nil, p.unexpected("a field such as epoch")
	}
	p.advance()
	if err := p.expect("FROM", "write extract(epoch FROM x)"); err != nil {
		return nil, err
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	return &Extract{At: at, Field: lower(field.text), FieldAt: field.at, X: x}, p.expect(")", "")
}

func (p *parser) call() (Expr, error) {
	t := p.advance()
	p.advance()
	c := &Call{At: t.at, Name: lower(t.text)}
	switch {
	case p.accept(")"):
	case p.accept("*"):
		c.Star = true
		if err := p.expect(")", ""); err != nil {
			return nil, err
		}
	default:
		c.Distinct = p.accept("DISTINCT")
		if p.tok().is("SELECT") {
			return nil, p.errorAt(p.tok().at, "subqueries are not supported", "")
		}
		args, err := p.expressions()
		if err != nil {
			return nil, err
		}
		c.Args = args
		if p.tok().is("ORDER") {
			return nil, p.errorAt(p.tok().at, "ORDER BY inside a call is not supported", "")
		}
		if err := p.expect(")", ""); err != nil {
			return nil, err
		}
	}
	if at := p.tok().at; p.accept("FILTER", "(") {
		c.FilterAt = at
		if err := p.expect("WHERE", "write FILTER (WHERE ..)"); err != nil {
			return nil, err
		}
		var err error
		if c.Filter, err = p.expression(); err != nil {
			return nil, err
		}
		if err := p.expect(")", ""); err != nil {
			return nil, err
		}
	}
	if p.tok().is("OVER") && (p.ahead(1).is("(") || p.ahead(1).kind == tokWord) {
		return nil, p.errorAt(p.tok().at, "OVER is not supported", "GROUP BY gives a row a group")
	}
	return c, nil
}
