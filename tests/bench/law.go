package main

import (
	"iter"
	"math"
	"math/rand/v2"
	"net/netip"
	"sort"
	"strconv"
)

// law says which dns records a topic holds. Everything is drawn from the seed: the same law makes the same topic on every
// machine, and its exact counts are known without reading it.
type law struct {
	name    string
	records int
	hosts   int // distinct id.orig_h
	seed    uint64
	wide    bool // hosts are drawn until each was seen, so that there are many groups
	unique  bool // record i is of host i and of type A: as many groups as records

	groups     int // if > 0, there are exactly so many, drawn with equal chances
	partitions int // of the topic; 0 means as many as all topics have
}

// The topics. dns has some 23,000 groups in 5 million records, dns_hc some 1.7 million.
func dnsLaw(records int) law { return law{name: "dns", records: records, hosts: 2000, seed: 1} }
func wideLaw(records int) law {
	return law{name: "dns_hc", records: records, hosts: max(1, records/5), seed: 2, wide: true}
}
func rowsLaw(rows int) law {
	return law{name: "rows", records: rows, hosts: rows, seed: 3, unique: true}
}

// groupsLaw has a number of groups, at most as many as records. No type has more than a twelfth of them, so that HTTP
// can tell of two million.
func groupsLaw(records, groups int) law {
	return law{name: "groups" + strconv.Itoa(groups), records: records, hosts: (groups + len(qtypes) - 1) / len(qtypes), seed: 4, groups: groups}
}

// dealtLaw is dnsLaw over another number of partitions.
func dealtLaw(records, partitions int) law {
	l := dnsLaw(records)
	l.name, l.partitions = "dns_p"+strconv.Itoa(partitions), partitions
	return l
}

// topic is where the law's records are loaded to.
func (l law) topic() string { return "bench-" + l.name + "-" + strconv.Itoa(l.records) }

// choice is what of a record is counted.
type choice struct{ host, qtype int } // indices

// choices draws the records' groups in order. Nothing else of a record is drawn from this source, so the counts take less
// than the records.
func (l law) choices() iter.Seq[choice] {
	return func(yield func(choice) bool) {
		r := rand.New(rand.NewPCG(l.seed, 1))
		order := r.Perm(l.hosts)
		hosts, types := zipf(l.hosts, 8), shares(qtypes)
		for i := range l.records {
			var c choice
			switch {
			case l.unique:
				c = choice{i, 0}
			case l.groups > 0:
				g := r.IntN(l.groups)
				if i*l.groups%l.records < l.groups {
					g = i * l.groups / l.records // every group at least once, new ones up to the end
				}
				c = choice{order[g/len(qtypes)], g % len(qtypes)}
			case l.wide && i%5 == 0 && i/5 < l.hosts:
				c = choice{order[i/5], draw(types, r)} // every host at least once
			default:
				c = choice{order[draw(hosts, r)], draw(types, r)}
			}
			if !yield(c) {
				return
			}
		}
	}
}

// counts returns how many records each group has, by its text.
func (l law) counts() map[string]int64 {
	dense := make([]int64, l.hosts*len(qtypes))
	for c := range l.choices() {
		dense[c.host*len(qtypes)+c.qtype]++
	}
	all := map[string]int64{}
	for i, n := range dense {
		if n > 0 {
			all[groupOf(hostName(i/len(qtypes)), qtypes[i%len(qtypes)].name)] = n
		}
	}
	return all
}

// groupOf is how the benchmark writes a group; an empty qtype stands for NULL.
func groupOf(host, qtype string) string { return host + "|" + qtype }

// hostName returns the address of a host: of ten, nine are IPv4.
func hostName(i int) string {
	if i%10 != 9 {
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(i >> 16), 4: byte(i >> 8), 5: byte(i), 14: 0x10, 15: byte(i % 251)}).String()
}

// weighted is one of several things that are drawn with unequal chances.
type weighted struct {
	number int
	name   string
	share  float64
}

// qtypes are what is asked for in an office's network; the last one stands for records that lack the field.
var qtypes = []weighted{{1, "A", .55}, {28, "AAAA", .19}, {12, "PTR", .11}, {65, "HTTPS", .06}, {33, "SRV", .03}, {16, "TXT", .02},
	{15, "MX", .015}, {6, "SOA", .01}, {5, "CNAME", .007}, {2, "NS", .004}, {255, "*", .0025}, {0, "", .0015}}

var rcodes = []weighted{{0, "NOERROR", .86}, {3, "NXDOMAIN", .1}, {2, "SERVFAIL", .03}, {5, "REFUSED", .01}}

// shares returns the distribution function of what is weighted.
func shares(of []weighted) []float64 {
	sums, sum := make([]float64, len(of)), 0.0
	for i, w := range of {
		sum += w.share
		sums[i] = sum
	}
	return sums
}

