package tables

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/brotally/brotally/feeds"
)

// heavyHitters is top_k: the summary of Misra and Gries, which is Space-Saving's (Agarwal et al., Mergeable Summaries, 2012,
// show that each is the other with a constant added) in the form that merges without loss. It counts at most `size` values;
// of n values each count is at most missed below the truth and never above it, and missed <= n / (size+1): every value that
// is more often than that is among them. Of no more than size different values the counts are exact.
type heavyHitters struct {
	kind   feeds.Kind
	size   int
	counts []heavyHitter
	index  map[string]int // places in counts by key
	missed uint64
	held   int // bytes of keys
}

type heavyHitter struct {
	key   string // a string's text, another value's group key
	count uint64
}

// hitters is how many values are counted to name the first k: twenty times as many, for a summary forgets first what is
// hardly more often than the rest; within limits that a record of Kafka can hold.
func hitters(k int) int { return min(max(20*k, 200), 800) }

func newHeavyHitters(kind feeds.Kind, k int) *heavyHitters {
	return &heavyHitters{kind: kind, size: hitters(k), index: map[string]int{}}
}

func (h *heavyHitters) add(v feeds.Value) {
	if v.Kind() == feeds.String {
		text := v.Str()
		if len(text) > maxSketchText {
			text = cutHashed(text, maxSketchText)
		}
		if i, ok := h.index[text]; ok {
			h.counts[i].count++
			return
		}
		h.insert(strings.Clone(text), 1)
		return
	}
	var space [64]byte
	key := v.AppendKey(space[:0])
	if i, ok := h.index[string(key)]; ok {
		h.counts[i].count++
		return
	}
	h.insert(string(key), 1)
}

// insert counts a value that is not counted yet. Where there is no room, all counts are lowered until there is: by one,
// or, when it comes that often, by the least of them.
func (h *heavyHitters) insert(key string, count uint64) {
	for len(h.counts) >= h.size {
		least := count
		for _, c := range h.counts {
			least = min(least, c.count)
		}
		h.lower(least)
		if count -= least; count == 0 {
			return
		}
	}
	h.index[key] = len(h.counts)
	h.counts = append(h.counts, heavyHitter{key, count})
	h.held += len(key)
}

// lower takes by off every count and forgets those that had no more.
func (h *heavyHitters) lower(by uint64) {
	h.missed += by
	keep := h.counts[:0]
	for _, c := range h.counts {
		if c.count <= by {
			h.held -= len(c.key)
			delete(h.index, c.key)
			continue
		}
		h.index[c.key] = len(keep)
		keep = append(keep, heavyHitter{c.key, c.count - by})
	}
	clear(h.counts[len(keep):])
	h.counts = keep
}

func (h *heavyHitters) merge(other sketch) {
	o := other.(*heavyHitters)
	h.missed += o.missed
	for _, c := range o.counts {
		if i, ok := h.index[c.key]; ok {
			h.counts[i].count += c.count
			continue
		}
		h.index[c.key] = len(h.counts)
		h.counts = append(h.counts, c)
		h.held += len(c.key)
	}
	if len(h.counts) <= h.size {
		return
	}
	// Of up to 2*size values the first size stay: the count of the next one is taken off all.
	counts := make([]uint64, len(h.counts))
	for i, c := range h.counts {
		counts[i] = c.count
	}
	slices.Sort(counts)
	h.lower(counts[len(counts)-1-h.size])
}

// sorted returns the counts, highest first; equal ones by compare.
func (h *heavyHitters) sorted(compare func(a, b string) int) []heavyHitter {
	return slices.SortedFunc(slices.Values(h.counts), func(a, b heavyHitter) int {
		if c := cmp.Compare(b.count, a.count); c != 0 {
			return c
		}
		return compare(a.key, b.key)
	})
}

func (h *heavyHitters) valueOf(key string) feeds.Value {
	if h.kind == feeds.String {
		return feeds.StringValue(key)
	}
	v, _, _ := feeds.ReadKey(key)
	return v
}

// top returns the k values that are most often, as an array; of equally frequent ones the smallest.
func (h *heavyHitters) top(k int) feeds.Value {
	sorted := h.sorted(func(a, b string) int { return feeds.Compare(h.valueOf(a), h.valueOf(b)) })
	list := make([]feeds.Value, 0, min(k, len(sorted)))
	for _, c := range sorted[:min(k, len(sorted))] {
		list = append(list, h.valueOf(c.key))
	}
	return feeds.ArrayValue(list)
}

func (h *heavyHitters) bytes() int { return 160 + h.held + 80*len(h.counts) }

// append writes what is missed and the values with their counts, highest first.
func (h *heavyHitters) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, h.missed), uint64(len(h.counts)))
	for _, c := range h.sorted(strings.Compare) {
		b = append(binary.AppendUvarint(b, uint64(len(c.key))), c.key...)
		b = binary.AppendUvarint(b, c.count)
	}
	return b
}

func (h *heavyHitters) read(b []byte) (rest []byte, ok bool) {
	missed, size := binary.Uvarint(b)
	if size <= 0 {
		return b, false
	}
	b = b[size:]
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(h.size) {
		return b, false
	}
	h.missed, b = missed, b[size:]
	for range n {
		length, size := binary.Uvarint(b)
		if size <= 0 || length > maxSketchText || length > uint64(len(b)-size) {
			return b, false
		}
		key := string(b[size : size+int(length)])
		b = b[size+int(length):]
		count, size := binary.Uvarint(b)
		if size <= 0 || count == 0 {
			return b, false
		}
		b = b[size:]
		if h.kind != feeds.String {
			if v, rest, ok := feeds.ReadKey(key); !ok || rest != "" || v.Kind() != h.kind {
				return b, false
			}
		}
		if _, twice := h.index[key]; twice {
			return b, false
		}
		h.index[key] = len(h.counts)
		h.counts = append(h.counts, heavyHitter{key, count})
		h.held += len(key)
	}
	return b, true
}
