package feeds

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	seen := map[string]int{}
	for release, declared := range releases {
		for feed, record := range zeekRecords {
			seen[feed] += len(declared[record])
			for field, decl := range declared[record] {
				switch zeekType := decl[0]; {
				case strings.HasPrefix(zeekType, "X509::"):
					for sub, d := range declared[zeekType] {
						checkColumn(t, release, feed, field+"."+sub, d[0])
					}
				case innerRecords[zeekType] != nil:
					for sub, subType := range innerRecords[zeekType] {
						checkColumn(t, release, feed, field+"."+sub, subType)
					}
				default:
					checkColumn(t, release, feed, field, zeekType)
				}
			}
		}
		for record := range declared {
			if !slices.Contains(slices.Collect(maps.Values(zeekRecords)), record) && len(declared[record]) > 0 && strings.HasSuffix(record, "Info") {
				t.Errorf("%s declares %s, which is no feed", release, record)
			}
		}
	}
	for feed, fields := range seen {
		if fields == 0 {
			t.Errorf("no release declares %s", zeekRecords[feed])
		}
	}
}

// zeekRecords are the records of Zeek's scripts that feeds are of, as far as their fields are listed.
var zeekRecords = map[string]string{
	"conn": "Conn::Info", "dhcp": "DHCP::Info", "dns": "DNS::Info", "dpd": "DPD::Info", "ftp": "FTP::Info", "files": "Files::Info",
	"http": "HTTP::Info", "intel": "Intel::Info", "known_certs": "Known::CertsInfo", "known_hosts": "Known::HostsInfo",
	"known_services": "Known::ServicesInfo", "notice": "Notice::Info", "quic": "QUIC::Info", "smtp": "SMTP::Info", "ssh": "SSH::Info",
	"ssl": "SSL::Info", "software": "Software::Info", "stats": "Stats::Info", "tunnel": "Tunnel::Info", "weird": "Weird::Info", "x509": "X509::Info",
}

// innerRecords are records inside a log's record whose fields are not in the list.
var innerRecords = map[string]map[string]string{
	"conn_id":             {"orig_h": "addr", "orig_p": "port", "resp_h": "addr", "resp_p": "port"},
	"Response":            {"first_seen": "count", "last_seen": "count", "times_seen": "count", "valid": "bool"},
	"ExpectedDataChannel": {"passive": "bool", "orig_h": "addr", "resp_h": "addr", "resp_p": "port"},
	"Seen":                {"indicator": "string", "indicator_type": "enum", "where": "enum", "node": "string"},
	"CIF": {"tags": "string", "confidence": "double", "source": "string", "description": "string", "firstseen": "string",
		"lastseen": "string"},
	"geo_location": {"country_code": "string", "region": "string", "city": "string", "latitude": "double", "longitude": "double"},
	"Version":      {"major": "count", "minor": "count", "minor2": "count", "minor3": "count", "addl": "string"},
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
	case "transport_proto", "Tags", "Direction", "Type", "Tunnel::Type", "Action":
		return T(String)
	case "TypeSet", "ActionSet":
		return ArrayOf(String)
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
	if len(All()) < 80 {
		t.Errorf("only %d built-in feeds", len(All()))
	}
	for _, f := range All() {
		// brotally feeds shows a feed a line, on a terminal of 80 columns.
		if f.Doc == "" || len(f.Doc) > 54 || len(f.Name) > 24 {
			t.Errorf("%s: doc %q, want some, of at most 54 characters", f.Name, f.Doc)
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
		{"dhcp", "assigned_ip", "assigned_addr"},
		{"radius", "remote_ip", "tunnel_client"},
		{"stats", "lag", "pkt_lag"},
		{"intel", "seen.str", "seen.indicator"},
		{"conn", "id_ctx_vlan", "id.ctx.vlan"},
	} {
		f, _ := Lookup(tt.feed)
		if i, ok := f.Column(tt.alias); !ok || f.Columns[i].Name != tt.want {
			t.Errorf("%s.%s is column %d (%v), want %s", tt.feed, tt.alias, i, ok, tt.want)
		}
	}
	// Renames that changed the meaning are columns of their own.
	for _, tt := range []struct{ feed, name string }{
		{"ssl", "cert_chain_fuids"}, {"ssl", "cert_chain_fps"}, {"x509", "id"}, {"x509", "fingerprint"},
		{"ssh", "host_key"}, {"ssh", "host_key_fingerprint"}, {"files", "conn_uids"}, {"files", "uid"},
	} {
		f, _ := Lookup(tt.feed)
		if i, ok := f.Column(tt.name); !ok || f.Columns[i].Name != tt.name {
			t.Errorf("%s.%s is not a column", tt.feed, tt.name)
		}
	}
}
