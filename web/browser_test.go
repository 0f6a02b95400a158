package web_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// These tests drive the page in a real browser, Chromium or what BROWSER names of its kind. Where there is none they are
// skipped and say so; with BROTALLY_REQUIRE_BROWSER set they fail instead. With SCREENSHOTS=DIR they leave pictures there.

// findBrowser returns the path of a browser.
func findBrowser(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	if own := os.Getenv("BROWSER"); own != "" {
		names = []string{own}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	text := "no browser: none of " + strings.Join(names, ", ") + " is installed (BROWSER names another)"
	if os.Getenv("BROTALLY_REQUIRE_BROWSER") != "" {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}

// browser is a headless Chromium, spoken to over a pair of pipes: JSON messages that end in a zero byte.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	id      int
	session string
	console []string // what the page complained about
}

func startBrowser(t *testing.T, width, height int) *browser {
	t.Helper()
	name := findBrowser(t)
	toRead, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromRead, fromWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
		fmt.Sprintf("--window-size=%d,%d", width, height), "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{toRead, fromWrite}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a browser: %v", err)
	}
	toRead.Close()
	fromWrite.Close()
	b := &browser{t: t, to: toWrite, from: bufio.NewReader(fromRead)}
	t.Cleanup(func() {
		b.session = ""
		b.call("Browser.close", nil, nil)
		_ = cmd.Wait() // however it ended, it is gone
		toWrite.Close()
		fromRead.Close()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call runs a command and decodes its result.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.id++
	message := map[string]any{"id": b.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &answer); err != nil {
			b.t.Fatal(err)
		}
		switch answer.Method {
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
			b.console = append(b.console, string(answer.Params))
		}
		if answer.ID != b.id {
			continue
		}
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

// eval returns what a JavaScript expression gives, as a string.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(r.Result.Value)
}

// wait waits until an expression is true.
func (b *browser) wait(expression string) {
	b.t.Helper()
	got := b.eval(`new Promise((done) => {
		const until = performance.now() + 15000;
		const look = () => {
			let holds = false;
			try { holds = ` + expression + `; } catch (e) { /* not there yet */ }
			if (holds) done("yes");
			else if (performance.now() > until) done(document.body.innerText);
			else requestAnimationFrame(look);
		};
		look();
	})`)
	if got != "yes" {
		b.t.Fatalf("not so within 15 s: %s; the page says:\n%s\n%s", expression, got, strings.Join(b.console, "\n"))
	}
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// picture keeps a screenshot, where it is asked for.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// theme has the system be light or dark.
func (b *browser) theme(name string) {
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": name}}}, nil)
}

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

// complaints fails the test if the page logged anything, a refusal of its policy included.
func (b *browser) complaints(allowed ...string) {
	b.t.Helper()
next:
	for _, c := range b.console {
		for _, a := range allowed {
			if strings.Contains(c, a) {
				continue next
			}
		}
		b.t.Errorf("the page complains: %s", c)
	}
}

const rowCount = `document.querySelectorAll("#grid tbody tr").length`

func cells(i int) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#grid tbody tr")].map((tr) => tr.children[%d].textContent)`, i)
}

func TestPageShowsTheTableMoving(t *testing.T) {
	_, url := serve(t)
	b := startBrowser(t, 1280, 1180)
	b.open(url + "/")
	b.wait(rowCount + ` === 25`)
	if got := b.eval(`document.querySelector("h1").textContent + " " + document.querySelector("#grid th.sorted").getAttribute("aria-sort")`); got != "dns_counts descending" {
		t.Errorf("shows %s", got)
	}
	numbers := strings.Replace(cells(2), ".textContent)", `.textContent.replace(/\D/g, ""))`, 1)
	b.wait(numbers + `.every((c, i, all) => i === 0 || Number(all[i - 1]) >= Number(c))`)
	first := b.eval(cells(2) + `[0]`)
	b.wait(cells(2) + `[0] !== ` + fmt.Sprintf("%q", first))
	b.wait(`document.querySelector("td.changed")?.dataset.by.startsWith("+")`)
	b.wait(`document.querySelector('[data-as="null"]')?.textContent === "NULL"`)
	b.wait(`document.querySelector("#state").textContent === "live"`)
	b.wait(`/^\d+$/.test(document.querySelector("#rate").textContent)`)
	b.wait(`/s ago|in /.test(document.querySelector("#event").textContent)`)
	recipes := b.eval(`document.querySelector("#recipes").innerText`)
	for _, want := range []string{
		"kafka-console-consumer --bootstrap-server 127.0.0.1:9092 --topic dns_counts --from-beginning --isolation-level read_committed --property print.key=true",
		"curl -s '" + url + "/api/v1/tables/dns_counts/rows?order=-count&limit=25&format=csv'",
	} {
		if !strings.Contains(recipes, want) {
			t.Errorf("no %s in:\n%s", want, recipes)
		}
	}
	b.wait(`document.querySelector("#progress").textContent.match(/^Records: read [\d,]+, counted [\d,]+, dead lettered 3\.$/)`)
	b.wait(`document.querySelectorAll("#spark .line")[0].getAttribute("d").length > 60`)
	b.picture("light")
	b.theme("dark")
	b.picture("dark")
	b.complaints()
}

func TestPageSortsFiltersAndTurns(t *testing.T) {
	_, url := serve(t)
	b := startBrowser(t, 1280, 1000)
	b.open(url + "/?table=dns_counts&limit=10")
	b.wait(rowCount + ` === 10`)
	click := func(expression string) { b.eval(expression + `.click()`) }

	click(`document.querySelectorAll("#grid th button")[1]`)
	b.wait(`document.querySelectorAll("#grid th")[1].getAttribute("aria-sort") === "ascending" && ` + cells(1) + `[0] === "*"`)
	click(`document.querySelectorAll("#grid th button")[1]`)
	b.wait(`document.querySelectorAll("#grid th")[1].getAttribute("aria-sort") === "descending" && ` + cells(1) + `[0] !== "*"`)
	click(`document.querySelectorAll("#grid th button")[2]`)
	b.wait(`document.querySelectorAll("#grid th")[2].getAttribute("aria-sort") === "descending" && location.search.includes("order=-count")`)

	click(`document.querySelector("#next")`)
	b.wait(`document.querySelector("#range").textContent.startsWith("11–20 of")`)
	click(`document.querySelector("#prev")`)
	b.wait(`document.querySelector("#range").textContent.startsWith("1–10 of")`)

	b.eval(`[...document.querySelectorAll("#grid .cell")].find((c) => c.textContent === "AAAA").focus()`)
	click(`document.activeElement`)
	b.wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "AAAA")`)
	b.wait(`location.search.includes("where=qtype_name%3DAAAA") && document.querySelector("#recipes").innerText.includes("qtype_name=AAAA")`)
	b.picture("filtered")
	b.open(b.eval(`location.href`)) // a link shows the same
	b.wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "AAAA") && document.querySelector("#filters").innerText.includes("qtype_name = AAAA")`)
	click(`document.querySelector("#filters button")`)
	b.wait(cells(1) + `.some((q) => q === "A")`)

	b.eval(`[...document.querySelectorAll("#grid .cell")].find((c) => c.dataset.as === "null") ? "" : document.querySelector("#limit").value = "100"; document.querySelector("#limit").dispatchEvent(new Event("change"))`)
	b.wait(`[...document.querySelectorAll("#grid .cell")].some((c) => c.dataset.as === "null")`)
	click(`[...document.querySelectorAll("#grid .cell")].find((c) => c.dataset.as === "null")`)
	b.wait(rowCount + ` > 0 && ` + cells(1) + `.every((q) => q === "NULL") && document.querySelector("#filters").innerText.includes("qtype_name is NULL")`)
	b.wait(`document.querySelector("#recipes").innerText.includes("rows?qtype_name=%5CN&")`)
	click(`document.querySelector("#filters button")`)
	b.wait(cells(1) + `.some((q) => q === "A")`)

	// The focus stays where it is while the rows under it move.
	b.eval(`document.querySelector("#grid tbody .cell").focus()`)
	before := b.eval(`document.activeElement.textContent`)
	first := b.eval(cells(2) + `.join()`)
	b.wait(cells(2) + `.join() !== ` + fmt.Sprintf("%q", first))
	if got := b.eval(`document.activeElement.textContent`); got != before {
		t.Errorf("the focus went from %s to %s", before, got)
	}

	click(`document.querySelector("#pause")`)
	b.wait(`document.querySelector("#state").textContent === "paused"`)
	b.complaints()
}

