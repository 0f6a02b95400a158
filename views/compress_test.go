package views

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnswersAreCompressed(t *testing.T) {
	f := newFixture(t, Limits{}, dnsCounts)
	f.add(many(3000)...)
	url := f.server(ServerConfig{}).URL
	for _, format := range []string{"json", "ndjson", "csv", "zeek", "arrow"} {
		path := url + rowsPath + "?format=" + format
		plain, packed := get(t, path, "Accept-Encoding", "identity"), get(t, path, "Accept-Encoding", "gzip, br")
		if plain.header.Get("Content-Encoding") != "" || packed.header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: Content-Encoding %q and %q", format, plain.header.Get("Content-Encoding"), packed.header.Get("Content-Encoding"))
		}
		if plain.header.Get("ETag") != packed.header.Get("ETag") || !strings.HasPrefix(plain.header.Get("ETag"), `W/`) {
			t.Errorf("%s: tags %s and %s", format, plain.header.Get("ETag"), packed.header.Get("ETag"))
		}
		r, err := gzip.NewReader(strings.NewReader(packed.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		// The time that an answer took differs.
		cut := func(s string) string { before, _, _ := strings.Cut(s, `"took_ms"`); return before }
		if cut(string(got)) != cut(plain.body) && format != "zeek" {
			t.Errorf("%s: %d bytes, %d uncompressed", format, len(got), len(plain.body))
		}
		if len(packed.body) > len(plain.body)/2 {
			t.Errorf("%s: %d bytes became %d", format, len(plain.body), len(packed.body))
		}
	}
	for path, header := range map[string]string{
		rowsPath + "?limit=1": "gzip",        // too small to gain by it
		rowsPath:              "gzip;q=0, *", // it is not wanted
	} {
		if r := get(t, url+path, "Accept-Encoding", header); r.header.Get("Content-Encoding") != "" {
			t.Errorf("%s for %s: %s", path, header, r.header.Get("Content-Encoding"))
		}
	}
	if r := get(t, url+rowsPath); strings.Join(r.header.Values("Vary"), ", ") != "Accept-Encoding, Accept" {
		t.Errorf("Vary: %q", r.header.Values("Vary"))
	}
	if r := do(t, http.MethodHead, url+rowsPath, "", "Accept-Encoding", "gzip"); r.status != http.StatusOK || r.header.Get("ETag") == "" || r.body != "" {
		t.Errorf("HEAD: %d %v %q", r.status, r.header, r.body)
	}
}
