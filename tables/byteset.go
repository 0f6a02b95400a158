package tables

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
)

// byteSet is a set of byte strings in two pieces of memory without pointers: one holds them, one after the other, the other
// finds them. It is small while it holds few, for a table may have one a group.
type byteSet struct {
	data  []byte   // of each: its length times two as uvarint, one more when it was removed, then its bytes
	index []uint32 // place in data and one, by hash; 0: free. nil: few are looked through, or it is made when it is needed
	n     int
	gone  int // removed ones that data still has
}

// fewBytes is up to how many bytes of data are looked through without an index.
const fewBytes = 64

var byteSetSeed = maphash.MakeSeed()

// add copies value into the set; fresh says that it was not there.
func (s *byteSet) add(value []byte) (fresh bool) {
	if s.find(value) >= 0 {
		return false
	}
	at := len(s.data)
	s.data = binary.AppendUvarint(s.data, uint64(len(value))<<1)
	s.data = append(s.data, value...)
	s.n++
	if s.index != nil {
		if (s.n+s.gone)*4 > len(s.index)*3 {
			s.index = nil // made anew, larger, by the next find
			return true
		}
		s.place(value, at)
	}
	return true
}

// remove takes value out, if it is there.
func (s *byteSet) remove(value []byte) {
	if at := s.find(value); at >= 0 {
		s.drop(at)
	}
}

// drop takes out what lies at a place of data. The index keeps pointing to it, which makes others findable behind it.
func (s *byteSet) drop(at int) {
	s.data[at] |= 1
	s.n--
	if s.gone++; s.n == 0 {
		*s = byteSet{}
	}
}

func (s *byteSet) has(value []byte) bool { return s.find(value) >= 0 }

// find returns the place of value in data, -1 if it is not there.
func (s *byteSet) find(value []byte) int {
	if len(s.data) <= fewBytes {
		for at := 0; at < len(s.data); {
			have, gone, next := s.at(at)
			if !gone && string(have) == string(value) {
				return at
			}
			at = next
		}
		return -1
	}
	if s.index == nil {
		s.makeIndex()
	}
	mask := uint64(len(s.index) - 1)
	for slot := maphash.Bytes(byteSetSeed, value) & mask; ; slot = (slot + 1) & mask {
		if s.index[slot] == 0 {
			return -1
		}
		at := int(s.index[slot] - 1)
		if have, gone, _ := s.at(at); !gone && string(have) == string(value) {
			return at
		}
	}
}

// at returns what lies at a place of data, whether it was removed, and the place behind it.
func (s *byteSet) at(place int) (value []byte, gone bool, next int) {
	head, n := binary.Uvarint(s.data[place:])
	from := place + n
	next = from + int(head>>1)
	return s.data[from:next], head&1 != 0, next
}

// makeIndex makes an index with room for twice as many.
func (s *byteSet) makeIndex() {
	size := 16
	for size < 2*(s.n+s.gone) {
		size *= 2
	}
	s.index = make([]uint32, size)
	for at := 0; at < len(s.data); {
		value, _, next := s.at(at)
		s.place(value, at)
		at = next
	}
}

func (s *byteSet) place(value []byte, at int) {
	mask := uint64(len(s.index) - 1)
	slot := maphash.Bytes(byteSetSeed, value) & mask
	for s.index[slot] != 0 {
		slot = (slot + 1) & mask
	}
	s.index[slot] = uint32(at) + 1
}

// from returns what was added since data had that many bytes, in that order; 0: all. Values are valid until the next change,
// but for those that drop takes out.
func (s *byteSet) from(place int) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for at := place; at < len(s.data); {
			value, gone, next := s.at(at)
			if !gone && !yield(at, value) {
				return
			}
			at = next
		}
	}
}

// cut takes out what was added since data had that many bytes and the set n members. None of the others was removed since.
func (s *byteSet) cut(place, n int) {
	if n == 0 {
		*s = byteSet{}
		return
	}
	s.data, s.index, s.n = s.data[:place], nil, n
}

// pieces returns the set in sets of about most bytes, at least one value each; they alias s.
func (s *byteSet) pieces(most int) iter.Seq[byteSet] {
	return func(yield func(byteSet) bool) {
		begin, n := 0, 0
		for at := range s.from(0) {
			if n > 0 && at-begin >= most {
				if !yield(byteSet{data: s.data[begin:at:at], n: n, gone: s.gone}) {
					return
				}
				begin, n = at, 0
			}
			n++
		}
		if n > 0 {
			yield(byteSet{data: s.data[begin:len(s.data):len(s.data)], n: n, gone: s.gone})
		}
	}
}

// bytes is the memory that it takes.
func (s *byteSet) bytes() int { return cap(s.data) + 4*cap(s.index) }

// append writes the number of members and, with their lengths, these. A set that takes none out has them so already.
func (s *byteSet) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(s.n))
	if s.gone == 0 {
		return append(b, s.data...)
	}
	for _, value := range s.from(0) {
		b = append(binary.AppendUvarint(b, uint64(len(value))<<1), value...)
	}
	return b
}

// read fills an empty set with what append wrote, each at most that long; ok is false when b is cut or is something else.
func (s *byteSet) read(b []byte, longest int) (rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return b, false
	}
	b = b[size:]
	end := 0
	for range n {
		head, size := binary.Uvarint(b[end:])
		if size <= 0 || head&1 != 0 || head>>1 > uint64(min(longest, len(b)-end-size)) {
			return b, false
		}
		end += size + int(head>>1)
	}
	s.data, s.n = append([]byte(nil), b[:end]...), int(n)
	return b[end:], true
}
