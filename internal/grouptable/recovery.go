package grouptable

import "time"

// recovery is the reading of one partition's changelog, and what others may know of it meanwhile: the Store has been told of
// whole answers of the broker. The partition's lock is held for each, and free in between.
type recovery struct {
	store     *Store
	partition *Partition
	began     time.Time

	at      int64 // offset behind the last record that was taken in
	records int64 // that the store has not been told of

	told int64 // the at that it has been told of
	left int64 // what it was told to be left
}

// tellEvery is how often the log is told of a recovery that takes long.
const tellEvery = 5 * time.Second

// around takes in one answer. target is where the reading ends.
func (r *recovery) around(target int64, give func() error) error {
	err := r.partition.locked(func() error {
		defer r.note(target)
		return give()
	})
	r.tell()
	return err
}

// note tells the store how far it is. The caller holds the partition's lock.
func (r *recovery) note(target int64) {
	p, s := r.partition, r.store
	p.next = max(p.next, r.at)
	s.recovered.Add(r.records)
	s.offset.Add(r.at - r.told)
	r.records, r.told = 0, r.at
	r.remain(max(0, target-r.at))
}

// remain says how many offsets are left to be read.
func (r *recovery) remain(left int64) {
	r.store.remaining.Add(left - r.left)
	r.left = left
}

// tell tells the log how all partitions stand, if it has not heard of them for some time.
func (r *recovery) tell() {
	s, now := r.store, time.Now()
	last := s.told.Load()
	if now.Sub(r.began) < tellEvery || now.UnixNano()-last < int64(tellEvery) || !s.told.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	s.config.Log.Info("recovering", "table", s.config.Table.Name, "records", s.Recovered(), "remaining", s.Remaining())
}
