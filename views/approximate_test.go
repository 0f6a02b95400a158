package views

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/views/client"
)

// TestAnswersSayWhatIsApproximate: in JSON which cells, elsewhere which columns; what is exact says nothing.
func TestAnswersSayWhatIsApproximate(t *testing.T) {
	f := newFixture(t, Limits{}, `CREATE TABLE peers AS SELECT qtype_name, count(DISTINCT id.orig_h) AS "who, asks", count(*) AS n FROM dns GROUP BY qtype_name`)
	f.view("peers").table.LimitDistinct(3, 100)
	for qtype, n := range map[string]int{"A": 3, "MX": 4, "PTR": 5} {
		for i := range n {
			f.add(fmt.Sprintf(`{"ts":1.0,"id.orig_h":"10.0.0.%d","qtype_name":%q}`, i, qtype))
		}
	}
	url := f.server(ServerConfig{}).URL
	for path, want := range map[string][]client.Approximate{
		"/api/v1/tables/peers/rows?order=qtype_name":  {{Column: "who, asks", Rows: []int{1, 2}}},
		"/api/v1/tables/peers/rows?qtype_name=PTR":    {{Column: "who, asks", Rows: []int{0}}},
		"/api/v1/tables/peers/rows?qtype_name=A":      nil,
		"/api/v1/tables/peers/rows?order=n&limit=1":   nil,
		"/api/v1/tables/peers/rows?qtype_name=absent": nil,
	} {
		r := get(t, url+path)
		var rows client.Rows
		if err := json.Unmarshal([]byte(r.body), &rows); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		if diff := cmp.Diff(want, rows.Meta.Approximate); diff != "" {
			t.Errorf("%s: %s\n%s", path, r.body, diff)
		}
		header := ""
		if want != nil {
			header = "who%2C+asks"
		}
		if got := get(t, url+path+"&format=csv").header.Get("Brotally-Approximate"); got != header {
			t.Errorf("%s: Brotally-Approximate is %q, want %q", path, got, header)
		}
	}
	r := do(t, "POST", url+"/api/v1/query", `{"sql":"SELECT sum(n), sum(\"who, asks\") AS who FROM peers"}`, "Content-Type", "application/json")
	var rows client.Rows
	if err := json.Unmarshal([]byte(r.body), &rows); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]client.Approximate{{Column: "who", Rows: []int{0}}}, rows.Meta.Approximate); diff != "" {
		t.Errorf("%s\n%s", r.body, diff)
	}
}
