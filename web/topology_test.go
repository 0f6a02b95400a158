package web_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/brotally/brotally/internal/testbrowser"
	"github.com/brotally/brotally/web"
)

// drawn is what the drawing of a page has.
type drawn struct {
	text  []string
	links []string
	boxes map[string]int // how many have the title
}

// drawing reads the SVG of a page, which has to be well formed, and have every text within its box.
func drawing(t *testing.T, body string) drawn {
	t.Helper()
	at := strings.Index(body, `<svg viewBox="0 0 1`)
	if at < 0 {
		t.Fatalf("no drawing in:\n%s", body)
	}
	d := drawn{boxes: map[string]int{}}
	in := xml.NewDecoder(strings.NewReader(body[at:]))
	depth, box, element, size := 0, 0, "", 12.0
	for {
		token, err := in.Token()
		if err == io.EOF {
			return d
		}
		if err != nil {
			t.Fatalf("the drawing is not well formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			element = token.Name.Local
			if element == "svg" {
				depth++
			}
			for _, a := range token.Attr {
				switch {
				case a.Name.Local == "href":
					d.links = append(d.links, a.Value)
				case a.Name.Local == "style":
					t.Error("an inline style")
				case element == "svg" && depth == 2 && a.Name.Local == "width":
					box, _ = strconv.Atoi(a.Value)
				case element == "text" && a.Name.Local == "class" && a.Value == "under":
					size = 10
				case element == "text" && a.Name.Local == "class":
					size = 12
				}
			}
		case xml.CharData:
			switch text := string(token); {
			case element == "title":
				d.boxes[text]++
			case element == "text" && strings.TrimSpace(text) != "":
				d.text = append(d.text, text)
				if wide := 12 + float64(utf8.RuneCountInString(text))*size*.6; depth == 2 && wide > float64(box) {
					t.Errorf("%q takes %g of %d", text, wide, box)
				}
			}
		case xml.EndElement:
			element = ""
			if token.Name.Local == "svg" {
				if depth--; depth == 0 {
					return d
				}
			}
		}
	}
}

func (d drawn) has(t *testing.T, texts ...string) {
	t.Helper()
	for _, want := range texts {
		found := false
		for _, text := range d.text {
			found = found || text == want
		}
		if !found {
			t.Errorf("no text %q in %q", want, d.text)
		}
	}
}

func TestTopology(t *testing.T) {
	x := sound()
	x.tables = append(x.tables, tableOf("dns_second", 2, func(t map[string]any) {
		t["ready"], t["state"], t["recovery"] = false, "being restored", map[string]any{"done": 20, "total": 80}
	}))
	x.stage("group", "brotally-dns_second", "restoring")
	x.figure("brotally_stream_records_total", 5, "stream", "dns_named", "topic", "dns", "outcome", "counted")
	x.figure("brotally_partials_lag_records", 32, "table", "dns_counts")
	r, body := get(t, x.site(), "GET", "/topology")
	if r.StatusCode != 200 {
		t.Fatalf("status %d", r.StatusCode)
	}
	d := drawing(t, body)
	d.has(t, "dns", "2 partitions here", "lag 6", "lag 32", "dns_counts", "dns_second", "2 partitions", "restoring", "12 rows", "restored to 25 %", "dns_named")
	for title, want := range map[string]int{"topic dns of feed dns": 1, "brotally-combine-dns": 1, "stage 2 of dns_counts": 1, "stage 2 of dns_second": 1, "topic of stream dns_named": 1} {
		if d.boxes[title] != want {
			t.Errorf("%d boxes %q, want %d", d.boxes[title], title, want)
		}
	}
	links := strings.Join(d.links, " ")
	for _, want := range []string{"/tables/dns_counts", "/health#stage-brotally-combine-dns", "/health#stage-brotally-dns_counts"} {
		if !strings.Contains(links, want) {
			t.Errorf("no link %s in %s", want, links)
		}
	}
	for key, want := range map[string]string{
		"table dns_counts": "dns_counts|dns|dns|brotally-combine-dns running |–|6|–|brotally-dns_counts-partials|32|brotally-dns_counts running|brotally-dns_counts-table|dns_counts|ready",
		"stream dns_named": "dns_named (stream)|dns|dns|brotally-combine-dns running |–|6|–|–|–|–|–|dns_named|–",
		"dns dns":          "dns|brotally-combine-dns|dns|0–1",
	} {
		if got := row(t, body, key); got != want {
			t.Errorf("row %s:\n%s\nwant\n%s", key, got, want)
		}
	}
}

func TestTopologyOfOneThatOnlyServes(t *testing.T) {
	x := sound()
	x.figures = nil
	r, body := get(t, x.site(), "GET", "/topology")
	d := drawing(t, body)
	d.has(t, "stage 1", "in other instances", "dns_counts", "12 rows")
	if r.StatusCode != 200 || !strings.Contains(body, "Processing runs in other instances; this one only answers.") {
		t.Errorf("status %d:\n%s", r.StatusCode, body)
	}
}

func TestTopologyOfHostileNames(t *testing.T) {
	x := sound()
	long := strings.Repeat("a_name_that_is_long", 12)
	for _, name := range []string{hostile, long, strings.Repeat("見積書", 20)} {
		x.tables = append(x.tables, tableOf(name, 1, func(t map[string]any) { t["feed"] = name }))
		x.source(name, name, "0", 1, 2)
		x.stage("combine", "brotally-combine-"+name, "running")
		x.stage("group", "brotally-"+name, "running")
	}
	for i := range 40 {
		x.tables = append(x.tables, tableOf(fmt.Sprint("t", i), 1, nil))
	}
	for _, target := range []string{"/topology", "/health"} {
		r, body := get(t, x.site(), "GET", target)
		if r.StatusCode != 200 || strings.Contains(body, "<script>x") || !strings.Contains(body, escapedHostile) || !strings.Contains(body, long) {
			t.Errorf("%s: status %d, or a name is not as it has to be:\n%s", target, r.StatusCode, body)
		}
		if target == "/topology" {
			drawing(t, body)
		}
	}
}

func TestInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed error
		x := sound()
		x.members = func(_ context.Context, groups []string) ([]web.Member, error) {
			if got := strings.Join(groups, " "); got != "brotally-combine-dns brotally-dns_counts" {
				t.Errorf("asked about %s", got)
			}
			return []web.Member{
				{Group: "brotally-combine-dns", Name: "one", Host: "10.0.0.1", Partitions: map[string][]int32{"dns": {3, 0, 1}}, Here: true},
				{Group: "brotally-combine-dns", Name: hostile, Host: hostile},
			}, failed
		}
		site := x.site()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- site.Run(ctx) }() // waited for below
		_, body := get(t, site, "GET", "/topology")
		for _, want := range []string{"one <b>(this instance)</b>", "dns 0–1, 3", escapedHostile, ">none<"} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in:\n%s", want, body)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}

		failed = errors.New("not authorized")
		site = x.site()
		ctx, stop = context.WithCancel(t.Context())
		go func() { ended <- site.Run(ctx) }() // waited for below
		_, body = get(t, site, "GET", "/topology")
		if !strings.Contains(body, "Kafka does not say now who takes part: not authorized") || !strings.Contains(body, "What this instance reads.") {
			t.Errorf("no word of what failed, or of what is known:\n%s", body)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestTopologyInABrowser measures what a browser makes of the drawing: each text is inside of its box, and the page is not wider than
// the window, however long the names are.
func TestTopologyInABrowser(t *testing.T) {
	x := sound()
	for _, name := range []string{strings.Repeat("a_name_that_is_long", 12), strings.Repeat("見積書", 20), strings.Repeat("W", 40)} {
		x.tables = append(x.tables, tableOf(name, 1, func(t map[string]any) { t["feed"] = name }))
		x.source(name, name, "0", 1, 2)
		x.stage("combine", "brotally-combine-"+name, "running")
		x.stage("group", "brotally-"+name, "running")
	}
	server := httptest.NewServer(x.site())
	t.Cleanup(server.Close)
	b := testbrowser.Start(t, 360, 740)
	for _, page := range []string{"topology", "health"} {
		b.Open(server.URL + "/" + page)
		b.Wait(`document.readyState === "complete"`)
		if got := b.Eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
			t.Errorf("/%s is wider than the window: %s", page, b.Eval(`document.documentElement.scrollWidth + " of " + innerWidth`))
		}
		b.Picture(page + "-narrow")
	}
	b.Open(server.URL + "/topology")
	b.Wait(`document.querySelectorAll(".drawing svg svg text").length > 20`)
	over := b.Eval(`[...document.querySelectorAll(".drawing svg svg text")].filter((text) => {
		const box = text.parentNode.querySelector("rect").getBBox(), at = text.getBBox();
		return at.x < box.x || at.x + at.width > box.x + box.width;
	}).map((text) => text.textContent).join(" ")`)
	if over != "" {
		t.Errorf("these run over their boxes: %s", over)
	}
	b.Complaints()
}
