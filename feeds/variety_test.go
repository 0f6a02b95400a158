package feeds

import (
	"slices"
	"strings"
	"testing"
)

func TestVariety(t *testing.T) {
	for _, test := range []struct {
		feed, column string
		want         Variety
	}{
		{"dns", "query", Texts}, {"dns", "qtype_name", Few}, {"dns", "id.orig_h", Hosts}, {"dns", "id.resp_p", Few}, {"dns", "answers", Texts},
		{"dns", "uid", Unique}, {"dns", "ts", Unique}, {"dns", "rtt", Unique}, {"dns", "AA", Few}, {"dns", "TTLs", Unique},
		{"http", "host", Texts}, {"http", "uri", Texts}, {"http", "user_agent", Texts}, {"http", "method", Texts}, {"http", "version", Texts},
		{"http", "status_code", Few}, {"http", "request_body_len", Unique}, {"ssl", "version", Few}, {"ssl", "server_name", Texts}, {"ssl", "subject", Texts},
		{"conn", "orig_bytes", Unique}, {"conn", "conn_state", Few}, {"conn", "service", Few}, {"smtp", "path", Hosts}, {"smtp", "mailfrom", Texts},
		{"x509", "san.dns", Texts}, {"x509", "certificate.key_length", Few}, {"files", "mime_type", Few}, {"files", "filename", Texts},
	} {
		f, ok := Lookup(test.feed)
		if !ok {
			t.Fatalf("no feed %s", test.feed)
		}
		i, ok := f.Column(test.column)
		if !ok {
			t.Fatalf("no column %s in %s", test.column, test.feed)
		}
		if got := f.Variety(f.Columns[i]); got != test.want {
			t.Errorf("%s.%s: %d, want %d", test.feed, test.column, got, test.want)
		}
	}
	if got := (&Feed{Name: "own"}).Variety(Column{Name: "whatever", Type: T(String)}); got != Texts {
		t.Errorf("an unknown column of text: %d, want %d", got, Texts)
	}
}

func TestListedColumnsStandOnce(t *testing.T) {
	all := slices.Concat(words, identifiers, amounts)
	for i, name := range all {
		if strings.TrimSpace(name) != name || slices.Contains(all[:i], name) {
			t.Errorf("%q is listed twice, or has blanks", name)
		}
	}
}

func TestListedColumnsExist(t *testing.T) {
	for _, name := range slices.Concat(words, identifiers, amounts) {
		found := false
		for _, f := range All() {
			column := strings.TrimPrefix(name, f.Name+".")
			found = found || slices.ContainsFunc(f.Columns, func(c Column) bool { return c.Name == column })
		}
		if !found {
			t.Errorf("no feed has a column %s", name)
		}
	}
}
