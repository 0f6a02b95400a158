package views

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/grouptable"
	"github.com/brotally/brotally/tables"
)

func TestRanges(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, queries, `CREATE TABLE odd AS SELECT qtype_name AS "n.gt", count(*) AS n, max(ts) AS at FROM dns GROUP BY qtype_name`)
	f.add(office()...)
	rows := f.server(ServerConfig{}).URL + "/api/v1/tables/"
	for _, test := range []struct{ name, path, want string }{
		{"from", "dns_counts/rows?count.gte=4&order=-count", `["10.0.0.1","A",5] ["2001:db8::7","PTR",4]`},
		{"above", "dns_counts/rows?count.gt=4", `["10.0.0.1","A",5]`},
		{"from and to", "dns_counts/rows?count.gt=1&count.lte=3&order=count", `["10.0.0.1","AAAA",2] ["10.0.0.2","A",3]`},
		{"below", "dns_counts/rows?count.lt=2", `["10.0.0.2",null,1]`},
		{"in a network", "dns_counts/rows?id.orig_h.subnet=10.0.0.2/32&order=count", `["10.0.0.2",null,1] ["10.0.0.2","A",3]`},
		{"in a network of the other family", "dns_counts/rows?id.orig_h.subnet=2001:db8::/32", `["2001:db8::7","PTR",4]`},
		{"in a network and not one of it", "dns_counts/rows?id.orig_h.subnet=10.0.0.0/8&id.orig_h.ne=10.0.0.2&count.ne=5", `["10.0.0.1","AAAA",2]`},
		{"from an address on", "dns_counts/rows?id.orig_h.gte=10.0.0.2&order=id.orig_h,-count", `["10.0.0.2","A",3] ["10.0.0.2",null,1] ["2001:db8::7","PTR",4]`},
		{"unequal to a value holds for NULL", "dns_counts/rows?qtype_name.ne=A&order=count", `["10.0.0.2",null,1] ["10.0.0.1","AAAA",2] ["2001:db8::7","PTR",4]`},
		{"unequal to several", "dns_counts/rows?qtype_name.ne=A&qtype_name.ne=PTR&order=count", `["10.0.0.2",null,1] ["10.0.0.1","AAAA",2]`},
		{"not NULL", `dns_counts/rows?qtype_name.ne=\N&id.orig_h=10.0.0.2`, `["10.0.0.2","A",3]`},
		{"a range leaves NULL out", "queries/rows?rtt.gte=0", ``},
		{"an operator does not make a look-up one of a key", "dns_counts/rows?id.orig_h=10.0.0.1&qtype_name.gt=A", `["10.0.0.1","AAAA",2]`},
		{"a column that is called like one with an operator", "odd/rows?n.gt=PTR", `["PTR",4,"2023-11-14T22:13:20.000003Z"]`},
		{"its own operators", "odd/rows?n.gt.gt=AAAA", `["PTR",4,"2023-11-14T22:13:20.000003Z"]`},
		{"times", "odd/rows?at.gt=2023-11-14T22:13:20.000003Z", `["A",8,"2023-11-14T22:13:20.000004Z"]`},
		{"an operator behind a prefixed name", "odd/rows?col.n.lt=2", `[null,1,"2023-11-14T22:13:20Z"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(strings.Fields(get(t, rows+test.path).jsonRows(t)), " ")
			if strings.ReplaceAll(got, ".000000Z", "Z") != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	for path, want := range map[string]string{
		`dns_counts/rows?count.gt=\N`:               `Bad Request bad_value: count.gt: NULL is neither below nor above anything; count=\N and count.ne=\N ask for it`,
		"dns_counts/rows?count.gt=many":             `Bad Request bad_value: count: "many" is not a bigint: not a whole number; NULL is written \N`,
		"dns_counts/rows?count.gt=1&COUNT.gt=2":     "Bad Request bad_parameter: count.gt is given twice; POST /api/v1/query takes SQL, which has OR and IN",
		"dns_counts/rows?count.subnet=10.0.0.0/8":   "Bad Request bad_parameter: count.subnet: count is bigint, not inet",
		"dns_counts/rows?id.orig_h.subnet=10.0.0/8": `Bad Request bad_value: id.orig_h: "10.0.0/8" is not a subnet: write it as 10.0.0.0/8; NULL is written \N`,
		"dns_counts/rows?count.about=1":             "Bad Request unknown_parameter: no column or parameter count.about; did you mean count?",
		"dns_counts/rows?after=x&offset=1":          "Bad Request bad_parameter: after and offset contradict each other; leave one of them out: after goes on where a page ended, offset counts from the start",
		"dns_counts/rows?after=x":                   "Bad Request bad_token: after: that is no token; take it as it is from next of the page before, or begin again without after",
	} {
		if got := get(t, rows+path).apiErr(t); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", path, got, want)
		}
	}
}

// pageReply is what a page says of the next one.
type pageReply struct {
	Rows []json.RawMessage
	Meta struct{ Next string }
}

func pageOf(t *testing.T, r reply) (p pageReply) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	return p
}

func TestPages(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(office()...)
	server := f.server(ServerConfig{}).URL
	for path, want := range map[string]string{
		"limit=2":              `["10.0.0.1","A",5] ["10.0.0.1","AAAA",2] | ["10.0.0.2","A",3] ["10.0.0.2",null,1] | ["2001:db8::7","PTR",4]`,
		"order=-count&limit=2": `["10.0.0.1","A",5] ["2001:db8::7","PTR",4] | ["10.0.0.2","A",3] ["10.0.0.1","AAAA",2] | ["10.0.0.2",null,1]`,
		"limit=5":              `["10.0.0.1","A",5] ["10.0.0.1","AAAA",2] ["10.0.0.2","A",3] ["10.0.0.2",null,1] ["2001:db8::7","PTR",4]`,
		"count.lt=4&limit=2":   `["10.0.0.1","AAAA",2] ["10.0.0.2","A",3] | ["10.0.0.2",null,1]`,
	} {
		var pages []string
		for at := "/api/v1/tables/dns_counts/rows?" + path; at != ""; {
			r := get(t, server+at)
			p := pageOf(t, r)
			pages = append(pages, string(slices.Concat(slices.Collect(func(yield func([]byte) bool) {
				for i, row := range p.Rows {
					if i > 0 {
						row = append([]byte(" "), row...)
					}
					if !yield(row) {
						return
					}
				}
			})...)))
			// The three ways to the next page say the same.
			link, _, ok := strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), `>; rel="next"`)
			if ok != (p.Meta.Next != "") || ok && !strings.HasSuffix(link, "after="+p.Meta.Next) {
				t.Errorf("%s: next is %q, Link is %q", at, p.Meta.Next, r.header.Get("Link"))
			}
			if csv := get(t, server+at+"&format=csv").header; csv.Get("Brotally-Next") != p.Meta.Next {
				t.Errorf("%s: next is %q, Brotally-Next is %q", at, p.Meta.Next, csv.Get("Brotally-Next"))
			}
			at = link
		}
		if got := strings.Join(pages, " | "); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", path, got, want)
		}
	}
}

func TestATokenIsOfOneRequest(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, `CREATE TABLE other AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name`)
	f.add(office()...)
	rows := f.server(ServerConfig{}).URL + "/api/v1/tables/"
	token := pageOf(t, get(t, rows+"dns_counts/rows?count.lt=5&order=-count&limit=1")).Meta.Next
	const another = "Bad Request bad_token: after: the token is of a request with other filters or another order, or of an earlier definition of the table; begin again without after"
	const none = "Bad Request bad_token: after: that is no token; take it as it is from next of the page before, or begin again without after"
	for path, want := range map[string]string{
		"dns_counts/rows?count.lt=5&order=-count&limit=3&after=" + token:                   "",
		"dns_counts/rows?COUNT.lt=5&order=-count&format=csv&after=" + token:                "",
		"dns_counts/rows?count.lt=4&order=-count&after=" + token:                           another,
		"dns_counts/rows?count.lte=5&order=-count&after=" + token:                          another,
		"dns_counts/rows?count.lt=5&order=count&after=" + token:                            another,
		"dns_counts/rows?count.lt=5&after=" + token:                                        another,
		"other/rows?count.lt=5&order=-count&after=" + token:                                another,
		"dns_counts/rows?count.lt=5&order=-count&after=" + token[:len(token)-4]:            none,
		"dns_counts/rows?count.lt=5&order=-count&after=" + token + "AAAA":                  none,
		"dns_counts/rows?count.lt=5&order=-count&after=" + strings.Repeat("A", maxToken+1): none,
		"dns_counts/rows?count.lt=5&order=-count&after=!":                                  none,
	} {
		switch r := get(t, rows+path); {
		case want == "" && r.status != http.StatusOK:
			t.Errorf("%s: %d %s", path, r.status, r.body)
		case want != "" && r.apiErr(t) != want:
			t.Errorf("%.80s: %s", path, r.apiErr(t))
		}
	}
}

func TestTokensHoldAnyValue(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	p := f.view("dns_counts").newPage(nil, nil, nil)
	for _, value := range []feeds.Value{
		feeds.NullValue, feeds.StringValue(""), feeds.StringValue("\x00\xff\\N&=%"), feeds.BoolValue(true), feeds.BigintValue(math.MinInt64), feeds.UbigintValue(math.MaxUint64),
		feeds.NumericValue(feeds.Int128{Hi: math.MinInt64}), feeds.NumericValue(feeds.Int128{Hi: math.MaxInt64, Lo: math.MaxUint64}),
		feeds.DoubleValue(math.Inf(-1)), feeds.DoubleValue(math.NaN()), feeds.DoubleValue(math.SmallestNonzeroFloat64), feeds.DoubleValue(0.1),
		feeds.TimestampValue(-1), feeds.TimestampValue(math.MaxInt64), feeds.IntervalValue(-0.5), feeds.InetValue(netip.MustParseAddr("255.0.0.1")),
		feeds.InetValue(netip.MustParseAddr("2001:db8::")), feeds.SubnetValue(netip.MustParsePrefix("10.0.0.0/8")),
		feeds.ArrayValue([]feeds.Value{feeds.StringValue("a"), feeds.NullValue}),
	} {
		p.order, p.types = []by{{column: 0}, {column: 1}}, []feeds.Kind{value.Kind(), feeds.Bigint}
		token, err := p.token([]feeds.Value{value, feeds.BigintValue(3)})
		if err != nil || url.QueryEscape(token) != token {
			t.Fatalf("token of %s: %q, %v", value, token, err)
		}
		if got, err := p.read(token); err != nil || len(got) != 2 || !feeds.Equal(got[0], value) || got[1].Int() != 3 {
			t.Errorf("%s %s comes back as %v, %v", value.Kind(), value, got, err)
		}
	}
	if token, err := p.token([]feeds.Value{feeds.StringValue(strings.Repeat("x", maxToken)), feeds.BigintValue(0)}); err == nil {
		t.Errorf("a token of %d characters", len(token))
	}
}

func FuzzTokens(f *testing.F) {
	fix := newFixture(f, Limits{}, dnsCounts)
	p := fix.view("dns_counts").newPage(nil, []by{{column: 2, desc: true}}, nil)
	token, err := p.token([]feeds.Value{feeds.InetValue(netip.MustParseAddr("10.0.0.1")), feeds.NullValue, feeds.BigintValue(1), feeds.BigintValue(0)})
	if err != nil {
		f.Fatal(err)
	}
	b, _ := base64.RawURLEncoding.DecodeString(token)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := p.read(base64.RawURLEncoding.EncodeToString(b))
		if err == nil && len(values) != len(p.order) {
			t.Errorf("%d values for %d columns", len(values), len(p.order))
		}
	})
}

// changing is a table whose rows a property test changes: keys with any bytes, and values of many types that are made of a few
// partials, so that many rows are equal in them.
type changing struct {
	*fixture
	view     *View
	partials *tables.Groups
	kinds    []string // keys of partials
}

func newChanging(t *testing.T) *changing {
	f := newFixture(t, Limits{}, `CREATE TABLE odd AS SELECT query, id.orig_h, count(*) AS n, sum(trans_id) AS s, avg(rtt) AS d, max(ts) AS at, max(qtype_name) AS q, first(answers) AS list, bool_or(rejected) AS b
		FROM dns GROUP BY query, id.orig_h`)
	c := &changing{fixture: f, view: f.view("odd")}
	layout, err := tables.LayoutOf(c.view.table)
	if err != nil {
		t.Fatal(err)
	}
	combiner, err := c.view.table.NewCombiner(layout)
	if err != nil {
		t.Fatal(err)
	}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	for i, m := range []string{
		`{"ts":1.5}`, `{"ts":-1.5,"rtt":0.1,"trans_id":18446744073709551615,"qtype_name":"A","answers":["a","b"]}`,
		`{"ts":1e9,"rtt":-0.0,"trans_id":1,"qtype_name":"\u0000\u00ff","answers":[],"rejected":true}`, `{"rtt":1e300,"trans_id":18446744073709551615,"rejected":false,"answers":["a"]}`,
	} {
		m = fmt.Sprintf(`{"query":"%d",%s`, i, m[1:])
		if err := decoder.Decode([]byte(m), &rec); err != nil {
			t.Fatal(err)
		}
		combiner.Add(&rec)
	}
	c.partials = combiner.Groups()
	for key := range c.partials.All() {
		c.kinds = append(c.kinds, key)
	}
	return c
}

// add adds a partial to the row with a key; the row of the others is one of each partition.
func (c *changing) add(key []byte, in int32, kind string) {
	partial, _ := c.partials.Get([]byte(kind))
	c.update(in, func(rows *tables.Groups) {
		state, _ := rows.Upsert(key)
		c.view.table.Merge(state, partial)
	})
}

func (c *changing) update(in int32, change func(rows *tables.Groups)) {
	p, _ := c.stores["odd"].Partition(in)
	_ = p.Update(func(rows *tables.Groups, _ map[codecs.Source]codecs.Progress) error { change(rows); return nil })
}

// TestPagesWhileRowsChange: rows that stay as they are are on one page exactly, whatever becomes of the others in between.
func TestPagesWhileRowsChange(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := newChanging(t)
		table := c.view.table
		kind := rapid.SampledFrom(c.kinds)
		keyOf := rapid.Custom(func(r *rapid.T) string {
			values := []feeds.Value{feeds.NullValue, feeds.NullValue}
			if rapid.IntRange(0, 5).Draw(r, "NULL") > 0 {
				values[0] = feeds.StringValue(string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, '\\', 'N', 0xff}), 0, 3).Draw(r, "query")))
			}
			if rapid.IntRange(0, 5).Draw(r, "NULL") > 0 {
				values[1] = feeds.InetValue(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 3).Draw(r, "host"))}))
			}
			key, err := table.EncodeKey(values)
			if err != nil {
				r.Fatal(err)
			}
			return string(key)
		})
		type row struct {
			key string
			in  int32
		}
		rows := map[row]bool{} // whether it stays as it is
		for range rapid.IntRange(0, 25).Draw(r, "rows") {
			key := keyOf.Draw(r, "key")
			number, err := c.place(key)
			if err != nil {
				r.Fatal(err)
			}
			rows[row{key, number}] = rapid.Bool().Draw(r, "stays")
			c.add([]byte(key), number, kind.Draw(r, "kind"))
		}
		for number := range int32(partitions) {
			if rapid.Bool().Draw(r, "others") {
				rows[row{tables.OtherKey, number}] = rapid.Bool().Draw(r, "stays")
				c.add([]byte(tables.OtherKey), number, kind.Draw(r, "kind"))
			}
		}
		var order []string
		for _, column := range rapid.Permutation([]string{"n", "s", "d", "at", "q", "list", "b", "query", "id.orig_h"}).Draw(r, "order")[:rapid.IntRange(0, 3).Draw(r, "columns")] {
			order = append(order, rapid.SampledFrom([]string{"", "-"}).Draw(r, "direction")+column)
		}
		query := url.Values{"limit": {fmt.Sprint(rapid.IntRange(1, 7).Draw(r, "limit"))}}
		if order != nil {
			query.Set("order", strings.Join(order, ","))
		}
		want := map[string]int{} // the rows that stay, as they are shown
		for _, partition := range c.view.held.Load().all() {
			partition.Read(func(groups *tables.Groups) {
				for key, state := range groups.All() {
					number, _ := c.place(key)
					if tables.IsOther(key) {
						number = int32(slices.Index(c.view.held.Load().all(), partition))
					}
					if rows[row{key, number}] {
						shown, err := table.Row(key, state, nil)
						if err != nil {
							r.Fatal(err)
						}
						want[fmt.Sprint(shown)]++
					}
				}
			})
		}
		seen := map[string]int{}
		for pages := 0; ; pages++ {
			req, err := c.view.rowsRequest(query)
			if err != nil {
				r.Fatal(err)
			}
			a, err := c.view.run(context.Background(), req)
			if err != nil {
				r.Fatal(err)
			}
			for _, shown := range a.Rows {
				seen[fmt.Sprint(shown)]++
			}
			if a.next == "" {
				break
			}
			query.Set("after", a.next)
			if pages > 20 {
				continue // others that ever change could make it endless
			}
			for k, stays := range rows {
				if stays {
					continue
				}
				switch rapid.IntRange(0, 3).Draw(r, "change") {
				case 0:
					c.add([]byte(k.key), k.in, kind.Draw(r, "kind"))
				case 1:
					c.update(k.in, func(rows *tables.Groups) { rows.Delete([]byte(k.key)) })
				}
			}
			if key := keyOf.Draw(r, "new"); rapid.Bool().Draw(r, "comes") {
				number, err := c.place(key)
				if err != nil {
					r.Fatal(err)
				}
				if !rows[row{key, number}] {
					rows[row{key, number}] = false
					c.add([]byte(key), number, kind.Draw(r, "kind"))
				}
			}
		}
		for shown, n := range want {
			// Another row may have come to look the same, if it is one of the others: their group columns are all NULL.
			if seen[shown] < n || seen[shown] > n && !strings.HasPrefix(shown, "[NULL NULL") {
				r.Errorf("a row that stayed came %d times, not %d: %s, order %v", seen[shown], n, shown, order)
			}
		}
	})
}

// place returns the partition of a key.
func (c *changing) place(key string) (int32, error) {
	return grouptable.NewPartitioner(c.view.table).Of(key, partitions)
}
