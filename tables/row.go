package tables

import (
	"fmt"

	"github.com/brotally/brotally/feeds"
)

// rowEnv is what one result row is computed in.
type rowEnv struct {
	env
	items  []eval // by position in Columns
	marks  []eval // by position in the table's marks
	having cond   // nil: every row
}

func (p *plan) newRowEnv() *rowEnv {
	e := &rowEnv{}
	for _, it := range p.items {
		e.items = append(e.items, it.expr.eval(nil))
		if it.mark != nil {
			e.marks = append(e.marks, it.mark.eval(nil))
		}
	}
	if p.having != nil {
		e.having = p.having.bindCond(nil)
	}
	return e
}

// compute sets e's columns to the group key's values and the aggregates' values.
func (p *plan) compute(e *env, key string, s State) (err error) {
	if e.vals, err = readKey(key, len(p.groups), e.vals[:0]); err != nil {
		return err
	}
	e.other = IsOther(key)
	for _, a := range p.aggregates {
		e.vals = append(e.vals, a.kernel.value(s))
	}
	return nil
}

// Row returns the values of the result's columns for a group. row is overwritten and reused if it is large enough. Strings
// alias key and s. It returns an error when key is not a key of the table. An expression over aggregates that overflows
// is NULL.
func (t *Table) Row(key string, s State, row []feeds.Value) ([]feeds.Value, error) {
	return t.row(key, s, row, false)
}

func (t *Table) row(key string, s State, row []feeds.Value, marked bool) ([]feeds.Value, error) {
	e := t.envs.Get().(*rowEnv)
	defer t.envs.Put(e)
	if err := t.plan.compute(&e.env, key, s); err != nil {
		return row, fmt.Errorf("table %s: %w", t.Name, err)
	}
	row = row[:0]
	for _, value := range e.items {
		row = append(row, value(&e.env))
	}
	if marked {
		for _, value := range e.marks {
			row = append(row, value(&e.env))
		}
	}
	clear(e.vals) // or the pool would keep the strings alive
	return row, nil
}

// Shows reports whether a group's row is part of the result: HAVING holds for it, and with EMIT FINAL its window has closed. It
// returns an error when key is not a key of the table.
func (t *Table) Shows(key string, s State) (bool, error) {
	if l := t.plan.lifetime; l != nil && l.final && !l.closed.isClosed(s) && !IsOther(key) {
		return false, nil
	}
	if t.plan.having == nil {
		return true, nil
	}
	e := t.envs.Get().(*rowEnv)
	defer t.envs.Put(e)
	if err := t.plan.compute(&e.env, key, s); err != nil {
		return false, fmt.Errorf("table %s: %w", t.Name, err)
	}
	shows := e.having(&e.env) == yes
	clear(e.vals)
	return shows, nil
}

// KeyValues returns the values of the group columns, in the order of [Table.Keys]. vals is overwritten and reused if it is
// large enough. Strings alias key. It returns an error when key is not a key of the table.
func (t *Table) KeyValues(key string, vals []feeds.Value) ([]feeds.Value, error) {
	vals, err := readKey(key, len(t.keys), vals[:0])
	if err != nil {
		return vals, fmt.Errorf("table %s: %w", t.Name, err)
	}
	return vals, nil
}

// EncodeKey returns the group key for values of the group columns, in the order of [Table.Keys]. Numbers of another kind and
// texts are converted where that is exact. It returns an error when there are too many or too few values or one does not
// convert.
func (t *Table) EncodeKey(vals []feeds.Value) ([]byte, error) {
	if len(vals) != len(t.keys) {
		return nil, fmt.Errorf("table %s has %d group columns, not %d", t.Name, len(t.keys), len(vals))
	}
	key := make([]byte, 0, 64)
	for i, v := range vals {
		v, err := exactly(v, t.keys[i].Type)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.keys[i].Name, err)
		}
		key, _ = appendKeyPart(key, v)
	}
	return key, nil
}

// exactly converts v to typ where nothing is lost: 443 and '443' are a bigint, 1.5 is none.
func exactly(v feeds.Value, typ feeds.Type) (feeds.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	out, ok := feeds.NullValue, false
	switch from := v.Kind(); {
	case from == typ.Kind:
		out, ok = v, true
	case from == feeds.String:
		var why string
		if out, why = parseValue(v.Str(), typ); why != "" {
			return out, fmt.Errorf("%q is not %s: %s", v.Str(), article(typ), why)
		}
		return out, nil
	case from.IsNumber() && typ.Kind.IsNumber():
		out, ok = convert(v, typ)
		ok = ok && feeds.Compare(out, v) == 0
	case typ.Kind == feeds.String:
		out, ok = convert(v, typ)
	case from == feeds.Inet && typ.Kind == feeds.Subnet:
		out, ok = convert(v, typ)
	}
	if !ok {
		return out, fmt.Errorf("%s %s is not %s", v.Kind(), v, article(typ))
	}
	return out, nil
}
