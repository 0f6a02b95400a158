package views

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/tables/sql"
)

// The parameters of a rows request. All others are columns; a column with one of these names is asked for as col.NAME.
const (
	paramNull      = "null"
	paramOrder     = "order"
	paramLimit     = "limit"
	paramOffset    = "offset"
	paramFormat    = "format"
	paramMinOffset = "min_offset"
	paramStale     = "stale"
	paramAfter     = "after"
	columnPrefix   = "col."

	paramSpreadsheet = "spreadsheet"
)

var rowsParams = []string{paramOrder, paramLimit, paramOffset, paramAfter, paramFormat, paramNull, paramSpreadsheet, paramMinOffset, paramStale}

// rows answers GET /api/v1/tables/{t}/rows.
func (s *server) rows(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view(r)
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bad("bad_parameter", "the query string is not one: "+err.Error(), "")
	}
	form, err := formOf(r, query, "")
	if err != nil {
		return err
	}
	freshness, err := parseFreshness(query.Get(paramStale), query.Get(paramMinOffset))
	if err != nil {
		return err
	}
	req, err := view.rowsRequest(query)
	if err != nil {
		return err
	}
	if err := view.await(r.Context(), freshness); err != nil {
		return err
	}
	w.Header()["Vary"] = varies
	if view.unchanged(w, r, form) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	req.partial = freshness.stale
	return s.answer(w, r, view, req, form)
}

// rowsRequest turns a query string into a look-up. Look-ups of one shape are compiled once.
func (v *View) rowsRequest(query url.Values) (req request, err error) {
	filters, err := v.filters(query, rowsParams)
	if err != nil {
		return req, err
	}
	order, err := v.order(query.Get(paramOrder))
	if err != nil {
		return req, err
	}
	limit, err := rowCount(query, paramLimit)
	if err != nil {
		return req, err
	}
	offset, err := rowCount(query, paramOffset)
	if err != nil {
		return req, err
	}
	token := query.Get(paramAfter)
	switch {
	case offset != nil && token != "":
		return req, bad("bad_parameter", "after and offset contradict each other", "leave one of them out: after goes on where a page ended, offset counts from the start")
	case limit != nil && *limit > 0 && offset == nil, token != "":
		req.page = v.newPage(filters, order, limit)
	}
	switch {
	case req.page != nil:
		order = req.page.order
	case len(order) > 0 || offset != nil:
		order = v.tieBreak(order) // or pages would overlap
	}
	shape := rowsShape{filters: filters, order: order, placed: req.page != nil}
	req.params = make([]feeds.Value, 0, len(filters)+2) // and limit and offset
	for _, f := range filters {
		if !f.value.IsNull() {
			req.params = append(req.params, f.value)
		}
	}
	if token != "" {
		if shape.after, err = req.page.read(token); err != nil {
			return req, err
		}
		for _, value := range shape.after {
			if !value.IsNull() {
				req.params = append(req.params, value)
			}
		}
	}
	if limit != nil && req.page != nil && *limit < math.MaxInt64 {
		*limit++ // one row more says whether there is another page
	}
	for _, n := range []struct {
		given *int64
		slot  *int
	}{{limit, &shape.limit}, {offset, &shape.offset}} {
		if n.given != nil {
			req.params = append(req.params, feeds.BigintValue(*n.given))
			*n.slot = len(req.params)
		}
	}
	if req.sel, err = v.rowsSelect(shape); err != nil {
		return req, err
	}
	req.key, req.keyed = v.keyOf(filters)
	if req.keyed && len(filters) == len(v.table.Keys()) && limit == nil && offset == nil && req.page == nil && len(v.table.Marks()) == 0 {
		req.is = filters
	}
	return req, nil
}

// column returns the position of a column; -1 if there is none.
func (v *View) column(name string) int {
	is := func(c tables.Column) bool { return c.Name == name }
	if i := slices.IndexFunc(v.table.Columns, is); i >= 0 {
		return i
	}
	return slices.IndexFunc(v.table.Columns, func(c tables.Column) bool { return strings.EqualFold(c.Name, name) })
}

func (v *View) unknownColumn(code, message, name string, others []string) error {
	names := make([]string, 0, len(v.table.Columns))
	for _, c := range v.table.Columns {
		names = append(names, c.Name)
	}
	hint := sql.DidYouMean(name, slices.Concat(names, others))
	if hint == "" {
		hint = "the columns are " + strings.Join(names, ", ")
	}
	return bad(code, message+name, hint)
}

