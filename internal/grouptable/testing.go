package grouptable

// Fill gives the Store n empty partitions, as if recovered from an empty changelog, and returns them to be filled with
// [Partition.Update]: for tests of what reads a Store, without Kafka.
func (s *Store) Fill(n int32) []*Partition {
	filled := make([]*Partition, n)
	s.mu.Lock()
	for number := range n {
		filled[number] = newPartition(s.config, s.notify, &s.version)
		s.partitions[number] = filled[number]
	}
	s.mu.Unlock()
	s.notify()
	return filled
}
