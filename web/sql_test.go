package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/brotally/brotally/web"
)

// TestAWideAnswerIsShownInPart: whatever is asked for, the page stays one that a browser can show, and says what it leaves out.
func TestAWideAnswerIsShownInPart(t *testing.T) {
	api := func(columns, rows int) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/api/v1/tables", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tables":[]}`) })
		mux.HandleFunc("/api/v1/query", func(w http.ResponseWriter, _ *http.Request) {
			repeat := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
			fmt.Fprintf(w, `{"columns":[%s],"rows":[%s],"meta":{}}`, repeat(`{"name":"x","type":"bigint"}`, columns), repeat("["+repeat("7", columns)+"]", rows))
		})
		return web.New(web.Config{API: mux})
	}
	for _, c := range []struct {
		columns, rows, wantColumns, wantRows int
		note                                 []string
	}{
		{10, 1000, 10, 1000, nil},
		{10, 1001, 10, 1000, []string{"The first 1,000 rows are shown; there are more."}},
		{4000, 300, 200, 250, []string{"The first 250 rows are shown; there are more. The first 200 of 4,000 columns are shown. POST /api/v1/query"}},
		{201, 3, 200, 3, []string{"The first 200 of 201 columns are shown. POST"}},
	} {
		_, body := get(t, api(c.columns, c.rows), "GET", "/sql?q=SELECT+x")
		grid := body[strings.Index(body, `<table id="grid">`):]
		grid = grid[:strings.Index(grid, "</table>")]
		columns, rows := strings.Count(grid, "<th "), strings.Count(grid, "<tr data-key=")
		if columns != c.wantColumns || rows != c.wantRows {
			t.Errorf("%d by %d: %d columns and %d rows are shown", c.columns, c.rows, columns, rows)
		}
		for _, note := range c.note {
			if !strings.Contains(body, note) {
				t.Errorf("%d by %d: nothing says %q", c.columns, c.rows, note)
			}
		}
		if len(c.note) == 0 && strings.Contains(body, "are shown") {
			t.Errorf("%d by %d: something is said to be left out", c.columns, c.rows)
		}
	}
}
