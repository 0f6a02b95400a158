package tables

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// members are the set's, sorted.
func members(s *byteSet) []string {
	var all []string
	for _, value := range s.from(0) {
		all = append(all, string(value))
	}
	slices.Sort(all)
	return all
}

// TestByteSetIsASet compares byteSet with a Go map over random changes.
func TestByteSetIsASet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var s byteSet
		want := map[string]bool{}
		value := func() []byte {
			return []byte(strings.Repeat(rapid.SampledFrom([]string{"", "a", "b", "\x00", "ü"}).Draw(rt, "value"), rapid.IntRange(0, 150).Draw(rt, "times")))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(rt, "n") {
					v := value()
					if fresh := s.add(v); fresh == want[string(v)] {
						rt.Fatalf("adding %q: fresh is %v", v, fresh)
					}
					want[string(v)] = true
				}
			},
			"remove": func(rt *rapid.T) {
				for range rapid.IntRange(1, 10).Draw(rt, "n") {
					v := value()
					s.remove(v)
					delete(want, string(v))
				}
			},
			"take back what was added": func(rt *rapid.T) {
				place, n := len(s.data), s.n
				for range rapid.IntRange(1, 10).Draw(rt, "n") {
					s.add(value())
				}
				s.cut(place, n)
			},
			"write and read": func(rt *rapid.T) {
				b := s.append(nil)
				var back byteSet
				rest, ok := back.read(append(slices.Clone(b), "rest"...), 1000)
				if !ok || string(rest) != "rest" {
					rt.Fatalf("%x does not read back: %q is left", b, rest)
				}
				if cut := rapid.IntRange(0, len(b)-1).Draw(rt, "cut"); new(byteSet).readsAll(b[:cut]) {
					rt.Fatalf("%x was read without its last %d bytes", b, len(b)-cut)
				}
				s = back
			},
			"cut into pieces": func(rt *rapid.T) {
				most := rapid.IntRange(1, 500).Draw(rt, "most")
				var all byteSet
				n := 0
				for piece := range s.pieces(most) {
					if piece.n == 0 || len(members(&piece)) != piece.n || s.gone == 0 && len(piece.data) > most+400 {
						rt.Fatalf("a piece of %d bytes has %d values and says %d", len(piece.data), len(members(&piece)), piece.n)
					}
					n += piece.n
					for _, v := range piece.from(0) {
						all.add(v)
					}
				}
				if n != s.n || !slices.Equal(members(&all), members(&s)) {
					rt.Fatalf("pieces have %d values, the set %d", n, s.n)
				}
			},
			"": func(rt *rapid.T) {
				if got := members(&s); s.n != len(want) || !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
					rt.Fatalf("%q, %d of them, want %d", got, s.n, len(want))
				}
				for v := range want {
					if !s.has([]byte(v)) {
						rt.Fatalf("%q is not found", v)
					}
				}
				if v := value(); s.has(v) != want[string(v)] {
					rt.Fatalf("%q is found: %v", v, !want[string(v)])
				}
			},
		})
	})
}

func (s *byteSet) readsAll(b []byte) bool {
	rest, ok := s.read(b, 1000)
	return ok && len(rest) == 0
}

func TestByteSetsReadNothingLongerThanAllowed(t *testing.T) {
	var long byteSet
	long.add([]byte("four"))
	if _, ok := new(byteSet).read(long.append(nil), 3); ok {
		t.Error("a value over the limit was read")
	}
}
