package traffic

import "fmt"

// mDNS goes to these (RFC 6762).
const (
	mdnsGroup  = "224.0.0.251"
	mdnsGroup6 = "ff02::fb"
)

// callNetBIOS is a Windows machine that shouts for a name nobody has.
func (n *Network) callNetBIOS() {
	h := pick(n, n.office.workstations)
	f := n.dial(n.now, "udp", endpoint{h.addr, 137}, endpoint{"10.20.255.255", 137})
	f.service = "dns"
	l := lookup{name: pick(n, []string{"WORKGROUP", "TIDEWATER", "OLDSERVER", "SCANNER", "WPAD"}), qtype: typeNB, rcode: noReply}
	for i := range 3 {
		at := n.now + int64(i)*750_000
		f.send(at, 50)
		n.writeLookup(f, l, at, noReplyAt)
	}
	n.lapse(f, dnsIdle)
}

// browseLocal is a host that asks its neighbours over multicast DNS.
func (n *Network) browseLocal() {
	h := pick(n, n.office.all)
	name := pick(n, []string{"_ipp._tcp.local", "_airplay._tcp.local", "_googlecast._tcp.local", "_smb._tcp.local", "_services._dns-sd._udp.local"})
	lookups := []lookup{{name: name, qtype: typePTR, rcode: noReply, unicast: n.chance(0.3)}}
	switch x := n.rng.Float64(); {
	case x < 0.15:
		lookups = append(lookups, lookup{name: "Kopierer im Büro." + name, qtype: typeTXT, rcode: noReply})
	case x < 0.25: // a name in Latin-1, which is not UTF-8
		lookups = append(lookups, lookup{name: "Anna\x92s iPad._companion-link._tcp.local", qtype: typeSRV, rcode: noReply})
	case x < 0.5:
		lookups = append(lookups, lookup{name: pick(n, n.office.printers).name + ".local", qtype: typeA, rcode: noReply})
	}
	n.multicast(h, lookups)
}

// announceLocal is a host that says over multicast DNS what it has. Such a message has answers and no question, so its
// record has no query and no qtype_name: the NULL of the notebook's table.
func (n *Network) announceLocal() {
	h := n.office.printers[0] // one cannot keep quiet
	switch n.rng.IntN(6) {
	case 0:
		h = pick(n, n.office.printers)
	case 1:
		h = pick(n, n.office.mobiles)
	case 2:
		h = pick(n, n.office.workstations)
	}
	if n.chance(0.4) {
		n.multicast(h, []lookup{{rcode: noReply}})
		return
	}
	name := h.name + "._ipp._tcp.local"
	n.multicast(h, []lookup{{authoritative: true, answers: []string{name, h.addr, h.addr6}, ttls: []float64{4500, 120, 120}}})
}

// multicast has h send lookups to everybody, over IPv4 and mostly over IPv6 too.
func (n *Network) multicast(h *host, lookups []lookup) {
	groups := []struct{ from, to string }{{h.addr, mdnsGroup}, {h.addr6, mdnsGroup6}}
	if h == n.office.printers[0] || n.chance(0.25) { // the old printer knows no IPv6
		groups = groups[:1]
	}
	for i, g := range groups {
		at := n.now + int64(i)*n.micros(0.01, 0.2)
		f := n.dial(at, "udp", endpoint{g.from, 5353}, endpoint{g.to, 5353})
		f.service = "dns"
		for k := range lookups {
			l := lookups[k]
			sent := at + int64(k)*20
			back := int64(noReplyAt)
			size := l.queryBytes()
			if l.rcode != noReply {
				back, size = sent, l.replyBytes()
			}
			f.send(sent, size)
			n.writeLookup(f, l, sent, back)
		}
		n.lapse(f, dnsIdle)
	}
}

// keepTime is any host that asks the gateway for the time.
func (n *Network) keepTime() {
	h := pick(n, n.office.all)
	f := n.dial(n.now, "udp", endpoint{h.addr, 123}, endpoint{gatewayAddr, 123})
	f.service = "ntp"
	f.send(n.now, 48)
	f.answer(n.now+n.micros(0.3, 3), 48)
	n.lapse(f, udpIdle)
}

