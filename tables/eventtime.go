package tables

import (
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// recordTime is the expression that says when a record happened: what the window goes by, else the feed's ts. at is the
// aggregate that asks.
func (p *plan) recordTime(in *scope, at *sql.Call) (*expr, error) {
	if p.window != nil {
		return p.window.time, nil
	}
	ts := sql.Name{At: at.At, Text: "ts"}
	switch _, known := p.resolve(ts); {
	case !p.open:
		return nil, in.errorf(at, "min and max go by the value; "+at.Name+"(..) belongs into CREATE TABLE", "%s goes by event time, which the rows of a table do not have", at.Name)
	case !known:
		return nil, in.errorf(at, "if records have it, write CAST(ts AS timestamp) somewhere in the statement", "%s goes by event time, and %s has no ts", at.Name, p.feed.Name)
	}
	x, err := p.input(&sql.Column{Name: ts})
	if err == nil && x.typ.Kind != feeds.Timestamp {
		return nil, in.errorf(at, "", "%s goes by event time, and ts of %s is %s, not a timestamp", at.Name, p.feed.Name, article(x.typ))
	}
	return x, err
}
