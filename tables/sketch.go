package tables

import "github.com/brotally/brotally/feeds"

// sketch is what an aggregate keeps in an extra where words do not do: it grows with the values that it takes in, up to a
// bound. It belongs to one State.
type sketch interface {
	// add takes in a value that is not NULL, and keeps nothing of it.
	add(v feeds.Value)
	// merge takes in what other has, which is of the same type and stays as it is.
	merge(other sketch)
	// append writes a form that knows where it ends. read overwrites an empty sketch with it; ok is false when b is cut or
	// holds what append cannot have written.
	append(b []byte) []byte
	read(b []byte) (rest []byte, ok bool)
	// bytes estimates the memory that it takes. It is asked before and after every change.
	bytes() int
}

// sketched is the kernel of the aggregates that keep a sketch.
type sketched struct {
	cell
	version byte // of the stored form
	empty   func() sketch
	result  func(sketch) feeds.Value
	none    feeds.Value // of no values
}

func (a sketched) take(s State, v feeds.Value) {
	k := a.of(s)
	before := k.bytes()
	k.add(v)
	s.grow(k.bytes() - before)
}

// of returns the sketch in s, a new one if there is none.
func (a sketched) of(s State) sketch {
	if !a.seen(s) {
		a.mark(s.W)
		k := a.empty()
		s.X[a.x] = k
		s.grow(k.bytes())
		return k
	}
	return s.X[a.x].(sketch)
}

func (a sketched) merge(dst, src State) {
	if !a.seen(src) {
		return
	}
	k := a.of(dst)
	before := k.bytes()
	k.merge(src.X[a.x].(sketch))
	dst.grow(k.bytes() - before)
}

func (a sketched) append(b []byte, s State) []byte {
	if !a.seen(s) {
		return b
	}
	return s.X[a.x].(sketch).append(append(b, a.version))
}

func (a sketched) read(b []byte, s State) (rest []byte, ok bool) {
	if !a.seen(s) {
		return b, true
	}
	if len(b) == 0 || b[0] != a.version {
		return b, false
	}
	k := a.empty()
	if rest, ok = k.read(b[1:]); ok {
		s.X[a.x] = k
		s.grow(k.bytes())
	}
	return rest, ok
}

func (a sketched) value(s State) feeds.Value {
	if !a.seen(s) {
		return a.none
	}
	return a.result(s.X[a.x].(sketch))
}

// maxSketchText is how long a string in a sketch may be, in bytes; longer ones are cut and get a hash suffix, as group keys
// do: a sketch holds many.
const maxSketchText = 256
