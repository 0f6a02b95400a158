package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/brotally/brotally/tables/sql"
	"github.com/brotally/brotally/views/client"
)

// sqlPage is what the page for SQL shows.
type sqlPage struct {
	Query    string
	Live     bool // the answer is kept up to date
	Chart    bool // the answer is drawn
	Grid     *grid
	Drawn    *bars
	Meta     client.Meta
	Took     string
	Share    string // link to this question
	Examples []example
	Words    []word // for completion
}

type example struct{ Text, Link string }

// word is something that a query may name.
type word struct{ Name, Kind string }

// How much of an answer is shown: a page is to stay one that a browser can show, whatever is asked for. The API has all of it.
const (
	maxShown   = 1000 // rows
	maxColumns = 200
	maxCells   = 50_000
)

// drawnBars is how many of them are drawn.
const drawnBars = 30

// sql makes the page for SQL: its query is in the address, so that a link shares it.
func (s *Site) sql() maker {
	return func(r *http.Request) (*page, error) {
		q := r.URL.Query()
		m := &sqlPage{Query: q.Get("q"), Live: q.Get("live") != "", Chart: q.Get("as") == "chart"}
		p := &page{Title: "SQL", Nav: "sql", State: state{"paused", "as asked"}, Still: !m.Live, Main: m}
		if m.Live {
			p.State = live
		}
		if err := m.words(r, s.api); err != nil {
			return p, err
		}
		if strings.TrimSpace(m.Query) == "" {
			return p, nil
		}
		m.Share = "/sql?" + url.Values{"q": {m.Query}}.Encode()
		began := time.Now()
		rows, more, err := s.api.QueryFirst(r.Context(), maxShown, m.Query)
		if err != nil {
			return p, err
		}
		m.Meta, m.Took = rows.Meta, duration(time.Since(began).Seconds())
		wide := len(rows.Columns)
		if trim(rows) || more {
			more = true
			p.Note = "The first " + integer(int64(rows.Len())) + " rows are shown; there are more."
		}
		if wide > maxColumns {
			p.Note += " The first " + integer(maxColumns) + " of " + integer(int64(wide)) + " columns are shown."
		}
		if p.Note != "" {
			p.Note = strings.TrimSpace(p.Note + " POST /api/v1/query answers with all of them.")
		}
		m.show(rows, more)
		return p, nil
	}
}

// trim leaves of the rows what is shown, and reports whether that are fewer.
func trim(rows *client.Rows) (fewer bool) {
	if len(rows.Columns) > maxColumns {
		rows.Columns = rows.Columns[:maxColumns]
		for i, row := range rows.Values {
			rows.Values[i] = row[:maxColumns]
		}
	}
	most := maxCells / max(1, len(rows.Columns))
	fewer = len(rows.Values) > most
	rows.Values = rows.Values[:min(most, len(rows.Values))]
	return fewer
}

// words lists what can be asked for, and a few questions to begin with.
func (m *sqlPage) words(r *http.Request, api *client.Client) error {
	list, err := api.Tables(r.Context())
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, t := range list {
		m.Words = append(m.Words, word{sql.Identifier(t.Name), "table"})
		detail, err := api.Table(r.Context(), t.Name)
		if err != nil {
			continue // it has gone since
		}
		for _, c := range detail.Columns {
			if name := sql.Identifier(c.Name); !seen[name] {
				seen[name] = true
				m.Words = append(m.Words, word{name, c.Type})
			}
		}
		if i < 6 {
			order := usualOrder(detail.Columns)
			text := "SELECT * FROM " + sql.Identifier(t.Name) + " ORDER BY " + sql.Identifier(bare(order))
			if strings.HasPrefix(order, "-") {
				text += " DESC"
			}
			text += " LIMIT 20"
			m.Examples = append(m.Examples, example{text, "/sql?" + url.Values{"q": {text}}.Encode()})
		}
	}
	return nil
}

// show is the answer: its last column that is a number has bars, and can be drawn.
func (m *sqlPage) show(rows *client.Rows, more bool) {
	m.Grid = newGrid(rows, nil, "")
	number := -1
	for i, c := range m.Grid.Columns {
		if c.Number {
			number = i
		}
	}
	for i := range m.Grid.Rows { // nothing says what makes two rows the same one
		m.Grid.Rows[i].Key = fmt.Sprint(i)
	}
	if number < 0 {
		return
	}
	m.Grid.bars(number)
	if m.Chart {
		m.Drawn = m.Grid.drawn(number, more)
	}
}

// drawn is a bar for each of the first rows, as long as its number in a column says, named by the row's texts or, where it has none, its
// other numbers.
func (g *grid) drawn(number int, more bool) *bars {
	var of []int
	var called []string
	for _, texts := range []bool{true, false} {
		for i, c := range g.Columns {
			if i != number && c.Number != texts {
				of, called = append(of, i), append(called, printable(c.Name))
			}
		}
		if len(of) > 0 {
			break
		}
	}
	d := &bars{Said: printable(g.Columns[number].Name)}
	if len(called) > 0 {
		d.Said += " by " + strings.Join(called, " · ")
	}
	switch n := len(g.Rows); {
	case more:
		d.Said += fmt.Sprintf(": first %d of more than %s", drawnBars, integer(int64(n)))
	case n > drawnBars:
		d.Said += fmt.Sprintf(": first %d of %s", drawnBars, integer(int64(n)))
	}
	for _, row := range g.Rows[:min(len(g.Rows), drawnBars)] {
		b := namedBar{Value: row.Cells[number]}
		for _, i := range of {
			b.Names = append(b.Names, row.Cells[i])
		}
		d.Rows = append(d.Rows, b)
	}
	return d
}
