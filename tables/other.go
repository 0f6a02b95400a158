package tables

import (
	"fmt"
	"strconv"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// This file is MAX GROUPS. Who sends packets chooses group columns, so the rows of a table have a limit, which its partitions share
// equally. What comes for a group above it is added to one more row of the partition, that of the others: so sums over all rows
// stay what they are. Who has a row keeps it, and who has one is just what the rows say.

// OtherKey is that row's key. No group's key begins with a backslash.
const OtherKey = `\#other`

// otherColumn is the column that is true in that row.
const otherColumn = "is_other"

// defaultMaxGroups is MAX GROUPS where it is not said.
const defaultMaxGroups = 5_000_000

// IsOther reports whether a group table's key is that of the row of the others.
func IsOther[K string | []byte](key K) bool { return string(key) == OtherKey }

// compileMaxGroups reads MAX GROUPS.
func (p *plan) compileMaxGroups(q *sql.Select) error {
	p.maxGroups = defaultMaxGroups
	if q.MaxGroups == nil {
		return nil
	}
	n, err := strconv.ParseInt(q.MaxGroups.Text, 10, 64)
	if err != nil || n > 1<<32 {
		return p.src.Error(q.MaxGroups.At, fmt.Sprintf("MAX GROUPS %s: want a whole number up to %d", q.MaxGroups.Text, int64(1)<<32), "0 is no limit")
	}
	p.maxGroups = n
	return nil
}

// MaxGroups returns how many rows the table may have beside those of the others; 0: any number.
func (t *Table) MaxGroups() int64 { return t.plan.maxGroups }

// MaxGroupsIn returns how many one of so many partitions may have; 0: any number.
func (t *Table) MaxGroupsIn(partitions int32) int {
	n, of := t.plan.maxGroups, int64(partitions)
	return int((n + of - 1) / of)
}

// other is the column of that name, unless the feed has one.
func (p *plan) other(e sql.Expr) (*expr, bool) {
	c, ok := e.(*sql.Column)
	if !ok || !p.open || c.Text != otherColumn {
		return nil, false
	}
	if _, ofFeed := p.resolve(c.Name); ofFeed {
		return nil, false
	}
	return &expr{typ: feeds.T(feeds.Bool), text: otherColumn, column: -1, eval: func([]int) eval {
		return func(e *env) feeds.Value { return feeds.BoolValue(e.other) }
	}}, true
}

// LimitGroups bounds how many rows the Updater makes, beside that of the others; 0: it does not.
func (u *Updater) LimitGroups(n int) { u.limit = n }

// full reports whether no further row is to be made.
func (u *Updater) full() bool {
	if u.limit == 0 || u.rows.Len() < u.limit {
		return false
	}
	_, there := u.rows.Get([]byte(OtherKey))
	return !there || u.rows.Len() > u.limit
}

// tooMany reports whether a row is one too many.
func (u *Updater) tooMany(key []byte) bool {
	if u.limit == 0 || u.rows.Len() < u.limit {
		return false
	}
	_, there := u.rows.Get(key)
	return !there && u.full()
}

// addToOther adds a partial to the row of the others.
func (u *Updater) addToOther(partial State, changed func(Change) error) error {
	s := site{key: []byte(OtherKey), log: &u.log}
	if u.before != nil {
		state, err := u.row(s.key)
		if err == nil {
			u.table.plan.mergeRow(state, partial, s)
		}
		return err
	}
	state, was, err := u.touch(s.key)
	if err != nil {
		return err
	}
	u.table.plan.mergeRow(state, partial, s)
	return u.report(OtherKey, state, was, changed)
}
