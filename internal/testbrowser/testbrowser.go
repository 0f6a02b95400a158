// Package testbrowser drives a real browser in tests: Chromium, or what BROWSER names of its kind.
//
//	b := testbrowser.Start(t, 1280, 900) // skips the test where there is none
//	b.Open(server.URL)
//	b.Wait(`document.querySelector("h1").textContent === "dns_counts"`)
//
// With BROTALLY_REQUIRE_BROWSER set a test fails where it would be skipped. With SCREENSHOTS=DIR pictures are left there.
package testbrowser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// findBrowser returns the path of a browser.
func findBrowser(t testing.TB) string {
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

// Browser is a headless Chromium with one page. Only the test's goroutine may use it.
type Browser struct {
	t   testing.TB
	ctx context.Context

	downloads chan download // that have ended

	mu       sync.Mutex // guards what follows
	console  []string   // what the page complained about
	requests []*request
	names    map[string]string // of files that are being downloaded, by the protocol's id
}

// Request is one that the page made.
type Request struct {
	URL    string
	Status int64  // of the answer; 0: none has come
	Failed string // why it was not answered to its end; empty: it was, or is on its way, or the page did not want it any more
}

type request struct {
	Request
	id network.RequestID
}

type download struct {
	id, name string
	state    browser.DownloadProgressState
}

// Start starts a browser whose window has that size, until the test ends.
func Start(t testing.TB, width, height int) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findBrowser(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true), chromedp.Flag("disable-component-update", true))
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...) // the test's context is done before its cleanup
	t.Cleanup(end)                                                                // waits for the process
	b := &Browser{t: t, downloads: make(chan download, 1), names: map[string]string{}}
	ctx, cancel := chromedp.NewContext(allocated, chromedp.WithListener(b.listen))
	b.ctx = ctx
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close the browser: %v", err)
		}
		cancel()
	})
	b.do("start a browser")
	return b
}

// listen notes what the page complains about. It is called in the order of the protocol: before an answer that came later.
func (b *Browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown, *runtime.EventConsoleAPICalled, *log.EventEntryAdded:
		text, err := json.Marshal(event)
		if err != nil {
			text = fmt.Append(nil, event)
		}
		b.console = append(b.console, string(text))
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, &request{Request{URL: e.Request.URL}, e.RequestID})
	case *network.EventResponseReceived:
		b.request(e.RequestID).Status = e.Response.Status
	case *network.EventLoadingFailed:
		if !e.Canceled {
			b.request(e.RequestID).Failed = e.ErrorText
		}
	case *browser.EventDownloadWillBegin:
		b.names[e.GUID] = e.SuggestedFilename
	case *browser.EventDownloadProgress:
		if e.State != browser.DownloadProgressStateInProgress {
			b.downloads <- download{e.GUID, b.names[e.GUID], e.State}
		}
	}
}

// request is the last one with an id: one that was redirected comes again. mu is held.
func (b *Browser) request(id network.RequestID) *request {
	for _, r := range slices.Backward(b.requests) {
		if r.id == id {
			return r
		}
	}
	r := &request{Request{URL: "a request that was not announced"}, id}
	b.requests = append(b.requests, r)
	return r
}

// Requests are those that pages have made so far.
func (b *Browser) Requests() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Request, len(b.requests))
	for i, r := range b.requests {
		all[i] = r.Request
	}
	return all
}

// Download evaluates an expression that has the browser download a file, and returns the file when it is whole.
func (b *Browser) Download(expression string) (name string, content []byte) {
	b.t.Helper()
	dir := b.t.TempDir()
	b.Call("Browser.setDownloadBehavior", map[string]any{"behavior": "allowAndName", "downloadPath": dir, "eventsEnabled": true}, nil)
	b.Eval(expression)
	select {
	case d := <-b.downloads:
		if d.state != browser.DownloadProgressStateCompleted {
			b.t.Fatalf("%s: the download of %q was %s", expression, d.name, d.state)
		}
		content, err := os.ReadFile(filepath.Join(dir, d.id))
		if err != nil {
			b.t.Fatal(err)
		}
		return d.name, content
	case <-time.After(patience):
		b.t.Fatalf("%s: nothing was downloaded within %v", expression, patience)
		return "", nil
	}
}

