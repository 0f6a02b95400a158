package tables

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// BenchmarkSessions is what it takes to find a record's session: of one host among many whose session goes on, and of one host
// that has a hundred thousand sessions which come in any order.
func BenchmarkSessions(b *testing.B) {
	w := &window{Window: Window{Gap: time.Second}}
	b.Run("go on", func(b *testing.B) {
		s := newSessions(w)
		groups := make([][]byte, 1000)
		for i := range groups {
			groups[i] = fmt.Appendf(nil, "host %d", i)
		}
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			at := int64(i) * 100
			s.join(groups[i%len(groups)], at, at)
			i++
		}
	})
	b.Run("new ones in any order", func(b *testing.B) {
		order := rand.New(rand.NewPCG(1, 1)).Perm(100_000)
		for b.Loop() {
			s := newSessions(w)
			for _, i := range order {
				s.join([]byte("host"), int64(i)*10_000_000, int64(i)*10_000_000)
			}
		}
	})
}

// TestSessionsKnowTheirMemory compares bytes with what the heap grows by: of many groups with a session each, and of many
// sessions of one group, in order and not.
func TestSessionsKnowTheirMemory(t *testing.T) {
	const n = 20_000
	for name, add := range map[string]func(s *sessions, i int){
		"groups":   func(s *sessions, i int) { s.join(fmt.Appendf(nil, "host %d", i), 1, 1) },
		"in order": func(s *sessions, i int) { at := int64(i) * 10_000_000; s.join([]byte("host"), at, at) },
		"random":   func(s *sessions, i int) { at := int64(i) * 7919 % n * 10_000_000; s.join([]byte("host"), at, at) },
	} {
		s := newSessions(&window{Window: Window{Gap: time.Second}})
		before := heapBytes()
		for i := range n {
			add(s, i)
		}
		took := heapBytes() - before
		t.Logf("%s: %d bytes each, counted %d", name, took/n, s.bytes/n)
		if s.bytes < took*3/4 || s.bytes > took*3/2 {
			t.Errorf("%s: %d bytes, counted %d", name, took, s.bytes)
		}
		runtime.KeepAlive(s)
	}
}
