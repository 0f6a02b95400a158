package sql

import (
	"fmt"
	"strconv"
	"strings"
)

// Format returns the canonical text of a statement or an expression: keywords in capitals, one clause a line, names in
// quotes only where they need them, parentheses only where precedence does. Parsing it gives the same tree, and
// formatting that the same text. A statement's text has no semicolon.
func Format(n Node) string {
	var w printer
	switch n := n.(type) {
	case *CreateTable:
		w.create("TABLE", n.Name, n.With, n.Query)
	case *CreateStream:
		w.create("STREAM", n.Name, n.With, n.Query)
	case *Select:
		w.selectQuery(n)
	case *Explain:
		w.WriteString("EXPLAIN ")
		w.selectQuery(n.Query)
	case Name:
		w.name(n)
	case TypeName:
		w.typeName(n)
	case Expr:
		w.expr(n, 0)
	default:
		panic(fmt.Sprintf("sql: Format of %T", n))
	}
	return w.String()
}

type printer struct{ strings.Builder }

func (w *printer) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// name prints a name bare when the parser would read it as the same one, else in quotes.
func (w *printer) name(n Name) { w.WriteString(written(n)) }

// Identifier returns a column's or a table's name as a query names that one and no other: in quotes where it needs them.
func Identifier(name string) string { return written(Name{Text: name, Quoted: true}) }

func written(n Name) string {
	if isBare(n.Text, n.Quoted) {
		return n.Text
	}
	return quoteName(n.Text)
}

// isBare reports whether the name can stand without quotes. In quotes case counts, so that a quoted name with capitals
// keeps its quotes.
func isBare(text string, quoted bool) bool {
	for i, part := range strings.Split(text, ".") {
		if part == "" || i == 0 && IsReserved(part) || quoted && part != strings.ToLower(part) {
			return false
		}
		for j, r := range part {
			if j == 0 && !isNameStart(r) || !isNamePart(r) {
				return false
			}
		}
	}
	return true
}

