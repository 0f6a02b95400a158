package traffic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/internal/traffic"
)

// TestEverythingHappens looks for each thing that a table over this traffic may have to cope with.
func TestEverythingHappens(t *testing.T) {
	wants := map[string]func(feed string, r map[string]any) bool{
		"mDNS announcement without query or qtype": dns(func(r map[string]any) bool { return r["qtype_name"] == nil && r["id.resp_p"] == 5353.0 }),
		"the same over IPv6":                       dns(func(r map[string]any) bool { return r["qtype_name"] == nil && r["id.resp_h"] == "ff02::fb" }),
		"answers without a query":                  dns(func(r map[string]any) bool { return r["query"] == nil && r["answers"] != nil }),
		"neither query nor answers":                dns(func(r map[string]any) bool { return r["query"] == nil && r["answers"] == nil }),
		"query type that is called NULL":           dns(func(r map[string]any) bool { return r["qtype_name"] == "NULL" }),
		"query nobody answered":                    dns(func(r map[string]any) bool { return r["query"] != nil && r["rcode"] == nil && r["id.resp_p"] == 53.0 }),
		"NXDOMAIN":                                 dns(func(r map[string]any) bool { return r["rcode_name"] == "NXDOMAIN" }),
		"SERVFAIL":                                 dns(func(r map[string]any) bool { return r["rcode_name"] == "SERVFAIL" }),
		"REFUSED":                                  dns(func(r map[string]any) bool { return r["rcode_name"] == "REFUSED" && r["rejected"] == true }),
		"name that exists without the record": dns(func(r map[string]any) bool {
			return r["rcode_name"] == "NOERROR" && r["answers"] == nil && r["query"] != nil
		}),
		"chain of names":                  dns(func(r map[string]any) bool { a, _ := r["answers"].([]any); return r["qtype_name"] == "A" && len(a) > 2 }),
		"NetBIOS name":                    dns(func(r map[string]any) bool { return r["qtype_name"] == "NB" && r["id.resp_p"] == 137.0 }),
		"name that is UTF-8":              dns(func(r map[string]any) bool { return strings.Contains(fmt.Sprint(r["query"]), "Büro") }),
		"name that is not UTF-8, escaped": dns(func(r map[string]any) bool { return strings.Contains(fmt.Sprint(r["query"]), `Anna\x92s`) }),
		"tunnel's TXT":                    dns(func(r map[string]any) bool { return r["qtype_name"] == "TXT" && len(fmt.Sprint(r["query"])) > 90 }),
		"upstream query of the resolver":  dns(func(r map[string]any) bool { return r["id.orig_h"] == "10.20.0.10" && r["id.resp_h"] == "192.0.2.253" }),
		"TCP that was ignored": conn(func(r map[string]any) bool {
			return r["conn_state"] == "S0" && r["proto"] == "tcp" && r["duration"] == nil
		}),
		"TCP that was refused":                     conn(func(r map[string]any) bool { return r["conn_state"] == "REJ" }),
		"TCP that was reset":                       conn(func(r map[string]any) bool { return r["conn_state"] == "RSTO" }),
		"connection that the sensor lost bytes of": conn(func(r map[string]any) bool { return r["missed_bytes"] != 0.0 }),
		"ICMP":                         conn(func(r map[string]any) bool { return r["proto"] == "icmp" }),
		"QUIC":                         conn(func(r map[string]any) bool { return r["proto"] == "udp" && r["id.resp_p"] == 443.0 }),
		"connection from outside":      conn(func(r map[string]any) bool { return r["local_orig"] == false }),
		"connection with two services": conn(func(r map[string]any) bool { return r["service"] == "ssl,smtp" }),
		"phone call": conn(func(r map[string]any) bool {
			return r["service"] == nil && r["orig_bytes"] == r["resp_bytes"] && r["resp_p"] == nil && r["orig_bytes"] != nil && r["orig_bytes"].(float64) > 40_000
		}),
		"NTP":                                conn(func(r map[string]any) bool { return r["service"] == "ntp" }),
		"file share":                         conn(func(r map[string]any) bool { return r["service"] == "gssapi,smb" }),
		"Kerberos":                           conn(func(r map[string]any) bool { return r["service"] == "krb_tcp" }),
		"SNMP":                               conn(func(r map[string]any) bool { return r["service"] == "snmp" }),
		"SIP":                                conn(func(r map[string]any) bool { return r["service"] == "sip" }),
		"page over HTTP":                     http(func(r map[string]any) bool { return r["status_code"] == 200.0 && r["method"] == "GET" }),
		"several requests on one connection": http(func(r map[string]any) bool { return r["trans_depth"].(float64) > 3 }),
		"redirect":                           http(func(r map[string]any) bool { return r["status_code"] == 301.0 }),
		"page not found":                     http(func(r map[string]any) bool { return r["status_code"] == 404.0 }),
		"page not modified, no file":         http(func(r map[string]any) bool { return r["status_code"] == 304.0 && r["resp_fuids"] == nil }),
		"request without an answer":          http(func(r map[string]any) bool { return r["status_code"] == nil }),
		"upload":                             http(func(r map[string]any) bool { return r["method"] == "POST" && r["orig_fuids"] != nil }),
		"software update with a file name":   http(func(r map[string]any) bool { return r["status_code"] == 206.0 && r["resp_filenames"] != nil }),
		"print job":                          http(func(r map[string]any) bool { return r["uri"] == "/ipp/print" }),
		"TLS 1.3, no certificate seen":       ssl(func(r map[string]any) bool { return r["version"] == "TLSv13" && r["cert_chain_fuids"] == nil }),
		"TLS 1.2 with its chain": ssl(func(r map[string]any) bool {
			a, _ := r["cert_chain_fuids"].([]any)
			return r["version"] == "TLSv12" && len(a) == 2
		}),
		"TLS 1.0 of an old printer": ssl(func(r map[string]any) bool { return r["version"] == "TLSv10" }),
		"resumed session":           ssl(func(r map[string]any) bool { return r["resumed"] == true }),
		"handshake without a name, self-signed": ssl(func(r map[string]any) bool {
			return r["server_name"] == nil && r["validation_status"] == "self signed certificate"
		}),
		"expired certificate":               ssl(func(r map[string]any) bool { return r["validation_status"] == "certificate has expired" }),
		"letter inside TLS":                 smtp(func(r map[string]any) bool { return r["tls"] == true && r["subject"] == nil }),
		"letter with an attachment":         smtp(func(r map[string]any) bool { a, _ := r["fuids"].([]any); return len(a) == 2 }),
		"letter from outside":               smtp(func(r map[string]any) bool { return r["first_received"] != nil }),
		"subject in Japanese":               smtp(func(r map[string]any) bool { return strings.Contains(fmt.Sprint(r["subject"]), "見積書") }),
		"subject with quotes, escaped":      smtp(func(r map[string]any) bool { return strings.Contains(fmt.Sprint(r["subject"]), `"final"`) }),
		"subject with a backslash, escaped": smtp(func(r map[string]any) bool { return strings.Contains(fmt.Sprint(r["subject"]), `C:\surveys`) }),
		"certificate subject with a backslash in it": of("x509", func(r map[string]any) bool {
			return strings.Contains(fmt.Sprint(r["certificate.issuer"]), `Certs\, Inc.`)
		}),
		"elliptic key":            of("x509", func(r map[string]any) bool { return r["certificate.curve"] != nil && r["certificate.exponent"] == nil }),
		"authority's certificate": of("x509", func(r map[string]any) bool { return r["basic_constraints.ca"] == true }),
		"PDF in a letter":         of("files", func(r map[string]any) bool { return r["source"] == "SMTP" && r["mime_type"] == "application/pdf" }),
	}
	for _, qtype := range []string{"A", "AAAA", "HTTPS", "PTR", "SRV", "TXT", "MX", "NS", "SOA", "NAPTR", "DS", "DNSKEY", "SVCB", "NB", "*"} {
		wants["query type "+qtype] = dns(func(r map[string]any) bool { return r["qtype_name"] == qtype })
	}
	n := newNetwork(t, traffic.Config{Seed: 2})
	for i := 0; len(wants) > 0 && i < 150_000; i++ {
		m := n.Next()
		var r map[string]any
		if err := json.Unmarshal(m.Value, &r); err != nil {
			t.Fatal(err)
		}
		for name, holds := range wants {
			if holds(m.Feed, r) {
				delete(wants, name)
			}
		}
	}
	for name := range wants {
		t.Errorf("in 150,000 records: no %s", name)
	}
}

