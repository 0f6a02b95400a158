package sql

import (
	"net/netip"
	"slices"
	"strings"
)

// What people write who think in another language, and what to write instead. Nothing here changes what is valid: it is
// asked when a text is wrong already.

// foreign are signs that no valid text has outside of quotes.
var foreign = []struct{ sign, hint string }{
	{"===", "equality is written ="}, {"==", "equality is written ="}, {"=!", "inequality is written <>"}, {"=>", "at least is written >="}, {"=<", "at most is written <="},
	{"&&", "write AND"}, {"**", "there is no power operator; multiply"}, {"//", "a comment begins with --"}, {"@>", "write value = ANY (array)"},
	{"->>", "fields are written with a dot: id.orig_h"}, {"->", "fields are written with a dot: id.orig_h"},
	{"!", "write NOT"}, {"&", "write AND"}, {"#", "a comment begins with --"}, {"?", "parameters are written $1, $2"}, {"@", "names stand bare, or in double quotes"},
	{":", "parameters are written $1, options name = value"}, {"\\", "commands with a backslash are psql's; a statement ends with ;"},
}

// foreignSign returns the sign that text begins with and what to write for it.
func foreignSign(text string) (sign, hint string) {
	for _, f := range foreign {
		if strings.HasPrefix(text, f.sign) {
			return f.sign, f.hint
		}
	}
	return "", ""
}

// bareAddress returns the address or network that text begins with, which a number was read of; empty: it does not.
func bareAddress(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:/", r) })
	if end < 0 {
		end = len(text)
	}
	text = strings.TrimRight(text[:end], ".:/")
	if _, err := netip.ParseAddr(text); err == nil {
		return text
	}
	if _, err := netip.ParsePrefix(text); err == nil {
		return text
	}
	return ""
}

// startsExpression reports whether the token can begin an expression.
func (t token) startsExpression() bool {
	switch t.kind {
	case tokWord:
		return !t.isReserved() || slices.Contains([]string{"CASE", "CAST", "NULL", "TRUE", "FALSE"}, upper(t.text))
	case tokQuoted, tokNumber, tokString, tokParam:
		return true
	}
	return t.is("(")
}

// before returns the token n places back; ahead of the text's start it is the end.
func (p *parser) before(n int) token {
	if p.i < n {
		return token{kind: tokEnd}
	}
	return p.tokens[p.i-n]
}

// missingFrom explains what stands where FROM was expected, behind the SELECT list.
func (p *parser) missingFrom(items []Item) error {
	t, last := p.tok(), items[len(items)-1]
	fail := func(at Pos, found, expected, hint string) error {
		return p.errorAt(at, "expected "+expected+", found "+found, hint)
	}
	if last.As != nil && last.As.At == p.before(1).at && !p.before(2).is("AS") {
		// A name without AS may be something else: what was written before it is whole.
		alias := p.before(1)
		switch {
		case Closest(alias.text, []string{"FROM"}) != "":
			return fail(alias.at, alias.String(), "FROM", DidYouMean(alias.text, []string{"FROM"}))
		case alias.is("FILTER"):
			return fail(t.at, t.String(), "(", "write FILTER (WHERE ..)")
		case alias.is("WITHIN"):
			return fail(alias.at, "WITHIN", "FROM", "percentiles are written approx_percentile(x, 0.95)")
		case t.is("("), t.is("."), t.is("["), t.is("::"):
			return fail(alias.at, alias.String(), "a comma or FROM", "is a comma missing before it?")
		}
	}
	column, _ := last.Expr.(*Column)
	switch {
	case column != nil && upper(column.Text) == "TOP" && t.kind == tokNumber:
		return fail(t.at, t.String(), "a comma or FROM", "a look-up ends in LIMIT "+t.text+", tables keep all rows")
	case p.bareInterval() != "":
		return fail(t.at, t.String(), "a comma or FROM", p.bareInterval())
	case t.kind == tokNumber && strings.HasPrefix(t.text, "."):
		return fail(t.at, t.String(), "a comma or FROM", "an array's element is written x["+t.text[1:]+"]")
	case t.is("WHERE") && p.before(1).is(")"):
		return fail(t.at, "WHERE", "FROM", "a condition for one aggregate is written FILTER (WHERE ..)")
	case t.startsExpression():
		return fail(t.at, t.String(), "a comma or FROM", DidYouMean(t.text, []string{"FROM"})+hintUnless(DidYouMean(t.text, []string{"FROM"}), "is a comma missing before it?"))
	case t.is(")"):
		return fail(t.at, ")", "FROM", "it closes nothing")
	}
	found := t.String()
	if t.is(";") {
		found = "the end of the statement"
	}
	return fail(t.at, found, "FROM", "say which feed or table: FROM dns")
}

// bareInterval says how an interval is written that has no quotes; empty: there is none at this place.
func (p *parser) bareInterval() string {
	if t := p.tok(); t.kind == tokNumber && p.before(1).is("INTERVAL") {
		return "write INTERVAL '" + t.text + " " + lower(p.ahead(1).text) + "'"
	}
	return ""
}

// hintUnless returns hint unless there is a better one.
func hintUnless(better, hint string) string {
	if better != "" {
		return ""
	}
	return hint
}

