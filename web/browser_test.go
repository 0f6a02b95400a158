package web_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/testbrowser"
)

// These tests drive the page in a real browser, see testbrowser.

// serve serves the page over an api whose clock runs.
func serve(t *testing.T) (*api, string) {
	t.Helper()
	a := newAPI(t)
	a.advance(time.Now()) // so that there is something to see at once
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() { // waited for by the cleanup
		defer close(finished)
		a.run(done)
	}()
	server := httptest.NewServer(a.handler())
	ctx, cancel := context.WithCancel(t.Context())
	noted := make(chan error, 1)
	go func() { noted <- a.site.Run(ctx) }() // waited for by the cleanup
	t.Cleanup(func() {
		close(done)
		<-finished
		cancel()
		if err := <-noted; err != nil {
			t.Error(err)
		}
		server.CloseClientConnections() // of pages that look
		server.Close()
	})
	return a, server.URL
}

// open opens a page and waits until its scripts have taken it over.
func open(b *testbrowser.Browser, url string) {
	b.Open(url)
	b.Wait(`document.querySelector("#theme").hidden === false`)
}

const rowCount = `document.querySelectorAll("#grid tbody tr").length`

func cells(i int) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#grid tbody tr")].map((tr) => tr.children[%d].textContent)`, i)
}

func text(selector string) string { return `document.querySelector("` + selector + `")?.textContent` }

func TestHomeShowsTheTables(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 900)
	open(b, url+"/")
	b.Wait(`document.querySelectorAll(".card").length === 3 && ` + text(".card h2") + ` === "dns_counts"`) // the notebook's first
	b.Wait(`document.querySelectorAll(".card")[0].querySelectorAll("tbody tr").length === 3`)
	b.Wait(`document.querySelectorAll(".card")[1].innerText.includes("is being restored")`)
	b.Wait(`document.querySelector(".card .spark .line").getAttribute("d").length > 30`)
	first := b.Eval(text(".card dd"))
	b.Wait(text(".card tbody td.number") + ` !== ` + fmt.Sprintf("%q", first))
	b.Picture("home")
	b.Theme("dark")
	b.Picture("home-dark")
	open(b, b.Eval(`document.querySelector(".card h2 a").href`))
	b.Wait(rowCount + ` === 25`)
	b.Complaints()
}

func TestPageShowsTheTableMoving(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 1400)
	open(b, url+"/tables/dns_counts")
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
	b.Wait(text("#state") + ` === "live"`)
	b.Wait(`/^[\d,.]+$/.test(` + text("#rate") + `)`)
	b.Wait(`/s ago|in /.test(` + text("#event") + `)`)
	b.Wait(`document.querySelectorAll("#trend path.series").length === 5 && document.querySelector("#trend path.series").getAttribute("d").length > 60`)
	b.Wait(`document.querySelector("#elsewhere [data-copy]").hidden === false`)
	b.Picture("light")
	b.Theme("dark")
	b.Picture("dark")
	b.Complaints()
}

