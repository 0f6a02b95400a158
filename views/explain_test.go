package views

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplain(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + "/api/v1/query"
	for _, test := range []struct{ name, body, want string }{
		{"the full key", `{"sql":"EXPLAIN SELECT count FROM dns_counts WHERE id.orig_h = '10.0.0.1' AND qtype_name = 'A'"}`,
			`["Index Scan using key on dns_counts"]` + "\n" + `["  Index Cond: id.orig_h = '10.0.0.1' AND qtype_name = 'A'"]` + "\n"},
		{"a scan says how many rows", `{"sql":"EXPLAIN SELECT * FROM dns_counts ORDER BY count DESC LIMIT 1"}`,
			`["Limit"]` + "\n" + `["  Rows: 1"]` + "\n" + `["  ->  Sort"]` + "\n" + `["        Sort Key: count DESC"]` + "\n" +
				`["        Sort Method: top-N heapsort"]` + "\n" + `["        ->  Seq Scan on dns_counts  (rows=5)"]` + "\n"},
		{"parameters without values", `{"sql":"EXPLAIN SELECT n FROM DNS_total WHERE n = $1"}`, `["Single Row of dns_total"]` + "\n" + `["  Filter: n = $1"]` + "\n"},
		{"parameters with values", `{"sql":"EXPLAIN SELECT n FROM dns_total WHERE n = $1","params":[5]}`, `["Single Row of dns_total"]` + "\n" + `["  Filter: n = $1"]` + "\n"},
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
	for _, test := range []struct{ name, body, want string }{
		{"a parameter too many", `{"sql":"EXPLAIN SELECT n FROM dns_total","params":[1]}`,
			`Bad Request bad_parameter: the statement takes 0 parameter(s), 1 given; write them as "params": [..], in the order of $1, $2`},
		{"a fault", `{"sql":"EXPLAIN SELECT idz FROM dns_total"}`, "Bad Request sql: no column idz in dns_total; did you mean ids?"},
		{"no look-up", `{"sql":"EXPLAIN CREATE TABLE a AS SELECT count(*) FROM dns"}`,
			"Bad Request sql: EXPLAIN is for look-ups; what a definition reads, keeps and writes says `brotally plan FILE.sql`"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := do(t, "POST", url, test.body, "Content-Type", "application/json").apiErr(t); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	t.Run("as csv", func(t *testing.T) {
		r := do(t, "POST", url+"?format=csv", `{"sql":"EXPLAIN SELECT n FROM dns_total"}`, "Content-Type", "application/json")
		if want := "plan\nSingle Row of dns_total\n"; r.body != want {
			t.Errorf("got %q, want %q", r.body, want)
		}
	})
	t.Run("while the table is being restored", func(t *testing.T) {
		view, _ := f.View("dns_total")
		view.hold(held{state: "is being restored"})
		r := do(t, "POST", url, `{"sql":"EXPLAIN SELECT n FROM dns_total"}`, "Content-Type", "application/json")
		if got, want := r.jsonRows(t), `["Single Row of dns_total"]`+"\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
