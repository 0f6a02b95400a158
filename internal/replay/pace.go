package replay

import (
	"context"
	"time"
)

const (
	// nap is the shortest wait; what is due sooner goes at once. Timers are no finer.
	nap = time.Millisecond

	// catchUp is how far a pace that fell behind, because Kafka was slow, may run ahead of itself afterwards.
	catchUp = time.Second
)

// pace says when the next record goes.
type pace struct {
	rate  float64 // records a second; 0 is no limit
	speed float64 // 1 is as the records' ts say, 10 ten times as fast; 0 takes no notice of them

	begun   bool
	start   time.Time // when the record at firstTS went
	firstTS int64     // Unix microseconds
	slot    time.Time // when the next record goes by the rate
}

// wait returns when the record of ts (Unix microseconds) is due, or with the context's error.
func (p *pace) wait(ctx context.Context, ts int64) error {
	if p.rate == 0 && p.speed == 0 {
		return ctx.Err()
	}
	now := time.Now()
	if !p.begun {
		p.begun, p.start, p.firstTS, p.slot = true, now, ts, now
	}
	due := now
	if p.speed > 0 {
		// Records that are older than the first, or out of order, go at once.
		due = p.start.Add(time.Duration(float64(ts-p.firstTS) * 1000 / p.speed))
	}
	if p.rate > 0 {
		if now.Sub(p.slot) > catchUp {
			p.slot = now.Add(-catchUp)
		}
		if p.slot.After(due) {
			due = p.slot
		}
		p.slot = p.slot.Add(time.Duration(float64(time.Second) / p.rate))
	}
	left := due.Sub(now)
	if left < nap {
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
