package traffic

import "strings"

// resolve has h look name of s up, unless it remembers, and returns when it knows the address.
func (n *Network) resolve(at int64, h *host, s *site, name string) int64 {
	if n.chance(0.35) {
		return at
	}
	lookups := []lookup{addresses(name, typeA, s.cname, s.addrs, s.ttl)}
	if h.asksHTTPS {
		if s.quic {
			lookups = append(lookups, unparsed(name, typeHTTPS, s.ttl))
		} else {
			lookups = append(lookups, lookup{name: name, qtype: typeHTTPS})
		}
	}
	lookups = append(lookups, addresses(name, typeAAAA, s.cname, s.addrs6, s.ttl))

	rtt := n.micros(0.2, 0.9)
	if n.chance(0.25) { // the office's server does not have it in its cache
		server := n.office.dc
		if h.resolver == n.office.dc2.addr {
			server = n.office.dc2
		}
		for _, l := range lookups {
			rtt = max(rtt, n.ask(at+n.micros(0.1, 0.3), server, upstreamResolver, s.rtt/2, l)-at)
		}
	}
	if strings.Contains(h.userAgent, "Windows") {
		done := at
		for _, l := range lookups { // Windows takes a port for each
			done = max(done, n.ask(at, h, h.resolver, rtt, l))
		}
		return done
	}
	return n.ask(at, h, h.resolver, rtt, lookups...)
}

// prefetch is a browser that looks up the links of a page before anybody clicks on them.
func (n *Network) prefetch() {
	h := n.surfer()
	at := n.now
	for range 1 + n.rng.IntN(4) {
		s := n.site()
		n.resolve(at, h, s, pick(n, s.names))
		at += n.micros(1, 80)
	}
}

// mistype is a lookup that finds nothing: names that do not exist, search suffixes, servers that fail or keep silent.
func (n *Network) mistype() {
	h := n.surfer()
	rtt := n.micros(0.2, 0.9)
	switch n.rng.IntN(6) {
	case 0:
		l := missing("wpad."+officeDomain, typeA)
		l.authoritative = true
		n.ask(n.now, h, h.resolver, rtt, l)
	case 1: // Chromium's three random names, which tell whether the network answers for anything
		for range 3 {
			n.ask(n.now, h, h.resolver, rtt+15_000, missing(n.letters(7, 15), typeA))
		}
	case 2:
		s := n.site()
		l := missing(s.domain+"."+officeDomain, typeA)
		l.authoritative = true
		l6 := l
		l6.qtype = typeAAAA
		n.ask(n.now, h, h.resolver, rtt, l, l6)
	case 3:
		s := n.site()
		typo := strings.Replace(s.domain, "-", "", 1)
		n.ask(n.now, h, h.resolver, rtt+20_000, missing(typo, typeA), missing(typo, typeAAAA))
	case 4:
		n.ask(n.now, h, h.resolver, rtt+1_900_000, lookup{name: "db." + n.letters(5, 9) + ".example", qtype: typeA, rcode: servFail})
	case 5:
		l := lookup{name: n.site().domain, qtype: typeA, rcode: noReply}
		if n.chance(0.5) {
			l.rcode = refused
		}
		n.ask(n.now, h, upstreamResolver, 18_000, l) // somebody configured a server of their own
	}
}

// letters returns a word of lo to hi-1 random small letters.
func (n *Network) letters(lo, hi int) string {
	b := make([]byte, lo+n.rng.IntN(hi-lo))
	for i := range b {
		b[i] = byte('a' + n.rng.IntN(26))
	}
	return string(b)
}

// own is an answer from the office's own zones.
func own(l lookup) lookup {
	l.authoritative = true
	return l
}

// askReverse has somebody ask whose an address is: the monitor for its reports, a workstation for a log on.
func (n *Network) askReverse() {
	h := n.office.monitor
	if n.chance(0.4) {
		h = pick(n, n.office.workstations)
	}
	for range 1 + n.rng.IntN(4) {
		if n.chance(0.6) {
			other := pick(n, n.office.all)
			n.ask(n.now, h, h.resolver, n.micros(0.2, 0.9), own(answer(reverse(other.addr), typePTR, 1200, other.name+"."+adDomain)))
			continue
		}
		s := n.site()
		l := missing(reverse(s.addrs[0]), typePTR)
		if n.chance(0.5) {
			l = answer(l.name, typePTR, 3600, "host-"+strings.ReplaceAll(s.addrs[0], ".", "-")+"."+s.domain)
		}
		n.ask(n.now, h, h.resolver, s.rtt, l)
	}
}

// maintainResolver is what name servers ask each other: signatures, delegations, zone serials.
func (n *Network) maintainResolver() {
	dc := n.office.dc
	if n.chance(0.4) {
		dc = n.office.dc2
	}
	s := n.site()
	switch n.rng.IntN(5) {
	case 0:
		n.ask(n.now, dc, upstreamResolver, 12_000, unparsed("example", typeDNSKEY, 86400), unparsed(s.domain, typeDS, 86400))
	case 1:
		n.ask(n.now, dc, upstreamResolver, 12_000, answer(s.domain, typeNS, 86400, "ns1."+s.domain))
	case 2:
		n.ask(n.now, n.office.dc2, n.office.dc.addr, 400, own(answer(adDomain, typeSOA, 3600, "dc1."+adDomain)))
	case 3:
		n.ask(n.now, n.office.monitor, n.office.dc.addr, 400, own(answer(officeDomain, typeAny, 3600, "dc1."+officeDomain)))
	case 4:
		h := pick(n, n.office.mobiles)
		n.ask(n.now, h, h.resolver, 700, lookup{name: "_dns.resolver.arpa", qtype: typeSVCB, rcode: nxDomain})
	}
}

// joinDomain is a workstation that looks for its domain controllers and logs on.
func (n *Network) joinDomain() {
	h := pick(n, n.office.workstations)
	at := n.now
	dc := n.office.dc
	if n.chance(0.3) {
		dc = n.office.dc2
	}
	name := dc.name + "." + adDomain
	rtt := n.micros(0.2, 0.6)
	at = n.ask(at, h, h.resolver, rtt, own(answer("_ldap._tcp.dc._msdcs."+adDomain, typeSRV, 600, name)))
	if n.chance(0.5) {
		at = n.ask(at, h, h.resolver, rtt, own(answer("_kerberos._tcp.Default-First-Site-Name._sites."+adDomain, typeSRV, 600, name)))
	}
	at = n.ask(at, h, h.resolver, rtt, own(answer(name, typeA, 600, dc.addr)))
	for _, service := range []struct {
		port        int
		name        string
		send, reply int64
	}{{88, "krb_tcp", 1650, 1720}, {389, "", 900, 2600}} {
		f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{dc.addr, service.port})
		f.service = service.name
		f.send(at+400, service.send+n.rng.Int64N(200))
		at += n.micros(1, 9)
		f.answer(at, service.reply+n.rng.Int64N(400))
		n.close(f, at)
	}
}
