package traffic_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/brotally/brotally/internal/traffic"
)

// any log's fields, as far as the logs have to agree.
type logged struct {
	feed string
	time time.Time
	text string

	TS        float64
	UID       string
	OrigH     string   `json:"id.orig_h"`
	OrigP     int      `json:"id.orig_p"`
	RespH     string   `json:"id.resp_h"`
	RespP     int      `json:"id.resp_p"`
	Service   string   `json:"service"`
	Proto     string   `json:"proto"`
	Duration  float64  `json:"duration"`
	OrigBytes int64    `json:"orig_bytes"`
	RespBytes int64    `json:"resp_bytes"`
	OrigPkts  int      `json:"orig_pkts"`
	RespPkts  int      `json:"resp_pkts"`
	OrigIP    int64    `json:"orig_ip_bytes"`
	RespIP    int64    `json:"resp_ip_bytes"`
	State     string   `json:"conn_state"`
	ReqBody   int64    `json:"request_body_len"`
	RespBody  int64    `json:"response_body_len"`
	ID        string   `json:"id"`
	CertSubj  string   `json:"certificate.subject"`
	CertIss   string   `json:"certificate.issuer"`
	Subject   string   `json:"subject"`
	Issuer    string   `json:"issuer"`
	Chain     []string `json:"cert_chain_fuids"`
	OrigFUIDs []string `json:"orig_fuids"`
	RespFUIDs []string `json:"resp_fuids"`
	FUIDs     []string `json:"fuids"`
	FUID      string   `json:"fuid"`
	ConnUIDs  []string `json:"conn_uids"`
	TX        []string `json:"tx_hosts"`
	RX        []string `json:"rx_hosts"`
	IsOrig    bool     `json:"is_orig"`
	Seen      int64    `json:"seen_bytes"`
	Source    string   `json:"source"`
	Mime      string   `json:"mime_type"`
	Rcode     *int     `json:"rcode"`
}

func decode(t testing.TB, m traffic.Message) logged {
	t.Helper()
	l := logged{feed: m.Feed, time: m.Time, text: string(m.Value)}
	if err := json.Unmarshal(m.Value, &l); err != nil {
		t.Fatalf("%v: %s", err, m.Value)
	}
	return l
}

