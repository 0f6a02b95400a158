package web_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/brotally/brotally/internal/testbrowser"
)

// These tests drive the page in a real browser, see testbrowser.

// serve serves the page over an api whose clock runs.
func serve(t *testing.T) (*api, string) {
	t.Helper()
	a := newAPI(t)
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() { // waited for by the cleanup
		defer close(finished)
		a.run(done)
	}()
	server := httptest.NewServer(a.handler())
	t.Cleanup(func() {
		close(done)
		<-finished
		server.Close()
	})
	return a, server.URL
}

const rowCount = `document.querySelectorAll("#grid tbody tr").length`

func cells(i int) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#grid tbody tr")].map((tr) => tr.children[%d].textContent)`, i)
}

func TestPageShowsTheTableMoving(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 1180)
	b.Open(url + "/")
	b.Wait(rowCount + ` === 25`)
	if got := b.Eval(`document.querySelector("h1").textContent + " " + document.querySelector("#grid th.sorted").getAttribute("aria-sort")`); got != "dns_counts descending" {
		t.Errorf("shows %s", got)
	}
	numbers := strings.Replace(cells(2), ".textContent)", `.textContent.replace(/\D/g, ""))`, 1)
	b.Wait(numbers + `.every((c, i, all) => i === 0 || Number(all[i - 1]) >= Number(c))`)
	first := b.Eval(cells(2) + `[0]`)
	b.Wait(cells(2) + `[0] !== ` + fmt.Sprintf("%q", first))
	b.Wait(`document.querySelector("td.changed")?.dataset.by.startsWith("+")`)
	b.Wait(`document.querySelector('[data-as="null"]')?.textContent === "NULL"`)
	b.Wait(`document.querySelector("#state").textContent === "live"`)
	b.Wait(`/^\d+$/.test(document.querySelector("#rate").textContent)`)
	b.Wait(`/s ago|in /.test(document.querySelector("#event").textContent)`)
	recipes := b.Eval(`document.querySelector("#recipes").innerText`)
	for _, want := range []string{
		"kafka-console-consumer --bootstrap-server 127.0.0.1:9092 --topic dns_counts --from-beginning --isolation-level read_committed --property print.key=true",
		"curl -s '" + url + "/api/v1/tables/dns_counts/rows?order=-count&limit=25&format=csv'",
	} {
		if !strings.Contains(recipes, want) {
			t.Errorf("no %s in:\n%s", want, recipes)
		}
	}
	b.Wait(`document.querySelector("#progress").textContent.match(/^Records: read [\d,]+, counted [\d,]+, dead lettered 3\.$/)`)
	b.Wait(`document.querySelectorAll("#spark .line")[0].getAttribute("d").length > 60`)
	b.Picture("light")
	b.Theme("dark")
	b.Picture("dark")
	b.Complaints()
}

