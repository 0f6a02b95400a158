package tables_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables"
)

// deals folds a script's table over its records again and again: in any order, dealt to any number of source partitions, with
// commits at any moment, some stages dying between two of them and reading what they had not committed once more, as plain JSON,
// as tagged JSON and, what a Zeek log can say, from TSV. The rows are always the same; sums of doubles to 1e-9.
func (s *script) deals(t *tables.Table, want [][]feeds.Value) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	fromTSV := s.fromTSV(t.Feed.Name)
	for range 8 {
		got := s.dealt(r, t, fromTSV)
		if !slices.EqualFunc(want, got, func(a, b []feeds.Value) bool { return slices.EqualFunc(a, b, nearlyEqual) }) {
			s.t.Errorf("table %s depends on how records come (seed %d):\n%s\nwant\n%s", t.Name, seed, show(got), show(want))
			return
		}
	}
}

func nearlyEqual(a, b feeds.Value) bool {
	if k := a.Kind(); k == b.Kind() && (k == feeds.Double || k == feeds.Interval) {
		x, y := a.Float(), b.Float()
		return x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y))
	}
	return show([][]feeds.Value{{a}}) == show([][]feeds.Value{{b}})
}

func (s *script) dealt(r *rand.Rand, t *tables.Table, fromTSV [][]byte) [][]feeds.Value {
	layout, err := tables.LayoutOf(t)
	if err != nil {
		s.t.Fatal(err)
	}
	partitions := 1 + r.IntN(4)
	f, err := tables.NewFold(t, layout, partitions)
	if err != nil {
		s.t.Fatal(err)
	}
	decoder := codecs.NewJSON(layout)
	var rec feeds.Record
	lines := s.records[layout.Feed]
	pending := make([][]int, partitions) // taken in and not committed
	take := func(partition int, number int) {
		msg := []byte(lines[number])
		switch r.IntN(3) {
		case 0:
			msg = fmt.Appendf(nil, `{"%s":%s}`, layout.Feed, msg)
		case 1:
			if fromTSV[number] != nil {
				msg = bytes.Clone(fromTSV[number])
			}
		}
		if err := decoder.Decode(msg, &rec); err != nil {
			s.t.Fatalf("%s: %v", msg, err)
		}
		rec.At.Offset = int64(number) // a record stays where it is, whoever reads it
		f.Combiner(partition).Add(&rec)
	}
	commit := func(partition int) {
		if err := f.Flush(partition); err != nil {
			s.t.Fatal(err)
		}
		pending[partition] = nil
	}
	for _, number := range r.Perm(len(lines)) {
		partition := r.IntN(partitions)
		pending[partition] = append(pending[partition], number)
		take(partition, number)
		switch r.IntN(6) {
		case 0, 1:
			commit(partition)
		case 2: // it dies
			f.Combiner(partition).Reset()
			for _, number := range pending[partition] {
				take(partition, number)
			}
		}
	}
	rows, err := f.Rows()
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}
