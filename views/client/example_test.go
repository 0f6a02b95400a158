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
