package tables

import (
	"errors"
	"strings"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// otherWords are functions of other languages, and what to write here.
var otherWords = map[string]string{
	"average": "write avg(x)", "mean": "write avg(x)", "total": "write sum(x)", "countif": "write count(*) FILTER (WHERE ..)", "count_if": "write count(*) FILTER (WHERE ..)",
	"sumif": "write sum(x) FILTER (WHERE ..)", "sum_if": "write sum(x) FILTER (WHERE ..)",
	"median": "write approx_percentile(x, 0.5)", "percentile": percentiles, "quantile": percentiles, "percentile_cont": percentiles, "percentile_disc": percentiles,
	"percentile_approx": percentiles, "approx_quantile": percentiles,
	"count_distinct": distinct, "approx_distinct": distinct, "ndv": distinct, "uniq": distinct, "hll": distinct,
	"string_agg": lists, "group_concat": lists, "listagg": lists, "collect_set": lists, "collect_list": lists, "list": lists, "histogram": "write top_k(x, 10), or GROUP BY x",
	"topk": "write top_k(x, 10)", "topkdistinct": "write top_k(x, 10)", "approx_top_k": "write top_k(x, 10)", "mode": "write top_k(x, 1)[1]",
	"latest_by_offset": "last(x) is by event time", "earliest_by_offset": "first(x) is by event time", "any_value": "write min(x)", "first_value": "write first(x)", "last_value": "write last(x)",
	"every": "write bool_and(x)", "some": "write bool_or(x)", "var": "write variance(x)", "std": "write stddev(x)",
	"row_number": ranks, "rank": ranks, "dense_rank": ranks,

	"concat": "texts are joined by ||", "ucase": "write upper(x)", "lcase": "write lower(x)", "char_length": "write length(x)", "instr": "write x LIKE '%..%'", "strpos": "write x LIKE '%..%'",
	"position": "write x LIKE '%..%'", "contains": "write x LIKE '%..%', of an array value = ANY (array)", "starts_with": "write x LIKE 'a%'", "startswith": "write x LIKE 'a%'",
	"ends_with": "write x LIKE '%a'", "endswith": "write x LIKE '%a'", "regexp_like": matched, "regexp_matches": matched, "regexp": matched, "rlike": matched,
	"split": "write split_part(x, '.', 1)", "substring_index": "write split_part(x, '.', 1)", "reverse": "of domain names, registered_domain(x) may do",

	"if": "write CASE WHEN .. THEN .. ELSE .. END", "iff": "write CASE WHEN .. THEN .. ELSE .. END", "iif": "write CASE WHEN .. THEN .. ELSE .. END", "decode": "write CASE x WHEN .. THEN .. END",
	"ifnull": "write coalesce(a, b)", "nvl": "write coalesce(a, b)", "isnull": "write x IS NULL", "try_cast": "write CAST(x AS type): what does not convert is NULL",

	"date_part": extracts, "hour": extracts, "minute": extracts, "second": extracts, "day": extracts, "dayofweek": extracts, "week": extracts, "month": extracts, "year": extracts,
	"to_char": calendar, "date_format": calendar, "strftime": calendar, "from_unixtime": "write to_timestamp(x)", "unix_timestamp": "write extract(epoch FROM x)", "to_unixtime": "write extract(epoch FROM x)",
	"date": "write date_trunc('day', ts)", "to_date": "write date_trunc('day', ts)",
	"time_bucket": windows, "window": windows, "tumble": windows, "hop": windows, "cumulate": windows, "session_window": windows, "tumblingwindow": windows, "date_bin": windows, "time_slice": windows,
	"now": clock, "current_timestamp": clock, "current_date": clock, "getdate": clock, "unixtime": clock, "rand": clock, "random": clock,

	"explode": "write unnest(x)", "array_join": "arrays are shown whole", "size": "write len(x)", "element_at": "write x[1]", "array_position": "write value = ANY (array)",
	"cidrmatch": "write in_subnet(ip, '10.0.0.0/8')", "cidr_match": "write in_subnet(ip, '10.0.0.0/8')", "inet_contains": "write in_subnet(ip, '10.0.0.0/8')", "network": "write mask(ip, 24)",
	"masklen": "write mask(ip, 24)", "tld": "write public_suffix(x)", "domain": "write registered_domain(x)", "etld": "write public_suffix(x)",
	"rollup": "make a table for each grouping", "cube": "make a table for each grouping", "grouping": "make a table for each grouping", "sets": "make a table for each grouping",
}

const (
	percentiles = "write approx_percentile(x, 0.95)"
	distinct    = "write approx_count_distinct(x)"
	lists       = "write array_agg(DISTINCT x)"
	ranks       = "a look-up has ORDER BY and LIMIT"
	matched     = "write x ~ 'expression'"
	extracts    = "write extract(hour FROM ts)"
	calendar    = "write date_trunc('hour', ts) or extract(hour FROM ts)"
	windows     = "write WINDOW TUMBLING (SIZE 1 HOUR) behind FROM and WHERE, or date_trunc('hour', ts)"
	clock       = "there is no clock and no chance: a table follows from its records alone"
)

// functionHint says what to write for a function that does not exist.
func functionHint(name string) string {
	if hint, ok := otherWords[name]; ok {
		return hint
	}
	return sql.DidYouMean(name, functionNames())
}

// otherNames are what other tools call Zeek's columns.
var otherNames = map[string]string{
	"src": "id.orig_h", "src_ip": "id.orig_h", "srcip": "id.orig_h", "source_ip": "id.orig_h", "source.ip": "id.orig_h", "client_ip": "id.orig_h", "saddr": "id.orig_h",
	"dst": "id.resp_h", "dst_ip": "id.resp_h", "dstip": "id.resp_h", "dest_ip": "id.resp_h", "destination_ip": "id.resp_h", "destination.ip": "id.resp_h", "server_ip": "id.resp_h", "daddr": "id.resp_h",
	"src_port": "id.orig_p", "sport": "id.orig_p", "source_port": "id.orig_p", "source.port": "id.orig_p",
	"dst_port": "id.resp_p", "dport": "id.resp_p", "dest_port": "id.resp_p", "destination_port": "id.resp_p", "destination.port": "id.resp_p", "port": "id.resp_p",
	"timestamp": "ts", "time": "ts", "@timestamp": "ts", "event_time": "ts", "protocol": "proto", "qname": "query", "domain": "query", "sni": "server_name", "useragent": "user_agent",
}

// synonym is the feed's column that has another name elsewhere; empty: there is none.
func (p *plan) synonym(c *sql.Column) string {
	name := otherNames[strings.ToLower(c.Text)]
	if _, ok := p.resolve(sql.Name{Text: name}); !ok {
		return ""
	}
	return name
}

// otherFeed is the feed that stands before a column's name, where it is not the plan's; empty: none does.
func (p *plan) otherFeed(c *sql.Column) string {
	name, _, dotted := strings.Cut(c.Text, ".")
	if _, ok := feeds.Lookup(name); !ok || !dotted || name == p.feed.Name {
		return ""
	}
	return name
}

// nameHint says what else a name may be that is no column: a function without its brackets, a string without its quotes.
func nameHint(c *sql.Column) string {
	switch name := strings.ToLower(c.Text); {
	case c.Quoted && !strings.Contains(c.Text, "."):
		return "a string is written in single quotes"
	case c.Quoted:
		return "a string is written '" + strings.ReplaceAll(c.Text, "'", "''") + "'; if records have the column, write CAST(" + sql.Format(c) + " AS its type)"
	case name == "count":
		return "write count(*)"
	case aggregates[name] != nil:
		return "write " + name + "(column)"
	case otherWords[name] == clock:
		return clock
	}
	return ""
}

// perhapsText adds to the error about a name that stands beside a comparison that it may be a string without quotes.
func perhapsText(e sql.Expr, err error) error {
	c, ok := e.(*sql.Column)
	var wrong *sql.Error
	if !ok || c.Quoted || !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Hint, "if records have it") {
		return err
	}
	out := *wrong
	out.Hint = "a string is written '" + c.Text + "'; " + wrong.Hint
	return &out
}

