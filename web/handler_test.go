package web_test

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

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
	h := web.New(web.Config{API: http.NotFoundHandler()})
	for name, want := range map[string]string{
		"/assets/style.css":   "text/css; charset=utf-8",
		"/assets/app.js":      "text/javascript; charset=utf-8",
		"/assets/favicon.svg": "image/svg+xml",
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
	h := newAPI(t).handler()
	for name, tc := range map[string]struct {
		method, target string
		want           int
	}{
		"head":                  {"HEAD", "/", 200},
		"post":                  {"POST", "/", 405},
		"no such page":          {"GET", "/nothing", 404},
		"folder":                {"GET", "/assets/", 404},
		"template":              {"GET", "/templates/frame.html", 404},
		"way up":                {"GET", "/assets/..%2fweb.go", 404},
		"post to a missing":     {"POST", "/nothing", 405},
		"no such table":         {"GET", "/tables/nothing", 404},
		"bad filter":            {"GET", "/tables/dns_counts?col.count=x", 400},
		"restoring":             {"GET", "/tables/conn_bytes", 503},
		"bad SQL":               {"GET", "/sql?q=SELECT+quary", 400},
		"an order that is none": {"GET", "/tables/dns_counts?order=-nothing&limit=x&offset=-7", 200},
	} {
		t.Run(name, func(t *testing.T) {
			r, body := get(t, h, tc.method, tc.target)
			if r.StatusCode != tc.want {
				t.Errorf("%d, want %d", r.StatusCode, tc.want)
			}
			if (tc.method == "HEAD") != (body == "") {
				t.Errorf("%d bytes", len(body))
			}
		})
	}
}

// TestPolicy holds the pages to their policy: what it forbids is not relied upon.
func TestPolicy(t *testing.T) {
	h := newAPI(t).handler()
	for _, target := range []string{"/", "/tables/dns_counts", "/tables/odd%20values", "/sql?q=SELECT+1&as=chart", "/nothing"} {
		r, body := get(t, h, "GET", target)
		policy := map[string]string{}
		for _, d := range strings.Split(r.Header.Get("Content-Security-Policy"), ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(d), " ")
			policy[name] = value
		}
		want := map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
			"base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'",
			"require-trusted-types-for": "'script'", "trusted-types": "parts",
		}
		if diff := cmp.Diff(want, policy); diff != "" {
			t.Errorf("%s: policy differs (-want +got):\n%s", target, diff)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", target, name, got, want)
			}
		}
		// A value of the log may say any of these, in quotes or between tags: there its < is an entity.
		for what, re := range map[string]string{
			"inline script":    `<script(?:\s+(?:type|async|defer)(?:="[^"]*")?)*\s*>`,
			"inline style":     `<style|<[^>"]*(?:"[^"]*"[^>"]*)*\sstyle=`,
			"inline handler":   `<[^>"]*(?:"[^"]*"[^>"]*)*\son[a-z]+=`,
			"script in an URL": `(?:href|src|action)="javascript:`,
		} {
			if m := regexp.MustCompile(re).FindString(body); m != "" {
				t.Errorf("%s has an %s: %s", target, what, m)
			}
		}
	}
}

