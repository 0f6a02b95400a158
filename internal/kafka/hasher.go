package kafka

import (
	"encoding/binary"
	"hash"
)

// Partition returns the partition of key as Java's default partitioner chooses it for a record with a key, so that our
// topics are co-partitioned with everybody else's: murmur2(key) without its sign, modulo partitions, which must be > 0
// (org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey).
func Partition(key []byte, partitions int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % partitions
}

// NewHasher returns the hash for goka.WithHasher and its siblings. Its Sum32 is murmur2 without its sign, because Goka
// takes int32(sum), negates it when it is negative and divides: for sums below 2^31 that is [Partition].
func NewHasher() hash.Hash32 { return &murmur{} }

// murmur collects what is written: murmur2 begins with the length.
type murmur struct{ buf []byte }

func (m *murmur) Write(p []byte) (int, error) { m.buf = append(m.buf, p...); return len(p), nil }
func (m *murmur) Sum32() uint32               { return murmur2(m.buf) & 0x7fffffff }
func (m *murmur) Sum(b []byte) []byte         { return binary.BigEndian.AppendUint32(b, m.Sum32()) }
func (m *murmur) Reset()                      { m.buf = m.buf[:0] }
func (m *murmur) Size() int                   { return 4 }
func (m *murmur) BlockSize() int              { return 4 }

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2: 32 bits, seed 0x9747b28c.
func murmur2(b []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(b))
	for len(b) >= 4 {
		k := binary.LittleEndian.Uint32(b) * m
		k ^= k >> r
		h = h*m ^ k*m
		b = b[4:]
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
