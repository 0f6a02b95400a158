package traffic

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"time"
)

// The three IPv4 blocks for documentation (RFC 5737): everything outside the office lives there.
var documentationNets = []string{"192.0.2.", "198.51.100.", "203.0.113."}

// upstreamResolver is whom the office's own DNS servers ask.
const upstreamResolver = "192.0.2.253"

// site is a domain out there.
type site struct {
	domain string
	names  []string // host names, the page's first
	cname  string   // where its names point to; empty if they have addresses of their own
	addrs  []string
	addrs6 []string // empty: no IPv6
	ttl    float64  // seconds
	plain  bool     // HTTP without TLS
	quic   bool
	tls13  bool
	alpn   string // h2 or http/1.1
	mail   string // name of its mail exchanger
	rtt    int64  // microseconds
	cert   *certificate
	issuer *certificate
}

// web is all sites, the popular ones first.
type web struct {
	sites   []*site
	weights []float64 // running sums
	parties []*site   // what pages draw in: advertisements, fonts, counters
	updates *site     // where software updates come from, over plain HTTP
	beacon  *site     // whom the beacon calls
	tunnel  *site     // whose name server is the tunnel's other end
	mail    *site     // the office's own mail server, for its certificate
	printer *site     // any of its printers, for theirs
}

// certificate is an X.509 certificate, as much of it as Zeek logs.
type certificate struct {
	serial, subject, issuer string
	notBefore, notAfter     int64 // Unix microseconds
	keyAlg, sigAlg, keyType string
	keyBits                 int64
	exponent, curve         string
	dns                     []string
	ca                      bool
	bytes                   int64
	md5, sha1               string
}

const siteCount = 320

// newWeb makes up the world outside at the time start.
func newWeb(rng *rand.Rand, start time.Time) *web {
	w := &web{}
	day := start.Truncate(24 * time.Hour)
	cas := []*certificate{
		newCA(rng, day, "CN=Pillar TLS RSA CA 2024,O=Pillar Trust,C=US", "rsa"),
		newCA(rng, day, "CN=Corner E7,O=Cornerstone Signing,C=DE", "ecdsa"),
		newCA(rng, day, "CN=Meridian Server CA G4,OU=www.meridian-ca.example,O=Meridian Certs\\, Inc.,C=US", "rsa"),
	}
	cdns := []string{"edge.fastlane.example", "global.cachehive.example", "a248.nearnode.example"}
	used := map[string]bool{}
	for len(w.sites) < siteCount {
		domain := siteFirst[rng.IntN(len(siteFirst))] + "-" + siteSecond[rng.IntN(len(siteSecond))] + ".example"
		if used[domain] {
			continue
		}
		used[domain] = true
		s := newSite(rng, domain, len(w.sites))
		s.names = []string{"www." + domain, "img." + domain, "api." + domain, domain}
		if rng.Float64() < 0.4 {
			cdn := cdns[rng.IntN(len(cdns))]
			s.cname = strings.ReplaceAll(domain, ".", "-") + "." + cdn
			s.ttl = 20 + float64(rng.IntN(41))
		}
		s.plain = rng.Float64() < 0.22
		s.quic = !s.plain && rng.Float64() < 0.25
		s.tls13 = rng.Float64() < 0.6
		s.certify(rng, day, cas[rng.IntN(len(cas))])
		w.sites = append(w.sites, s)
	}
	sum := 0.0
	for i := range w.sites {
		sum += 1 / math.Pow(float64(i+3), 0.9)
		w.weights = append(w.weights, sum)
	}
	for _, name := range thirdParties {
		s := newSite(rng, name+".example", siteCount+len(w.parties))
		s.names = []string{"cdn." + s.domain, "t." + s.domain, hexDigits(rng, 8) + "." + s.domain}
		s.tls13 = rng.Float64() < 0.7
		s.certify(rng, day, cas[rng.IntN(len(cas))])
		w.parties = append(w.parties, s)
	}
	w.updates = newSite(rng, "softwareupdates.example", 700)
	w.updates.names, w.updates.plain = []string{"dl.softwareupdates.example"}, true

	w.beacon = newSite(rng, "cloud-sync-metrics.example", 712)
	w.beacon.names, w.beacon.addrs, w.beacon.addrs6 = []string{"eu1.cloud-sync-metrics.example"}, []string{"203.0.113.254"}, nil
	w.beacon.selfSign(rng, day, "CN=localhost,O=Default Company Ltd,L=Default City,C=XX")

	w.tunnel = newSite(rng, "driftwood-cdn.example", 713)
	w.tunnel.names = []string{"ns1.driftwood-cdn.example"}
	w.tunnel.rtt = 48_000

	w.mail = newSite(rng, "mail."+officeDomain, 714)
	w.mail.tls13, w.mail.alpn = true, ""
	w.mail.certify(rng, day, cas[1])
	w.printer = newSite(rng, "printer", 715)
	w.printer.selfSign(rng, day, "CN=NPI4F2A61,OU=Printers,O=Inkjet Works,C=JP")
	return w
}

