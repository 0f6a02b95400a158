package views

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, method, url, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return reply{}
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err) // not Fatal: some tests ask from goroutines, and wait for a reply
		return reply{}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

func get(t *testing.T, url string, header ...string) reply {
	t.Helper()
	return do(t, http.MethodGet, url, "", header...)
}

// jsonRows returns the rows of a json answer as text, a row a line.
func (r reply) jsonRows(t *testing.T) string {
	t.Helper()
	var a struct{ Rows []json.RawMessage }
	if err := json.Unmarshal([]byte(r.body), &a); err != nil || r.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	var b strings.Builder
	for _, row := range a.Rows {
		b.Write(row)
		b.WriteByte('\n')
	}
	return b.String()
}

// apiErr returns the error of an answer as "status code: message; hint".
func (r reply) apiErr(t *testing.T) string {
	t.Helper()
	var a struct{ Error *apiError }
	if err := json.Unmarshal([]byte(r.body), &a); err != nil || a.Error == nil {
		t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	return strings.TrimSuffix(http.StatusText(r.status)+" "+a.Error.Code+": "+a.Error.Message+"; "+a.Error.Hint, "; ")
}

func TestRows(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal, queries)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/"
	for _, test := range []struct{ name, path, want string }{
		{"the top of the notebook's table", "dns_counts/rows?order=-count,qtype_name&limit=2", `["10.0.0.1","A",5]
["2001:db8::7","PTR",4]
`},
		{"the next page", "dns_counts/rows?order=-count&limit=2&offset=2", `["10.0.0.2","A",3]
["10.0.0.1","AAAA",2]
`},
		{"one host", "dns_counts/rows?id.orig_h=10.0.0.1&order=qtype_name", `["10.0.0.1","A",5]
["10.0.0.1","AAAA",2]
`},
		{"the full key", "dns_counts/rows?id.orig_h=10.0.0.2&qtype_name=A", `["10.0.0.2","A",3]
`},
		{"the full key with NULL", `dns_counts/rows?id.orig_h=10.0.0.2&qtype_name=\N`, `["10.0.0.2",null,1]
`},
		{"a key that is not there", "dns_counts/rows?id.orig_h=10.9.9.9&qtype_name=A", ``},
		{"the full key and more that does not hold", "dns_counts/rows?id.orig_h=10.0.0.2&qtype_name=A&count=4", ``},
		{"not by key", "dns_counts/rows?count=4", `["2001:db8::7","PTR",4]
`},
		{"NULL alone", `dns_counts/rows?qtype_name=\N`, `["10.0.0.2",null,1]
`},
		{"NULL comes last in either direction", "dns_counts/rows?order=-qtype_name&id.orig_h=10.0.0.2", `["10.0.0.2","A",3]
["10.0.0.2",null,1]
`},
		{"an address in another form", "dns_counts/rows?id.orig_h=2001:db8:0::7&qtype_name=PTR", `["2001:db8::7","PTR",4]
`},
		{"the empty string is not NULL", "queries/rows?query=", `["",1,null]
`},
		{"control characters do not reach terminals", "queries/rows?query=%1b[31mred", `["\u001b[31mred",4,null]
`},
		{"without GROUP BY there is one row", "dns_total/rows", `[15,125,"2023-11-14T22:13:20.000004Z"]
`},
		{"a page of its one row", "dns_total/rows?limit=1&order=-n", `[15,125,"2023-11-14T22:13:20.000004Z"]
`},
		{"a page of one key", "dns_counts/rows?id.orig_h=10.0.0.2&qtype_name=A&limit=1", `["10.0.0.2","A",3]
`},
		{"a column in other case", "dns_counts/rows?Count=4&order=-COUNT", `["2001:db8::7","PTR",4]
`},
		{"no rows", "dns_counts/rows?limit=0", ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, get(t, url+test.path).jsonRows(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestALongKeyIsFoundAsItIsShown: a row's key is cut where the text is long, and a look-up finds what the row shows.
func TestALongKeyIsFoundAsItIsShown(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	long := strings.Repeat("x", 3000)
	f.add(asked(long), asked(long))
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/rows"
	all := get(t, url).jsonRows(t)
	shown, _, _ := strings.Cut(strings.TrimPrefix(all, `["`), `"`)
	if len(shown) < 100 || len(shown) >= len(long) {
		t.Fatalf("rows %s", all)
	}
	if got := get(t, url+"?query="+shown).jsonRows(t); got != all {
		t.Errorf("by what is shown: %s, want %s", got, all)
	}
	if got := get(t, url+"?query="+long).jsonRows(t); got != "" {
		t.Errorf("by what was sent: %s", got)
	}
}

func TestRowsOverNoRecords(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/"
	if got := get(t, url+"dns_total/rows").jsonRows(t); got != "[0,null,null]\n" {
		t.Errorf("dns_total: %s", got)
	}
	if got := get(t, url+"dns_counts/rows").jsonRows(t); got != "" {
		t.Errorf("dns_counts: %s", got)
	}
	if got := get(t, url+"dns_total/rows?n=1").jsonRows(t); got != "" {
		t.Errorf("dns_total where n is 1: %s", got)
	}
}

func TestColumnsNamedLikeParameters(t *testing.T) {
	f := newFixture(t, Limits{}, `CREATE TABLE odd AS SELECT qtype_name AS "limit", count(*) AS "order" FROM dns GROUP BY qtype_name`)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/odd/rows"
	if got := get(t, url+"?col.limit=PTR&limit=5").jsonRows(t); got != `["PTR",4]`+"\n" {
		t.Error(got)
	}
	if got := get(t, url+"?order=-order&limit=1").jsonRows(t); got != `["A",8]`+"\n" {
		t.Error(got)
	}
}

func TestFormats(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/rows?order=n"
	const (
		csv = "query,n,rtt\n\"\",1,\n\"a,\"\"b\"\"\nc\",3,\n\x1b[31mred,4,\nexample.com,7,\n"
		nd  = `{"query":"","n":1,"rtt":null}` + "\n" + `{"query":"a,\"b\"\nc","n":3,"rtt":null}` + "\n" + `{"query":"\u001b[31mred","n":4,"rtt":null}` + "\n" + `{"query":"example.com","n":7,"rtt":null}` + "\n"
	)
	for _, test := range []struct{ name, url, accept, kind, want string }{
		{"csv by name", url + "&format=csv", "", "text/csv; charset=utf-8; header=present", csv},
		{"csv by Accept", url, "text/html;q=0.5, text/csv", "text/csv; charset=utf-8; header=present", csv},
		{"ndjson by name", url + "&format=ndjson", "", "application/x-ndjson", nd},
		{"ndjson by Accept", url, "application/jsonl", "application/x-ndjson", nd},
		{"tsv by name", url + "&format=tsv", "", "text/tab-separated-values; charset=utf-8", strings.NewReplacer("a,", "a,", ",", "\t").Replace(csv)},
		{"csv with another NULL", url + "&format=csv&null=%5CN&limit=1", "", "text/csv; charset=utf-8; header=present", "query,n,rtt\n,1,\\N\n"},
		{"the name wins", url + "&format=NDJSON", "text/csv", "application/x-ndjson", nd},
		{"the better one", url, "text/csv;q=0.2, application/x-ndjson;q=0.9, */*;q=0.1", "application/x-ndjson", nd},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := get(t, test.url, "Accept", test.accept)
			if r.status != http.StatusOK || r.header.Get("Content-Type") != test.kind {
				t.Errorf("status %d, %s", r.status, r.header.Get("Content-Type"))
			}
			if diff := cmp.Diff(test.want, r.body); diff != "" {
				t.Error(diff)
			}
			if got := r.header.Get("Brotally-As-Of"); got != `{"dns":{"0":15}}` {
				t.Errorf("as of %s", got)
			}
		})
	}
	for _, accept := range []string{"", "*/*", "application/json", "text/html,application/xhtml+xml,*/*;q=0.8", "nonsense, */*"} {
		if r := get(t, url, "Accept", accept); r.header.Get("Content-Type") != "application/json" {
			t.Errorf("Accept %q gives %s", accept, r.header.Get("Content-Type"))
		}
	}
	if got := get(t, url, "Accept", "text/html").apiErr(t); !strings.HasPrefix(got, "Not Acceptable not_acceptable: ") {
		t.Error(got)
	}
	if got := get(t, url, "Accept", "text/csv;q=0, application/json;q=0, application/x-ndjson;q=0").apiErr(t); !strings.HasPrefix(got, "Not Acceptable") {
		t.Error(got)
	}
}

// TestFormatsWithTypes: Zeek's log and Arrow say what the columns are; docs/HTTP.md has Python read them.
func TestFormatsWithTypes(t *testing.T) {
	f := newFixture(t, Limits{}, queries)
	f.add(`{"ts":1.5,"query":"=1+1","rtt":0.5}`)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables/queries/rows"
	r := get(t, url, "Accept", "text/x-zeek-log")
	if r.header.Get("Content-Type") != "text/x-zeek-log; charset=utf-8" || r.header.Get("Content-Disposition") != `attachment; filename="queries.log"` ||
		!strings.Contains(r.body, "\n#path\tqueries\n") || !strings.Contains(r.body, "\n#fields\tquery\tn\trtt\n#types\tstring\tint\tinterval\n=1+1\t1\t0.5\n#close\t") {
		t.Errorf("%v\n%s", r.header, r.body)
	}
	r = get(t, url+"?format=arrow")
	if r.header.Get("Content-Type") != "application/vnd.apache.arrow.stream" || r.header.Get("Brotally-Rows") != "1" || !strings.Contains(r.body, "=1+1") {
		t.Errorf("%v\n%q", r.header, r.body)
	}
	if r := get(t, url+"?format=csv&spreadsheet=1"); r.body != "query,n,rtt\n'=1+1,1,0.5\n" {
		t.Error(r.body)
	}
	if r := do(t, "POST", strings.Replace(url, "/tables/queries/rows", "/query?null=NULL", 1), `{"sql":"SELECT query, NULL AS x FROM queries","format":"tsv"}`, "Content-Type", "application/json"); r.body != "query\tx\n=1+1\tNULL\n" {
		t.Error(r.body)
	}
	for query, want := range map[string]string{
		"?null=x":                       "Bad Request bad_parameter: null is for csv and tsv; say ?format=csv",
		"?spreadsheet=1&format=arrow":   "Bad Request bad_parameter: spreadsheet is for csv and tsv; say ?format=csv",
		"?spreadsheet=maybe&format=csv": `Bad Request bad_value: spreadsheet: "maybe" is neither true nor false`,
		"?null=a%2Cb&format=csv":        "Bad Request bad_value: null is a text without separators, quotes and line breaks",
		"?format=arow":                  "Bad Request bad_value: no format arow; did you mean arrow?",
	} {
		if got := get(t, url+query).apiErr(t); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestJSONAnswer(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(office()...)
	r := get(t, f.server(ServerConfig{}).URL+"/api/v1/tables/dns_counts/rows?id.orig_h=10.0.0.1&qtype_name=A")
	var got map[string]any
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	meta := got["meta"].(map[string]any)
	if took, ok := meta["took_ms"].(float64); !ok || took < 0 {
		t.Errorf("took %v", meta["took_ms"])
	}
	delete(meta, "took_ms")
	want := map[string]any{
		"columns": []any{map[string]any{"name": "id.orig_h", "type": "inet"}, map[string]any{"name": "qtype_name", "type": "string"}, map[string]any{"name": "count", "type": "bigint"}},
		"rows":    []any{[]any{"10.0.0.1", "A", 5.0}},
		"meta": map[string]any{
			"table": "dns_counts", "as_of": map[string]any{"dns": map[string]any{"0": 15.0}}, "event_time": "2023-11-14T22:13:20.123456Z", "rows": 1.0,
			"counts": map[string]any{"read": 15.0, "counted": 15.0, "filtered": 0.0, "other_feed": 0.0, "no_time": 0.0, "dead_lettered": 0.0, "bad_fields": 0.0, "overflows": 0.0, "cut_keys": 0.0, "lost": 0.0, "skewed": 0.0, "late": 0.0},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIntegersStayExact(t *testing.T) {
	f := newFixture(t, Limits{}, `CREATE TABLE big AS SELECT id.orig_h, sum(trans_id) AS s FROM dns GROUP BY id.orig_h`)
	for range 3 {
		f.add(`{"id.orig_h":"10.0.0.1","trans_id":18446744073709551615}`)
	}
	url := f.server(ServerConfig{}).URL
	if got := get(t, url+"/api/v1/tables/big/rows").jsonRows(t); got != "[\"10.0.0.1\",55340232221128654845]\n" {
		t.Error(got)
	}
	if got := get(t, url+"/api/v1/tables/big/rows?s=55340232221128654845").jsonRows(t); got != "[\"10.0.0.1\",55340232221128654845]\n" {
		t.Error(got)
	}
	got := do(t, "POST", url+"/api/v1/query", `{"sql":"SELECT s FROM big WHERE s = $1","params":[55340232221128654845]}`, "Content-Type", "application/json")
	if rows := got.jsonRows(t); rows != "[55340232221128654845]\n" {
		t.Error(rows)
	}
}

func TestQuery(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal, queries)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + "/api/v1/query"
	for _, test := range []struct{ name, body, want string }{
		{"the notebook's", `{"sql":"SELECT * FROM dns_counts ORDER BY count DESC LIMIT 1"}`, `["10.0.0.1","A",5]` + "\n"},
		{"a parameter", `{"sql":"SELECT qtype_name FROM dns_counts WHERE id.orig_h = $1 AND count > $2","params":["10.0.0.1",2]}`, `["A"]` + "\n"},
		{"the full key", `{"sql":"SELECT count FROM dns_counts WHERE id.orig_h = $1 AND qtype_name = $2","params":["10.0.0.1","AAAA"]}`, "[2]\n"},
		{"an aggregate", `{"sql":"SELECT qtype_name, sum(count) AS n FROM dns_counts GROUP BY qtype_name ORDER BY n DESC, qtype_name LIMIT 2"}`, "[\"A\",8]\n[\"PTR\",4]\n"},
		{"a parameter that is NULL", `{"sql":"SELECT count FROM dns_counts WHERE qtype_name IS NOT DISTINCT FROM $1","params":[null]}`, "[1]\n"},
		{"name in other case", `{"sql":"SELECT n FROM DNS_TOTAL"}`, "[15]\n"},
		{"LIMIT as parameter", `{"sql":"SELECT count FROM dns_counts ORDER BY count LIMIT $1 OFFSET $2","params":[1,1]}`, "[2]\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second time from the cache
				r := do(t, "POST", url, test.body, "Content-Type", "application/json")
				if diff := cmp.Diff(test.want, r.jsonRows(t)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestRequestErrors(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, queries)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL
	const tables, query = "/api/v1/tables/", "/api/v1/query"
	for _, test := range []struct{ name, method, path, body, want string }{
		{"unknown table", "GET", tables + "dns_count/rows", "", "Not Found unknown_table: no table dns_count; did you mean dns_counts?"},
		{"a feed", "GET", tables + "dns/rows", "", "Not Found unknown_table: no table dns; dns is a feed, look-ups read tables: dns_counts, queries"},
		{"unknown column", "GET", tables + "dns_counts/rows?qtype=A", "", "Bad Request unknown_parameter: no column or parameter qtype; did you mean qtype_name?"},
		{"misspelt parameter", "GET", tables + "dns_counts/rows?limt=1", "", "Bad Request unknown_parameter: no column or parameter limt; did you mean limit?"},
		{"nothing near", "GET", tables + "dns_counts/rows?xyzzy=1", "", "Bad Request unknown_parameter: no column or parameter xyzzy; the columns are id.orig_h, qtype_name, count"},
		{"unknown order", "GET", tables + "dns_counts/rows?order=-cont", "", "Bad Request unknown_column: order: no column cont; did you mean count?"},
		{"no address", "GET", tables + "dns_counts/rows?id.orig_h=ten", "", `Bad Request bad_value: id.orig_h: "ten" is not an inet: not an IPv4 or IPv6 address; NULL is written \N`},
		{"no number", "GET", tables + "dns_counts/rows?limit=-1", "", `Bad Request bad_value: limit: "-1" is not a number of rows`},
		{"given twice", "GET", tables + "dns_counts/rows?count=1&count=2", "", "Bad Request bad_parameter: count is given twice; POST /api/v1/query takes SQL, which has OR and IN"},
		{"given twice in other case", "GET", tables + "dns_counts/rows?count=1&COUNT=2", "", "Bad Request bad_parameter: count is given twice; POST /api/v1/query takes SQL, which has OR and IN"},
		{"unknown format", "GET", tables + "dns_counts/rows?format=cvs", "", "Bad Request bad_value: no format cvs; did you mean csv?"},
		{"stale is no boolean", "GET", tables + "dns_counts/rows?stale=perhaps", "", `Bad Request bad_value: stale: "perhaps" is neither true nor false`},
		{"no offset", "GET", tables + "dns_counts/rows?min_offset=dns:4", "", `Bad Request bad_value: min_offset: "dns:4" is no offset; write topic/partition:offset, such as dns/0:41, or one offset for all`},
		{"stale and fresh", "GET", tables + "dns_counts/rows?min_offset=4&stale=true", "", "Bad Request bad_parameter: min_offset and stale=true contradict each other; leave one of them out"},
		{"nothing there", "GET", "/api/v2/tables", "", "Not Found not_found: there is nothing at /api/v2/tables; see /api/v1/tables"},
		{"no page", "GET", "/", "", "Not Found not_found: there is nothing at /; see /api/v1/tables"},
		{"not to be posted", "POST", tables + "dns_counts/rows", "", "Method Not Allowed method_not_allowed: /api/v1/tables/dns_counts/rows does not take POST; use GET"},
		{"to be posted", "GET", query, "", "Method Not Allowed method_not_allowed: /api/v1/query does not take GET; use POST"},
		{"SQL with a fault", "POST", query, `{"sql":"SELECT qtype FROM dns_counts"}`, "Bad Request sql: no column qtype in dns_counts; did you mean qtype_name?"},
		{"no look-up", "POST", query, `{"sql":"CREATE TABLE a AS SELECT count(*) FROM dns"}`, "Bad Request sql: a look-up is a SELECT; tables are defined in the files that run is given"},
		{"unknown table in SQL", "POST", query, `{"sql":"SELECT * FROM querys"}`, "Not Found unknown_table: no table querys; did you mean queries?"},
		{"a parameter too few", "POST", query, `{"sql":"SELECT * FROM queries WHERE n = $1"}`, `Bad Request bad_parameter: the statement takes 1 parameter(s), 0 given; write them as "params": [..], in the order of $1, $2`},
		{"a parameter of another type", "POST", query, `{"sql":"SELECT * FROM dns_counts WHERE id.orig_h = $1","params":[true]}`, "Bad Request bad_value: parameter $1: bool true is not an inet"},
		{"an array as parameter", "POST", query, `{"sql":"SELECT * FROM queries WHERE n = $1","params":[[1]]}`, "Bad Request bad_value: parameter $1: arrays and objects are not possible"},
		{"no JSON", "POST", query, `SELECT 1`, `Bad Request bad_body: the body is not what is expected: invalid character 'S' looking for beginning of value; write {"sql": "SELECT ..", "params": [..]}`},
		{"unknown field", "POST", query, `{"sql":"SELECT * FROM queries","parms":[]}`, `Bad Request bad_body: the body is not what is expected: unknown field "parms"; write {"sql": "SELECT ..", "params": [..]}`},
		{"two bodies", "POST", query, `{"sql":"SELECT * FROM queries"}{}`, `Bad Request bad_body: the body is not what is expected: something follows the object; write {"sql": "SELECT ..", "params": [..]}`},
		{"no SQL", "POST", query, `{}`, `Bad Request bad_body: the body has no sql; write {"sql": "SELECT ..", "params": [..]}`},
		{"too large", "POST", query, `{"sql":"` + strings.Repeat("x", maxBody) + `"}`, "Request Entity Too Large too_large: the request is larger than 1048576 bytes"},
		{"unknown parameter of a query", "POST", query + "?limit=3", `{"sql":"SELECT * FROM queries"}`, "Bad Request unknown_parameter: no parameter limit; the SQL text says the rest"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := do(t, test.method, url+test.path, test.body, "Content-Type", "application/json").apiErr(t)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	r := do(t, "POST", url+query, "sql=SELECT", "Content-Type", "application/x-www-form-urlencoded")
	if got := r.apiErr(t); !strings.HasPrefix(got, "Unsupported Media Type unsupported_media_type: ") {
		t.Error(got)
	}
}

func TestSQLErrorsShowTheirPlace(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	url := f.server(ServerConfig{}).URL + "/api/v1/query"
	var got struct{ Error apiError }
	r := do(t, "POST", url, `{"sql":"SELECT id.orig_h,\n  qtype FROM dns_counts"}`, "Content-Type", "application/json")
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	want := apiError{Code: "sql", Message: "no column qtype in dns_counts", Hint: "did you mean qtype_name?", Line: 2, Column: 3,
		Text: "2:3: no column qtype in dns_counts; did you mean qtype_name?\n    qtype FROM dns_counts\n    ^"}
	if diff := cmp.Diff(want, got.Error, cmp.AllowUnexported(apiError{})); diff != "" {
		t.Error(diff)
	}
}

func TestTables(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, `CREATE TABLE a_only WITH (topic = 'only-a') AS SELECT id.orig_h, count(*) AS n FROM dns WHERE qtype_name = 'A' GROUP BY id.orig_h`)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + "/api/v1/tables"
	var list struct {
		Tables []struct {
			Name   string
			Ready  bool
			Groups int
			Counts map[string]int
		}
	}
	if err := json.Unmarshal([]byte(get(t, url).body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Tables) != 2 || list.Tables[0].Name != "a_only" || !list.Tables[0].Ready || list.Tables[0].Groups != 2 || list.Tables[0].Counts["filtered"] != 7 {
		t.Errorf("tables: %+v", list)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(get(t, url+"/a_only").body), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "bytes")
	counts := map[string]any{"read": 15.0, "counted": 8.0, "filtered": 7.0, "other_feed": 0.0, "no_time": 0.0, "dead_lettered": 0.0, "bad_fields": 0.0, "overflows": 0.0, "cut_keys": 0.0, "lost": 0.0, "skewed": 0.0, "late": 0.0}
	want := map[string]any{
		"name": "a_only", "feed": "dns", "ready": true, "state": "ready", "groups": 2.0, "event_time": "2023-11-14T22:13:20.123456Z", "heard": "2023-11-14T22:13:21.000Z", "counts": counts,
		"sql": f.view("a_only").table.SQL,
		"columns": []any{
			map[string]any{"name": "id.orig_h", "type": "inet", "key": true, "aggregate": false},
			map[string]any{"name": "n", "type": "bigint", "key": false, "aggregate": true},
		},
		"topics":  map[string]any{"feed": []any{"dns"}, "result": "only-a", "partials": "brotally-a_only-partials", "changelog": "brotally-a_only-table"},
		"as_of":   map[string]any{"dns": map[string]any{"0": 15.0}},
		"adds_up": true,
		"progress": []any{map[string]any{
			"topic": "dns", "partition": 0.0, "offset": 15.0, "event_time": "2023-11-14T22:13:20.123456Z", "heard": "2023-11-14T22:13:21.000Z", "counts": counts,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestATableThatIsNotReady(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, queries)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL
	if r := get(t, url+"/readyz"); r.status != http.StatusOK {
		t.Errorf("ready at first: %d %s", r.status, r.body)
	}
	view := f.view("dns_counts")
	view.hold(held{store: f.stores["dns_counts"], partitions: partitions, total: 40, state: "is being restored"})

	r := get(t, url+"/api/v1/tables/dns_counts/rows")
	if got := r.apiErr(t); got != "Service Unavailable not_ready: table dns_counts is being restored: 0 of 40 changelog records are read; try again in a moment, or add stale=true for what there is" {
		t.Error(got)
	}
	if r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, `"done":0,"total":40`) {
		t.Errorf("Retry-After %q: %s", r.header.Get("Retry-After"), r.body)
	}
	r = get(t, url+"/api/v1/tables/dns_counts/rows?stale=true&order=-count&limit=1")
	if got := r.jsonRows(t); got != "[\"10.0.0.1\",\"A\",5]\n" || !strings.Contains(r.body, `"partial":true`) {
		t.Error(r.body)
	}
	if r := get(t, url+"/api/v1/tables/queries/rows?limit=1"); r.status != http.StatusOK {
		t.Errorf("another table: %d %s", r.status, r.body)
	}
	r = get(t, url+"/readyz")
	if r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, `{"name":"dns_counts","ready":false,"state":"is being restored","done":0,"total":40}`) {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	if r := get(t, url+"/healthz"); r.status != http.StatusOK {
		t.Errorf("healthz: %d", r.status)
	}
	r = get(t, url+"/api/v1/tables/dns_counts")
	if !strings.Contains(r.body, `"recovery":{"done":0,"total":40}`) {
		t.Error(r.body)
	}
}

func TestMinOffset(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL
	for _, path := range []string{"min_offset=15", "min_offset=dns/0:15", "min_offset=dns/0:3,dns/0:15"} {
		if r := get(t, url+"/api/v1/tables/dns_counts/rows?limit=1&"+path); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	for i, body := range []string{`"min_offset":16`, `"min_offset":"dns/0:17"`, `"min_offset":{"dns":{"0":18}}`} {
		answered := make(chan reply, 1)
		go func() {
			answered <- do(t, "POST", url+"/api/v1/query", `{"sql":"SELECT count FROM dns_counts WHERE id.orig_h = '10.7.7.7'",`+body+`}`, "Content-Type", "application/json")
		}()
		f.add(`{"id.orig_h":"10.7.7.7"}`) // should it come before the request, there is nothing to wait for: as good
		if got := (<-answered).jsonRows(t); got != fmt.Sprintf("[%d]\n", i+1) {
			t.Errorf("%s: %s", body, got)
		}
	}
}

func TestMinOffsetThatDoesNotCome(t *testing.T) {
	f := newFixture(t, Limits{Time: 20 * time.Millisecond}, dnsCounts)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL
	for path, want := range map[string]string{
		"min_offset=16":           "Service Unavailable behind: table dns_counts is at dns/0:15, not at min_offset yet; try again in a moment",
		"min_offset=other/1:1":    "Service Unavailable behind: table dns_counts is at dns/0:15, not at min_offset yet; try again in a moment",
		"min_offset=dns/0:9e9":    `Bad Request bad_value: min_offset: "dns/0:9e9" is no offset; write topic/partition:offset, such as dns/0:41, or one offset for all`,
		"min_offset=dns/0:15,-1":  `Bad Request bad_value: min_offset: "-1" is no offset; write topic/partition:offset, such as dns/0:41, or one offset for all`,
		"min_offset=dns/zero:15":  `Bad Request bad_value: min_offset: "dns/zero:15" is no offset; write topic/partition:offset, such as dns/0:41, or one offset for all`,
		"min_offset=dns%2F0:1600": "Service Unavailable behind: table dns_counts is at dns/0:15, not at min_offset yet; try again in a moment",
	} {
		if got := get(t, url+"/api/v1/tables/dns_counts/rows?"+path).apiErr(t); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
