package traffic

import (
	"bytes"
	"strings"
)

const (
	poisonCount  = 400     // records of a burst
	poisonPause  = 5_000   // microseconds between two of them
	poisonLong   = 200_000 // bytes of one that is longer than a dead letter keeps
	poisonLevels = 2_000   // of arrays in arrays
)

// poisonFeeds are those that it goes to.
var poisonFeeds = []string{"dns", "conn", "http", "ssl"}

// poisons make of a record what is none, each in its way.
var poisons = []func(record []byte) []byte{
	func(r []byte) []byte { return r[:len(r)/2] },                                              // the end is missing
	func(r []byte) []byte { return bytes.Replace(r, []byte(`":`), []byte(`" `), 1) },           // no colon
	func(r []byte) []byte { return bytes.ReplaceAll(r, []byte(`"`), []byte(`'`)) },             // single quotes
	func(r []byte) []byte { return append(append([]byte(`[`), r...), ']') },                    // an array of a record
	func([]byte) []byte { return []byte(`1795854303.25`) },                                     // a number
	func([]byte) []byte { return []byte(`"dns"`) },                                             // a text
	func(r []byte) []byte { return append([]byte("\xef\xbb\xbf"), r...) },                      // a byte order mark
	func(r []byte) []byte { return append([]byte("\xc3\x28\xff"), r...) },                      // bytes that are no UTF-8
	func([]byte) []byte { return []byte("#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h") }, // a line of another format
	func([]byte) []byte {
		return []byte(`{"ts":` + strings.Repeat("[", poisonLevels) + strings.Repeat("]", poisonLevels) + "}")
	}, // deep
}

// startPoison has a workstation write what no decoder can read into the sensor's topics, in bursts of some hundred that are over in two
// seconds. It waits to be switched on.
func (n *Network) startPoison() {
	h := n.office.workstations[0]
	n.addScene(Scene{
		Name: "poison", Host: h.addr, Doc: "400 records in 2 s that are none: cut short, no JSON, no object, no UTF-8, too long, too deep",
	}, never, func() step {
		left := poisonCount
		return func() (int64, bool) {
			left--
			n.rec.begin(n.now)
			n.rec.str("uid", n.uid('C'))
			n.rec.id(endpoint{h.addr, n.ephemeral(h)}, endpoint{h.resolver, 53})
			n.rec.end()
			value := poisons[left%len(poisons)](bytes.Clone(n.rec))
			if left == poisonCount/2 {
				value = append(value[:1:1], bytes.Repeat([]byte("x"), poisonLong)...)
			}
			n.paid++ // on top of Config.Rate
			n.logged++
			n.queue.push(item{at: n.now, feed: poisonFeeds[left%len(poisonFeeds)], value: value, poison: true})
			return poisonPause, left > 0
		}
	})
}
