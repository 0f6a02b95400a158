package sql

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of a text. Nobody writes more by hand; what is beyond comes from a fault or a foe, and is to be an error, not
// an exhausted stack.
const (
	maxTextBytes = 1 << 20
	maxDepth     = 200 // nested parentheses, calls and operators
)

// Parse reads any number of statements, separated by semicolons; file names the text in errors. Errors are *Error.
func Parse(file, text string) ([]Statement, error) {
	p, err := newParser(file, text)
	if err != nil {
		return nil, err
	}
	var out []Statement
	for {
		for p.accept(";") {
		}
		if p.tok().kind == tokEnd {
			return out, nil
		}
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		if t := p.tok(); t.kind != tokEnd && !t.is(";") {
			return nil, p.unexpected("; or the end of the text")
		}
	}
}

// ParseStatement reads exactly one statement. Errors are *Error.
func ParseStatement(file, text string) (Statement, error) {
	all, err := Parse(file, text)
	if err != nil {
		return nil, err
	}
	src := &Source{File: file, Text: text}
	switch len(all) {
	case 0:
		return nil, src.Error(Pos(len(text)), "no statement", "write CREATE TABLE name AS SELECT .. or SELECT ..")
	case 1:
		return all[0], nil
	}
	return nil, src.Error(all[1].Pos(), "only one statement is possible here", "")
}

type parser struct {
	src    *Source
	tokens []token
	i      int
	depth  int
}

