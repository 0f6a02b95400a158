package views

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"time"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/tables"
)

// Answer is what a look-up found. Others that asked the same at the time may have the same columns and rows: they must not be
// changed.
type Answer struct {
	Table   string
	Columns []tables.Column
	Rows    [][]feeds.Value
	// Approximate are the values that are estimates where they would be exact: count(DISTINCT ..) of very many.
	Approximate []tables.Estimates
	AsOf        *AsOf
	Took        time.Duration
	next        string // token of the page behind this one; empty: there is none, or nobody asked for pages
	Partial     bool   // the view was not ready: rows are missing, and AsOf is no floor
}

// NotReady says that a view does not have all of its table yet.
type NotReady struct {
	Table string
	State string // in words: "is being restored"
	Done  int64  // changelog offsets read, of Total; both 0 while that is not known
	Total int64
}

func (e *NotReady) Error() string {
	if e.Total > 0 {
		return fmt.Sprintf("table %s %s: %d of %d changelog records are read", e.Table, e.State, e.Done, e.Total)
	}
	return fmt.Sprintf("table %s %s", e.Table, e.State)
}

// ParamError says that the parameters do not fit the look-up.
type ParamError struct{ Err error }

func (e *ParamError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *ParamError) Unwrap() error { return e.Err }

// request is one look-up of a view.
type request struct {
	sel     *tables.Select
	params  []feeds.Value
	key     []byte // the only group that can be in the answer, if keyed
	keyed   bool
	is      []filter // not nil: the answer is the row of key as it is, if these conditions hold for it
	page    *page    // the answer is one of several; nil: it is whole
	partial bool     // what there is will do
}

// Query runs a look-up that was compiled for the view's table. Errors are *[NotReady], *[LimitError],
// *[ParamError] or ctx's.
func (v *View) Query(ctx context.Context, sel *tables.Select, params []feeds.Value) (*Answer, error) {
	return v.run(ctx, request{sel: sel, params: params})
}

// QueryPartial is Query over what there is when the view is not ready.
func (v *View) QueryPartial(ctx context.Context, sel *tables.Select, params []feeds.Value) (*Answer, error) {
	return v.run(ctx, request{sel: sel, params: params, partial: true})
}

func (v *View) run(ctx context.Context, r request) (*Answer, error) {
	start := time.Now()
	if _, err := v.holds(r); err != nil { // at once: it takes no turn to know that
		return nil, err
	}
	if r.key, r.keyed = v.pointOf(r); r.keyed {
		a, err := v.answer(r, func(h *held) (*tables.Rows, error) { return v.point(h, r) })
		if err != nil {
			return nil, err
		}
		a.Took = time.Since(start)
		return a, nil
	}
	question := r.question()
	shared, err := v.round(ctx, question, r)
	for isBusy(err) && time.Since(start) < v.gate.limits.Wait { // it was another one who had waited that long
		shared, err = v.round(ctx, question, r)
	}
	if err != nil {
		return nil, err
	}
	a := *shared
	a.Took = time.Since(start)
	return &a, nil
}

func (v *View) round(ctx context.Context, q question, r request) (*Answer, error) {
	return v.rounds.ask(ctx, q, func(ctx context.Context, begin func() error) (*Answer, error) { return v.scan(ctx, r, begin) })
}

// holds returns what the view has now, if that will do.
func (v *View) holds(r request) (*held, error) {
	h := v.held.Load()
	if !h.ready && !r.partial {
		return nil, v.notReady(h)
	}
	return h, nil
}