// aliasInWhere explains a name in WHERE that is one which SELECT gives; err is what was wrong.
func (p *plan) aliasInWhere(q *sql.Select, items []sql.Item, err error) error {
	for _, e := range conjuncts(q.Where) {
		var found error
		sql.Walk(e, func(e sql.Expr) bool {
			c, ok := e.(*sql.Column)
			if !ok || found != nil {
				return found == nil
			}
			if _, known := p.resolve(c.Name); known {
				return true
			}
			if i := findAlias(items, c.Name); i >= 0 {
				hint := "write it out: " + sql.Format(items[i].Expr)
				if hasAggregate(items[i].Expr) {
					hint = "conditions on aggregates belong in HAVING"
				}
				found = p.src.Error(c.At, c.Text+" is what SELECT calls "+sql.Format(items[i].Expr)+", which WHERE comes before", hint)
			}
			return found == nil
		})
		if found != nil {
			return found
		}
	}
	return err
}

// swallowed says that a column became another one's name, as it does where a comma is missing; empty: none did.
func (p *plan) swallowed(items []sql.Item) string {
	for _, it := range items {
		if it.As == nil {
			continue
		}
		if c, ok := it.Expr.(*sql.Column); ok && c.Text != it.As.Text {
			if _, known := p.resolve(*it.As); known {
				return it.As.Text + " is the name of " + c.Text + " there: is a comma missing before it?"
			}
		}
	}
	return ""
}
