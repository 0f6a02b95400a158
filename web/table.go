package web

import (
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/tables/sql"
	"github.com/brotally/brotally/views/client"
)

// limits are how many rows a page may have; the first is the usual one.
var limits = []int{25, 10, 50, 100, 500}

// columnPrefix is what a parameter's name begins with that is a column's filter.
const columnPrefix = "col."

// tablePage is what the page of one table shows.
type tablePage struct {
	client.Table
	Grid *grid
	Meta client.Meta

	Answered bool // else the grid has no rows because something is wrong

	Rate   string
	Spark  spark
	Trend  *chart
	Order  string
	Limit  int
	Limits []limitLink
	From   int    // number of the first row, from 1; 0: there is none
	To     int    // of the last
	Prev   string // links; empty: there is none
	Next   string
	All    string // link without the filters; empty: there are none

	Downloads []download
	Recipes   []recipe
	Again     string // link to the page that makes this one's SQL
}

type limitLink struct {
	Limit   int
	Link    string
	Current bool
}

type download struct{ Name, Link, File string }

// recipe is a line that reads the table from elsewhere.
type recipe struct{ What, Line string }

// request is what the address of a table's page asks for.
type request struct {
	table  string
	order  string
	limit  int
	offset int
	texts  map[string]string // what the filter of a column says
}

func parseRequest(r *http.Request, t *client.Table) request {
	q := r.URL.Query()
	req := request{table: t.Name, order: q.Get("order"), texts: map[string]string{}}
	if !slices.ContainsFunc(t.Columns, func(c client.TableColumn) bool { return c.Name == bare(req.order) }) {
		req.order = usualOrder(t.Columns)
	}
	req.limit, _ = strconv.Atoi(q.Get("limit"))
	if !slices.Contains(limits, req.limit) {
		req.limit = limits[0]
	}
	req.offset, _ = strconv.Atoi(q.Get("offset"))
	req.offset = max(req.offset, 0)
	for _, c := range t.Columns {
		text := q.Get(columnPrefix + c.Name)
		if !strings.HasPrefix(text, "=") { // behind = the value is what it is, blanks at its ends included
			text = strings.TrimSpace(text)
		}
		if text != "" {
			req.texts[c.Name] = text
		}
	}
	return req
}

// link is the address of the page that shows this.
func (q request) link() string {
	v := url.Values{}
	v.Set("order", q.order)
	if q.limit != limits[0] {
		v.Set("limit", strconv.Itoa(q.limit))
	}
	if q.offset > 0 {
		v.Set("offset", strconv.Itoa(q.offset))
	}
	for name, text := range q.texts {
		v.Set(columnPrefix+name, text)
	}
	return tableLink(q.table) + "?" + v.Encode()
}

// sortedBy is the request with another order, from its first row on: a second time the other way round.
func (q request) sortedBy(c client.TableColumn) request {
	q.offset = 0
	down := isNumber(c.Type) || c.Type == "timestamp"
	switch {
	case q.order == c.Name:
		down = true
	case q.order == "-"+c.Name:
		down = false
	}
	if q.order = c.Name; down {
		q.order = "-" + c.Name
	}
	return q
}

func (q request) at(offset int) request { q.offset = max(offset, 0); return q }
func (q request) of(limit int) request  { q.limit, q.offset = limit, 0; return q }
func (q request) unfiltered() request   { q.texts, q.offset = nil, 0; return q }

// without is the request without a column's filter, from its first row on.
func (q request) without(name string) request {
	q.texts, q.offset = maps.Clone(q.texts), 0
	delete(q.texts, name)
	return q
}

// operators are how a filter's text may begin, and what the API calls them. The longer come first.
var operators = []struct{ text, name string }{
	{"!=", ".ne"}, {"<>", ".ne"}, {">=", ".gte"}, {"<=", ".lte"}, {">", ".gt"}, {"<", ".lt"}, {"=", ""},
}

// condition reads what a filter of a column says: a value, with an operator before it or not. NULL is \N.
func condition(c client.TableColumn, text string) (name string, value any) {
	op := ""
	rest, found := text, false
	for _, o := range operators {
		if rest, found = strings.CutPrefix(text, o.text); found {
			if op = o.name; o.text != "=" {
				rest = strings.TrimSpace(rest)
			}
			break
		}
	}
	switch {
	case rest == `\N`:
		return c.Name + op, nil
	case !found && c.Type == "inet" && strings.Contains(rest, "/"):
		op = ".subnet"
	case strings.HasPrefix(rest, `\\`):
		rest = rest[1:]
	}
	return c.Name + op, rest
}

