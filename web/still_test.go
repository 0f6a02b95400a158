package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/web"
)

// TestATableThatStandsStill: processors that say nothing are told from ones that have nothing to do.
func TestATableThatStandsStill(t *testing.T) {
	for _, c := range []struct {
		name  string
		heard string
		ready bool
		still bool
	}{
		{"speaks", fmt.Sprintf("%q", time.Now().Add(-2*time.Second).Format(time.RFC3339Nano)), true, false},
		{"is silent", fmt.Sprintf("%q", time.Now().Add(-2*time.Minute).Format(time.RFC3339Nano)), true, true},
		{"has never spoken", "null", true, false},
		{"is being restored", fmt.Sprintf("%q", time.Now().Add(-2*time.Minute).Format(time.RFC3339Nano)), false, false},
	} {
		table := fmt.Sprintf(`{"name":"n","feed":"dns","ready":%v,"state":"so","heard":%s,"columns":[{"name":"x","type":"bigint"}]}`, c.ready, c.heard)
		mux := http.NewServeMux()
		mux.HandleFunc("/api/v1/tables", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tables":[`+table+`]}`) })
		mux.HandleFunc("/api/v1/tables/n", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, table) })
		mux.HandleFunc("/api/v1/tables/n/rows", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"columns":[{"name":"x","type":"bigint"}],"rows":[[7]],"meta":{}}`)
		})
		for _, page := range []string{"/", "/tables/n"} {
			_, body := get(t, web.New(web.Config{API: mux}), "GET", page)
			said := strings.Contains(body, "Stalled: its processors were last heard of 2 min")
			if said != c.still || strings.Contains(body, ">stalled</p>") != c.still {
				t.Errorf("%s, a table that %s: stalled %v", page, c.name, said)
			}
		}
	}
}