// by is one column of ORDER BY.
type by struct {
	column int
	desc   bool
}

// order reads -count,qtype_name.
func (v *View) order(text string) (order []by, err error) {
	if text == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		// A plus is a blank by the time it gets here.
		rest, desc := strings.CutPrefix(strings.TrimSpace(name), "-")
		column := v.column(strings.TrimPrefix(rest, "+"))
		if column < 0 {
			return nil, v.unknownColumn("unknown_column", "order: no column ", rest, nil)
		}
		order = append(order, by{column, desc})
	}
	return order, nil
}

// tieBreak adds the group columns that are not in order yet, so that it leaves no two rows equal.
func (v *View) tieBreak(order []by) []by {
	for i, c := range v.table.Columns {
		if c.Key && !slices.ContainsFunc(order, func(o by) bool { return o.column == i }) {
			order = append(order, by{column: i})
		}
	}
	return order
}

// rowCount reads a parameter that is a number of rows; nil if it is not given.
func rowCount(query url.Values, name string) (*int64, error) {
	if !query.Has(name) {
		return nil, nil
	}
	n, err := strconv.ParseInt(query.Get(name), 10, 64)
	if err != nil || n < 0 {
		return nil, bad("bad_value", fmt.Sprintf("%s: %q is not a number of rows", name, query.Get(name)), "")
	}
	return &n, nil
}

// rowsShape is a rows request without its values: what the look-up is compiled from.
type rowsShape struct {
	filters       []filter
	order         []by
	placed        bool          // the rows come with their place, which ends the order
	after         []feeds.Value // where a page begins, by order; nil: with the first row
	limit, offset int           // parameter numbers; 0: none
}

// appendName appends what tells the shape apart.
func (s rowsShape) appendName(b []byte) []byte {
	for _, f := range s.filters {
		b = strconv.AppendInt(b, int64(f.column), 10)
		b = append(b, f.operator...)
		if f.value.IsNull() {
			b = append(b, '!')
		}
		b = append(b, ' ')
	}
	for _, o := range s.order {
		b = append(b, '/')
		if o.desc {
			b = append(b, '-')
		}
		b = strconv.AppendInt(b, int64(o.column), 10)
	}
	for _, value := range s.after {
		if value.IsNull() {
			b = append(b, ">!"...)
		} else {
			b = append(b, '>')
		}
	}
	b = strconv.AppendInt(append(b, '|'), int64(s.limit), 10)
	b = strconv.AppendInt(append(b, '|'), int64(s.offset), 10)
	return strconv.AppendBool(append(b, '|'), s.placed)
}

// rowsSelect compiles SELECT .. FROM the table WHERE a = $1 AND b IS NULL ORDER BY .. LIMIT $2 OFFSET $3. It is built as a
// syntax tree: no text of the client is ever part of an SQL text. NULL comes last in either direction.
func (v *View) rowsSelect(shape rowsShape) (*tables.Select, error) {
	var room [64]byte
	name := string(shape.appendName(room[:0]))
	if sel, ok := v.selects.get(name); ok {
		return sel, nil
	}
	stmt := &sql.Select{Source: &sql.Source{File: "rows"}, From: sql.Name{Text: v.table.Name, Quoted: true}}
	for i := range v.table.Columns {
		stmt.Items = append(stmt.Items, sql.Item{Expr: v.columnExpr(i)})
	}
	params := 0
	param := func() *sql.Param {
		params++
		return &sql.Param{N: params}
	}
	var where []sql.Expr
	for _, f := range shape.filters {
		var value *sql.Param
		if !f.value.IsNull() {
			value = param()
		}
		where = append(where, f.condition(v.columnExpr(f.column), value))
	}
	if shape.after != nil {
		where = append(where, v.behind(shape.order, shape.after, param))
	}
	stmt.Where = joined("AND", where)
	for _, o := range shape.order {
		stmt.OrderBy = append(stmt.OrderBy, sql.Order{Expr: v.columnExpr(o.column), Desc: o.desc, Nulls: "LAST"})
	}
	if shape.limit > 0 {
		stmt.Limit = &sql.Param{N: shape.limit}
	}
	if shape.offset > 0 {
		stmt.Offset = &sql.Param{N: shape.offset}
	}
	compile := tables.CompileSelect
	if shape.placed {
		compile = tables.CompilePlaced
		stmt.Items = append(stmt.Items, sql.Item{Expr: v.columnExpr(len(v.table.Columns))})
	}
	sel, err := compile(stmt, v.table)
	if err != nil {
		return nil, rowsError(err)
	}
	return v.selects.put(name, sel), nil
}

