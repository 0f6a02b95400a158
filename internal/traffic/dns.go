package traffic

import (
	"strconv"
	"time"
)

// Query types by number (IANA), as far as the office uses them.
const (
	typeA      = 1
	typeNS     = 2
	typeSOA    = 6
	typeNULL   = 10
	typePTR    = 12
	typeMX     = 15
	typeTXT    = 16
	typeAAAA   = 28
	typeNB     = 32
	typeSRV    = 33
	typeNAPTR  = 35
	typeDS     = 43
	typeDNSKEY = 48
	typeSVCB   = 64
	typeHTTPS  = 65
	typeAny    = 255
)

// qtypeNames are Zeek's names (scripts/base/protocols/dns/consts.zeek). NULL here is a query type, four letters: not
// the NULL of a record that has no query.
var qtypeNames = map[int]string{
	typeA: "A", typeNS: "NS", typeSOA: "SOA", typeNULL: "NULL", typePTR: "PTR", typeMX: "MX", typeTXT: "TXT",
	typeAAAA: "AAAA", typeNB: "NB", typeSRV: "SRV", typeNAPTR: "NAPTR", typeDS: "DS", typeDNSKEY: "DNSKEY",
	typeSVCB: "SVCB", typeHTTPS: "HTTPS", typeAny: "*",
}

// Response codes.
const (
	noReply  = -1
	noError  = 0
	servFail = 2
	nxDomain = 3
	refused  = 5
)

var rcodeNames = map[int]string{noError: "NOERROR", servFail: "SERVFAIL", nxDomain: "NXDOMAIN", refused: "REFUSED"}

// dnsTimeout is how long Zeek waits for a reply before it writes the query alone.
const dnsTimeout = 10 * time.Second

// lookup is a question and what comes back.
type lookup struct {
	name          string // empty: a message without a question
	qtype         int
	rcode         int // noReply if nothing comes back
	authoritative bool
	answers       []string
	ttls          []float64 // seconds, one an answer
	unicast       bool      // mDNS: class IN with the top bit set
}

// ask has client put lookups to server over one UDP port and returns when the last reply was there, or when the client
// gave up. rtt is in microseconds.
func (n *Network) ask(at int64, client *host, server string, rtt int64, lookups ...lookup) int64 {
	f := n.dial(at, "udp", endpoint{client.addr, n.ephemeral(client)}, endpoint{server, 53})
	f.service = "dns"
	done := at
	for i, l := range lookups {
		sent := at + int64(i)*n.micros(0.02, 0.3)
		f.send(sent, l.queryBytes())
		if l.rcode == noReply {
			n.writeLookup(f, l, sent, noReplyAt)
			done = max(done, sent+5e6)
			continue
		}
		back := sent + rtt + n.micros(0, 2)
		f.answer(back, l.replyBytes())
		n.writeLookup(f, l, sent, back)
		done = max(done, back)
	}
	n.lapse(f, dnsIdle)
	return done
}

// noReplyAt stands for the moment of a reply that never came.
const noReplyAt = -1

// queryBytes is the size of the message that asks l.
func (l *lookup) queryBytes() int64 { return int64(12 + len(l.name) + 2 + 4) }

// replyBytes is the size of the message that answers it.
func (l *lookup) replyBytes() int64 {
	size := l.queryBytes()
	for _, a := range l.answers {
		size += int64(12 + len(a))
	}
	if len(l.answers) == 0 {
		size += 64 // the zone's SOA
	}
	return size
}

// writeLookup writes the dns record of l, asked over f at sent and answered at back (or noReplyAt). The sensor writes it
// with the reply, or when it no longer expects one.
func (n *Network) writeLookup(f *flow, l lookup, sent, back int64) {
	mdns := f.resp.port == 5353
	answered := back != noReplyAt
	r := &n.rec
	r.begin(sent)
	r.str("uid", f.uid)
	r.id(f.orig, f.resp)
	r.str("proto", f.proto)
	if mdns {
		r.count("trans_id", 0)
	} else {
		r.count("trans_id", int64(n.rng.IntN(1<<16)))
	}
	if answered && back > sent {
		r.interval("rtt", sent, back)
	}
	qtypeName := ""
	if l.name != "" {
		qtypeName = qtypeNames[l.qtype]
		r.str("query", l.name)
		if l.unicast {
			r.count("qclass", 32769)
			r.str("qclass_name", "qclass-32769")
		} else {
			r.count("qclass", 1)
			r.str("qclass_name", "C_INTERNET")
		}
		r.count("qtype", int64(l.qtype))
		r.str("qtype_name", qtypeName)
	}
	if answered {
		r.count("rcode", int64(l.rcode))
		r.str("rcode_name", rcodeNames[l.rcode])
	}
	r.bool("AA", answered && l.authoritative)
	r.bool("TC", false)
	r.bool("RD", !mdns)
	r.bool("RA", answered && !mdns && !l.authoritative)
	if l.qtype == typeNB {
		r.count("Z", 1)
	} else {
		r.count("Z", 0)
	}
	if len(l.answers) > 0 {
		r.strs("answers", l.answers)
		r.intervals("TTLs", l.ttls)
	}
	r.bool("rejected", l.rcode == refused)
	r.end()
	if !answered {
		back = sent
		if !mdns {
			back += dnsTimeout.Microseconds()
		}
	}
	n.writeDNS(back, "dns", f.orig.addr, qtypeName)
}

// addresses is the answer to an A or AAAA query: the chain of names, then the addresses. An empty list is a name that
// exists and has no such record.
func addresses(name string, qtype int, cname string, addrs []string, ttl float64) lookup {
	l := lookup{name: name, qtype: qtype}
	if cname != "" && len(addrs) > 0 {
		l.answers = append(l.answers, cname)
		l.ttls = append(l.ttls, 300)
	}
	for _, a := range addrs {
		l.answers = append(l.answers, a)
		l.ttls = append(l.ttls, ttl)
	}
	return l
}

// answer is a reply with one record.
func answer(name string, qtype int, ttl float64, text string) lookup {
	return lookup{name: name, qtype: qtype, answers: []string{text}, ttls: []float64{ttl}}
}

// txt is the answer to a TXT query, as Zeek writes it: with the length before the text.
func txt(name string, ttl float64, text string) lookup {
	return answer(name, typeTXT, ttl, "TXT "+strconv.Itoa(len(text))+" "+text)
}

// unparsed is a reply whose record type Zeek 4.0 knows by name only.
func unparsed(name string, qtype int, ttl float64) lookup {
	return answer(name, qtype, ttl, "<unknown type="+strconv.Itoa(qtype)+">")
}

// missing is a name that does not exist.
func missing(name string, qtype int) lookup {
	return lookup{name: name, qtype: qtype, rcode: nxDomain}
}

// reverse returns the name under which an IPv4 address is looked up.
func reverse(addr string) string {
	parts := [4]string{}
	k := 0
	for from, i := 0, 0; i <= len(addr) && k < 4; i++ {
		if i == len(addr) || addr[i] == '.' {
			parts[k] = addr[from:i]
			from = i + 1
			k++
		}
	}
	return parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0] + ".in-addr.arpa"
}