func of(feed string, holds func(map[string]any) bool) func(string, map[string]any) bool {
	return func(f string, r map[string]any) bool { return f == feed && holds(r) }
}

func dns(holds func(map[string]any) bool) func(string, map[string]any) bool { return of("dns", holds) }
func conn(holds func(map[string]any) bool) func(string, map[string]any) bool {
	return of("conn", holds)
}
func http(holds func(map[string]any) bool) func(string, map[string]any) bool {
	return of("http", holds)
}
func ssl(holds func(map[string]any) bool) func(string, map[string]any) bool { return of("ssl", holds) }
func smtp(holds func(map[string]any) bool) func(string, map[string]any) bool {
	return of("smtp", holds)
}

// TestScenes finds what Scenes says is there, and that it begins while somebody still watches.
func TestScenes(t *testing.T) {
	start := time.Unix(1.8e9, 0).UTC()
	cfg := traffic.Config{Seed: 4, Start: start, Rate: 150}
	host := map[string]string{}
	for _, s := range newNetwork(t, cfg).Scenes() {
		host[s.Name] = s.Host
	}
	var beacons []float64
	var tunnel, scan int
	ports := map[string]bool{}
	first := map[string]time.Duration{}
	found := func(scene string, at time.Time) {
		if _, ok := first[scene]; !ok {
			first[scene] = at.Sub(start)
		}
	}
	for _, m := range during(t, cfg, 10*time.Minute) {
		var r struct {
			TS    float64
			OrigH string `json:"id.orig_h"`
			RespH string `json:"id.resp_h"`
			RespP int    `json:"id.resp_p"`
			State string `json:"conn_state"`
			Query string
		}
		if err := json.Unmarshal(m.Value, &r); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.Feed == "ssl" && r.RespH == "203.0.113.254" && r.OrigH == host["beacon"]:
			beacons = append(beacons, r.TS)
			found("beacon", m.Time)
		case m.Feed == "dns" && strings.HasSuffix(r.Query, ".t.driftwood-cdn.example") && r.OrigH == host["tunnel"]:
			tunnel++
			found("tunnel", m.Time)
		case m.Feed == "conn" && r.OrigH == host["scan"] && (r.State == "S0" || r.State == "REJ"):
			scan++
			ports[fmt.Sprint(r.RespH, r.RespP)] = true
			found("scan", m.Time)
		}
	}
	if len(beacons) < 9 || len(beacons) > 12 {
		t.Errorf("%d beacons in ten minutes", len(beacons))
	}
	for i := 1; i < len(beacons); i++ {
		if gap := beacons[i] - beacons[i-1]; gap < 53.9 || gap > 66.1 {
			t.Errorf("beacons %g s apart", gap)
		}
	}
	if tunnel < 300 {
		t.Errorf("%d queries through the tunnel", tunnel)
	}
	if scan < 1000 || len(ports) < 800 {
		t.Errorf("%d probes of %d ports", scan, len(ports))
	}
	for scene, after := range first {
		if after > 25*time.Second {
			t.Errorf("the first of the %s comes after %v", scene, after)
		}
	}
}

