package sql

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func genName() *rapid.Generator[Name] {
	return rapid.Custom(func(t *rapid.T) Name {
		text := rapid.SampledFrom([]string{"a", "ts", "id.orig_h", "AA", "count", "key", "from", "select", "1st", "a b", `q"u`, "é", "window", "x.from", "."}).Draw(t, "name")
		return Name{Text: text, Quoted: true}
	})
}

// genExpr makes any expression that the parser can make.
func genExpr(depth int) *rapid.Generator[Expr] {
	leaf := rapid.OneOf(
		rapid.Map(genName(), func(n Name) Expr { return &Column{n} }),
		rapid.Map(rapid.SampledFrom([]string{"0", "1.5", ".5", "1e9", "99999999999999999999"}), func(s string) Expr { return &Number{Text: s} }),
		rapid.Map(rapid.SampledFrom([]string{"", "x", "it's", "--", "/*", "\n", "é"}), func(s string) Expr { return &String{Value: s} }),
		rapid.Map(rapid.Bool(), func(b bool) Expr { return &Bool{Value: b} }),
		rapid.Just[Expr](&Null{}),
		rapid.Map(rapid.IntRange(1, 65535), func(n int) Expr { return &Param{N: n} }),
		rapid.Just[Expr](&Typed{Type: TypeName{Name: "interval"}, Value: String{Value: "1 hour"}}),
		rapid.Just[Expr](&Call{Name: "count", Star: true}),
	)
	if depth == 0 {
		return leaf
	}
	sub := rapid.Deferred(func() *rapid.Generator[Expr] { return genExpr(depth - 1) })
	node := rapid.Custom(func(t *rapid.T) Expr {
		x := func() Expr { return sub.Draw(t, "operand") }
		maybe := func() Expr {
			if rapid.Bool().Draw(t, "absent") {
				return nil
			}
			return x()
		}
		list := func() []Expr { return rapid.SliceOfN(sub, 1, 3).Draw(t, "list") }
		not := rapid.Bool().Draw(t, "not")
		typ := rapid.SampledFrom([]TypeName{{Name: "bigint"}, {Name: "text", Array: true}, {Name: "double precision"}}).Draw(t, "type")
		compare := rapid.SampledFrom([]string{"=", "<>", "<", "<=", ">", ">="})
		switch rapid.IntRange(0, 13).Draw(t, "node") {
		case 0:
			return &Unary{Op: rapid.SampledFrom([]string{"-", "+", "NOT"}).Draw(t, "op"), X: x()}
		case 1:
			return &Is{X: x(), Not: not, What: rapid.SampledFrom([]string{"NULL", "TRUE", "FALSE", "UNKNOWN"}).Draw(t, "what")}
		case 2:
			return &IsDistinct{X: x(), Y: x(), Not: not}
		case 3:
			return &In{X: x(), Not: not, List: list()}
		case 4:
			return &Between{X: x(), Low: x(), High: x(), Not: not}
		case 5:
			return &Like{X: x(), Not: not, Fold: rapid.Bool().Draw(t, "fold"), Pattern: x(), Escape: maybe()}
		case 6:
			return &Any{Op: compare.Draw(t, "op"), X: x(), Array: x()}
		case 7:
			return &Case{Operand: maybe(), Whens: []When{{x(), x()}, {x(), x()}}[:rapid.IntRange(1, 2).Draw(t, "whens")], Else: maybe()}
		case 8:
			return &Cast{X: x(), Type: typ}
		case 9:
			return &Call{Name: "f", Distinct: not, Args: list(), Filter: maybe()}
		case 10:
			return &Extract{Field: "epoch", X: x()}
		case 11:
			return &Index{X: x(), I: x()}
		}
		ops := []string{"OR", "AND", "=", "<", "<>", "||", "~", "!~*", "+", "-", "*", "/", "%"}
		return &Binary{Op: rapid.SampledFrom(ops).Draw(t, "op"), X: x(), Y: x()}
	})
	return rapid.OneOf(leaf, node, node)
}

func TestEveryTreePrintsAsATextThatParsesToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &Select{From: genName().Draw(t, "from"), Items: []Item{{Expr: genExpr(4).Draw(t, "expr")}}}
		if rapid.Bool().Draw(t, "named") {
			as := genName().Draw(t, "as")
			q.Items[0].As = &as
		}
		if rapid.Bool().Draw(t, "aliased") {
			as := genName().Draw(t, "alias")
			q.FromAs, q.Items = &as, append(q.Items, Item{Expr: &Star{Of: &as}})
		}
		if rapid.Bool().Draw(t, "clauses") {
			q.Where, q.Having, q.GroupBy = genExpr(2).Draw(t, "where"), genExpr(2).Draw(t, "having"), []Expr{genExpr(2).Draw(t, "group")}
			q.Distinct, q.Emit, q.TTL, q.MaxGroups = &Flag{}, &Emit{Final: true}, &String{Value: "1 day"}, &Number{Text: "5"}
			q.Window = &Window{Kind: "HOPPING", Params: []WindowParam{{Name: "SIZE", Text: "1 HOUR"}, {Name: "ADVANCE", Text: "5 MINUTES"}}, On: genExpr(2).Draw(t, "on")}
			q.OrderBy = []Order{{Expr: genExpr(2).Draw(t, "order"), Desc: true, Nulls: "LAST"}, {Expr: genExpr(1).Draw(t, "order")}}
			q.Limit, q.Offset = &Number{Text: "10"}, &Param{N: 1}
		}
		name, with := genName().Draw(t, "name"), []Option{{Name: Name{Text: "topic"}, Value: &String{Value: "x"}}}
		var want Statement = &CreateTable{Name: name, With: with, Query: q}
		if rapid.Bool().Draw(t, "stream") {
			want = &CreateStream{Name: name, With: append(with, Option{Name: Name{Text: "key"}, Value: &Column{genName().Draw(t, "key")}}), Query: q}
		}
		text := Format(want)
		got, err := ParseStatement("", text)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		opts := cmp.Options{cmpopts.IgnoreTypes(Pos(0), &Source{}), cmpopts.IgnoreFields(Name{}, "Quoted")}
		if diff := cmp.Diff(want, got, opts); diff != "" {
			t.Fatalf("%s\n%s", text, diff)
		}
	})
}
