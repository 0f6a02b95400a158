package sql

// Node is any part of the syntax tree. Pos is where an error about it points: the start of a name, literal or call,
// the operator of an operation.
type Node interface{ Pos() Pos }

// Statement is *CreateTable, *CreateStream, *Select or *Explain.
type Statement interface {
	Node
	statement()
}

// Expr is an expression.
type Expr interface {
	Node
	expr()
}

// Name is a name as written, without quotes. A dotted name is one Name: id.orig_h.
type Name struct {
	At     Pos
	Text   string
	Quoted bool // written in quotes: case counts
}

// CreateTable is CREATE TABLE name [WITH (..)] AS query.
type CreateTable struct {
	Source *Source
	At     Pos
	Name   Name
	With   []Option
	Query  *Select
}

// CreateStream is CREATE STREAM name [WITH (..)] AS query.
type CreateStream struct {
	Source *Source
	At     Pos
	Name   Name
	With   []Option
	Query  *Select
}

// Option is one setting of a WITH list.
type Option struct {
	Name  Name
	Value Expr // *String, *Number, *Bool, a *Unary minus over a *Number, or, for the option key, a *Column
}

// Select is SELECT .. FROM .., as the query of a CREATE and as a look-up. Clauses that were not written are nil, so
// what a context does not allow is refused by whoever compiles it.
type Select struct {
	Source    *Source
	At        Pos
	Distinct  *Flag // DISTINCT
	Items     []Item
	From      Name
	FromAs    *Name // the name that a look-up gives what it reads; nil: none
	Where     Expr
	Window    *Window
	GroupBy   []Expr
	GroupByAt Pos
	Having    Expr
	HavingAt  Pos
	Emit      *Emit
	TTL       *String // an interval: '30 days'
	TTLAt     Pos
	MaxGroups *Number
	OrderBy   []Order
	OrderByAt Pos
	Limit     Expr // *Number, *Param or its *Cast
	Offset    Expr // *Number, *Param or its *Cast
}

// Flag is a keyword that is there.
type Flag struct{ At Pos }

// Item is one expression of a SELECT list.
type Item struct {
	Expr Expr  // *Star for *
	As   *Name // nil when not named
}

// Window is WINDOW TUMBLING (SIZE 1 HOUR, ..) [ON expr].
type Window struct {
	At     Pos
	Kind   string // TUMBLING, HOPPING or SESSION
	KindAt Pos
	Params []WindowParam
	On     Expr // nil: the feed's ts
}

// WindowParam is one parameter of a window: SIZE, ADVANCE (written ADVANCE BY), GAP, GRACE or RETENTION.
type WindowParam struct {
	At   Pos
	Name string
	Text string // an interval such as `1 HOUR`
}

// Emit is EMIT CHANGES or EMIT FINAL.
type Emit struct {
	At    Pos
	Final bool
}

// Order is one expression of ORDER BY.
type Order struct {
	Expr  Expr
	Desc  bool
	Nulls string // "", FIRST or LAST; "" is LAST for ascending, FIRST for descending, as in PostgreSQL
}

// Column is a column by name, dotted or not.
type Column struct{ Name }

// Star is the * of SELECT *.
type Star struct {
	At Pos
	Of *Name // x of x.*; nil: bare
}

// Number is a number without sign, as written.
type Number struct {
	At   Pos
	Text string
}

// String is a 'string'.
type String struct {
	At    Pos
	Value string
}

// Bool is TRUE or FALSE.
type Bool struct {
	At    Pos
	Value bool
}

// Null is NULL.
type Null struct{ At Pos }

// Typed is a literal with its type before it: INTERVAL '1 hour', TIMESTAMP '2026-11-23'.
type Typed struct {
	At    Pos
	Type  TypeName
	Value String
}

// Param is a bound parameter, $1.
type Param struct {
	At Pos
	N  int // from 1
}

// Unary is -x, +x or NOT x.
type Unary struct {
	At Pos
	Op string // "-", "+", "NOT"
	X  Expr
}

// Binary is x op y; At is the operator's place.
type Binary struct {
	At   Pos
	Op   string // OR AND = <> < <= > >= || ~ !~ ~* !~* + - * / %
	X, Y Expr
}

// Is is x IS [NOT] NULL, TRUE, FALSE or UNKNOWN.
type Is struct {
	At   Pos
	X    Expr
	Not  bool
	What string // NULL, TRUE, FALSE, UNKNOWN
}

// IsDistinct is x IS [NOT] DISTINCT FROM y.
type IsDistinct struct {
	At   Pos
	X, Y Expr
	Not  bool
}

// In is x [NOT] IN (a, b, ..).
type In struct {
	At   Pos
	X    Expr
	Not  bool
	List []Expr
}

// Between is x [NOT] BETWEEN low AND high.
type Between struct {
	At           Pos
	X, Low, High Expr
	Not          bool
}

// Like is x [NOT] LIKE|ILIKE pattern [ESCAPE e].
type Like struct {
	At      Pos
	X       Expr
	Not     bool
	Fold    bool // ILIKE
	Pattern Expr
	Escape  Expr // nil: a backslash
}

