package tables

import "container/heap"

// dueRows says which rows are to be looked at when the clock has come to a time. A row has one time at most: it is looked at no later
// than it is due, and goes on the list again if that is later than it was when it came on.
type dueRows struct {
	at    []int64            // by entry of the rows; notDue: it has none
	lists map[int64][]uint32 // entries, by time
	times timeHeap           // of the lists
}

const notDue = EndOfTime

func newDueRows() *dueRows { return &dueRows{lists: map[int64][]uint32{}} }

// add notes when an entry is due. Once it is on the list for an earlier time it stays there.
func (d *dueRows) add(i uint32, at int64) {
	for int(i) >= len(d.at) {
		d.at = append(d.at, notDue)
	}
	if d.at[i] <= at {
		return
	}
	d.at[i] = at
	list, there := d.lists[at]
	if !there {
		heap.Push(&d.times, at)
	}
	d.lists[at] = append(list, i)
}

// next takes an entry off whose time has come by clock; ok is false when there is none.
func (d *dueRows) next(clock int64) (i uint32, ok bool) {
	for len(d.times) > 0 && d.times[0] <= clock {
		at := d.times[0]
		list := d.lists[at]
		for len(list) > 0 {
			i, list = list[len(list)-1], list[:len(list)-1]
			if d.at[i] == at { // else it has come on the list for an earlier time since
				d.at[i], d.lists[at] = notDue, list
				return i, true
			}
		}
		heap.Pop(&d.times)
		delete(d.lists, at)
	}
	return 0, false
}

// timeHeap is a heap.Interface of times, the earliest first.
type timeHeap []int64

func (h timeHeap) Len() int           { return len(h) }
func (h timeHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h timeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timeHeap) Push(x any)        { *h = append(*h, x.(int64)) }

func (h *timeHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
