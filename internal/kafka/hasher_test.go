package kafka

import (
	"fmt"
	"testing"
)

// Vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
func TestMurmur2IsJavas(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

// Goka takes int32(sum), negates it when it is negative and divides by the number of partitions (processor.go, view.go).
func TestHasherAndGokasFormulaGiveThePartition(t *testing.T) {
	goka := func(sum uint32, n int32) int32 {
		h := int32(sum)
		if h < 0 {
			h = -h
		}
		return h % n
	}
	h := NewHasher()
	for i := range 10_000 {
		key := fmt.Appendf(nil, "10.0.%d.%d|type-%d", i%256, i/256, i%7)
		for _, n := range []int32{1, 2, 3, 4, 7, 12, 100} {
			h.Reset()
			h.Write(key[:3]) //nolint:errcheck // never fails
			h.Write(key[3:]) //nolint:errcheck // in two pieces it is the same
			p := Partition(key, n)
			if got := goka(h.Sum32(), n); got != p {
				t.Fatalf("key %q of %d: goka chooses %d, Partition %d", key, n, got, p)
			}
			if p < 0 || p >= n {
				t.Fatalf("key %q of %d: partition %d", key, n, p)
			}
		}
	}
	if got := Partition(nil, 4); got != Partition([]byte{}, 4) {
		t.Errorf("nil and the empty key differ: %d", got)
	}
}

func TestHasherSizes(t *testing.T) {
	h := NewHasher()
	h.Write([]byte("foobar")) //nolint:errcheck // never fails
	if h.Size() != 4 || h.BlockSize() < 1 || len(h.Sum(nil)) != 4 {
		t.Errorf("size %d, block %d, sum %x", h.Size(), h.BlockSize(), h.Sum(nil))
	}
}