func TestPageSortsFiltersAndTurns(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 1000)
	open(b, url+"/tables/dns_counts?limit=10")
	b.Wait(rowCount + ` === 10`)
	click := func(expression string) { b.Eval(expression + `.click()`) }
	b.Eval(`window.same = true`) // gone if the page were loaded again

	click(`document.querySelectorAll("#grid th a")[1]`)
	b.Wait(`document.querySelectorAll("#grid th")[1].getAttribute("aria-sort") === "ascending" && ` + cells(1) + `[0] === "*"`)
	click(`document.querySelectorAll("#grid th a")[1]`)
	b.Wait(`document.querySelectorAll("#grid th")[1].getAttribute("aria-sort") === "descending" && ` + cells(1) + `[0] !== "*"`)
	click(`document.querySelectorAll("#grid th a")[2]`)
	b.Wait(`document.querySelectorAll("#grid th")[2].getAttribute("aria-sort") === "descending" && location.search.includes("order=-count")`)

	click(`document.querySelector("#next")`)
	b.Wait(text("#range") + `.startsWith("11–20 of")`)
	click(`document.querySelector("#prev")`)
	b.Wait(text("#range") + `.startsWith("1–10 of")`)
	b.Eval(`history.back()`)
	b.Wait(text("#range") + `.startsWith("11–20 of")`)
	b.Eval(`history.forward()`)
	b.Wait(text("#range") + `.startsWith("1–10 of")`)

	click(`[...document.querySelectorAll("#grid .cell")].find((c) => c.textContent === "AAAA")`)
	b.Wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "AAAA") && document.querySelectorAll("tr.filters input")[1].value === "AAAA"`)
	b.Wait(`location.search.includes("col.qtype_name=AAAA") && document.querySelector("#recipes").innerText.includes("col.qtype_name=AAAA")`)
	b.Picture("filtered")
	open(b, b.Eval(`location.href`)) // a link shows the same
	b.Wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "AAAA")`)
	click(`[...document.querySelectorAll(".pager a")].find((a) => a.textContent === "All rows")`)
	b.Wait(cells(1) + `.some((q) => q === "A")`)

	click(`[...document.querySelectorAll(".choice")].find((a) => a.textContent === "100")`)
	b.Wait(rowCount + ` === 100`)
	b.Wait(`[...document.querySelectorAll("#grid .cell")].some((c) => c.dataset.as === "null")`)
	click(`[...document.querySelectorAll("#grid .cell")].find((c) => c.dataset.as === "null")`)
	b.Wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "NULL") && document.querySelectorAll("tr.filters input")[1].value === "\\N"`)
	b.Wait(`document.querySelector("#recipes").innerText.includes("col.qtype_name=%5CN&")`)

	// A filter is typed, and stays while the rows under it move.
	b.Eval(`(() => { const i = document.querySelectorAll("tr.filters input")[1]; i.focus(); i.value = "PT"; })()`)
	before := b.Eval(cells(2) + `.join()`)
	b.Wait(cells(2) + `.join() !== ` + fmt.Sprintf("%q", before))
	if got := b.Eval(`document.activeElement.name + "=" + document.activeElement.value`); got != "col.qtype_name=PT" {
		t.Errorf("what is typed became %s", got)
	}
	b.Eval(`(() => { document.activeElement.value = "PTR"; document.activeElement.form.requestSubmit(); })()`)
	b.Wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "PTR")`)
	b.Eval(`(() => { const i = document.querySelectorAll("tr.filters input")[2]; i.value = "many"; i.form.requestSubmit(); })()`)
	b.Wait(`document.querySelector("#notes").innerText.includes("many is no number") && document.querySelectorAll("tr.filters input")[2].value === "many"`)
	open(b, url+"/tables/dns_counts?limit=10")
	b.Wait(rowCount + ` === 10`)

	// The focus stays where it is while the rows under it move.
	b.Eval(`document.querySelector("#grid tbody .cell").focus()`)
	focused := b.Eval(`document.activeElement.textContent`)
	first := b.Eval(cells(2) + `.join()`)
	b.Wait(cells(2) + `.join() !== ` + fmt.Sprintf("%q", first))
	if got := b.Eval(`document.activeElement.textContent`); got != focused {
		t.Errorf("the focus went from %s to %s", focused, got)
	}

	click(`document.querySelector("#pause")`)
	b.Wait(text("#state") + ` === "paused"`)
	b.Complaints("400 (Bad Request)")
}

