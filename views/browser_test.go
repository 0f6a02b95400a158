package views

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/brotally/brotally/internal/testbrowser"
)

// listenInBrowser is what a page does that keeps a copy of a table.
const listenInBrowser = `
	window.rows = new Map(); window.seen = []; window.whole = 0;
	const source = new EventSource("/api/v1/tables/queries/changes");
	const on = (name, take) => source.addEventListener(name, (e) => { if (e.data !== undefined) { window.seen.push(name); take(JSON.parse(e.data)); } });
	on("snapshot", () => window.rows.clear());
	on("rows", (all) => all.forEach((r) => window.rows.set(r.key, r.row)));
	on("upsert", (r) => window.rows.set(r.key, r.row));
	on("delete", (r) => window.rows.delete(r.key));
	on("reset", (why) => window.seen.push(why.reason));
	on("as_of", (a) => { window.whole = a.as_of.dns["0"]; });
	source.onerror = () => window.seen.push("lost");
`

// TestABrowserFollowsChanges with nothing but its EventSource, which goes on by itself when the server comes back on its port.
func TestABrowserFollowsChanges(t *testing.T) {
	b := testbrowser.Start(t, 800, 600)
	f := newFixture(t, Limits{}, queries)
	w := f.writer(t, "queries")
	w.add(asked("a"), asked("b"))
	addr := "127.0.0.1:0"
	serve := func() (stop func()) {
		l, err := Listen(ListenConfig{Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html><title>rows</title>") })
		go func() {
			served <- Serve(ctx, l, NewServer(ServerConfig{Views: f.Views, Page: func(http.Handler) http.Handler { return page }}), nil)
		}() // awaited by stop
		return func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	}
	stop := serve()
	defer func() { stop() }()
	b.Open("http://" + addr)
	b.Wait(`document.title === "rows"`)
	b.Eval(listenInBrowser)
	b.Wait(`window.whole === 2 && window.rows.get("a").n === 1 && window.rows.size === 2`)
	w.add(asked("a"))
	w.delete("b")
	b.Wait(`window.rows.get("a").n === 2 && window.rows.size === 1`)

	stop()
	b.Wait(`window.seen.includes("lost")`)
	w.add(asked("c"), asked("a"))
	stop = serve()
	b.Wait(`window.whole === 5 && window.rows.get("c").n === 1 && window.rows.get("a").n === 3`)
	if got := b.Eval(`window.seen.filter((s) => s === "snapshot").length + " " + window.seen.includes("reset")`); got != "1 false" {
		t.Errorf("snapshots, and whether it was reset: %s; saw %s", got, b.Eval(`window.seen.join()`))
	}

	// Another program has the port, whose table was built anew.
	stop()
	f = newFixture(t, Limits{}, queries)
	h := *f.view("queries").held.Load()
	h.life = "another"
	f.view("queries").hold(h)
	f.writer(t, "queries").add(asked("d"), asked("d"), asked("d"), asked("d"), asked("d"), asked("d"))
	stop = serve()
	b.Wait(`window.whole === 6 && window.rows.get("d").n === 6 && window.rows.size === 1`)
	if got := b.Eval(`window.seen.filter((s) => s === "snapshot").length + " " + window.seen.includes("another_life")`); got != "2 true" {
		t.Errorf("snapshots, and whether it was reset: %s; saw %s", got, b.Eval(`window.seen.join()`))
	}
}