// newSite gives domain its addresses, the i-th of the documentation blocks and maybe their neighbours.
func newSite(rng *rand.Rand, domain string, i int) *site {
	s := &site{
		domain: domain,
		names:  []string{domain},
		ttl:    []float64{60, 120, 300, 3600}[rng.IntN(4)],
		alpn:   "h2",
		mail:   "mx." + domain,
		rtt:    int64(4_000 + rng.IntN(60_000)),
	}
	for k := range 1 + rng.IntN(3) {
		at := i + k*siteCount
		s.addrs = append(s.addrs, fmt.Sprintf("%s%d", documentationNets[at/250%3], 1+at%250))
	}
	if rng.Float64() < 0.55 {
		s.addrs6 = append(s.addrs6, fmt.Sprintf("2001:db8:%x::%x", 0x100+i, 1+rng.IntN(0xfff)))
	}
	if rng.Float64() < 0.2 {
		s.alpn = "http/1.1"
	}
	return s
}

func newCA(rng *rand.Rand, day time.Time, subject, keyType string) *certificate {
	c := newCertificate(rng, subject, "CN=Root of "+strings.TrimPrefix(strings.SplitN(subject, ",", 2)[0], "CN=")+",C=US", keyType)
	c.notBefore = day.AddDate(-2, 0, -rng.IntN(300)).UnixMicro()
	c.notAfter = day.AddDate(6, 0, rng.IntN(300)).UnixMicro()
	c.ca = true
	return c
}

// certify has ca sign a certificate for s. A few are expired, as everywhere.
func (s *site) certify(rng *rand.Rand, day time.Time, ca *certificate) {
	keyType := "rsa"
	if rng.Float64() < 0.5 {
		keyType = "ecdsa"
	}
	s.cert, s.issuer = newCertificate(rng, "CN="+s.domain, ca.subject, keyType), ca
	s.cert.dns = []string{s.domain, "*." + s.domain}
	age := rng.IntN(80)
	if rng.Float64() < 0.02 {
		age += 95
	}
	s.cert.notBefore = day.AddDate(0, 0, -age).UnixMicro()
	s.cert.notAfter = day.AddDate(0, 0, 90-age).UnixMicro()
}

// selfSign gives s a certificate that nobody vouches for.
func (s *site) selfSign(rng *rand.Rand, day time.Time, subject string) {
	s.cert, s.issuer = newCertificate(rng, subject, subject, "rsa"), nil
	s.cert.notBefore = day.AddDate(-1, -2, 0).UnixMicro()
	s.cert.notAfter = day.AddDate(8, 10, 0).UnixMicro()
	s.alpn = ""
}

func newCertificate(rng *rand.Rand, subject, issuer, keyType string) *certificate {
	c := &certificate{
		serial:  strings.ToUpper(hexDigits(rng, 32)),
		subject: subject, issuer: issuer,
		keyAlg: "rsaEncryption", sigAlg: "sha256WithRSAEncryption", keyType: "rsa", keyBits: 2048, exponent: "65537",
		bytes: int64(1100 + rng.IntN(700)),
		md5:   hexDigits(rng, 32), sha1: hexDigits(rng, 40),
	}
	if keyType == "ecdsa" {
		c.keyAlg, c.sigAlg, c.keyType, c.keyBits = "id-ecPublicKey", "ecdsa-with-SHA384", "ecdsa", 256
		c.exponent, c.curve = "", "prime256v1"
		c.bytes -= 300
	}
	return c
}

// site picks where someone goes.
func (n *Network) site() *site {
	w := n.web.weights
	i := sort.SearchFloat64s(w, n.rng.Float64()*w[len(w)-1])
	return n.web.sites[min(i, len(w)-1)]
}
