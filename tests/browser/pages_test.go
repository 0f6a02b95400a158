package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/testbrowser"
)

const (
	dnsCounts = `CREATE TABLE dns_counts AS SELECT id.orig_h, qtype_name, count(*) AS count FROM dns GROUP BY id.orig_h, qtype_name;
`
	// dnsMinutes has windows, which its page draws.
	dnsMinutes = `CREATE TABLE dns_minutes AS SELECT window_start, qtype_name, count(*) AS count FROM dns WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY qtype_name;
`
)

// navigated are the pages that the navigation leads to, as the page shows it that is open.
func navigated(b *testbrowser.Browser) []string {
	return strings.Fields(b.Eval(`[...document.querySelectorAll("nav a")].map((a) => a.pathname).join(" ")`))
}

// TestPagesLoadWhole opens every page: each asks its own server alone, and is given all that it asks for.
func TestPagesLoadWhole(t *testing.T) {
	w := busy(t)
	b := testbrowser.Start(t, 1280, 900)
	b.Open(w.url + "/")
	pages := navigated(b)
	for _, d := range w.tables {
		pages = append(pages, "/tables/"+d.Name)
	}
	pages = append(pages, "/tables/dns_counts?limit=500&order=qtype_name&col.qtype_name=A", "/sql?as=chart&q=SELECT+qtype_name,+sum(count)+AS+n+FROM+dns_counts+GROUP+BY+qtype_name")
	for _, page := range pages {
		before := len(b.Requests())
		b.Open(w.url + page)
		b.Wait(`document.readyState === "complete" && document.querySelector("h1") !== null && ["live", "as asked", undefined].includes(document.querySelector("#state")?.textContent)`)
		made := b.Requests()[before:]
		own := 0
		for _, r := range made {
			switch {
			case !strings.HasPrefix(r.URL, w.url+"/"):
				t.Errorf("%s asks for %s", page, r.URL)
			case r.Failed != "" || r.Status >= 400:
				t.Errorf("%s asks for %s: status %d %s", page, r.URL, r.Status, r.Failed)
			case strings.HasSuffix(r.URL, page) && r.Status == http.StatusOK:
				own++
			}
		}
		if own == 0 {
			t.Errorf("%s: the page is not among its requests: %v", page, made)
		}
	}
	b.Complaints()
}

// tookMS is what differs in two answers to one question.
var tookMS = regexp.MustCompile(`"took_ms":[0-9.]+`)

// TestDownloads clicks each of the links that download a table, and compares the file with what the API answers.
func TestDownloads(t *testing.T) {
	w := busy(t)
	b := testbrowser.Start(t, 1280, 900)
	b.Open(w.url + "/tables/dns_counts?col.qtype_name=A")
	const links = `[...document.querySelectorAll("#recipes a[download]")]`
	b.Wait(links + `.length > 0 && document.querySelector("#state").textContent === "live"`)
	var addresses []string
	if err := json.Unmarshal([]byte(b.Eval(`JSON.stringify(`+links+`.map((a) => a.href))`)), &addresses); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, address := range addresses {
		name, got := b.Download(fmt.Sprintf(`%s[%d].click()`, links, i))
		names = append(names, name)
		res, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || len(want) == 0 {
			t.Fatalf("%s: status %d, %d bytes, %v", address, res.StatusCode, len(want), err)
		}
		if diff := cmp.Diff(tookMS.ReplaceAllString(string(want), ""), tookMS.ReplaceAllString(string(got), "")); diff != "" {
			t.Errorf("%s is not what %s answers (-want +got):\n%s", name, address, diff)
		}
	}
	if diff := cmp.Diff([]string{"dns_counts.csv", "dns_counts.arrows", "dns_counts.json", "dns_counts.ndjson", "dns_counts.log"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if got := b.Eval(`document.querySelector("#state").textContent + " at " + location.pathname`); got != "live at /tables/dns_counts" {
		t.Errorf("the page is %s", got)
	}
	b.Complaints()
}

// TestWindowsInTheBrowser looks at a table with windows: a stack of bars for each, which grows as records come.
func TestWindowsInTheBrowser(t *testing.T) {
	w := start(t, dnsMinutes, nil)
	send := func(minute, n int, qtype string) {
		for range n {
			w.send("dns", fmt.Appendf(nil, `{"ts":%d.5,"id.orig_h":"10.0.0.1","qtype_name":%q}`, 1764316800+60*minute, qtype))
		}
	}
	for i, qtype := range []string{"A", "AAAA", "MX", "TXT", "NS", "PTR", "SRV"} {
		send(0, 20-2*i, qtype)
	}
	send(1, 30, "A")
	w.await()
	b := testbrowser.Start(t, 1280, 1400)
	b.Open(w.url + "/tables/dns_minutes")
	titles := `[...document.querySelectorAll("#trend rect title")].map((x) => x.textContent.replace(/^[^,]*:(..):00, /, "$1 ")).join("; ")`
	b.Wait(`document.querySelector("#trend h2").textContent === "Windows" && document.querySelector("#state").textContent === "live"`)
	if got, want := b.Eval(titles), "00 A: 20; 01 A: 30; 00 AAAA: 18; 00 MX: 16; 00 TXT: 14; 00 NS: 12; 00 others: 18"; got != want {
		t.Errorf("bars:\n%s, want\n%s", got, want)
	}
	if got, want := b.Eval(`[...document.querySelectorAll("#trend .legend li")].map((li) => li.innerText).join()`), "A,AAAA,MX,TXT,NS,others"; got != want {
		t.Errorf("legend %s, want %s", got, want)
	}
	// Bars of a window stand on each other, and none is outside of the picture.
	b.Wait(`(() => {
		const box = document.querySelector("#trend svg").getBoundingClientRect();
		const bars = [...document.querySelectorAll("#trend rect")].map((r) => r.getBoundingClientRect());
		const first = bars.filter((_, i) => i !== 1);
		return bars.length === 7 && bars.every((r) => r.height > 1 && r.top >= box.top && r.bottom <= box.bottom) &&
			first.every((r, i) => i === 0 || (Math.abs(r.bottom - first[i - 1].top) < 1 && Math.abs(r.left - first[0].left) < 1));
	})()`)
	b.Eval(`window.same = true`) // gone if the page were loaded again
	send(1, 5, "A")
	send(2, 7, "MX")
	w.await()
	b.Wait(titles + `.includes("01 A: 35") && ` + titles + `.includes("02 MX: 7") && document.querySelectorAll("#grid tbody tr").length === 9 && window.same`)
	b.Picture("windows")
	b.Complaints()
}
