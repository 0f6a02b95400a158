package traffic

import (
	"fmt"
	"math"
)

// browse is somebody who opens a page, and all the page draws in.
func (n *Network) browse() {
	h, s := n.surfer(), n.site()
	name := s.names[0]
	at := n.resolve(n.now, h, s, name)
	at = n.visit(at, h, s, name, "", 1+n.rng.IntN(6))
	if n.chance(0.6) {
		img := s.names[1]
		n.visit(n.resolve(at, h, s, img), h, s, img, "https://"+name+"/", 2+n.rng.IntN(6))
	}
	for range n.rng.IntN(4) {
		p := pick(n, n.web.parties)
		name := pick(n, p.names)
		began := at + n.micros(10, 900)
		n.visit(n.resolve(began, h, p, name), h, p, name, "https://"+s.names[0]+"/", 1)
	}
}

// visit connects h to the host name of s, has it do about count requests, and returns when the first answer was there.
func (n *Network) visit(at int64, h *host, s *site, name, referrer string, count int) int64 {
	peer := pick(n, s.addrs)
	switch {
	case s.plain:
		return n.visitPlain(at, h, s, peer, name, referrer, count)
	case s.quic && n.chance(0.5):
		return n.visitQUIC(at, h, s, peer, count)
	case referrer == "" && n.chance(0.08): // typed without https://
		f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{peer, 80})
		at = n.fetch(f, at+s.rtt, s.rtt, 1, request{
			method: "GET", host: name, uri: "/", userAgent: h.userAgent,
			status: 301, reason: "Moved Permanently", respBytes: 162, respMime: "text/html",
		})
		n.close(f, at+n.micros(0, 2000))
	}
	f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{peer, 443})
	at = n.secure(f, at, s.rtt, n.handshake(h, s, name))
	first := int64(0)
	for range count {
		f.send(at, int64(400+n.rng.IntN(900)))
		at += s.rtt + n.micros(5, 120)
		f.answer(at, n.size(18_000))
		if first == 0 {
			first = at
		}
	}
	n.close(f, at+n.micros(50, 20_000))
	return first
}

// visitPlain is visit over HTTP, of which the sensor sees each request.
func (n *Network) visitPlain(at int64, h *host, s *site, peer, name, referrer string, count int) int64 {
	f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{peer, 80})
	at += s.rtt
	first := int64(0)
	for depth := range count {
		q := request{method: "GET", host: name, uri: "/", userAgent: h.userAgent, referrer: referrer, status: 200, reason: "OK"}
		kind := fileKinds[0]
		if depth > 0 {
			kind = pick(n, fileKinds)
			q.uri = fmt.Sprintf("/%s/%s%s", pick(n, pathWords), n.letters(4, 12), kind.suffix)
			q.referrer = "http://" + name + "/"
			if n.chance(0.15) {
				q.uri += fmt.Sprintf("?v=%d&q=%%22%s%%22", n.rng.IntN(1000), n.letters(3, 9))
			}
		}
		switch x := n.rng.Float64(); {
		case x < 0.08:
			q.status, q.reason = 304, "Not Modified"
		case x < 0.13:
			q.status, q.reason, q.respBytes, q.respMime = 404, "Not Found", 548, "text/html"
		case x < 0.16:
			q.method, q.status, q.reason = "POST", 204, "No Content"
			q.bodyBytes, q.bodyMime = n.size(900), "text/plain"
		case x < 0.18:
			q.status, q.reason, q.respBytes, q.respMime = 503, "Service Unavailable", 213, "text/html"
		case x < 0.19:
			q.method = "HEAD"
		case x < 0.20:
			q.status = 0 // given up before the answer came
		default:
			q.respBytes, q.respMime = n.size(kind.bytes), kind.mime
		}
		at = n.fetch(f, at, s.rtt, int64(depth+1), q) + n.micros(2, 200)
		if first == 0 {
			first = at
		}
	}
	n.close(f, at+n.micros(50, 8000))
	return first
}

// visitQUIC is visit over UDP, which Zeek 4 has no name for.
func (n *Network) visitQUIC(at int64, h *host, s *site, peer string, count int) int64 {
	f := n.dial(at, "udp", endpoint{h.addr, n.ephemeral(h)}, endpoint{peer, 443})
	f.send(at, 1200)
	at += s.rtt
	f.answer(at, 4800)
	first := at
	for range count {
		f.send(at, int64(300+n.rng.IntN(500)))
		at += s.rtt + n.micros(5, 90)
		f.answer(at, n.size(24_000))
	}
	n.lapse(f, udpIdle)
	return first
}

// update is a machine that fetches software piece by piece.
func (n *Network) update() {
	h, s := pick(n, n.office.workstations), n.web.updates
	name := s.names[0]
	at := n.resolve(n.now, h, s, name)
	f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{pick(n, s.addrs), 80})
	file := n.letters(6, 10) + ".cab"
	for depth := range 2 + n.rng.IntN(5) {
		at = n.fetch(f, at+s.rtt, s.rtt, int64(depth+1), request{
			method: "GET", host: name, uri: "/d/msdownload/update/" + file, userAgent: "Microsoft-Delivery-Optimization/10.0",
			status: 206, reason: "Partial Content", respBytes: n.size(1_000_000), respMime: "application/vnd.ms-cab-compressed", respName: file,
		})
	}
	n.close(f, at+1000)
}

// size returns a number of bytes about typical: mostly less, now and then much more.
func (n *Network) size(typical float64) int64 {
	return max(1, int64(typical*math.Exp(n.rng.NormFloat64()*0.9-0.4)))
}