// filterFor is what a filter says that is true of a cell's value alone.
func filterFor(c client.TableColumn, value string) string {
	name, _ := condition(c, value)
	if name != c.Name || strings.HasPrefix(value, "=") || strings.TrimSpace(value) != value || value == "" {
		return "=" + value
	}
	return value
}

// options are the look-up that a request means.
func (q request) options(columns []client.TableColumn) client.RowsOptions {
	o := client.RowsOptions{Order: q.order, Limit: q.limit, Offset: q.offset, Where: map[string]any{}}
	for _, c := range columns {
		if text, ok := q.texts[c.Name]; ok {
			name, value := condition(c, text)
			o.Where[name] = value
		}
	}
	return o
}

// table makes the page of one table. What it remembers is how its first rows went.
func (s *Site) table() maker {
	var past trend
	var windows windowed
	return func(r *http.Request) (*page, error) {
		name := r.PathValue("table")
		p := &page{Title: printable(name), Nav: "tables", State: live}
		t, err := s.api.Table(r.Context(), name)
		if err != nil {
			return p, err
		}
		if t.Name != name {
			p.Title = printable(t.Name)
		}
		if p.Note = still(t); p.Note != "" {
			p.State = stalledState
		}
		q := parseRequest(r, t)
		m := &tablePage{Table: *t, Order: q.order, Limit: q.limit, Rate: "–"}
		p.Main = m
		if rates := s.history.rates(t.Name); len(rates) > 0 {
			m.Rate, m.Spark = decimal(rates[len(rates)-1]), newSpark(rates)
		}
		for _, n := range slices.Sorted(slices.Values(limits)) {
			m.Limits = append(m.Limits, limitLink{n, q.of(n).link(), n == q.limit})
		}
		if len(q.texts) > 0 {
			m.All = q.unfiltered().link()
		}
		m.read(r, q, s.config)
		m.Grid = q.heading(t.Columns) // so that a filter that is wrong can be made right
		rows, err := s.api.Rows(r.Context(), t.Name, q.options(t.Columns))
		if err != nil {
			return p, err
		}
		m.show(rows, q)
		if m.Trend = windows.chart(r.Context(), s.api, t); m.Trend == nil {
			m.Trend = past.chart(m.Grid, q)
		}
		return p, nil
	}
}

// heading is a grid without rows.
func (q request) heading(columns []client.TableColumn) *grid {
	rows := &client.Rows{}
	for _, c := range columns {
		rows.Columns = append(rows.Columns, client.Column{Name: c.Name, Type: c.Type})
	}
	return q.grid(rows, columns)
}

// grid is that of an answer, whose columns sort and filter.
func (q request) grid(rows *client.Rows, columns []client.TableColumn) *grid {
	g := newGrid(rows, columns, q.order)
	for i := range g.Columns {
		c := &g.Columns[i]
		of := client.TableColumn{Name: c.Name, Type: c.Type}
		c.Sort, c.Param, c.Filter = q.sortedBy(of).link(), columnPrefix+c.Name, q.texts[c.Name]
		if !c.Key {
			continue
		}
		only := q.without(c.Name).link() + "&" + url.QueryEscape(c.Param) + "="
		for j := range g.Rows {
			cell := &g.Rows[j].Cells[i]
			cell.Link = only + url.QueryEscape(filterFor(of, cell.Filter))
		}
	}
	return g
}

// show is the rows, and where among all they are.
func (m *tablePage) show(rows *client.Rows, q request) {
	m.Grid, m.Meta, m.Answered = q.grid(rows, m.Columns), rows.Meta, true
	if n := len(rows.Values); n > 0 {
		m.From, m.To = q.offset+1, q.offset+n
	}
	if q.offset > 0 {
		m.Prev = q.at(q.offset - q.limit).link()
	}
	if rows.Meta.Next != "" {
		m.Next = q.at(q.offset + q.limit).link()
	}
}