// TestLogsAgree follows every reference from one log to another: by uid to the connection, by fuid to the file and the
// certificate, and back.
func TestLogsAgree(t *testing.T) {
	const (
		shown  = 4 * time.Minute  // whose records are checked
		length = 10 * time.Minute // by when all they refer to has been written
	)
	start := time.Unix(1.8e9, 0).UTC()
	all := during(t, traffic.Config{Seed: 5, Start: start, Rate: 150}, length)
	conns := map[string]logged{}
	files := map[string]logged{}
	certs := map[string]logged{}
	users := map[string]string{} // what a file came with: the http, smtp or ssl record
	checked := map[string]int{}
	byUID := map[string][]logged{}
	var records []logged
	for _, m := range all {
		l := decode(t, m)
		switch l.feed {
		case "conn":
			if _, twice := conns[l.UID]; twice {
				t.Fatalf("two conns with one uid: %s", l.text)
			}
			conns[l.UID] = l
		case "files":
			files[l.FUID] = l
		case "x509":
			certs[l.ID] = l
		default:
			byUID[l.UID] = append(byUID[l.UID], l)
		}
		records = append(records, l)
	}
	fileOf := func(l logged, fuid string) logged {
		f, ok := files[fuid]
		switch {
		case !ok:
			t.Fatalf("no files record %s of %s", fuid, l.text)
		case len(f.ConnUIDs) != 1 || f.ConnUIDs[0] != l.UID:
			t.Fatalf("%s\nis not of\n%s", f.text, l.text)
		}
		from, to := l.RespH, l.OrigH
		if f.IsOrig {
			from, to = to, from
		}
		if f.TX[0] != from || f.RX[0] != to {
			t.Fatalf("%s\ngoes another way than\n%s", f.text, l.text)
		}
		users[fuid] = l.feed
		return f
	}
	for _, l := range records {
		// What was written first may refer to what was written before the start.
		if l.time.Sub(start) > shown || time.Unix(0, int64(l.TS*1e9)).Before(start) {
			continue
		}
		checked[l.feed]++
		switch l.feed {
		case "x509":
			if _, ok := files[l.ID]; !ok {
				t.Fatalf("no files record of %s", l.text)
			}
			continue
		case "files":
			if _, ok := conns[l.ConnUIDs[0]]; !ok {
				t.Fatalf("no conn of %s", l.text)
			}
			if _, ok := certs[l.FUID]; ok != (l.Source == "SSL") {
				t.Fatalf("x509 record: %v, of %s", ok, l.text)
			}
			continue
		case "conn":
			checkConn(t, l, byUID[l.UID])
			continue
		}
		c, ok := conns[l.UID]
		if !ok {
			t.Fatalf("no conn of %s %s", l.feed, l.text)
		}
		if c.OrigH != l.OrigH || c.OrigP != l.OrigP || c.RespH != l.RespH || c.RespP != l.RespP {
			t.Fatalf("%s\nhas other ends than\n%s", l.text, c.text)
		}
		if l.TS < c.TS || l.TS > c.TS+c.Duration+1e-6 {
			t.Fatalf("%s\nis not while\n%s", l.text, c.text)
		}
		if !strings.Contains(","+c.Service+",", ","+l.feed+",") {
			t.Fatalf("%s\nis not over\n%s", l.text, c.text)
		}
		switch l.feed {
		case "http":
			for _, fuid := range l.OrigFUIDs {
				if f := fileOf(l, fuid); f.Seen != l.ReqBody || f.Source != "HTTP" {
					t.Fatalf("%s\nis not the request of\n%s", f.text, l.text)
				}
			}
			for _, fuid := range l.RespFUIDs {
				if f := fileOf(l, fuid); f.Seen != l.RespBody || f.Source != "HTTP" {
					t.Fatalf("%s\nis not the response of\n%s", f.text, l.text)
				}
			}
		case "smtp":
			for _, fuid := range l.FUIDs {
				fileOf(l, fuid)
			}
		case "ssl":
			for i, fuid := range l.Chain {
				fileOf(l, fuid)
				cert, ok := certs[fuid]
				if !ok {
					t.Fatalf("no x509 record %s of %s", fuid, l.text)
				}
				if i == 0 && (cert.CertSubj != l.Subject || cert.CertIss != l.Issuer) || i == 1 && cert.CertSubj != l.Issuer {
					t.Fatalf("%s\nis not of\n%s", cert.text, l.text)
				}
			}
		}
	}
	for _, l := range records {
		if l.feed == "files" && l.time.Sub(start) < shown && l.TS > 1.8e9+30 && users[l.FUID] == "" {
			t.Fatalf("nothing refers to %s", l.text)
		}
	}
	for _, feed := range traffic.Feeds() {
		if checked[feed] < 100 {
			t.Errorf("%d records of %s were checked, want at least 100", checked[feed], feed)
		}
	}
}

// checkConn checks a connection against itself and what was logged over it.
func checkConn(t *testing.T, c logged, over []logged) {
	t.Helper()
	var dns, answered int
	var req, resp int64
	for _, l := range over {
		if l.feed == "dns" {
			dns++
			if l.Rcode != nil {
				answered++
			}
		}
		req += l.ReqBody
		resp += l.RespBody
	}
	header := int64(28)
	if c.Proto == "tcp" {
		header = 52
	}
	switch {
	case c.Service == "" && len(over) > 0:
		t.Fatalf("no service, but %d records: %s", len(over), c.text)
	case strings.Contains(c.Service, "dns") && (dns == 0 || c.OrigPkts != dns):
		t.Fatalf("%d dns records over %s", dns, c.text)
	case c.Service == "dns" && c.RespP == 53 && c.RespPkts != answered:
		t.Fatalf("%d dns replies over %s", answered, c.text)
	case strings.Contains(c.Service, "http") && (req > c.OrigBytes || resp > c.RespBytes):
		t.Fatalf("bodies of %d and %d bytes over %s", req, resp, c.text)
	case c.State == "S0" && c.RespPkts > 0, c.State == "SF" && c.RespPkts == 0:
		t.Fatalf("state does not fit: %s", c.text)
	case c.Duration > 0 && (c.OrigIP != c.OrigBytes+int64(c.OrigPkts)*header || c.RespIP != c.RespBytes+int64(c.RespPkts)*header):
		t.Fatalf("bytes do not add up: %s", c.text)
	case c.OrigPkts == 0:
		t.Fatalf("nobody began: %s", c.text)
	}
}
