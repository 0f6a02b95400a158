package traffic

import (
	"fmt"
	"time"
)

// mailAddress returns where user of the office gets mail.
func mailAddress(user string) string { return user + "@" + officeDomain }

// mailDate returns at as mail headers have it.
func mailDate(at int64) string {
	return time.UnixMicro(at).UTC().Format("Mon, 2 Jan 2006 15:04:05 -0700")
}

// submitMail is a mail program that hands a letter to the office's server, inside TLS.
func (n *Network) submitMail() {
	h := n.surfer()
	mail := n.office.mail
	at := n.ask(n.now, h, h.resolver, 400, own(answer(n.web.mail.domain, typeA, 3600, mail.addr)))
	f := n.dial(at, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{mail.addr, 587})
	n.deliver(f, at+1000, at+n.micros(5, 20), letter{
		helo: h.name + "." + adDomain, tls: true, lastReply: "220 2.0.0 Ready to start TLS",
	})
	done := n.secure(f, at+n.micros(20, 25), 500, n.handshake(h, n.web.mail, n.web.mail.domain))
	f.send(done+n.micros(2, 80), n.size(30_000))
	n.close(f, done+n.micros(80, 300))
}

// readMail is a mail program that looks for new letters, inside TLS.
func (n *Network) readMail() {
	h := n.surfer()
	f := n.dial(n.now, "tcp", endpoint{h.addr, n.ephemeral(h)}, endpoint{n.office.mail.addr, 993})
	at := n.secure(f, n.now, 500, n.handshake(h, n.web.mail, n.web.mail.domain))
	f.send(at, 300)
	at += n.micros(3, 3000)
	f.answer(at, n.size(9000))
	n.close(f, at)
}

// relayMail is the office's mail server at work: letters go out to other servers and come in from them, each with the
// lookups that tell friend from foe.
func (n *Network) relayMail() {
	mail, s := n.office.mail, n.site()
	user, other := userName(n.rng.IntN(len(firstNames))), pick(n, firstNames)+"@"+s.domain
	l := letter{
		date:      mailDate(n.now),
		subject:   pick(n, subjects),
		bodyBytes: n.size(6000),
	}
	if n.chance(0.3) {
		l.attachment, l.attachBytes = pick(n, shareNames)+".pdf", n.size(200_000)
	}
	at := n.now
	peer := s.addrs[0]
	ask := func(rtt int64, lookups ...lookup) { at = n.ask(at, mail, mail.resolver, rtt, lookups...) }
	if n.chance(0.5) { // out
		ask(s.rtt, answer(s.domain, typeMX, 3600, s.mail))
		ask(s.rtt, addresses(s.mail, typeA, "", s.addrs[:1], 3600), addresses(s.mail, typeAAAA, "", nil, 3600))
		f := n.dial(at, "tcp", endpoint{mail.addr, n.ephemeral(mail)}, endpoint{peer, 25})
		l.helo, l.mailFrom, l.rcptTo = n.web.mail.domain, mailAddress(user), []string{other}
		l.from, l.to = mailAddress(user), []string{other}
		l.msgID = fmt.Sprintf("<%s@%s>", n.letters(16, 20), officeDomain)
		l.lastReply = "250 2.0.0 Ok: queued as " + n.letters(10, 12)
		done := at + s.rtt*6 + n.micros(5, 400)
		n.deliver(f, at+2*s.rtt, done, l)
		n.close(f, done+s.rtt)
		return
	}
	// in
	f := n.dial(at, "tcp", endpoint{peer, 32768 + n.rng.IntN(28000)}, endpoint{mail.addr, 25})
	opened := at + 2*s.rtt
	at = opened
	ask(s.rtt, answer(reverse(peer), typePTR, 3600, s.mail))
	ask(s.rtt, missing(reverse(peer)[:len(reverse(peer))-len("in-addr.arpa")]+"bl.harborlist.example", typeA))
	ask(s.rtt, txt(s.domain, 3600, "v=spf1 mx ip4:"+peer+" -all"))
	ask(s.rtt, txt("s1._domainkey."+s.domain, 3600, "v=DKIM1; k=rsa; p="+hexDigits(n.rng, 160)))
	if n.chance(0.7) {
		ask(s.rtt, txt("_dmarc."+s.domain, 3600, "v=DMARC1; p=quarantine; rua=mailto:dmarc@"+s.domain))
	} else {
		ask(s.rtt, missing("_dmarc."+s.domain, typeTXT))
	}
	l.helo, l.mailFrom, l.rcptTo = s.mail, other, []string{mailAddress(user)}
	l.from, l.to = other, []string{mailAddress(user)}
	l.msgID = fmt.Sprintf("<%s@%s>", n.letters(16, 20), s.domain)
	l.received = "from app-1." + s.domain + " (localhost [127.0.0.1]) by " + s.mail + " with ESMTP; " + l.date
	l.lastReply = "250 2.6.0 Queued mail for delivery"
	n.deliver(f, opened, at+s.rtt, l)
	n.close(f, at+2*s.rtt)
}
