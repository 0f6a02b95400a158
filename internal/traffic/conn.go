package traffic

import "time"

// How long Zeek holds a connection back after its last packet (Zeek scripts/base/init-bare.zeek).
const (
	tcpCloseDelay  = 5 * time.Second  // tcp_close_delay, tcp_attempt_delay
	dnsIdle        = 10 * time.Second // dns_session_timeout
	udpIdle        = time.Minute      // udp_inactivity_timeout
	icmpIdle       = time.Minute      // icmp_inactivity_timeout
	tcpSegment     = 1448             // payload bytes of a full TCP segment
	udpSegment     = 1472
	tcpHeaderBytes = 52 // IPv4 and TCP with timestamps
	udpHeaderBytes = 28 // IPv4 and UDP, or IPv4 and ICMP
)

// endpoint is one side of a connection.
type endpoint struct {
	addr string
	port int
}

// flow is a connection while it lasts: what is done over it adds up here, and close writes the conn record that agrees
// with all of it.
type flow struct {
	uid                 string
	proto               string // tcp, udp, icmp
	service             string // as Zeek detects it; several with commas; empty if none
	orig, resp          endpoint
	start, end          int64 // Unix microseconds of the first and last packet
	origBytes, origPkts int64
	respBytes, respPkts int64
	missed              int64 // bytes the sensor lost
}

// dial starts a connection. A TCP one has shaken hands, or is about to: see refuse and ignore.
func (n *Network) dial(at int64, proto string, orig, resp endpoint) *flow {
	return &flow{uid: n.uid('C'), proto: proto, orig: orig, resp: resp, start: at, end: at}
}

// send has payload go from the originator to the responder.
func (f *flow) send(at, bytes int64) {
	f.origBytes += bytes
	pkts := f.packets(bytes)
	f.origPkts += pkts
	if f.proto == "tcp" {
		f.respPkts += (pkts + 1) / 2 // acknowledgements
	}
	f.end = max(f.end, at)
}

// answer has payload go from the responder to the originator.
func (f *flow) answer(at, bytes int64) {
	f.respBytes += bytes
	pkts := f.packets(bytes)
	f.respPkts += pkts
	if f.proto == "tcp" {
		f.origPkts += (pkts + 1) / 2
	}
	f.end = max(f.end, at)
}

func (f *flow) packets(bytes int64) int64 {
	segment := int64(udpSegment)
	if f.proto == "tcp" {
		segment = tcpSegment
	}
	return max(1, (bytes+segment-1)/segment)
}

// close ends a TCP connection that carried something: nearly always as it should be.
func (n *Network) close(f *flow, at int64) {
	f.end = max(f.end, at)
	f.origPkts += 3 // SYN, ACK, FIN
	f.respPkts += 2 // SYN ACK, FIN
	state, history := "SF", "ShADadFf"
	switch x := n.rng.Float64(); {
	case x < 0.02:
		state, history = "RSTO", "ShADadR"
	case x < 0.03:
		state, history = "RSTR", "ShADadr"
	case x < 0.12:
		history = "ShADadfF"
	case x < 0.13 && f.respBytes > 10*tcpSegment:
		f.missed = tcpSegment
		history = "ShADadgFf"
	}
	n.writeConn(f, state, history, tcpCloseDelay)
}

// ignore ends a TCP connection whose SYN nobody answered.
func (n *Network) ignore(f *flow) {
	f.origPkts = 1
	n.writeConn(f, "S0", "S", tcpCloseDelay)
}

// refuse ends a TCP connection whose SYN was answered by a reset.
func (n *Network) refuse(f *flow, at int64) {
	f.origPkts, f.respPkts, f.end = 1, 1, at
	n.writeConn(f, "REJ", "Sr", tcpCloseDelay)
}

// lapse ends a UDP or ICMP exchange: nothing more comes, and after idle the sensor gives it up.
func (n *Network) lapse(f *flow, idle time.Duration) {
	switch {
	case f.proto == "icmp":
		n.writeConn(f, "OTH", "", idle)
	case f.respPkts == 0:
		n.writeConn(f, "S0", "D", idle)
	default:
		n.writeConn(f, "SF", "Dd", idle)
	}
}

// writeConn writes f's conn record once the sensor has waited for delay. What only a connection of more than one
// packet has, a duration and payload sizes, stays unset for the others, as in Zeek's scripts/base/protocols/conn.
func (n *Network) writeConn(f *flow, state, history string, delay time.Duration) {
	header := int64(udpHeaderBytes)
	if f.proto == "tcp" {
		header = tcpHeaderBytes
	}
	r := &n.rec
	r.begin(f.start)
	r.str("uid", f.uid)
	r.id(f.orig, f.resp)
	r.str("proto", f.proto)
	r.optional("service", f.service)
	if f.end > f.start {
		r.interval("duration", f.start, f.end)
		r.count("orig_bytes", f.origBytes)
		r.count("resp_bytes", f.respBytes)
	}
	r.str("conn_state", state)
	r.bool("local_orig", isLocal(f.orig.addr))
	r.bool("local_resp", isLocal(f.resp.addr))
	r.count("missed_bytes", f.missed)
	r.optional("history", history)
	r.count("orig_pkts", f.origPkts)
	r.count("orig_ip_bytes", f.origBytes+f.origPkts*header)
	r.count("resp_pkts", f.respPkts)
	r.count("resp_ip_bytes", f.respBytes+f.respPkts*header)
	r.end()
	n.write(f.end+delay.Microseconds(), "conn")
}

// uid returns a new identifier in Zeek's form: a letter (C connections, F files) and 17 digits to the base 62.
func (n *Network) uid(letter byte) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b [18]byte
	b[0] = letter
	x, y := n.rng.Uint64(), n.rng.Uint64()
	for i := 1; i < 10; i++ {
		b[i] = digits[x%62]
		x /= 62
	}
	for i := 10; i < 18; i++ {
		b[i] = digits[y%62]
		y /= 62
	}
	return string(b[:])
}
