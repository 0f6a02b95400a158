package tables

import "container/heap"

// dueRows says which rows are to be looked at when the clock has come to a time. A row has one time at most: it is looked at no later
// than it is due, and is noted again if that is later than it was when it was noted. It holds no pointers, for there may be millions.
type dueRows struct {
	at    []int64 // by entry of the rows; notDue: it has none
	order dueHeap // of all times, those that were overtaken by earlier ones included
}

// dueRow is an entry of the rows and a time that it had.
type dueRow struct {
	at    int64
	entry uint32
}

const notDue = EndOfTime

func newDueRows() *dueRows { return &dueRows{} }

// add notes when an entry is due. Once it is noted for an earlier time that stays.
func (d *dueRows) add(i uint32, at int64) {
	for int(i) >= len(d.at) {
		d.at = append(d.at, notDue)
	}
	if d.at[i] <= at {
		return
	}
	d.at[i] = at
	heap.Push(&d.order, dueRow{at, i})
}

// next takes an entry off whose time has come by clock; ok is false when there is none.
func (d *dueRows) next(clock int64) (i uint32, ok bool) {
	for len(d.order) > 0 && d.order[0].at <= clock {
		row := heap.Pop(&d.order).(dueRow)
		if d.at[row.entry] == row.at { // else it was noted for an earlier time since
			d.at[row.entry] = notDue
			return row.entry, true
		}
	}
	return 0, false
}

// dueHeap is a heap.Interface of times, the earliest first.
type dueHeap []dueRow

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueRow)) }

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
