package traffic

import (
	"fmt"
	"slices"
	"strings"
)

// When the scenes begin, in microseconds after Config.Start: soon, so that who watches a demo sees them.
const (
	beaconAfter = 2e6
	tunnelAfter = 4e6
	scanAfter   = 12e6
)

// never is for scenes that wait to be switched on.
const never = -1

// scene is a Scene and how it goes.
type scene struct {
	Scene
	begin func() step // anew, each time that it is switched on
	turn  int         // how often it was switched: what an earlier turn has put into the queue does nothing any more
}

// step does the next thing and returns after how many microseconds it is to be called again; ok is false when the scene is over.
type step func() (pause int64, ok bool)

// addScene adds a scene that begins so many microseconds after Config.Start, or [never].
func (n *Network) addScene(s Scene, after int64, begin func() step) {
	sc := &scene{Scene: s, begin: begin}
	n.scenes = append(n.scenes, sc)
	if after != never {
		n.switchOn(sc, n.start+after)
	}
}

func (n *Network) switchOn(sc *scene, at int64) {
	sc.turn++
	sc.On = true
	turn, next := sc.turn, sc.begin()
	var again func()
	again = func() {
		if sc.turn != turn {
			return
		}
		pause, ok := next()
		if !ok {
			sc.On = false
			return
		}
		n.wake(n.now+pause, again)
	}
	n.wake(at, again)
}

// Switch switches a scene on, or off, as of the message that Next returned last: it begins anew at once, or does nothing more, though what
// it has begun ends as it would have. One that is on stays on. Networks of one Config that are switched at the same messages stay the same.
// The error is that there is no such scene.
func (n *Network) Switch(name string, on bool) error {
	for _, sc := range n.scenes {
		switch {
		case sc.Name != name:
			continue
		case on && !sc.On:
			n.switchOn(sc, max(n.now, n.start))
		case !on && sc.On:
			sc.turn++
			sc.On = false
		}
		return nil
	}
	return fmt.Errorf("no scene %s", name)
}

// startBeacon has one workstation call home every 60 seconds, a tenth more or less: a lookup and a TLS connection of the
// same few bytes to a server with a certificate of its own making.
func (n *Network) startBeacon() {
	h, s := n.office.workstations[len(n.office.workstations)/3], n.web.beacon
	call := func() (int64, bool) {
		at := n.ask(n.now, h, h.resolver, s.rtt, addresses(s.names[0], typeA, "", s.addrs, 30))
		f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{s.addrs[0], 443})
		at = n.secure(f, at, s.rtt, session{version: "TLSv12", cert: s.cert})
		f.send(at, 224)
		f.answer(at+s.rtt, 176)
		n.close(f, at+s.rtt+1000)
		return int64(n.between(54e6, 66e6)), true
	}
	n.addScene(Scene{
		Name: "beacon", Host: h.addr,
		Doc: fmt.Sprintf("calls %s (%s:443, self-signed certificate) every 60 s, give or take 6", s.names[0], s.addrs[0]),
	}, beaconAfter, func() step { return call })
}