func TestPageSortsFiltersAndTurns(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 1000)
	b.Open(url + "/?table=dns_counts&limit=10")
	b.Wait(rowCount + ` === 10`)
	click := func(expression string) { b.Eval(expression + `.click()`) }

	click(`document.querySelectorAll("#grid th button")[1]`)
	b.Wait(`document.querySelectorAll("#grid th")[1].getAttribute("aria-sort") === "ascending" && ` + cells(1) + `[0] === "*"`)
	click(`document.querySelectorAll("#grid th button")[1]`)
	b.Wait(`document.querySelectorAll("#grid th")[1].getAttribute("aria-sort") === "descending" && ` + cells(1) + `[0] !== "*"`)
	click(`document.querySelectorAll("#grid th button")[2]`)
	b.Wait(`document.querySelectorAll("#grid th")[2].getAttribute("aria-sort") === "descending" && location.search.includes("order=-count")`)

	click(`document.querySelector("#next")`)
	b.Wait(`document.querySelector("#range").textContent.startsWith("11–20 of")`)
	click(`document.querySelector("#prev")`)
	b.Wait(`document.querySelector("#range").textContent.startsWith("1–10 of")`)

	b.Eval(`[...document.querySelectorAll("#grid .cell")].find((c) => c.textContent === "AAAA").focus()`)
	click(`document.activeElement`)
	b.Wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "AAAA")`)
	b.Wait(`location.search.includes("where=qtype_name%3DAAAA") && document.querySelector("#recipes").innerText.includes("qtype_name=AAAA")`)
	b.Picture("filtered")
	b.Open(b.Eval(`location.href`)) // a link shows the same
	b.Wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "AAAA") && document.querySelector("#filters").innerText.includes("qtype_name = AAAA")`)
	click(`document.querySelector("#filters button")`)
	b.Wait(cells(1) + `.some((q) => q === "A")`)

	b.Eval(`[...document.querySelectorAll("#grid .cell")].find((c) => c.dataset.as === "null") ? "" : document.querySelector("#limit").value = "100"; document.querySelector("#limit").dispatchEvent(new Event("change"))`)
	b.Wait(`[...document.querySelectorAll("#grid .cell")].some((c) => c.dataset.as === "null")`)
	click(`[...document.querySelectorAll("#grid .cell")].find((c) => c.dataset.as === "null")`)
	b.Wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "NULL") && document.querySelector("#filters").innerText.includes("qtype_name is NULL")`)
	b.Wait(`document.querySelector("#recipes").innerText.includes("rows?qtype_name=%5CN&")`)
	click(`document.querySelector("#filters button")`)
	b.Wait(cells(1) + `.some((q) => q === "A")`)

	// The focus stays where it is while the rows under it move.
	b.Eval(`document.querySelector("#grid tbody .cell").focus()`)
	before := b.Eval(`document.activeElement.textContent`)
	first := b.Eval(cells(2) + `.join()`)
	b.Wait(cells(2) + `.join() !== ` + fmt.Sprintf("%q", first))
	if got := b.Eval(`document.activeElement.textContent`); got != before {
		t.Errorf("the focus went from %s to %s", before, got)
	}

	click(`document.querySelector("#pause")`)
	b.Wait(`document.querySelector("#state").textContent === "paused"`)
	b.Complaints()
}

// TestPageIsNotTakenIn shows values that try to be markup, to hide, to turn the line around, to lose digits.
func TestPageIsNotTakenIn(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 1000)
	b.Open(url + "/?table=odd+values&order=query")
	b.Wait(rowCount + fmt.Sprintf(` === %d`, len(odd)))
	if got := b.Eval(`document.title`); got != "odd values · Brotally" {
		t.Errorf("title: %s", got)
	}
	if got := b.Eval(`document.querySelectorAll("#grid script, #grid img, #grid b").length`); got != "0" {
		t.Errorf("%s elements made of values", got)
	}
	text := b.Eval(`document.querySelector("#grid tbody").innerText`)
	for _, want := range []string{
		`<script>document.title='owned'</script>`, `right\u{202e}to left`, `tab\u{9}here, bell\u{7}, zero\u{0}`,
		"340,282,366,920,938,463,463,374,607,431,768,211,455", "9,007,199,254,740,993", "[a, NULL, <b>]", "NULL", "empty", "[]",
		"2026-11-23 04:05:06", "1969-12-31 23:59:59", "1 d 4 h", "33 µs", "1 h 2 min", "Kopierer im Büro · 見積書 · 📦", "-5",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	recipes := b.Eval(`document.querySelector("#recipes").innerText`)
	if want := `--topic 'odd'\''values'`; !strings.Contains(recipes, want) {
		t.Errorf("no %s in:\n%s", want, recipes)
	}
	b.Eval(`[...document.querySelectorAll("#grid .cell")].find((c) => c.textContent.startsWith("<img")).click()`)
	b.Wait(rowCount + ` === 1 && document.querySelector("#filters").innerText.includes("query = <img src=x")`)
	recipes = b.Eval(`document.querySelector("#recipes").innerText`)
	if want := `rows?query=%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D%27owned%27%3E&order=query`; !strings.Contains(recipes, want) {
		t.Errorf("no %s in:\n%s", want, recipes)
	}
	b.Eval(`document.querySelector("#filters button").click()`)
	b.Wait(rowCount + fmt.Sprintf(` === %d`, len(odd)))
	b.Picture("odd")
	b.Complaints()
}

func TestPageWithoutAnswers(t *testing.T) {
	a, url := serve(t)
	b := testbrowser.Start(t, 1280, 900)
	b.Open(url + "/?table=conn_bytes")
	b.Wait(`document.querySelector("#note").innerText.includes("table conn_bytes is being restored: 12 of 4321 changelog records are read; try again in a moment")`)
	b.Picture("restoring")
	b.Open(url + "/?table=dns_counts")
	b.Wait(rowCount + ` === 25`)
	a.mu.Lock()
	a.down = 500
	a.mu.Unlock()
	b.Wait(`document.querySelector("#note").innerText === "the broker is away" && document.querySelector("main").classList.contains("stale")`)
	b.Picture("away")
	a.mu.Lock()
	a.down = 0
	a.mu.Unlock()
	b.Wait(`document.querySelector("#note").hidden && document.querySelector("#state").textContent === "live"`)
	b.Complaints("503 (Service Unavailable)", "500 (Internal Server Error)")
}

func TestPageOnAPhone(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 390, 844)
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true}, nil)
	b.Open(url + "/")
	b.Wait(rowCount + ` === 25`)
	if got := b.Eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
		t.Errorf("the page is wider than the screen: %s", b.Eval(`document.documentElement.scrollWidth`))
	}
	b.Picture("phone")
	b.Complaints()
}
