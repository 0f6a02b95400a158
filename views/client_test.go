package views

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/views/client"
)

func TestClient(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts, dnsTotal, queries)
	f.add(office()...)
	ctx := t.Context()
	c := client.New(f.server(ServerConfig{Tokens: tokens(t, "read s3cret-s3cret-s3cret")}).URL)
	c.Token = "s3cret-s3cret-s3cret"
	t.Cleanup(c.HTTP.CloseIdleConnections)

	row, err := c.Get(ctx, "dns_counts", netip.MustParseAddr("10.0.0.1"), "A")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := row.Int64("count"); n != 5 || err != nil || row.Text("id.orig_h") != "10.0.0.1" {
		t.Errorf("row %v: %d, %v", row, n, err)
	}
	if row.Meta.AsOf["dns"][0] != 15 || row.Meta.Counts.Read != 15 || row.Meta.EventTime == nil {
		t.Errorf("meta %+v", row.Meta)
	}
	if row, err = c.Get(ctx, "dns_counts", "10.0.0.2", nil); err != nil || !row.IsNull("qtype_name") || row.Text("count") != "1" {
		t.Errorf("with NULL: %v, %v", row, err)
	}
	if _, err = c.Get(ctx, "dns_counts", "10.0.0.2", "TXT"); !errors.Is(err, client.ErrNoRow) {
		t.Errorf("no row: %v", err)
	}
	if _, err = c.Get(ctx, "dns_counts", "10.0.0.2"); err == nil || !strings.Contains(err.Error(), "its key has 2 columns (id.orig_h, qtype_name), 1 values are given") {
		t.Errorf("half a key: %v", err)
	}
	if row, err = c.Get(ctx, "dns_total"); err != nil || row.Text("n") != "15" {
		t.Errorf("a table without key: %v, %v", row, err)
	}
	if n, err := row.BigInt("ids"); err != nil || n.Cmp(big.NewInt(125)) != 0 {
		t.Errorf("ids %v, %v", n, err)
	}
	if _, err := row.Int64("newest"); err == nil {
		t.Error("a time is an int64")
	}

	type counts struct {
		Host  string  `json:"id.orig_h"`
		Type  *string `json:"qtype_name"`
		Count int64   `json:"count"`
	}
	var got []counts
	rows, err := c.Rows(ctx, "dns_counts", client.RowsOptions{Order: "-count", Limit: 2, Offset: 1, MinOffset: client.Offsets{"dns": {0: 15}}})
	if err == nil {
		err = rows.Decode(&got)
	}
	if err != nil {
		t.Fatal(err)
	}
	ptr, a := "PTR", "A"
	if diff := cmp.Diff([]counts{{"2001:db8::7", &ptr, 4}, {"10.0.0.2", &a, 3}}, got); diff != "" {
		t.Error(diff)
	}

	rows, err = c.Query(ctx, "SELECT count FROM dns_counts WHERE id.orig_h = $1 AND count > $2 ORDER BY 1", netip.MustParseAddr("10.0.0.1"), 1)
	if err != nil || rows.Len() != 2 || rows.Row(0).Text("count") != "2" {
		t.Errorf("query: %+v, %v", rows, err)
	}
	for most, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 2} {
		first, more, err := c.QueryFirst(ctx, most, "SELECT count FROM dns_counts WHERE id.orig_h = $1 ORDER BY 1 DESC LIMIT 2", netip.MustParseAddr("10.0.0.1"))
		if err != nil || first.Len() != want || more != (most < 2) || len(first.Columns) != 1 || (first.Meta.Table == "") != more {
			t.Errorf("the first %d of a query: %+v, more %v, %v", most, first, more, err)
		}
	}
	var e *client.Error
	if _, _, err = c.QueryFirst(ctx, 1, "SELECT cont FROM dns_counts"); !errors.As(err, &e) || e.Code != "sql" {
		t.Errorf("a fault in SQL: %v", err)
	}
	if _, err = c.Query(ctx, "SELECT cont FROM dns_counts"); !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Code != "sql" || !strings.HasSuffix(err.Error(), "^") {
		t.Errorf("a fault in SQL: %v", err)
	}
	if _, err = c.Rows(ctx, "dns_count", client.RowsOptions{}); !errors.As(err, &e) || e.Code != "unknown_table" || err.Error() != "no table dns_count; did you mean dns_counts?" {
		t.Errorf("no table: %v", err)
	}

	var hosts []string
	for row, err := range c.All(ctx, "dns_counts", client.RowsOptions{Where: map[string]any{"count.gte": 2, "id.orig_h.subnet": netip.MustParsePrefix("10.0.0.0/8")}, Order: "-count", Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, row.Text("id.orig_h")+" "+row.Text("count"))
	}
	if diff := cmp.Diff([]string{"10.0.0.1 5", "10.0.0.2 3", "10.0.0.1 2"}, hosts); diff != "" {
		t.Error(diff)
	}
	for _, err := range c.All(ctx, "dns_counts", client.RowsOptions{Order: "cont"}) {
		if !errors.As(err, &e) || e.Code != "unknown_column" {
			t.Errorf("pages in no order: %v", err)
		}
	}

	tables, err := c.Tables(ctx)
	if err != nil || len(tables) != 3 || tables[0].Name != "dns_counts" || tables[0].Groups != 5 || !tables[0].Ready {
		t.Errorf("tables: %+v, %v", tables, err)
	}

	f.view("queries").hold(held{state: "waits"})
	c.NoRetry = true
	if _, err = c.Rows(ctx, "queries", client.RowsOptions{}); !errors.As(err, &e) || !e.Temporary() || e.Code != "not_ready" {
		t.Errorf("not ready: %v", err)
	}
	if rows, err = c.Rows(ctx, "queries", client.RowsOptions{Stale: true}); err != nil || !rows.Meta.Partial {
		t.Errorf("stale: %+v, %v", rows, err)
	}
	c.Token = ""
	if _, err = c.Tables(ctx); !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		t.Errorf("without the token: %v", err)
	}
}

func TestClientWritesValuesAsTheServerReadsThem(t *testing.T) {
	f := newFixture(t, Limits{}, queries, `CREATE TABLE odd AS SELECT qtype_name AS "limit", count(*) AS n FROM dns GROUP BY qtype_name`)
	texts := []string{`\N`, `\`, `\\N`, "", "a&b=c", "a+b %41", "\u202ea", `"`, "ümlaut"}
	for _, text := range texts {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		f.add(`{"query":`+string(quoted)+`,"qtype_name":`+string(quoted)+`}`, `{}`)
	}
	c := client.New(f.server(ServerConfig{}).URL)
	t.Cleanup(c.HTTP.CloseIdleConnections)
	for _, text := range texts {
		row, err := c.Get(t.Context(), "queries", text)
		if err != nil || row.Text("query") != text || row.Text("n") != "1" {
			t.Errorf("%q: %v, %v", text, row, err)
		}
		if row, err = c.Get(t.Context(), "odd", text); err != nil || row.Text("limit") != text {
			t.Errorf("%q in a column with a name of the server's: %v, %v", text, row, err)
		}
	}
	if row, err := c.Get(t.Context(), "queries", nil); err != nil || !row.IsNull("query") || row.Text("n") != "9" {
		t.Errorf("NULL: %v, %v", row, err)
	}
}
