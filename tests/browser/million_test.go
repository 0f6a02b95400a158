package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/brotally/brotally/internal/testbrowser"
)

const (
	busiest  = 1_000            // hosts whose rows come first, and change a second
	changing = 20 * time.Second // how long they do
	steps    = 10               // of a second, in which they change a share at a time
)

// recorder notes in a page how long its frames took, how long after a click what the link leads to was shown, and how
// often the server sent the page anew.
const recorder = `(() => {
	window.frames = [];
	let last = 0;
	requestAnimationFrame(function tick(now) {
		if (last) window.frames.push(now - last);
		last = now;
		requestAnimationFrame(tick);
	});
	addEventListener("click", (e) => {
		const to = e.target.closest("a").href;
		window.shown = 0;
		requestAnimationFrame(function look() {
			if (location.href !== to || document.querySelector("main").getAttribute("aria-busy") !== "false") requestAnimationFrame(look);
			else requestAnimationFrame(() => { // the frame that has it was drawn
				window.shown = performance.now() - e.timeStamp;
				const fetched = performance.getEntriesByName(to).at(-1);
				window.served = fetched.responseStart - fetched.requestStart;
			});
		});
	}, true);
	window.parts = 0;
	addEventListener("load", () => {
		const counted = document.querySelector("#counted");
		if (counted) new MutationObserver(() => window.parts++).observe(counted, { subtree: true, characterData: true, childList: true });
	});
})()`

func millionHost(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }

func millionRecord(i int) []byte {
	return fmt.Appendf(nil, `{"ts":1764316800.5,"id.orig_h":%q,"qtype_name":%q}`, millionHost(i), []string{"A", "AAAA", "PTR", "TXT"}[i%4])
}

// filled starts a world whose table has so many rows: each was a record that went through broker and stages.
func filled(b *testing.B, groups int) *world {
	w := start(b, dnsCounts, newTrial())
	began := time.Now()
	for i := range groups {
		w.send("dns", millionRecord(i))
	}
	for i := range busiest {
		for range 1 + (busiest-i)/20 { // near enough to each other to change places
			w.send("dns", millionRecord(i))
		}
	}
	w.await()
	b.Logf("%d rows after %.1f s", groups, time.Since(began).Seconds())
	return w
}

// change has each of the busiest hosts come one to three times a second, so that a thousand rows change, until ctx is done.
func (w *world) change(ctx context.Context) error {
	tick := time.NewTicker(time.Second / steps)
	defer tick.Stop()
	draw := rand.New(rand.NewPCG(1, 1))
	for step := 0; ; step++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for i := step % steps; i < busiest; i += steps {
			for range 1 + draw.IntN(3) {
				if err := w.sender.Send(w.t.Context(), "dns", millionRecord(i)); err != nil {
					return err
				}
			}
		}
	}
}

// BenchmarkPage is the pages over a table of a million rows in a real browser, see docs/BENCHMARKS.md. Beside it is one so small
// that the server takes no time to look it through: there the page alone is measured, and changes come as often as they can.
func BenchmarkPage(b *testing.B) {
	if os.Getenv("BROTALLY_REQUIRE_BROWSER") == "" {
		b.Skip("it takes minutes: make bench-browser")
	}
	for _, groups := range []int{10_000, 1_000_000} {
		b.Run("groups="+strconv.Itoa(groups), func(b *testing.B) {
			w := filled(b, groups)
			for _, page := range []string{"/", "/tables/dns_counts", "/sql", "/topology", "/health", "/try"} {
				b.Run("load"+page, func(b *testing.B) { w.load(b, page) })
			}
			for _, limit := range []int{25, 500} {
				b.Run("rows="+strconv.Itoa(limit), func(b *testing.B) { w.look(b, limit) })
			}
		})
	}
}

// load opens a page five times, the first time with nothing of it in the browser's cache.
func (w *world) load(b *testing.B, page string) {
	br := testbrowser.Start(b, 1280, 900)
	var loaded, painted, served []float64
	for b.Loop() {
		for range 5 {
			br.Open(w.url + page)
			br.Wait(`performance.getEntriesByType("navigation")[0].loadEventEnd > 0 && performance.getEntriesByName("first-contentful-paint").length > 0`)
			loaded = append(loaded, number(b, br, `performance.getEntriesByType("navigation")[0].loadEventEnd`))
			painted = append(painted, number(b, br, `performance.getEntriesByName("first-contentful-paint")[0].startTime`))
			served = append(served, number(b, br, `performance.getEntriesByType("navigation")[0].responseStart`))
		}
	}
	b.ReportMetric(0, "ns/op")
	report(b, "loaded", loaded)
	report(b, "painted", painted)
	report(b, "served", served)
}