// TestPageIsNotTakenIn shows values that try to be markup, to hide, to turn the line around, to lose digits.
func TestPageIsNotTakenIn(t *testing.T) {
	_, url := serve(t)
	b := startBrowser(t, 1280, 1000)
	b.open(url + "/?table=odd+values&order=query")
	b.wait(rowCount + fmt.Sprintf(` === %d`, len(odd)))
	if got := b.eval(`document.title`); got != "odd values · Brotally" {
		t.Errorf("title: %s", got)
	}
	if got := b.eval(`document.querySelectorAll("#grid script, #grid img, #grid b").length`); got != "0" {
		t.Errorf("%s elements made of values", got)
	}
	text := b.eval(`document.querySelector("#grid tbody").innerText`)
	for _, want := range []string{
		`<script>document.title='owned'</script>`, `right\u{202e}to left`, `tab\u{9}here, bell\u{7}, zero\u{0}`,
		"340,282,366,920,938,463,463,374,607,431,768,211,455", "9,007,199,254,740,993", "[a, NULL, <b>]", "NULL", "empty", "[]",
		"2026-11-23 04:05:06", "1969-12-31 23:59:59", "1 d 4 h", "33 µs", "1 h 2 min", "Kopierer im Büro · 見積書 · 📦", "-5",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	recipes := b.eval(`document.querySelector("#recipes").innerText`)
	if want := `--topic 'odd'\''values'`; !strings.Contains(recipes, want) {
		t.Errorf("no %s in:\n%s", want, recipes)
	}
	b.eval(`[...document.querySelectorAll("#grid .cell")].find((c) => c.textContent.startsWith("<img")).click()`)
	b.wait(rowCount + ` === 1 && document.querySelector("#filters").innerText.includes("query = <img src=x")`)
	recipes = b.eval(`document.querySelector("#recipes").innerText`)
	if want := `rows?query=%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D%27owned%27%3E&order=query`; !strings.Contains(recipes, want) {
		t.Errorf("no %s in:\n%s", want, recipes)
	}
	b.eval(`document.querySelector("#filters button").click()`)
	b.wait(rowCount + fmt.Sprintf(` === %d`, len(odd)))
	b.picture("odd")
	b.complaints()
}

func TestPageWithoutAnswers(t *testing.T) {
	a, url := serve(t)
	b := startBrowser(t, 1280, 900)
	b.open(url + "/?table=conn_bytes")
	b.wait(`document.querySelector("#note").innerText.includes("table conn_bytes is being restored: 12 of 4321 changelog records are read; try again in a moment")`)
	b.picture("restoring")
	b.open(url + "/?table=dns_counts")
	b.wait(rowCount + ` === 25`)
	a.mu.Lock()
	a.down = 500
	a.mu.Unlock()
	b.wait(`document.querySelector("#note").innerText === "the broker is away" && document.querySelector("main").classList.contains("stale")`)
	b.picture("away")
	a.mu.Lock()
	a.down = 0
	a.mu.Unlock()
	b.wait(`document.querySelector("#note").hidden && document.querySelector("#state").textContent === "live"`)
	b.complaints("503 (Service Unavailable)", "500 (Internal Server Error)")
}

func TestPageOnAPhone(t *testing.T) {
	_, url := serve(t)
	b := startBrowser(t, 390, 844)
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true}, nil)
	b.open(url + "/")
	b.wait(rowCount + ` === 25`)
	if got := b.eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
		t.Errorf("the page is wider than the screen: %s", b.eval(`document.documentElement.scrollWidth`))
	}
	b.picture("phone")
	b.complaints()
}
