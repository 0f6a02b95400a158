package traffic

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
)

// The office's own names and addresses.
const (
	officeDomain = "tidewater.example"
	gatewayAddr  = "10.20.0.1"
	adDomain     = "ad." + officeDomain
)

// kind is what a host is for.
type kind uint8

const (
	server kind = iota
	workstation
	mobile
	phone // on the desk
	printer
)

// host is a machine of the office.
type host struct {
	name      string
	kind      kind
	addr      string // IPv4
	addr6     string // IPv6, link local
	resolver  string // address of the DNS server it asks
	userAgent string // of its browser
	user      string // who sits at it; empty for servers and printers
	portFrom  int    // ephemeral ports
	portTo    int
	asksHTTPS bool // its browser asks for HTTPS records
	tls13     bool // its TLS library knows version 1.3
}

// office is who is there.
type office struct {
	dc, dc2, mail, files, intranet, monitor *host // servers
	workstations, mobiles, phones, printers []*host
	surfers                                 []*host   // workstations and mobiles
	surferWeights                           []float64 // running sums; some people are busier than others
	all                                     []*host
}

// isLocal tells whether addr belongs to Site::local_nets: 10.0.0.0/8 and what is link local.
func isLocal(addr string) bool {
	return strings.HasPrefix(addr, "10.") || strings.HasPrefix(addr, "fe80::")
}

// ephemeral returns a port to dial from.
func (n *Network) ephemeral(h *host) int {
	return h.portFrom + n.rng.IntN(h.portTo-h.portFrom)
}

// surfer picks who goes online next.
func (n *Network) surfer() *host {
	w := n.office.surferWeights
	i := sort.SearchFloat64s(w, n.rng.Float64()*w[len(w)-1])
	return n.office.surfers[min(i, len(w)-1)]
}

var userAgents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}

const mobileAgent = "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36"

// newOffice furnishes an office of count hosts: six servers, then mostly workstations.
func newOffice(rng *rand.Rand, count int) *office {
	o := &office{}
	serve := func(name string, last int) *host {
		return o.add(rng, server, name, fmt.Sprintf("10.20.0.%d", last))
	}
	o.dc = serve("dc1", 10)
	o.dc2 = serve("dc2", 11)
	o.mail = serve("mail", 25)
	o.files = serve("files", 30)
	o.intranet = serve("intranet", 40)
	o.monitor = serve("monitor", 50)

	rest := count - len(o.all)
	printers := max(1, rest*6/100)
	phones := max(1, rest*18/100)
	mobiles := max(1, rest*16/100)
	for i := range printers {
		o.printers = append(o.printers, o.add(rng, printer, fmt.Sprintf("prn-%d", i+1), addressIn(192, i)))
	}
	for i := range phones {
		h := o.add(rng, phone, fmt.Sprintf("tel-%d", 100+i), addressIn(160, i))
		h.user = userName(i)
		o.phones = append(o.phones, h)
	}
	for i := range mobiles {
		h := o.add(rng, mobile, "android-"+hexDigits(rng, 8), addressIn(128, i))
		h.user, h.userAgent, h.asksHTTPS = userName(i*2), mobileAgent, true
		o.mobiles = append(o.mobiles, h)
	}
	for i := range rest - printers - phones - mobiles {
		h := o.add(rng, workstation, fmt.Sprintf("ws-%03d", i+1), addressIn(1, i))
		h.user, h.userAgent = userName(i), userAgents[rng.IntN(len(userAgents))]
		h.asksHTTPS = rng.Float64() < 0.6
		o.workstations = append(o.workstations, h)
	}

	o.surfers = append(append(o.surfers, o.workstations...), o.mobiles...)
	rng.Shuffle(len(o.surfers), func(i, j int) { o.surfers[i], o.surfers[j] = o.surfers[j], o.surfers[i] })
	sum := 0.0
	for i := range o.surfers {
		sum += 1 / math.Pow(float64(i+2), 0.7)
		o.surferWeights = append(o.surferWeights, sum)
	}
	return o
}

func (o *office) add(rng *rand.Rand, k kind, name, addr string) *host {
	h := &host{
		name: name, kind: k, addr: addr,
		addr6:    fmt.Sprintf("fe80::%x:%xff:fe%02x:%x", 1+rng.IntN(0xffff), 1+rng.IntN(0xff), rng.IntN(256), 1+rng.IntN(0xffff)),
		resolver: "10.20.0.10",
		portFrom: 49152, portTo: 65536,
		tls13: k != printer && rng.Float64() < 0.85,
	}
	if len(o.all)%3 == 2 {
		h.resolver = "10.20.0.11"
	}
	if k != workstation {
		h.portFrom, h.portTo = 32768, 61000
	}
	o.all = append(o.all, h)
	return h
}

// addressIn returns the i-th address of the subnets that begin at 10.20.third.0. At 50,000 hosts the groups run into
// each other's thirds, so beyond 31 subnets they go on in their own second octet.
func addressIn(third, i int) string {
	net, last := i/250, 4+i%250
	if net < 31 {
		return fmt.Sprintf("10.20.%d.%d", third+net, last)
	}
	return fmt.Sprintf("10.%d.%d.%d", 21+third/32, net-31, last)
}

// hexDigits returns count random hexadecimal digits.
func hexDigits(rng *rand.Rand, count int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, count)
	for i := range b {
		if i%16 == 0 {
			x := rng.Uint64()
			for j := i; j < len(b) && j < i+16; j++ {
				b[j] = digits[x&15]
				x >>= 4
			}
		}
	}
	return string(b)
}
