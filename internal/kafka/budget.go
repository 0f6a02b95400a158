package kafka

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Budget bounds what many readers ask for at the same time: as many bytes of each broker as one request may have in all
// (fetch.max.bytes), however many partitions and tables there are. What was asked for counts until it has been given to the
// reader's function. Who comes first is served first, so that of several tables the small ones are read to their end early.
//
// It goes by broker, so that one that hangs holds up nobody who reads from another. It is safe for concurrent use.
type Budget struct {
	most int64 // bytes

	mu sync.Mutex // guards of
	of map[string]*semaphore.Weighted
}

// NewBudget returns a Budget of that many bytes a broker, at least one.
func NewBudget(most int32) *Budget {
	return &Budget{most: max(int64(most), 1), of: map[string]*semaphore.Weighted{}}
}

// take waits until n bytes may be asked for of the broker at addr. An answer that is larger than all goes alone. free, which is
// called once, gives them back. The error is ctx's. A nil Budget has no bound.
func (b *Budget) take(ctx context.Context, addr string, n int32) (free func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	b.mu.Lock()
	s, ok := b.of[addr]
	if !ok {
		s = semaphore.NewWeighted(b.most)
		b.of[addr] = s
	}
	b.mu.Unlock()
	bytes := min(int64(n), b.most)
	if err := s.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return func() { s.Release(bytes) }, nil
}