// TestPageIsNotTakenIn shows values that try to be markup, to hide, to turn the line around, to lose digits.
func TestPageIsNotTakenIn(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 1000)
	open(b, url+"/tables/odd%20values?order=query")
	b.Wait(rowCount + fmt.Sprintf(` === %d`, len(odd)))
	if got := b.Eval(`document.title`); got != "odd values · Brotally" {
		t.Errorf("title: %s", got)
	}
	if got := b.Eval(`document.querySelectorAll("#grid script, #grid img, #grid b").length`); got != "0" {
		t.Errorf("%s elements made of values", got)
	}
	shown := b.Eval(`document.querySelector("#grid tbody").innerText`)
	for _, want := range []string{
		`<script>document.title='owned'</script>`, `right\u{202e}to left`, `tab\u{9}here, bell\u{7}, zero\u{0}`,
		"340,282,366,920,938,463,463,374,607,431,768,211,455", "9,007,199,254,740,993", "[a, NULL, <b>]", "NULL", "empty", "[]",
		"1 d 4 h", "33 µs", "1 h 2 min", "Kopierer im Büro · 見積書 · 📦", "-5",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %s in:\n%s", want, shown)
		}
	}
	// Times are the viewer's, and UTC is told.
	b.Eval(`[...document.querySelectorAll("time")].every((t) => t.title.endsWith("Z (UTC)") && /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(t.textContent)) || document.body.appendChild(document.createElement("failed"))`)
	if got := b.Eval(`document.querySelectorAll("time").length + " " + document.querySelectorAll("failed").length`); !strings.HasSuffix(got, " 0") || strings.HasPrefix(got, "0") {
		t.Errorf("times, and times that are not the viewer's: %s", got)
	}
	b.Eval(`[...document.querySelectorAll("#grid .cell")].find((c) => c.textContent.startsWith("<img")).click()`)
	b.Wait(rowCount + ` === 1 && document.querySelector("tr.filters input").value.startsWith("=<img src=x")`)
	b.Eval(`[...document.querySelectorAll(".pager a")].find((a) => a.textContent === "All rows").click()`)
	b.Wait(rowCount + fmt.Sprintf(` === %d`, len(odd)))
	b.Picture("odd")
	b.Complaints()
}

func TestPageWithoutAnswers(t *testing.T) {
	a, url := serve(t)
	b := testbrowser.Start(t, 1280, 900)
	open(b, url+"/tables/conn_bytes")
	b.Wait(`document.querySelector("#notes").innerText.includes("table conn_bytes is being restored: 12 of 4321 changelog records are read; try again in a moment") && ` + text("#state") + ` === "restoring"`)
	b.Picture("restoring")
	open(b, url+"/tables/dns_counts")
	b.Wait(rowCount + ` === 25`)
	a.mu.Lock()
	a.down = 500
	a.mu.Unlock()
	b.Wait(`document.querySelector("#notes").innerText === "the broker is away" && document.querySelector("main").classList.contains("stale")`)
	b.Picture("away")
	a.mu.Lock()
	a.down = 0
	a.mu.Unlock()
	b.Wait(`document.querySelector("#notes").innerText === "" && ` + text("#state") + ` === "live" && ` + rowCount + ` === 25`)
	b.Complaints("503 (Service Unavailable)", "500 (Internal Server Error)")
}

// TestPageComesBack takes the server away while somebody looks.
func TestPageComesBack(t *testing.T) {
	b := testbrowser.Start(t, 1280, 900)
	a := newAPI(t)
	done, finished := make(chan struct{}), make(chan struct{})
	go func() { defer close(finished); a.run(done) }() // waited for below
	defer func() { close(done); <-finished }()
	server := httptest.NewServer(a.handler())
	address := server.Listener.Addr().String()
	stop := func() {
		server.CloseClientConnections()
		server.Close()
	}
	open(b, server.URL+"/tables/dns_counts")
	b.Wait(rowCount + ` === 25 && ` + text("#state") + ` === "live"`)
	stop()
	b.Wait(text("#state") + ` === "no answer" && ` + rowCount + ` === 25`) // what was there can still be read
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server = &httptest.Server{Listener: l, Config: &http.Server{Handler: a.handler()}} //nolint:gosec // of a test
	server.Start()
	defer func() { stop() }()
	b.Wait(text("#state") + ` === "live"`)
	first := b.Eval(cells(2) + `[0]`)
	b.Wait(cells(2) + `[0] !== ` + fmt.Sprintf("%q", first))
	b.Complaints("ERR_")
}

