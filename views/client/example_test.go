package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/brotally/brotally/views/client"
)

// pages is a server that has two pages.
func pages(w http.ResponseWriter, r *http.Request) {
	row, next := `["10.0.0.1",12]`, `,"next":"AQ"`
	if r.URL.Query().Get("after") != "" {
		row, next = `["10.0.0.2",11]`, ""
	}
	fmt.Fprintf(w, `{"columns":[{"name":"id.orig_h","type":"inet"},{"name":"n","type":"bigint"}],"rows":[%s],"meta":{"table":"hosts"%s}}`, row, next)
}

func ExampleClient_All() {
	server := httptest.NewServer(http.HandlerFunc(pages))
	defer server.Close()
	c := client.New(server.URL)
	busy := client.RowsOptions{Where: map[string]any{"n.gte": 10, "n.lt": 20}, Order: "-n", Limit: 1}
	for row, err := range c.All(context.Background(), "hosts", busy) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Text("id.orig_h"), row.Text("n"))
	}
	// Output:
	// 10.0.0.1 12
	// 10.0.0.2 11
}

// exampleServer answers as a server with one table does.
func exampleServer() *httptest.Server {
	const columns = `"columns":[{"name":"id.orig_h","type":"inet","key":true},{"name":"qtype_name","type":"string","key":true},{"name":"count","type":"bigint"}]`
	mux := http.NewServeMux()
	say := func(path, kind, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		})
	}
	say("/api/v1/tables/dns_counts", "application/json", `{"name":"dns_counts",`+columns+`}`)
	say("/api/v1/tables/dns_counts/rows", "application/json", `{`+columns+`,"rows":[["10.0.0.1","A",5],["10.0.0.2",null,3]],"meta":{"as_of":{"dns":{"0":8}}}}`)
	say("/api/v1/query", "application/json", `{"columns":[{"name":"n","type":"numeric"}],"rows":[[8]],"meta":{}}`)
	say("/api/v1/tables/dns_counts/changes", "text/event-stream", "event: snapshot\ndata: {"+columns+"}\nid:\n\n"+
		`event: rows`+"\n"+`data: [{"key":"1","row":{"id.orig_h":"10.0.0.1","qtype_name":"A","count":5}}]`+"\n\n"+
		`event: as_of`+"\n"+`data: {"as_of":{"dns":{"0":8}}}`+"\nid: x.1\n\n"+
		`event: upsert`+"\n"+`data: {"key":"1","row":{"id.orig_h":"10.0.0.1","qtype_name":"A","count":6}}`+"\n\n"+
		`event: as_of`+"\n"+`data: {"as_of":{"dns":{"0":9}}}`+"\nid: x.2\n\n")
	return httptest.NewServer(mux)
}

func ExampleClient_Get() {
	server := exampleServer()
	defer server.Close()

	c := client.New(server.URL)
	row, err := c.Get(context.Background(), "dns_counts", "10.0.0.1", "A")
	if err != nil {
		log.Fatal(err)
	}
	n, err := row.Int64("count")
	fmt.Println(n, err)
	// Output: 5 <nil>
}

func ExampleClient_Rows() {
	server := exampleServer()
	defer server.Close()

	c := client.New(server.URL)
	top, err := c.Rows(context.Background(), "dns_counts", client.RowsOptions{Order: "-count", Limit: 2})
	if err != nil {
		log.Fatal(err)
	}
	var rows []struct {
		Host  string  `json:"id.orig_h"`
		Type  *string `json:"qtype_name"` // NULL is nil
		Count int64   `json:"count"`
	}
	if err := top.Decode(&rows); err != nil {
		log.Fatal(err)
	}
	for _, r := range rows {
		fmt.Println(r.Host, r.Type != nil, r.Count)
	}
	// Output:
	// 10.0.0.1 true 5
	// 10.0.0.2 false 3
}

func ExampleClient_Query() {
	server := exampleServer()
	defer server.Close()

	c := client.New(server.URL)
	answer, err := c.Query(context.Background(), "SELECT sum(count) AS n FROM dns_counts WHERE id.orig_h = $1", "10.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Row(0).Text("n"))
	// Output: 8
}

func ExampleClient_Changes() {
	server := exampleServer()
	defer server.Close()

	type row struct {
		Host  string `json:"id.orig_h"`
		Count int64  `json:"count"`
	}
	rows := map[string]row{} // a copy of the table, by key
	c := client.New(server.URL)
	for change, err := range c.Changes(context.Background(), "dns_counts", client.ChangesOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		switch change.Kind {
		case client.Snapshot:
			clear(rows)
		case client.Upsert:
			var r row
			if err := change.Row.Decode(&r); err != nil {
				log.Fatal(err)
			}
			rows[change.Key] = r
		case client.Delete:
			delete(rows, change.Key)
		case client.AsOf: // the copy is whole, and change.ID is where to go on
			fmt.Println(change.AsOf, rows)
		}
		if change.ID == "x.2" {
			break
		}
	}
	// Output:
	// dns/0:8 map[1:{10.0.0.1 5}]
	// dns/0:9 map[1:{10.0.0.1 6}]
}
