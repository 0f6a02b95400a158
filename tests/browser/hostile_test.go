package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testbrowser"
)

// watcher has what a payload does told on the console, from whatever page or frame: it ran, or the policy refused something, which
// means that it was taken for markup.
const watcher = `(() => {
	const tell = console.error.bind(console);
	const say = (what) => tell("HOSTILE " + what + " at " + location.href);
	Object.defineProperty(window, "owned", { value: () => say("ran") });
	for (const name of ["alert", "confirm", "prompt"]) window[name] = () => say(name);
	document.addEventListener("securitypolicyviolation", (e) => say("was refused: " + e.violatedDirective + " " + e.blockedURI + " " + e.sample));
})()`

// foreign lists what is in the page and not the page's: elements, handlers, styles, addresses, names, inherited properties.
const foreign = `(() => {
	const known = new Set(("a b bdi body button caption circle code dd defs details div dl dt form g h1 h2 h3 head header html input label li line link main marker meta nav p path pre " +
		"progress rect script section select option span strong summary svg table tbody td text textarea th thead time title tr ul ol").split(" "));
	const found = [], ids = new Set();
	const most = { script: 1, form: 1, textarea: 1, main: 1, body: 1, head: 1, html: 1, header: 1, base: 0 };
	for (const e of document.querySelectorAll("*")) {
		if (!known.has(e.localName)) found.push("element " + e.localName);
		for (const { name, value } of e.attributes) {
			if (/^on|^style$|^srcdoc$|^formaction$|^background$|^xlink:/i.test(name)) found.push(e.localName + " " + name);
			if (!/^(href|src|action)$/.test(name)) continue;
			const to = new URL(value, location);
			if (value !== "#main" && (to.origin !== location.origin || !/^\/($|[a-z])/.test(to.pathname))) found.push(e.localName + " to " + value);
		}
		if (e.id && ids.has(e.id)) found.push("a second " + e.id);
		ids.add(e.id);
	}
	for (const name in most) if (document.getElementsByTagName(name).length > most[name]) found.push("too many of " + name);
	for (const name in {}) found.push("every object has " + name);
	if (document.title === "owned") found.push("the title");
	return found.slice(0, 20).join("\n");
})()`

// hostileFeeds are those whose text an attacker writes, with a column of each by which its rows are told apart.
var hostileFeeds = []struct{ feed, by string }{{"dns", "query"}, {"http", "user_agent"}, {"ssl", "server_name"}, {"smtp", "subject"}, {"x509", "certificate.subject"}}

// hostileKeys is how many of a feed's texts are in the key; the others are aggregates.
const hostileKeys = 12

// hostileTable defines a table of a feed that shows all its texts. Names of columns and the definition itself are as bad as those.
func hostileTable(t *testing.T, feed string) (sql string, keys []string) {
	t.Helper()
	f, ok := feeds.Lookup(feed)
	if !ok {
		t.Fatalf("no feed %s", feed)
	}
	var others []string
	for _, c := range f.Columns {
		switch {
		case strings.HasPrefix(c.Name, "_"): // of the record as a whole
		case c.Type == feeds.T(feeds.String) && len(keys) < hostileKeys:
			keys = append(keys, `"`+c.Name+`"`)
		case c.Type == feeds.T(feeds.String), c.Type == feeds.ArrayOf(feeds.String):
			others = append(others, fmt.Sprintf(`first("%s") AS "%[1]s"`, c.Name))
		}
	}
	columns := slices.Concat(keys, others, []string{`count(*) AS n`, `min(` + keys[1] + `) AS "<img src=x onerror=owned()>"`, `top_k(` + keys[1] + `, 3) AS "' onfocus=owned() autofocus"`})
	return fmt.Sprintf("-- <script>owned()</script>\nCREATE TABLE hostile_%s AS SELECT %s FROM %[1]s WHERE %[3]s IS NOT NULL OR %[3]s = '</pre><script>owned()</script>' GROUP BY %[4]s;\n",
		feed, strings.Join(columns, ", "), keys[1], strings.Join(keys, ", ")), keys
}