func quoteName(s string) string   { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func quoteString(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (w *printer) create(what string, name Name, with []Option, query *Select) {
	w.printf("CREATE %s ", what)
	w.name(name)
	if len(with) > 0 {
		w.WriteString(" WITH (")
		for i, o := range with {
			w.comma(i)
			w.name(o.Name)
			w.WriteString(" = ")
			w.expr(o.Value, 0)
		}
		w.WriteString(")")
	}
	w.WriteString(" AS\n")
	w.selectQuery(query)
}

func (w *printer) comma(i int) {
	if i > 0 {
		w.WriteString(", ")
	}
}

func (w *printer) list(es []Expr) {
	for i, e := range es {
		w.comma(i)
		w.expr(e, 0)
	}
}

func (w *printer) selectQuery(s *Select) {
	w.WriteString("SELECT ")
	if s.Distinct != nil {
		w.WriteString("DISTINCT ")
	}
	for i, item := range s.Items {
		w.comma(i)
		w.expr(item.Expr, 0)
		if item.As != nil {
			w.WriteString(" AS ")
			w.name(*item.As)
		}
	}
	w.WriteString("\nFROM ")
	w.name(s.From)
	if s.FromAs != nil {
		w.WriteString(" AS ")
		w.name(*s.FromAs)
	}
	if s.Where != nil {
		w.WriteString("\nWHERE ")
		w.expr(s.Where, 0)
	}
	if s.Window != nil {
		w.window(s.Window)
	}
	if len(s.GroupBy) > 0 {
		w.WriteString("\nGROUP BY ")
		w.list(s.GroupBy)
	}
	if s.Having != nil {
		w.WriteString("\nHAVING ")
		w.expr(s.Having, 0)
	}
	if s.Emit != nil {
		w.WriteString("\nEMIT " + map[bool]string{true: "FINAL", false: "CHANGES"}[s.Emit.Final])
	}
	if s.TTL != nil {
		w.WriteString("\nTTL " + quoteString(s.TTL.Value))
	}
	if s.MaxGroups != nil {
		w.WriteString("\nMAX GROUPS " + s.MaxGroups.Text)
	}
	if len(s.OrderBy) > 0 {
		w.WriteString("\nORDER BY ")
		w.orderBy(s.OrderBy)
	}
	if s.Limit != nil {
		w.WriteString("\nLIMIT ")
		w.expr(s.Limit, 0)
	}
	if s.Offset != nil {
		w.WriteString("\nOFFSET ")
		w.expr(s.Offset, 0)
	}
}

func (w *printer) window(x *Window) {
	w.printf("\nWINDOW %s (", x.Kind)
	for i, p := range x.Params {
		w.comma(i)
		w.WriteString(p.Name)
		if p.Name == "ADVANCE" {
			w.WriteString(" BY")
		}
		w.WriteString(" " + quoteString(p.Text))
	}
	w.WriteString(")")
	if x.On != nil {
		w.WriteString(" ON ")
		w.expr(x.On, 0)
	}
}

func (w *printer) orderBy(orders []Order) {
	for i, o := range orders {
		w.comma(i)
		w.expr(o.Expr, 0)
		if o.Desc {
			w.WriteString(" DESC")
		}
		if o.Nulls != "" {
			w.WriteString(" NULLS " + o.Nulls)
		}
	}
}

func (w *printer) typeName(t TypeName) {
	w.WriteString(t.Name)
	if t.Array {
		w.WriteString("[]")
	}
}

// precOf is how tight the outermost operator of e binds.
func precOf(e Expr) int {
	switch e := e.(type) {
	case *Unary:
		if e.Op == "NOT" {
			return precNot
		}
		return precSign
	case *Binary:
		return binaryPrec[e.Op]
	case *Is, *IsDistinct:
		return precIs
	case *Any:
		return precCompare
	case *In, *Between, *Like:
		return precLike
	case *Cast, *Index:
		return precPostfix
	}
	return precPrimary
}

// expr prints e, in parentheses if it binds looser than prec.
func (w *printer) expr(e Expr, prec int) {
	if precOf(e) < prec {
		w.WriteString("(")
		defer w.WriteString(")")
	}
	not := func(not bool) string {
		if not {
			return " NOT"
		}
		return ""
	}
	switch e := e.(type) {
	case *Column:
		w.name(e.Name)
	case *Star:
		if e.Of != nil {
			w.name(*e.Of)
			w.WriteString(".")
		}
		w.WriteString("*")
	case *Number:
		w.WriteString(e.Text)
	case *String:
		w.WriteString(quoteString(e.Value))
	case *Bool:
		w.WriteString(upper(strconv.FormatBool(e.Value)))
	case *Null:
		w.WriteString("NULL")
	case *Typed:
		w.WriteString(upper(e.Type.Name) + " " + quoteString(e.Value.Value))
	case *Param:
		w.printf("$%d", e.N)
	case *Unary:
		w.unary(e)
	case *Binary:
		p := precOf(e)
		left := p
		if p == precCompare {
			left = p + 1
		}
		w.expr(e.X, left)
		w.printf(" %s ", e.Op)
		w.expr(e.Y, p+1)
	case *Is:
		w.expr(e.X, precIs)
		w.printf(" IS%s %s", not(e.Not), e.What)
	case *IsDistinct:
		w.expr(e.X, precIs)
		w.printf(" IS%s DISTINCT FROM ", not(e.Not))
		w.expr(e.Y, precIs+1)
	case *Any:
		w.expr(e.X, precCompare+1)
		w.printf(" %s ANY (", e.Op)
		w.expr(e.Array, 0)
		w.WriteString(")")
	case *In:
		w.expr(e.X, precLike+1)
		w.printf("%s IN (", not(e.Not))
		w.list(e.List)
		w.WriteString(")")
	case *Between:
		w.expr(e.X, precLike+1)
		w.printf("%s BETWEEN ", not(e.Not))
		w.expr(e.Low, precLike+1)
		w.WriteString(" AND ")
		w.expr(e.High, precLike+1)
	case *Like:
		w.like(e, not(e.Not))
	case *Case:
		w.caseWhen(e)
	case *Cast:
		w.expr(e.X, precPostfix)
		w.WriteString("::")
		w.typeName(e.Type)
	case *Call:
		w.call(e)
	case *Extract:
		w.printf("extract(%s FROM ", extractField(e.Field))
		w.expr(e.X, 0)
		w.WriteString(")")
	case *Index:
		w.expr(e.X, precPostfix)
		w.WriteString("[")
		w.expr(e.I, 0)
		w.WriteString("]")
	}
}

// extractField prints a field bare where the parser reads it so.
func extractField(field string) string {
	if isBare(field, true) && !strings.Contains(field, ".") {
		return field
	}
	return quoteString(field)
}

func (w *printer) unary(e *Unary) {
	w.WriteString(e.Op)
	prec := precSign
	inner, signed := e.X.(*Unary)
	switch {
	case e.Op == "NOT":
		prec = precNot
		w.WriteString(" ")
	case signed && inner.Op == e.Op: // two signs in a row would begin a comment
		w.WriteString(" ")
	}
	w.expr(e.X, prec)
}

func (w *printer) like(e *Like, not string) {
	op := "LIKE"
	if e.Fold {
		op = "ILIKE"
	}
	w.expr(e.X, precLike+1)
	w.printf("%s %s ", not, op)
	w.expr(e.Pattern, precLike+1)
	if e.Escape != nil {
		w.WriteString(" ESCAPE ")
		w.expr(e.Escape, precLike+1)
	}
}

func (w *printer) caseWhen(e *Case) {
	w.WriteString("CASE")
	if e.Operand != nil {
		w.WriteString(" ")
		w.expr(e.Operand, 0)
	}
	for _, x := range e.Whens {
		w.WriteString(" WHEN ")
		w.expr(x.Cond, 0)
		w.WriteString(" THEN ")
		w.expr(x.Then, 0)
	}
	if e.Else != nil {
		w.WriteString(" ELSE ")
		w.expr(e.Else, 0)
	}
	w.WriteString(" END")
}

func (w *printer) call(e *Call) {
	w.WriteString(e.Name + "(")
	if e.Star {
		w.WriteString("*")
	}
	if e.Distinct {
		w.WriteString("DISTINCT ")
	}
	w.list(e.Args)
	w.WriteString(")")
	if e.Filter != nil {
		w.WriteString(" FILTER (WHERE ")
		w.expr(e.Filter, 0)
		w.WriteString(")")
	}
}