// read is how the rows are read from elsewhere.
func (m *tablePage) read(r *http.Request, q request, c Config) {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	v := url.Values{}
	for name, value := range q.options(m.Columns).Where {
		if value == nil {
			value = `\N`
		}
		v.Set(columnPrefix+name, value.(string))
	}
	filters := v.Encode()
	if filters != "" {
		filters += "&"
	}
	rows := "/api/v1/tables/" + url.PathEscape(m.Name) + "/rows?" + strings.ReplaceAll(filters, "'", "%27")
	first := rows + "order=" + url.QueryEscape(q.order) + "&limit=" + strconv.Itoa(q.limit)
	for _, f := range []struct{ name, ending string }{{"csv", "csv"}, {"arrow", "arrows"}, {"json", "json"}, {"ndjson", "ndjson"}, {"zeek", "log"}} {
		m.Downloads = append(m.Downloads, download{f.name, rows + "format=" + f.name, m.Name + "." + f.ending})
	}
	brokers := strings.Join(c.Brokers, ",")
	if brokers == "" {
		brokers = "HOST:PORT"
	}
	token := ""
	if r.Header.Get("Authorization") != "" {
		token = `-H "Authorization: Bearer $TOKEN" `
	}
	query := "SELECT * FROM " + sql.Identifier(m.Name) + " ORDER BY " + sql.Identifier(bare(q.order))
	if strings.HasPrefix(q.order, "-") {
		query += " DESC"
	}
	query += " LIMIT " + strconv.Itoa(q.limit)
	m.Again = "/sql?" + url.Values{"q": {query}}.Encode()
	m.Recipes = []recipe{
		{"Every change, as a Kafka topic", "kafka-console-consumer --bootstrap-server " + quote(brokers) + " --topic " + quote(m.Topics.Result) +
			" --from-beginning --isolation-level read_committed --property print.key=true"},
		{"These rows, as CSV", "curl -s " + token + quote(scheme+r.Host+first+"&format=csv")},
		{"Their changes, as they happen", "curl -sN " + token + quote(scheme+r.Host+"/api/v1/tables/"+url.PathEscape(m.Name)+"/changes")},
	}
	if c.Postgres != "" {
		m.Recipes = append(m.Recipes, recipe{"With psql", "psql " + quote(c.Postgres) + " -c " + quote(query)})
	}
	if token == "" {
		m.Recipes = append(m.Recipes, recipe{"With pandas", "pandas.read_csv(" + strconv.Quote(scheme+r.Host+rows+"format=csv") + ")"})
	}
}

// plain is what a shell takes as it is.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.:/@%+=,-", r)
}

// quote makes s one word of a shell.
func quote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const (
	trendTicks  = 120 // how many times a page remembers
	trendSeries = 5   // how many rows are drawn
	trendNoted  = 20  // how many are remembered: one that comes to the top has been near it
)

// trend is how the rows of a page went while it was looked at.
type trend struct {
	of    string // the request
	times []time.Time
	ticks []map[string]float64 // by the row's key
}

// chart notes the rows and draws the first of them; nil while there is nothing to draw.
func (t *trend) chart(g *grid, q request) *chart {
	column := slices.IndexFunc(g.Columns, func(c gridColumn) bool { return c.Sorted != "" && c.Number && !c.Key })
	if column < 0 {
		return nil
	}
	if of := q.link(); of != t.of {
		*t = trend{of: of}
	}
	tick := make(map[string]float64, trendNoted)
	for _, r := range g.Rows[:min(trendNoted, len(g.Rows))] {
		if v := r.Cells[column].Number; v >= 0 && !math.IsInf(v, 1) {
			tick[r.Key] = v
		}
	}
	t.ticks, t.times = append(t.ticks, tick), append(t.times, time.Now())
	if more := len(t.ticks) - trendTicks; more > 0 {
		t.ticks, t.times = t.ticks[more:], t.times[more:]
	}
	if len(t.ticks) < 2 {
		return nil
	}
	var names, last []string
	var values [][]float64
	for _, r := range g.Rows[:min(trendSeries, len(g.Rows))] {
		var name []string
		for i, c := range g.Columns {
			if c.Key {
				name = append(name, r.Cells[i].Text)
			}
		}
		line := make([]float64, len(t.ticks))
		for i, tick := range t.ticks {
			v, there := tick[r.Key]
			if line[i] = v; !there {
				line[i] = -1
			}
		}
		names, last, values = append(names, strings.Join(name, " · ")), append(last, r.Cells[column].Text), append(values, line)
	}
	c := lineChart(names, last, values, len(t.ticks))
	c.Ends = []string{ago(&t.times[0]), "now"}
	return c
}
