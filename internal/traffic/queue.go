package traffic

// queue holds what is due, earliest first; equal times in the order of push. A binary heap of its own: container/heap
// boxes each element.
type queue struct {
	heap []due
	slab []item  // what is due, by slot
	free []int32 // unused slots of slab
	seq  uint64
}

// due is the small part of an item that the heap moves about.
type due struct {
	at   int64 // Unix microseconds
	seq  uint64
	slot int32
}

// item is a message to be written, or something to be done if wake is set.
type item struct {
	at        int64 // Unix microseconds
	wake      func()
	feed      string
	value     []byte
	origH     string // dns only
	qtypeName string // dns only; empty if absent
	poison    bool
}

func (d due) before(e due) bool {
	return d.at < e.at || d.at == e.at && d.seq < e.seq
}

// push adds it.
func (q *queue) push(it item) {
	var slot int32
	if k := len(q.free); k > 0 {
		slot = q.free[k-1]
		q.free = q.free[:k-1]
		q.slab[slot] = it
	} else {
		slot = int32(len(q.slab))
		q.slab = append(q.slab, it)
	}
	q.seq++
	d := due{at: it.at, seq: q.seq, slot: slot}
	q.heap = append(q.heap, d)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !d.before(q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = d
}

// pop removes the earliest item. The queue is never empty: act and the scenes put themselves back.
func (q *queue) pop() item {
	top := q.heap[0]
	last := len(q.heap) - 1
	d := q.heap[last]
	q.heap = q.heap[:last]
	if last > 0 {
		i := 0
		for {
			down := 2*i + 1
			if down >= last {
				break
			}
			if down+1 < last && q.heap[down+1].before(q.heap[down]) {
				down++
			}
			if !q.heap[down].before(d) {
				break
			}
			q.heap[i] = q.heap[down]
			i = down
		}
		q.heap[i] = d
	}
	it := q.slab[top.slot]
	q.slab[top.slot] = item{} // or the value stays alive for as long as the slot is free
	q.free = append(q.free, top.slot)
	return it
}
