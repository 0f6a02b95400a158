package web_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/web"
)

func get(t *testing.T, h http.Handler, method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

func TestFilesAndTheirTypes(t *testing.T) {
	h := web.Handler(web.Config{})
	for name, want := range map[string]string{
		"/":            "text/html; charset=utf-8",
		"/index.html":  "text/html; charset=utf-8",
		"/style.css":   "text/css; charset=utf-8",
		"/app.js":      "text/javascript; charset=utf-8",
		"/grid.js":     "text/javascript; charset=utf-8",
		"/favicon.svg": "image/svg+xml",
		"/page.json":   "application/json",
	} {
		r, body := get(t, h, "GET", name)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != want || body == "" {
			t.Errorf("GET %s: %d, %s, %d bytes; want %s", name, r.StatusCode, r.Header.Get("Content-Type"), len(body), want)
		}
		again, body := get(t, h, "GET", name, "If-None-Match", r.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("GET %s with its tag: %d, %d bytes; want 304", name, again.StatusCode, len(body))
		}
	}
}

func TestOtherRequests(t *testing.T) {
	h := web.Handler(web.Config{})
	for name, tc := range map[string]struct {
		method, target string
		want           int
	}{
		"head":              {"HEAD", "/", 200},
		"post":              {"POST", "/", 405},
		"no such file":      {"GET", "/api", 404},
		"folder":            {"GET", "/page", 404},
		"embedded path":     {"GET", "/page/app.js", 404},
		"way up":            {"GET", "/../handler.go", 404},
		"post to a missing": {"POST", "/nothing", 404},
	} {
		t.Run(name, func(t *testing.T) {
			if r, _ := get(t, h, tc.method, tc.target); r.StatusCode != tc.want {
				t.Errorf("%d, want %d", r.StatusCode, tc.want)
			}
		})
	}
	r, body := get(t, http.StripPrefix("/brotally", h), "GET", "/brotally/app.js")
	if r.StatusCode != 200 || body == "" {
		t.Errorf("below a prefix: %d", r.StatusCode)
	}
}

func TestPageIsToldTheBrokers(t *testing.T) {
	for want, brokers := range map[string][]string{
		"":                            nil,
		"127.0.0.1:9092":              {"127.0.0.1:9092"},
		`[::1]:9092,k"2.example:9093`: {"[::1]:9092", `k"2.example:9093`},
	} {
		_, body := get(t, web.Handler(web.Config{Brokers: brokers}), "GET", "/page.json")
		var got map[string]string
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"brokers": want}, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestPolicy holds the page to its policy: what it forbids is not relied upon.
func TestPolicy(t *testing.T) {
	r, index := get(t, web.Handler(web.Config{}), "GET", "/")
	policy := map[string]string{}
	for _, d := range strings.Split(r.Header.Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), " ")
		policy[name] = value
	}
	want := map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
		"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
		"require-trusted-types-for": "'script'", "trusted-types": "'none'",
	}
	if diff := cmp.Diff(want, policy); diff != "" {
		t.Errorf("policy differs (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for what, re := range map[string]string{
		"inline script":    `<script(?:\s+(?:type|async|defer)(?:="[^"]*")?)*\s*>`,
		"inline style":     `<style|\sstyle=`,
		"inline handler":   `\son[a-z]+=`,
		"script in an URL": `javascript:`,
	} {
		if m := regexp.MustCompile(re).FindString(index); m != "" {
			t.Errorf("index.html has an %s: %s", what, m)
		}
	}
}

// TestFilesStandAlone checks that the page loads nothing from elsewhere, and everything it loads is there.
func TestFilesStandAlone(t *testing.T) {
	files := web.Files()
	all, err := fs.ReadDir(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := regexp.MustCompile(`(?:[a-z]+:)?//[\w.-]+\.[a-z]+[^\s"']*|@import|url\(`)
	local := regexp.MustCompile(`(?:\s(?:href|src)=|\} from |\bimport )"([^"]+)"`)
	unsafe := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\("(?:style|on\w+|href|src)"|createContextualFragment|DOMParser`)
	used := map[string]bool{"index.html": true}
	for _, e := range all {
		body, err := fs.ReadFile(files, e.Name())
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(body), `xmlns="http://www.w3.org/2000/svg"`, "")
		if m := elsewhere.FindString(text); m != "" {
			t.Errorf("%s refers to something elsewhere: %s", e.Name(), m)
		}
		if m := unsafe.FindString(text); m != "" {
			t.Errorf("%s makes markup or code of text: %s", e.Name(), m)
		}
		for _, m := range local.FindAllStringSubmatch(text, -1) {
			name := path.Clean(m[1])
			if name == "." || strings.HasPrefix(m[1], "#") {
				continue
			}
			used[name] = true
			if _, err := fs.Stat(files, name); err != nil {
				t.Errorf("%s loads %s: %v", e.Name(), m[1], err)
			}
		}
	}
	for _, e := range all {
		if !used[e.Name()] {
			t.Errorf("%s is not loaded by anything", e.Name())
		}
	}
}
