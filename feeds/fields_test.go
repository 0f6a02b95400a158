package feeds

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brotally/brotally/internal/testdata"
)

// TestColumnsKnowZeeksFields holds the built-in feeds against the fields that Zeek's own scripts declare, release by
// release: each is there, with the type that it is logged as.
func TestColumnsKnowZeeksFields(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testdata.Dir(t), "..", "research", "zeek_fields.json"))
	if err != nil {
		t.Skipf("no list of Zeek's fields: %v", err)
	}
	// release -> record -> field -> [type, flags, script]
	var releases map[string]map[string]map[string][]string
	if err := json.Unmarshal(text, &releases); err != nil {
		t.Fatal(err)
	}
	records := map[string]string{
		"dns": "DNS::Info", "conn": "Conn::Info", "http": "HTTP::Info", "smtp": "SMTP::Info",
		"ssl": "SSL::Info", "x509": "X509::Info", "files": "Files::Info",
	}
	// Records inside a log's record; the list has no fields of those that are written out here.
	nested := map[string]string{
		"X509::Certificate": "X509::Certificate", "X509::SubjectAlternativeName": "X509::SubjectAlternativeName",
		"X509::BasicConstraints": "X509::BasicConstraints",
	}
	inline := map[string]map[string]string{
		"conn_id":  {"orig_h": "addr", "orig_p": "port", "resp_h": "addr", "resp_p": "port"},
		"Response": {"first_seen": "count", "last_seen": "count", "times_seen": "count", "valid": "bool"},
	}
	for release, declared := range releases {
		for feed, record := range records {
			if len(declared[record]) == 0 {
				t.Errorf("%s declares no %s", release, record)
			}
			for field, decl := range declared[record] {
				switch zeekType := decl[0]; {
				case nested[zeekType] != "":
					for sub, d := range declared[nested[zeekType]] {
						checkColumn(t, release, feed, field+"."+sub, d[0])
					}
				case inline[zeekType] != nil:
					for sub, subType := range inline[zeekType] {
						checkColumn(t, release, feed, field+"."+sub, subType)
					}
				default:
					checkColumn(t, release, feed, field, zeekType)
				}
			}
		}
	}
}

func checkColumn(t *testing.T, release, feed, field, zeekType string) {
	t.Helper()
	f, ok := Lookup(feed)
	if !ok {
		t.Fatalf("no feed %s", feed)
	}
	i, ok := f.Column(field)
	if !ok || f.Columns[i].Name != field {
		t.Errorf("%s: %s has no column %s (%s)", release, feed, field, zeekType)
		return
	}
	if want := loggedType(zeekType); f.Columns[i].Type != want {
		t.Errorf("%s: %s.%s is %v, want %v (%s)", release, feed, field, f.Columns[i].Type, want, zeekType)
	}
}

// loggedType is the type that a type of Zeek's scripts has in a log: enums are text, vectors and sets arrays.
func loggedType(zeekType string) Type {
	switch zeekType {
	case "transport_proto", "Tags":
		return T(String)
	case "string_vec":
		return ArrayOf(String)
	case "addr_vec":
		return ArrayOf(Inet)
	}
	elem, isVector := strings.CutPrefix(zeekType, "vector of ")
	if !isVector {
		if elem, isVector = strings.CutPrefix(zeekType, "set["); isVector {
			elem = strings.TrimSuffix(elem, "]")
		}
	}
	if isVector {
		return ArrayOf(loggedType(elem).Kind)
	}
	t, ok := ParseZeekType(zeekType)
	if !ok {
		panic("no logged type for " + zeekType)
	}
	return t
}

func TestFeedsHaveNoNameTwice(t *testing.T) {
	if len(All()) != 7 {
		t.Errorf("%d built-in feeds, want 7", len(All()))
	}
	for _, f := range All() {
		if f.Doc == "" {
			t.Errorf("%s has no doc", f.Name)
		}
		seen := map[string]string{}
		for _, c := range f.Columns {
			if c.Doc == "" {
				t.Errorf("%s.%s has no doc", f.Name, c.Name)
			}
			for _, name := range append([]string{c.Name}, c.Aliases...) {
				if other, twice := seen[name]; twice {
					t.Errorf("%s: %s names both %s and %s", f.Name, name, other, c.Name)
				}
				seen[name] = c.Name
			}
		}
	}
}

func TestAliases(t *testing.T) {
	for _, tt := range []struct{ feed, alias, want string }{
		{"dns", "id_orig_h", "id.orig_h"},
		{"x509", "certificate_not_valid_after", "certificate.not_valid_after"},
		{"ssl", "issuer_subject", "issuer"},
	} {
		f, _ := Lookup(tt.feed)
		if i, ok := f.Column(tt.alias); !ok || f.Columns[i].Name != tt.want {
			t.Errorf("%s.%s is column %d (%v), want %s", tt.feed, tt.alias, i, ok, tt.want)
		}
	}
	// Renames that changed the meaning are columns of their own.
	ssl, _ := Lookup("ssl")
	for _, name := range []string{"cert_chain_fuids", "cert_chain_fps"} {
		if i, ok := ssl.Column(name); !ok || ssl.Columns[i].Name != name {
			t.Errorf("ssl.%s is not a column", name)
		}
	}
}