// matchers are other languages' words for comparing texts.
var matchers = map[string]string{
	"REGEXP": "regular expressions are matched by ~", "RLIKE": "regular expressions are matched by ~", "MATCHES": "regular expressions are matched by ~",
	"SIMILAR": "regular expressions are matched by ~", "GLOB": "write LIKE 'a%'", "CONTAINS": "write LIKE '%..%', or value = ANY (array)",
	"STARTSWITH": "write LIKE 'a%'", "ENDSWITH": "write LIKE '%a'", "HAS": "write value = ANY (array)",
	"DIV": "write /, which of whole numbers is whole", "MOD": "write %", "XOR": "write <>", "EQ": "write =", "NE": "write <>",
}

// clauseHint says what to write instead of what stands where a clause was expected. last is the clause before it, -1: none.
func (p *parser) clauseHint(last int) string {
	t, next := p.tok(), p.ahead(1)
	clause := ""
	if last >= 0 {
		clause = clauseOrder[last]
	}
	switch {
	case p.bareInterval() != "":
		return p.bareInterval()
	case t.is("NOT") && (next.is("NULL") || next.is("IS")):
		return "write IS NOT NULL"
	case t.is("CREATE"):
		return "a statement ends with ;"
	case t.is("WITH"):
		return "WITH stands behind the table's name"
	case t.is("FETCH"), t.is("TOP"):
		return "write LIMIT 10"
	case (t.is("SORT") || t.is("CLUSTER") || t.is("PARTITION")) && next.is("BY"):
		return "write ORDER BY, in tables GROUP BY"
	case next.is("BY") && t.kind == tokWord:
		if near := Closest(t.text, []string{"GROUP", "ORDER"}); near != "" {
			return "did you mean " + near + " BY?"
		}
	}
	if t.kind == tokWord {
		if hint, ok := matchers[upper(t.text)]; ok && last >= 0 {
			return hint
		}
		words := clauseOrder
		switch clause {
		case "ORDER BY":
			words = append([]string{"DESC", "ASC", "NULLS"}, clauseOrder...)
		case "WHERE", "HAVING":
			words = append([]string{"AND", "OR", "LIKE", "BETWEEN"}, clauseOrder...)
		}
		if hint := DidYouMean(t.text, words); hint != "" {
			return hint
		}
	}
	switch {
	case !t.startsExpression():
		return ""
	case clause == "GROUP BY" || clause == "ORDER BY":
		return "is a comma missing before it?"
	case clause == "WHERE" || clause == "HAVING":
		return "is AND or an operator missing before it?"
	}
	return ""
}

// commaHint says what to write instead of a comma behind a clause.
func (p *parser) commaHint(last int) string {
	switch clauseOrder[last] {
	case "WHERE", "HAVING":
		return "conditions are joined by AND"
	case "LIMIT":
		if n := p.ahead(1); n.kind == tokNumber {
			return "write LIMIT " + n.text + " OFFSET " + p.before(1).text
		}
	}
	return "leave it out"
}

// statements of other languages, by their first word.
var statements = map[string]string{
	"INSERT": "tables change with their feeds alone", "UPDATE": "tables change with their feeds alone", "DELETE": "tables change with their feeds alone",
	"ALTER": "tables change with their feeds alone", "TRUNCATE": "tables change with their feeds alone", "MERGE": "tables change with their feeds alone",
	"COPY": "tables change with their feeds alone", "DROP": "`brotally reset TABLE` forgets a table",
	"WITH": "WITH queries are not supported",
	"SHOW": "`brotally feeds` lists the feeds, GET /api/v1/tables the tables", "DESCRIBE": "`brotally feeds NAME` lists a feed's columns", "DESC": "`brotally feeds NAME` lists a feed's columns",
	"SET": "settings are WITH options, or flags", "USE": "there is one database", "BEGIN": "there are no transactions to write", "COMMIT": "there are no transactions to write",
	"FROM": "SELECT comes first",
}

// created are other things that languages create.
var created = map[string]string{
	"VIEW": "a TABLE is kept up to date as its feed grows", "MATERIALIZED": "a TABLE is kept up to date as its feed grows", "SINK": "a TABLE's result is a topic",
	"TEMP": "leave it out", "TEMPORARY": "leave it out", "EXTERNAL": "feeds are known; `brotally feeds` lists them", "SOURCE": "feeds are known; `brotally feeds` lists them",
	"INDEX": "a look-up by the whole key needs none", "FUNCTION": "the functions are built in",
}

// keywordHint says how a column with the name of a keyword is written, where that may be what was meant; where the keyword
// goes on with the statement, something before it is not whole.
func (p *parser) keywordHint(t token) string {
	next := p.ahead(1)
	switch {
	case t.is("FROM") && p.before(1).is("*") && p.before(2).is("COUNT"):
		return "write count(*)"
	case t.is("ISNULL") && next.is("("):
		return "write coalesce(a, b)"
	case t.is("SELECT"):
		return "subqueries are not supported"
	case t.is("FROM") && !next.is(",") && !next.is("FROM") && !next.is("AS"),
		next.is("BY"), t.is("WHERE"), t.is("HAVING"), t.is("LIMIT"), t.is("THEN"), t.is("ELSE"), t.is("AND"), t.is("OR"):
		return "something is missing before it"
	}
	return "a column of that name is written " + quoteName(lower(t.text))
}