// look is what somebody does with a page of so many rows: opens it, sorts it, scrolls through it, and again while rows change.
func (w *world) look(b *testing.B, limit int) {
	br := testbrowser.Start(b, 1280, 900)
	_, empty := br.Memory()
	br.Before(recorder)
	for b.Loop() {
		br.Open(fmt.Sprintf("%s/tables/dns_counts?limit=%d", w.url, limit))
		br.Wait(fmt.Sprintf(`document.querySelector("#state").textContent === "live" && %s === %d && performance.getEntriesByName("first-contentful-paint").length > 0`, rows, limit))
		b.ReportMetric(number(b, br, `performance.getEntriesByName("first-contentful-paint")[0].startTime`), "ms-painted")

		sorted, served := clicks(b, br, 0, 0, 1, 1, 2, 2, 2)
		report(b, "sort", sorted)
		report(b, "sort-served", served)
		report(b, "scroll-gap", scroll(b, br))

		heap, _ := br.Memory()
		peak := heap
		ctx, cancel := context.WithCancel(b.Context())
		var g errgroup.Group
		g.Go(func() error { return w.change(ctx) })
		first := br.Eval(`document.querySelector("#grid tbody tr td:nth-child(3)").textContent`)
		br.Wait(`document.querySelector("#grid tbody tr td:nth-child(3)").textContent !== ` + js(first))
		br.Eval(`window.frames.length = window.parts = 0`)
		var gaps []float64
		sorted, served = nil, nil
		parts := 0.0
		for began := time.Now(); time.Since(began) < changing; {
			br.Eval(`new Promise((done) => setTimeout(done, 3000))`) // somebody looks
			gaps = append(gaps, frames(b, br)...)
			parts += number(b, br, `window.parts`)
			took, answered := clicks(b, br, 0, 1, 2)
			sorted, served = append(sorted, took...), append(served, answered...)
			br.Eval(`window.frames.length = window.parts = 0`) // those were of the clicks
			heap, _ := br.Memory()
			peak = max(peak, heap)
		}
		cancel()
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		report(b, "changing-sort", sorted)
		report(b, "changing-sort-served", served)
		report(b, "changing-gap", gaps)
		b.ReportMetric(parts, "parts")
		_, process := br.Memory()
		b.ReportMetric(float64(peak)/(1<<20), "MB-heap-max")
		br.Call("HeapProfiler.collectGarbage", nil, nil)
		heap, kept := br.Memory()
		b.ReportMetric(float64(heap)/(1<<20), "MB-heap")
		b.ReportMetric(float64(process)/(1<<20), "MB-process")
		b.ReportMetric(float64(kept)/(1<<20), "MB-process-collected")
		b.ReportMetric(float64(empty)/(1<<20), "MB-process-empty")
	}
	b.ReportMetric(0, "ns/op")
}

// clicks clicks the heads of these columns, as a mouse does, and returns how long after it the sorted rows were there, and
// how much of that the server took until it began to answer, in milliseconds.
func clicks(b *testing.B, br *testbrowser.Browser, columns ...int) (took, served []float64) {
	b.Helper()
	for _, i := range columns {
		var at struct{ X, Y float64 }
		place := br.Eval(fmt.Sprintf(`(() => {
			scrollTo(0, 0);
			window.shown = 0;
			const r = document.querySelectorAll("#grid th a")[%d].getBoundingClientRect();
			return JSON.stringify({ X: r.x + 5, Y: r.y + r.height / 2 });
		})()`, i))
		if err := json.Unmarshal([]byte(place), &at); err != nil {
			b.Fatal(err)
		}
		for _, event := range []string{"mousePressed", "mouseReleased"} {
			br.Call("Input.dispatchMouseEvent", map[string]any{"type": event, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
		}
		br.Wait(fmt.Sprintf(`window.shown > 0 && document.querySelectorAll("#grid th")[%d].hasAttribute("aria-sort")`, i))
		took, served = append(took, number(b, br, `window.shown`)), append(served, number(b, br, `window.served`))
	}
	return took, served
}

// scroll scrolls the page to its end and back, and returns how long each frame took meanwhile.
func scroll(b *testing.B, br *testbrowser.Browser) []float64 {
	b.Helper()
	height := number(b, br, `window.frames.length = 0, document.documentElement.scrollHeight - innerHeight`)
	for _, by := range []float64{-height, height} {
		br.Call("Input.synthesizeScrollGesture", map[string]any{"x": 640, "y": 450, "yDistance": by, "speed": 4000}, nil)
	}
	if at := number(b, br, `scrollY`); at != 0 {
		b.Errorf("scrolled back to %v", at)
	}
	return frames(b, br)
}

// frames returns how long each frame took since the last time, in milliseconds.
func frames(b *testing.B, br *testbrowser.Browser) (all []float64) {
	b.Helper()
	if err := json.Unmarshal([]byte(br.Eval(`JSON.stringify(window.frames.splice(0))`)), &all); err != nil {
		b.Fatal(err)
	}
	return all
}

func number(b *testing.B, br *testbrowser.Browser, expression string) float64 {
	b.Helper()
	f, err := strconv.ParseFloat(br.Eval(expression), 64)
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return f
}

// report reports the median and the largest of some milliseconds.
func report(b *testing.B, name string, all []float64) {
	b.Helper()
	if len(all) == 0 {
		b.Fatalf("%s was not measured", name)
	}
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2], "ms-"+name)
	b.ReportMetric(all[len(all)-1], "ms-"+name+"-max")
}
