package processors

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/brotally/brotally/internal/kafka"
)

// purger deletes the partials that stage 2 has used, beside it: no commit waits for that.
type purger struct {
	topic string
	admin *kafka.Admin
	log   *slog.Logger

	mu   sync.Mutex // guards all below
	upto map[int32]int64
}

// purgeEvery is how often used partials are deleted.
const purgeEvery = 30 * time.Second

// note says what has been committed: nobody needs what lies before it.
func (p *purger) note(committed offsets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.upto == nil {
		p.upto = map[int32]int64{}
	}
	maps.Copy(p.upto, committed[p.topic])
}

// run deletes until ctx is done, which is no error. Nothing else is one either: what stays is deleted next time.
func (p *purger) run(ctx context.Context) error {
	every := time.NewTicker(purgeEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			p.purge()
		}
	}
}

func (p *purger) purge() {
	p.mu.Lock()
	upto := p.upto
	p.upto = nil
	p.mu.Unlock()
	if err := p.admin.DeleteRecords(p.topic, upto); err != nil {
		p.log.Warn("used partials stay for now", "topic", p.topic, "why", err)
	}
}