func newParser(file, text string) (*parser, error) {
	src := &Source{File: file, Text: text}
	if len(text) > maxTextBytes {
		return nil, src.Error(0, fmt.Sprintf("the text has %d bytes; the limit is %d", len(text), maxTextBytes), "")
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	return &parser{src: src, tokens: tokens}, nil
}

func (p *parser) tok() token { return p.tokens[p.i] }

// ahead returns the token n places on; behind the end it is the end.
func (p *parser) ahead(n int) token { return p.tokens[min(p.i+n, len(p.tokens)-1)] }

func (p *parser) advance() token {
	t := p.tok()
	if t.kind != tokEnd {
		p.i++
	}
	return t
}

// accept takes the next tokens if they are the words (keywords or operators) given, all of them or none.
func (p *parser) accept(words ...string) bool {
	for i, w := range words {
		if !p.ahead(i).is(w) {
			return false
		}
	}
	p.i += len(words)
	return true
}

func (p *parser) expect(word, hint string) error {
	if p.accept(word) {
		return nil
	}
	if hint == "" && p.tok().kind == tokWord && !p.tok().isReserved() {
		hint = DidYouMean(p.tok().text, []string{word})
	}
	return p.errorAt(p.tok().at, fmt.Sprintf("expected %s, found %v", word, p.tok()), hint)
}

func (p *parser) errorAt(at Pos, message, hint string) error { return p.src.Error(at, message, hint) }

func (p *parser) unexpected(expected string) error {
	return p.errorAt(p.tok().at, fmt.Sprintf("expected %s, found %v", expected, p.tok()), "")
}

func (p *parser) statement() (Statement, error) {
	at := p.tok().at
	switch {
	case p.tok().is("SELECT"):
		return p.selectQuery()
	case p.accept("EXPLAIN"):
		return p.explain(at)
	case p.accept("CREATE", "OR"):
		return nil, p.errorAt(at, "CREATE OR REPLACE is not supported", "a changed definition needs `reset TABLE` or a new name")
	case p.accept("CREATE", "TABLE"):
		name, with, query, err := p.create("TABLE")
		return &CreateTable{Source: p.src, At: at, Name: name, With: with, Query: query}, err
	case p.accept("CREATE", "STREAM"):
		name, with, query, err := p.create("STREAM")
		return &CreateStream{Source: p.src, At: at, Name: name, With: with, Query: query}, err
	case p.accept("CREATE"):
		return nil, p.errorAt(p.tok().at, fmt.Sprintf("expected TABLE or STREAM, found %v", p.tok()), created[upper(p.tok().text)]+hintUnless(created[upper(p.tok().text)], DidYouMean(p.tok().text, []string{"TABLE", "STREAM"})))
	}
	hint := ""
	if t := p.tok(); t.kind == tokWord {
		var known bool
		if hint, known = statements[upper(t.text)]; !known {
			hint = DidYouMean(t.text, []string{"SELECT", "CREATE TABLE", "CREATE", "EXPLAIN"})
		}
	}
	return nil, p.errorAt(at, fmt.Sprintf("expected CREATE TABLE, CREATE STREAM or SELECT, found %v", p.tok()), hint)
}

// create reads what follows CREATE TABLE or CREATE STREAM.
func (p *parser) create(what string) (name Name, with []Option, query *Select, err error) {
	if p.tok().is("IF") && p.ahead(1).is("NOT") {
		return name, nil, nil, p.errorAt(p.tok().at, "IF NOT EXISTS is not supported", "leave it out: an unchanged definition is no error")
	}
	if name, err = p.name("a name for the " + lower(what)); err != nil {
		return name, nil, nil, err
	}
	if p.accept("WITH") {
		if with, err = p.options(); err != nil {
			return name, nil, nil, err
		}
	}
	hint := ""
	if p.tok().is("SELECT") {
		hint = "write AS SELECT"
	}
	if p.tok().is("(") {
		hint = "no columns here: they follow from the SELECT"
	}
	if p.tok().is("-") {
		hint = "a name with a dash is written in double quotes"
	}
	if p.ahead(1).is("AS") && p.tok().kind == tokWord {
		hint = "a name is one word; write _ for blanks"
	}
	if err = p.expect("AS", hint); err != nil {
		return name, nil, nil, err
	}
	if p.tok().is("(") && p.ahead(1).is("SELECT") {
		return name, nil, nil, p.errorAt(p.tok().at, "expected SELECT, found (", "leave the parentheses out")
	}
	query, err = p.selectQuery()
	return name, with, query, err
}

// options reads the list of a WITH clause: (topic = 'x', partitions = 4).
func (p *parser) options() ([]Option, error) {
	if err := p.expect("(", "write WITH (option = value, ..)"); err != nil {
		return nil, err
	}
	var out []Option
	for {
		name, err := p.name("an option")
		if err != nil {
			return nil, err
		}
		if err := p.expect("=", ""); err != nil {
			return nil, err
		}
		value, err := p.optionValue(name.Text)
		if err != nil {
			return nil, err
		}
		out = append(out, Option{Name: name, Value: value})
		if !p.accept(",") {
			return out, p.expect(")", "")
		}
	}
}

func (p *parser) optionValue(option string) (Expr, error) {
	at := p.tok().at
	if strings.EqualFold(option, "key") && (p.tok().kind == tokQuoted || p.tok().kind == tokWord && !p.tok().isReserved()) {
		n, err := p.name("a column")
		return &Column{n}, err
	}
	negative := p.accept("-")
	t := p.tok()
	switch {
	case t.kind == tokNumber:
		p.advance()
		var v Expr = &Number{At: t.at, Text: t.text}
		if negative {
			v = &Unary{At: at, Op: "-", X: v}
		}
		return v, nil
	case negative:
	case t.kind == tokString:
		p.advance()
		return &String{At: t.at, Value: t.text}, nil
	case p.accept("TRUE"):
		return &Bool{At: at, Value: true}, nil
	case p.accept("FALSE"):
		return &Bool{At: at}, nil
	case t.kind == tokWord || t.kind == tokQuoted:
		return nil, p.errorAt(t.at, fmt.Sprintf("expected a value, found %v", t), "write "+quoteString(t.text))
	}
	return nil, p.unexpected("a 'string', a number, TRUE or FALSE")
}

// name reads a name of one or more parts joined by dots: dns, id.orig_h, "id.orig_h", certificate.not_valid_after.
func (p *parser) name(expected string) (Name, error) {
	t := p.tok()
	switch {
	case t.kind == tokQuoted, t.kind == tokWord && !t.isReserved():
	case t.kind == tokWord:
		return Name{}, p.errorAt(t.at, fmt.Sprintf("expected %s, found the keyword %s", expected, upper(t.text)), "as a name write "+quoteName(t.text))
	case t.kind == tokString:
		return Name{}, p.errorAt(t.at, fmt.Sprintf("expected %s, found the string %v", expected, t), "names are written bare or in double quotes")
	default:
		return Name{}, p.unexpected(expected)
	}
	p.advance()
	n := Name{At: t.at, Text: t.text, Quoted: t.kind == tokQuoted}
	for p.tok().is(".") {
		next := p.ahead(1)
		if next.kind != tokWord && next.kind != tokQuoted {
			p.advance()
			return Name{}, p.unexpected("a name after the dot")
		}
		p.i += 2
		n.Text += "." + next.text
		n.Quoted = n.Quoted || next.kind == tokQuoted
	}
	return n, nil
}

// selectQuery reads a whole SELECT with whatever clauses it has; which are allowed where is the compiler's to say.
func (p *parser) selectQuery() (*Select, error) {
	s := &Select{Source: p.src, At: p.tok().at}
	if err := p.expect("SELECT", ""); err != nil {
		return nil, err
	}
	at := p.tok().at
	if p.accept("DISTINCT") {
		if p.tok().is("ON") && p.ahead(1).is("(") {
			return nil, p.errorAt(at, "DISTINCT ON is not supported", "GROUP BY gives each combination once")
		}
		s.Distinct = &Flag{At: at}
	}
	if p.tok().is("FROM") {
		return nil, p.errorAt(p.tok().at, "nothing is selected", `write columns or * before FROM; a column of that name is written "from"`)
	}
	for {
		item, err := p.item()
		if err != nil {
			return nil, err
		}
		s.Items = append(s.Items, item)
		if !p.accept(",") {
			break
		}
		if n := p.ahead(1); p.tok().is("FROM") && (n.kind == tokWord || n.kind == tokQuoted) && !n.is("FROM") && !n.is("AS") {
			return nil, p.errorAt(p.tok().at, "a comma before FROM", "leave the comma out")
		}
	}
	if !p.accept("FROM") {
		return nil, p.missingFrom(s.Items)
	}
	if p.tok().is("(") {
		return nil, p.errorAt(p.tok().at, "subqueries are not supported", "FROM takes one feed or table")
	}
	var err error
	if s.From, err = p.name("a feed or table"); err != nil {
		return nil, err
	}
	if s.FromAs, err = p.alias(); err != nil {
		return nil, err
	}
	return s, p.clauses(s)
}

// alias reads [AS] name behind FROM's name; nil when there is none. A bare word is one only where nothing else can be meant:
// FROM dns WERE x is a mistake in WHERE.
func (p *parser) alias() (*Name, error) {
	t := p.tok()
	if p.accept("AS") {
		n, err := p.name("a name after AS")
		return &n, err
	}
	next := p.ahead(1)
	plain := t.kind == tokQuoted || t.kind == tokWord && !t.isReserved()
	if !plain || t.kind == tokWord && p.clauseAt(0) >= 0 || next.kind != tokEnd && !next.is(";") && p.clauseAt(1) < 0 {
		return nil, nil
	}
	if t.kind == tokWord && (Closest(t.text, clauseOrder) != "" || next.kind == tokEnd && slices.ContainsFunc(notAliases, t.is)) {
		return nil, nil // most likely a slip
	}
	p.advance()
	return &Name{At: t.at, Text: t.text, Quoted: t.kind == tokQuoted}, nil
}

// notAliases are words that go on in other languages.
var notAliases = []string{"JOIN", "LEFT", "RIGHT", "INNER", "FULL", "CROSS", "NATURAL", "INTERSECT", "EXCEPT", "GROUP", "MAX"}

// clauseAt returns which clause begins n tokens on, -1: none.
func (p *parser) clauseAt(n int) int {
	clause := -1
	for i, c := range clauseOrder {
		words := strings.Fields(c)
		if p.ahead(n).is(words[0]) && (len(words) == 1 || p.ahead(n+1).is(words[1])) {
			clause = i
		}
	}
	return clause
}

func (p *parser) item() (Item, error) {
	if t := p.tok(); p.accept("*") {
		return Item{Expr: &Star{At: t.at}}, nil
	}
	if of, ok := p.starOf(); ok {
		return Item{Expr: &Star{At: of.At, Of: &of}}, nil
	}
	e, err := p.expression()
	if err != nil {
		return Item{}, err
	}
	t := p.tok()
	if p.accept("AS") {
		t = p.tok()
		if t.kind != tokWord && t.kind != tokQuoted {
			return Item{}, p.unexpected("a name after AS")
		}
	} else if t.kind != tokQuoted && (t.kind != tokWord || t.isReserved()) {
		return Item{Expr: e}, nil
	}
	// After AS any word is a name, as in PostgreSQL: count(*) AS count, x AS from.
	p.advance()
	as := &Name{At: t.at, Text: t.text, Quoted: t.kind == tokQuoted}
	for p.tok().is(".") && (p.ahead(1).kind == tokWord || p.ahead(1).kind == tokQuoted) {
		p.advance()
		as.Text += "." + p.advance().text
	}
	return Item{Expr: e, As: as}, nil
}

// starOf reads x.*, or nothing.
func (p *parser) starOf() (of Name, ok bool) {
	isName := func(n int) bool {
		t := p.ahead(n)
		return t.kind == tokQuoted || t.kind == tokWord && (n > 0 || !t.isReserved())
	}
	n := 0
	for isName(n) && p.ahead(n+1).is(".") {
		t := p.ahead(n)
		if n == 0 {
			of = Name{At: t.at, Text: t.text, Quoted: t.kind == tokQuoted}
		} else {
			of.Text += "." + t.text
			of.Quoted = of.Quoted || t.kind == tokQuoted
		}
		if n += 2; p.ahead(n).is("*") {
			p.i += n + 1
			return of, true
		}
	}
	return Name{}, false
}

// clauseOrder is the order in which clauses stand; each at most once.
var clauseOrder = []string{"WHERE", "WINDOW", "GROUP BY", "HAVING", "EMIT", "TTL", "MAX GROUPS", "ORDER BY", "LIMIT", "OFFSET"}

// clauses reads everything behind FROM name.
func (p *parser) clauses(s *Select) error {
	seen := -1
	for {
		t := p.tok()
		if t.kind == tokEnd || t.is(";") {
			return nil
		}
		clause := p.clauseAt(0)
		if clause < 0 {
			return p.notAClause(s, seen)
		}
		if clause == seen {
			return p.errorAt(t.at, clauseOrder[clause]+" is given twice", "")
		}
		// PostgreSQL takes LIMIT and OFFSET in either order.
		limits := clauseOrder[clause] == "LIMIT" && clauseOrder[max(seen, 0)] == "OFFSET" && s.Limit == nil
		if clause < seen && !limits {
			return p.errorAt(t.at, fmt.Sprintf("%s comes before %s", clauseOrder[clause], clauseOrder[seen]), "")
		}
		seen = max(clause, seen)
		p.i += len(strings.Fields(clauseOrder[clause]))
		if err := p.clause(s, clauseOrder[clause], t.at); err != nil {
			return err
		}
	}
}

func (p *parser) clause(s *Select, name string, at Pos) (err error) {
	switch name {
	case "WHERE":
		s.Where, err = p.expression()
	case "WINDOW":
		s.Window, err = p.window(at)
	case "GROUP BY":
		s.GroupByAt = at
		s.GroupBy, err = p.expressions()
	case "HAVING":
		s.HavingAt = at
		s.Having, err = p.expression()
	case "EMIT":
		s.Emit = &Emit{At: at, Final: p.tok().is("FINAL")}
		if !p.accept("FINAL") && !p.accept("CHANGES") {
			return p.errorAt(p.tok().at, fmt.Sprintf("expected CHANGES or FINAL, found %v", p.tok()), DidYouMean(p.tok().text, []string{"CHANGES", "FINAL"}))
		}
	case "TTL":
		s.TTLAt = at
		t := p.tok()
		if t.kind != tokString {
			return p.unexpected("an interval such as '30 days'")
		}
		p.advance()
		s.TTL = &String{At: t.at, Value: t.text}
	case "MAX GROUPS":
		t := p.tok()
		if t.kind != tokNumber {
			return p.unexpected("a number")
		}
		p.advance()
		s.MaxGroups = &Number{At: t.at, Text: t.text}
	case "ORDER BY":
		s.OrderByAt = at
		s.OrderBy, err = p.orderBy()
	case "LIMIT":
		s.Limit, err = p.rowCount()
	case "OFFSET":
		s.Offset, err = p.rowCount()
		if !p.accept("ROWS") {
			p.accept("ROW")
		}
	}
	return err
}

// notAClause explains what stands where a clause was expected; last is the clause before it, -1: none.
func (p *parser) notAClause(s *Select, last int) error {
	t := p.tok()
	expected := fmt.Sprintf("expected a clause or the end of the statement, found %v", t)
	switch {
	case t.is("JOIN"), t.is("LEFT"), t.is("RIGHT"), t.is("INNER"), t.is("FULL"), t.is("CROSS"), t.is("NATURAL"), t.is(",") && last < 0:
		return p.errorAt(t.at, "joins are not supported", "FROM takes one feed or table")
	case t.is(","):
		return p.errorAt(t.at, "a comma behind "+clauseOrder[last], p.commaHint(last))
	case t.is(")"):
		return p.errorAt(t.at, expected, "it closes nothing")
	case t.is("UNION"), t.is("INTERSECT"), t.is("EXCEPT"):
		return p.errorAt(t.at, upper(t.text)+" is not supported", "")
	case t.is("GROUP"), t.is("ORDER"):
		p.advance()
		return p.expect("BY", "")
	}
	hint := p.clauseHint(last)
	if hint == "" && t.kind == tokWord && last < 0 {
		hint = "a feed takes no alias"
	}
	return p.errorAt(t.at, expected, hint)
}

func (p *parser) expressions() ([]Expr, error) {
	var out []Expr
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if !p.accept(",") {
			return out, nil
		}
	}
}

