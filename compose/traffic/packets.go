package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/brotally/brotally/internal/traffic"
)

// packet is a frame and when it passes the sensor.
type packet struct {
	at    time.Time
	bytes []byte
}

// packets are those that have not passed yet.
type packets struct {
	all  []packet
	port uint16 // of the last web client; each connection has one of its own
}

// record is what of a log's record becomes packets.
type record struct {
	OrigH string `json:"id.orig_h"`
	OrigP uint16 `json:"id.orig_p"`
	RespH string `json:"id.resp_h"`
	RespP uint16 `json:"id.resp_p"`

	// dns
	Proto   string   `json:"proto"`
	TransID uint16   `json:"trans_id"`
	RTT     float64  `json:"rtt"`
	Query   string   `json:"query"`
	QClass  uint16   `json:"qclass"`
	QType   uint16   `json:"qtype"`
	RCode   *uint8   `json:"rcode"`
	AA      bool     `json:"AA"`
	RD      bool     `json:"RD"`
	RA      bool     `json:"RA"`
	Answers []string `json:"answers"`

	// http
	Method    string `json:"method"`
	Host      string `json:"host"`
	URI       string `json:"uri"`
	Referrer  string `json:"referrer"`
	UserAgent string `json:"user_agent"`
	Status    int    `json:"status_code"`
	Reason    string `json:"status_msg"`
	Request   int    `json:"request_body_len"`
	Response  int    `json:"response_body_len"`
}

// maxBody bounds how much of a body is sent: this is about records, not about bytes.
const maxBody = 4 << 10

// add takes in a record. Only look-ups of name servers over UDP and web requests become packets; connections are
// what Zeek makes of them.
func (p *packets) add(m traffic.Message) error {
	if m.Feed != "dns" && m.Feed != "http" {
		return nil
	}
	var r record
	if err := json.Unmarshal(m.Value, &r); err != nil {
		return fmt.Errorf("record of %s: %w", m.Feed, err)
	}
	from, err := endpointOf(r.OrigH, r.OrigP)
	if err != nil {
		return err
	}
	to, err := endpointOf(r.RespH, r.RespP)
	if err != nil {
		return err
	}
	if m.Feed == "http" {
		p.port = 32768 + (p.port+1)%28000
		from.port = p.port
		return p.request(m.Time, conversation{from: from, to: to}, &r)
	}
	if r.Proto != "udp" || to.port != 53 {
		return nil
	}
	return p.lookup(m.Time, conversation{from: from, to: to}, &r)
}

// before returns the packets that pass before a time, in order, and forgets them.
func (p *packets) before(t time.Time) []packet {
	slices.SortStableFunc(p.all, func(a, b packet) int { return a.at.Compare(b.at) })
	n, _ := slices.BinarySearchFunc(p.all, t, func(one packet, t time.Time) int { return cmp.Or(one.at.Compare(t), -1) })
	passed := slices.Clone(p.all[:n])
	p.all = slices.Delete(p.all, 0, n)
	return passed
}

// endpoint is one side of a conversation.
type endpoint struct {
	addr netip.Addr
	port uint16
}

func endpointOf(host string, port uint16) (endpoint, error) {
	addr, err := netip.ParseAddr(host)
	return endpoint{addr, port}, err
}

// mac is a made-up hardware address, the same for an address each time.
func (e endpoint) mac() net.HardwareAddr {
	b := e.addr.As16()
	return net.HardwareAddr{0x02, b[11], b[12], b[13], b[14], b[15]}
}

// conversation is who talks to whom.
type conversation struct {
	from, to endpoint
	sent     uint32 // bytes so far, of a TCP connection: the next sequence numbers
	received uint32
}

// frame returns a frame from one endpoint to another.
func frame(from, to endpoint, transport gopacket.SerializableLayer, payload []byte) ([]byte, error) {
	ethernet := &layers.Ethernet{SrcMAC: from.mac(), DstMAC: to.mac(), EthernetType: layers.EthernetTypeIPv4}
	protocol := layers.IPProtocolUDP
	tcp, isTCP := transport.(*layers.TCP)
	if isTCP {
		protocol = layers.IPProtocolTCP
	}
	var ip interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	}
	if from.addr.Is4() {
		ip = &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: from.addr.AsSlice(), DstIP: to.addr.AsSlice()}
	} else {
		ethernet.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: from.addr.AsSlice(), DstIP: to.addr.AsSlice()}
	}
	var err error
	if isTCP {
		err = tcp.SetNetworkLayerForChecksum(ip)
	} else {
		err = transport.(*layers.UDP).SetNetworkLayerForChecksum(ip)
	}
	if err != nil {
		return nil, err
	}
	b := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ethernet, ip, transport, gopacket.Payload(payload))
	return b.Bytes(), err
}

