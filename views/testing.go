package views

import "github.com/brotally/brotally/internal/grouptable"

// Fill gives the view a store of so many partitions, as if it had been recovered: for tests of what reads views, without Kafka.
func (v *View) Fill(store *grouptable.Store, partitions int32) {
	v.hold(held{store: store, partitions: partitions, ready: true, state: "ready"})
}

// Restoring makes the view one that has total offsets of its changelog to read before it is ready: for such tests too.
func (v *View) Restoring(total int64) {
	h := *v.held.Load()
	h.ready, h.total, h.state = false, total, "is being restored"
	v.hold(h)
}
