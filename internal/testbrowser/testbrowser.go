// Package testbrowser drives a real browser in tests: Chromium, or what BROWSER names of its kind.
//
//	b := testbrowser.Start(t, 1280, 900) // skips the test where there is none
//	b.Open(server.URL)
//	b.Wait(`document.querySelector("h1").textContent === "dns_counts"`)
//
// With BROTALLY_REQUIRE_BROWSER set a test fails where it would be skipped. With SCREENSHOTS=DIR pictures are left there.
package testbrowser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

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

// Browser is a headless Chromium, spoken to over a pair of pipes: JSON messages that end in a zero byte.
type Browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	id      int
	session string
	Console []string // what the page complained about
}

// Start starts a browser whose window has that size, until the test ends.
func Start(t *testing.T, width, height int) *Browser {
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
	b := &Browser{t: t, to: toWrite, from: bufio.NewReader(fromRead)}
	t.Cleanup(func() {
		b.session = ""
		b.Call("Browser.close", nil, nil)
		_ = cmd.Wait() // however it ended, it is gone
		toWrite.Close()
		fromRead.Close()
	})
	var target struct{ TargetID string }
	b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.Call(domain+".enable", nil, nil)
	}
	return b
}

// Call runs a command and decodes its result.
func (b *Browser) Call(method string, params, result any) {
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
			b.Console = append(b.Console, string(answer.Params))
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

// Eval returns what a JavaScript expression gives, as a string.
func (b *Browser) Eval(expression string) string {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(r.Result.Value)
}

// Wait waits until an expression is true.
func (b *Browser) Wait(expression string) {
	b.t.Helper()
	got := b.Eval(`new Promise((done) => {
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
		b.t.Fatalf("not so within 15 s: %s; the page says:\n%s\n%s", expression, got, strings.Join(b.Console, "\n"))
	}
}

// Open goes to a URL.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.Call("Page.navigate", map[string]any{"url": url}, nil)
}

// Picture keeps a screenshot, where it is asked for.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.Call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Theme has the system be light or dark.
func (b *Browser) Theme(name string) {
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": name}}}, nil)
}

// Complaints fails the test if the page logged anything, a refusal of its policy included.
func (b *Browser) Complaints(allowed ...string) {
	b.t.Helper()
next:
	for _, c := range b.Console {
		for _, a := range allowed {
			if strings.Contains(c, a) {
				continue next
			}
		}
		b.t.Errorf("the page complains: %s", c)
	}
}
