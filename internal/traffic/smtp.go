package traffic

// letter is one SMTP transaction.
type letter struct {
	helo        string
	tls         bool // STARTTLS: nothing after it is seen
	mailFrom    string
	rcptTo      []string
	date        string
	from        string
	to          []string
	msgID       string
	subject     string
	received    string
	userAgent   string
	lastReply   string
	bodyBytes   int64
	attachment  string // name; empty if there is none
	attachBytes int64
}

// deliver sends l over f, done at the time given, and writes what is seen of it.
func (n *Network) deliver(f *flow, at, done int64, l letter) {
	f.service = "smtp"
	f.send(at, int64(60+len(l.helo)))
	f.answer(at, 240)
	fuids := []string{}
	if !l.tls {
		f.send(done, 500+l.bodyBytes+l.attachBytes)
		f.answer(done, 180)
		fuid := n.uid('F')
		fuids = append(fuids, fuid)
		n.writeFile(file{
			fuid: fuid, flow: f, source: "SMTP", from: f.orig, to: f.resp, at: done, end: done, depth: 1,
			mime: "text/plain", seen: l.bodyBytes, analyzers: hashAnalyzers,
			md5: hexDigits(n.rng, 32), sha1: hexDigits(n.rng, 40),
		})
		if l.attachment != "" {
			fuid := n.uid('F')
			fuids = append(fuids, fuid)
			n.writeFile(file{
				fuid: fuid, flow: f, source: "SMTP", from: f.orig, to: f.resp, at: done, end: done, depth: 2,
				mime: "application/pdf", name: l.attachment, seen: l.attachBytes, analyzers: hashAnalyzers,
				md5: hexDigits(n.rng, 32), sha1: hexDigits(n.rng, 40),
			})
		}
	}

	r := &n.rec
	r.begin(at)
	r.str("uid", f.uid)
	r.id(f.orig, f.resp)
	r.count("trans_depth", 1)
	r.str("helo", l.helo)
	r.optional("mailfrom", l.mailFrom)
	if len(l.rcptTo) > 0 {
		r.strs("rcptto", l.rcptTo)
	}
	r.optional("date", l.date)
	r.optional("from", l.from)
	if len(l.to) > 0 {
		r.strs("to", l.to)
	}
	r.optional("msg_id", l.msgID)
	r.optional("subject", l.subject)
	r.optional("first_received", l.received)
	r.str("last_reply", l.lastReply)
	r.strs("path", []string{f.resp.addr, f.orig.addr})
	r.optional("user_agent", l.userAgent)
	r.bool("tls", l.tls)
	r.strs("fuids", fuids)
	r.bool("is_webmail", false)
	r.end()
	n.write(done, "smtp")
}
