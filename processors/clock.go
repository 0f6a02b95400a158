package processors

import (
	"time"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/tables"
)

// eventClock returns how far event time has come in a table's source, as one stage-2 partition has heard: the newest time of the
// partition that is least far, among those that are alive. One that has been at its end for longer than idle, without records, does not
// hold up the others; when all are, it is the newest time of any. What is known of none of those that must be heard is known of none.
func eventClock(heard map[codecs.Source]codecs.Progress, must []codecs.Source, idle time.Duration) int64 {
	for _, source := range must {
		if _, ok := heard[source]; !ok {
			return tables.NoClock
		}
	}
	least, newest, alive, ended := int64(tables.EndOfTime), int64(tables.NoClock), false, len(heard) > 0
	for _, p := range heard {
		if p.Ended {
			continue
		}
		ended = false
		newest = max(newest, p.NewestTime)
		if p.WallTime-p.Active < idle.Milliseconds() {
			least, alive = min(least, p.NewestTime), true
		}
	}
	switch {
	case ended:
		return tables.EndOfTime
	case alive:
		return least
	}
	return newest
}

// End says that nothing comes any more: when all is read, each window has ended. Windows close, and rows go, as they would if time went on
// for ever.
func (p *Processors) End() { p.ended.Store(true) }