// startTunnel has another workstation carry data out in the names of TXT queries, in bursts of half a minute. Each
// burst opens with NULL queries, as the tunnel tries the roomiest type first.
func (n *Network) startTunnel() {
	h, s := n.office.workstations[len(n.office.workstations)*2/3], n.web.tunnel
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	label := func(b *strings.Builder, length int) {
		for range length {
			b.WriteByte(alphabet[n.rng.IntN(len(alphabet))])
		}
		b.WriteByte('.')
	}
	left := 0 // queries of this burst
	opening := 0
	query := func() (int64, bool) {
		if left == 0 {
			left, opening = 60+n.rng.IntN(120), 3
		}
		var name strings.Builder
		label(&name, 55+n.rng.IntN(8))
		label(&name, 20+n.rng.IntN(40))
		name.WriteString("t." + s.domain)
		var l lookup
		if opening > 0 {
			opening--
			l = unparsed(name.String(), typeNULL, 0)
			if opening > 0 {
				l = lookup{name: name.String(), qtype: typeNULL, rcode: noReply}
			}
		} else {
			l = txt(name.String(), 0, hexDigits(n.rng, 40+n.rng.IntN(120)))
		}
		dc := n.office.dc
		back := n.ask(n.now+200, dc, upstreamResolver, s.rtt, l)
		if l.rcode == noReply {
			n.ask(n.now, h, dc.addr, 0, l)
		} else {
			n.ask(n.now, h, dc.addr, back-n.now, l)
		}
		pause := n.pace(100, 400)
		if left--; left == 0 {
			pause = n.micros(20_000, 60_000)
		}
		return pause, true
	}
	n.addScene(Scene{
		Name: "tunnel", Host: h.addr,
		Doc: "sends data in TXT queries, long random labels under t." + s.domain,
	}, tunnelAfter, func() step {
		left = 0
		return query
	})
}

// startScan has a third workstation try ports on the servers and the printers, half a minute every five: most of its
// packets meet silence or a reset.
func (n *Network) startScan() {
	h := n.office.workstations[len(n.office.workstations)-1]
	ports := []int{21, 22, 23, 80, 135, 139, 443, 445, 1433, 3306, 3389, 5432, 5900, 6379, 8080, 9200}
	open := map[string][]int{
		n.office.dc.addr: {53, 88, 135, 139, 389, 445}, n.office.dc2.addr: {53, 88, 135, 139, 389, 445},
		n.office.mail.addr: {22, 25, 443, 587, 993}, n.office.files.addr: {139, 445},
		n.office.intranet.addr: {22, 80, 443}, n.office.monitor.addr: {22, 3000},
	}
	target, port := 0, 0
	probe := func() (int64, bool) {
		to := endpoint{fmt.Sprintf("10.20.0.%d", 1+target), ports[port]}
		f := n.dial(n.now, "tcp", endpoint{h.addr, n.ephemeral(h)}, to)
		listening, up := open[to.addr]
		switch {
		case !up:
			n.ignore(f)
		case slices.Contains(listening, to.port):
			f.origPkts, f.respPkts, f.end = 2, 1, n.now+400
			n.writeConn(f, "RSTO", "ShR", tcpCloseDelay)
		default:
			n.refuse(f, n.now+300)
		}
		pause := n.pace(15, 45)
		if target++; target == 60 {
			target = 0
			if port++; port == len(ports) {
				port = 0
				pause = n.micros(240_000, 300_000)
			}
		}
		return pause, true
	}
	n.addScene(Scene{
		Name: "scan", Host: h.addr,
		Doc: "tries ports of 10.20.0.0/24; conn_state S0 and REJ",
	}, scanAfter, func() step {
		target, port = 0, 0
		return probe
	})
}

// startFlood has a workstation ask for names of one domain that do not exist, as many again as all else is: the random subdomains that
// keep a name server busy. It comes on top of Config.Rate, and waits to be switched on.
func (n *Network) startFlood() {
	h, s := n.office.workstations[0], n.web.sites[0]
	ask := func() (int64, bool) {
		before := n.logged
		n.ask(n.now, h, h.resolver, s.rtt, missing(n.letters(9, 15)+"."+s.domain, typeA))
		made := n.logged - before
		n.paid += made
		return max(int64(float64(made)/n.rate*1e6*n.between(0.5, 1.5)), 1), true
	}
	n.addScene(Scene{
		Name: "flood", Host: h.addr,
		Doc: "asks for names under " + s.domain + " that do not exist, each another one: twice the traffic",
	}, never, func() step { return ask })
}

// pace is micros for what a scene does over and over: slower when the whole network is, so that a scene never crowds
// the rest out.
func (n *Network) pace(loMillis, hiMillis float64) int64 {
	slower := max(1, 200/n.rate)
	return n.micros(loMillis*slower, hiMillis*slower)
}