// pingOut is a host that pings another; for ICMP Zeek writes type and code where the ports are.
func (n *Network) pingOut() {
	h, to := n.office.monitor, pick(n, n.office.all).addr
	if n.chance(0.3) {
		h, to = n.surfer(), n.site().addrs[0]
	}
	f := n.dial(n.now, "icmp", endpoint{h.addr, 8}, endpoint{to, 0})
	for i := range 1 + n.rng.IntN(4) {
		at := n.now + int64(i)*1e6
		f.send(at, 56)
		if !n.chance(0.1) {
			f.answer(at+n.micros(0.2, 20), 56)
		}
	}
	n.lapse(f, icmpIdle)
}

// openShare is somebody who works on a file that lies on the server.
func (n *Network) openShare() {
	h, files := pick(n, n.office.workstations), n.office.files
	at := n.now
	if n.chance(0.3) {
		at = n.ask(at, h, h.resolver, 400, own(answer(files.name+"."+adDomain, typeA, 600, files.addr)))
	}
	f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{files.addr, 445})
	f.service = "gssapi,smb"
	f.send(at+500, 2400)
	f.answer(at+900, 2100)
	for range 1 + n.rng.IntN(5) {
		at += n.micros(2, 4000)
		f.send(at, n.size(3_000))
		f.answer(at+800, n.size(60_000))
	}
	n.close(f, at+n.micros(1, 9000))
}

// ring is a desk phone: it finds its registrar, registers or calls, and speaks.
func (n *Network) ring() {
	h := pick(n, n.office.phones)
	at := n.now
	registrar := n.web.parties[0] // their telephone company hosts with the same people
	sip := "sip.dialtone.example"
	if n.chance(0.5) {
		at = n.ask(at, h, h.resolver, 9_000, unparsed("dialtone.example", typeNAPTR, 3600))
		at = n.ask(at, h, h.resolver, 9_000, answer("_sip._udp.dialtone.example", typeSRV, 300, sip))
		at = n.ask(at, h, h.resolver, 9_000, addresses(sip, typeA, "", registrar.addrs[:1], 300))
	}
	f := n.dial(at, "udp", endpoint{h.addr, 5060}, endpoint{registrar.addrs[0], 5060})
	f.service = "sip"
	f.send(at, 640)
	f.answer(at+n.micros(10, 30), 480)
	n.lapse(f, udpIdle)
	if n.chance(0.3) {
		seconds := 5 + n.rng.Int64N(120)
		call := n.dial(at+2e6, "udp", endpoint{h.addr, 10000 + 2*n.rng.IntN(5000)}, endpoint{registrar.addrs[0], 20000 + 2*n.rng.IntN(5000)})
		call.origBytes, call.respBytes = seconds*50*172, seconds*50*172 // G.711: 50 packets a second
		call.origPkts, call.respPkts = seconds*50, seconds*50
		call.end = call.start + seconds*1e6
		n.lapse(call, udpIdle)
	}
}

// print is a page on its way to a printer, or the monitor that asks a printer for its toner.
func (n *Network) print() {
	p := pick(n, n.office.printers)
	switch n.rng.IntN(3) {
	case 0:
		h := pick(n, n.office.workstations)
		at := n.ask(n.now, h, h.resolver, 400, own(answer(p.name+"."+adDomain, typeA, 600, p.addr)))
		f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{p.addr, 631})
		at = n.fetch(f, at+400, 400, 1, request{
			method: "POST", host: fmt.Sprintf("%s.%s:631", p.name, adDomain), uri: "/ipp/print", userAgent: "CUPS/2.4.7 (Linux 6.8; x86_64) IPP/2.0",
			bodyBytes: n.size(400_000), bodyMime: "application/pdf", status: 200, reason: "OK", respBytes: 210,
		})
		n.close(f, at+n.micros(10, 500))
	case 1:
		h := n.office.monitor
		f := n.dial(n.now, "udp", endpoint{h.addr, n.ephemeral(h)}, endpoint{p.addr, 161})
		f.service = "snmp"
		f.send(n.now, 78)
		f.answer(n.now+n.micros(1, 9), 96)
		n.lapse(f, udpIdle)
	case 2: // an old printer's pages for its administrator
		h := n.office.monitor
		f := n.dial(n.now, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{p.addr, 443})
		at := n.secure(f, n.now, 600, session{version: "TLSv10", cert: n.web.printer.cert})
		f.send(at, 320)
		f.answer(at+9000, 5200)
		n.close(f, at+12_000)
	}
}