func TestSQLInTheBrowser(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 1280, 1000)
	open(b, url+"/sql")
	b.Wait(`document.querySelectorAll("#examples a").length === 3`)
	b.Eval(`(() => { const q = document.querySelector("#query"); q.focus(); q.value = "SELECT quary FROM dns_c"; q.setSelectionRange(23, 23); q.dispatchEvent(new Event("input", {bubbles: true})); })()`)
	b.Wait(`document.querySelector(".menu li")?.innerText.startsWith("dns_counts")`)
	key := func(name string) string {
		return `document.querySelector("#query").dispatchEvent(new KeyboardEvent("keydown", {key: "` + name + `", bubbles: true, cancelable: true, ctrlKey: ` + fmt.Sprint(name == "Enter") + `}))`
	}
	b.Eval(key("Tab"))
	b.Wait(`document.querySelector("#query").value === "SELECT quary FROM dns_counts"`)
	b.Eval(key("Enter"))
	b.Wait(`document.querySelector("pre.note")?.textContent.includes("\n         ^")`) // the caret is under the word
	if got := b.Eval(`document.querySelector("#pause").hidden`); got != "true" {       // it is not asked again and again
		t.Error("a query that is wrong is kept up to date")
	}
	b.Eval(`(() => { const q = document.querySelector("#query"); q.value = "SELECT * FROM dns_counts"; document.querySelector("[name=as]").checked = true; q.form.requestSubmit(); })()`)
	b.Wait(rowCount + ` === 20 && document.querySelectorAll(".chart rect").length === 20 && document.querySelector("pre.note") === null`)
	b.Wait(`document.querySelectorAll("#history a").length === 2 && document.querySelector("#history a").textContent === "SELECT * FROM dns_counts"`)
	b.Picture("sql")
	b.Eval(`(() => { document.querySelector("[name=live]").checked = true; document.querySelector("#ask").requestSubmit(); })()`)
	b.Wait(text("#state") + ` === "live"`)
	first := b.Eval(cells(2) + `[0]`)
	b.Wait(cells(2) + `[0] !== ` + fmt.Sprintf("%q", first) + ` && document.querySelectorAll("#history a").length === 2`)
	open(b, b.Eval(`document.querySelector("#ask .controls a").href`)) // the link shares it
	b.Wait(rowCount + ` === 20 && document.querySelector("#query").value === "SELECT * FROM dns_counts"`)
	b.Complaints("400 (Bad Request)")
}

func TestPageOnAPhone(t *testing.T) {
	_, url := serve(t)
	b := testbrowser.Start(t, 360, 800)
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 360, "height": 800, "deviceScaleFactor": 2, "mobile": true}, nil)
	for _, target := range []string{"/", "/tables/dns_counts", "/tables/odd%20values", "/sql?q=SELECT+1&as=chart"} {
		open(b, url+target)
		b.Wait(`document.querySelectorAll("tbody tr").length > 2`)
		if got := b.Eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
			t.Errorf("%s is wider than the screen: %s", target, b.Eval(`document.documentElement.scrollWidth`))
		}
	}
	// The head is two lines, of which the navigation is one.
	if got := b.Eval(`document.querySelector("header").offsetHeight <= 100 && new Set([...document.querySelectorAll("nav a")].map((a) => a.offsetTop)).size === 1`); got != "true" {
		t.Errorf("the head is %s high", b.Eval(`document.querySelector("header").offsetHeight`))
	}
	open(b, url+"/")
	b.Wait(`document.querySelectorAll(".card .best tbody tr").length > 2`)
	if got := b.Eval(`[...document.querySelectorAll(".card .best td")].filter((td) => td.scrollWidth > td.clientWidth + 1 && !td.classList.contains("rest")).map((td) => td.textContent).join(" ")`); got != "" {
		t.Errorf("these are cut: %s", got)
	}
	open(b, url+"/tables/dns_counts")
	b.Wait(rowCount + ` === 25`)
	b.Picture("phone")
	b.Complaints()
}
