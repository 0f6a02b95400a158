package processors

import (
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// newestTime returns the newest time of any source partition.
func newestTime(heard map[codecs.Source]codecs.Progress) int64 {
	newest := int64(tables.NoClock)
	for _, p := range heard {
		newest = max(newest, p.NewestTime)
	}
	return newest
}

// eventClock returns how far event time has come in a table's source, as one stage-2 partition has heard: the newest time of the
// partition that is least far, among those that are alive. One that has been at its end for longer than idle, without records, does not
// hold up the others; when all are, it is the newest time of any. Who was idle when it was last heard of, which is longer ago than that, may
// have much to read by now: only who reports is idle. What is known of none of those that must be heard is known of none.
//
// reports says when each was heard of last, by the clock of who asks, at now: not all instances' clocks agree.
func eventClock(heard map[codecs.Source]codecs.Progress, must []codecs.Source, idle time.Duration, reports map[codecs.Source]time.Time, now time.Time) int64 {
	for _, source := range must {
		if _, ok := heard[source]; !ok {
			return tables.NoClock
		}
	}
	least, alive, ended := int64(tables.EndOfTime), false, len(heard) > 0
	for source, p := range heard {
		if p.Ended {
			continue
		}
		ended = false
		if p.WallTime-p.Active < idle.Milliseconds() || now.Sub(reports[source]) > max(idle, unreported) {
			least, alive = min(least, p.NewestTime), true
		}
	}
	switch {
	case ended:
		return tables.EndOfTime
	case alive:
		return least
	}
	return newestTime(heard)
}

// unreported is after how long without reports, of which there is one a second, nothing is known of a partition, where idle is shorter.
const unreported = 10 * time.Second

// End says that nothing comes any more: when all is read, each window has ended. Windows close, and rows go, as they would if time went on
// for ever.
func (p *Processors) End() { p.ended.Store(true) }