// lookup sends a question and, if there was one, its answer.
func (p *packets) lookup(at time.Time, c conversation, r *record) error {
	if r.Query == "" {
		return nil // Zeek wrote it without a question, so there is nothing to ask
	}
	question := layers.DNSQuestion{Name: []byte(r.Query), Type: layers.DNSType(r.QType), Class: layers.DNSClass(r.QClass)}
	query := &layers.DNS{ID: r.TransID, RD: r.RD, Questions: []layers.DNSQuestion{question}}
	if err := p.datagram(at, c.from, c.to, query); err != nil || r.RCode == nil {
		return err
	}
	reply := &layers.DNS{ID: r.TransID, QR: true, AA: r.AA, RD: r.RD, RA: r.RA, ResponseCode: layers.DNSResponseCode(*r.RCode), Questions: query.Questions}
	for _, a := range r.Answers {
		if rr, ok := resource(r, a); ok {
			reply.Answers = append(reply.Answers, rr)
		}
	}
	return p.datagram(at.Add(time.Duration(r.RTT*float64(time.Second))), c.to, c.from, reply)
}

func (p *packets) datagram(at time.Time, from, to endpoint, message *layers.DNS) error {
	b := gopacket.NewSerializeBuffer()
	if err := message.SerializeTo(b, gopacket.SerializeOptions{FixLengths: true}); err != nil {
		return fmt.Errorf("DNS message: %w", err)
	}
	bytes, err := frame(from, to, &layers.UDP{SrcPort: layers.UDPPort(from.port), DstPort: layers.UDPPort(to.port)}, b.Bytes())
	p.all = append(p.all, packet{at, bytes})
	return err
}

// resource is an answer as Zeek writes it, made a resource record again; ok is false for those that it writes in words.
func resource(r *record, answer string) (rr layers.DNSResourceRecord, ok bool) {
	rr = layers.DNSResourceRecord{Name: []byte(r.Query), Class: layers.DNSClassIN, TTL: 300}
	if addr, err := netip.ParseAddr(answer); err == nil {
		rr.Type, rr.IP = layers.DNSTypeA, addr.AsSlice()
		if addr.Is6() {
			rr.Type = layers.DNSTypeAAAA
		}
		return rr, true
	}
	if strings.ContainsAny(answer, " \\") || answer == "" {
		return rr, false
	}
	switch rr.Type = layers.DNSType(r.QType); rr.Type {
	case layers.DNSTypePTR:
		rr.PTR = []byte(answer)
	case layers.DNSTypeNS:
		rr.NS = []byte(answer)
	case layers.DNSTypeA, layers.DNSTypeAAAA:
		rr.Type, rr.CNAME = layers.DNSTypeCNAME, []byte(answer)
	default:
		return rr, false
	}
	return rr, true
}

// step is how far apart the packets of a connection are.
const step = 200 * time.Microsecond

// segmentBytes is how much of a body goes into one packet.
const segmentBytes = 1400

// request sends a connection with one request and its response.
func (p *packets) request(at time.Time, c conversation, r *record) error {
	c.sent, c.received = 1000, 5000 // where sequence numbers begin is free
	next := func() time.Time { at = at.Add(step); return at }
	send := func(back bool, flags layers.TCP, payload []byte) error {
		from, to := c.from, c.to
		flags.Seq, flags.Ack = c.sent, c.received
		if back {
			from, to = c.to, c.from
			flags.Seq, flags.Ack = c.received, c.sent
		}
		if !flags.ACK {
			flags.Ack = 0
		}
		flags.SrcPort, flags.DstPort, flags.Window = layers.TCPPort(from.port), layers.TCPPort(to.port), 65000
		bytes, err := frame(from, to, &flags, payload)
		length := uint32(len(payload))
		if flags.SYN || flags.FIN {
			length++
		}
		if back {
			c.received += length
		} else {
			c.sent += length
		}
		p.all = append(p.all, packet{next(), bytes})
		return err
	}
	var errs []error
	do := func(back bool, flags layers.TCP, payload []byte) { errs = append(errs, send(back, flags, payload)) }
	stream := func(back bool, text string) {
		for b := []byte(text); len(b) > 0; b = b[min(len(b), segmentBytes):] {
			do(back, layers.TCP{ACK: true, PSH: true}, b[:min(len(b), segmentBytes)])
		}
		do(!back, layers.TCP{ACK: true}, nil)
	}
	do(false, layers.TCP{SYN: true}, nil)
	do(true, layers.TCP{SYN: true, ACK: true}, nil)
	do(false, layers.TCP{ACK: true}, nil)
	stream(false, requestText(r))
	if r.Status != 0 {
		stream(true, responseText(r))
	}
	do(false, layers.TCP{FIN: true, ACK: true}, nil)
	do(true, layers.TCP{FIN: true, ACK: true}, nil)
	do(false, layers.TCP{ACK: true}, nil)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func requestText(r *record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.URI)
	for _, h := range [][2]string{{"Host", r.Host}, {"User-Agent", r.UserAgent}, {"Referer", r.Referrer}, {"Connection", "close"}} {
		if h[1] != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
	}
	body(&b, r.Request)
	return b.String()
}

func responseText(r *record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nConnection: close\r\n", r.Status, r.Reason)
	length := r.Response
	if r.Method == "HEAD" || r.Status == 204 || r.Status == 304 {
		length = 0 // these have no body, whatever the head says
	}
	body(&b, length)
	return b.String()
}

// body ends a message's head and adds a body of that length, or less.
func body(b *strings.Builder, length int) {
	length = min(length, maxBody)
	if length > 0 {
		b.WriteString("Content-Length: " + strconv.Itoa(length) + "\r\n")
	}
	b.WriteString("\r\n" + strings.Repeat("x", length))
}
