package tables

import (
	"encoding/binary"
	"slices"

	"github.com/brotally/brotally/feeds"
)

// valueSet is array_agg(DISTINCT x): the smallest maxSet of the different values, in order. Which ones these are does not
// depend on the order in which they come.
type valueSet struct {
	kind   feeds.Kind
	values []feeds.Value
	held   int // bytes of strings
}

const maxSet = 100

func (s *valueSet) add(v feeds.Value) {
	v = canonical(v)
	if v.Kind() == feeds.String && len(v.Str()) > maxSketchText {
		v = feeds.StringValue(cutHashed(v.Str(), maxSketchText))
	}
	i, found := slices.BinarySearchFunc(s.values, v, feeds.Compare)
	if found || i == maxSet {
		return
	}
	if len(s.values) == maxSet {
		s.held -= len(s.values[maxSet-1].Str())
		s.values = s.values[:maxSet-1]
	}
	s.values = slices.Insert(s.values, i, v.Clone())
	s.held += len(v.Str())
}

func (s *valueSet) merge(other sketch) {
	for _, v := range other.(*valueSet).values {
		s.add(v)
	}
}

func (s *valueSet) bytes() int { return 64 + valueBytes*cap(s.values) + s.held }

func (s *valueSet) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.values)))
	for _, v := range s.values {
		b = v.AppendKey(b)
	}
	return b
}

func (s *valueSet) read(b []byte) (rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > maxSet {
		return b, false
	}
	b = b[size:]
	for range n {
		head := b[:min(len(b), maxSketchText+8)] // no value is longer
		v, left, ok := feeds.ReadKey(string(head))
		if !ok || v.Kind() != s.kind || len(s.values) > 0 && feeds.Compare(s.values[len(s.values)-1], v) >= 0 {
			return b, false
		}
		s.values = append(s.values, canonical(v))
		s.held += len(v.Str())
		b = b[len(head)-len(left):]
	}
	return b, true
}