// TestAssetsStandAlone checks that pages load nothing from elsewhere, that everything they load is there, and that text becomes markup
// in one place.
func TestAssetsStandAlone(t *testing.T) {
	files := os.DirFS(".")
	var all []string
	for _, pattern := range []string{"assets/*", "templates/*"} {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	elsewhere := regexp.MustCompile(`(?:[a-z]+:)?//[\w.-]+\.[a-z]+[^\s"']*|@import|url\([^#]`)
	local := regexp.MustCompile(`(?:(?:href|src)="/|\} from "\./|\bimport "\./)([^"{?]+\.\w+)"`)
	unsafe := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\("(?:style|on\w+|href|src)"|createContextualFragment|DOMParser`)
	used := map[string]bool{}
	for _, name := range all {
		body, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(body), `xmlns="http://www.w3.org/2000/svg"`, "")
		if m := elsewhere.FindString(text); m != "" {
			t.Errorf("%s refers to something elsewhere: %s", name, m)
		}
		if m := unsafe.FindAllString(text, -1); len(m) > 0 && (name != "assets/live.js" || len(m) > 1) {
			t.Errorf("%s makes markup or code of text: %s", name, m)
		}
		for _, m := range local.FindAllStringSubmatch(text, -1) {
			of := "assets/" + path.Base(m[1])
			used[of] = true
			if _, err := fs.Stat(files, of); err != nil {
				t.Errorf("%s loads %s: %v", name, m[1], err)
			}
		}
	}
	for _, name := range all {
		if path.Dir(name) == "assets" && !used[name] {
			t.Errorf("%s is not loaded by anything", name)
		}
	}
}

func TestTablePage(t *testing.T) {
	a := newAPI(t)
	a.advance(time.Now())
	h := a.handler()
	_, body := get(t, h, "GET", "/tables/dns_counts?order=-count&limit=10&col.qtype_name=A")
	for _, want := range []string{
		`<h1>dns_counts</h1>`, `aria-sort="descending"`, `href="/tables/dns_counts?col.qtype_name=A&amp;limit=10&amp;order=count"`,
		"kafka-console-consumer --bootstrap-server 127.0.0.1:9092 --topic dns_counts --from-beginning --isolation-level read_committed",
		"psql postgres://brotally@127.0.0.1:5439/brotally -c &#39;SELECT * FROM dns_counts ORDER BY count DESC LIMIT 10&#39;",
		"curl -s &#39;http://example.com/api/v1/tables/dns_counts/rows?col.qtype_name=A&amp;order=-count&amp;limit=10&amp;format=csv&#39;",
		`href="/tables/dns_counts?limit=10&amp;order=-count" data-turn>All rows`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	if strings.Contains(body, ">AAAA<") {
		t.Error("a row that does not pass the filter")
	}
	_, body = get(t, h, "GET", "/tables/dns_counts?order=-count&limit=100&offset=10&col.id.orig_h=10.0.0.0/8&col.qtype_name=%21%3DPTR")
	cell := regexp.MustCompile(`<a class="cell" href="([^"]*)" data-turn[^>]*>AAAA<`).FindStringSubmatch(body)
	if want := "/tables/dns_counts?col.id.orig_h=10.0.0.0%2F8&amp;limit=100&amp;order=-count&amp;col.qtype_name=AAAA"; cell == nil || cell[1] != want {
		t.Errorf("a cell leads to %q, want %s", cell, want)
	}
	_, body = get(t, h, "GET", "/tables/odd%20values?order=query")
	for _, want := range []string{`--topic &#39;odd&#39;\&#39;&#39;values&#39;`, `&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;`, `right\u{202e}to left`,
		"340,282,366,920,938,463,463,374,607,431,768,211,455", "9,007,199,254,740,993"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	_, body = get(t, h, "GET", "/tables/dns_counts?col.count=x")
	if !strings.Contains(body, `value="x"`) || !strings.Contains(body, `role="alert"`) {
		t.Errorf("a filter that is wrong is not shown, or not why:\n%.3000s", body)
	}
}

// TestPlacesOfAReader: the navigation leads to what whoever asks may see, and what they may not see says so on a page.
func TestPlacesOfAReader(t *testing.T) {
	site := web.New(web.Config{API: newAPI(t).handler(), Try: true, May: func(r *http.Request, path string) bool {
		return r.Header.Get("Authorization") == "all" || path != "/health" && path != "/topology"
	}})
	for token, want := range map[string]string{"some": "/ /sql /try", "all": "/ /sql /topology /health /try"} {
		_, body := get(t, site, "GET", "/", "Authorization", token)
		_, nav, _ := strings.Cut(body, "<nav")
		nav, _, _ = strings.Cut(nav, "</nav>")
		var links []string
		for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(nav, -1) {
			links = append(links, m[1])
		}
		if got := strings.Join(links, " "); got != want {
			t.Errorf("%s: the navigation leads to %s, want %s", token, got, want)
		}
	}
	w := httptest.NewRecorder()
	site.Refuse(w, httptest.NewRequest("GET", "/health", nil), http.StatusForbidden, "/health<b> is for operators", "use another token")
	body := w.Body.String()
	if w.Code != http.StatusForbidden || w.Header().Get("Content-Security-Policy") == "" || !strings.Contains(body, "/health&lt;b&gt; is for operators; use another token") ||
		!strings.Contains(body, " data-still>") || strings.Contains(body, `href="/health"`) {
		t.Errorf("status %d, %v:\n%s", w.Code, w.Header(), body)
	}
}

// TestLive reads what a page is sent while it is looked at.
func TestLive(t *testing.T) {
	a, url := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/tables/dns_counts?limit=10", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Fatalf("content type %s", got)
	}
	in := bufio.NewReader(res.Body)
	event := func() (name, data string) {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			line = strings.TrimSuffix(line, "\n")
			switch {
			case line == "" && name != "":
				return name, data
			case strings.HasPrefix(line, "event: "):
				name = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				data += line[len("data: "):] + "\n"
			}
		}
	}
	until := func(name, text string) {
		for {
			if n, data := event(); n == name && strings.Contains(data, text) {
				return
			}
		}
	}
	until("main", `id="grid"`)
	until("state", "live live")
	until("main", `class="chart"`) // which takes two looks
	a.mu.Lock()
	a.down = 500
	a.mu.Unlock()
	until("main", "the broker is away")
	until("state", "lost error")
	a.mu.Lock()
	a.down = 0
	a.mu.Unlock()
	until("main", `id="grid"`)
	until("state", "live live")
}
