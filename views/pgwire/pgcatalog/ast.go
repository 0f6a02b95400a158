package pgcatalog

// expr is an expression.
type expr interface{}

type (
	// column is a column, or a whole row, by its name's parts.
	column struct {
		at    int
		parts []string
	}
	star     struct{ of string } // * or of.*
	constant struct {
		value Value
		typ   uint32 // unknown for a 'string', which takes on what its place needs
	}
	param struct{ n int } // from 1
	unary struct {
		op string // - + not ~
		x  expr
	}
	operation struct {
		at   int
		op   string
		x, y expr
	}
	isTest struct {
		x    expr
		not  bool
		what string // null true false unknown
	}
	inList struct {
		x    expr
		not  bool
		list []expr
		sub  *query // instead of list
	}
	quantified struct { // x op ANY (array)
		at   int
		op   string
		all  bool
		x, y expr   // y is an array
		sub  *query // instead of y
	}
	between struct {
		x, low, high expr
		not          bool
	}
	caseWhen struct {
		operand expr // nil: each when is a condition
		whens   [][2]expr
		other   expr
	}
	cast struct {
		at  int
		x   expr
		typ typeName
	}
	call struct {
		at       int
		name     string // without pg_catalog before it
		args     []expr
		star     bool
		distinct bool
		order    []ordering
		filter   expr
		over     *window
	}
	window struct {
		partition []expr
		order     []ordering
	}
	arrayOf   struct{ list []expr }
	arrayFrom struct{ sub *query }
	subquery  struct{ sub *query }
	exists    struct{ sub *query }
	row       struct{ list []expr }
	index     struct {
		x, i, upto expr
		slice      bool
	}
	field struct {
		at   int
		x    expr
		name string
	}
)

type typeName struct {
	name  string // lower case, without schema and length
	array bool
}

type ordering struct {
	x          expr
	desc       bool
	nullsFirst bool
}

type item struct {
	x  expr
	as string
}

// query is a SELECT, VALUES, or a combination of them, with what stands around.
type query struct {
	with   []cte
	body   body
	order  []ordering
	limit  expr
	offset expr
}

// body is *selection, *values or *combination.
type body interface{}

type cte struct {
	name    string
	columns []string
	query   *query
}

type selection struct {
	distinct   bool
	distinctOn []expr
	items      []item
	from       []source
	where      expr
	group      []expr
	having     expr
}

type values struct{ rows [][]expr }

type combination struct {
	op   string // union intersect except
	all  bool
	x, y *query
}

// source is *relation, *derived, *function or *join.
type source interface{}

type relation struct {
	at           int
	schema, name string
	alias        string
	columns      []string
}

type derived struct {
	query   *query
	lateral bool
	alias   string
	columns []string
}

type function struct {
	call       *call
	alias      string
	columns    []string
	ordinality bool
}

type join struct {
	kind    string // inner left right full cross
	x, y    source
	on      expr
	using   []string
	natural bool
}