func TestTallyIsTheTruth(t *testing.T) {
	var tally traffic.Tally
	sent := map[string]int64{}
	counts := map[traffic.DNSCount]int64{}
	all := during(t, traffic.Config{Seed: 9, Hosts: 200, Start: time.Unix(1.8e9, 0)}, 2*time.Minute)
	for _, m := range all {
		tally.Add(m)
		sent[m.Feed]++
		if m.Feed != "dns" {
			continue
		}
		var r struct {
			OrigH string  `json:"id.orig_h"`
			Qtype *string `json:"qtype_name"`
		}
		if err := json.Unmarshal(m.Value, &r); err != nil {
			t.Fatal(err)
		}
		k := traffic.DNSCount{OrigH: r.OrigH, Null: r.Qtype == nil}
		if r.Qtype != nil {
			k.QtypeName = *r.Qtype
		}
		counts[k]++
	}
	rows := tally.DNSCounts()
	got := map[traffic.DNSCount]int64{}
	for i, row := range rows {
		if i > 0 && row.Count > rows[i-1].Count {
			t.Errorf("row %d is larger than the one before", i)
		}
		got[traffic.DNSCount{OrigH: row.OrigH, QtypeName: row.QtypeName, Null: row.Null}] = row.Count
	}
	if diff := cmp.Diff(counts, got); diff != "" {
		t.Errorf("dns counts differ from the records (-records +tally):\n%s", diff)
	}
	for feed, c := range sent {
		if tally.Sent(feed) != c {
			t.Errorf("%s: %d sent, tally says %d", feed, c, tally.Sent(feed))
		}
	}
	if tally.Total() != int64(len(all)) {
		t.Errorf("%d sent, tally says %d", len(all), tally.Total())
	}
}
