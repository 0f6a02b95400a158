// Package traffic is an office network that never existed, seen through the eyes of a Zeek sensor: the demo's source,
// and everybody's when a test needs many records whose truth is known.
//
//	n, err := traffic.New(traffic.Config{Seed: 1, Start: time.Now(), Rate: 500})
//	var sent traffic.Tally
//	for {
//		m := n.Next()               // endless, in the order of m.Time
//		produce(m.Feed, m.Value)    // the topic's name is the feed's; the key is null
//		sent.Add(m)                 // the truth of what was sent
//	}
//
// # What it is like
//
// A few dozen hosts browse, send mail, print, ring and look each other up; among them one beacons home every minute,
// one carries a tunnel in DNS TXT queries and one scans ports. The sensor writes dns, conn, http, ssl, x509, smtp and
// files records which agree with each other: every uid has its conn, every fuid its files record, every certificate
// chain its x509 records, and a conn's bytes hold what was sent over it. Names end in .example and addresses outside
// are those set aside for documentation (RFC 2606, RFC 5737, RFC 3849), so nobody's host is accused of anything.
//
// Scenes can be switched while the traffic goes on; two wait for that: a flood of names that do not exist, and a burst of
// records that are none.
//
// # What it is exact about
//
// A record is the JSON that Zeek 4.0 writes through Bro's Kafka plugin: flat, dotted names, fields in the order of the
// log's columns, unset fields absent, times and intervals as the doubles Zeek holds. As on a real sensor a record is
// written when the thing is over and not when it began, so ts is not in order: a conn comes 5 to 60 s after its start.
//
// The same Config gives the same bytes, on any machine: there is one random source and no clock but Config.Start. Switching
// scenes at the same messages keeps that.
package traffic

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"
)

// Config says what network to make up. The zero value is a small office on a fixed day.
type Config struct {
	// Seed chooses the network and all that happens on it.
	Seed uint64

	// Start is the virtual time at which Next begins; no message is older. Defaults to 2026-11-23 08:00 UTC.
	Start time.Time

	// Hosts is how many hosts the office has, its six servers included: 10 to 50,000. More hosts are more groups for
	// the same number of records. Defaults to 48.
	Hosts int

	// Rate is how many messages a second of virtual time has on average; over a few seconds it may be half or twice
	// that, and the first minute has a fifth less, for UDP conns come a minute after their last packet. Next does not
	// wait for any clock, so this is not how fast it can be called. What is open or unanswered at a moment is kept in
	// memory: a few KiB for each message a second. Defaults to 500.
	Rate float64
}

const (
	defaultHosts = 48
	minHosts     = 10
	maxHosts     = 50_000
	defaultRate  = 500

	// The network runs unseen for this long before Config.Start (or for as long as warmMessages take, if that is
	// less), so that the first second already has connections that end in it.
	warmUp       = 15 * time.Second
	warmMessages = 20_000
)

// defaultStart is a Monday morning.
var defaultStart = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// Network is an office at work. It is for one goroutine.
type Network struct {
	rng   *rand.Rand
	rate  float64 // messages per virtual second
	start int64   // Unix microseconds; what is due before is not shown
	now   int64   // Unix microseconds; due time of what was taken from the queue last
	queue queue

	office *office
	web    *web
	scenes []*scene

	logged int64     // messages put into the queue since the beginning
	paid   int64     // how many of them ordinary activities have made room for, see act
	rec    record    // scratch of the record being written
	list   [1]string // scratch of a set or vector with one element
}

// Scene is something an analyst would want to find in the traffic.
type Scene struct {
	Name string // "beacon", "tunnel", "scan", "flood", "poison"
	Host string // address of the host that does it
	Doc  string // one line, with the names and ports to look for
	On   bool   // see [Network.Switch]
}

