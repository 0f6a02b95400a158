package browser

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/brotally/brotally/examples"
	"github.com/brotally/brotally/internal/testbrowser"
	"github.com/brotally/brotally/internal/traffic"
)

// finding is a rule of axe-core that a page breaks, and where.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		Target         []any
		FailureSummary string
	}
}

// TestAxe asks axe-core, whose file AXE names, what of the pages is in the way of those who cannot see or point: nothing serious, light
// and dark, on a phone, a desk and a wall.
func TestAxe(t *testing.T) {
	file := os.Getenv("AXE")
	if file == "" {
		t.Skip("no axe-core: set AXE, see `make test-browser`")
	}
	engine, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b := testbrowser.Start(t, 1280, 900)
	w := busy(t)
	pages := []string{"/nothing", "/tables/dns_counts?limit=10", "/tables/dns_counts?limit=10&order=count&col.qtype_name=A", "/tables/dns_counts?col.count=many", "/tables/nothing",
		"/sql?as=chart&q=SELECT+qtype_name,+sum(count)+AS+n+FROM+dns_counts+GROUP+BY+qtype_name", "/sql?q=SELECT+nothing",
		"/tables/dns_minutes"}
	b.Open(w.url)
	pages = append(pages, navigated(b)...)
	for _, page := range pages {
		b.Theme("light")
		b.Size(1280, 900)
		b.Open(w.url + page)
		b.Wait(`document.querySelector("h1") !== null`)
		b.Eval(string(engine) + `; "there"`) // as the test's, not as the page's: its policy would refuse it
		for _, theme := range []string{"light", "dark"} {
			b.Theme(theme)
			for _, width := range []int64{360, 1280, 2560} {
				b.Size(width, 900)
				var found []finding
				if err := json.Unmarshal([]byte(b.Eval(`axe.run(document, { resultTypes: ["violations"], preload: false }).then((r) => JSON.stringify(r.violations))`)), &found); err != nil {
					t.Fatal(err)
				}
				for _, f := range found {
					text := fmt.Sprintf("%s, %s, %d wide: %s: %s: %s", page, theme, width, f.Impact, f.ID, f.Help)
					for _, n := range f.Nodes[:min(3, len(f.Nodes))] {
						text += fmt.Sprintf("\n  %v\n    %s", n.Target, strings.ReplaceAll(n.FailureSummary, "\n", "\n    "))
					}
					if f.Impact == "serious" || f.Impact == "critical" {
						t.Error(text)
					} else {
						t.Log(text)
					}
				}
			}
		}
	}
}

// busy starts a world with the tables that come with the program and one that has windows, over some traffic, and a page at /try.
func busy(t testing.TB) *world {
	t.Helper()
	var sql strings.Builder
	files, err := fs.Glob(examples.Tables, "tables/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(examples.Tables, file)
		if err != nil {
			t.Fatal(err)
		}
		sql.Write(text)
	}
	sql.WriteString(dnsMinutes)
	w := start(t, sql.String(), newTrial())
	network, err := traffic.New(traffic.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, d := range w.tables {
		defined[d.Feed.Name] = true
	}
	for range 5000 {
		if m := network.Next(); defined[m.Feed] {
			w.send(m.Feed, m.Value)
		}
	}
	w.await()
	return w
}
