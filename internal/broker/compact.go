package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// never is how often kfake's own compaction is to run, in milliseconds: ten years.
const never = "315360000000"

// compactor compacts and expires the logs, at moments when no transaction is open.
//
// kfake's own compaction knows no last stable offset. It takes a record of an open transaction for the newest of its key
// and drops the committed one before it; when the transaction is aborted then, both are gone. So it is switched off, and
// runs in a control function instead: while one runs the cluster handles no other request, so nothing can be opened between
// the look and the compaction.
type compactor struct {
	cluster *kfake.Cluster
	every   time.Duration
	next    time.Time
	topics  map[string]struct{} // what was ever written to: the rest has no open transaction
}

// compactRetry is how soon to look again when a transaction was open; one of ours is for some milliseconds.
const compactRetry = 10 * time.Millisecond

// watch makes a compactor see every produce request: without one there is nothing new to compact. Control functions run
// one at a time.
func (c *compactor) watch() {
	c.topics = map[string]struct{}{}
	c.next = time.Now().Add(c.every)
	c.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			if _, ok := c.topics[t.Topic]; !ok {
				c.topics[t.Topic] = struct{}{}
			}
		}
		if now := time.Now(); !now.Before(c.next) {
			if c.open() {
				c.next = now.Add(compactRetry)
			} else {
				c.cluster.Compact()
				c.next = time.Now().Add(c.every)
			}
		}
		return nil, nil, false // the request goes its way
	})
}

// open says whether any transaction is open.
func (c *compactor) open() bool {
	for topic := range c.topics {
		for _, p := range c.cluster.PartitionInfos(topic) {
			if p.LastStableOffset < p.HighWatermark {
				return true
			}
		}
	}
	return false
}