// New returns the network that cfg describes. It fails only when a field of cfg is out of its range.
func New(cfg Config) (*Network, error) {
	if cfg.Start.IsZero() {
		cfg.Start = defaultStart
	}
	if cfg.Hosts == 0 {
		cfg.Hosts = defaultHosts
	}
	if cfg.Rate == 0 {
		cfg.Rate = defaultRate
	}
	if cfg.Hosts < minHosts || cfg.Hosts > maxHosts {
		return nil, fmt.Errorf("traffic of %d hosts: want %d to %d", cfg.Hosts, minHosts, maxHosts)
	}
	if !(cfg.Rate > 0 && cfg.Rate <= 1e6) {
		return nil, fmt.Errorf("traffic at %g messages/s: want more than 0, at most 1,000,000", cfg.Rate)
	}
	n := &Network{
		rng:   rand.New(rand.NewPCG(cfg.Seed, 0x62726f74616c6c79)),
		rate:  cfg.Rate,
		start: cfg.Start.UnixMicro(),
	}
	n.office = newOffice(n.rng, cfg.Hosts)
	n.web = newWeb(n.rng, cfg.Start)

	warm := min(warmUp.Seconds(), warmMessages/cfg.Rate)
	n.now = n.start - int64(warm*1e6)
	n.wake(n.now, n.act)
	n.startBeacon()
	n.startTunnel()
	n.startScan()
	n.startFlood()
	n.startPoison()
	return n, nil
}

// Next returns the next message the sensor writes, in the order of Message.Time. It never ends and never waits.
func (n *Network) Next() Message {
	for {
		it := n.queue.pop()
		n.now = it.at
		if it.wake != nil {
			it.wake()
			continue
		}
		if it.at < n.start {
			continue
		}
		return it.message()
	}
}

// Scenes returns what is hidden in the traffic, or can be, and where.
func (n *Network) Scenes() []Scene {
	all := make([]Scene, len(n.scenes))
	for i, sc := range n.scenes {
		all[i] = sc.Scene
	}
	return all
}

// wake calls f when virtual time has come to at.
func (n *Network) wake(at int64, f func()) {
	n.queue.push(item{at: at, wake: f})
}

// write has the record in n.rec written to feed when virtual time has come to at.
func (n *Network) write(at int64, feed string) {
	n.writeDNS(at, feed, "", "")
}

// writeDNS is write with the two values that Tally counts by.
func (n *Network) writeDNS(at int64, feed, origH, qtypeName string) {
	n.logged++
	n.queue.push(item{at: at, feed: feed, value: bytes.Clone(n.rec), origH: origH, qtypeName: qtypeName})
}

// act has one ordinary thing happen, and itself again later. How much later follows from how many messages were made
// since the last time, by whomever: that keeps Config.Rate whatever the activities weigh.
func (n *Network) act() {
	n.activity()(n)
	made := max(n.logged-n.paid, 1)
	n.paid = n.logged
	gap := float64(made) / n.rate * 1e6 * n.between(0.5, 1.5)
	n.wake(n.now+max(int64(gap), 1), n.act)
}

// activities are what ordinary hosts do, with their weights.
var activities = []struct {
	weight float64
	do     func(*Network)
}{
	{30, (*Network).browse},
	{14, (*Network).prefetch},
	{6, (*Network).mistype},
	{6, (*Network).joinDomain},
	{5, (*Network).askReverse},
	{4, (*Network).maintainResolver},
	{6, (*Network).callNetBIOS},
	{7, (*Network).browseLocal},
	{13, (*Network).announceLocal},
	{3, (*Network).submitMail},
	{3, (*Network).relayMail},
	{3, (*Network).readMail},
	{5, (*Network).ring},
	{3, (*Network).print},
	{3, (*Network).update},
	{4, (*Network).keepTime},
	{4, (*Network).openShare},
	{2, (*Network).pingOut},
}

// activity picks one of activities.
func (n *Network) activity() func(*Network) {
	total := 0.0
	for i := range activities {
		total += activities[i].weight
	}
	x := n.rng.Float64() * total
	for i := range activities {
		if x -= activities[i].weight; x < 0 {
			return activities[i].do
		}
	}
	return activities[0].do
}

// chance is true with probability p.
func (n *Network) chance(p float64) bool { return n.rng.Float64() < p }

// between returns a number of [lo, hi).
func (n *Network) between(lo, hi float64) float64 { return lo + (hi-lo)*n.rng.Float64() }

// micros returns a time of [lo, hi) milliseconds in microseconds.
func (n *Network) micros(loMillis, hiMillis float64) int64 {
	return int64(1000 * n.between(loMillis, hiMillis))
}

// pick returns one of list.
func pick[T any](n *Network, list []T) T { return list[n.rng.IntN(len(list))] }