// Any is x op ANY (array).
type Any struct {
	At    Pos
	Op    string // = <> < <= > >=
	X     Expr
	Array Expr
}

// Case is CASE [operand] WHEN .. THEN .. [ELSE ..] END.
type Case struct {
	At      Pos
	Operand Expr // nil: each WHEN is a condition
	Whens   []When
	Else    Expr // nil: NULL
}

// When is one branch of a Case.
type When struct{ Cond, Then Expr }

// Cast is CAST(x AS type) or x::type.
type Cast struct {
	At   Pos
	X    Expr
	Type TypeName
}

// TypeName is a type as written, lower case, blanks made one: `double precision`.
type TypeName struct {
	At    Pos
	Name  string
	Array bool // type[]
}

// Call is a function or aggregate: count(*), sum(DISTINCT x) FILTER (WHERE y > 0).
type Call struct {
	At       Pos
	Name     string // lower case
	Star     bool   // f(*)
	Distinct bool
	Args     []Expr
	Filter   Expr // nil: none
	FilterAt Pos
}

// Extract is extract(field FROM x).
type Extract struct {
	At      Pos
	Field   string // lower case: epoch, hour, ..
	FieldAt Pos
	X       Expr
}

// Index is x[i].
type Index struct {
	At   Pos
	X, I Expr
}

func (s *CreateTable) statement()  {}
func (s *CreateStream) statement() {}
func (s *Select) statement()       {}

// Pos is where the statement begins.
func (s *CreateTable) Pos() Pos { return s.At }

// Pos is where the statement begins.
func (s *CreateStream) Pos() Pos { return s.At }

// Pos is where the statement begins.
func (s *Select) Pos() Pos { return s.At }

// Pos is where the name begins.
func (n Name) Pos() Pos { return n.At }

// Pos is where the type begins.
func (t TypeName) Pos() Pos { return t.At }

// Pos of each expression: see Node.
func (e *Star) Pos() Pos       { return e.At }
func (e *Number) Pos() Pos     { return e.At }
func (e *String) Pos() Pos     { return e.At }
func (e *Bool) Pos() Pos       { return e.At }
func (e *Null) Pos() Pos       { return e.At }
func (e *Typed) Pos() Pos      { return e.At }
func (e *Param) Pos() Pos      { return e.At }
func (e *Unary) Pos() Pos      { return e.At }
func (e *Binary) Pos() Pos     { return e.At }
func (e *Is) Pos() Pos         { return e.At }
func (e *IsDistinct) Pos() Pos { return e.At }
func (e *In) Pos() Pos         { return e.At }
func (e *Between) Pos() Pos    { return e.At }
func (e *Like) Pos() Pos       { return e.At }
func (e *Any) Pos() Pos        { return e.At }
func (e *Case) Pos() Pos       { return e.At }
func (e *Cast) Pos() Pos       { return e.At }
func (e *Call) Pos() Pos       { return e.At }
func (e *Extract) Pos() Pos    { return e.At }
func (e *Index) Pos() Pos      { return e.At }

func (e *Column) expr()     {}
func (e *Star) expr()       {}
func (e *Number) expr()     {}
func (e *String) expr()     {}
func (e *Bool) expr()       {}
func (e *Null) expr()       {}
func (e *Typed) expr()      {}
func (e *Param) expr()      {}
func (e *Unary) expr()      {}
func (e *Binary) expr()     {}
func (e *Is) expr()         {}
func (e *IsDistinct) expr() {}
func (e *In) expr()         {}
func (e *Between) expr()    {}
func (e *Like) expr()       {}
func (e *Any) expr()        {}
func (e *Case) expr()       {}
func (e *Cast) expr()       {}
func (e *Call) expr()       {}
func (e *Extract) expr()    {}
func (e *Index) expr()      {}

// Children returns the expressions directly below e, in the order they were written.
func Children(e Expr) []Expr {
	var out []Expr
	add := func(es ...Expr) {
		for _, e := range es {
			if e != nil {
				out = append(out, e)
			}
		}
	}
	switch e := e.(type) {
	case *Unary:
		add(e.X)
	case *Binary:
		add(e.X, e.Y)
	case *Is:
		add(e.X)
	case *IsDistinct:
		add(e.X, e.Y)
	case *In:
		add(e.X)
		add(e.List...)
	case *Between:
		add(e.X, e.Low, e.High)
	case *Like:
		add(e.X, e.Pattern, e.Escape)
	case *Any:
		add(e.X, e.Array)
	case *Case:
		add(e.Operand)
		for _, w := range e.Whens {
			add(w.Cond, w.Then)
		}
		add(e.Else)
	case *Cast:
		add(e.X)
	case *Call:
		add(e.Args...)
		add(e.Filter)
	case *Extract:
		add(e.X)
	case *Index:
		add(e.X, e.I)
	}
	return out
}

// Walk calls visit for e and, where that returns true, for everything below it, in the order written.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	for _, c := range Children(e) {
		Walk(c, visit)
	}
}
