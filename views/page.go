package views

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// A page of rows says where it ended: by the values that its last row has in the order's columns, not by a count. So the next
// page begins behind that row, wherever it is by then, and a row whose values in these columns stay is on one page exactly.

// page is what a rows request says of pages.
type page struct {
	order []by // ends with the group columns and [tables.Place], so that no two rows are equal in it
	types []feeds.Kind
	limit int64  // rows of a page
	hash  []byte // of what must be the same in all requests for one sequence of pages
}

const (
	tokenVersion = 1
	tokenHash    = 8 // bytes
	// maxToken is how long a token may be, in characters: it has to fit a URL. Values of group columns, texts and arrays of
	// aggregates have 1 KiB at most.
	maxToken = 16 << 10
)

// newPage describes the pages of a request. Without an order it is that of the group columns.
func (v *View) newPage(filters []filter, order []by, limit *int64) *page {
	p := &page{limit: -1}
	if limit != nil {
		p.limit = *limit
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q", v.key)
	for _, f := range filters {
		fmt.Fprintf(sum, " %d.%s %q", f.column, f.operator, f.value.AppendKey(nil))
	}
	fmt.Fprintf(sum, " %v", order)
	p.hash = sum.Sum(nil)[:tokenHash]
	p.order = append(v.tieBreak(slices.Clone(order)), by{column: len(v.table.Columns)})
	for _, o := range p.order {
		kind := feeds.Bigint
		if o.column < len(v.table.Columns) {
			kind = v.table.Columns[o.column].Type.Kind
		}
		p.types = append(p.types, kind)
	}
	return p
}

// cut takes what only the page needed out of an answer, and notes where the next page begins.
func (p *page) cut(a *Answer) error {
	columns := len(a.Columns) - 1 // without the place
	a.Columns = a.Columns[:columns:columns]
	if p.limit >= 0 && int64(len(a.Rows)) > p.limit {
		a.Rows = a.Rows[:p.limit]
		for i, e := range a.Approximate {
			a.Approximate[i].Rows = slices.DeleteFunc(e.Rows, func(row int) bool { return int64(row) >= p.limit })
		}
		for i := len(a.Approximate) - 1; i >= 0; i-- {
			if len(a.Approximate[i].Rows) == 0 {
				a.Approximate = slices.Delete(a.Approximate, i, i+1)
			}
		}
		var err error
		if a.next, err = p.token(a.Rows[p.limit-1]); err != nil {
			return err
		}
	}
	for i, row := range a.Rows {
		a.Rows[i] = row[:columns:columns]
	}
	return nil
}

// token says that a page ended with the row.
func (p *page) token(row []feeds.Value) (string, error) {
	b := append([]byte{tokenVersion}, p.hash...)
	for _, o := range p.order {
		b = row[o.column].AppendKey(b)
	}
	token := base64.RawURLEncoding.EncodeToString(b)
	if len(token) > maxToken {
		return "", bad("too_long", "the values that the next page begins behind are too long for a URL", "order by columns with shorter values, or use offset")
	}
	return token, nil
}

// read returns the values of the order's columns in the row that a page ended with.
func (p *page) read(token string) (values []feeds.Value, err error) {
	if len(token) > maxToken {
		return nil, errNoToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	switch {
	case err != nil || len(b) == 0:
		return nil, errNoToken
	case b[0] != tokenVersion || len(b) < 1+tokenHash:
		return nil, errNoToken
	case string(b[1:1+tokenHash]) != string(p.hash):
		return nil, bad("bad_token", "after: the token is of a request with other filters or another order, or of an earlier definition of the table", "begin again without after")
	}
	rest := string(b[1+tokenHash:])
	for _, kind := range p.types {
		var value feeds.Value
		var ok bool
		if value, rest, ok = feeds.ReadKey(rest); !ok || !value.IsNull() && value.Kind() != kind {
			return nil, errNoToken
		}
		values = append(values, value)
	}
	if rest != "" || values[len(values)-1].IsNull() {
		return nil, errNoToken
	}
	return values, nil
}

var errNoToken = bad("bad_token", "after: that is no token", "take it as it is from next of the page before, or begin again without after")

// behind is the condition under which a row comes behind the one with these values: in the first column in which they differ.
// NULL comes last in either direction.
func (v *View) behind(order []by, values []feeds.Value, param func() *sql.Param) sql.Expr {
	type step struct{ later, same sql.Expr }
	steps := make([]step, len(order))
	for i, o := range order {
		isNull := &sql.Is{X: v.columnExpr(o.column), What: "NULL"}
		if values[i].IsNull() {
			steps[i].same = isNull // nothing comes behind NULL
			continue
		}
		op := ">"
		if o.desc {
			op = "<"
		}
		value := param()
		steps[i] = step{
			later: joined("OR", []sql.Expr{&sql.Binary{Op: op, X: v.columnExpr(o.column), Y: value}, isNull}),
			same:  &sql.Binary{Op: "=", X: v.columnExpr(o.column), Y: value},
		}
	}
	var e sql.Expr // later in one of the columns from i on, the same in those between
	for i := len(order) - 1; i >= 0; i-- {
		if e != nil {
			e = &sql.Binary{Op: "AND", X: steps[i].same, Y: e}
		}
		switch {
		case steps[i].later == nil:
		case e == nil:
			e = steps[i].later
		default:
			e = &sql.Binary{Op: "OR", X: steps[i].later, Y: e}
		}
	}
	return e
}

// nextLink is the Link header of a page: the request itself, but behind the token.
func nextLink(at *url.URL, token string) string {
	query := at.RawQuery
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(part, "="); name != paramAfter && part != "" {
			kept = append(kept, part)
		}
	}
	target := url.URL{Path: at.Path, RawPath: at.RawPath, RawQuery: strings.Join(append(kept, paramAfter+"="+token), "&")}
	return "<" + strings.NewReplacer("<", "%3C", ">", "%3E").Replace(target.String()) + `>; rel="next"`
}