// answer is what is read from what the view has now.
func (v *View) answer(r request, read func(h *held) (*tables.Rows, error)) (*Answer, error) {
	h, err := v.holds(r)
	if err != nil {
		return nil, err
	}
	// Before the rows are read: what is there now is still there then.
	a := &Answer{Table: v.table.Name, Partial: !h.ready, AsOf: v.AsOf()}
	rows, err := read(h)
	if err != nil {
		return nil, err
	}
	a.Columns, a.Rows, a.Approximate = rows.Columns, rows.Values, rows.Estimates
	if r.page != nil {
		if err := r.page.cut(a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// pointOf returns the key of the only group that can be in the answer, if there is only one.
func (v *View) pointOf(r request) (key []byte, ok bool) {
	if r.keyed {
		return r.key, true
	}
	return r.sel.Point(r.params)
}

func (v *View) notReady(h *held) error {
	e := &NotReady{Table: v.table.Name, State: h.state}
	e.Done, e.Total = h.recovery()
	return e
}

// point reads the one row with that key.
func (v *View) point(h *held, r request) (*tables.Rows, error) {
	row, found, err := v.row(h, string(r.key))
	if err == nil && !found && v.single() {
		row, err = v.empty()
	}
	if err != nil {
		return nil, err
	}
	if r.is != nil {
		return asItIs(row, r), nil
	}
	rows, err := r.sel.Run(func(yield func([]feeds.Value) bool) {
		if row != nil {
			yield(append(row, placeOf("", 0)))
		}
	}, r.params)
	if err != nil {
		return nil, &ParamError{err}
	}
	return rows, nil
}

// asItIs is the answer to who asks for all columns of the one row that has these values.
func asItIs(row []feeds.Value, r request) *tables.Rows {
	rows := &tables.Rows{Columns: r.sel.Columns, Values: [][]feeds.Value{}}
	// A key may be of what a value was cut to.
	if row == nil || slices.ContainsFunc(r.is, func(f filter) bool { return !sameValue(row[f.column], f.value) }) {
		return rows
	}
	for i := range row {
		row[i] = row[i].Clone() // memory of its own
	}
	rows.Values = [][]feeds.Value{row}
	return rows
}

func sameValue(a, b feeds.Value) bool {
	if a.IsNull() || b.IsNull() {
		return a.IsNull() && b.IsNull()
	}
	return feeds.Compare(a, b) == 0
}

// row returns the row of a group; nil when there is none, and when HAVING leaves it out, although the group is found.
func (v *View) row(h *held, key string) (row []feeds.Value, found bool, err error) {
	if h.store == nil {
		return nil, false, nil
	}
	p := v.partitioners.Get().(*grouptable.Partitioner)
	number, err := p.Of(key, h.partitions)
	v.partitioners.Put(p)
	if err != nil {
		return nil, false, err
	}
	partition, ok := h.store.Partition(number)
	if !ok {
		return nil, false, nil
	}
	partition.Read(func(groups *tables.Groups) {
		var state tables.State
		if state, found = groups.Get([]byte(key)); found {
			row, err = v.shownRow(key, state)
		}
	})
	return row, found, err
}

// shownRow is a group's row, nil when HAVING leaves it out.
func (v *View) shownRow(key string, state tables.State) ([]feeds.Value, error) {
	if shown, err := v.table.Shows(key, state); err != nil || !shown {
		return nil, err
	}
	row := make([]feeds.Value, 0, len(v.table.Columns)+len(v.table.Marks())+1) // and the place
	return v.table.MarkedRow(key, state, row)
}

// scanned is how many rows a scan reads before it lets the changelog's next records in, and looks whether anybody still
// waits for it: well below a millisecond's worth.
const scanned = 2048

// scan runs a look-up over all rows, when it is its turn. begin is called when it has it.
func (v *View) scan(ctx context.Context, r request, begin func() error) (*Answer, error) {
	turn, err := v.gate.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.leave()
	if err := begin(); err != nil {
		return nil, err
	}
	ctx, cancel := v.gate.timed(ctx)
	defer cancel()
	return v.answer(r, func(h *held) (*tables.Rows, error) {
		var broken error
		limits := v.gate.limits
		within := tables.Within{Rows: max(limits.Rows, 0), Bytes: max(limits.Bytes, 0)}
		if r.page != nil && within.Rows > 0 {
			within.Rows++ // which only says that there is another page
		}
		rows, err := r.sel.RunWithin(func(ahead *tables.Ahead) iter.Seq[[]feeds.Value] {
			return v.rows(ctx, h, &broken, part{size: scanned, ahead: ahead, between: func() error { return turn.pass(ctx) }})
		}, r.params, within)
		var large *tables.TooLarge
		switch {
		case broken != nil:
			return nil, broken
		case errors.As(err, &large):
			return nil, limits.tooLarge(large)
		case err != nil:
			return nil, &ParamError{err}
		}
		return rows, nil
	})
}

// part says how rows are gone over a part at a time, each with its partition locked.
type part struct {
	size    int           // rows
	ahead   *tables.Ahead // what it passes is not given out. nil: nothing
	full    func() bool   // asked after each row: the part ends here. nil: at size
	between func() error  // called after each part, with nothing locked; an error is the end. nil: nothing
}

// rows goes over all rows of the table. What is given out is valid until the next row. When it ends before the last row,
// broken says why.
func (v *View) rows(ctx context.Context, h *held, broken *error, parts part) iter.Seq[[]feeds.Value] {
	return func(yield func([]feeds.Value) bool) {
		var row []feeds.Value
		var err error
		n, more, full, number := 0, true, false, 0
		each := func(key string, state tables.State) bool {
			n++
			if parts.ahead.Passes(key, state) {
				return true
			}
			var shown bool
			if shown, err = v.table.Shows(key, state); err == nil && !shown {
				return true
			}
			if err == nil {
				row, err = v.table.MarkedRow(key, state, row[:0])
			}
			if err != nil {
				*broken = fmt.Errorf("row of %s: %w", v.table.Name, err)
				return false
			}
			row = append(row, placeOf(key, number))
			more = yield(row)
			full = more && parts.full != nil && parts.full()
			return more && !full
		}
		for i, partition := range h.all() {
			number = i
			read := func(from int) (at int, rest, ok bool) {
				if ctx.Err() != nil {
					*broken = context.Cause(ctx)
					return 0, false, false
				}
				full = false
				partition.Read(func(groups *tables.Groups) { at, rest = groups.Scan(from, parts.size, each) })
				if !more || err != nil {
					return 0, false, false
				}
				if parts.between != nil {
					*broken = parts.between()
				}
				return at, rest || full, *broken == nil
			}
			at := 0
			if parts.ahead.Knows() {
				n := 0
				partition.Read(func(groups *tables.Groups) { n = groups.Places() / parts.size })
				for part := range scattered(n) {
					if _, _, ok := read(part * parts.size); !ok {
						return
					}
				}
				at = n * parts.size
			}
			for rest := true; rest; {
				var ok bool
				if at, rest, ok = read(at); !ok {
					return
				}
			}
		}
		if n == 0 && v.single() {
			if row, err = v.empty(); err != nil {
				*broken = err
				return
			}
			if row != nil {
				yield(append(row, placeOf("", 0)))
			}
		}
	}
}

// scattered goes over 0 to n-1 such that the first few are from all over. Rows often lie in the order of a column, such as a window's
// start: gone over from the first to the last, each would take the place of the one before in an answer that is ordered the other way.
func scattered(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		if n == 0 {
			return
		}
		width := bits.Len(uint(n - 1))
		for i := range 1 << width {
			if at := int(bits.Reverse64(uint64(i)) >> (64 - width)); at < n && !yield(at) {
				return
			}
		}
	}
}

// placeOf is [tables.Place] of a row in a partition.
func placeOf(key string, partition int) feeds.Value {
	if tables.IsOther(key) {
		return feeds.BigintValue(1 + int64(partition))
	}
	return feeds.BigintValue(0)
}

// empty is the row that a table without GROUP BY has over no records, nil when HAVING leaves it out.
func (v *View) empty() ([]feeds.Value, error) {
	state, _ := v.table.NewGroups().Upsert(nil)
	return v.shownRow("", state)
}