// hostileRecord is a record all of whose texts are the payload, but for the name of its log.
func hostileRecord(t *testing.T, feed, payload string) []byte {
	t.Helper()
	f, _ := feeds.Lookup(feed)
	record := map[string]any{"ts": 1764300000.5}
	for _, c := range f.Columns {
		switch c.Type {
		case feeds.T(feeds.String):
			record[c.Name] = payload
		case feeds.ArrayOf(feeds.String):
			record[c.Name] = []string{payload, payload + "2"}
		}
	}
	delete(record, "_path") // it would be another feed's
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// shown is a value as a page writes it out.
func shown(s string) string {
	if s == "" {
		return "empty"
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > 400 {
			return b.String() + "…"
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) {
			fmt.Fprintf(&b, `\u{%x}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func js(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // not of a string or a number
	}
	return string(text)
}

// look is one who looks at pages and at nothing else happening.
type look struct {
	*testbrowser.Browser
	t    *testing.T
	told int // of the console
}

// check fails the test for what a payload did since the last time.
func (l *look) check(where string) {
	l.t.Helper()
	if found := l.Eval(foreign); found != "" {
		l.t.Errorf("%s: foreign in the page:\n%s", where, found)
	}
	all := l.Console()
	for _, c := range all[l.told:] {
		if !strings.Contains(c, "Failed to load resource") { // a query that is wrong is answered with 400
			l.t.Errorf("%s: %s", where, c)
		}
	}
	l.told = len(all)
}

// turn has the page show an address as its own links do.
func (l *look) turn(address string) {
	l.t.Helper()
	l.Eval(`(() => { const a = document.createElement("a"); a.href = ` + js(address) + `; a.dataset.turn = ""; document.body.append(a); window.turned = a.href; a.click(); a.remove(); })()`)
	l.Wait(`location.href === window.turned && ` + settled)
}

// list is what an expression gives that is an array of strings.
func (l *look) list(expression string) (all []string) {
	l.t.Helper()
	if err := json.Unmarshal([]byte(l.Eval(`JSON.stringify(`+expression+`)`)), &all); err != nil {
		l.t.Fatal(err)
	}
	return all
}

// all fails the test unless these texts were shown, each once. want is sorted.
func (l *look) all(where string, got, want []string) {
	l.t.Helper()
	if slices.Sort(got); slices.Equal(got, want) {
		return
	}
	for _, s := range want {
		if !slices.Contains(got, s) {
			l.t.Errorf("%s: not shown: %q", where, s)
		}
	}
	l.t.Errorf("%s: %d rows, want %d", where, len(got), len(want))
}

const rows = `document.querySelectorAll("#grid tbody tr").length`

// lineFeeds are what an editor in a page makes of the ends of lines.
var lineFeeds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// settled says that no page is on its way and the one of this address is shown.
const settled = `!document.querySelector("[aria-busy=true]")`

// hostileWorld starts a world with the payloads in all texts of logs, and one who looks.
func hostileWorld(t *testing.T) (w *world, l *look, keys map[string][]string) {
	t.Helper()
	l = &look{Browser: testbrowser.Start(t, 1280, 900), t: t}
	l.Before(watcher)
	var sql strings.Builder
	keys = map[string][]string{}
	for _, f := range hostileFeeds {
		var text string
		text, keys[f.feed] = hostileTable(t, f.feed)
		sql.WriteString(text)
	}
	w = start(t, sql.String(), nil)
	for _, payload := range payloads {
		for _, f := range hostileFeeds {
			w.send(f.feed, hostileRecord(t, f.feed, payload))
		}
		w.send("dns", []byte(payload)) // a dead letter
	}
	w.await()
	return w, l, keys
}

// TestHostileText has payloads go through the whole pipeline into every page: nothing runs, nothing is taken for markup, all of it is
// shown.
func TestHostileText(t *testing.T) {
	w, l, keys := hostileWorld(t)
	want := make([]string, len(payloads))
	for i, payload := range payloads {
		want[i] = shown(payload)
	}
	slices.Sort(want)

	// All that the navigation leads to, and what is not there.
	l.Open(w.url + "/")
	l.Wait(fmt.Sprintf(`document.querySelectorAll(".card tbody tr").length === %d`, 3*len(hostileFeeds)))
	l.check("home")
	for _, link := range strings.Fields(l.Eval(`[...document.querySelectorAll("nav a")].map((a) => a.href).join(" ")`)) {
		l.Open(link)
		l.Wait(`document.querySelector("h1") !== null`)
		l.check(link)
	}
	t.Log("addresses")
	for i, payload := range payloads {
		address := w.url + []string{"/", "/tables/"}[i%2] + url.PathEscape(payload)
		if i%3 == 0 {
			q := url.QueryEscape(payload)
			address = w.url + "/tables/hostile_dns?limit=10&order=" + q + "&offset=" + q + "&col.query=" + q + "&" + q + "=" + q
		}
		if i%8 == 0 {
			l.Open(address)
		} else {
			l.turn(address)
		}
		l.check(address)
	}

	for at, f := range hostileFeeds {
		t.Logf("table of %s", f.feed)
		table := w.url + "/tables/hostile_" + f.feed
		column := strconv.Itoa(slices.Index(keys[f.feed], `"`+f.by+`"`))
		texts := `[...document.querySelectorAll("#grid tbody tr")].map((tr) => tr.children[` + column + `].textContent)`

		// All rows, sorted by each column, and page for page.
		l.Open(table + "?limit=500")
		columns, _ := strconv.Atoi(l.Eval(`document.querySelectorAll("#grid th a").length`))
		for i := range columns {
			l.Eval(fmt.Sprintf(`document.querySelectorAll("#grid th a")[%d].click()`, i))
			l.Wait(fmt.Sprintf(`document.querySelectorAll("#grid th")[%d].hasAttribute("aria-sort") && %s`, i, settled))
			where := f.feed + " sorted by column " + strconv.Itoa(i)
			l.check(where)
			l.all(where, l.list(texts), want)
		}
		l.Open(table + "?limit=100&order=" + url.QueryEscape(f.by))
		var got []string
		for {
			got = append(got, l.list(texts)...)
			l.check(f.feed + " page")
			l.Wait(`document.querySelector("#next") !== null`)
			if l.Eval(`document.querySelector("#next").href ?? ""`) == "" {
				break
			}
			was := l.Eval(`document.querySelector("#range").textContent`)
			l.Eval(`document.querySelector("#next").click()`)
			l.Wait(`document.querySelector("#range").textContent !== ` + js(was) + ` && ` + settled)
		}
		l.all(f.feed+" page for page", got, want)

		// While they change.
		w.send(f.feed, hostileRecord(t, f.feed, payloads[0]))
		w.await()
		l.Open(table + "?order=-n&limit=10")
		l.Wait(`document.querySelector("#state").textContent === "live"`)
		w.send(f.feed, hostileRecord(t, f.feed, payloads[0]))
		w.await()
		l.Wait(`[...document.querySelectorAll("#grid tbody tr:first-child bdi")].some((n) => n.textContent === "3")`)
		l.check(f.feed + " live")

		// Each payload clicked, in one of the tables, in one of the columns.
		share := (len(payloads) + len(hostileFeeds) - 1) / len(hostileFeeds)
		l.Open(fmt.Sprintf("%s?order=%s&limit=50&offset=%d", table, url.QueryEscape(f.by), at*share))
		shares := min(share, len(payloads)-at*share)
		for i := range shares {
			l.Wait(rows + fmt.Sprintf(` >= %d && %s`, shares, settled))
			cell := fmt.Sprintf(`document.querySelectorAll("#grid tbody tr")[%d].querySelectorAll("a.cell")[%d]`, i, i%len(keys[f.feed]))
			text := l.Eval(cell + `.textContent`)
			l.Eval(cell + `.click()`)
			l.Wait(`location.search.includes("col.") && ` + settled)
			if got := l.Eval(`JSON.stringify(` + texts + `)`); got != l.Eval(`JSON.stringify([`+js(text)+`])`) {
				t.Errorf("%s: clicked %q, have %s and the note %q at %s", f.feed, text, got, l.Eval(`document.querySelector("#notes").innerText`), l.Eval(`location.href`))
			}
			l.check(fmt.Sprintf("%s filtered by %q", f.feed, text))
			l.Eval(`history.back()`)
			l.Wait(`!location.search.includes("col.")`)
		}
	}

}

// TestHostileQuery has payloads as a query, as a value and a name in one, and in its answer.
func TestHostileQuery(t *testing.T) {
	w, l, _ := hostileWorld(t)
	l.Open(w.url + "/sql")
	ask := func(query string) {
		l.Eval(`(() => { const q = document.querySelector("#query"); q.value = ` + js(query) + `; q.form.requestSubmit(); })()`)
		l.Wait(`new URL(location.href).searchParams.get("q") === ` + js(lineFeeds.Replace(query)) + ` && ` + settled)
	}
	for i, payload := range payloads {
		ask(payload)
		l.check(fmt.Sprintf("the query %q", payload))
		if i%3 > 0 {
			continue
		}
		ask(`SELECT query, n AS "` + strings.ReplaceAll(payload, `"`, `""`) + `" FROM hostile_dns WHERE query = '` + strings.ReplaceAll(payload, `'`, `''`) + `'`)
		l.check(fmt.Sprintf("a query with %q", payload))
	}
	for _, f := range hostileFeeds {
		l.Open(w.url + "/sql?as=chart&live=1&q=" + url.QueryEscape("SELECT * FROM hostile_"+f.feed+" ORDER BY n DESC LIMIT 200"))
		l.Wait(rows + fmt.Sprintf(` === %d`, len(payloads)))
		l.check("the answer over " + f.feed)
	}
}

// TestHostileTextCan shows the payloads on a page that escapes nothing and has no policy: there they do run, and the watcher sees it.
func TestHostileTextCan(t *testing.T) {
	b := testbrowser.Start(t, 1280, 900)
	b.Before(watcher)
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>control</title>")
		for i := range payloads {
			fmt.Fprintf(w, `<iframe src="/%d"></iframe>`, i)
		}
	})
	mux.HandleFunc("/{i}", func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.PathValue("i"))
		if err != nil || i >= len(payloads) {
			http.NotFound(w, r) // the x of a src
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><meta charset="utf-8"><div>%s</div><input value="%[1]s"><a href="%[1]s">x</a><script>const text = "%[1]s";</script>`+
			`<script>for (const a of document.querySelectorAll("a")) if (/^javascript:/.test(a.href)) a.click();</script>`, payloads[i])
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	b.Open(server.URL)
	ran := map[string]bool{}
	b.Wait(`document.readyState === "complete"`)
	for _, c := range b.Console() {
		if _, at, found := strings.Cut(c, "HOSTILE ran at "); found {
			at, _, _ = strings.Cut(at, `"`)
			ran[at] = true
		}
	}
	t.Logf("%d of %d payloads ran", len(ran), len(payloads))
	if len(ran) < 50 {
		t.Errorf("%d of %d payloads ran where nothing stops them; so what the other tests see is not worth much", len(ran), len(payloads))
	}
}