func (p *parser) orderBy() ([]Order, error) {
	var out []Order
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		o := Order{Expr: e, Desc: p.accept("DESC")}
		if !o.Desc {
			p.accept("ASC")
		}
		if p.accept("NULLS") {
			switch {
			case p.accept("FIRST"):
				o.Nulls = "FIRST"
			case p.accept("LAST"):
				o.Nulls = "LAST"
			default:
				return nil, p.unexpected("FIRST or LAST")
			}
		}
		out = append(out, o)
		if !p.accept(",") {
			return out, nil
		}
	}
}

func (p *parser) rowCount() (Expr, error) {
	t := p.tok()
	switch t.kind {
	case tokNumber:
		p.advance()
		return &Number{At: t.at, Text: t.text}, nil
	case tokParam:
		p.advance()
		if p.tok().is("::") { // as SQLAlchemy writes it
			return p.postfix(paramOf(t))
		}
		return paramOf(t), nil
	}
	return nil, p.unexpected("a number of rows")
}

// window reads TUMBLING (SIZE 1 HOUR, GRACE 2 HOURS) [ON expr].
func (p *parser) window(at Pos) (*Window, error) {
	kind := p.tok()
	w := &Window{At: at, Kind: upper(kind.text), KindAt: kind.at}
	if !p.accept("TUMBLING") && !p.accept("HOPPING") && !p.accept("SESSION") {
		return nil, p.errorAt(kind.at, fmt.Sprintf("expected TUMBLING, HOPPING or SESSION, found %v", kind), DidYouMean(kind.text, []string{"TUMBLING", "HOPPING", "SESSION"}))
	}
	if err := p.expect("(", "write "+w.Kind+" (SIZE 1 HOUR)"); err != nil {
		return nil, err
	}
	for {
		param, err := p.windowParam()
		if err != nil {
			return nil, err
		}
		w.Params = append(w.Params, param)
		if !p.accept(",") {
			break
		}
	}
	if err := p.expect(")", ""); err != nil {
		return nil, err
	}
	if !p.accept("ON") {
		return w, nil
	}
	on, err := p.expression()
	w.On = on
	return w, err
}

func (p *parser) windowParam() (WindowParam, error) {
	names := []string{"SIZE", "ADVANCE", "GAP", "GRACE", "RETENTION"}
	t := p.tok()
	out := WindowParam{At: t.at, Name: upper(t.text)}
	known := false
	for _, n := range names {
		known = known || t.is(n)
	}
	if !known {
		hint := DidYouMean(t.text, names)
		if t.kind == tokNumber || t.kind == tokString {
			hint = "write SIZE 1 HOUR, of sessions GAP 5 MINUTES"
		}
		return out, p.errorAt(t.at, fmt.Sprintf("expected SIZE, ADVANCE BY, GAP, GRACE or RETENTION, found %v", t), hint)
	}
	p.advance()
	if out.Name == "ADVANCE" {
		if err := p.expect("BY", "write ADVANCE BY 5 MINUTES"); err != nil {
			return out, err
		}
	}
	length := p.tok()
	unit := p.ahead(1)
	switch {
	case length.kind == tokString:
		p.advance()
		out.Text = length.text
	case length.kind == tokNumber && unit.kind == tokWord:
		p.i += 2
		out.Text = length.text + " " + upper(unit.text)
	default:
		return out, p.unexpected("a length of time such as 1 HOUR")
	}
	return out, nil
}
