package web

import (
	"sync"
	"time"

	"github.com/brotally/brotally/views/client"
)

const (
	remembered = 120             // seconds of rates
	smooth     = 3 * time.Second // over which one rate is taken
)

// history is how many records the tables have read, of the last minutes. The zero value is ready.
type history struct {
	mu     sync.Mutex // guards tables
	tables map[string][]total
}

// total is how many records had been read at a time.
type total struct {
	at   time.Time
	read int64
}

// note adds what the tables say at a time, and forgets tables that are no longer there.
func (h *history) note(at time.Time, tables []client.Table) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := make(map[string][]total, len(tables))
	for _, t := range tables {
		if !t.Ready {
			continue
		}
		before := h.tables[t.Name]
		if n := len(before); n > 0 && before[n-1].read > t.Counts.Read {
			before = nil // the table began anew
		}
		before = append(before, total{at, t.Counts.Read})
		next[t.Name] = before[max(0, len(before)-remembered-int(smooth/time.Second)):]
	}
	h.tables = next
}

// rates returns a table's records a second, oldest first, a second apart. There are none at first.
func (h *history) rates(table string) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	totals := h.tables[table]
	var rates []float64
	for i, from := 1, 0; i < len(totals); i++ {
		for totals[i].at.Sub(totals[from].at) > smooth {
			from++
		}
		if from == i {
			continue // nothing was noted for a while
		}
		rates = append(rates, float64(totals[i].read-totals[from].read)/totals[i].at.Sub(totals[from].at).Seconds())
	}
	return rates
}
