package tables

import (
	"testing"

	"github.com/brotally/brotally/feeds"
)

// TestEveryKernelTakesValuesInOneWay checks what bind relies on, for every aggregate and every type that it has.
func TestEveryKernelTakesValuesInOneWay(t *testing.T) {
	specs := map[string]*aggregateSpec{"count(DISTINCT x)": exactDistinct}
	for name, spec := range aggregates {
		if spec.reads == nil { // else it takes none
			specs[name] = spec
		}
	}
	for name, spec := range specs {
		for _, in := range append(kinds.Columns, feeds.Column{Name: "array", Type: feeds.ArrayOf(feeds.String)}) {
			k, _, ok := spec.kernel(argument{in.Type, 1}, &cell{})
			if !ok {
				continue
			}
			ways := 0
			for _, is := range []bool{is[wordKernel](k), is[extraKernel](k), is[timedKernel](k)} {
				if is {
					ways++
				}
			}
			if ways != 1 {
				t.Errorf("%s of %s: %d ways", name, in.Type, ways)
			}
			if words, extras, _ := spec.room(in.Type); is[extraKernel](k) != (extras > 0 && !is[timedKernel](k)) {
				t.Errorf("%s of %s takes %d words and %d extras, and values by the wrong way", name, in.Type, words, extras)
			}
		}
	}
}

func is[T any](k kernel) bool {
	_, ok := k.(T)
	return ok
}