// zipf returns the distribution function of weights 1/(k+flat) for n things: a few hosts ask for most.
func zipf(n int, flat float64) []float64 {
	sums, sum := make([]float64, n), 0.0
	for k := range sums {
		sum += 1 / (float64(k) + flat)
		sums[k] = sum
	}
	for k := range sums {
		sums[k] /= sum
	}
	return sums
}

// draw returns an index with the chances of a distribution function.
func draw(sums []float64, r *rand.Rand) int {
	return min(sort.SearchFloat64s(sums, r.Float64()), len(sums)-1)
}

// filler draws all of a record that is not counted.
type filler struct {
	r     *rand.Rand
	codes []float64
}

func (l law) filler() *filler {
	return &filler{r: rand.New(rand.NewPCG(l.seed, 2)), codes: shares(rcodes)}
}

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	domains = []string{"google.com", "googleapis.com", "microsoft.com", "windowsupdate.com", "amazonaws.com", "akamaiedge.net", "apple.com", "icloud.com",
		"facebook.com", "cloudfront.net", "office365.com", "gstatic.com", "fastly.net", "doubleclick.net", "corp.example.net", "in-addr.arpa"}
	labels = []string{"www", "api", "cdn", "mail", "edge", "telemetry", "update", "login", "static", "img", "events", "sync", "push", "ntp", "beacon", "eu-west-1"}
)

// append appends a record as Bro's Kafka plugin writes it, some 430 bytes. at is Unix microseconds.
func (f *filler) append(b []byte, at int64, host string, qtype weighted) []byte {
	answered, code := f.r.IntN(20) > 0, rcodes[draw(f.codes, f.r)]
	number := func(name string, n int64) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = strconv.AppendInt(b, n, 10)
	}
	text := func(name, value string) {
		b = append(append(append(append(append(b, `,"`...), name...), `":"`...), value...), '"')
	}
	flag := func(name string, v bool) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = strconv.AppendBool(b, v)
	}
	b = appendSeconds(append(b, `{"ts":`...), at)
	uid := [18]byte{'C'}
	for i := range uid[1:] {
		uid[1+i] = letters[f.r.IntN(len(letters))]
	}
	text("uid", string(uid[:]))
	text("id.orig_h", host)
	number("id.orig_p", 1024+f.r.Int64N(64000))
	text("id.resp_h", "10.0.0."+strconv.Itoa(2+f.r.IntN(6)))
	number("id.resp_p", 53)
	text("proto", []string{"udp", "tcp"}[f.r.IntN(50)/49])
	number("trans_id", f.r.Int64N(1<<16))
	if answered {
		b = appendSeconds(append(b, `,"rtt":`...), f.r.Int64N(1_000_000))
	}
	if qtype.name != "" {
		text("query", f.query(qtype.name))
		number("qclass", 1)
		text("qclass_name", "C_INTERNET")
		number("qtype", int64(qtype.number))
		text("qtype_name", qtype.name)
	}
	if answered {
		number("rcode", int64(code.number))
		text("rcode_name", code.name)
	}
	flag("AA", f.r.IntN(8) == 0)
	flag("TC", false)
	flag("RD", true)
	flag("RA", answered)
	number("Z", f.r.Int64N(10)/9)
	if answered && code.number == 0 {
		n := 1 + f.r.IntN(3)
		b = append(b, `,"answers":[`...)
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			a := f.r.Uint32()
			b = append(b, '"')
			b = netip.AddrFrom4([4]byte{byte(a>>24) | 1, byte(a >> 16), byte(a >> 8), byte(a)}).AppendTo(b)
			b = append(b, '"')
		}
		b = append(b, `],"TTLs":[`...)
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendInt(b, 1+f.r.Int64N(3600), 10), ".0"...)
		}
		b = append(b, ']')
	}
	flag("rejected", code.name == "REFUSED")
	return append(b, '}')
}

func (f *filler) query(qtype string) string {
	if qtype == "PTR" {
		return strconv.Itoa(f.r.IntN(256)) + "." + strconv.Itoa(f.r.IntN(256)) + ".168.192.in-addr.arpa"
	}
	return labels[f.r.IntN(len(labels))] + strconv.Itoa(f.r.IntN(500)) + "." + labels[f.r.IntN(len(labels))] + "." + domains[f.r.IntN(len(domains))]
}

// appendSeconds writes microseconds as seconds with six decimals, as Zeek's JSON has times and intervals.
func appendSeconds(b []byte, micros int64) []byte {
	b = append(strconv.AppendInt(b, micros/1e6, 10), '.')
	fraction := strconv.FormatInt(micros%1e6, 10)
	return append(append(b, "000000"[len(fraction):]...), fraction...)
}

// firstRecord is when the records of a loaded topic begin, Unix microseconds; they are some 700 microseconds apart.
const firstRecord = int64(1_489_000_000_000_000)

// gap draws the time to the next record in microseconds.
func (f *filler) gap() int64 { return int64(math.Round(f.r.ExpFloat64() * 700)) }
