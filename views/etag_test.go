package views

import (
	"net/http"
	"testing"

	"github.com/brotally/brotally/codecs"
)

const rowsPath = "/api/v1/tables/dns_counts/rows"

func TestRowsThatDidNotChangeAreNotSentAgain(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(office()...)
	url := f.server(ServerConfig{}).URL + rowsPath
	first := get(t, url)
	tag := first.header.Get("ETag")
	if first.status != http.StatusOK || tag[:3] != `W/"` || first.header.Get("Cache-Control") != "private, no-cache" {
		t.Fatalf("%d, ETag %s, Cache-Control %s", first.status, tag, first.header.Get("Cache-Control"))
	}
	same := func(name string, r reply) {
		t.Helper()
		if r.status != http.StatusNotModified || r.body != "" || r.header.Get("ETag") != tag || r.header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%s: %d %v %q", name, r.status, r.header, r.body)
		}
	}
	other := func(name string, r reply) {
		t.Helper()
		if r.status != http.StatusOK || r.header.Get("ETag") == tag || r.body == "" {
			t.Errorf("%s: %d %v", name, r.status, r.header)
		}
	}
	same("the same", get(t, url, "If-None-Match", tag))
	same("one of several, strong", get(t, url, "If-None-Match", `"x", `+tag[2:]))
	same("any", get(t, url, "If-None-Match", "*"))
	same("compressed", get(t, url, "If-None-Match", tag, "Accept-Encoding", "gzip"))
	same("HEAD", do(t, "HEAD", url, "", "If-None-Match", tag))
	other("another format", get(t, url, "If-None-Match", tag, "Accept", "text/csv"))
	other("other rows", get(t, url+"?count=5", "If-None-Match", tag))
	if r := get(t, url+"?cont=5", "If-None-Match", "*"); r.status != http.StatusBadRequest || r.header.Get("ETag") != "" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a fault: %d %v", r.status, r.header)
	}

	// Records that no row counts move as_of alone, and 304 says so.
	view := f.view("dns_counts")
	for number := range int32(partitions) {
		p, _ := f.stores["dns_counts"].Partition(number)
		row := codecs.AppendProgressRow(nil, codecs.Progress{Upto: 20, NewestTime: 1_700_000_009_000_000})
		if err := p.Set(codecs.ProgressKey(codecs.Source{Topic: "dns"}), row); err != nil {
			t.Fatal(err)
		}
	}
	moved := get(t, url, "If-None-Match", tag)
	same("progress", moved)
	if moved.header.Get("Brotally-As-Of") != `{"dns":{"0":20}}` || moved.header.Get("Brotally-Event-Time") != "2023-11-14T22:13:29.000000Z" {
		t.Errorf("as of %s, %s", moved.header.Get("Brotally-As-Of"), moved.header.Get("Brotally-Event-Time"))
	}
	// What is waited for is waited for also when there is nothing to send.
	same("min_offset is of another request", get(t, url, "If-None-Match", tag))
	if r := get(t, url+"?min_offset=20", "If-None-Match", "*"); r.status != http.StatusNotModified {
		t.Errorf("min_offset: %d", r.status)
	}

	f.add(`{"id.orig_h":"10.0.0.1","qtype_name":"A"}`)
	changed := get(t, url, "If-None-Match", tag)
	other("a row changed", changed)
	tag = changed.header.Get("ETag")
	same("it did not change again", get(t, url, "If-None-Match", tag))

	view.hold(held{store: f.stores["dns_counts"], partitions: partitions, state: "is being restored"})
	if r := get(t, url+"?stale=true", "If-None-Match", "*"); r.status != http.StatusOK || r.header.Get("ETag") != "" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("while it is restored: %d %v", r.status, r.header)
	}
}

func TestATombstoneChangesTheTag(t *testing.T) {
	f := newFixture(t, Limits{}, dnsTotal)
	f.add(office()...)
	store := f.stores["dns_total"]
	before := store.Version()
	if store.Version() != before {
		t.Error("it changes by itself")
	}
	p, _ := store.Partition(0)
	if err := p.Delete(""); err != nil {
		t.Fatal(err)
	}
	if store.Version() == before {
		t.Error("a deleted row is no change")
	}
	if g := newFixture(t, Limits{}, dnsTotal); g.stores["dns_total"].Version()[0] == before[0] {
		t.Error("two stores are one")
	}
}