// Memory returns the bytes that the page's scripts hold, with what was not collected yet, and those that its process has for itself, as
// Linux tells them.
func (b *Browser) Memory() (heap, process int64) {
	b.t.Helper()
	b.Call("Performance.enable", nil, nil)
	var measured struct {
		Metrics []struct {
			Name  string
			Value float64
		}
	}
	b.Call("Performance.getMetrics", nil, &measured)
	for _, m := range measured.Metrics {
		if m.Name == "JSHeapUsedSize" {
			heap = int64(m.Value)
		}
	}
	var running struct {
		ProcessInfo []struct {
			Type string
			ID   int
		}
	}
	b.do("processes", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		var answer json.RawMessage
		if err := chromedp.FromContext(ctx).Browser.Call(ctx, "SystemInfo.getProcessInfo", map[string]any{}, &answer); err != nil {
			return err
		}
		return json.Unmarshal(answer, &running)
	}))
	for _, p := range running.ProcessInfo {
		if p.Type == "renderer" { // there may be one in reserve, with next to nothing in it
			process = max(process, ownMemory(b.t, p.ID))
		}
	}
	return heap, process
}

// ownMemory is what a process shares with nobody, in bytes.
func ownMemory(t testing.TB, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for line := range strings.Lines(string(status)) {
		for _, name := range []string{"RssAnon:", "VmSwap:"} {
			if rest, found := strings.CutPrefix(line, name); found {
				var kB int64
				if _, err := fmt.Sscanf(rest, "%d kB", &kB); err != nil {
					t.Fatal(err)
				}
				sum += kB << 10
			}
		}
	}
	return sum
}

// Console is what the page has complained about so far: the protocol's events, as JSON.
func (b *Browser) Console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.console...)
}

func (b *Browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// Call runs a command of the protocol and decodes its result.
func (b *Browser) Call(method string, params, result any) {
	b.t.Helper()
	b.do(method, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if params == nil {
			params = map[string]any{}
		}
		var answer json.RawMessage // chromedp's own decoder wants names in the protocol's case
		if err := target.Call(ctx, method, params, &answer); err != nil || result == nil {
			return err
		}
		return json.Unmarshal(answer, result)
	}))
}

// Before has a script run in every page before the page's own.
func (b *Browser) Before(script string) {
	b.t.Helper()
	b.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": script}, nil)
}

// Eval returns what a JavaScript expression gives, as a string. It is the test's: the page's policy has no say in it.
func (b *Browser) Eval(expression string) string {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return fmt.Sprint(value)
}

// patience is how long Wait waits: a machine may be busy with other tests.
const patience = 15 * time.Second

// Wait waits until an expression is true.
func (b *Browser) Wait(expression string) {
	b.t.Helper()
	got := b.Eval(fmt.Sprintf(`new Promise((done) => {
		const until = performance.now() + %d;
		const look = () => {
			let holds = false;
			try { holds = %s; } catch (e) { /* not there yet */ }
			if (holds) done("yes");
			else if (performance.now() > until) done(document.body.innerText);
			else requestAnimationFrame(look);
		};
		look();
	})`, patience.Milliseconds(), expression))
	if got != "yes" {
		b.t.Fatalf("not so within %v: %s; the page says:\n%s\n%s", patience, expression, got, strings.Join(b.Console(), "\n"))
	}
}

// Open goes to a URL and returns when what is there has loaded.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.do("open "+url, chromedp.Navigate(url))
}

// Size has the page be so many pixels of CSS wide and high.
func (b *Browser) Size(width, height int64) {
	b.t.Helper()
	b.do("size", chromedp.EmulateViewport(width, height))
}

// Screenshot is what the window shows, as PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("screenshot: %v", err)
	}
	return data
}

// Picture keeps a screenshot, where it is asked for.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b.Screenshot(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Theme has the system be light or dark.
func (b *Browser) Theme(name string) {
	b.t.Helper()
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": name}}}, nil)
}

// Complaints fails the test if the page logged anything, a refusal of its policy included.
func (b *Browser) Complaints(allowed ...string) {
	b.t.Helper()
next:
	for _, c := range b.Console() {
		for _, a := range allowed {
			if strings.Contains(c, a) {
				continue next
			}
		}
		b.t.Errorf("the page complains: %s", c)
	}
}