// columnExpr is a column of the table in SQL; the one behind the last is [tables.Place].
func (v *View) columnExpr(i int) sql.Expr {
	name := tables.Place
	if i < len(v.table.Columns) {
		name = v.table.Columns[i].Name
	}
	return &sql.Column{Name: sql.Name{Text: name, Quoted: true}}
}

// joined joins conditions by an operator; nil for none.
func joined(op string, all []sql.Expr) (e sql.Expr) {
	for _, x := range all {
		if e == nil {
			e = x
			continue
		}
		e = &sql.Binary{Op: op, X: e, Y: x}
	}
	return e
}

// rowsError leaves out the place in an SQL text that nobody wrote.
func rowsError(err error) error {
	var fault *sql.Error
	if errors.As(err, &fault) {
		return bad("bad_parameter", fault.Message, fault.Hint)
	}
	return err
}

// keyOf returns the key of the only group that has these values; ok is false when they do not name every group column.
func (v *View) keyOf(filters []filter) (key []byte, ok bool) {
	values := make([]feeds.Value, 0, len(filters))
	for _, c := range v.table.Keys() {
		at := slices.IndexFunc(filters, func(f filter) bool {
			return v.table.Columns[f.column].Name == c.Name && f.operator == opEqual
		})
		if at < 0 {
			return nil, false
		}
		values = append(values, filters[at].value)
	}
	key, err := v.table.EncodeKey(values)
	return key, err == nil
}

// freshness is how old an answer may be.
type freshness struct {
	stale   bool // what there is will do, also while the table is being restored
	offsets map[codecs.Source]int64
	all     int64 // offset of every source partition; 0: not asked for
}

// parseBool reads a parameter that is true or false; it is false where there is none.
func parseBool(name, text string) (bool, error) {
	switch strings.ToLower(text) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, bad("bad_value", fmt.Sprintf("%s: %q is neither true nor false", name, text), "")
}

// parseFreshness reads stale=true and min_offset=dns/0:41,dns/1:17 or min_offset=41.
func parseFreshness(stale, minOffset string) (f freshness, err error) {
	if f.stale, err = parseBool(paramStale, stale); err != nil {
		return f, err
	}
	if minOffset == "" {
		return f, nil
	}
	if f.stale {
		return f, errContradiction
	}
	for part := range strings.SplitSeq(minOffset, ",") {
		source, offset, ok := cutLast(part, ":")
		if !ok {
			source, offset = "", part
		}
		n, err := strconv.ParseInt(strings.TrimSpace(offset), 10, 64)
		if err != nil || n < 0 {
			return f, badOffset(part)
		}
		if source == "" {
			f.all = max(f.all, n)
			continue
		}
		topic, number, ok := cutLast(strings.TrimSpace(source), "/")
		p, err := strconv.ParseInt(number, 10, 32)
		if !ok || err != nil || p < 0 {
			return f, badOffset(part)
		}
		f.want(codecs.Source{Topic: topic, Partition: int32(p)}, n)
	}
	return f, nil
}

var errContradiction = bad("bad_parameter", "min_offset and stale=true contradict each other", "leave one of them out")

func (f *freshness) want(source codecs.Source, offset int64) {
	if f.offsets == nil {
		f.offsets = map[codecs.Source]int64{}
	}
	f.offsets[source] = max(f.offsets[source], offset)
}

func badOffset(text string) error {
	return bad("bad_value", fmt.Sprintf("min_offset: %q is no offset", text), "write topic/partition:offset, such as dns/0:41, or one offset for all")
}

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// await waits until the view is as fresh as asked for, for as long as a look-up may take.
func (v *View) await(ctx context.Context, f freshness) error {
	if f.offsets == nil && f.all == 0 {
		return nil
	}
	if h := v.held.Load(); !h.ready {
		return v.notReady(h)
	}
	ctx, cancel := v.gate.timed(ctx)
	defer cancel()
	err := v.WaitFor(ctx, f.offsets)
	if err == nil && f.all > 0 {
		err = v.WaitForAll(ctx, f.all)
	}
	var limit *LimitError
	if errors.As(err, &limit) {
		return &apiError{status: http.StatusServiceUnavailable, retry: retryAfter, Code: "behind",
			Message: fmt.Sprintf("table %s is at %s, not at min_offset yet", v.table.Name, v.AsOf()), Hint: "try again in a moment"}
	}
	return err
}
